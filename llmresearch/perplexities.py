"""Scores in, perplexities and quality gates out; the scores themselves come from a worker, as records."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from .intervals import Estimate, refused
from .records import LlmResearchError
from .strides import Window, windows

__all__ = ["GATES", "Gate", "PerplexityError", "Window", "change", "gate", "interval", "looks_untrained",
           "perplexity", "require_disjoint", "windows"]

# The largest change of perplexity against the same model in the baseline engine, as a share. fp32, fp16 and
# int8 are the gates that TR118 configured (its report printed 1, 5 and 10 %). Others: state a limit.
GATES = {"fp32": 0.001, "fp16": 0.005, "int8": 0.02, "same weights": 1e-4}
BLOCKS = 10         # contiguous blocks of windows that an interval is made of, where there are windows enough
LEAST_BLOCKS = 6    # fewer say too little about their own spread
PER_BLOCK = 4       # windows in a block, at least: neighbours resemble each other
UNTRAINED = 0.5     # perplexity from this share of the vocabulary size upwards: no better than guessing


class PerplexityError(LlmResearchError):
    """Scores that cannot be a model's, or texts that must not be used together."""


@dataclass(frozen=True)
class Gate:
    """Whether an engine keeps its model's quality: `verdict` is pass, fail or refused; `reason` says why."""

    verdict: str
    change: float
    limit: float
    reason: str


def perplexity(nll_sum, tokens):
    """exp(nll_sum / tokens): the number of equally likely next tokens that would be as hard to guess.

    `nll_sum` is the negative log-likelihood in nats, summed over `tokens` scored tokens. It is divided once:
    a mean of windows' perplexities would be another, larger number. Refuses what no model can score.
    """
    if not tokens > 0:
        raise PerplexityError(f"perplexity: {tokens!r} scored tokens. Score at least one.")
    if not (math.isfinite(nll_sum) and nll_sum >= 0):
        raise PerplexityError(
            f"perplexity: a summed negative log-likelihood of {nll_sum!r}. It is a finite number, 0 or more: "
            "look for NaN in the logits, and for a sign.")
    mean = nll_sum / tokens
    return math.exp(mean) if mean < 700 else math.inf


def interval(scores, level=0.95):
    """A text's perplexity and interval, as an `Estimate`; `scores` are (nll_sum, tokens) of each window.

    Neighbouring windows share a topic, so they are summed into at most 10 contiguous blocks, and Student's t
    is applied to those (batch means; ratio by linearisation: Cochran, Sampling Techniques, 1977, 6.3).
    The interval speaks of other text like this one, not of repeating the computation.
    """
    blocks, reason = _blocks(scores)
    if reason:
        return _without_interval(scores, reason)
    log_value, half = _ratio(blocks[:, 0], blocks[:, 1], level)
    return Estimate(math.exp(log_value), math.exp(log_value - half), math.exp(log_value + half), len(blocks),
                    "block of windows", f"t on {len(blocks)} blocks of {len(scores)} windows")


def change(candidate, baseline, level=0.95):
    """The relative change of perplexity from `baseline` to `candidate`, as an `Estimate`: 0.01 is 1 % worse.

    Both are (nll_sum, tokens) of the same windows in the same order, compared window by window, so that what
    makes a window hard cancels. Refuses scores of different windows.
    """
    candidate, baseline = np.asarray(candidate, float), np.asarray(baseline, float)
    if candidate.shape != baseline.shape or not np.array_equal(candidate[:, 1], baseline[:, 1]):
        raise PerplexityError(
            "perplexity: candidate and baseline have not scored the same windows. Give both the same ids and "
            "the same plan.")
    for scores in (candidate, baseline):
        perplexity(*scores.sum(axis=0))
    difference = np.column_stack([candidate[:, 0] - baseline[:, 0], baseline[:, 1]])
    value = math.expm1(difference[:, 0].sum() / difference[:, 1].sum())
    blocks, reason = _blocks(difference)
    if reason:
        return refused(reason, len(difference), value, "block of windows")
    log_value, half = _ratio(blocks[:, 0], blocks[:, 1], level)
    return Estimate(value, math.expm1(log_value - half), math.expm1(log_value + half), len(blocks),
                    "block of windows", f"paired t on {len(blocks)} blocks of {len(difference)} windows")


def looks_untrained(value, vocabulary):
    """A sentence when perplexity `value` is no better than guessing among `vocabulary` tokens, else ''."""
    if value < UNTRAINED * vocabulary:
        return ""
    return (f"perplexity {value:,.0f} is {value / vocabulary:.4f} times the vocabulary of {vocabulary:,}: "
            "the weights are random, or the ids belong to another tokeniser")


def gate(candidate, baseline, precision, vocabulary, limit=None):
    """The `Gate` for two perplexities of one text: does `candidate` stay within the limit of its `precision`?

    `precision` is a key of GATES; 'same weights' is for an unquantised model in another engine, where only
    the order of additions differs. Refused for a model that has learnt nothing, whose perplexity no defect
    can move, for a precision without a `limit`, and where a perplexity is missing.
    """
    limit = GATES.get(precision, math.nan) if limit is None else limit
    if math.isnan(limit):
        known = ", ".join(GATES)
        return Gate("refused", math.nan, limit, f"no limit is set for {precision!r}; there are: {known}")
    if not (math.isfinite(candidate) and math.isfinite(baseline)):
        return Gate("refused", math.nan, limit, "a perplexity is missing or not finite")
    shift = candidate / baseline - 1
    untrained = looks_untrained(baseline, vocabulary)
    if untrained:
        return Gate("refused", shift, limit, f"{untrained}; quality cannot be judged on such a model")
    words = f"perplexity {baseline:.3f} → {candidate:.3f}, changed by {shift:+.4%}; limit {limit:.2%}"
    return Gate("pass" if abs(shift) < limit else "fail", shift, limit, words)


def require_disjoint(evaluation, calibration, length=16):
    """Nothing, or a refusal when the two lists of token ids share a run of `length` tokens.

    An engine that was calibrated on the text it is judged on looks better than it is.
    """
    seen = {tuple(calibration[i:i + length]) for i in range(len(calibration) - length + 1)}
    for i in range(len(evaluation) - length + 1):
        if tuple(evaluation[i:i + length]) in seen:
            raise PerplexityError(
                f"perplexity: tokens {i} to {i + length - 1} of the evaluation text are in the calibration "
                "text too. Calibrate on another text.")


def _blocks(scores):
    scores = np.asarray(scores, float)
    count, least = min(BLOCKS, len(scores) // PER_BLOCK), PER_BLOCK * LEAST_BLOCKS
    if count < LEAST_BLOCKS:
        return scores, f"{len(scores)} windows are too few for an interval: at least {least} are needed"
    return np.array([part.sum(axis=0) for part in np.array_split(scores, count)]), ""


def _without_interval(scores, reason):
    scores = np.asarray(scores, float)
    return refused(reason, len(scores), perplexity(*scores.sum(axis=0)), "block of windows")


def _ratio(parts, weights, level):
    """Σparts / Σweights and half the width of its interval, by linearisation."""
    n, value = len(parts), parts.sum() / weights.sum()
    rest = parts - value * weights
    error = math.sqrt((rest ** 2).sum() / (n * (n - 1))) / weights.mean()
    return value, stats.t.ppf((1 + level) / 2, n - 1) * error
