"""Energy from a counter: the truth lies between the ends, and what cannot be known is refused with a reason."""

import math

import numpy as np
import pytest

from llmresearch import energy
from llmresearch.energy import Counter, Energy, above_idle, resolution, window
from llmresearch.selfcheck import energy as check

COUNTER = Counter(period_s=0.1, step_j=0.5, wraps_at_j=1000.0)


def test_a_window_knows_its_energy_to_a_period_at_either_end():
    found = window(COUNTER, (0.0, 100.0), (10.1, 200.0))
    assert found.joules == 100.0 and found.reason is None
    # 100 J in 10.1 - 0.1 s are 10 W: a period is 1 J, and the step 0.5 J
    assert (found.low, found.high) == pytest.approx((98.5, 101.5))


def test_a_counter_that_began_again_goes_on():
    assert window(COUNTER, (0.0, 950.0), (10.0, 50.0)).joules == 100.0


def test_a_window_of_fewer_than_ten_periods_is_refused():
    found = window(COUNTER, (0.0, 0.0), (0.95, 100.0))
    assert math.isnan(found.joules) and "9.5 periods of the counter, of 0.1 s each; 10 are needed" in found.reason


def test_a_fall_without_a_known_wrap_is_refused():
    assert "fell by 50 J" in window(Counter(0.1, 0.5), (0.0, 100.0), (10.0, 50.0)).reason


def test_no_counter_is_unknown_and_never_a_nameplate():
    found = window(None, (0.0, None), (10.0, None))
    assert math.isnan(found.joules) and found.reason


def test_idle_energy_is_taken_off_with_its_error():
    found = above_idle(Energy(100.0, 97.0, 103.0, 5.0), Energy(40.0, 32.0, 48.0, 10.0))
    # 20 J of idle in 5 s, ± 4; hypot(3, 4) = 5
    assert (found.joules, found.low, found.high) == (80.0, 75.0, 85.0)


def test_unknown_idle_power_makes_the_difference_unknown():
    assert "idle power is unknown" in above_idle(Energy(1.0, 1.0, 1.0, 1.0), energy.unknown(1.0, "no counter")).reason


def test_the_period_and_the_step_are_measured():
    times = np.arange(0, 100) * 0.01
    found = resolution(times, np.floor(times / 0.1 + 1e-9) * 3.0)
    assert (found.period_s, found.step_j) == pytest.approx((0.1, 3.0))


def test_a_counter_that_stands_still_has_no_resolution():
    assert resolution([0.0, 1.0, 2.0], [5.0, 5.0, 5.0]) is None


def test_polling_stops_where_there_is_no_counter():
    times, joules = energy.poll(lambda: None, 5.0, sleep=lambda _: None)
    assert len(times) == len(joules) == 0


def test_polling_takes_the_middle_of_the_time_that_a_reading_took():
    ticks = iter([0.0, 0.0, 0.25, 0.75, 2.0])
    times, joules = energy.poll(lambda: 7.0, 1.0, clock=lambda: next(ticks), sleep=lambda _: None)
    assert times.tolist() == [0.5] and joules.tolist() == [7.0]


def test_the_check_holds_the_truth_across_wraps():
    found = check.run(windows=60)
    assert found["passed"] and found["crossed_the_wrap"] > 0 and all(found["refused"].values())


def test_the_check_fails_for_a_window_that_ignores_the_wrap(monkeypatch):
    honest = energy.window
    monkeypatch.setattr(energy, "window", lambda c, a, b: honest(c and Counter(c.period_s, c.step_j), a, b))
    assert not check.run(windows=60)["passed"]
