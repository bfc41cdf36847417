import math

import numpy as np
import pandas as pd
import pytest

from llmresearch.stats.dependence import block_medians, independence
from llmresearch.stats.estimates import center_of_sessions, median, median_ratio, over_sessions_only, quantile, rate
from llmresearch.stats.resampling import block_bootstrap, hierarchical_bootstrap


def autocorrelated(rng, rho, shape):
    noise = rng.standard_normal((*shape[:-1], shape[-1] + 50))
    x = noise.copy()
    for i in range(1, x.shape[-1]):
        x[..., i] = rho * x[..., i - 1] + math.sqrt(1 - rho**2) * noise[..., i]
    return x[..., 50:]


def test_five_samples_are_too_few_for_an_interval():
    e = median(range(5))
    assert e.value == 2
    assert np.isnan([e.low, e.high]).all()


def test_samples_of_one_session_give_order_statistics():
    e = median([12, 1, 9, 3, 10, 4, 11, 2, 5, 8, 6, 7])
    assert (e.value, e.low, e.high, e.unit_of_replication) == (6.5, 3, 10, "sample")


def test_two_sessions_are_two_observations_however_many_samples_they_have():
    x = pd.Series([1.0] * 500 + [1.1] * 500 + [1.05] * 2, index=pd.Index([0] * 500 + [1] * 500 + [0, 1], name="session"))
    e = median(x)
    assert e.unit_of_replication == "session"
    assert e.high / e.low == pytest.approx(math.exp(2 * 12.7062047 * math.log(1.1) / 2), rel=1e-6)


def test_six_sessions_give_the_range_of_their_medians():
    e = center_of_sessions([3.0, 1.0, 2.0, 6.0, 5.0, 4.0])
    assert (e.low, e.high) == (1, 6)
    assert "achieved level 0.9688" in e.method


def test_few_sessions_keep_their_level_whatever_the_noise():
    rng = np.random.default_rng(3)
    for sessions in (2, 3, 5):
        stalls = np.where(rng.random((1500, sessions, 15)) < 0.05, 8.0, 1.0)
        x = np.exp(0.05 * rng.standard_normal((1500, sessions, 15)) + 0.05 * rng.standard_normal((1500, sessions, 1)))
        points = np.log(np.median(x * stalls, axis=2))
        half = 12.7062 / 2**0.5, 4.30265 / 3**0.5, 2.77645 / 5**0.5
        half = half[(2, 3, 5).index(sessions)] * points.std(axis=1, ddof=1)
        e = center_of_sessions(np.exp(points[0]))
        assert math.log(e.high) - math.log(e.low) == pytest.approx(2 * half[0], rel=1e-4)
        covered = np.abs(points.mean(axis=1) - 0.004) <= half       # 5 % stalls move the true median by 0.3 %
        assert 0.93 <= covered.mean() <= 0.97


def test_an_autocorrelated_series_is_found_out_and_thirty_of_it_carry_no_interval():
    rng = np.random.default_rng(1)
    x = 1 + 0.05 * autocorrelated(rng, 0.9, (200, 30))
    refusals = [np.isnan(median(row).low) for row in x]
    assert np.mean(refusals) >= 0.95
    assert "autocorrelated" in median(x[0]).method


def test_independent_samples_are_rarely_called_dependent():
    rng = np.random.default_rng(2)
    found = [independence(rng.lognormal(size=40)).independent for _ in range(1000)]
    assert 0.93 <= np.mean(found) <= 0.97


def test_blocks_keep_the_level_on_a_long_autocorrelated_series():
    rng = np.random.default_rng(4)
    estimates = [median(row) for row in np.exp(0.1 * autocorrelated(rng, 0.6, (300, 600)))]
    covered = [e.low <= 1 <= e.high for e in estimates if not np.isnan(e.low)]
    assert len(covered) >= 280
    assert np.mean(covered) >= 0.93


def test_the_block_bootstrap_keeps_the_level_on_a_long_autocorrelated_series():
    rng = np.random.default_rng(6)
    x = autocorrelated(rng, 0.6, (150, 800))
    covered = [e.low <= 0 <= e.high for e in (block_bootstrap(row, resamples=300) for row in x)]
    assert np.mean(covered) >= 0.9


def test_blocks_are_as_long_as_the_memory_asks_for():
    rng = np.random.default_rng(4)
    _, length, reason = block_medians(autocorrelated(rng, 0.6, (4000,)))
    assert 15 <= length <= 26
    assert reason == ""


def test_values_in_sorted_order_carry_no_order_in_time():
    assert median(np.arange(100)).unit_of_replication == "sample"
    assert np.isfinite(median(np.arange(100)).low)


def test_a_ratio_keeps_both_absolutes():
    r = median_ratio([4, 6, 5, 7, 3, 8, 5.5], [2, 3, 2.5, 3.5, 1.5, 4, 2.75])
    assert r.value == 2
    assert (r.numerator.value, r.denominator.value) == (5.5, 2.75)
    assert r.low < 2 < r.high


def test_a_ratio_covers_the_truth():
    rng = np.random.default_rng(8)
    for n in (7, 30):
        found = [median_ratio(1.1 * rng.lognormal(0, 0.2, n), rng.lognormal(0, 0.2, n)) for _ in range(250)]
        covered = np.mean([e.low <= 1.1 <= e.high for e in found if np.isfinite(e.low)])
        assert 0.93 <= covered <= 0.99


def test_a_ratio_of_several_sessions_is_paired_over_them():
    a = pd.DataFrame({"seconds": [2.0, 2.2, 3.0, 3.3, 4.0, 4.5], "session": [0, 0, 1, 1, 2, 2]})
    b = pd.DataFrame({"seconds": [1.0, 1.1, 1.5, 1.7, 2.0, 2.2], "session": [0, 0, 1, 1, 2, 2]})
    r = median_ratio(a, b)
    logs = np.log([2.1 / 1.05, 3.15 / 1.6, 4.25 / 2.1])
    half = 4.30265 * logs.std(ddof=1) / 3**0.5
    assert (r.low, r.high) == pytest.approx(tuple(np.exp([logs.mean() - half, logs.mean() + half])), rel=1e-5)


@pytest.mark.parametrize("b, reason", [([1, 2, 3, -1, 5, 6, 7], "zero or infinity"), ([0.0] * 7, "zero or infinity"),
                                       ([1, 2, 3], "too few"), ([1, 2, np.nan, 4, 5, 6], "nan or infinite"),
                                       ([2.0] * 8, "equal"), ([], "no observations")])
def test_a_ratio_that_cannot_be_has_a_reason(b, reason):
    r = median_ratio([4, 6, 5, 7, 3, 8, 5.5], b)
    assert np.isnan([r.low, r.high]).all()
    assert reason in r.method


def test_a_rate_is_total_over_total_and_never_a_mean_of_rates():
    e = rate([100, 100], [1.0, 3.0])
    assert e.value == 50
    assert np.isnan(e.low)
    assert "one session" in e.method


def test_a_rate_over_sessions_has_an_interval_of_session_totals():
    e = rate([100, 100, 120, 80], [1.0, 3.0, 2.0, 2.5], sessions=[0, 0, 1, 1])
    assert e.value == pytest.approx(400 / 8.5)
    assert e.low < 400 / 8.5 < e.high


def test_negative_times_have_no_rate():
    assert np.isnan(rate([1, 2], [1.0, -3.0]).value)


def test_the_hierarchical_bootstrap_of_five_sessions_keeps_its_level():
    rng = np.random.default_rng(5)
    covered = []
    for offset in (0.0, 1.0):
        sessions = np.repeat(range(5), 20)
        for _ in range(250):
            x = rng.standard_normal(100) + offset * rng.standard_normal(5)[sessions]
            e = hierarchical_bootstrap(x, sessions, resamples=2000)
            covered.append(e.low <= 0 <= e.high)
    assert 0.93 <= np.mean(covered) <= 0.97


def test_resampled_medians_have_the_spread_that_drawing_samples_gives():
    rng = np.random.default_rng(5)
    x, sessions = rng.lognormal(size=90), np.repeat(range(3), 30)
    fast = hierarchical_bootstrap(x, sessions, "median", resamples=20_000)
    slow = hierarchical_bootstrap(x, sessions, np.median, resamples=20_000)
    assert (fast.low, fast.high) == pytest.approx((slow.low, slow.high), rel=0.06)


def test_one_session_has_no_hierarchy():
    e = hierarchical_bootstrap([1, 2, 3, 4], [0, 0, 0, 0])
    assert np.isnan(e.low)
    assert "one session" in e.method


def test_a_tail_over_sessions_needs_enough_samples_in_each():
    x, sessions = np.random.default_rng(1).lognormal(size=300), np.repeat(range(3), 100)
    assert np.isfinite(quantile(x, 0.95, sessions).low)
    tail = quantile(x, 0.99, sessions)
    assert np.isfinite(tail.value) and np.isnan(tail.low)
    assert "needs 299" in tail.method


@pytest.mark.parametrize("calls", [[1.0, 1.1, 0.9, 1.05, 1.2, 0.95, 1.0, 1.1], [1.0, 1.0, 1.1, 1.1, 1.2, 1.2, 1.3, 1.3], [1.0, 2.0]])
def test_calls_of_one_session_count_as_one_session_and_have_no_interval(calls):
    found = over_sessions_only(median(calls))
    assert (found.value, found.n, found.unit_of_replication) == (np.median(calls), 1, "session")
    assert math.isnan(found.low) and "one session" in found.method


def test_an_estimate_over_sessions_is_left_as_it_is():
    found = median([1.0, 1.1, 2.0, 2.1, 3.0, 3.1], [1, 1, 2, 2, 3, 3])
    assert over_sessions_only(found) is found and found.low < 2 < found.high
