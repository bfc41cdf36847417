import numpy as np
import pytest

from llmresearch.intervals import (Estimate, level_at_look, median_interval, needed, quantile_interval,
                                   quantile_ranks)


def test_five_samples_are_too_few_for_an_interval_of_the_median():
    e = median_interval(range(5))
    assert e.value == 2
    assert np.isnan([e.low, e.high]).all()
    assert "needs 6" in e.method


def test_six_samples_give_the_extremes_and_say_which_level_they_achieve():
    e = median_interval([3, 1, 2, 6, 5, 4])
    assert (e.value, e.low, e.high, e.n) == (3.5, 1, 6, 6)
    assert e.method == "order statistics 1 and 6 of 6, achieved level 0.9688"


@pytest.mark.parametrize("n, ranks, achieved", [(7, (1, 7), 0.984375), (12, (3, 10), 0.96142578125)])
def test_the_achieved_level_is_the_binomial_sum(n, ranks, achieved):
    low, high, level = quantile_ranks(n)
    assert (low, high) == ranks
    assert level == pytest.approx(achieved, abs=1e-12)


@pytest.mark.parametrize("q, n", [(0.5, 6), (0.9, 29), (0.95, 59), (0.99, 299), (0.999, 2995), (0.01, 299)])
def test_a_quantile_needs_as_many_samples_as_make_its_end_likely_to_be_seen(q, n):
    assert needed(q) == n
    assert np.isnan(quantile_interval(np.arange(n - 1), q).low)
    e = quantile_interval(np.arange(n), q)
    assert e.low <= e.value <= e.high


def test_a_tail_quantile_of_too_few_samples_is_no_number():
    e = quantile_interval(np.arange(298), 0.99)
    assert np.isnan(e.value)
    assert "needs 299" in e.method


def test_the_interval_of_p99_covers_it_in_ninety_five_of_a_hundred_samples():
    rng = np.random.default_rng(5)
    low, high, _ = quantile_ranks(400, 0.99)
    x = np.sort(rng.exponential(size=(4000, 400)), axis=1)
    covered = (x[:, low - 1] <= np.log(100)) & (np.log(100) <= x[:, high - 1])
    assert 0.945 <= covered.mean() <= 0.985


@pytest.mark.parametrize("x, reason", [([], "no observations"), ([1, 2, np.nan, 4, 5, 6, 7], "1 of 7"),
                                       ([1, 2, np.inf, 4, 5, 6, 7], "nan or infinite"), ([2.0] * 9, "are equal")])
def test_bad_input_gives_a_reason_and_no_interval(x, reason):
    e = median_interval(x)
    assert np.isnan([e.low, e.high]).all()
    assert reason in e.method


def test_looks_spend_no_more_than_the_whole_error():
    spent = [1 - level_at_look(k, 0.95) for k in range(1, 10_000)]
    assert spent[0] == pytest.approx(0.025)
    assert 0.0499 < sum(spent) <= 0.05


def test_looking_after_every_sample_from_5_to_50_rarely_misses_the_median():
    rng = np.random.default_rng(2)
    x = rng.lognormal(size=(2000, 50))
    missed = np.zeros(2000, bool)
    for look, n in enumerate(range(5, 51), start=1):
        low, high, _ = quantile_ranks(n, 0.5, level_at_look(look, 0.95))
        if low:
            seen = np.sort(x[:, :n], axis=1)
            missed |= (seen[:, low - 1] > 1) | (seen[:, high - 1] < 1)
    assert missed.mean() <= 0.05


@pytest.mark.parametrize("wrong", [0, 1, -0.1, 95])
def test_a_level_is_a_share(wrong):
    with pytest.raises(ValueError, match="between 0 and 1"):
        median_interval(range(10), wrong)


def test_the_relative_half_width_is_nan_at_zero():
    assert Estimate(2.0, 1.0, 3.0, 6).relative_half_width == 0.5
    assert np.isnan(Estimate(0.0, -1.0, 1.0, 6).relative_half_width)
