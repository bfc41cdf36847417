"""Is a series of calls steady, and from which call on? The test behind `warmup: auto` and the report's warm-up table.

The second half of the series is the reference. It must not move itself: its two halves must agree in their medians.
The warm-up is then everything before the first call from which on every short window agrees with the reference.
Agreement means within `CLOSE` of the median, or within what noise of the observed size explains. A series so short and
noisy that a change of 1 % could hide in it is `too few`, not steady.
"""

from dataclasses import dataclass

import numpy as np

CLOSE = 0.005        # relative: half of the 1 % that a warm-up may leave in a median
LEAST = 12           # calls: fewer say nothing about steadiness
WINDOWS = (3, 6, 12, 24, 48)
_SURE = 5.0          # standard errors for one of many windows: a flat series is doubted about once in a hundred
_TREND = 3.3         # standard errors for the one test of a trend: once in a thousand


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
    moved, error = _halves(tail)
    room = 2 * CLOSE * abs(np.median(tail))
    if moved > max(room, _SURE * error) or moved > room and _trend(tail) > _TREND:
        return Steady(len(x) // 2, "not-stationary")
    discard = _first_agreeing(x, np.median(tail), _noise(x))
    settled = error <= room and moved <= room + error
    return Steady(discard, "steady" if settled else "too few")


def _halves(tail):
    """How far the medians of the two halves lie apart, and the standard error of that."""
    a, b = np.array_split(tail, 2)
    error = _noise(tail) * np.sqrt(np.pi / 2 * (1 / len(a) + 1 / len(b)))
    return abs(np.median(a) - np.median(b)), error


def _trend(x):
    """The trend of ranks with time in standard errors: Spearman's rho after Fisher's transform (Fieller et al. 1957)."""
    ranks = np.argsort(np.argsort(x))
    rho = min(abs(np.corrcoef(ranks, np.arange(len(x)))[0, 1]), 1 - 1e-9)
    return np.arctanh(rho) * np.sqrt((len(x) - 3) / 1.06)


def _noise(x):
    """A standard deviation from differences of neighbours, blind to trends and stalls (1.4826: normal consistency)."""
    return 1.4826 * np.median(np.abs(np.diff(x))) / np.sqrt(2)


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
