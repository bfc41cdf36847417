"""Perplexities of the engines on one text, beside the reference engine's, with the gate of each precision."""

import pandas as pd

from ..intervals import refused
from ..perplexities import GATES, PerplexityError, change, gate, interval
from .names import cells_of

COLUMNS = ["backend", "model", "perplexity", "nll_sum", "token_count", "mean_nll", "delta_frac", "threshold", "pass", "windows",
           "providers_used", "error"]  # fmt: skip


def perplexity_results(frame, reference):
    """One row per engine and model that scored a text, with the columns of TR118's perplexity_results.

    perplexity and delta_frac (the relative change against `reference` on the same windows) are Estimates;
    `pass` is the gate's verdict by the whole interval of the change: pass (within the limit), fail (beyond
    it), undecided (it reaches over the limit, or there is none), or refused with the reason in `error` (a
    model that has learnt nothing is not judged). Engines that score and could not are rows with their reason.
    """
    rows, scored = [], _scored(frame)
    for model, part in scored.groupby("model", observed=True, sort=True):
        base = part[part["engine"] == reference]
        for row in part.itertuples():
            rows.append(_row(row, base.iloc[0]["scored"] if len(base) else None, row.engine == reference))
    return pd.DataFrame(rows, columns=COLUMNS)


def _scored(frame):
    """One row per engine and model whose cells were asked to score, with what they scored."""
    done = cells_of(frame)
    done = done.assign(scored=[evidence.get("scored") for evidence in done["evidence"]])
    return done[done["scored"].notna()].drop_duplicates(["engine", "model"])


def _row(cell, base, own):
    scores = cell.scored.get("scores")
    row = {"backend": cell.engine, "model": str(cell.model), "threshold": GATES.get(str(cell.dtype), float("nan")),
           "providers_used": ", ".join(cell.evidence.get("providers") or [str(cell.evidence.get("engine", ""))])}  # fmt: skip
    if not scores:
        why = "this engine tells no probabilities"
        return row | {"perplexity": refused(why), "delta_frac": refused(why), "pass": "refused", "error": why}
    total, tokens = (float(sum(part)) for part in zip(*scores))
    found = interval(scores)
    row |= {"perplexity": found, "nll_sum": total, "token_count": int(tokens), "mean_nll": total / tokens, "windows": len(scores)}
    if own:
        return row | {"delta_frac": refused("the reference itself", len(scores)), "pass": "reference", "error": ""}
    return row | _against(scores, found.value, base, str(cell.dtype), cell.scored.get("vocabulary", 1))


def _against(scores, value, base, dtype, vocabulary):
    """Change and gate against the reference's scores."""
    if not base or not base.get("scores"):
        why = "the reference did not score this model"
        return {"delta_frac": refused(why), "pass": "refused", "error": why}
    try:
        shift = change(scores, base["scores"])
    except PerplexityError as error:
        return {"delta_frac": refused(str(error)), "pass": "refused", "error": str(error)}
    found = gate(value, interval(base["scores"]).value, dtype, vocabulary)
    verdict = "refused" if found.verdict == "refused" else _by_interval(shift, found.limit)
    open_ = f"{found.reason}; the interval lies neither within the limit nor beyond it"
    why = {"pass": "", "undecided": open_}
    return {"delta_frac": shift, "pass": verdict, "error": why.get(verdict, found.reason)}


def _by_interval(shift, limit):
    """pass, fail or undecided: an interval that reaches over the limit does not show that quality is kept."""
    if shift.low > -limit and shift.high < limit:
        return "pass"
    return "fail" if shift.low >= limit or shift.high <= -limit else "undecided"
