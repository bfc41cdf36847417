"""A queue's waiting time, against textbook cases and a simulation, and what a latency goal leaves of the capacity."""

import numpy as np
import pandas as pd
import pytest

from llmresearch import queueing


def test_equal_requests_wait_half_as_long_as_those_of_random_length():
    # M/D/1 at utilisation 0.5: W = 0.5; M/M/1: W = 1 (in units of the mean service time)
    assert queueing.waiting([1.0, 1.0], 0.5) == pytest.approx(0.5)
    exponential = np.random.default_rng(0).exponential(size=400_000)
    assert queueing.waiting(exponential / exponential.mean(), 0.5) == pytest.approx(1.0, rel=0.02)


def test_a_simulated_queue_waits_as_long_as_the_formula_says():
    chance = np.random.default_rng(1)
    service = chance.lognormal(-1.0, 0.5, 200_000)
    rate = 0.7 / service.mean()
    gaps = chance.exponential(1 / rate, service.size)
    wait, total = 0.0, 0.0
    for gap, length in zip(gaps, service):
        total += wait
        wait = max(wait + length - gap, 0.0)
    assert total / service.size == pytest.approx(queueing.waiting(service, rate), rel=0.05)


def test_a_queue_that_gets_more_than_it_can_serve_never_ends():
    assert queueing.waiting([2.0], 0.5) == np.inf


def test_the_largest_rate_is_the_one_whose_wait_is_the_goal():
    rate = queueing.largest_rate([0.1, 0.3], 0.25)
    assert queueing.waiting([0.1, 0.3], rate) == pytest.approx(0.25)
    assert queueing.largest_rate([0.1], 0.0) == 0.0


def test_a_negative_time_is_refused_in_a_sentence():
    with pytest.raises(queueing.NoService, match="seconds above 0"):
        queueing.waiting([-1.0], 0.1)


@pytest.mark.parametrize("wrong", [{"service": []}, {"service": [0.0]}, {"rate": -1.0}, {"rate": np.nan}, {"spread": -0.1}])
def test_what_makes_no_queue_is_refused_in_a_sentence(wrong):
    with pytest.raises(queueing.NoService, match="queueing: "):
        queueing.waiting(**({"service": [1.0], "rate": 0.5} | wrong))


def test_a_users_spread_takes_the_place_of_that_of_equal_requests():
    assert queueing.waiting([1.0, 1.0], 0.5, spread=1.0) == pytest.approx(1.0)  # M/M/1
    rate = queueing.largest_rate([1.0], 1.0, spread=1.0)
    assert queueing.waiting([1.0], rate, spread=1.0) == pytest.approx(1.0)
    alike, unlike = (queueing.capacity(calls([0.1], [1.0]), 0.6, 5.0, spread).iloc[0] for spread in (0.0, 1.0))
    assert unlike["engines"] > alike["engines"] and (alike["spread"], unlike["spread"]) == (0, 1)
    waits = [queueing.waits(calls([0.1], [1.0]), (0.5,), spread)["wait_s"][0] for spread in (0.0, 1.0)]
    assert waits[1] == pytest.approx(2 * waits[0])


def test_near_full_use_the_wait_is_long_and_at_full_use_it_has_no_end():
    assert queueing.waiting([1.0], 0.999) == pytest.approx(499.5)
    assert queueing.waiting([1.0], 1.0) == np.inf


def calls(prefill, e2e, sessions=3):
    rows = [
        {"backend": "hf", "device": "cpu", "dtype": "fp32", "model": "m", "scenario": "s", "session": session,
         "phase": phase, "seconds": seconds * (1 + session / 100), "status": "ok", "kind": "sample", "contaminated": None}
        for session in range(1, sessions + 1)
        for phase, times in (("prefill", prefill), ("e2e", e2e)) for seconds in times
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_capacity_has_an_interval_over_sessions_and_stays_below_perfect_packing():
    found = queueing.capacity(calls([0.1, 0.1], [1.0, 1.2]), ttft_s=0.6).iloc[0]
    assert 0 < found["largest_rate"].low < found["largest_rate"].value < found["largest_rate"].high < found["saturated_rate"]
    assert found["sessions"] == 3 and 0 < found["utilisation"] < 1


def test_a_goal_below_the_prefill_leaves_nothing():
    assert queueing.capacity(calls([0.5], [1.0]), ttft_s=0.4).iloc[0]["largest_rate"].value == 0.0


def test_waits_grow_with_utilisation_and_an_empty_frame_gives_none():
    table = queueing.waits(calls([0.1], [1.0, 1.1]))
    assert table["wait_s"].is_monotonic_increasing and len(table) == 3
    assert queueing.waits(calls([0.1], [1.0]).iloc[:0]).empty
    assert queueing.capacity(calls([0.1], [1.0]).iloc[:0], 1.0).empty


def test_a_demand_needs_more_engines_than_perfect_packing_promises():
    found = queueing.capacity(calls([0.1], [1.0, 1.2]), ttft_s=0.6, demand_per_s=5.0).iloc[0]
    assert found["packed"] == 6 < found["engines"] <= found["engines_at_most"]
    assert found["engines"] == np.ceil(5.0 / found["largest_rate"].value)


def test_no_number_of_engines_meets_a_goal_below_the_prefill():
    found = queueing.capacity(calls([0.5], [1.0]), ttft_s=0.4, demand_per_s=5.0).iloc[0]
    assert np.isnan([found["engines"], found["engines_at_most"]]).all()


def test_the_time_to_the_first_token_has_an_interval_over_sessions():
    several, alone = (queueing.waits(calls([0.1], [1.0, 1.1], sessions), (0.5,))["ttft_s"][0] for sessions in (3, 1))
    assert several.low < several.value < several.high and several.n == 3
    assert np.isnan([alone.low, alone.high]).all() and alone.value > 0.1
