"""The crossover: §5 and §13, every claim that versions 2.1 and 2.2 made of it, and the points behind them."""

import math

import numpy as np
import pandas as pd
from scipy import stats

from ...fits.crossovers import crossover
from ..findings import Finding, compare, number
from ..tables import published
from .runs import BASELINE, THROUGHPUT, select

TABLE, POINTS = "tr118_crossover_claims", "tr118_crossover_points"
RECIPE = "least squares of ln(ratio) on ln(parameters)"
THREE = ("tiny-gpt2", "gpt2-1m", "gpt2")            # the sizes that version 2.1 had measured by its §13.4
FOUR = ("tiny-gpt2", "gpt2-1m", "gpt2-45m", "gpt2")  # and by its addendum


def points(models=None):
    """(parameters, ratio ONNX-CPU / PyTorch) of the published points, unrounded; of all nine or of `models`."""
    rows = published(POINTS)
    rows = rows if models is None else rows[rows["model"].isin(models)]
    return rows["params"].astype(float).to_numpy(), rows["ratio_exact"].astype(float).to_numpy()


def line(params, ratio):
    """(k, A0, crossover) of ratio = A0 · parameters^k by least squares on logarithms; the crossover is ratio 1."""
    fit = stats.linregress(np.log(params), np.log(ratio))
    return float(fit.slope), float(np.exp(fit.intercept)), float(np.exp(-fit.intercept / fit.slope))


def bootstrap(params, ratio, resamples=2000, seed=42):
    """(low, high): version 2.2's interval, pairs resampled, 2.5 and 97.5 percentiles, nearest rank."""
    chance, x, y = np.random.default_rng(seed), np.log(params), np.log(ratio)
    chosen = chance.integers(0, len(x), (resamples, len(x)))
    chosen = chosen[[len(set(row)) > 1 for row in chosen]]
    x, y = x[chosen], y[chosen]
    slope = _covariance(x, y) / _covariance(x, x)
    crossed = np.exp(x.mean(axis=1) - y.mean(axis=1) / slope)
    return tuple(float(v) for v in np.percentile(crossed, [2.5, 97.5], method="nearest"))


def _covariance(x, y):
    return ((x - x.mean(axis=1, keepdims=True)) * (y - y.mean(axis=1, keepdims=True))).sum(axis=1)


def claims():
    """Each claim about exponent, scale, crossover and interval, by the method that it names."""
    ours, found = _by_method(), []
    for row in published(TABLE).to_dict("records"):
        value, how = ours[row["method"], row["quantity"]]
        printed, value = _shown(row, value)
        claim = f"{row['version']} ({row['method']}): {row['quantity'].replace('_', ' ')}"
        if row["quantity"] in ("crossover_low", "crossover_high"):
            claim += ", millions"
            found.append(_by_range(row, claim, printed, value, how))
        else:
            found.append(compare(TABLE, claim, printed, value, how, row["source"], slack=1e-3))
    return [*found, _own_arithmetic()]


def _by_method():
    nine, two, three, four = (line(*points(m)) for m in (None, ("tiny-gpt2", "gpt2"), THREE, FOUR))
    low, high = bootstrap(*points())
    exact = f"{RECIPE}, 9 published points"
    boot = "2,000 resamples of the 9 points, seed 42, nearest rank"
    fit, file = "log-log OLS, 9 points", "exact fit file"
    return {
        (fit, "k"): (nine[0], exact), (fit, "A0"): (nine[1], exact), (fit, "crossover"): (nine[2], exact),
        ("pairs bootstrap 2000, seed 42", "crossover_ci_low"): (low, boot),
        ("pairs bootstrap 2000, seed 42", "crossover_ci_high"): (high, boot),
        (file, "crossover"): (nine[2], exact), (file, "k"): (nine[0], exact),
        (file, "logA0"): (math.log(nine[1]), exact),
        ("exact fit file, bootstrap 2000 seed 42", "crossover_ci_low"): (low, boot),
        ("exact fit file, bootstrap 2000 seed 42", "crossover_ci_high"): (high, boot),
        ("2-point power law", "k"): (two[0], "the line through tiny-gpt2 and gpt2"),
        ("2-point power law", "A0_at_0.103M"): (points()[1][0], "ratio of tiny-gpt2"),
        ("2-point power law", "crossover"): (two[2], "the line through tiny-gpt2 and gpt2"),
        ('3-point "least squares"', "k"): (three[0], f"{RECIPE}, {', '.join(THREE)}"),
        ('3-point "least squares"', "crossover_low"): (three[2], f"{RECIPE}, {', '.join(THREE)}"),
        ('3-point "least squares"', "crossover_high"): (three[2], f"{RECIPE}, {', '.join(THREE)}"),
        ("45M addendum, by eye", "crossover_low"): (four[2], f"{RECIPE}, {', '.join(FOUR)}"),
        ("45M addendum, by eye", "crossover_high"): (four[2], f"{RECIPE}, {', '.join(FOUR)}"),
    }


def _shown(row, value):
    """Round claims such as 76000000.0 are shown, and judged, in whole or tenths of millions, as they were printed."""
    printed = row["claimed"]
    if row["units"] != "params" or "exact" in row["method"]:
        return printed, value
    return f"{float(printed) / 1e6:g}", value / 1e6


def _by_range(row, claim, printed, value, how):
    rows = published(TABLE)
    same = rows[(rows["version"] == row["version"]) & (rows["method"] == row["method"])]
    ends = [float(v) / 1e6 for v, q in zip(same["claimed"], same["quantity"]) if q.startswith("crossover_")]
    inside = min(ends) <= value <= max(ends)
    how += f"; the claim is {min(ends):g} to {max(ends):g} millions"
    return Finding(TABLE, claim, printed, f"{value:.1f}", "reproduced" if inside else "inconsistent", how,
                   row["source"])


def _own_arithmetic():
    """Version 2.1's first crossover against the exponent and the scale that it prints itself."""
    row = {r["quantity"]: r for r in published(TABLE).to_dict("records") if r["method"] == "2-point power law"}
    k, scale = float(row["k"]["claimed"]), float(row["A0_at_0.103M"]["claimed"])
    ours = 0.103 * scale ** (-1 / k)
    return compare(TABLE, "v2.1 (2-point power law): crossover follows from its own k and A0, millions",
                   f"{float(row['crossover']['claimed']) / 1e6:g}", ours, f"0.103 · {scale:g}^(1/{-k:g})",
                   row["crossover"]["source"])


def history():
    """Every crossover that was claimed, in order, beside the value its own data and method give; millions."""
    rows = sorted((f for f in claims() if "crossover" in f.claim.partition("): ")[2]), key=lambda f: f.claim[:4])
    return [{"claim": f.claim, "published": f.published, "ours": f.ours, "verdict": f.verdict, "how": f.how}
            for f in rows]


def claimed():
    """The crossovers that were claimed, in the order of their publication, in millions: '1.2', '30 to 50' …"""
    rows = published(TABLE)
    rows = rows[rows["quantity"].isin(["crossover", "crossover_low", "crossover_high"])]
    rows = rows[~rows["method"].str.startswith("exact")].sort_values("version", kind="stable")
    return [" to ".join(f"{float(value) / 1e6:g}" for value in group["claimed"])
            for _, group in rows.groupby("method", sort=False)]


def rows_of_points(runs):
    """§5's table: ratios from the printed throughputs, throughputs from the runs, and which file each is from."""
    found = []
    for row in published(POINTS).to_dict("records"):
        ratio = float(row["onnx_cpu_tok_s"]) / float(row["pytorch_gpu_compile_tok_s"])
        found += [
            compare(POINTS, f"{row['model']}: parameters, millions", row["params_M_published"],
                    float(row["params"]) / 1e6, "parameters of the model's configuration", row["source"]),
            compare(POINTS, f"{row['model']}: ratio", row["ratio_published"], ratio,
                    f"{row['onnx_cpu_tok_s']} / {row['pytorch_gpu_compile_tok_s']}, printed figures", row["source"]),
            *_throughputs(runs, row), *_other_files(runs, row)]
    return found


def _throughputs(runs, row):
    found = []
    for column, backend in (("onnx_cpu_tok_s", "onnxruntime-cpu"), ("pytorch_gpu_compile_tok_s", BASELINE)):
        ours, how = math.nan, "needs the raw runs"
        if runs is not None:
            here = select(runs, model=row["model"], backend=backend, mode="prefill")
            means = here.groupby("file")[THROUGHPUT].mean()
            file = (means - number(row[column])).abs().idxmin()
            ours, how = float(means[file]), f"mean of the runs' rates in file {file}, the nearest of {len(means)}"
        found.append(compare(POINTS, f"{row['model']} {backend}: tok/s", row[column], ours, how, row["source"], True))
    return found


def _other_files(runs, row):
    if runs is None:
        return []
    ratios = file_ratios(runs, row["model"])
    if len(ratios) == 1:
        return []
    ours = ", ".join(f"{ratio:.2f} ({file.split('_')[-1]})" for file, ratio in ratios.items())
    return [Finding(POINTS, f"{row['model']}: the choice of one file of {len(ratios)}", row["ratio_published"], ours,
                    "not checkable", "no rule for the choice is published; each file's ratio of overall means",
                    row["source"])]


def file_ratios(runs, model):
    """The ratio ONNX-CPU / PyTorch of overall prefill means in each of a model's files."""
    means = select(runs, model=model, mode="prefill").groupby(["file", "backend"])[THROUGHPUT].mean().unstack()
    return (means["onnxruntime-cpu"] / means[BASELINE]).to_dict()


def log_ratios(runs):
    """ln(ONNX-CPU / PyTorch) of median prefill throughputs, one row for each model, file and scenario."""
    here = select(runs, mode="prefill")
    medians = here.groupby(["model", "params", "file", "scenario", "backend"])[THROUGHPUT].median().unstack()
    ratio = np.log(medians["onnxruntime-cpu"] / medians[BASELINE]).rename("log_ratio")
    return ratio.reset_index()


def by_scenario(runs):
    """One row for each scenario: its crossover and 95 % interval in millions of parameters, from all prefill files.

    Medians by file and scenario, averaged within each size; bootstrap (BCa) over the nine sizes.
    """
    means = log_ratios(runs).groupby(["scenario", "params"])["log_ratio"].mean().reset_index()
    rows = []
    for scenario, group in means.groupby("scenario"):
        found = crossover(group["params"], np.exp(group["log_ratio"]))
        rows.append({"scenario": scenario, "crossover, millions": found.value / 1e6,
                     "low": found.bootstrap.low / 1e6, "high": found.bootstrap.high / 1e6, "verdict": found.verdict})
    return pd.DataFrame(rows)


def apart(scenarios):
    """(first, second): the scenario whose interval ends first and the one whose begins last, or None if they touch."""
    first, second = scenarios.loc[scenarios["high"].idxmin()], scenarios.loc[scenarios["low"].idxmax()]
    return (first, second) if first["high"] < second["low"] else None


def verdict_of_interval(runs):
    """Can one interval, 56 to 120 millions, serve all scenarios? Not if two scenarios' own intervals do not touch."""
    claim = "v2.2: one crossover, 56 to 120 M, for prefill in all scenarios"
    source = "Technical_Report_118_v2.2.md §13"
    if runs is None:
        return [Finding(TABLE, claim, "56 to 120", "nothing", "not checkable", "needs the raw runs", source)]
    scenarios = by_scenario(runs)
    ours = ", ".join(f"{row[1]} {row[2]:.0f} M" for row in scenarios.itertuples())
    gap, how = apart(scenarios), "95 % intervals by bootstrap over nine sizes, medians of all prefill files"
    if gap:
        how += f"; {gap[0]['scenario']}'s ends at {gap[0]['high']:.0f} M, {gap[1]['scenario']}'s begins at "
        how += f"{gap[1]['low']:.0f} M{_pairs(runs, gap)}"
    return [Finding(TABLE, claim, "56 to 120", ours, "refuted" if gap else "reproduced", how, source)]


def _pairs(runs, gap):
    names = gap[0]["scenario"], gap[1]["scenario"]
    wide = log_ratios(runs).pivot_table(index=["params", "file"], columns="scenario", values="log_ratio").loc[10**7:]
    above = int((wide[names[1]] > wide[names[0]]).sum())
    return f"; above 10 M the second's ratio is the larger one in {above} of {len(wide)} files"
