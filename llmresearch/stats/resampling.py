"""Bootstraps that respect how samples were taken: sessions then samples, or blocks of one autocorrelated series."""

import math

import numpy as np
from scipy import special

from .dependence import BLOCKS, carlstein_length
from .estimates import split, values_and_sessions
from ..intervals import Estimate, check_share, observations, refused


def hierarchical_bootstrap(x, sessions=None, statistic="median", level=0.95, resamples=10_000, seed=0):
    """The mean over sessions of their `statistic` as an Estimate: sessions are resampled, then samples within each.

    `statistic`: 'median', 'mean', a quantile as a share (0.9), or a function of a (k, n) array with `axis`. Resampling
    twice counts the samples' noise twice, and resampling few sessions shows too little of the spread between them: the
    first is taken off the bootstrap's variance, the second is put back by sessions / (sessions - 1), and the result is
    averaged with the variance of the sessions' own values, which estimates the same. The interval is Student's t of
    sessions - 1 (Davison & Hinkley 1997, section 3.8); percentiles of few sessions cover 80 % and less. Where samples
    fall into two modes, resampled medians jump between them and the interval is too wide. Needs 2 sessions.
    """
    check_share("level", level)
    x, sessions = values_and_sessions(x, sessions)
    values, reason = observations(x)
    groups = [] if reason else split(values, np.zeros(values.size) if sessions is None else sessions)
    if not reason and len(groups) < 2:
        reason = "one session: no replication, so no interval over sessions; it needs 2 at least"
    if reason:
        return refused(reason, values.size, unit="session")
    points = np.array([_reduction(statistic)(g[None, :], axis=1)[0] for g in groups])
    value, n = float(points.mean()), len(groups)
    if np.ptp(points) <= 1e-12 * np.abs(points).max():
        return refused("all sessions give the same value: no spread", values.size, value, "session")
    drawn, inner = two_level_resamples(groups, statistic, resamples, np.random.default_rng(seed))
    resampled, own = (drawn.var(ddof=1) - inner / n) * n / (n - 1), points.var(ddof=1) / n
    error = math.sqrt(max((resampled + own) / 2, own / 2))
    half = float(special.stdtrit(n - 1, (1 + level) / 2) * error)
    method = f"hierarchical bootstrap, {resamples} resamples of {n} sessions, Student t"
    return Estimate(value, value - half, value + half, values.size, "session", method)


def _reduction(statistic):
    if statistic == "median":
        return np.median
    if statistic == "mean":
        return np.mean
    if callable(statistic):
        return statistic
    check_share("statistic", statistic)
    return lambda a, axis: np.quantile(a, statistic, axis=axis)


def two_level_resamples(groups, statistic, resamples, rng):
    """(means over resampled sessions of the statistic of resampled samples, mean variance within a session)."""
    chosen = rng.integers(0, len(groups), (resamples, len(groups)))
    drawn, inner = np.empty(chosen.shape), []
    for k, group in enumerate(groups):
        mine = chosen == k
        drawn[mine] = _resampled(np.asarray(group), statistic, int(mine.sum()), rng)
        inner.append(drawn[mine].var())
    return drawn.mean(axis=1), float(np.mean(inner))


def _resampled(group, statistic, draws, rng):
    """`draws` values of the statistic of resamples of one session.

    The median or quantile of n draws from a sample is one of its order statistics, whose rank is a beta variable times
    n (Efron 1982, section 10.3): exact, and n times cheaper than drawing the samples.
    """
    n = group.size
    if statistic == "median" or isinstance(statistic, float):
        return _resampled_quantile(np.sort(group), 0.5 if statistic == "median" else statistic, draws, rng)
    reduce, step, out = _reduction(statistic), max(1, 2_000_000 // n), []
    for begin in range(0, draws, step):
        index = rng.integers(0, n, (min(step, draws - begin), n), dtype=np.int32)
        out.append(reduce(group[index], axis=1))
    return np.concatenate(out) if out else np.empty(0)


def _resampled_quantile(ordered, q, draws, rng):
    """numpy's linear quantile of each resample: between two neighbouring order statistics, drawn jointly."""
    n = ordered.size
    place = q * (n - 1)
    rank = int(place) + 1                                            # of n, from 1
    first = rng.beta(rank, n - rank + 1, draws)
    lower = ordered[np.minimum((first * n).astype(int), n - 1)]
    if place == int(place) or rank == n:
        return lower
    second = first + (1 - first) * rng.beta(1, n - rank, draws)      # the next one, given this one
    upper = ordered[np.minimum((second * n).astype(int), n - 1)]
    return lower + (place - int(place)) * (upper - lower)


def block_bootstrap(x, statistic=np.median, length=None, resamples=4000, level=0.95, seed=0):
    """`statistic` of one autocorrelated series as an Estimate, from circular blocks resampled with replacement.

    `statistic` takes `axis`. `length` None: n^(1/3) (2 rho / (1 - rho^2))^(2/3), Carlstein's rule. The interval is the
    bootstrap's standard error with Student's t of the number of blocks; refused below 20 blocks.
    """
    values, reason = observations(x)
    if reason:
        return refused(reason, values.size, unit="block")
    value, n = float(statistic(values, axis=0)), values.size
    if length is None:
        length = carlstein_length(values)
    blocks = -(-n // length)
    if blocks < 2 * BLOCKS:
        reason = f"too few: {n} samples are {blocks} blocks of {length}, an interval needs {2 * BLOCKS * length}"
        return refused(reason, n, value, "block")
    if np.ptp(values) == 0:
        return refused(f"all {n} values are equal: no spread to make an interval of", n, value, "block")
    drawn = _circular_blocks(values, length, resamples, statistic, np.random.default_rng(seed))
    error = drawn.std(ddof=1) * math.sqrt(blocks / (blocks - 1))
    half = float(special.stdtrit(blocks - 1, (1 + level) / 2) * error)
    return Estimate(value, value - half, value + half, n, "block", f"block bootstrap, {blocks} blocks of {length}")


def _circular_blocks(values, length, resamples, statistic, rng, at_once=4_000_000):
    n = values.size
    blocks = -(-n // length)
    step = max(1, at_once // n)
    out = []
    for begin in range(0, resamples, step):
        starts = rng.integers(0, n, (min(step, resamples - begin), blocks, 1))
        index = ((starts + np.arange(length)) % n).reshape(len(starts), -1)[:, :n]
        out.append(statistic(values[index], axis=1))
    return np.concatenate(out)
