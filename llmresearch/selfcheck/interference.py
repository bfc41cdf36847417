"""T3: does the ledger see another program, and only then?

Short runs in fresh processes, in random order; beside half of them one spinning process per core. Every sample of those
must be flagged, and no sample of the quiet ones. On a machine that is not quiet to begin with the false flags
cannot be judged, and the check says so.
"""

import random
import subprocess
import sys
import time

from .. import interference
from ..timing import available_cores
from ..worker_process import WorkerProcess
from .footprint import spinning_cell

RECALL, FALSE_FLAGS = 0.99, 0.01
SPIN = "while True: pass"


def run(runs=8, seconds=1.0, seed=1):
    """The check's result: share of samples flagged beside a spinner, and in quiet runs."""
    ambient = _ambient()
    beside = [i % 2 == 0 for i in range(runs)]
    random.Random(seed).shuffle(beside)
    flags = {True: [], False: []}
    for disturbed in beside:
        flags[disturbed] += _run(disturbed, seconds)
    recall, false = (sum(flags[k]) / max(len(flags[k]), 1) for k in (True, False))
    quiet = ambient <= interference.BUSY
    return {"name": "interference", "passed": recall >= RECALL and quiet and false <= FALSE_FLAGS, "recall": recall,
            "false_flags": false, "ambient_cores": ambient, "samples": len(flags[True]) + len(flags[False]),
            "why": None if quiet else f"other processes use {ambient:.2f} cores: false flags cannot be judged"}  # fmt: skip


def _ambient(seconds=1.0):
    """Cores that others use before the check begins."""
    before = interference.snapshot()
    time.sleep(seconds)
    return interference.between(before, interference.snapshot(), available_cores())[0]["others_cores"]


def _run(disturbed, seconds):
    """One flag per sample of one fresh process."""
    spinners = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(available_cores() if disturbed else 0)]
    worker = WorkerProcess([(spinning_cell(round(seconds / 0.02), 0.02), [[1]], None)], None)
    try:
        time.sleep(0.2 if disturbed else 0)
        (calls, _), = worker.results()
    finally:
        worker.end()
        for spinner in spinners:
            spinner.kill()
            spinner.wait()
    return [call["contaminated"] is not None for call in calls if call["kind"] == "sample"]
