"""One table of decisions, from the same comparisons as all others: which engine, or that no winner can be named."""

import numpy as np
import pandas as pd

from ..frames import steady
from ..stats.comparisons import compare
from ..stats.summaries import summary
from .artefacts import labels
from .names import with_engine
from .quality import perplexity_results

KEYS = ["model", "scenario", "phase"]
COLUMNS = [*KEYS, "choice", "median", "low", "high", "next_best", "times_as_fast", "times_as_fast_low", "times_as_fast_high", "quality",
           "not_told_apart", "left_out", "sessions"]  # fmt: skip


def decisions(frame, reference):
    """One row per model, scenario and phase: the engine to choose, or 'no winner' with those not told apart.

    The engine with the least median is chosen when every other one is shown slower (paired by session, Holm within the
    row). Left out, by name and reason: engines whose evidence contradicts their label, and those whose perplexity gate
    failed. `quality` is the chosen engine's gate on this model, or why it was not judged. There is one row per question
    and one table, so no two rows can disagree.
    """
    quality, barred = _quality(frame, reference), _barred(frame)
    used, rows = with_engine(steady(frame)), []
    for key, part in used.groupby(KEYS, observed=True, sort=True):
        out = {e: why for e in part["engine"].unique() if (why := barred.get((e, key[0])) or _failed(quality.get((e, key[0]))))}
        part = part[~part["engine"].isin(out)]
        rows.append(dict(zip(KEYS, map(str, key))) | {"left_out": "; ".join(f"{e}: {why}" for e, why in out.items()) or None}
                    | _chosen(part, quality, key[0]))  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)


def _chosen(part, quality, model):
    """The decision among the engines of one row."""
    if part.empty:
        return {"choice": "no winner", "quality": None, "not_told_apart": None, "sessions": 0}
    times = summary(part, "engine").sort_values("median", ignore_index=True)
    best, sessions = times.iloc[0], int(part["session"].nunique())
    row = {"median": best["median"], "low": best["low"], "high": best["high"], "sessions": sessions}
    if len(times) == 1:
        return row | {"choice": f"no choice: only {best['engine']} ran", "quality": _words(quality.get((best["engine"], model)))}
    found = compare(part, best["engine"], by=[], between="engine").set_index("engine")
    open_ = [name for name in times["engine"][1:] if found.loc[name, "verdict"] != "slower"]
    second = found.loc[times["engine"][1]]
    row |= {"next_best": times["engine"][1], "times_as_fast": second["ratio"], "times_as_fast_low": second["low"],
            "times_as_fast_high": second["high"]}  # fmt: skip
    if open_:
        return row | {"choice": "no winner", "not_told_apart": "; ".join([best["engine"], *open_])}
    return row | {"choice": best["engine"], "quality": _words(quality.get((best["engine"], model)))}


def _quality(frame, reference):
    """{(engine, model): (gate's verdict, why)}."""
    found = perplexity_results(frame, reference)
    return {(row["backend"], row["model"]): (row["pass"], row["error"]) for row in found.to_dict("records")}


def _barred(frame):
    """{(engine, model): why} of cells whose label is contradicted by what the engine says of itself."""
    found = labels(frame)
    wrong = found[found["agrees"] == "no"]
    return {(row.engine, str(row.model)): f"labelled {row.asked}, ran {row.evidence}" for row in wrong.itertuples()}


def _failed(judged):
    return f"perplexity gate failed ({judged[1]})" if judged and judged[0] == "fail" else None


def _words(judged):
    if judged is None:
        return "not judged on this model"
    return "the reference" if judged[0] == "reference" else judged[0] if judged[0] == "pass" else f"not judged: {judged[1]}"


def counted(table):
    """How often each choice stands in the table, most often first."""
    found = table["choice"].value_counts().rename_axis("choice").reset_index(name="rows")
    return found.assign(share=found["rows"] / max(1, int(np.sum(found["rows"]))))
