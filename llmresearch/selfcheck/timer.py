"""T1: does the clock report the length of a call whose length is known?

A call spins to a deadline and notes, between its own two readings, how long it took. Each length runs in a fresh
process, in random order. What the harness adds must stay below what a bare pair of readings adds plus 150 ns (the two take turns, and the interval of their difference decides); after
the measured cost of an empty call is taken off, the median's bias must be nothing, to the clock's step at both readings, up to 100 µs,
and at most 0.1 % from 1 ms on.
"""

import json
import random
import statistics
import subprocess
import sys
import time

from ..intervals import median_interval
from ..timing import calibrate, sample

LENGTHS_S = (0.0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
ROOM_S = 150e-9
RELATIVE = 1e-3
clock = time.perf_counter_ns


def run(seconds=LENGTHS_S, calls=400, seed=1):
    """The check's result: a row per length with the added time, the bare pair's, and the bias left, in seconds."""
    order = random.Random(seed).sample(list(seconds), len(seconds))
    found = {length: _in_a_process(length, min(calls, round(2 / max(length, 1e-4)))) for length in order}
    rows = [_row(length, *found[length], found[min(seconds)][0]) for length in sorted(seconds)]
    return {"name": "timer", "passed": all(row["passed"] for row in rows), "rows": rows, "clock": calibrate()}


def _in_a_process(length, calls):
    done = subprocess.run([sys.executable, "-m", __name__, str(round(length * 1e9)), str(calls)], capture_output=True, check=True)
    return json.loads(done.stdout)


def _row(length, ours, bare, empty):
    """What was added to the known length, by us and by a bare pair of readings; then without an empty call's cost."""
    beyond = median_interval([a - b for a, b in zip(ours, bare)])
    nothing = statistics.median(empty)
    bias = median_interval([x - nothing for x in ours])
    step = calibrate(200)["step_s"] * 1e9
    room = 2 * step if length <= 1e-4 else max(2 * step, RELATIVE * length * 1e9)  # each reading is right to a step
    cheap = beyond.value <= ROOM_S * 1e9 or beyond.low <= ROOM_S * 1e9
    unbiased = abs(bias.value) <= room or bias.low <= 0 <= bias.high
    return {"length_s": length, "added_s": statistics.median(ours) / 1e9, "bare_pair_s": statistics.median(bare) / 1e9,
            "beyond_bare_s": [beyond.value / 1e9, beyond.low / 1e9, beyond.high / 1e9], "bias_s": bias.value / 1e9,
            "passed": bool(cheap and unbiased)}  # fmt: skip


def spinner(nanoseconds):
    """(call, true lengths): a call that takes as long as it says."""
    lengths = []

    def spin():
        start = now = clock()
        while now - start < nanoseconds:
            now = clock()
        lengths.append(now - start)
        return 1

    return spin, lengths


def _added(nanoseconds, calls):
    """[ours, bare]: nanoseconds reported beyond the true length, per call, the two in turn."""
    spin, lengths = spinner(nanoseconds)
    reported = [measure(spin) for _ in range(calls) for measure in (ours, bare)]
    beyond = [r - true for r, true in zip(reported, lengths)]
    return [beyond[0::2], beyond[1::2]]


def ours(call):
    start, end, _ = sample(call, clock, _settle)
    return end - start


def bare(call):
    start = clock()
    call()
    return clock() - start


def _settle():
    pass


if __name__ == "__main__":
    asked, count = int(sys.argv[1]), int(sys.argv[2])
    _added(asked, 20)
    print(json.dumps(_added(asked, count)))
