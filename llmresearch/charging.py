"""Has compiling paid? Its cost in first calls, what a call saves, and after how many calls they are even."""

from dataclasses import replace
import math

import numpy as np
import pandas as pd

from .compiling import compiled_cells, most
from .frames import first_calls, steady
from .intervals import Estimate, refused
from .stats.estimates import center_of_sessions

CHARGE = ["backend", "model", "phase", "scenario", "cost_s", "cost_most_s", "saved_s", "calls", "verdict",
          "sessions"]  # fmt: skip


def charged(frame, baseline):
    """One row per label, model, phase and scenario: what compiling costs and saves, and when it has paid.

    `cost_s` (seconds per process): first calls of the phase less as many steady ones, over all scenarios that
    both ran in the session, beyond the same for the baseline: below zero where the baseline's own take more.
    `saved_s` (seconds per call): the baseline's steady median less the label's. Both are medians of sessions;
    `cost_most_s` is the costliest session's. `calls`: each session's cost over what it saves, not below zero,
    an Estimate of their centre; `verdict`: pays, never, or undecided. A call is one phase of one request: a
    prefill, or all steps of a decode.
    """
    extra, medians = _extra(frame), _medians(frame)
    rows = []
    for (backend, model, phase, scenario), own in medians.groupby(["backend", "model", "phase", "scenario"]):
        key = (baseline, model, phase, scenario)
        if backend == baseline or key not in medians.index.droplevel("session"):
            continue
        base = medians.loc[key]
        own = own.droplevel(["backend", "model", "phase", "scenario"])
        beyond = extra.loc[(backend, model, phase)] - extra.loc[(baseline, model, phase)]
        cost = beyond.dropna().groupby("session").sum()
        found = pd.DataFrame({"cost": cost, "base": base, "own": own}).dropna()
        name = {"backend": backend, "model": model, "phase": phase, "scenario": scenario}
        rows.append(name | _break_even(found))
    return pd.DataFrame(rows, columns=CHARGE)


def promised(table, cells, baseline, candidate):
    """The rows of `charged` of one label, in the plan's order, with those that nothing was measured of.

    A row for each model, phase and scenario that the plan has for both labels; where `charged` has none, its
    `calls` are nan: a line drawn before measuring stays on the page.
    """
    names = ["model", "phase", "scenario"]
    own, base = (_planned(cells, label) for label in (candidate, baseline))
    known = {tuple(row[name] for name in names): row
             for row in table[table["backend"] == candidate].to_dict("records")}  # fmt: skip
    nothing = {"backend": candidate, "calls": refused("not measured with compiled graphs", unit="session")}
    rows = [known.get(key, dict(zip(names, key)) | nothing) for key in own if key in base]
    return pd.DataFrame(rows, columns=CHARGE)


def _planned(cells, label):
    """(model, phase, scenario) that the plan asks of a label, each once."""
    asked = [(c.model, phase, c.scenario) for c in cells if c.backend == label for phase in c.phases]
    return dict.fromkeys(asked)


def _keys(frame):
    return frame.astype({name: str for name in ("backend", "model", "phase", "scenario")})


def _medians(frame):
    """Steady median seconds by backend, model, phase, scenario and session; prompts together."""
    keys = ["backend", "model", "phase", "scenario", "session"]
    return _keys(steady(frame)).groupby(keys)["seconds"].median()


def _extra(frame):
    """Seconds by which first calls exceed steady ones, by backend, model, phase, session and scenario."""
    keys = ["backend", "model", "phase", "session", "scenario"]
    first = _keys(first_calls(frame)).groupby(keys)["seconds"].agg(["sum", "size"])
    warm = _keys(steady(frame)).groupby(keys)["seconds"].median()
    return (first["sum"] - first["size"] * warm).dropna()


def _break_even(found):
    """cost, saved, calls and verdict from a frame with cost, base and own, one row a session."""
    n, saved = len(found), found["base"] - found["own"]
    row = {"cost_s": float(found["cost"].median()), "cost_most_s": float(found["cost"].max()),
           "saved_s": float(saved.median()), "sessions": n}  # fmt: skip
    middle = max(0.0, row["cost_s"] / row["saved_s"]) if row["saved_s"] > 0 else math.inf if n else math.nan
    if n < 2:
        reason = "one session: no replication, so no interval"
        return row | {"calls": refused(reason, n, middle, "session"), "verdict": "undecided"}
    speed = center_of_sessions((found["base"] / found["own"]).to_numpy())
    if speed.high < 1:
        nothing = Estimate(math.inf, math.inf, math.inf, n, "session", "saves nothing per call")
        return row | {"calls": nothing, "verdict": "never"}
    if not speed.low > 1 or (saved <= 0).any():
        unsure = refused("it is not sure that a call saves time", n, middle, "session")
        return row | {"calls": unsure, "verdict": "undecided"}
    calls = center_of_sessions((found["cost"] / saved).to_numpy())
    edges = {edge: np.maximum(0.0, getattr(calls, edge)) for edge in ("value", "low", "high")}
    return row | {"calls": replace(calls, **edges), "verdict": "pays"}


def cold_starts(frame):
    """One row per label, model, scenario, phase and state of the kernel caches: the cost of a first call.

    `caches`: on, off, or none where nothing is compiled. `first_call` and `steady` are medians in seconds
    over `processes`, `slowest` is the longest first call: of a shape that came first in its process, or of a
    process that found no kernels. Hits and misses of the kernel caches are the most of any of them.
    """
    cells = compiled_cells(frame)
    words = {True: "on", False: "off", None: "none"}
    told = cells.assign(caches=cells["caches"].map(lambda value: words[value]))
    told = told[["cell_id", "session", "caches", "kernel_cache_hits", "kernel_cache_misses"]]
    keys = ["backend", "model", "scenario", "phase", "caches"]
    first = _keys(first_calls(frame)).merge(told, on=["cell_id", "session"])
    warm = _keys(steady(frame)).merge(told, on=["cell_id", "session"]).groupby(keys)["seconds"].median()
    groups = first.groupby(keys)
    table = groups["seconds"].agg(first_call="median", slowest="max", processes="size")
    table = table.assign(steady=warm, ratio=table["first_call"] / warm)
    for name in ("kernel_cache_hits", "kernel_cache_misses"):
        table[name] = groups[name].agg(most)
    return table.reset_index()
