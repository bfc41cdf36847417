"""One table of decisions, from the comparisons of all other tables: which engine, or that there is no winner."""

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
COLUMNS = [*KEYS, "choice", "median", "low", "high", "next_best", "times_as_fast", "times_as_fast_low",
           "times_as_fast_high", "not_told_apart", "evidence", "quality", "left_out", "sessions"]  # fmt: skip
DISTURBED = "all its calls were disturbed"


def decisions(frame, reference):
    """One row per model, scenario and phase: the engine to choose, or 'no winner' with those not told apart.

    The engine with the least median is chosen when every other one is shown slower, paired by session.
    Against `reference` the verdict is that of `speedups` by scenario, so that this table and that one cannot
    disagree; among the others Holm's correction runs over all comparisons with the best of each row. Left
    out, by name and reason: engines whose evidence contradicts their label, those whose perplexity gate has
    failed or is undecided, and those whose every call was disturbed. `evidence` is the precision that the chosen
    engine itself reports, unknown where it does not tell; `quality` its gate on this model, or why it was not
    judged. One row a question: no two rows can disagree.
    """
    quality, said = _quality(frame, reference), labels(frame)
    barred, told = _barred(said), {(row.engine, str(row.model)): row.evidence or "unknown" for row in said.itertuples()}
    ran, used = with_engine(frame[frame["status"] == "ok"]), with_engine(steady(frame))
    calls = dict(list(used.groupby(KEYS, observed=True)))
    questions = []
    for key, asked in ran.groupby(KEYS, observed=True, sort=True):
        part = calls.get(key, used.head(0))
        out = _left_out(asked["engine"].unique(), set(part["engine"]), key[0], barred, quality)
        questions.append(_question(key, out, part[~part["engine"].isin(out)]))
    slower = _shown_slower(questions, speedups(frame, reference, KEYS), reference)
    rows = [_row(question, slower[place], quality, told) for place, question in enumerate(questions)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _left_out(asked, measured, model, barred, quality):
    """{engine: why} of those that ran and cannot be chosen."""
    why = {name: barred.get((name, model)) or _unfit(quality.get((name, model))) for name in asked}
    return {name: reason or DISTURBED for name, reason in why.items() if reason or name not in measured}


def _question(key, out, fit):
    """What a row is decided by: medians, best first, and the others' times over the best's, uncorrected."""
    if fit.empty:
        return {"key": tuple(map(str, key)), "out": out, "names": [], "sessions": 0}
    times, pairs = summary(fit, "engine").sort_values("median", ignore_index=True), None
    names = list(times["engine"])
    if len(names) > 1:
        pairs = compare(fit, names[0], by=[], between="engine", correction="none").set_index("engine")
    return {"key": tuple(map(str, key)), "out": out, "names": names, "times": times, "pairs": pairs,
            "sessions": int(fit["session"].nunique())}  # fmt: skip


def _shown_slower(questions, table, reference):
    """For each question the engines shown slower than its best."""
    verdicts = dict(zip(zip(*(table[name].astype(str) for name in (*KEYS, "engine"))), table["verdict"]))
    among = _among_others(questions, reference)
    return [_by_table(q, verdicts, reference) | among[place] for place, q in enumerate(questions)]


def _by_table(question, verdicts, reference):
    """The engines that the table by scenario shows to be slower than the best: the reference, or than it."""
    best, *others = question["names"] or [None]
    if best == reference:
        return {name for name in others if verdicts.get((*question["key"], name)) == "slower"}
    return {reference} if verdicts.get((*question["key"], best)) == "faster" else set()


def _among_others(questions, reference):
    """For each question the engines slower than its best where neither is the reference, corrected together."""
    pairs = [(place, name) for place, q in enumerate(questions) for name in q["names"][1:]
             if reference not in (name, q["names"][0])]  # fmt: skip
    found = [questions[place]["pairs"].loc[name] for place, name in pairs]
    sure = adjust([row["p"] for row in found]) < ALPHA
    slower = [pair for pair, row, known in zip(pairs, found, sure) if known and row["ratio"] > 1]
    return [{name for at, name in slower if at == place} for place in range(len(questions))]


def _row(question, slower, quality, told):
    """The decision among the engines of one row."""
    out = "; ".join(f"{name}: {why}" for name, why in question["out"].items()) or None
    row = dict(zip(KEYS, question["key"])) | {"left_out": out, "sessions": question["sessions"]}
    if not question["names"]:
        return row | {"choice": "no winner"}
    best, others = question["times"].iloc[0], question["names"][1:]
    row |= {name: best[name] for name in ("median", "low", "high")}
    who = best["engine"], row["model"]
    judged = {"evidence": told[who], "quality": _words(quality.get(who))}
    if not others:
        return row | judged | {"choice": f"no choice: only {best['engine']} is left"}
    second = question["pairs"].loc[others[0]]
    row |= {"next_best": others[0], "times_as_fast": second["ratio"], "times_as_fast_low": second["low"],
            "times_as_fast_high": second["high"]}  # fmt: skip
    if same := [name for name in others if name not in slower]:
        return row | {"choice": "no winner", "not_told_apart": "; ".join([best["engine"], *same])}
    return row | judged | {"choice": best["engine"]}


def _quality(frame, reference):
    """{(engine, model): (gate's verdict, why)}."""
    found = perplexity_results(frame, reference)
    return {(row["backend"], row["model"]): (row["pass"], row["error"]) for row in found.to_dict("records")}


def _barred(said):
    """{(engine, model): why} of those of `labels` whose label is contradicted by what the engine says of itself."""
    wrong = said[said["agrees"] == "no"]
    return {
        (row.engine, str(row.model)): f"labelled {row.asked}, ran {row.evidence}" for row in wrong.itertuples()
    }


def _unfit(judged):
    """Why an engine's quality bars it; a gate that was passed, or could not judge, does not."""
    words = {"fail": "perplexity gate failed", "undecided": "perplexity gate undecided, which is no pass"}
    return words.get(judged[0]) if judged else None


def _words(judged):
    if judged is None:
        return "not judged on this model"
    return {"reference": "the reference", "pass": "pass"}.get(judged[0], f"not judged: {judged[1]}")


def counted(table):
    """How often each choice stands in the table, most often first."""
    found = table["choice"].value_counts().rename_axis("choice").reset_index(name="rows")
    return found.assign(share=found["rows"] / max(1, int(np.sum(found["rows"]))))
