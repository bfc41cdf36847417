"""How good the sizer is: predicted against measured with families left out, coverage, thresholds."""

import numpy as np
import pandas as pd

from ..intervals import Estimate
from ..records import LlmResearchError
from . import answers, conformal, fit, legacy, profiles
from .coefficients import coefficients
from .estimating import estimate
from .formats import GIB, weight_format

# What must hold, as (what, at most or at least, unit): the thresholds of the project, CI fails on any of
# them.
THRESHOLDS = {
    "kv_pool_mape": 2.0, "non_kv_mape_text": 1.5, "1-2 B": 2.0, "7-8 B": 1.0, "13-70 B": 2.0, "MoE": 3.0,
    "coverage_low": 85.0, "coverage_high": 95.0, "no_fit_probability": 0.5,
}  # fmt: skip
CLASSES = ("below 1 B", "1-2 B", "3-6 B", "7-8 B", "9-12 B", "13-70 B", "above 70 B", "MoE")


def size_class(params, moe):
    """The plan's class of a model with so many weights: 1-2 B, 7-8 B, 13-70 B, MoE, and the gaps between."""
    if moe:
        return "MoE"
    edges = (1e9, 2.7e9, 6.5e9, 8.9e9, 12.9e9, 74e9)
    return CLASSES[int(np.searchsorted(edges, params, side="right"))]


def table(data=None):
    """One row a profile: measured and predicted GiB, fitted on all and with the row's family left out."""
    data = data or profiles.vllm_profiles()
    c = coefficients()
    full, out = fit.predicted(data, c), fit.left_out(data)
    columns = {
        "row_id": data.rows.row_id, "model": data.rows.model, "family": data.family,
        "size_class": [size_class(spec.params, spec.experts) for spec in _specs(data)],
        "multimodal": data.asked.facts.multimodal > 0, "settled": fit.settled(data),
        "version": data.rows.engine_version,
        "tp": data.rows.tp, "weight_format": data.rows.weight_format, "fits": data.rows.fits,
        "evidence": data.rows.evidence,
        "gpu_given": data.rows.gpu_memory_gib.notna() & data.rows.gpu_memory_utilization.notna(),
        "p_fit": answers.answer(data.asked, c)[1], "pp": data.rows.pp,
    }  # fmt: skip
    for name in (*conformal.COMPONENTS, "kv_pool"):
        columns[f"{name}_measured"] = data.measured[name] / GIB
        columns[f"{name}_predicted"] = full[name] / GIB
        columns[f"{name}_left_out"] = out[name] / GIB
        low, high = _left_out_bounds(data, name, out, c)
        columns[f"{name}_low"], columns[f"{name}_high"] = low / GIB, high / GIB
    return pd.DataFrame(columns)


def _specs(data):
    return [data.asked.specs[code] for code in data.asked.model_code]


def _left_out_bounds(data, name, out, c):
    """90 % intervals of every row from the scores of the other families."""
    part = "non_kv" if name == "kv_pool" else name
    facts, settings = data.asked.facts, data.asked.settings
    nominal = np.array([gpu.nominal for gpu in data.asked.gpus])[data.asked.gpu_code]
    stretch = conformal.stretch(facts, settings, nominal, c)
    group = conformal.group_of(facts, settings)
    found = fit.scores(data, out, c)
    low, high = np.full(len(data), np.nan), np.full(len(data), np.nan)
    for family in np.unique(data.family):
        rows = data.family == family
        others = {**c, "intervals": fit.intervals(data, found, ~rows)}
        bounds = conformal.bounds(part, out[part], group, stretch, others)
        low[rows], high[rows] = bounds[0][rows], bounds[1][rows]
    if name == "kv_pool":
        return out[name] - (high - out[part]), out[name] + (out[part] - low)
    return low, high


def error_percent(rows, name, how="left_out"):
    """Absolute percentage errors of a component, nan where it was not measured."""
    return 100 * (rows[f"{name}_{how}"] / rows[f"{name}_measured"] - 1).abs()


def judged(rows):
    """The rows that thresholds are about: they fit, and say version, batch, GPU memory and its share."""
    return rows[rows.settled & rows.gpu_given & (rows.fits == "yes") & (rows.evidence == "A")]


def coverage(rows, name):
    """Percent of measured values inside their 90 % interval, families left out."""
    seen = rows[rows[f"{name}_measured"].notna()]
    inside = seen[f"{name}_measured"].between(seen[f"{name}_low"], seen[f"{name}_high"])
    return 100 * inside.mean() if len(seen) else float("nan")


def figures(rows=None):
    """The achieved figures beside their thresholds: a frame with what, achieved, threshold, n, passed."""
    rows = table() if rows is None else rows
    good = judged(rows)
    text = good[~good.multimodal]
    found = [
        ("KV pool, mean absolute error (%)", error_percent(good, "kv_pool"), "kv_pool_mape"),
        (
            "weights + activation + non-torch, text, family left out (%)",
            error_percent(text, "non_kv"),
            "non_kv_mape_text",
        ),
    ]
    found += [
        (f"{name} (%)", error_percent(text[text.size_class == name], "non_kv"), name)
        for name in ("1-2 B", "7-8 B", "13-70 B", "MoE")
    ]
    lines = [_line(what, errors.dropna(), THRESHOLDS[key]) for what, errors, key in found]
    for name in (*conformal.COMPONENTS, "kv_pool"):
        seen, share = good[f"{name}_measured"].notna().sum(), coverage(good, name)
        held = THRESHOLDS["coverage_low"] <= share <= THRESHOLDS["coverage_high"]
        lines.append((f"coverage of the 90 % interval, {name} (%)", share, "85 to 95", seen, held))
    lost = rows[rows.fits == "no"]
    lines.append(
        (
            "largest P(fit) of a row that did not fit",
            lost.p_fit.max(),
            "< 0.5",
            len(lost),
            lost.p_fit.max() < 0.5,
        )
    )
    return pd.DataFrame(lines, columns=["what", "achieved", "threshold", "n", "passed"])


def _line(what, errors, limit):
    return what, errors.mean(), f"<= {limit:g}", len(errors), bool(errors.mean() <= limit)


class ThresholdError(LlmResearchError):
    """A threshold that the sizer no longer holds."""


def check(found):
    """Nothing; raises ThresholdError naming every threshold that was crossed, so that CI stops."""
    lost = found[~found.passed]
    if len(lost):
        named = "; ".join(
            f"{row.what}: {row.achieved:.3g}, must be {row.threshold}" for row in lost.itertuples()
        )
        raise ThresholdError(f"sizer: {named}. Refit (python -m llmresearch.sizer.fit) or find what moved.")


def by(rows, column, name="non_kv"):
    """Mean and largest absolute error in percent of a component by a column, families left out."""
    seen = judged(rows)
    seen = seen.assign(error=error_percent(seen, name))
    seen = seen[seen.error.notna()]
    return seen.groupby(column).error.agg(n="size", mean_percent="mean", largest_percent="max")


def predicted_against_measured(rows):
    """Long rows (row_id, component, measured, predicted, low, high), GiB, of the judged rows."""
    seen = judged(rows)
    parts = [
        pd.DataFrame({
            "row_id": seen.row_id, "model": seen.model, "component": name,
            "measured": seen[f"{name}_measured"],
            "predicted": seen[f"{name}_left_out"], "low": seen[f"{name}_low"], "high": seen[f"{name}_high"],
        })
        for name in ("weights", "activation", "non_torch", "cuda_graphs", "kv_pool")
    ]  # fmt: skip
    found = pd.concat(parts, ignore_index=True)
    return found[found.measured.notna()]


def per_token():
    """KV bytes a token and GPU, measured and derived, of every profile with both; `exact` where physics
    should be.

    Not exact: pools of several pipeline stages (the tightest counts), whose logs mix two GPUs, and
    llama.cpp's windows, which are not proportional to the context.
    """
    rows = profiles.read_table()
    rows = rows[rows.kv_bytes_per_token.notna()].reset_index(drop=True)
    answered = estimate(rows)
    windows = rows.engine.eq("llama.cpp") & rows.model.str.startswith("gpt-oss")
    return pd.DataFrame({
        "row_id": rows.row_id, "model": rows.model, "engine": rows.engine,
        "measured": rows.kv_bytes_per_token,
        "derived": answered.kv_per_token,
        "error_percent": 100 * (answered.kv_per_token / rows.kv_bytes_per_token - 1),
        "exact": rows.pp.eq(1) & ~windows,
    }).dropna(subset=["derived"])  # fmt: skip


def against_legacy():
    """Mean absolute percentage errors of this sizer (family left out), and of the two old formulas, on the
    same rows.

    The old formulas are asked for weights + activation + overhead of one sequence of 1,024 tokens, and judged
    against weights + activation + non-torch and the same sequence's cache; GB and GiB are converted, not
    mixed.
    """
    rows = judged(table())
    rows = rows[rows.non_kv_measured.notna() & (rows.pp == 1)]
    methods = {"this sizer": [], "legacy-8pct": [], "legacy-plan": []}
    for row in rows.itertuples():
        cache = 1024 * estimate(row.model, tp=int(row.tp)).kv_per_token.value / GIB
        truth = row.non_kv_measured + cache
        form, gpus = row.weight_format, int(row.tp)
        eight = legacy.legacy_8pct(row.model, weight_format=form) * 1e9 / GIB / gpus
        plan = legacy.legacy_plan(row.model, gpus=gpus, weight_format=form) * 1e9 / GIB
        for name, guess in (
            ("this sizer", row.non_kv_left_out + cache),
            ("legacy-8pct", eight),
            ("legacy-plan", plan),
        ):
            methods[name].append(100 * abs(guess / truth - 1))
    found = [(name, len(errors), np.mean(errors), np.max(errors)) for name, errors in methods.items()]
    return pd.DataFrame(found, columns=["method", "n", "mean_percent", "largest_percent"])


def plan_values():
    """The plan's expected GB, the GB that its load requires, and how the expected number reads."""
    questions = (
        {"model": "llama-3.2-1b", "kv_dtype": "fp8", "max_model_len": 1024},
        {"model": "mistral-7b-v0.2", "max_model_len": 1024},
        {"model": "mistral-7b-v0.2", "max_model_len": 1024, "batch": 8},
        {"model": "glm-4.5", "weight_format": "fp8", "tp": 4, "gpu": "h200"},
    )
    rows = []
    for (case, expected, why), question in zip(legacy.EXPECTED, questions, strict=True):
        required = (
            estimate(**({"engine_version": "0.25", "max_num_seqs": 256} | question)).required.value / 1e9
        )
        rows.append((case, expected, required, why))
    return pd.DataFrame(rows, columns=["case", "expected_gb", "required_gb", "reading"])


AXES = {
    "batch": [1, 2, 4, 8, 16, 32, 48, 64, 96, 128, 256, 512],
    "sequence length": [256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072],
    "size class": [
        "gpt2", "qwen2.5-0.5b", "llama-3.2-1b", "qwen2.5-1.5b", "gemma-2-2b", "llama-3.2-3b", "qwen3-4b",
        "mistral-7b-v0.2",
        "llama-3.1-8b", "gemma-2-9b", "qwen3-14b", "gemma-3-27b", "qwen3-32b", "llama-3.1-70b",
        "llama-3.1-405b",
    ],
    "GPUs": [1, 2, 4, 8, 16, 32, 64, 128],
    "quantisation": ["bf16", "fp8", "int8", "awq", "gptq"],
}  # fmt: skip


def axes():
    """For every value of the plan's axes: how many profiles there are, and whether the sizer answers."""
    table_ = profiles.read_table()
    groups = table_.weight_format.map(lambda name: weight_format(name).name)
    lengths = table_.max_model_len.astype(float)
    counted = {
        "batch": lambda v: int((table_.max_num_seqs.astype(float) == v).sum()),
        "sequence length": lambda v: int((lengths == v).sum()),
        "size class": lambda v: int((table_.model == v).sum()),
        "GPUs": lambda v: int((table_.tp * table_.pp == v).sum()),
        "quantisation": lambda v: int((groups == v).sum()),
    }
    asked = {
        "batch": lambda v: {"batch": v}, "sequence length": lambda v: {"max_model_len": v},
        "size class": lambda v: {"model": v}, "quantisation": lambda v: {"weight_format": v},
        "GPUs": lambda v: {"model": "llama-3.1-405b", "tp": min(v, 32), "pp": max(1, v // 32)},
    }  # fmt: skip
    rows = []
    for axis, values in AXES.items():
        for value in values:
            answered = estimate(**({"model": "llama-3.1-8b"} | asked[axis](value))).required.value > 0
            rows.append((axis, str(value), counted[axis](value), answered))
    return pd.DataFrame(rows, columns=["axis", "value", "measured", "answered"])


def mean_error(rows, name="non_kv", draws=2000, seed=1):
    """The mean absolute error of a component in percent as an Estimate; families are drawn again, not rows.

    Rows of a family share what the fit has not seen, so that the family is the unit of replication.
    """
    errors = error_percent(rows, name).to_numpy()
    family = rows.family.to_numpy()[~np.isnan(errors)]
    errors = errors[~np.isnan(errors)]
    names = np.unique(family)
    sums = np.array([errors[family == one].sum() for one in names])
    counts = np.array([(family == one).sum() for one in names])
    chosen = np.random.default_rng(seed).integers(0, len(names), (draws, len(names)))
    means = sums[chosen].sum(axis=1) / counts[chosen].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Estimate(errors.mean(), low, high, len(names), "family", "bootstrap of families, 95 %")
