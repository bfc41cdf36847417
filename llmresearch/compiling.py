"""Does compiling help? What was really compiled, its speed by phase and shape, and which setting does it."""

import math

import numpy as np
import pandas as pd

from .frames import steady
from .intervals import Estimate, refused
from .quality.tables import fidelity
from .stats.comparisons import compare
from .stats.estimates import center_of_sessions

SHAPE = ["scenario", "batch", "prompt_tokens", "padded_tokens", "new_tokens"]
COUNTS = ["graphs", "graphs_in_cell", "graph_breaks", "recompiles", "compile_seconds", "kernel_cache_hits",
          "kernel_cache_misses", "cudagraphs_recorded", "cudagraph_skips"]  # fmt: skip
FLAGS = ["recompile_limit_reached", "fell_back_to_eager"]
REASONS = ["graph_break_reasons", "recompile_reasons", "limit", "cudagraph_skip_reasons"]
FACTORS = ["mode", "dynamic", "padding", "cudagraphs"]
EFFECT = ["factor", "setting", "against", "model", "phase", "scenario", "ratio", "low", "high", "pairs",
          "sessions", "method"]  # fmt: skip
NOT_COMPILED, COMPILED, FELL_BACK, NOTHING = "eager", "compiled", "fell back to eager", "not measured"


def compiled_cells(frame):
    """One row per cell and session: its columns, and what its evidence says of torch.compile (None: nothing).

    Settings that were asked (`mode`, `dynamic`, `padding`, `cudagraphs`, `capacity`, `caches`) and counts
    stand in columns of their own; `found` is eager, compiled, fell back to eager, or not measured.
    """
    cells = frame.drop_duplicates(["cell_id", "session"]).reset_index(drop=True)
    told = [(evidence or {}).get("compile") or {} for evidence in cells["evidence"]]
    names = [*FACTORS, "capacity", "caches", *COUNTS, *FLAGS, *REASONS]
    columns = {name: pd.Series([one.get(name) for one in told], cells.index, dtype=object) for name in names}
    found = [_found(status, one) for status, one in zip(cells["status"].astype(str), told)]
    return cells.assign(**columns, found=found)


def _found(status, told):
    """What ran, by the ledger of torch.compile and never by the label."""
    if status != "ok":
        return NOTHING
    if not told.get("graphs"):
        return NOT_COMPILED
    return FELL_BACK if told.get("fell_back_to_eager") else COMPILED


def labels(frame):
    """One row per backend's label and model: what its cells really ran, and may it be called compiled.

    `may be called compiled` is yes where every measured cell has graphs and none fell back, else no, with the
    reasons.
    """
    rows = []
    groups = compiled_cells(frame).groupby(["backend", "model"], observed=True, sort=True)
    for (backend, model), part in groups:
        counts = part["found"].value_counts()
        ran = counts.drop(NOTHING, errors="ignore")
        fine = len(ran) and set(ran.index) == {COMPILED}
        rows.append({
            "backend": backend, "model": model, "cells": len(part),
            **{name: int(counts.get(name, 0)) for name in (COMPILED, FELL_BACK, NOT_COMPILED, NOTHING)},
            "most graphs": most(part["graphs"]),
            "may be called compiled": "yes" if fine else NOTHING if not len(ran) else "no",
            "why": _why(part, ran),
        })  # fmt: skip
    return pd.DataFrame(rows, columns=None if rows else ["backend", "model", "may be called compiled"])


def most(values):
    """The largest known value as an int; None where nothing is known."""
    known = pd.to_numeric(values).dropna()
    return int(known.max()) if len(known) else None


def _why(part, ran):
    """Why a label is what it is, in a few words."""
    if not len(ran):
        return "; ".join(sorted(set(part["reason"].dropna().astype(str)))) or "no cell ran"
    if FELL_BACK in ran.index:
        return "a recompile limit was reached: later shapes ran eagerly"
    return "graphs were counted by the compiler" if COMPILED in ran.index else "no evidence of a graph"


def ledger(frame):
    """One row per compiled label, model and shape: graphs, breaks, recompiles, limits and time.

    Counts are the most of any session, flags are true where they were in any; seconds are the median of the
    sessions. `graphs_in_cell` 0 with `graphs` above 0: a cell of the same process had made them. Reasons are
    each given once.
    """
    cells = compiled_cells(frame)
    cells = cells[cells["graphs"].notna()]
    rows = []
    for key, part in cells.groupby(["backend", "model", *SHAPE], observed=True, sort=True, dropna=False):
        rows.append({
            **dict(zip(["backend", "model", *SHAPE], key)), "sessions": part["session"].nunique(),
            **{name: most(part[name]) for name in COUNTS if name != "compile_seconds"},
            **{name: bool(part[name].fillna(False).astype(bool).any()) for name in FLAGS},
            "compile_seconds": float(pd.to_numeric(part["compile_seconds"]).median()), "why": _reasons(part),
        })  # fmt: skip
    return pd.DataFrame(rows, columns=None if rows else ["backend", "model", *SHAPE])


SHOWN = ["backend", "model", "scenario", "prompt_tokens", "padded_tokens", "sessions", "graphs",
         "graph_breaks", "recompiles", *FLAGS, "cudagraphs_recorded", "cudagraph_skips", "compile_seconds",
         "why"]  # fmt: skip
"""Columns of the ledger that a page has room for."""


def short_ledger(table):
    """The ledger's columns for a page, without counts that no label has (CUDA graphs, on a CPU); `compiling`
    is its compile_seconds, whose unit the page names.
    """
    never = {name for name in COUNTS if name in table and table[name].isna().all()}
    kept = table[[name for name in SHOWN if name in table and name not in never]]
    return kept.rename(columns={"compile_seconds": "compiling"})


def counters(frame):
    """One mapping per cell and session whose engine told of torch.compile: everything that it told."""
    cells = frame.drop_duplicates(["cell_id", "session"])
    who = ["backend", "model", "scenario", "batch", "session", "status"]
    return [{name: getattr(row, name) for name in who} | row.evidence["compile"]
            for row in cells.itertuples() if (row.evidence or {}).get("compile")]  # fmt: skip


def _reasons(part):
    """Each reason of a break, recompile, limit or skip once."""
    told = [text for name in REASONS for texts in part[name].dropna() for text in texts]
    return "; ".join(dict.fromkeys(told)) or None


def proven(frame, baseline):
    """The rows of the baseline, and of cells with compiled graphs that did not fall back."""
    cells = compiled_cells(frame)
    fine = set(map(tuple, cells.loc[cells["found"] == COMPILED, ["cell_id", "session"]].to_numpy()))
    graphs = [key in fine for key in zip(frame["cell_id"], frame["session"])]
    return frame[graphs | (frame["backend"] == baseline).to_numpy()]


def by_phase(frame, baseline, shape=True):
    """`lr.compare` of every label with `baseline`, for each model, phase and (`shape`) scenario on its own.

    `ran` says what the label's cells ran, by their evidence. A model that the baseline did not run, or that
    nothing else ran, is left out: there is nothing to compare.
    """
    by = ["model", "phase", "scenario"] if shape else ["model", "phase"]
    used = steady(frame)
    base, others = used["backend"] == baseline, used["backend"] != baseline
    both = set(used.loc[base, "model"].astype(str)) & set(used.loc[others, "model"].astype(str))
    used = used[used["model"].astype(str).isin(both)]
    if used.empty:
        return pd.DataFrame(columns=[*by, "backend", "ran", "baseline", "ratio", "low", "high", "verdict"])
    found = compare(used, baseline=baseline, by=by)
    found.insert(len(by) + 1, "ran", [_ran(frame, *key) for key in zip(found["backend"], found["model"])])
    return found[found["blocks"] > 0].reset_index(drop=True)


def _ran(frame, backend, model):
    """What the measured cells of a label ran: eager, compiled, fell back to eager, or several of them."""
    found = compiled_cells(frame[(frame["backend"] == backend) & (frame["model"] == model)])["found"]
    return ", ".join(sorted(set(found) - {NOTHING})) or NOTHING


def answers(frame, baseline):
    """One row per label and model that the baseline ran too: does it choose what the baseline chooses?

    `positions` forced ids, `agreement` the share of them with the same most likely next id, `nats` the mean
    difference of the forced tokens' log probability (`quality.fidelity`).
    """
    found = fidelity(frame.assign(engine=frame["backend"]), baseline).rename(columns={"engine": "backend"})
    both = found["model"].isin(found.loc[found["backend"] == baseline, "model"])
    return found[both & (found["backend"] != baseline)].reset_index(drop=True)


def speedup(frame, baseline, candidate, model, phase):
    """The baseline's time over the candidate's in a phase, over all scenarios that both ran, as an Estimate.

    Paired by session and scenario through `compare`; nan with the reason where they cannot be compared.
    """
    used = steady(frame)
    used = used[(used["model"] == model) & (used["phase"] == phase)]
    used = used[used["backend"].isin([baseline, candidate])]
    if used["backend"].astype(str).nunique() < 2:
        return refused("one of them was not measured", unit="session")
    row = compare(used, baseline=baseline, by=["model", "phase"], correction="none").iloc[0]
    return Estimate(row["speedup"], 1 / row["high"], 1 / row["low"], int(row["n"]), "session", row["method"])


def factors(frame):
    """The factors of compiling (mode, dynamic, padding, cudagraphs) that take two settings or more.

    {factor: [settings]}, read from the evidence of cells that were compiled, the most frequent setting first.
    """
    cells = compiled_cells(frame)
    cells = cells[cells["found"] == COMPILED]
    settings = {name: cells[name].map(_word).value_counts() for name in FACTORS}
    return {name: list(counts.index) for name, counts in settings.items() if len(counts) > 1}


def _word(value):
    """A setting as a word: `as the mode says` where nothing was asked."""
    return "as the mode says" if value is None else str(value).lower()


def factorial(frame):
    """One row per factor's setting, model, phase and scenario: its time over that of `against`.

    Pairs of cells that differ in that factor only, in the same session: `ratio` is the geometric mean of
    their ratios of medians. `against` is the setting of which there are most pairs; one that stands beside no
    other, such as that of a label with defaults, has no row and hides none. Over several sessions the
    interval is that of the sessions; a single session with three pairs or more has Student's t over the pairs
    (they vary with the other factors: interactions widen it); else none.
    """
    known = factors(frame)
    cells = compiled_cells(frame)
    cells = cells[cells["found"] == COMPILED].assign(**{name: cells[name].map(_word) for name in FACTORS})
    cells["caches"] = cells["caches"].map(_word)
    calls = steady(frame).groupby(["cell_id", "session", "phase"], observed=True)
    times = calls["seconds"].median().reset_index().astype({"cell_id": str, "phase": str})
    keep = ["cell_id", "session", "model", "scenario", *_alike(cells), "caches", *FACTORS]
    points = times.merge(cells[keep].astype({"cell_id": str}), on=["cell_id", "session"])
    rows = [row for name, settings in known.items() for row in _effects(points, name, settings)]
    return pd.DataFrame(rows, columns=EFFECT)


def _alike(cells):
    """The columns, beside the settings, in which both cells of a pair must agree."""
    return [name for name in ("device", "dtype", "batch", "prompt") if name in cells]


def _effects(points, factor, settings):
    """The rows of one factor; `settings` in the order in which ties are broken."""
    others = ["session", *_alike(points), "caches", *[f for f in FACTORS if f != factor]]
    for key, part in points.groupby(["model", "phase", "scenario"], observed=True, sort=True):
        wide = part.pivot_table(index=others, columns=factor, values="seconds", observed=True)
        paired = wide[wide.notna().sum(axis=1) > 1]
        against, *rest = sorted([s for s in settings if s in wide], key=lambda s: -paired[s].count())
        for setting in rest:
            logs = np.log(wide[setting] / wide[against]).dropna()
            if len(logs):
                named = dict(zip(("model", "phase", "scenario"), map(str, key)))
                yield {"factor": factor, "setting": setting, "against": against} | named | _effect(logs)


def _effect(logs):
    """ratio, low, high, pairs, sessions and method of log-ratios indexed by session and the other factors."""
    by_session = logs.groupby(level="session").mean()
    unit, values = ("sessions", by_session) if len(by_session) > 1 else ("pairs", logs)
    known = center_of_sessions(np.exp(values.to_numpy())) if len(by_session) > 1 or len(logs) > 2 else None
    low, high = (known.low, known.high) if known else (math.nan, math.nan)
    how = f"Student t over {len(values)} {unit}" if known else "too few pairs in one session: no interval"
    return {"ratio": float(np.exp(by_session.mean())), "low": low, "high": high, "pairs": len(logs),
            "sessions": len(by_session), "method": how}  # fmt: skip
