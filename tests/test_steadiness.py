"""Steady state is found where it begins, and missed where there is none."""

import numpy as np
import pytest

from llmresearch.steadiness import steady_from


def noise(n, sd=0.01, seed=0):
    return np.exp(np.random.default_rng(seed).normal(0, sd, n))


@pytest.mark.parametrize("seed", range(20))
def test_a_flat_series_loses_at_most_two_calls(seed):
    found = steady_from(noise(64, seed=seed))
    assert found.discard <= 2 and found.verdict == "steady"


@pytest.mark.parametrize(("tau", "least"), [(1, 3), (3, 8), (10, 25)])
def test_a_warm_up_is_left_out(tau, least):
    i = np.arange(200)
    found = steady_from((1 + np.exp(-i / tau)) * noise(200))
    assert least <= found.discard < 100 and found.verdict == "steady"


def test_a_series_that_never_settles_is_called_so():
    assert steady_from((1 + 0.005 * np.arange(100)) * noise(100)).verdict == "not-stationary"


def test_a_jump_in_the_second_half_is_not_steady():
    assert steady_from(np.r_[np.ones(75), 1.2 * np.ones(25)] * noise(100)).verdict == "not-stationary"


def test_too_few_or_too_noisy_calls_say_nothing():
    assert steady_from([1.0] * 5).verdict == "too few"
    assert steady_from(noise(30, sd=0.2)).verdict == "too few"


def test_equal_times_are_steady():
    assert steady_from([2.0] * 20) == steady_from([3.0] * 20)
    assert steady_from([2.0] * 20).verdict == "steady"
