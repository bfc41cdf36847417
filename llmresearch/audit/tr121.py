"""TR121, audited: rates, exponents and their intervals refitted, correlations, capacity and cost."""

import math

import numpy as np
import pandas as pd
from scipy import stats

from ..fits.power_laws import power_law
from .findings import Finding, compare
from .tables import published

COLUMN = {"prefill": "prefill_ms", "kv_decode": "kv_decode_ms", "e2e_kv": "e2e_ms"}
USD_PER_HOUR = 1.006    # TR119's on-demand price, which TR121 uses as its shadow price
MONTH = 30 * 86400.0
PROMPTS = {"hf_cpu_fp32": (1, 9, 17), "hf_gpu_fp16": (1, 9, 17), "ollama": (11, 19, 27)}


def audit():
    """All findings on TR121's published tables."""
    return (fits() + laws() + rates() + prompt_lengths() + capacity() + packs() + correlations() + multivariate()
            + scalars() + not_checkable())


def points(backend, mode):
    """(parameters in millions, milliseconds) of a backend's published points in one mode."""
    rows = published("tr121_points")
    rows = rows[rows["backend"] == backend]
    return rows["params_M"].astype(float).to_numpy(), rows[COLUMN[mode]].astype(float).to_numpy()


def bootstrap_slopes(x, y, resamples=1000, seed=42):
    """The slopes of log10(y) on log10(x) over resampled pairs, as the report took them."""
    chance, x, y = np.random.default_rng(seed), np.log10(x), np.log10(y)
    draws = [chance.integers(0, len(x), len(x)) for _ in range(resamples)]
    return [np.polyfit(x[i], y[i], 1)[0] for i in draws if len(set(x[i])) > 1]


def fits():
    """§1: slopes, r² and intervals by the report's own recipe from its own points."""
    found = []
    for row in published("tr121_fits").to_dict("records"):
        x, y = points(row["backend"], row["mode"])
        line = stats.linregress(np.log10(x), np.log10(y))
        low, high = np.percentile(bootstrap_slopes(x, y), [2.5, 97.5])
        own = {"slope": line.slope, "r2": line.rvalue ** 2, "ci_low": low, "ci_high": high}
        found += [compare("tr121_fits", f"{row['backend']} {row['mode']}: {column}", row[column], float(ours),
                          f"{row['method']}; {len(x)} published points, rounded as printed", row["source"], slack=0.01)
                  for column, ours in own.items()]
    return found


def laws():
    """§1: what the same points carry once leverage, curvature and sizes are asked."""
    found = []
    for row in published("tr121_fits").to_dict("records"):
        x, y = points(row["backend"], row["mode"])
        law = power_law(x, y)
        low, high = law.loo.min(), law.loo.max()
        verdict = {"supported": "reproduced", "rejected": "inconsistent", "carried by one point": "inconsistent"}
        found.append(Finding("tr121_fits", f"{row['backend']} {row['mode']}: latency follows a power law",
                             f"exponent {row['slope']}",
                             f"{law.verdict}; leave-one-out {low:.3f} to {high:.3f}, "
                             f"leverage up to {law.leverage.max():.2f}",
                             verdict.get(law.verdict, "not checkable"), law.method, row["source"]))
    return found


def rates():
    """§3.5: tokens a second and milliseconds a token from the row's own latencies."""
    found = []
    for row in published("tr121_points").to_dict("records"):
        name, new = f"{row['backend']} {row['model']}", float(row["gen_tokens"])
        prefill, decode, e2e = (float(row[column]) for column in COLUMN.values())
        own = {"kv_decode_tok_s": (1000 * new / decode, "64 tokens / decode time"),
               "decode_ms_per_token": (decode / new, "decode time / 64 tokens"),
               "e2e_ms": (prefill + decode, "prefill + decode; a geometric mean of sums is a little larger")}
        found += [compare("tr121_points", f"{name}: {column}", row[column], ours, how, row["source"])
                  for column, (ours, how) in own.items()]
    return found


def prompt_lengths():
    """§3.5: the prompt tokens that prefill rate and time imply, against those that the design states."""
    found = []
    for row in published("tr121_points").to_dict("records"):
        stated = math.prod(PROMPTS[row["backend"]]) ** (1 / 3)
        implied = float(row["prefill_tok_s"]) * float(row["prefill_ms"]) / 1000
        found.append(compare("tr121_points", f"{row['backend']} {row['model']}: prompt tokens, geometric mean",
                             f"{stated:.2f}", implied, "prefill tokens a second · prefill time, against "
                             f"{PROMPTS[row['backend']]} as designed", row["source"], slack=0.02))
    return found


def capacity():
    """§8.3: workers for a billion tokens a month, and USD per million and per month."""
    found, need = [], 1e9 / MONTH
    for row in published("tr121_capacity_cost").to_dict("records"):
        rate = float(row["tokens_s"])
        usd = 1e6 / rate / 3600 * USD_PER_HOUR
        for column, ours, how in (("workers_for_1b_month", need / rate, f"{need:.1f} / tokens a second, never idle"),
                                  ("usd_1m_tokens_shadow", usd, f"1e6 / rate / 3600 · {USD_PER_HOUR}"),
                                  ("usd_month_shadow", 1000 * usd, "a thousand times that")):
            found.append(compare("tr121_capacity_cost", f"{row['model_backend']}: {column}", row[column], ours, how,
                                 row["source"]))
    return found


def packs():
    """§8.3.3: USD per thousand requests of each mix, one price for prompt and generated tokens alike."""
    sizes = {row["scenario"]: row for row in published("tr121_request_pack_def").to_dict("records")}
    found = [compare("tr121_request_pack_def", f"{name}: total tokens", row["total_tokens"],
                     float(row["prompt_tokens"]) + float(row["gen_tokens"]), "prompt + generated", row["source"])
             for name, row in sizes.items()]
    for row in published("tr121_request_pack_cost").to_dict("records"):
        found += [compare("tr121_request_pack_cost", f"{row['model']}: {name}", row[name],
                          float(row["usd_1m_tokens"]) * float(size["total_tokens"]) / 1000,
                          "USD per million · tokens of a request · 1000 / 1e6", row["source"])
                  for name, size in sizes.items()]
    return found


def _structure():
    rows = published("tr121_architecture")
    return {name: rows[name].astype(float).to_numpy() for name in ("params_m", "n_layer", "n_embd")}


def _end_to_end(backend):
    return points(backend, "e2e_kv")[1]


def correlations():
    """§5.2: rank correlations of end-to-end latency with structure, seven models."""
    rows = {row["quantity"]: row for row in published("tr121_other_claims").to_dict("records")}
    structure, found = _structure(), []
    for name, row in rows.items():
        if not name.startswith("spearman"):
            continue
        _, device, feature, _ = name.split("_")
        x = structure[{"params": "params_m", "nlayer": "n_layer", "nembd": "n_embd"}[feature]]
        test = stats.spearmanr(x, _end_to_end("hf_gpu_fp16" if device == "gpu" else "hf_cpu_fp32"))
        found += [compare("tr121_other_claims", f"{name}: {what}", printed, float(ours), "Spearman, 7 published points",
                          row["source"], slack=0.01)
                  for what, printed, ours in (("rho", row["value"], test.statistic), ("p", row["p"], test.pvalue))]
    return found


def multivariate():
    """§5.2.2: log latency on log parameters and log layers, seven models."""
    structure, found = _structure(), []
    design = np.column_stack([np.ones(7), np.log10(structure["params_m"]), np.log10(structure["n_layer"])])
    for row in published("tr121_multivariate").to_dict("records"):
        y = np.log10(_end_to_end(row["backend"]))
        weights, *_ = np.linalg.lstsq(design, y, rcond=None)
        r2 = 1 - ((y - design @ weights) ** 2).sum() / ((y - y.mean()) ** 2).sum()
        for column, ours in (("beta_log_params", weights[1]), ("gamma_log_layers", weights[2]), ("r2", r2)):
            found.append(compare("tr121_multivariate", f"{row['backend']}: {column}", row[column], float(ours),
                                 "least squares, 7 points and 3 coefficients: 4 degrees of freedom", row["source"],
                                 slack=0.01))
    return found


def scalars():
    """§5, §6, §8: the linear fit, decode fractions and rates that the published points can give."""
    rows = {row["quantity"]: row for row in published("tr121_other_claims").to_dict("records")}
    x, y = points("hf_gpu_fp16", "e2e_kv")
    line = stats.linregress(x, y)
    decode = {row["model"]: float(row["kv_decode_tok_s"]) for row in published("tr121_points").to_dict("records")
              if row["backend"] == "hf_gpu_fp16"}
    own = {
        "gpu_linear_a_ms": (line.intercept, "intercept of e2e ms on millions"),
        "gpu_linear_b_ms_per_M": (line.slope, "slope of e2e ms on millions"),
        "gpu_linear_r2": (line.rvalue ** 2, "of that line"),
        "avg_tokens_per_s_for_1B_month_30d": (1e9 / MONTH, "1e9 / (30 · 86400)"),
        "speed_ratio_25m_vs_5m_gpu_decode": (decode["models/gpt2-25m"] / decode["models/gpt2-5m"], "rates of §3.5"),
        **{f"decode_fraction_64_{short}": (_decode_fraction(backend), "median over models of decode / end to end")
           for short, backend in (("hf_cpu", "hf_cpu_fp32"), ("hf_gpu", "hf_gpu_fp16"), ("ollama", "ollama"))}}
    return [compare("tr121_other_claims", name, rows[name]["value"], float(ours), how, rows[name]["source"], slack=0.01)
            for name, (ours, how) in own.items()]


def _decode_fraction(backend):
    return float(np.median(points(backend, "kv_decode")[1] / points(backend, "e2e_kv")[1]))


def not_checkable():
    """What rests on points that were not published: gemma family, other batch sizes and lengths, warm-up ratios."""
    found = [Finding("tr121_gemma_family_fits", f"gemma3 {row['mode']}: slope and r²", f"{row['slope']}; {row['r2']}",
                     "nothing", "not checkable", "three sizes give no law, and the 4 B point is not published",
                     row["source"]) for row in published("tr121_gemma_family_fits").to_dict("records")]
    found += [Finding("tr121_warmup", f"{row['backend']} {row['mode']}: warm-up ratio", row["median_warmup_ratio"],
                      "nothing", "not checkable", "no warm-up times are published; each ratio has one warm-up call",
                      row["source"]) for row in published("tr121_warmup").to_dict("records")]
    found += [Finding("tr121_early_stop", f"{row['scenario']}: stopped early, % of 5 models", row["early_stop_rate"],
                      "nothing", "not checkable", "token counts by model are not published", row["source"])
              for row in published("tr121_early_stop").to_dict("records")]
    seen = {f.claim.partition(":")[0] for f in correlations() + scalars()}
    return found + [Finding("tr121_other_claims", row["quantity"], row["value"], "nothing", "not checkable",
                            "its points are not published", row["source"])
                    for row in published("tr121_other_claims").to_dict("records") if row["quantity"] not in seen]


def overview_of_laws():
    """One row for each published exponent: the report's, ours with leave-one-out range, leverage and verdict."""
    rows = []
    for row in published("tr121_fits").to_dict("records"):
        law = power_law(*points(row["backend"], row["mode"]))
        rows.append({"backend": row["backend"], "mode": row["mode"], "published": float(row["slope"]),
                     "exponent": float(law.exponent), "low": law.exponent.low, "high": law.exponent.high,
                     "least without one": float(law.loo.min()), "most without one": float(law.loo.max()),
                     "leverage": float(law.leverage.max()), "verdict": law.verdict})
    return pd.DataFrame(rows)
