"""The clock: first call, warm-up, samples, all of them kept; the stopping rule; the clock's own cost.

Inside the clock lies the work and nothing else. The device is idle when the clock starts and when it is read again.
Python's cyclic garbage collector runs before a phase and is off during it; a collection that a call provokes itself
(reference counting) is part of the call. Snapshots of the machine lie between calls.
"""

import gc
import os
import time
from dataclasses import dataclass

from . import interference
from .intervals import LOOKS_FROM, level_at_look, median_interval
from .steadiness import LEAST, steady_from
from .telemetry import Telemetry

WARMUP_LIMIT = 400  # calls after which a series that will not settle is measured as it is, and called not stationary


@dataclass
class Call:
    """One timed call; `contaminated` and `telemetry` come when its window closes."""

    phase: str
    kind: str
    index: int
    seconds: float
    device_seconds: float | None
    token_seconds: list | None
    gap_seconds: float | None
    tokens: int
    time: float
    request_seconds: list | None = None  # of each request, where several ran at once
    request_token_seconds: list | None = None  # of each of them: to its first token, then from token to token
    contaminated: str | None = None
    telemetry: dict | None = None


def sample(call, clock, settle):
    """(start, end, tokens): one call between two readings of `clock`, in its unit.

    `settle` waits until the device is idle; before the first reading, so that earlier work is not counted here, and
    before the second, so that queued work is counted in the call that queued it.
    """
    settle()
    start = clock()
    tokens = call()
    settle()
    return start, clock(), tokens


def measure(backend, cell, phase, processes=()):
    """Yield lists of Call, in order, one list per window of the interference ledger, for one phase of a started cell."""
    watch = _Watch(cell, processes, getattr(backend, "virtual", False))
    gc.collect()
    gc.disable()
    try:
        for kind, index in _schedule(cell, watch.samples):
            watch.add(_timed(backend, phase, kind, index))
            if watch.due():
                yield watch.close()
        if watch.open:
            yield watch.close()
    finally:
        gc.enable()


def _timed(backend, phase, kind, index):
    """One Call of the backend's phase, with device time and the times of its tokens where it tells them."""
    backend.prepare(phase)
    marks = backend.marks
    marks.clear()
    device = getattr(backend, "device_start", None)
    if device:
        device()
    now = time.time()
    start, end, tokens = sample(getattr(backend, phase), backend.clock, backend.settle)
    return Call(
        phase, kind, index, (end - start) / 1e9, backend.device_seconds() if device else None,
        _gaps(start, marks) or None, (end - marks[-1]) / 1e9 if marks else None, tokens, now,
        [(end_of - start) / 1e9 for end_of in getattr(backend, "ended", ())] or None,
        [_gaps(start, each) for each in getattr(backend, "arrived", ()) if each] or None,
    )  # fmt: skip


def _gaps(start, marks):
    """Seconds to the first mark, and from each to the next; the clock's readings are nanoseconds."""
    return [(b - a) / 1e9 for a, b in zip([start, *marks], marks)]


def _schedule(cell, samples):
    """Yield (kind, index) until the rule of the cell is met; `samples()` gives the seconds of the phase so far."""
    yield "first", 0
    start, count = time.perf_counter(), 0
    while not warm(cell, count, samples, time.perf_counter() - start):
        yield "warmup", count
        count += 1
    start, count, look = time.perf_counter(), 0, 0
    while True:
        yield "sample", count
        count += 1
        if cell.stop == "fixed":
            if count >= cell.repetitions:
                return
        elif count >= max(cell.repetitions, LOOKS_FROM * 2**look):
            look += 1
            if narrow(samples("sample"), look, cell.within_percent):
                return
        if cell.stop == "interval" and time.perf_counter() - start > cell.within_seconds:
            return


def narrow(seconds, look, within_percent):
    """Is the median's interval narrow enough at this look?

    Looking at the data until they please would make the interval too narrow too often. So looks are few (each after
    twice as many samples) and every look uses a level of its own, so that all of them together keep 95 %.
    """
    estimate = median_interval(seconds, level_at_look(look))
    return estimate.relative_half_width * 100 <= within_percent


def warm(cell, count, samples, elapsed):
    """Has the warm-up been long enough: a fixed number, or (auto) until the second half of it is steady?

    A series that does not settle ends at `WARMUP_LIMIT` or after `within_seconds`, and the report says what it was.
    """
    if cell.warmup != "auto":
        return count >= cell.warmup
    if count >= WARMUP_LIMIT or elapsed > cell.within_seconds:
        return True
    power_of_two = count & (count - 1) == 0
    if count < LEAST or not power_of_two and count % 100:
        return False
    return steady_from(samples("warmup")).verdict == "steady"


class _Watch:
    """The calls of a phase so far, and the ledger's window that is open."""

    def __init__(self, cell, processes, virtual):
        self.virtual = virtual  # a virtual clock: nothing that runs beside it can touch it
        self.telemetry = Telemetry(cell.device)
        self.processes = processes
        self.seconds = {"first": [], "warmup": [], "sample": []}
        self.open = []
        self.before = interference.snapshot(processes)

    def samples(self, kind):
        return self.seconds[kind]

    def add(self, call):
        self.open.append(call)
        self.seconds[call.kind].append(call.seconds)

    def due(self):
        return time.perf_counter() - self.before.time >= interference.WINDOW

    def close(self):
        """The window's calls, each with what else ran, and the machine's readings at its end."""
        after = interference.snapshot(self.processes)
        ledger, contaminated = interference.between(self.before, after, available_cores())
        read = self.telemetry.read()
        for call in self.open:
            call.contaminated = None if self.virtual else contaminated
            call.telemetry = ledger | read
        calls, self.open, self.before = self.open, [], after
        return calls


def available_cores():
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def calibrate(readings=2000):
    """What the clock can tell: its smallest step and the time between two readings with nothing inside, in seconds."""
    clock = time.perf_counter_ns
    steps, empty = [], []
    for _ in range(readings):
        start = clock()
        while (now := clock()) == start:
            pass
        steps.append(now - start)
        a, b, _ = sample(_nothing, clock, _nothing)
        empty.append(b - a)
    return {"clock": "time.perf_counter_ns", "step_s": min(steps) / 1e9, "empty_call_s": sorted(empty)[readings // 2] / 1e9}


def _nothing():
    return 0
