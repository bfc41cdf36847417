"""A7: does each way to break land in its class, and does every planned cell come back?

The fake backend breaks on purpose: with the messages of real engines, by hanging, by dying, by refusing. Beside them one
cell that works. Each becomes one record, and the counts agree with the plan.
"""

import tempfile
from pathlib import Path

from .. import records
from ..frames import check_counts, coverage, read
from ..matrix import plan
from ..runner import measure

TIMEOUT_S = 1.5
# label: (options that break it, status, kind of failure, its cause; a refusal's cause is its own sentence)
FAULTS = {
    "works": ({}, "ok", None, None),
    "memory": ({"fail": "decode", "message": "CUDA out of memory. Tried to allocate 2.00 GiB"}, "failed", "hard", "out of memory"),
    "library": ({"fail": "prefill", "message": "libcudart.so.12: cannot open shared object file: No such file or directory"},
                "failed", "hard", "missing library"),
    "output": ({"fail": "decode", "message": "logits contain NaN or inf"}, "failed", "invalid output", "invalid output"),
    "overload": ({"fail": "decode", "message": "HTTP 503 Service Unavailable: server overloaded"}, "failed", "soft",
                 "server overloaded"),
    "riddle": ({"fail": "prefill", "message": "flux capacitor at 87 mph"}, "failed", "unknown", "unknown"),
    "hang": ({"hang": "decode"}, "timeout", "timeout", "time-out"),
    "death": ({"die": "decode"}, "failed", "hard", "killed"),
    "refusal": ({"refuse": "needs a CUDA device; this machine has none"}, "refused", "refused",
                "needs a CUDA device; this machine has none"),
}  # fmt: skip
MISSING = ("nothing", None, None)


def run(faults=FAULTS):
    """The check's result: faults in their class, faults at all, and whether counts and coverage agree with the plan."""
    with tempfile.TemporaryDirectory() as folder:
        cells, raw = plan(_params(faults)), Path(folder) / "failures.jsonl"
        measure(cells, raw, progress=False)
        found, frame = {line["backend"]: _found(line) for line in records.cells(raw)}, read(raw)
    wrong = [f"{label}: {found.get(f'fake:{label}', MISSING)}, not {tuple(right)}" for label, (_, *right) in faults.items()
             if found.get(f"fake:{label}", MISSING) != tuple(right)]  # fmt: skip
    counted = bool(check_counts(frame, cells)["agrees"].all()) and not coverage(frame, cells)["missing"].any()
    return {"name": "failures", "passed": not wrong and counted, "faults": len(faults), "in_their_class": len(faults) - len(wrong),
            "counts_agree": counted, "why": "; ".join(wrong) or (None if counted else "counts differ from the plan")}  # fmt: skip


def _params(faults):
    backends = [{"name": "fake", "label": label} | options for label, (options, *_) in faults.items()]
    return {"study": "failures", "backends": backends, "models": ["fake-1m"], "phases": ["prefill", "decode"],
            "repetitions": 3, "warmup": 1, "timeout_s": TIMEOUT_S}  # fmt: skip


def _found(line):
    failure = line["failure"] or {}
    return line["status"], failure.get("kind"), failure.get("cause")
