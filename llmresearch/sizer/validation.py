"""How good the sizer is: predicted against measured, families left out, coverage of the intervals, thresholds."""

import numpy as np
import pandas as pd

from . import answers, conformal, fit, legacy, profiles
from .coefficients import coefficients
from .formats import GIB

# What must hold, as (what, at most or at least, unit): the thresholds of the project, CI fails on any of them.
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
    """One row a profile: measured and predicted GiB, both ways (fit on all, and with the row's family left out)."""
    data = data or profiles.vllm_profiles()
    c = coefficients()
    full, out = fit.predicted(data, c), fit.left_out(data)
    columns = {
        "row_id": data.rows.row_id, "model": data.rows.model, "family": data.family,
        "size_class": [size_class(spec.params, spec.experts) for spec in _specs(data)],
        "multimodal": data.asked.facts.multimodal > 0, "settled": fit.settled(data), "version": data.asked.settings.version,
        "tp": data.rows.tp, "weight_format": data.rows.weight_format, "fits": data.rows.fits, "evidence": data.rows.evidence,
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
    """The rows that the thresholds are about: their log says version, batch size, GPU memory and share, and they fit."""
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
        ("weights + activation + non-torch, text, family left out (%)", error_percent(text, "non_kv"), "non_kv_mape_text"),
    ]
    found += [(f"{name} (%)", error_percent(text[text.size_class == name], "non_kv"), name) for name in ("1-2 B", "7-8 B", "13-70 B", "MoE")]
    lines = [_line(what, errors.dropna(), THRESHOLDS[key]) for what, errors, key in found]
    for name in (*conformal.COMPONENTS, "kv_pool"):
        seen, share = good[f"{name}_measured"].notna().sum(), coverage(good, name)
        held = THRESHOLDS["coverage_low"] <= share <= THRESHOLDS["coverage_high"]
        lines.append((f"coverage of the 90 % interval, {name} (%)", share, "85 to 95", seen, held))
    lost = rows[rows.fits == "no"]
    lines.append(("largest P(fit) of a row that did not fit", lost.p_fit.max(), "< 0.5", len(lost), lost.p_fit.max() < 0.5))
    return pd.DataFrame(lines, columns=["what", "achieved", "threshold", "n", "passed"])


def _line(what, errors, limit):
    return what, errors.mean(), f"<= {limit:g}", len(errors), bool(errors.mean() <= limit)
