"""One table of decisions, from the same comparisons as all others: which engine, or that no winner can be named."""

import numpy as np
import pandas as pd

from ..frames import steady
from ..stats.comparisons import compare
from ..stats.corrections import adjust
from ..stats.summaries import summary
from .artefacts import labels
from .names import with_engine
from .quality import perplexity_results
from .speed import ALPHA, speedups

KEYS = ["model", "scenario", "phase"]
COLUMNS = [*KEYS, "choice", "median", "low", "high", "next_best", "times_as_fast", "times_as_fast_low", "times_as_fast_high",
           "not_told_apart", "quality", "left_out", "sessions"]  # fmt: skip


def decisions(frame, reference):
    """One row per model, scenario and phase: the engine to choose, or 'no winner' with those not told apart.

    The engine with the least median is chosen when every other one is shown slower, paired by session. Against
    `reference` the verdict is that of `speedups` by scenario, so that this table and that one cannot disagree; among the
    others Holm's correction runs over all comparisons with the best of each row. Left out, by name and reason: engines
    whose evidence contradicts their label, those whose perplexity gate has failed or is undecided, and those whose every
    call was disturbed. `quality` is the chosen engine's gate on this model, or why it was not judged. One row a question:
    no two rows can disagree.
    """
    quality, barred = _quality(frame, reference), _barred(frame)
    ran, used = with_engine(frame[frame["status"] == "ok"]), with_engine(steady(frame))
    calls = {key: part for key, part in used.groupby(KEYS, observed=True)}
    questions = []
    for key, asked in ran.groupby(KEYS, observed=True, sort=True):
        out = {e: why for e in asked["engine"].unique() if (why := barred.get((e, key[0])) or _unfit(quality.get((e, key[0]))))}
        part = calls.get(key, used.head(0))
        out |= {e: "all its calls were disturbed" for e in asked["engine"].unique() if e not in out and e not in set(part["engine"])}
        questions.append(_question(key, out, part[~part["engine"].isin(out)]))
    slower = _shown_slower(questions, speedups(frame, reference, KEYS), reference)
    return pd.DataFrame([_row(question, slower[k], quality) for k, question in enumerate(questions)], columns=COLUMNS)


def _question(key, out, fit):
    """What a row is decided by: medians, best first, and every other engine's time over the best's, not yet corrected."""
    times = summary(fit, "engine").sort_values("median", ignore_index=True) if len(fit) else pd.DataFrame({"engine": []})
    names = list(times["engine"])
    pairs = compare(fit, names[0], by=[], between="engine", correction="none").set_index("engine") if names[1:] else None
    return {"key": tuple(map(str, key)), "out": out, "times": times, "names": names, "pairs": pairs, "sessions": int(fit["session"].nunique())}


def _shown_slower(questions, table, reference):
    """For each question the engines shown slower than its best."""
    told = dict(zip(zip(*(table[name].astype(str) for name in (*KEYS, "engine"))), table["verdict"]))
    mine = [(k, name) for k, q in enumerate(questions) for name in q["names"][1:] if reference not in (name, q["names"][0])]
    p = adjust([questions[k]["pairs"].loc[name, "p"] for k, name in mine])
    own = {pair for pair, value in zip(mine, p) if value < ALPHA and questions[pair[0]]["pairs"].loc[pair[1], "ratio"] > 1}
    found = []
    for k, q in enumerate(questions):
        best = q["names"][0] if q["names"] else None
        as_told = {reference} if told.get((*q["key"], best)) == "faster" else set()
        if best == reference:
            as_told = {name for name in q["names"][1:] if told.get((*q["key"], name)) == "slower"}
        found.append(as_told | {name for place, name in own if place == k})
    return found


def _row(question, slower, quality):
    """The decision among the engines of one row."""
    row = dict(zip(KEYS, question["key"])) | {
        "left_out": "; ".join(f"{e}: {why}" for e, why in question["out"].items()) or None, "sessions": question["sessions"],
        "choice": "no winner"}  # fmt: skip
    if not question["names"]:
        return row
    best, others = question["times"].iloc[0], question["names"][1:]
    judged = {"quality": _words(quality.get((best["engine"], row["model"])))}
    row |= {"median": best["median"], "low": best["low"], "high": best["high"]}
    if not others:
        return row | judged | {"choice": f"no choice: only {best['engine']} is left"}
    second = question["pairs"].loc[others[0]]
    row |= {"next_best": others[0], "times_as_fast": second["ratio"], "times_as_fast_low": second["low"],
            "times_as_fast_high": second["high"]}  # fmt: skip
    if open_ := [name for name in others if name not in slower]:
        return row | {"not_told_apart": "; ".join([best["engine"], *open_])}
    return row | judged | {"choice": best["engine"]}


def _quality(frame, reference):
    """{(engine, model): (gate's verdict, why)}."""
    found = perplexity_results(frame, reference)
    return {(row["backend"], row["model"]): (row["pass"], row["error"]) for row in found.to_dict("records")}


def _barred(frame):
    """{(engine, model): why} of cells whose label is contradicted by what the engine says of itself."""
    found = labels(frame)
    wrong = found[found["agrees"] == "no"]
    return {(row.engine, str(row.model)): f"labelled {row.asked}, ran {row.evidence}" for row in wrong.itertuples()}


def _unfit(judged):
    """Why an engine's quality bars it from being chosen: only a gate that was passed, or could not judge, does not."""
    words = {"fail": "perplexity gate failed", "undecided": "perplexity gate undecided, which is no pass"}
    return words.get(judged[0]) if judged else None


def _words(judged):
    if judged is None:
        return "not judged on this model"
    return "the reference" if judged[0] == "reference" else judged[0] if judged[0] == "pass" else f"not judged: {judged[1]}"


def counted(table):
    """How often each choice stands in the table, most often first."""
    found = table["choice"].value_counts().rename_axis("choice").reset_index(name="rows")
    return found.assign(share=found["rows"] / max(1, int(np.sum(found["rows"]))))
