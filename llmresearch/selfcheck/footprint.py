"""T2: how much of the machine does the harness itself use while samples are taken?

A worker measures an engine that spins on one core for a known time. Between the first and the last sample count the
parent's CPU time, and the worker's beyond its calls.
"""

import time

from ..backends.fake import NS_PER_PARAMETER, OVERHEAD_NS
from ..matrix import plan
from ..worker_process import WorkerProcess

ALLOWED_CORES = 0.005


def run(seconds=4.0, call_s=0.02):
    """The check's result: what parent and worker used besides the calls, in cores."""
    worker = WorkerProcess([(spinning_cell(round(seconds / call_s), call_s), [[1]], None)], None)
    marks, calls = [], []
    try:
        for message in worker.messages():
            if "calls" in message:
                marks.append((time.monotonic(), time.process_time()))
                calls.append(message["calls"])
            worker.pending -= "cell" in message
    finally:
        worker.end()
    return _result(marks, calls)


def spinning_cell(calls, call_s):
    """A cell of calls that each spin for `call_s`."""
    size = (call_s * 1e9 - OVERHEAD_NS) / NS_PER_PARAMETER / 1e6
    engine = {"name": "fake", "real": True, "noise": 0.0}
    scenario = {"name": "one", "prompt_tokens": 1, "new_tokens": 1}
    return plan({"study": "footprint", "backends": [engine], "models": [f"fake-{size:.0f}m"], "scenarios": [scenario],
                 "phases": ["prefill"], "repetitions": calls})[0]  # fmt: skip


def _result(marks, calls):
    (t0, cpu0), (t1, cpu1) = marks[0], marks[-1]
    parent = (cpu1 - cpu0) / (t1 - t0)
    windows = calls[1:]
    wall = sum(window[0]["telemetry"]["window_s"] for window in windows)
    used = sum(window[0]["telemetry"]["window_s"] * window[0]["telemetry"]["own_cores"] for window in windows)
    inside = sum(call["seconds"] for window in windows for call in window)
    worker = max(used - inside, 0.0) / wall
    return {"name": "footprint", "passed": parent + worker <= ALLOWED_CORES, "parent_cores": parent,
            "worker_cores": worker, "allowed_cores": ALLOWED_CORES, "samples": sum(map(len, calls))}  # fmt: skip
