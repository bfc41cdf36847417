"""How much faster: engines against one reference, and precisions of one engine against its widest."""

import pandas as pd

from ..frames import steady
from ..stats.comparisons import compare
from ..stats.corrections import at_tested_levels
from .artefacts import labels
from .names import with_engine

COLUMNS = ["speedup", "low", "high", "verdict", "p_adjusted", "seconds", "baseline_seconds", "n", "n_needed",
           "p", "blocks", "method"]  # fmt: skip
ALPHA = 0.05


def speedups(frame, reference, by=("model", "phase"), engines=None, level=1 - ALPHA):
    """One row per group of `by` and engine: how many times as fast as `reference`, with its interval and a verdict.

    Sessions are the unit; each cell is paired with the reference's of the same session and scenario, and the logarithms
    of the ratios are averaged over scenarios, so that no rate of one scenario is added to that of another. Holm's
    correction runs over the whole table. Empty where the reference or everything else was not measured.
    """
    used = with_engine(steady(frame))
    used = used if engines is None else used[used["engine"].isin([reference, *engines])]
    columns = [*by, "engine", "baseline", *COLUMNS]
    if reference not in set(used["engine"]) or used["engine"].nunique() < 2:
        return pd.DataFrame(columns=columns)
    found = compare(used, reference, by=list(by), between="engine", level=level)
    found["speedup"], found["low"], found["high"] = 1 / found["ratio"], 1 / found["high"], 1 / found["low"]
    return found[found["blocks"] > 0].reindex(columns=columns).reset_index(drop=True)


def as_ratios(table):
    """The table of `speedups` with `ratio`, low and high of seconds over the reference's: what a forest is drawn of."""
    return table.assign(ratio=1 / table["speedup"], low=1 / table["high"], high=1 / table["low"])


def as_tested(frame, reference, by=("model", "phase")):
    """`speedups` with every interval at the level at which Holm's correction tests its row (`at_tested_levels`)."""
    return at_tested_levels(lambda level: speedups(frame, reference, by, level=level), ALPHA)


def precisions(frame):
    """One row per model, phase and engine with several precisions: fp16 or int8 against fp32 of the same engine.

    Adds `evidence`, the precision that the engine itself reports, and `labelled`: a narrow cell whose evidence does not
    agree is no measurement of that precision.
    """
    tables, wide = [], with_engine(steady(frame))
    for (backend, device), part in wide.groupby(["backend", "device"], observed=True):
        if part["dtype"].nunique() > 1 and (part["dtype"] == "fp32").any():
            tables.append(speedups(part, f"{backend} {device} fp32"))
    tables = [table for table in tables if len(table)]
    if not tables:
        return pd.DataFrame(columns=["model", "phase", "engine", "baseline", "evidence", "labelled", *COLUMNS])
    said = labels(frame).drop_duplicates("engine").set_index("engine")
    found = pd.concat(tables, ignore_index=True)
    found.insert(4, "evidence", found["engine"].map(said["evidence"]))
    found.insert(5, "labelled", found["engine"].map(said["agrees"]))
    return found
