"""A cell for a server, and its measured calls, without a worker process."""

import llmresearch as lr
from llmresearch import records, timing
from llmresearch.backends import backend
from llmresearch.matrix import plan

TEXT = " ".join(f"word{i}" for i in range(100))


def cell(
    name, url, prompt=TEXT, new_tokens=8, phases=("prefill", "decode", "e2e"), dtype="q4_k_m", **options
):
    """One cell of a backend behind HTTP, with three samples and no warm-up."""
    return plan(
        {
            "backends": [{"name": name, "url": url} | options],
            "dtypes": [dtype],
            "repetitions": 3,
            "warmup": 0,
            "phases": list(phases),
            "scenarios": [{"name": "s", "prompts": [prompt], "new_tokens": new_tokens}],
        }
    )[0]


def at_once(raw, backend, model={"name": "small", "served": True}, dtype="q4_k_m", **scenario):
    """(the cell's line, its samples): two requests at the same time, whole requests, measured by a worker."""
    asked = {
        "study": "s", "backends": [backend], "dtypes": [dtype], "models": [model], "repetitions": 3, "warmup": 0,
        "phases": ["prefill", "decode", "e2e"], "scenarios": [{"name": "dual", "concurrency": 2} | scenario],
    }  # fmt: skip
    lr.measure(lr.plan(asked), raw, progress=False)
    (found,) = records.cells(raw)
    return found, lr.samples(lr.read(raw))


def measured(cell, ids=range(100), **changes):
    """(the backend, {phase: its calls}) after a whole measurement; `changes` are set on the backend."""
    engine = backend(cell.backend)()
    assert engine.refuses(cell) is None
    try:
        engine.load(cell, None)
        vars(engine).update(changes)
        engine.start(cell, [list(ids)])
        calls = {
            phase: [c for window in timing.measure(engine, cell, phase) for c in window]
            for phase in cell.phases
        }
    finally:
        engine.close()
    return engine, calls
