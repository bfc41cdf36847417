"""When compiling has paid, and what first calls cost, on frames whose answers are known."""

import math

from compiled_calls import calls, sessions
import pandas as pd
import pytest

import llmresearch as lr
from llmresearch import charging


@pytest.fixture
def frame():
    return sessions()


def test_break_even_is_the_first_calls_extra_over_the_seconds_saved_per_call(frame):
    found = charging.charged(frame, "hf").loc[0]
    # 23 - 2 seconds beyond steady, less 5 - 4 for eager; 4 - 2 seconds saved: ten calls
    assert (found["verdict"], found["cost_s"], found["saved_s"]) == ("pays", 20.0, 2.0)
    assert found["calls"].low < 10 < found["calls"].high


def first_calls_of(frame, backend, seconds):
    """The frame with other seconds for a backend's first calls, by session."""
    mine = (frame["backend"] == backend) & (frame["kind"] == "first")
    return frame.assign(seconds=frame["seconds"].mask(mine, frame["session"].map(seconds)))


def test_first_calls_of_a_scenario_that_one_of_both_did_not_run_are_not_charged(frame):
    more = [calls("hf", session, [4.0] * 3, 500.0, scenario="other") for session in (1, 2, 3)]
    found = charging.charged(pd.concat([frame, *more], ignore_index=True), "hf")
    assert found["scenario"].tolist() == ["short"] and found.loc[0, "cost_s"] == 20.0


def test_compiling_that_costs_less_than_the_baselines_own_first_calls_has_paid_at_once(frame):
    found = charging.charged(first_calls_of(frame, "hf-compile", {1: 2.5, 2: 2.3, 3: 2.4}), "hf").loc[0]
    assert found["verdict"] == "pays" and found["cost_s"] < found["cost_most_s"] < 0
    assert (found["calls"].value, found["calls"].low, found["calls"].high) == (0, 0, 0)


def test_one_process_that_found_no_kernels_widens_the_break_even_and_does_not_make_it_undecided(frame):
    found = charging.charged(first_calls_of(frame, "hf-compile", {1: 23.0, 2: 2.3, 3: 2.4}), "hf").loc[0]
    # costs over savings of the sessions: 20 / 2, -0.72 / 2.04 and -0.58 / 1.96
    assert found["verdict"] == "pays" and found["cost_s"] < 0 and found["cost_most_s"] == 20
    assert found["calls"].low == 0 and found["calls"].value == pytest.approx(3.117, abs=0.001)
    assert found["calls"].high == pytest.approx(3.117 + 4.302653 * 5.961 / 3**0.5, abs=0.01)


def test_what_saves_nothing_in_any_session_never_pays(frame):
    slow = frame.assign(seconds=frame["seconds"].where(frame["backend"] == "hf", frame["seconds"] * 3))
    found = charging.charged(slow, "hf").loc[0]
    assert found["verdict"] == "never" and math.isinf(found["calls"].value)


def test_one_session_gives_a_break_even_without_an_interval_and_decides_nothing(frame):
    found = charging.charged(frame[frame["session"] == 1], "hf").loc[0]
    assert found["verdict"] == "undecided" and found["calls"].value == 10 and math.isnan(found["calls"].low)


def test_where_it_is_not_sure_that_a_call_saves_time_the_break_even_is_undecided_and_not_unmeasured(frame):
    wild = {1: 0.5, 2: 1.4, 3: 1.0}
    factor = [wild[session] if name == "hf" else 1.0 for session, name in zip(frame["session"], frame["backend"])]
    found = charging.charged(frame.assign(seconds=frame["seconds"] * factor), "hf").loc[0]
    assert found["verdict"] == "undecided" and found["calls"].value > 0 and math.isnan(found["calls"].low)
    slower = {1: 1.3, 2: 0.9, 3: 1.1}
    even = [1.0 if name == "hf" else slower[session] for session, name in zip(frame["session"], frame["backend"])]
    found = charging.charged(frame.assign(seconds=even), "hf").loc[0]
    assert found["verdict"] == "undecided" and found["calls"].value == math.inf and math.isnan(found["calls"].low)


def test_a_cold_start_says_whether_the_kernel_caches_were_on(frame):
    found = charging.cold_starts(frame).set_index("backend")
    assert found["caches"].to_dict() == {"hf": "none", "hf-compile": "on"}
    assert found.loc["hf-compile", ["first_call", "slowest", "steady", "processes"]].tolist() == [23.0, 23.0, 2.0, 3]
    assert found.loc["hf", ["first_call", "slowest"]].tolist() == [5.0, 5.1]


def test_a_planned_break_even_that_was_not_measured_stays_on_the_page(frame):
    plan = {"study": "s", "models": ["fake-5m"], "phases": ["prefill", "decode"], "sessions": 1,
            "scenarios": [{"name": "short", "prompt_tokens": 8, "new_tokens": 4}]}  # fmt: skip
    cells = lr.plan(plan | {"backends": [{"name": "fake", "label": "eager"}, {"name": "fake", "label": "quick"}]})
    named = frame.replace({"backend": {"hf": "fake:eager", "hf-compile": "fake:quick"}}).assign(model="fake-5m")
    found = charging.promised(charging.charged(named, "fake:eager"), cells, "fake:eager", "fake:quick")
    assert found["phase"].tolist() == ["prefill", "decode"] and set(found["scenario"]) == {"short"}
    assert found["calls"][0].value == pytest.approx(10, rel=0.01) and math.isnan(found["calls"][1].value)
    assert charging.promised(charging.charged(named, "fake:eager"), cells, "fake:eager", "fake:other").empty


def test_what_was_refused_has_no_break_even_and_no_first_call():
    refused = calls("hf-compile", 1, [], 1.0, None, status="refused", reason="no compiler")
    assert charging.charged(refused, "hf").empty and charging.cold_starts(refused).empty
