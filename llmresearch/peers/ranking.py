"""Which engine to take: who may be ranked, who comes first, and whether that is sure."""

import math

import numpy as np
import pandas as pd

from ..frames import steady
from ..intervals import Estimate
from .pairs import grid, pairs

MODES = ("single", "batch", "dual")
LEAST = 7  # calls that a rank rests on, as in the study's own ranking
GOALS = {
    "lowest latency": "single requests: seconds from prompt to last token",
    "best cost": "every kind of scenario that two engines completed: dollars per token, which at one price per hour goes as seconds per token",
    "balanced": "as best cost, among engines that choose what the reference chooses",
}


def ranking(frame, labelled, fidelity=None, phase="e2e", modes=("single",)):
    """One row per model and engine: rank by the geometric mean of its cells' medians, or why it has none.

    Ranked is who ran every planned cell, has 7 undisturbed calls or more, and is what its label says.
    seconds: geometric mean over the blocks that all ranked engines of the model have. wins: how many others
    it is faster than, by an interval that holds for all pairs. first_in: in how many of the `sessions` that
    all ranked engines measured it came first. agreement: from `fidelity`.
    """
    asked = frame[frame["mode"].isin(modes)]
    rows = []
    for model, part in asked.groupby("model", observed=True, sort=True):
        engines = part.groupby("engine", sort=True)
        found = [_eligible(each, labelled, str(model), str(name), phase) for name, each in engines]
        rows += _ranked(found, steady(part[part["phase"] == phase]))
    columns = ["model", "engine", "status", "n", "rank", "seconds", "wins", "first_in", "sessions"]
    out = pd.DataFrame(rows, columns=columns)
    if fidelity is None:
        return out
    return out.merge(fidelity[["model", "engine", "agreement"]].astype({"model": str}), on=["model", "engine"], how="left")


def _eligible(part, labelled, model, engine, phase):
    """Status ok, or the sentence that keeps this engine out."""
    cells = part.drop_duplicates(["cell_id", "session"])
    lost = cells[cells["status"].astype(str) != "ok"]
    calls = steady(part[part["phase"] == phase])
    is_it = labelled[(labelled["engine"] == engine) & (labelled["model"].astype(str) == model)]["verdict"]
    status = "ok"
    if len(lost):
        status = f"{len(lost)} of {len(cells)} cells {lost['status'].astype(str).iloc[0]}"
    elif len(calls) < LEAST:
        status = f"{len(calls)} undisturbed calls, {LEAST} are needed"
    elif set(is_it) - {"as labelled"}:
        status = f"label: {is_it.iloc[0]}"
    return {"model": model, "engine": engine, "status": status, "n": len(calls)}


def _ranked(rows, calls):
    """The rows with rank and seconds where status is ok, best first."""
    calls = calls[calls["engine"].isin([row["engine"] for row in rows if row["status"] == "ok"])]
    seconds, table, first = _seconds(calls), pairs(calls), _first_in(calls)
    order = sorted(seconds, key=seconds.get)
    for row in rows:
        name = row["engine"]
        row |= dict.fromkeys(("rank", "seconds", "wins", "first_in", "sessions"), math.nan)
        if name in seconds:
            row |= {"rank": order.index(name) + 1, "seconds": seconds[name], "wins": _wins(table, name),
                    "first_in": int((first == name).sum()), "sessions": len(first)}  # fmt: skip
    return sorted(rows, key=lambda row: (math.isnan(row["rank"]), row["rank"], row["engine"]))


def _first_in(calls):
    """The engine that came first in each session, by the blocks that all engines measured in it."""
    if calls.empty:
        return pd.Series(dtype=str)
    means = grid(calls).dropna().groupby("session").mean()
    return means.idxmin(axis=1) if len(means) else pd.Series(dtype=str)


def _seconds(calls):
    """{engine: geometric mean of its cells' medians over the blocks that all engines measured}."""
    if calls.empty:
        return {}
    cells = calls.groupby(["scenario", "prompt", "engine"], observed=True)["seconds"].median().unstack("engine").dropna()
    return {} if cells.empty else {str(k): float(v) for k, v in np.exp(np.log(cells).mean()).items()}


def _wins(table, engine):
    """How many others this engine is surely faster than: their intervals, for all pairs, lie beyond 1."""
    as_b = (table["b"] == engine) & (table["high"] < 1)
    as_a = (table["a"] == engine) & (table["low"] > 1)
    return int((as_b | as_a).sum())


def recommendations(frame, labelled, fidelity, gate=0.95, phase="e2e"):
    """One row per model and goal: the engine that comes first, the next, and the ratio between them (an Estimate).

    choice: the engine where it is surely faster than every other that may be ranked, else "no winner". The
    interval of the ratio holds for all their pairs at once, and so decides the choice as well. Balanced takes
    engines whose agreement with the reference along forced ids is `gate` or more, the reference among them. A kind of
    scenario that fewer than two engines completed compares nothing: `why` names it.
    """
    rows = []
    for goal in GOALS:
        for model, part in frame.groupby("model", observed=True, sort=True):
            rows.append({"model": str(model), "goal": goal} | _advised(part, goal, labelled, fidelity, gate, phase))
    found = pd.DataFrame(rows, columns=["model", "goal", "choice", "first", "next", "engines", "ratio", "why"])
    names = {name: pd.Series([row[name] for row in rows], dtype=object) for name in ("first", "next")}
    return found.assign(**names)  # as objects: None stays None beside names, and is no nan


def _advised(frame, goal, labelled, fidelity, gate, phase):
    """What `recommendations` says of one model and goal."""
    modes, left = (MODES[:1], ()) if goal == "lowest latency" else _completed(frame)
    able = ranking(frame, labelled, fidelity, phase, modes)
    able = able[able["status"] == "ok"]
    if goal == "balanced":
        able = able[able["agreement"] >= gate]
    calls = frame[frame["mode"].isin(modes) & (frame["phase"] == phase) & frame["engine"].isin(able["engine"])]
    found = _first(able, calls, "cheaper" if goal == "best cost" else "faster")
    without = f" (without {' and '.join(left)} requests, which fewer than two engines completed)" if left else ""
    return found | {"why": found["why"] + without}


def _completed(frame):
    """(kinds of scenario of which two engines or more completed every cell, planned kinds of which fewer did); all, where none is."""
    cells = frame.drop_duplicates(["cell_id", "session"])
    whole = (cells["status"].astype(str) == "ok").groupby([cells["mode"].astype(str), cells["engine"]]).all()
    engines = whole.groupby(level=0).sum()
    kept = tuple(mode for mode in MODES if engines.get(mode, 0) > 1)
    return (kept, tuple(mode for mode in MODES if engines.get(mode, 2) < 2)) if kept else (MODES, ())


def in_short(advice, number):
    """A line per model and goal: the choice and its lead, or that there is no winner and why.

    `advice` is what `recommendations` gives; `number` writes an Estimate, as a report's own does.
    """
    return "".join(f"- {row.goal}, {row.model}: {_told(row, number)}.\n" for row in advice.itertuples())


def _told(row, number):
    if row.next is None:
        return f"**{row.choice}**, {row.why}"
    what, label = ("cost", "derived") if row.goal == "best cost" else ("time", "measured")
    lead = number(row.ratio, label=label)
    return f"**{row.choice}**, {row.why}: {what} of {row.first} over that of {row.next}, {lead}"


def _first(able, calls, better):
    """Who comes first among the engines that may be ranked, the next one, and how sure it is that it is `better`."""
    nothing = Estimate(math.nan, math.nan, math.nan, 0, "session", "fewer than two engines may be ranked")
    found = {"choice": "no winner", "first": None, "next": None, "engines": len(able), "ratio": nothing}
    if len(able) < 2:
        return found | {"first": able["engine"].iloc[0] if len(able) else None, "why": nothing.method}
    order = able.sort_values("seconds")["engine"].tolist()
    table = pairs(calls)
    ratio, sure = _between(table, *order[:2]), _wins(table, order[0]) == len(order) - 1
    why = f"{'surely' if sure else 'not surely'} {better} than every other"
    return found | {"choice": order[0] if sure else "no winner", "first": order[0], "next": order[1], "ratio": ratio, "why": why}


def _between(table, first, second):
    """Seconds of `first` over those of `second` as an Estimate, whichever way round the table has them."""
    row = table[table["a"].isin([first, second]) & table["b"].isin([first, second])].iloc[0]
    value, low, high = row["ratio"], row["low"], row["high"]
    if row["a"] == first:
        value, low, high = 1 / value, 1 / high, 1 / low
    return Estimate(float(value), float(low), float(high), int(row["n"]), "session", row["method"])
