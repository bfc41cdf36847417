"""How large a difference is, apart from how sure: standardised effects with their intervals."""

import math

import numpy as np
from scipy import special, stats

from ..intervals import NAN, Estimate, check_share, observations, refused


def cohens_d(a, b, level=0.95):
    """(mean(a) - mean(b)) / pooled standard deviation, as an Estimate; the interval inverts the noncentral t.

    Source: Cumming & Finch, Educ. Psychol. Meas. 61 (2001) 532. Assumes independent normal samples.
    """
    return _standardised(a, b, level, 1.0, "Cohen's d, noncentral t")


def hedges_g(a, b, level=0.95):
    """Cohen's d without its bias at small n (times gamma(df/2) / (sqrt(df/2) gamma((df-1)/2))), as an Estimate."""
    df = np.size(a) + np.size(b) - 2
    shrink = math.exp(math.lgamma(df / 2) - math.lgamma((df - 1) / 2)) / math.sqrt(df / 2) if df > 1 else NAN
    return _standardised(a, b, level, shrink, "Hedges' g, noncentral t")


def _standardised(a, b, level, factor, method):
    check_share("level", level)
    (a, why), (b, why_not) = observations(a), observations(b)
    n = a.size + b.size
    if why or why_not or min(a.size, b.size) < 2:
        return refused(why or why_not or "too few: each sample needs 2 values", n)
    df = n - 2
    pooled = math.sqrt(((a.size - 1) * a.var(ddof=1) + (b.size - 1) * b.var(ddof=1)) / df)
    if pooled <= 1e-12 * max(abs(a.mean()), abs(b.mean())):
        return refused("no spread: all values of each sample are equal", n)
    d = (a.mean() - b.mean()) / pooled
    scale = math.sqrt(1 / a.size + 1 / b.size)
    low, high = (_noncentrality(d / scale, df, share) * scale for share in ((1 + level) / 2, (1 - level) / 2))
    return Estimate(float(d * factor), low * factor, high * factor, n, method=method)


def _noncentrality(t, df, share):
    """The shift of the noncentral t under which `t` is its `share` quantile (normal approximation far out)."""
    shift = float(special.nctdtrinc(df, share, t))
    if math.isfinite(shift) and abs(special.nctdtr(df, shift, t) - share) < 1e-3:
        return shift
    return float(t - special.ndtri(share) * math.sqrt(1 + t**2 / (2 * df)))


def cliffs_delta(a, b, level=0.95):
    """P(a > b) - P(a < b), between -1 and 1, as an Estimate; interval after Feng & Cliff, J. Mod. Appl. Stat. Methods
    3 (2004) 322, which stays within ± 1."""
    check_share("level", level)
    (a, why), (b, why_not) = observations(a), observations(b)
    n = a.size + b.size
    if why or why_not or min(a.size, b.size) < 2:
        return refused(why or why_not or "too few: each sample needs 2 values", n)
    if np.ptp(np.concatenate([a, b])) == 0:
        return refused("no spread: all values are equal", n, 0.0)
    rows, columns = _dominance(a, b), -_dominance(b, a)
    delta = float(rows.mean())
    if abs(delta) == 1:
        return refused("complete separation: no overlap to make an interval of", n, delta)
    size_a, size_b = a.size, b.size
    ties = np.intersect1d(a, b)
    square = 1 - sum((a == v).sum() * (b == v).sum() for v in ties) / (size_a * size_b)      # mean of dominance²
    variance = (size_b**2 * ((rows - delta) ** 2).sum() + size_a**2 * ((columns - delta) ** 2).sum()
                - size_a * size_b * (square - delta**2)) / (size_a * size_b * (size_a - 1) * (size_b - 1))
    variance = max(variance, (1 - delta**2) / (size_a * size_b - 1))
    t = special.stdtrit(n - 2, (1 + level) / 2)
    root = t * math.sqrt(variance) * math.sqrt((1 - delta**2) ** 2 + t**2 * variance)
    below = 1 - delta**2 + t**2 * variance
    low, high = ((delta - delta**3 + sign * root) / below for sign in (-1, 1))
    return Estimate(delta, float(low), float(high), n, method="Cliff's delta, Feng & Cliff's interval")


def _dominance(a, b):
    """For each value of `a`: the share of `b` below it less the share above it."""
    ordered = np.sort(b)
    below, not_above = np.searchsorted(ordered, a, "left"), np.searchsorted(ordered, a, "right")
    return (below - (b.size - not_above)) / b.size


def common_language(a, b):
    """P(a > b) + P(a = b) / 2: the chance that a value of `a` is the larger; nan for broken samples."""
    if observations(a)[1] or observations(b)[1]:
        return NAN
    return float(stats.mannwhitneyu(np.ravel(a), np.ravel(b)).statistic / (np.size(a) * np.size(b)))
