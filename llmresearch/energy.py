"""Energy over a window, from a counter of total energy; what the counter cannot carry is refused, never guessed.

A counter moves in steps: it shows what was used until its last update, a period ago at most, and rounds to a quantum.
Both are measured. So the energy between two readings is known to within one period's power at either end, and windows
of fewer than LEAST_PERIODS periods are refused. Without a counter energy is unknown; a nameplate power is no measurement.
"""

import math
import time
from dataclasses import dataclass

import numpy as np

LEAST_PERIODS = 10   # then the ends are uncertain by at most a tenth of the window each
LEAST_UPDATES = 6    # seen, before a period is believed: the fewest that give a median an interval at 95 %


@dataclass(frozen=True)
class Counter:
    """What a counter can tell: seconds between updates, the smallest step in joules, where it begins again (or None)."""

    period_s: float
    step_j: float
    wraps_at_j: float | None = None


@dataclass(frozen=True)
class Energy:
    """Joules with the ends between which they lie, over `seconds`; nan with a `reason` where they are unknown."""

    joules: float
    low: float
    high: float
    seconds: float
    reason: str | None = None


def unknown(seconds, reason):
    """The Energy of a window that cannot be measured."""
    return Energy(math.nan, math.nan, math.nan, seconds, reason)


def poll(read, seconds, clock=time.perf_counter, pause=0.001, sleep=time.sleep):
    """(times, joules) as arrays: `read()` asked again and again for `seconds`; empty where it gives None."""
    times, joules, end = [], [], clock() + seconds
    while clock() < end:
        before, value, after = clock(), read(), clock()
        if value is None:
            break
        times.append((before + after) / 2)
        joules.append(value)
        sleep(pause)
    return np.array(times), np.array(joules)


def resolution(times, joules, wraps_at_j=None):
    """The Counter behind polled readings, or None where it was not seen to move LEAST_UPDATES times.

    The period is the longest time between two updates, the step the smallest one: both on the side of caution. A period
    that is no longer than the polling is reported as the polling's.
    """
    joules = unwrapped(joules, wraps_at_j)
    moved = np.flatnonzero(np.diff(joules) > 0) + 1
    if len(moved) < LEAST_UPDATES:
        return None
    gaps = np.diff(np.asarray(times)[moved])
    return Counter(float(gaps.max()), float(np.diff(joules)[moved - 1].min()), wraps_at_j)


def unwrapped(joules, wraps_at_j=None):
    """The readings as a counter that never begins again would show them; refuses nothing, adds `wraps_at_j` at each fall."""
    joules = np.asarray(joules, dtype=float)
    if wraps_at_j is None:
        return joules
    falls = np.concatenate([[0], np.cumsum(np.diff(joules) < 0)])
    return joules + falls * wraps_at_j


def window(counter, start, end):
    """The Energy between two readings `start` and `end`, each (time in seconds, joules).

    Refused: no counter, fewer than LEAST_PERIODS of its periods, a counter that fell and has no known wrap. A window
    is taken to hold one wrap at most: read more often than it wraps.
    """
    seconds = end[0] - start[0]
    if counter is None or start[1] is None or end[1] is None:
        return unknown(seconds, "no energy counter here, or it was not seen to move")
    if seconds < LEAST_PERIODS * counter.period_s:
        return unknown(seconds, f"{seconds:.3g} s hold {seconds / counter.period_s:.1f} periods of the counter, "
                                f"of {counter.period_s:.3g} s each; {LEAST_PERIODS} are needed")  # fmt: skip
    joules = end[1] - start[1]
    if joules < 0 and counter.wraps_at_j is None:
        return unknown(seconds, f"the counter fell by {-joules:.3g} J, and where it begins again is not known")
    return _with_ends(joules if joules >= 0 else joules + counter.wraps_at_j, seconds, counter)


def _with_ends(joules, seconds, counter):
    """At either end the counter lags by up to one period of the mean power over what it saw, and rounds to a step."""
    seen = seconds - counter.period_s
    error = joules / seen * counter.period_s + counter.step_j
    return Energy(joules, max(joules - error, 0.0), joules + error, seconds)


def above_idle(used, idle):
    """The Energy of `used` without what the idle device draws in that time, `idle` being the Energy of an idle window.

    The errors of both add in quadrature; a result whose interval reaches below zero says so by its `low`.
    """
    if used.reason or idle.reason:
        return unknown(used.seconds, used.reason or f"idle power is unknown: {idle.reason}")
    share = used.seconds / idle.seconds
    middle = used.joules - idle.joules * share
    below = math.hypot(used.joules - used.low, (idle.high - idle.joules) * share)
    above = math.hypot(used.high - used.joules, (idle.joules - idle.low) * share)
    return Energy(middle, middle - below, middle + above, used.seconds)
