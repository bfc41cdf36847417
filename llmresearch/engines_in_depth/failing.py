"""Failures as data: classes with counts, and for each the smallest plan that shows it again."""

import json
from dataclasses import fields

import pandas as pd

from ..failures import classify_failure
from .names import cells_of

COLUMNS = ["engine", "phases", "status", "kind", "cause", "cells", "share", "models", "scenarios", "example", "remedy", "reproducer"]
AS_DEFAULT = {"concurrency": 1, "batch": 1}
SCENARIO = ("prompt_tokens", "new_tokens", "batch", "concurrency")
OF_THE_CELL = ("repetitions", "warmup", "seed", "stop", "within_percent", "within_seconds", "timeout_s", "threads", "score",
               "energy_window_s")  # fmt: skip


def failure_classes(frame, cells):
    """One row per engine, phases, kind and cause of what did not run: how many cells of all such, one text, one remedy.

    `reproducer` is a plan as JSON, which is YAML too: put it into a file for `llmresearch measure FILE --raw again.jsonl`.
    The sum of `cells` is the number of cells without a measurement: none is lost.
    """
    plan = {(c.cell_id, c.session): c for c in cells}
    broken = cells_of(frame[frame["status"] != "ok"], None)
    if broken.empty:
        return pd.DataFrame(columns=COLUMNS)
    broken = broken.assign(phases=[_phases(plan.get(key)) for key in zip(broken["cell_id"], broken["session"])])
    found = [failure or {} for failure in broken["failure"]]
    broken["kind"] = [f.get("kind", "unknown") for f in found]
    broken["cause"] = ["refused" if s == "refused" else f.get("cause", "unknown") for s, f in zip(broken["status"], found)]
    broken["remedy"] = [f.get("remedy") for f in found]
    planned = pd.Series([(_engine(c), _phases(c)) for c in cells]).value_counts()
    keys = ["engine", "phases", "status", "kind", "cause", "reason"]
    keys = keys if (broken["status"] == "refused").all() else keys[:-1]
    groups = broken.groupby(keys, observed=True, sort=True)
    return pd.DataFrame([_class(part, plan, planned) for _, part in groups], columns=COLUMNS)


def _class(part, plan, planned):
    first = part.iloc[0]
    cell = plan.get((first["cell_id"], first["session"]))
    return {name: str(first[name]) for name in ("engine", "phases", "status", "kind", "cause")} | {
        "cells": len(part), "share": len(part) / max(1, int(planned.get((first["engine"], first["phases"]), len(part)))),
        "models": part["model"].nunique(), "scenarios": part["scenario"].nunique(), "example": first["reason"],
        "remedy": _remedy(first),
        "reproducer": json.dumps(reproducer(cell)) if cell is not None else None,
    }  # fmt: skip


def _remedy(cell):
    """What to do: a refusal's own text says what is missing."""
    if cell["status"] == "refused":
        return "Provide what the text says is missing, or drop the engine."
    return cell["remedy"] or classify_failure(cell["reason"]).remedy


def reproducer(cell):
    """The parameters of a plan with this Cell alone, in one session: `plan` gives a cell of the same cell_id."""
    name, _, label = cell.backend.partition(":")
    backend = {"name": name, "device": cell.device, "dtypes": [cell.dtype]} | cell.options
    backend |= {key: value for key, value in (("label", label), ("python", cell.python)) if value}
    known = {f.name: getattr(cell, f.name) for f in fields(cell)}
    scenario = {"name": cell.scenario} | {key: known[key] for key in SCENARIO if known[key] != AS_DEFAULT.get(key, ())}
    if cell.text is not None:
        scenario = {key: value for key, value in scenario.items() if value is not None} | {"prompts": [cell.text]}
    elif cell.prompt:
        scenario["prompts"] = cell.prompt + 1
    model = {"name": cell.model} | cell.source if cell.source else cell.model
    return {"study": cell.study, "backends": [backend], "models": [model], "scenarios": [scenario],
            "phases": list(cell.phases)} | {key: known[key] for key in OF_THE_CELL if known[key] is not None}  # fmt: skip


def _engine(cell):
    return f"{cell.backend} {cell.device} {cell.dtype}"


def _phases(cell):
    return " ".join(cell.phases) if cell is not None else "not in this plan"
