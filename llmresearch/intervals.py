"""Exact intervals of quantiles from order statistics: the hinge that measuring and analysing share."""

from dataclasses import dataclass
from functools import lru_cache
from html import escape
import math

import numpy as np

NAN = float("nan")
LOOKS_FROM = 7  # observations at the first look: below seven a median has no interval at that look's 97.5 %


@dataclass(frozen=True, repr=False)
class Estimate:
    """A number, its interval, how many observations stand behind it, of which kind, and how it was made.

    `low` and `high` are nan where the data cannot carry an interval; `method` then says why.
    """

    value: float
    low: float
    high: float
    n: int
    unit_of_replication: str = "sample"
    method: str = ""

    @property
    def relative_half_width(self):
        """Half the interval's width as a share of the value; nan without an interval or at zero."""
        if not math.isfinite(self.value) or self.value == 0:
            return NAN
        return (self.high - self.low) / 2 / abs(self.value)

    def __repr__(self):
        return f"Estimate {self._shown()}, {self._behind()}"

    def _repr_html_(self):
        return f"<span><b>{self._shown()}</b> <small>{escape(self._behind())}</small></span>"

    def _shown(self):
        """'2.41 [2.38, 2.45]', in the estimate's own unit."""
        if not math.isfinite(self.value):
            return str(self.value)
        tiny = 0 < abs(self.value) < 1e-4
        form = ".4g" if tiny else f",.{digits(self.value, self.low, self.high)}f"
        known = not (math.isnan(self.low) or math.isnan(self.high))
        return format(self.value, form) + (f" [{self.low:{form}}, {self.high:{form}}]" if known else "")

    def _behind(self):
        """How many observations of which kind, and the method, which gives the reason where there is no interval."""
        return f"n = {self.n} ({self.unit_of_replication})" + (f", {self.method}" if self.method else "")


def digits(value, low=NAN, high=NAN):
    """How many decimals to show: two significant digits of the interval's half-width, or four of the value without one.

    The rule of the Particle Data Group with one digit more, so that rounding never hides an interval; nor a value
    that is smaller than the half-width of an interval without zero: it shows two digits of its own.
    """
    half = (high - low) / 2 if math.isfinite(low) and math.isfinite(high) else 0.0
    if half > 0:
        shown = min(half, abs(value)) if low * high > 0 and value else half
        return min(12, max(0, 1 - math.floor(math.log10(shown))))
    if not value or not math.isfinite(value):
        return 0
    return min(12, max(0, 3 - math.floor(math.log10(abs(value)))))


def refused(reason, n=0, value=NAN, unit="sample"):
    """An Estimate without an interval, whose `method` is the reason."""
    return Estimate(value, NAN, NAN, int(n), unit, reason)


def observations(x):
    """`x` as a flat float array, and the reason why it cannot be used ('' where it can)."""
    values = np.asarray(x, dtype=float).ravel()
    if values.size == 0:
        return values, "no observations"
    broken = int((~np.isfinite(values)).sum())
    if broken:
        return values, f"{broken} of {values.size} values are nan or infinite: drop them with a reason first"
    return values, ""


@lru_cache(maxsize=4096)
def quantile_ranks(n, q=0.5, level=0.95):
    """(low, high, achieved): the ranks, counted from 1, that hold the `q` quantile with at least `level`.

    (0, 0, nan) where no two order statistics reach the level. The number of observations below the quantile is
    binomial, so P(low <= B < high) is exact for any continuous distribution, and a lower bound for any other
    (David & Nagaraja, Order Statistics, 2003, section 7.1). Tails are equal where the sample allows it; at small n
    a tail quantile gives all of alpha to the side where the sample ends.
    """
    check_share("q", q)
    check_share("level", level)
    if n < 2:
        return 0, 0, NAN
    below = np.minimum(np.cumsum(_binomial(n, q)), 1.0)     # P(B <= k), k = 0 … n
    low, high = _equal_tails(below, (1 - level) / 2, n)
    if low < 1:
        low, high = 1, _first(below, level + below[0])
    elif high > n:
        low, high = _last(below, below[n - 1] - level), n
    achieved = float(below[high - 1] - below[low - 1]) if 1 <= low < high <= n else 0.0
    return (int(low), int(high), achieved) if achieved >= level else (0, 0, NAN)


def _equal_tails(below, tail, n):
    return _last(below, tail), _first(below, 1 - tail)


def _last(below, tail):
    """The largest rank with P(B < rank) <= tail; 0 where there is none."""
    return int(np.searchsorted(below, tail, side="right"))


def _first(below, share):
    """The smallest rank with P(B < rank) >= share; beyond the last where there is none."""
    return int(np.searchsorted(below, share, side="left")) + 1


def _binomial(n, q):
    """The probabilities of 0 … n successes of chance q."""
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    k = np.arange(n + 1)
    return np.exp(logs[n] - logs - logs[::-1] + k * math.log(q) + (n - k) * math.log1p(-q))


def check_share(name, value):
    """Nothing; raises ValueError where `value` is not strictly between 0 and 1."""
    if not 0 < value < 1:
        raise ValueError(f"{name}: {value!r} is not between 0 and 1; give a share such as 0.95.")


@lru_cache(maxsize=256)
def needed(q=0.5, level=0.95):
    """The fewest observations that carry an interval of the `q` quantile: 6 for the median, 59 for p95, 299 for p99."""
    check_share("q", q)
    check_share("level", level)
    n = max(2, math.ceil(math.log1p(-level) / math.log(max(q, 1 - q)) - 1e-9))
    while quantile_ranks(n, q, level)[0] == 0:
        n += 1
    return n


def quantile_interval(x, q, level=0.95):
    """The `q` quantile of `x` as an Estimate with an exact order-statistic interval, in the unit of `x`.

    Too few observations: nan for a tail quantile (its value would be the luck of the maximum); the median keeps its
    value and loses its interval. Equal or broken values: no interval, and the reason.
    """
    values, reason = observations(x)
    if reason:
        return refused(reason, values.size)
    least = needed(q, level)
    value = float(np.quantile(values, q))
    if values.size < least:
        reason = f"too few: {values.size} observations, quantile {q:g} needs {least} at level {level:g}"
        return refused(reason, values.size, value if q == 0.5 else NAN)
    if values.min() == values.max():
        return refused(f"all {values.size} values are equal: no spread to make an interval of", values.size, value)
    low, high, achieved = quantile_ranks(values.size, q, level)
    picked = np.partition(values, (low - 1, high - 1))
    method = f"order statistics {low} and {high} of {values.size}, achieved level {achieved:.4f}"
    return Estimate(value, float(picked[low - 1]), float(picked[high - 1]), values.size, method=method)


def median_interval(x, level=0.95):
    """The median of `x` with its exact interval (as `quantile_interval`); no interval below 6 at 95 %."""
    return quantile_interval(x, 0.5, level)


def level_at_look(k, level=0.95):
    """The level to use at the k-th look (k = 1, 2, …) so that all looks together keep `level`, however many there are.

    Alpha is spent as alpha / (k (k + 1)), which sums to alpha over all k: by the union bound, the chance that any of
    the intervals misses is at most alpha, so stopping at the look that pleases does no harm.
    """
    check_share("level", level)
    if k < 1:
        raise ValueError(f"k: {k!r} is not a look; the first look is 1.")
    return 1 - (1 - level) / (k * (k + 1))


def looks(n):
    """How many looks a rule has taken that looks at `LOOKS_FROM` observations and after every doubling, up to `n`."""
    return sum(n >= LOOKS_FROM * 2**k for k in range(40))
