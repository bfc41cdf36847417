"""Numbers with intervals from timed calls: medians, quantiles, ratios and rates, with the session as their unit."""

from dataclasses import dataclass
import math

import numpy as np
import pandas as pd
from scipy import special

from .dependence import block_medians, independence
from ..intervals import NAN, Estimate, needed, observations, quantile_interval, refused

ONE_SESSION = "one session: no replication, so no interval over sessions"
POINTS = 500              # equal-probability points that stand for a median's bootstrap distribution


@dataclass(frozen=True)
class Ratio(Estimate):
    """An Estimate of a ratio that keeps both absolutes: `numerator` and `denominator` are Estimates too."""

    numerator: Estimate | None = None
    denominator: Estimate | None = None


def median(x, sessions=None, level=0.95, independent=None):
    """The median as an Estimate, in the unit of `x`; see `quantile` for sessions and dependence."""
    return quantile(x, 0.5, sessions, level, independent)


def quantile(x, q, sessions=None, level=0.95, independent=None):
    """The `q` quantile as an Estimate: exact order statistics of samples, or of sessions where there are several.

    `x`: array, list, Series (an index level `session` counts as sessions), or a frame with `seconds` and `session`.
    With one session the samples, taken in their order, must pass a test of independence (unless `independent` is
    True); if they do not, the median's interval comes from blocks long enough to be independent, or is refused.
    """
    x, sessions = values_and_sessions(x, sessions)
    values, reason = observations(x)
    if reason:
        return refused(reason, values.size)
    if several(sessions):
        return _quantile_over_sessions(values, sessions, q, level)
    if independent or (independent is None and _looks_independent(values)):
        return quantile_interval(values, q, level)
    return _quantile_of_series(values, q, level)


def _looks_independent(values):
    """True for few, sorted (so: without an order in time) or constant values, and where the test finds nothing."""
    steps = np.diff(values)
    if values.size < 8 or (steps >= 0).all() or (steps <= 0).all():
        return True
    return independence(values).independent


def values_and_sessions(x, sessions=None):
    """(values, one session label per value or None) of whatever holds them."""
    if isinstance(x, pd.DataFrame):
        if sessions is None and "session" in x:
            sessions = session_labels(x)
        x = x["seconds"]
    elif isinstance(x, pd.Series) and sessions is None and "session" in x.index.names:
        sessions = x.index.get_level_values("session")
    return x, None if sessions is None else np.asarray(sessions)


def session_labels(df):
    """One label per row that tells sessions apart, also between raw files (`run_id`)."""
    if "session" not in df:
        return np.zeros(len(df), int)
    if "run_id" not in df or df["run_id"].nunique(dropna=False) < 2:
        return df["session"].to_numpy()
    return (df["run_id"].astype(str) + "/" + df["session"].astype(str)).to_numpy()


def several(sessions):
    """Whether there is more than one session."""
    return sessions is not None and len(sessions) > 0 and bool((sessions != sessions[0]).any())


def _quantile_over_sessions(values, sessions, q, level):
    """A quantile of all samples whose interval is that of the sessions' own quantiles."""
    groups = split(values, sessions)
    least = needed(q, level)
    value = float(np.quantile(values, q)) if q == 0.5 or values.size >= least else NAN
    few = min(len(g) for g in groups)
    if q != 0.5 and few < least:
        reason = f"too few: a session with {few} samples, quantile {q:g} needs {least} in each for an interval"
        return refused(reason, values.size, value, "session")
    points = np.array([np.quantile(g, q) for g in groups])
    inner = center_of_sessions(points, level)
    return Estimate(value, inner.low, inner.high, values.size, "session", inner.method)


def over_sessions_only(e):
    """The Estimate as it is where sessions are its unit; else its value alone: calls of one process replicate nothing."""
    if e.unit_of_replication == "session" or math.isnan(e.value):
        return e
    return refused(ONE_SESSION, 1, e.value, "session")


def split(values, labels):
    """The values of each label, as a list of arrays in order of label."""
    codes = np.unique(labels, return_inverse=True)[1]
    order = np.argsort(codes, kind="stable")
    return np.split(values[order], np.flatnonzero(np.diff(codes[order])) + 1)


def center_of_sessions(points, level=0.95):
    """The centre of one number per session: exact order statistics from as many sessions as they need, t below.

    Below that count: Student's t of the logarithms (of the numbers themselves where some are not positive), which
    keeps its level for 2 to 5 sessions in every world of `benchmarks/methodology.py`, and is wide because they are few.
    """
    points = np.asarray(points, dtype=float)
    n = points.size
    if n < 2:
        return refused(ONE_SESSION, n, float(points.mean()), "session")
    if np.ptp(points) == 0:
        return refused(f"all {n} sessions give the same value: no spread", n, float(points[0]), "session")
    if n >= needed(0.5, level):
        e = quantile_interval(points, 0.5, level)
        return Estimate(e.value, e.low, e.high, n, "session", e.method + " sessions")
    logs = (points > 0).all()
    mean, half = t_center(np.log(points) if logs else points, level)
    back = math.exp if logs else float
    method = f"Student t of {n} sessions' {'logarithms' if logs else 'values'}"
    return Estimate(back(mean), back(mean - half), back(mean + half), n, "session", method)


def t_center(x, level=0.95, axis=-1):
    """(mean, half-width) of Student's t interval along `axis`."""
    n = np.shape(x)[axis]
    spread = np.std(x, axis=axis, ddof=1)
    return np.mean(x, axis=axis), special.stdtrit(n - 1, (1 + level) / 2) * spread / math.sqrt(n)


def _quantile_of_series(values, q, level):
    """One autocorrelated series: the median from independent blocks; a tail keeps its value, without an interval."""
    value = float(np.quantile(values, q)) if q == 0.5 or values.size >= needed(q, level) else NAN
    if q != 0.5:
        return refused("autocorrelated samples: no interval for a tail; measure more sessions", values.size, value)
    points, length, reason = block_medians(values)
    if reason:
        return refused(reason, values.size, value)
    e = quantile_interval(points, 0.5, level)
    method = f"autocorrelated: {e.method} medians of blocks of {length}"
    return Estimate(value, e.low, e.high, values.size, "block", method)


def median_ratio(a, b, sessions_a=None, sessions_b=None, level=0.95):
    """median(a) / median(b) as a Ratio: with a baseline's times first, the speed-up of the second.

    Where both come in several sessions: paired over the sessions they share (log-ratios of session medians). Otherwise
    the percentiles of all bootstrap resamples at once: a resampled median is an order statistic whose rank follows a
    beta law (Efron 1982, section 10.3), so no random numbers are needed. Not positive: nan, and the reason.
    """
    (a, sessions_a), (b, sessions_b) = values_and_sessions(a, sessions_a), values_and_sessions(b, sessions_b)
    top, bottom = median(a, sessions_a, level), median(b, sessions_b, level)
    size = min(top.n, bottom.n)
    for e, x, name in ((top, a, "numerator"), (bottom, b, "denominator")):
        if not math.isfinite(e.value):
            return _ratio(refused(f"{name}: {e.method}", size), top, bottom)
        if np.min(np.asarray(x, dtype=float)) <= 0:
            reason = f"{name}: values that are not positive, so the ratio could pass through zero or infinity"
            return _ratio(refused(reason, size), top, bottom)
    value = top.value / bottom.value
    if sessions_a is not None and sessions_b is not None and (several(sessions_a) or several(sessions_b)):
        return _ratio(_ratio_over_sessions(a, sessions_a, b, sessions_b, value, level), top, bottom)
    for e, name in ((top, "numerator"), (bottom, "denominator")):
        if not math.isfinite(e.low):
            return _ratio(refused(f"{name}: {e.method}", size, value), top, bottom)
    return _ratio(_ratio_of_samples(a, b, value, level), top, bottom)


def _ratio(e, top, bottom):
    return Ratio(e.value, e.low, e.high, e.n, e.unit_of_replication, e.method, top, bottom)


def _ratio_over_sessions(a, sessions_a, b, sessions_b, value, level):
    """Paired by session where they share their labels, else Welch on the logarithms of the session medians."""
    logs_a, logs_b = _log_medians(a, sessions_a), _log_medians(b, sessions_b)
    shared = logs_a.index.intersection(logs_b.index)
    if len(shared) > 1:
        e = center_of_sessions(np.exp(logs_a[shared] - logs_b[shared]), level)
        return Estimate(value, e.low, e.high, e.n, "session", "paired by session: " + e.method)
    n = min(len(logs_a), len(logs_b))
    if n < 2:
        return refused("one of them has a single session: no replication", n, value, "session")
    low, high = welch_interval(logs_a.to_numpy(), logs_b.to_numpy(), level)
    return Estimate(value, math.exp(low), math.exp(high), n, "session", "Welch of sessions' log medians")


def _log_medians(x, sessions):
    return np.log(pd.Series(np.asarray(x, dtype=float)).groupby(sessions).median())


def welch_interval(a, b, level=0.95):
    """(low, high) of mean(a) - mean(b) with unequal variances (Welch 1947)."""
    va, vb = np.var(a, ddof=1) / len(a), np.var(b, ddof=1) / len(b)
    if va + vb == 0:
        return NAN, NAN
    df = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    half = special.stdtrit(df, (1 + level) / 2) * math.sqrt(va + vb)
    center = np.mean(a) - np.mean(b)
    return center - half, center + half


def _ratio_of_samples(a, b, value, level):
    """The ratio of two independent samples' medians from their complete bootstrap distributions."""
    logs = np.subtract.outer(np.log(resampled_medians(a)), np.log(resampled_medians(b)))
    low, high = np.quantile(logs, [(1 - level) / 2, (1 + level) / 2])
    n = min(np.size(a), np.size(b))
    return Estimate(value, math.exp(low), math.exp(high), n, "sample", "complete bootstrap of both medians, percentiles")


def resampled_medians(x, points=POINTS):
    """Equal-probability points of the bootstrap distribution of the median of `x`."""
    x = np.sort(np.asarray(x, dtype=float))
    n = x.size
    shares = special.betaincinv((n + 1) / 2, (n + 1) / 2, (np.arange(points) + 0.5) / points)
    return x[np.minimum((shares * n).astype(int), n - 1)]


def rate(amount, seconds, sessions=None, level=0.95):
    """Total amount over total seconds as an Estimate (tokens and seconds: tokens per second); never a mean of rates.

    The interval is that of the sessions' own totals; one session carries none.
    """
    seconds, sessions = values_and_sessions(seconds, sessions)
    (amounts, why), (times, why_not) = observations(amount), observations(seconds)
    reason = why or why_not or ("" if amounts.size == times.size else "amounts and seconds differ in number")
    if reason:
        return refused(reason, times.size)
    if times.min() < 0 or times.sum() <= 0 or amounts.min() < 0:
        return refused("negative amounts or times, or no time at all", times.size)
    value = float(amounts.sum() / times.sum())
    if not several(sessions):
        return refused("one session: no replication, so no interval", times.size, value)
    codes = np.unique(sessions, return_inverse=True)[1]
    e = center_of_sessions(np.bincount(codes, amounts) / np.bincount(codes, times), level)
    return Estimate(value, e.low, e.high, times.size, "session", e.method)
