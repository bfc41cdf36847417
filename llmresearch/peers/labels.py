"""Is an engine what its label says? Precision, device, compiled graphs and integer kernels, as read back."""

import pandas as pd

from ..frames import proven_dtype

WORDS = ("as labelled", "not as labelled", "unknown")


def labels(frame):
    """One row per engine and model: what the label promises, what was read back, and the verdict.

    as labelled where everything that was promised was found, in every cell; not as labelled where something
    else was found; unknown where the engine tells nothing, or did not run.
    """
    rows = []
    cells = frame.drop_duplicates(["cell_id", "session"])
    for key, part in cells.groupby(["engine", "model"], observed=True, sort=True):
        ran = part[part["status"].astype(str) == "ok"]
        found = [_promised(row) for row in ran.to_dict("records")]
        rows.append(dict(zip(["engine", "model"], key)) | {"cells": len(ran)} | _verdict(found))
    return pd.DataFrame(rows, columns=["engine", "model", "cells", "promised", "found", "verdict"])


def _promised(row):
    """[(promise, what was found or None, kept)] of one cell."""
    evidence = row["evidence"] or {}
    evidence = evidence | {"dtype": proven_dtype(evidence)}
    pairs = [(f"{word} {row[word]}", evidence.get(word), evidence.get(word) == row[word]) for word in ("dtype", "device")]
    kind = str(row["backend"]).partition(":")[0]
    if kind == "hf-compile":
        graphs = (evidence.get("compile") or {}).get("graphs")
        pairs.append(("compiled", None if graphs is None else f"{graphs} graphs", bool(graphs)))
    if kind == "ort" and row["dtype"] == "int8":
        integer = evidence.get("quantised")
        shown = None if integer is None else f"{sum(integer.values())} integer nodes"
        pairs.append(("integer kernels", shown, bool(integer)))
    if kind == "ort" and row["device"] == "cuda":
        lost = evidence.get("fell_back")
        pairs.append(("all on the GPU", None if lost is None else f"{sum(lost.values())} nodes elsewhere", lost == {}))
    return pairs


def _verdict(cells):
    """Promised, found and the verdict over all cells of an engine and model."""
    pairs = dict.fromkeys(pair for cell in cells for pair in cell)
    verdict = "as labelled" if pairs else "unknown"
    if any(found is None for _, found, _ in pairs):
        verdict = "unknown"
    if any(found is not None and not kept for _, found, kept in pairs):
        verdict = "not as labelled"
    shown = [str(found) for _, found, _ in pairs if found is not None]
    return {
        "promised": ", ".join(dict.fromkeys(promise for promise, _, _ in pairs)),
        "found": ", ".join(dict.fromkeys(shown)), "verdict": verdict,
    }  # fmt: skip
