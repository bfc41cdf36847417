import math

import numpy as np
import pytest
from scipy.special import stdtrit
from statsmodels.stats.power import TTestPower

from llmresearch.stats.planning import (
    Components, design, n_needed, power, samples_per_session, sessions_to_decide, variance_components,
)  # fmt: skip


def test_power_agrees_with_statsmodels():
    theirs = TTestPower().power(0.02 / 0.03, 10, 0.05)
    assert power(math.log(1.02), 0.03, 10) == pytest.approx(TTestPower().power(math.log(1.02) / 0.03, 10, 0.05), abs=1e-6)
    assert power(-0.02, 0.03, 10) == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("effect, sd", [(0.02, 0.01), (0.02, 0.05), (0.1, 0.02), (0.005, 0.05)])
def test_the_number_needed_is_the_first_that_suffices(effect, sd):
    n = n_needed(effect, sd)
    assert power(effect, sd, n) >= 0.8
    assert n == 2 or power(effect, sd, n - 1) < 0.8


def test_where_the_planner_says_eighty_per_cent_eighty_per_cent_are_found():
    rng = np.random.default_rng(0)
    n = int(n_needed(0.03, 0.04))
    d = 0.03 + 0.04 * rng.standard_normal((4000, n))
    t = d.mean(axis=1) / (d.std(axis=1, ddof=1) / n**0.5)
    limit = {16: 2.131450, 17: 2.119905}[n]
    assert (np.abs(t) > limit).mean() >= 0.8 - 2 * (0.16 / 4000) ** 0.5


@pytest.mark.parametrize("effect, sd, answer", [(0.0, 0.05, math.inf), (0.02, 0.0, None), (math.nan, 1, None), (0.02, math.inf, None)])
def test_no_effect_needs_infinitely_many_and_no_spread_gives_no_answer(effect, sd, answer):
    n = n_needed(effect, sd)
    assert n == answer if answer else math.isnan(n)


def test_what_would_decide_is_the_cheaper_of_a_difference_and_an_equivalence():
    far, near, edge = sessions_to_decide([0.1, 0.0, 0.02], [0.03] * 3, 0.02, 0.05)
    assert far == pytest.approx(n_needed(0.1, 0.03), abs=1)
    assert 15 < near < 30
    assert edge == pytest.approx(n_needed(0.02, 0.03), abs=1)


def campaign(rng, sessions, samples, between=0.047, within=0.046):
    logs = between * rng.standard_normal((sessions, 1)) + within * rng.standard_normal((sessions, samples))
    return np.exp(logs).ravel(), np.repeat(range(sessions), samples)


def test_variance_components_are_recovered():
    found = variance_components(*campaign(np.random.default_rng(0), 200, 40))
    assert found.between == pytest.approx(0.047, rel=0.15)
    assert found.within == pytest.approx(0.046, rel=0.03)
    assert found.inflation == pytest.approx(math.pi / 2, rel=0.25)


def test_samples_per_session_follow_from_start_up_and_spread():
    pilot = Components(0.047, 0.046, 1.0, 20, 600)
    assert samples_per_session(pilot, 4.5, 0.008) == 23
    assert samples_per_session(Components(0.0, 0.046, 1.0, 20, 600), 4.5, 0.008) == 10_000


def test_the_design_reaches_its_half_width():
    rng = np.random.default_rng(1)
    pilot = Components(0.047, 0.046, math.pi / 2, 100, 3000)
    planned = design(pilot, 0.02, session_seconds=4.5, sample_seconds=0.008)
    widths = []
    for _ in range(300):
        x, sessions = campaign(rng, planned.sessions, planned.samples)
        points = np.log(np.median(x.reshape(planned.sessions, -1), axis=1))
        widths.append(points.std(ddof=1) / planned.sessions**0.5)
    t = stdtrit(planned.sessions - 1, 0.975)
    assert np.mean(widths) * t == pytest.approx(math.log(1.02), rel=0.05)
    assert planned.seconds == pytest.approx(planned.sessions * (4.5 + planned.samples * 0.008))


@pytest.mark.parametrize("x, sessions, reason", [([1.0, 2, 3], [0, 0, 0], "one session"), ([1.0, -2, 3, 4], [0, 0, 1, 1], "positive"),
                                                 ([1.0, math.nan, 3, 4], [0, 0, 1, 1], "nan"), ([1.0, 2, 3], [0, 0, 1], "one sample")])
def test_a_broken_pilot_makes_no_design(x, sessions, reason):
    pilot = variance_components(x, sessions)
    assert reason in pilot.method
    assert math.isnan(design(pilot, 0.02, 4.5, 0.008).half_width)


def test_an_unreachable_width_is_said_to_be_so():
    planned = design(Components(0.5, 0.05, 1.0, 5, 100), 0.0001, 4.5, 0.008)
    assert "more than 10,000 sessions" in planned.method
