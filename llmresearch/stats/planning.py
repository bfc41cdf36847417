"""How many sessions: power, the number needed, and a design from variance components."""

from dataclasses import dataclass
import math

import numpy as np
from scipy import special, stats

from .estimates import split, values_and_sessions
from ..intervals import NAN, check_share, observations

MOST = 1_000_000          # sessions; beyond this the answer is infinity


def power(effect, sd, sessions, alpha=0.05):
    """The chance that a two-sided t test over `sessions` finds a log-ratio `effect` when its sd between sessions is `sd`.

    Exact for normal session log-ratios, by the noncentral t distribution. nan for fewer than 2 sessions or sd <= 0.
    """
    if sessions < 2 or not sd > 0 or not math.isfinite(effect):
        return NAN
    df, shift = sessions - 1, abs(effect) / sd * math.sqrt(sessions)
    limit = special.stdtrit(df, 1 - alpha / 2)
    return float(stats.nct.sf(limit, df, shift) + stats.nct.cdf(-limit, df, shift))


def n_needed(effect, sd, power=0.8, alpha=0.05):
    """The fewest sessions with which a two-sided t test finds `effect` with chance `power`; inf for no effect.

    `effect` and `sd` are of session log-ratios (log(1.02) for 2 %). nan where they are not numbers or sd <= 0.
    """
    check_share("power", power)
    if not (math.isfinite(effect) and sd > 0 and math.isfinite(sd)):
        return NAN
    n = _sessions(np.array([abs(effect)]), np.array([sd]), alpha / 2, power)[0]
    while math.isfinite(n) and n < MOST and _power(effect, sd, n, alpha) < power:
        n += 1
    while math.isfinite(n) and n > 2 and _power(effect, sd, n - 1, alpha) >= power:
        n -= 1
    return n


_power = power


def _sessions(distance, sd, tail, power):
    """Sessions that make a one-sided t test at `tail` find `distance` with chance `power` (vectorised, to ± 1)."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        size = (sd / distance) ** 2
        n = np.full(size.shape, 30.0)
        for _ in range(40):
            df = np.clip(n - 1, 1, MOST)
            step = (special.stdtrit(df, 1 - tail) + special.stdtrit(df, power)) ** 2 * size
            n = np.sqrt(np.clip(n, 2, MOST) * np.clip(step, 2, MOST))        # damped: df moves with n
    n = np.ceil(n - 1e-6)
    return np.where(np.isnan(size), NAN, np.where(step > MOST, np.inf, n))


def sessions_to_decide(effect, sd, margin, alpha, power=0.8):
    """The sessions that would decide, whichever way is cheaper: finding `effect`, or showing that it is within `margin`.

    `effect`, `sd` and `margin` (positive) are in logarithms; arrays. Both tests at `alpha`, with chance `power`.
    """
    effect, sd = np.abs(np.asarray(effect, float)), np.asarray(sd, float)
    differ = _sessions(effect, sd, alpha / 2, power)
    inside = np.where(effect < margin, margin - effect, 0.0)
    same = _sessions(inside, sd, alpha, (1 + power) / 2)                     # two one-sided tests must both pass
    return np.fmin(differ, same)


@dataclass(frozen=True)
class Components:
    """Standard deviations of log seconds: `between` sessions, `within` a session; what a median's noise is `inflated`
    by, over that of a mean of independent samples; and how many of each stand behind them."""

    between: float
    within: float
    inflation: float
    sessions: int
    samples: int
    method: str = "one-way variance components of log seconds; between from session medians"


def variance_components(x, sessions=None):
    """Between- and within-session spread of log seconds as Components (Kalibera & Jones 2013); nan and why if broken."""
    x, sessions = values_and_sessions(x, sessions)
    values, reason = observations(x)
    groups = [] if reason or sessions is None else split(values, sessions)
    if not reason and len(groups) < 2:
        reason = "one session: the spread between sessions is unknown; a pilot needs 2 at least, better 5"
    if not reason and (values.min() <= 0 or min(map(len, groups)) < 2):
        reason = "a time that is not positive, or a session of one sample"
    if reason:
        return Components(NAN, NAN, NAN, len(groups), values.size, reason)
    logs = [np.log(g) for g in groups]
    within = math.sqrt(sum(((g - g.mean()) ** 2).sum() for g in logs) / (values.size - len(groups)))
    noise = np.mean([_median_variance(g) for g in logs])                     # of a session's median, given the session
    each = np.mean([len(g) for g in logs])
    between = math.sqrt(max(0.0, np.var([np.median(g) for g in logs], ddof=1) - noise))
    return Components(between, within, float(noise * each / within**2) if within else 1.0, len(groups), values.size)


def _median_variance(logs, batches=8):
    """The variance of one session's median, from the medians of consecutive batches, so that autocorrelation counts."""
    length = len(logs) // batches
    if length < 4:
        return math.pi / 2 * np.var(logs, ddof=1) / len(logs)
    return np.var(np.median(np.reshape(logs[:length * batches], (batches, length)), axis=1), ddof=1) / batches


@dataclass(frozen=True)
class Design:
    """So many `sessions` of `samples` give the relative `half_width`, at `seconds` of machine time."""

    sessions: int
    samples: int
    half_width: float
    seconds: float
    method: str


def design(pilot, half_width, session_seconds, sample_seconds, level=0.95):
    """The cheapest Design whose interval of the median is expected to be ± `half_width` (a share, 0.02 for 2 %).

    Samples per session: sqrt(start-up / sample x within² / between²), which minimises cost for any number of sessions
    (Kalibera & Jones 2013, section 5); then as many sessions as Student's t over sessions asks for.
    """
    if not (half_width > 0 and session_seconds >= 0 and sample_seconds > 0):
        raise ValueError("design: half_width and sample_seconds must be positive, session_seconds not negative.")
    if not math.isfinite(pilot.between):
        return Design(0, 0, NAN, NAN, f"no design: {pilot.method}")
    samples = samples_per_session(pilot, session_seconds, sample_seconds)
    sd = math.sqrt(pilot.between**2 + pilot.inflation * pilot.within**2 / samples)
    sessions = np.arange(2, 10_001)
    widths = special.stdtrit(sessions - 1, (1 + level) / 2) * sd * _mean_of_sd(sessions) / np.sqrt(sessions)
    enough = int(np.searchsorted(-widths, -math.log1p(half_width)))
    if enough == sessions.size:
        return Design(0, samples, NAN, NAN, "no design: more than 10,000 sessions would be needed")
    n = int(sessions[enough])
    cost = n * (session_seconds + samples * sample_seconds)
    return Design(n, samples, float(math.expm1(widths[enough])), cost, "variance components of the pilot, Student t")


def samples_per_session(pilot, session_seconds, sample_seconds, least=6, most=10_000):
    """The number of samples per session that costs least, between 6 (a median's interval) and 10,000."""
    if pilot.between == 0:
        return most if session_seconds > 0 else least
    ratio = session_seconds / sample_seconds * pilot.within**2 / pilot.between**2
    return int(np.clip(round(math.sqrt(ratio)), least, most))


def _mean_of_sd(n):
    """The expected sample standard deviation of n normal numbers of sd 1."""
    return np.exp(special.gammaln(n / 2) - special.gammaln((n - 1) / 2)) * np.sqrt(2 / (n - 1))
