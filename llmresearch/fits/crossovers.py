"""Where one engine stops being faster: the size at which a ratio crosses one, and how little may be known of it."""

from dataclasses import dataclass, field
import math

import numpy as np
from scipy import special

from ..intervals import NAN
from . import shown
from .shapes import EXACT, line, points

LEAST = 4                 # distinct sizes; three leave one degree of freedom, and an interval of everything
LEAST_RESAMPLED = 6       # points; below, intervals from resampled points cover less than 93 %


@dataclass(frozen=True)
class Interval:
    """`low` to `high`, of a `kind`: finite, outside (all sizes but those between), everything, empty (none: refused, the
    reason is in `method`). Unpacks as `low, high`."""

    low: float
    high: float
    kind: str = "finite"
    method: str = ""

    def __iter__(self):
        return iter((self.low, self.high))

    @property
    def finite(self):
        """Whether it is one stretch with two ends."""
        return self.kind == "finite"

    def holds(self, x):
        """Whether `x` belongs to it."""
        if self.kind in ("everything", "empty"):
            return self.kind == "everything"
        return (self.low <= x <= self.high) == (self.kind == "finite")


@dataclass(frozen=True)
class Bootstrap(Interval):
    """The BCa interval of a bootstrap over points, with the percentile ones beside it: `percentile` has its tails
    widened for few points as BCa has, `plain` has not (the usual recipe; it covers 88 % at 9 points)."""

    percentile: Interval | None = None
    plain: Interval | None = None

    @property
    def bca(self):
        """The bias-corrected and accelerated interval: this one."""
        return self


@dataclass(frozen=True, repr=False)
class Crossover(shown.Carded):
    """The size at which the fitted ratio is one, with intervals by bootstrap and by Fieller, and without each point.

    verdict: inside (the measured sizes), outside, no finite interval (Fieller's is unbounded: the slope may be zero).
    """

    value: float
    bootstrap: Bootstrap
    fieller: Interval
    loo: np.ndarray = field(repr=False)
    verdict: str
    exponent: float = NAN
    n: int = 0
    method: str = ""

    def _card(self):
        return shown.crossover(self)


def crossover(x, ratio, level=0.95, resamples=4000, seed=0):
    """Where log(ratio) = a + b log(size) is zero, as a Crossover in the unit of `x`.

    `ratio` is one engine's speed over the other's at each size. Points are taken as independent with equal relative
    noise. Fewer than 4 distinct sizes, a ratio that is not positive, or no slope: nan, 'no finite interval', a reason.
    """
    x, ratio, reason = points(x, ratio, "crossover")
    sizes = np.unique(x).size
    if not reason and sizes < LEAST:
        reason = f"{sizes} distinct sizes; a crossover needs {LEAST}"
    if not reason and np.ptp(np.log(ratio)) < EXACT:
        reason = "all ratios are equal: no slope, no crossover"
    if reason:
        nothing = Interval(NAN, NAN, "empty", reason)
        return Crossover(NAN, Bootstrap(NAN, NAN, "empty", reason, nothing, nothing), nothing, np.full(len(x), NAN),
                         "no finite interval", n=sizes, method=reason)
    u, w = np.log(x), np.log(ratio)
    root, intercept, slope = _root(u, w)
    fieller = _fieller(u, w, level)
    inside = x.min() <= _exp(root) <= x.max()
    verdict = "no finite interval" if not fieller.finite else "inside" if inside else "outside"
    return Crossover(_exp(root), _bootstrap(u, w, root, level, resamples, seed), fieller, _leave_one_out(u, w), verdict,
                     float(slope), sizes, "least squares of log ratio on log size")


def _exp(v):
    return math.exp(v) if v < 709 else math.inf


def _root(u, w):
    """(log size at which the line is zero, intercept, slope); nan without a slope."""
    intercept, slope = line(u, w)
    return (-intercept / slope if slope else NAN), intercept, slope


def _leave_one_out(u, w):
    out = np.full(len(u), NAN)
    for i in range(len(u)):
        keep = np.arange(len(u)) != i
        if np.ptp(u[keep]) > 0:
            out[i] = _exp(_root(u[keep], w[keep])[0])
    return out


def _fieller(u, w, level):
    """All sizes at which a line of zero is not rejected: Fieller, J. R. Stat. Soc. B 16 (1954) 175.

    With v = log size - mean, (m + b v)^2 <= t^2 s^2 (1/n + v^2/S): a quadratic in v, whose solution is one stretch if
    the slope is significant, and else everything outside a stretch or simply everything.
    """
    n, center = len(u), u.mean()
    spread, mean = ((u - center) ** 2).sum(), w.mean()
    _, slope = line(u, w)
    noise = ((w - mean - slope * (u - center)) ** 2).sum() / (n - 2)
    t2 = special.stdtrit(n - 2, (1 + level) / 2) ** 2 * noise
    a, b, c = slope**2 - t2 / spread, mean * slope, mean**2 - t2 / n        # a v^2 + 2 b v + c <= 0
    inner = b * b - a * c
    if a <= 0 and inner <= 0:
        return Interval(0.0, math.inf, "everything", "the slope may be zero: no size is excluded")
    ends = sorted(((-b - math.sqrt(max(inner, 0.0))) / a, (-b + math.sqrt(max(inner, 0.0))) / a))
    low, high = (_exp(center + v) for v in ends)
    if a <= 0:
        return Interval(low, high, "outside", "the slope may be zero: all sizes but those between are possible")
    return Interval(low, high, "finite", f"Fieller, Student t of {n - 2}")


def _bootstrap(u, w, root, level, resamples, seed):
    """BCa and percentile intervals over resampled points, with tails widened from normal to Student's t of n - 2 and for
    the bootstrap's too small variance (Hesterberg, Am. Stat. 69 (2015) 371: the expanded percentile interval)."""
    n = len(u)
    if n < LEAST_RESAMPLED:
        nothing = Interval(NAN, NAN, "empty", f"{n} points are too few to resample; {LEAST_RESAMPLED} are needed")
        return Bootstrap(NAN, NAN, "empty", nothing.method, nothing, nothing)
    drawn = _resampled_roots(u, w, resamples, np.random.default_rng(seed))
    z = math.sqrt(n / (n - 2)) * special.stdtrit(n - 2, (1 + level) / 2) * np.array([-1, 1])
    below = np.clip(((drawn < root).sum() + 0.5 * (drawn == root).sum()) / drawn.size, 1 / drawn.size, 1 - 1 / drawn.size)
    shift, lean = special.ndtri(below), _acceleration(u, w)
    shares = special.ndtr(shift + (shift + z) / np.maximum(1 - lean * (shift + z), 1e-6))
    low, high = (_exp(v) for v in np.quantile(drawn, shares))
    percentile = _percentiles(drawn, special.ndtr(z), "percentiles, tails widened")
    plain = _percentiles(drawn, np.array([1 - level, 1 + level]) / 2, "percentiles, not widened")
    method = f"BCa (Efron 1987), tails widened for {n} points, {resamples} resamples"
    return Bootstrap(low, high, "finite", method, percentile, plain)


def _percentiles(drawn, shares, method):
    return Interval(*(_exp(v) for v in np.quantile(drawn, shares)), "finite", method)


def _resampled_roots(u, w, resamples, rng):
    """Log crossovers of resamples of the points."""
    index = rng.integers(0, len(u), (resamples, len(u)))
    while (flat := np.ptp(u[index], axis=1) == 0).any():
        index[flat] = rng.integers(0, len(u), (int(flat.sum()), len(u)))
    a, b = u[index], w[index]
    am, bm = a.mean(axis=1, keepdims=True), b.mean(axis=1, keepdims=True)
    slope = ((a - am) * (b - bm)).sum(axis=1) / ((a - am) ** 2).sum(axis=1)
    slope = np.where(np.abs(slope) < 1e-12, 1e-12, slope)
    return am[:, 0] - bm[:, 0] / slope


def _acceleration(u, w):
    """The skewness of the leave-one-out roots, as BCa uses it."""
    left = np.log(np.maximum(_leave_one_out(u, w), 1e-300))
    left = left[np.isfinite(left)]
    d = left.mean() - left
    return float((d**3).sum() / (6 * (d**2).sum() ** 1.5)) if (d**2).sum() > 1e-24 else 0.0
