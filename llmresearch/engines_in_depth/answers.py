"""Is a cached answer the answer? Ids with a cache beside those without, in the same engine, and the reference's.

Precision may turn a tie and so change ids; but an engine that gives the reference's ids without a cache, and
others with one, has lost something in its cache or in its steps. What it then answers fast is not the answer.
"""

import pandas as pd

from ..failures import classify_failure
from .names import cells_of

KEYS = ["model", "scenario", "prompt"]
COLUMNS = ["engine", "model", "scenario", "sessions", "tokens", "as_uncached", "as_reference", "verdict"]
SAME, OTHER, LOST, NONE = "the reference's", "other ids than the reference", "wrong with a cache", "no reference"


def answers(frame, reference):
    """One row per engine, model and scenario with a cached answer: its tokens, and how many are those of the answer
    without a cache and of the reference, each in the worst session.

    verdict: the reference's; other ids than the reference (precision may do that); wrong with a cache: without
    one the same engine gives the reference's; or no reference. nan where there is nothing to compare with.
    """
    found = pd.DataFrame(_judged(frame, reference))
    if found.empty:
        return pd.DataFrame(columns=COLUMNS)
    rows = []
    for key, part in found.groupby(["engine", "model", "scenario"], sort=True):
        worst = next(word for word in (LOST, OTHER, SAME, NONE) if word in set(part["verdict"]))
        rows.append(dict(zip(COLUMNS, key)) | {"sessions": part["session"].nunique(), "verdict": worst}
                    | part[["tokens", "as_uncached", "as_reference"]].min().to_dict())  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)


def without_wrong_answers(frame, reference):
    """The frame with the cells whose answer is wrong with a cache as failed ones, kind `invalid output`: their times
    are of something else, and no table, decision or claim may count them.
    """
    wrong = {(row["cell_id"], row["session"]): row for row in _judged(frame, reference) if row["verdict"] == LOST}
    hit = pd.Series([key in wrong for key in zip(frame["cell_id"].astype(str), frame["session"].astype(int))], frame.index)
    if not hit.any():
        return frame
    why = [_sentence(wrong[key]) for key in zip(frame.loc[hit, "cell_id"].astype(str), frame.loc[hit, "session"].astype(int))]
    found = frame.astype({"status": object, "reason": object, "failure": object, "failure_kind": object})
    found.loc[hit, "status"], found.loc[hit, "reason"] = "failed", why
    kind = classify_failure(why[0])
    found.loc[hit, "failure"] = pd.Series([vars(kind)] * int(hit.sum()), frame.index[hit])
    return found.assign(failure_kind=found["failure_kind"].where(~hit, kind.kind))


def _sentence(row):
    return (f"invalid output: with a cache {row['as_reference']} of {row['tokens']} tokens are the reference's, and without one all. "
            f"Do not use {row['engine']} for scenario {row['scenario']}.")  # fmt: skip


def _judged(frame, reference):
    """One dict per cell with a cached answer; as_uncached and as_reference count tokens."""
    cells = cells_of(frame)
    cells = cells[cells["output_ids"].notna()]
    uncached = set(frame["cell_id"]) - set(frame.loc[frame["phase"].ne("generate") & frame["phase"].notna(), "cell_id"])
    plain = cells["cell_id"].isin(uncached)
    rows = []
    for key, part in cells[~plain].groupby(KEYS, observed=True, sort=True, dropna=False):
        beside = cells[plain & _same(cells, key)]
        truth = _first(beside, reference) or _first(part, reference)
        rows += [_row(cell, _first(beside, cell.engine), truth) for cell in part.itertuples()]
    return rows


def _same(cells, key):
    """Which cells are of this model, scenario and prompt."""
    return pd.concat([cells[name].eq(value) for name, value in zip(KEYS, key)], axis=1).all(axis=1)


def _first(cells, engine):
    """The ids of an engine's first cell, or None."""
    mine = cells.loc[cells["engine"] == engine, "output_ids"]
    return None if mine.empty else mine.iloc[0]


def _row(cell, own, truth):
    tokens = sum(map(len, cell.output_ids))
    as_own, as_truth = _shared(cell.output_ids, own), _shared(cell.output_ids, truth)
    lost = own is not None and as_truth < tokens and _shared(own, truth) == tokens
    verdict = NONE if truth is None else LOST if lost else OTHER if as_truth < tokens else SAME
    return {"cell_id": str(cell.cell_id), "session": int(cell.session), "engine": cell.engine, "model": str(cell.model),
            "scenario": str(cell.scenario), "tokens": tokens, "as_uncached": as_own, "as_reference": as_truth,
            "verdict": verdict}  # fmt: skip


def _shared(ids, others):
    """Tokens that stand at the same place in both; nan without others."""
    if others is None:
        return float("nan")
    return sum(a == b for row, other in zip(ids, others) for a, b in zip(row, other))
