"""Is a series of calls steady, and from which call on? The test behind `warmup: auto` and the report's warm-up table.

The second half of the series is the reference. It must not move itself: its two halves must agree in their medians.
The warm-up is then everything before the first call from which on every short window agrees with the reference.
Agreement means within `CLOSE` of the median, or within what noise of the observed size explains.
"""

from dataclasses import dataclass

import numpy as np

CLOSE = 0.005        # relative: half of the 1 % that a warm-up may leave in a median
LEAST = 12           # calls: fewer say nothing about steadiness
WINDOWS = (3, 6, 12, 24, 48)
_SURE = 4.0          # standard errors: with some ten looks, a flat series is doubted once in a thousand


@dataclass(frozen=True)
class Steady:
    """How many leading calls are warm-up, and `steady`, `not-stationary` or `too few` calls to tell."""

    discard: int
    verdict: str


def steady_from(seconds):
    """The Steady of a series of call times (any unit), oldest first."""
    x = np.asarray(seconds, dtype=float)
    if len(x) < LEAST:
        return Steady(0, "too few")
    tail = x[len(x) // 2:]
    if _drifts(tail):
        return Steady(len(x) // 2, "not-stationary")
    return Steady(_first_agreeing(x, np.median(tail), _spread(tail)), "steady")


def _drifts(tail):
    """Do the halves or the thirds of what should be steady differ by more than noise, in place or in spread?"""
    halves = np.array_split(tail, 2)
    a, b = halves
    centre = np.median(tail)
    noise = _spread(tail) * np.sqrt(np.pi / 2 * (1 / len(a) + 1 / len(b)))
    moved = abs(np.median(a) - np.median(b)) > max(2 * CLOSE * abs(centre), _SURE * noise)
    return moved or _rank_trend(tail) > _SURE


def _rank_trend(x):
    """The size of the trend of ranks with time, in standard errors (Spearman's rho times the root of n - 1)."""
    if np.ptp(x) <= 2 * CLOSE * abs(np.median(x)):
        return 0.0
    ranks = np.argsort(np.argsort(x))
    return abs(np.corrcoef(ranks, np.arange(len(x)))[0, 1]) * np.sqrt(len(x) - 1)


def _spread(x):
    """A standard deviation from the median of absolute deviations, blind to stalls (1.4826: normal consistency)."""
    return 1.4826 * np.median(np.abs(x - np.median(x)))


def _first_agreeing(x, centre, spread):
    """The first index from which on all windows agree with the reference; at most half the series."""
    bad = 0
    for width in WINDOWS:
        if width > len(x) // 2:
            break
        medians = np.median(np.lib.stride_tricks.sliding_window_view(x, width), axis=1)[: len(x) // 2]
        room = max(CLOSE * abs(centre), _SURE * spread * np.sqrt(np.pi / 2 / width))
        off = np.flatnonzero(medians - centre > room)
        # a window is off as a whole; its last call is where the warm-up may still be felt
        bad = max(bad, off[-1] + (width + 1) // 2 if len(off) else 0)
    return int(min(bad, len(x) // 2))
