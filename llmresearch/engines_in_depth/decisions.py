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
from .speed import ALPHA

KEYS = ["model", "scenario", "phase"]
COLUMNS = [*KEYS, "choice", "median", "low", "high", "next_best", "times_as_fast", "times_as_fast_low", "times_as_fast_high",
           "not_told_apart", "quality", "left_out", "sessions"]  # fmt: skip
PAIRS = ["engine", "baseline", "ratio", "low", "high", "p"]


def decisions(frame, reference):
    """One row per model, scenario and phase: the engine to choose, or 'no winner' with those not told apart.

    The engine with the least median is chosen when every other one is shown slower, paired by session. Holm's correction
    runs over all these comparisons and all those with `reference`, so that no row chooses what a smaller table of the
    same comparisons leaves open. Left out, by name and reason: engines whose evidence contradicts their label, those
    whose perplexity gate has failed or is undecided, and those whose every call was disturbed. `quality` is the chosen
    engine's gate on this model, or why it was not judged. One row a question: no two rows can disagree.
    """
    quality, barred = _quality(frame, reference), _barred(frame)
    ran, used = with_engine(frame[frame["status"] == "ok"]), with_engine(steady(frame))
    calls = {key: part for key, part in used.groupby(KEYS, observed=True)}
    questions = []
    for key, asked in ran.groupby(KEYS, observed=True, sort=True):
        out = {e: why for e in asked["engine"].unique() if (why := barred.get((e, key[0])) or _unfit(quality.get((e, key[0]))))}
        part = calls.get(key, used.head(0))
        out |= {e: "all its calls were disturbed" for e in asked["engine"].unique() if e not in out and e not in set(part["engine"])}
        questions.append(_question(key, out, part, reference))
    slower = _shown_slower(questions)
    return pd.DataFrame([_row(question, slower[k], quality) for k, question in enumerate(questions)], columns=COLUMNS)


def _question(key, out, part, reference):
    """What a row is decided by: medians, best first, and every comparison with the best and with the reference."""
    fit = part[~part["engine"].isin(out)]
    times = summary(fit, "engine").sort_values("median", ignore_index=True) if len(fit) else pd.DataFrame()
    best = times["engine"].iloc[0] if len(times) else None
    pairs = _pairs(fit, best)
    if best != reference:
        more = _pairs(part, reference)
        pairs = pd.concat([pairs, more[more["engine"] != best]])  # with the best it stands above, turned round
    return {"key": key, "out": out, "times": times, "pairs": pairs, "sessions": int(fit["session"].nunique())}


def _pairs(part, baseline):
    """Every other engine's time over the baseline's, with p-values not yet corrected."""
    if baseline not in set(part["engine"]) or part["engine"].nunique() < 2:
        return pd.DataFrame({name: pd.Series(dtype=object if name in PAIRS[:2] else float) for name in PAIRS})
    return pd.DataFrame(compare(part, baseline, by=[], between="engine", correction="none"))[PAIRS]


def _shown_slower(questions):
    """For each question the engines shown slower than its best, corrected over all questions at once."""
    p = np.concatenate([np.empty(0), *(q["pairs"]["p"].to_numpy(float) for q in questions)])
    sure = np.split(adjust(p) < ALPHA, np.cumsum([len(q["pairs"]) for q in questions])[:-1])
    return [set(q["pairs"]["engine"][s & (q["pairs"]["ratio"] > 1).to_numpy() & _with_best(q)]) for q, s in zip(questions, sure)]


def _with_best(question):
    best = question["times"]["engine"].iloc[0] if len(question["times"]) else None
    return (question["pairs"]["baseline"] == best).to_numpy()


def _row(question, slower, quality):
    """The decision among the engines of one row."""
    row = dict(zip(KEYS, map(str, question["key"]))) | {
        "left_out": "; ".join(f"{e}: {why}" for e, why in question["out"].items()) or None, "sessions": question["sessions"],
        "choice": "no winner"}  # fmt: skip
    times = question["times"]
    if not len(times):
        return row
    best, others = times.iloc[0], list(times["engine"][1:])
    judged = {"quality": _words(quality.get((best["engine"], row["model"])))}
    row |= {"median": best["median"], "low": best["low"], "high": best["high"]}
    if not others:
        return row | judged | {"choice": f"no choice: only {best['engine']} is left"}
    second = question["pairs"][_with_best(question)].set_index("engine").loc[others[0]]
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
