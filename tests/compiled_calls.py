"""Calls of an eager and a compiled label whose times and evidence are known."""

import pandas as pd

COMPILED = {"mode": "default", "dynamic": "prompt", "padding": 1, "cudagraphs": None, "graphs": 2, "graphs_in_cell": 2,
            "graph_breaks": 0, "recompiles": 1, "recompile_reasons": ["size mismatch"], "compile_seconds": 3.0,
            "recompile_limit_reached": False, "fell_back_to_eager": False, "caches": True}  # fmt: skip


def calls(backend, session, times, first, told=None, scenario="short", status="ok", reason=None, phase="prefill"):
    """Rows as `read` gives them: one first call, then samples of the given seconds."""
    cell = {"cell_id": f"{backend}/{scenario}", "session": session, "backend": backend, "model": "m", "scenario": scenario,
            "batch": 1, "prompt_tokens": 8, "padded_tokens": None, "new_tokens": 4, "status": status, "reason": reason,
            "evidence": {"compile": told} if told else {}, "prompt": 0, "concurrency": 1}  # fmt: skip
    timed = [("first", first), *(("sample", t) for t in times)]
    return pd.DataFrame([cell | {"phase": phase, "kind": kind, "index": i, "seconds": t, "tokens": 8, "contaminated": None}
                         for i, (kind, t) in enumerate(timed)])  # fmt: skip


def sessions():
    """Three sessions of an eager label at four seconds a call and a compiled one at two, with their first calls."""
    parts = []
    for session, factor in enumerate((1.0, 1.02, 0.98), start=1):
        parts += [calls("hf", session, [4.0 * factor] * 3, 5.0 * factor), calls("hf-compile", session, [2.0] * 3, 23.0, COMPILED)]
    return pd.concat(parts, ignore_index=True)
