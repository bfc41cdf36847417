"""What the validation dashboard shows: totals, errors by an axis, one profile part by part, a log as a further profile."""

import numpy as np
import pandas as pd

from . import profiles, validation
from .estimating import estimate
from .formats import GIB, SizerError
from .logs import parse_log, question
from .specs import find_model

PARTS = ("weights", "activation", "non_torch", "cuda_graphs", "kv_pool")
AXES = {"model size": "size_class", "batch": "batch", "engine": "engine", "version": "version", "GPUs": "tp"}
ENGINES = {"vllm": "vLLM", "sglang": "SGLang"}
SETTINGS = {"engine": "engine", "gpu": "gpu", "batch": "max_num_seqs", "source": "source"}


def everything():
    """Every measured profile as a row of `validation.table`, with engine, GPU, batch (max_num_seqs) and source.

    Engines other than vLLM never enter the fit, so that their prediction is at once the one that left them out.
    Sizes in GiB.
    """
    known = profiles.read_table()
    fitted = validation.table()
    rest = known[(known.engine != "vLLM") & ~known.row_id.isin(fitted.row_id)].reset_index(drop=True)
    rows = pd.concat([fitted, _unfitted(rest)], ignore_index=True)
    settings = known.set_index("row_id").loc[rows.row_id, list(SETTINGS.values())].reset_index(drop=True)
    rows = rows.assign(**{name: settings[column] for name, column in SETTINGS.items()})
    return rows.assign(version=rows.version.fillna("not said"))


def _unfitted(rows):
    """The same columns for profiles that no coefficient rests on; without those that cannot be answered."""
    answered = estimate(rows)
    good = answered[answered.weights.notna()] if "weights" in answered else answered
    specs = [find_model(name) for name in good.model]
    good = good.assign(size_class=[validation.size_class(spec.params, spec.experts) for spec in specs])
    return pd.DataFrame([_row(one, {name: one[f"{name}_gib"] for name in PARTS}, one) for _, one in good.iterrows()])


def _row(said, measured, answer):
    """One row: what was run, measured GiB and the answer's bytes as GiB; nan where nothing was measured or predicted."""
    row = {
        "row_id": said["row_id"], "model": said["model"], "family": said["model"], "size_class": said["size_class"],
        "version": said.get("engine_version"), "tp": said.get("tp", 1), "weight_format": said.get("weight_format"),
        "fits": said.get("fits", "yes"), "p_fit": answer["p_fit"], "settled": False, "gpu_given": False, "evidence": "log",
        "multimodal": False, "pp": said.get("pp", 1),
    }  # fmt: skip
    for name in PARTS:
        row[f"{name}_measured"] = measured.get(name, np.nan)
        row[f"{name}_predicted"] = row[f"{name}_left_out"] = answer[name] / GIB
        row[f"{name}_low"], row[f"{name}_high"] = answer[f"{name}_low"] / GIB, answer[f"{name}_high"] / GIB
    for how in ("measured", "predicted", "left_out"):
        row[f"non_kv_{how}"] = sum(row[f"{name}_{how}"] for name in PARTS[:3])
    return row | {"non_kv_low": np.nan, "non_kv_high": np.nan}


def from_log(text, name="log", model=None, **given):
    """One row of `everything` from a start-up log: measured in GiB as it says, predicted for what it names.

    `model` and further arguments of `estimate` come before what the log says. Raises SizerError in one sentence where
    the log states no memory, names no model, or the model is not known. Where nobody says how much memory the GPU has,
    no KV pool is predicted.
    """
    found = parse_log(text)
    asked_model, asked = question(found, model, **given)
    answer = estimate(asked_model, **asked)
    flat = {"p_fit": answer.p_fit}
    for part in PARTS:
        one = getattr(answer, part)
        flat |= {part: one.value, f"{part}_low": one.low, f"{part}_high": one.high}
    if not {"gpu", "gpu_memory_gib"} & set(asked):
        flat |= {"kv_pool": np.nan, "kv_pool_low": np.nan, "kv_pool_high": np.nan, "p_fit": np.nan}
    measured = {part: found[f"{part}_bytes"] / GIB for part in PARTS if f"{part}_bytes" in found}
    spec = answer.asked.specs[0]
    said = {
        "row_id": name, "model": spec.name, "engine_version": found.get("engine_version", "not said"), "tp": asked.get("tp", 1),
        "pp": asked.get("pp", 1), "weight_format": asked.get("weight_format", "bf16"),
        "size_class": validation.size_class(spec.params, spec.experts),
    }  # fmt: skip
    more = {"engine": ENGINES.get(found["engine"], found["engine"]), "gpu": given.get("gpu", ""), "batch": given.get("max_num_seqs", np.nan), "source": name}
    return _row(said, measured, flat) | more


def added(rows, row):
    """`rows` with a further one at its end; refuses a name that is there already."""
    if row["row_id"] in set(rows.row_id):
        raise SizerError(f"log: {row['row_id']!r} is already in the table. Rename the file, or choose that row.")
    return pd.concat([rows, pd.DataFrame([row])], ignore_index=True)


def headline(rows):
    """(what, value as text) of the validation: thresholds held and crossed, mean and largest error, coverage.

    Errors are of weights + activation + non-torch in percent, with the row's family left out of the fit.
    """
    found, good = validation.figures(rows), validation.judged(rows)
    mean, errors = validation.mean_error(good), validation.error_percent(good, "non_kv")
    worst = good.loc[errors.idxmax()]
    held = int(found.passed.sum())
    return [
        ("profiles", f"{len(rows)}, of which {len(good)} say all that a threshold needs"),
        ("tests", f"{len(found)} thresholds: {held} passing, {len(found) - held} failing"),
        ("average error", f"{mean.value:.2f} % [{mean.low:.2f}, {mean.high:.2f}], {mean.n} families"),
        ("worst error", f"{errors.max():.2f} % ({worst.model}, {worst.row_id})"),
        ("coverage of the 90 % interval", ", ".join(
            f"{words} {validation.coverage(good, name):.0f} %" for name, words in (("non_kv", "all but KV"), ("kv_pool", "KV pool"))
        )),
    ]  # fmt: skip


def errors_by(rows, axis):
    """Mean and largest error in percent by one of AXES: axis, n, mean_percent, largest_percent, what the error is of.

    Of vLLM the profiles that thresholds judge, weights + activation + non-torch; of other engines, which log less, the
    weights alone.
    """
    if axis not in AXES:
        raise SizerError(f"axis: {axis!r} is not known. Axes: {', '.join(AXES)}.")
    good, others = validation.judged(rows), rows[rows.engine != "vLLM"]
    parts = [
        seen.assign(error=validation.error_percent(seen, name), of=words)
        for seen, name, words in ((good, "non_kv", "weights + activation + non-torch"), (others, "weights", "weights"))
    ]
    seen = pd.concat(parts)
    seen = seen[np.isfinite(seen.error) & seen[AXES[axis]].notna()]
    found = seen.groupby([AXES[axis], "of"]).error.agg(n="size", mean_percent="mean", largest_percent="max").reset_index()
    if axis == "model size":
        found = found.sort_values("size_class", key=lambda names: names.map(validation.CLASSES.index), kind="stable", ignore_index=True)
    return found.rename(columns={AXES[axis]: axis})


def table(rows):
    """The columns to browse: who, what was measured and predicted in GiB, and the error in percent of all but KV."""
    shown = rows[["row_id", "model", "size_class", "engine", "version", "tp", "batch", "weight_format", "fits", "p_fit"]].copy()
    shown["batch"] = pd.to_numeric(shown["batch"]).astype("Int64")
    for name in (*PARTS, "non_kv"):
        shown[f"{name} measured"], shown[f"{name} predicted"] = rows[f"{name}_measured"], rows[f"{name}_predicted"]
    return shown.assign(error_percent=validation.error_percent(rows, "non_kv", "predicted"))


def breakdown(rows, row_id):
    """One profile part by part, GiB: component, measured, predicted, low, high, error_percent, inside its 90 % interval.

    Raises SizerError for a row that is not there.
    """
    found = rows[rows.row_id == row_id]
    if found.empty:
        raise SizerError(f"profile: {row_id!r} is not in the table. Choose one of its {len(rows)} rows.")
    one, parts = found.iloc[0], []
    for name in PARTS:
        measured, predicted = one[f"{name}_measured"], one[f"{name}_predicted"]
        low, high = one[f"{name}_low"], one[f"{name}_high"]
        error = 100 * (predicted / measured - 1) if measured else np.nan
        inside = "not measured" if np.isnan(measured) else "yes" if low <= measured <= high else "no"
        parts.append((name, measured, predicted, low, high, error, inside))
    return pd.DataFrame(parts, columns=["component", "measured", "predicted", "low", "high", "error_percent", "inside"])
