"""The checks of this machine, at counts that take a second; each also fails where what it checks is broken."""

import json

import pytest

from llmresearch import selfcheck
from llmresearch.selfcheck import footprint, interference, phases, timer, warmup


def test_every_registered_check_is_a_function_of_its_file():
    for place in selfcheck.CHECKS.values():
        module, function = place.split(".")
        found = getattr(__import__(f"llmresearch.selfcheck.{module}", fromlist=[module]), function)
        assert callable(found)


def test_the_timer_check_has_a_row_per_length_in_order():
    found = timer.run(seconds=(1e-4, 0.0), calls=30)
    assert [row["length_s"] for row in found["rows"]] == [0.0, 1e-4]
    assert found["passed"] == all(row["passed"] for row in found["rows"])


NS = [100, 101, 99, 100, 102, 98, 100, 101, 99, 100] * 3


def timer_row(ours, bare=NS, empty=NS, length=1e-3):
    return timer._row(length, ours, bare, empty)


def test_a_clock_that_adds_nothing_passes():
    assert timer_row(NS)["passed"]


def test_a_clock_that_costs_two_hundred_nanoseconds_more_than_a_bare_pair_fails():
    assert not timer_row([x + 200 for x in NS], empty=[x + 200 for x in NS])["passed"]
    assert timer_row([x + 140 for x in NS], empty=[x + 140 for x in NS])["passed"]


def test_a_bias_of_two_microseconds_in_a_millisecond_fails():
    slow = [x + 2000 for x in NS]
    assert not timer_row(slow, bare=slow)["passed"]


def test_the_footprint_is_what_parent_and_worker_use_beside_the_calls():
    found = footprint.run(seconds=0.5)
    assert found["samples"] == 25 + 1 + 2 and found["parent_cores"] >= 0
    assert found["passed"] == (found["parent_cores"] + found["worker_cores"] <= 0.005)


def window(seconds, own_cores, window_s=1.0):
    return [{"seconds": seconds, "telemetry": {"window_s": window_s, "own_cores": own_cores}}]


def test_the_first_window_holds_the_start_and_is_not_counted():
    marks = [(0.0, 5.0), (1.0, 5.001), (2.0, 5.002)]
    found = footprint._result(marks, [window(0.1, 9.0), window(0.9, 0.901), window(0.9, 0.901)])
    assert found["passed"]
    assert (found["parent_cores"], found["worker_cores"]) == (pytest.approx(0.001), pytest.approx(0.001))


def test_a_parent_that_polls_fails_the_footprint():
    found = footprint._result([(0.0, 0.0), (2.0, 0.1)], [window(0.1, 0.1), window(0.9, 0.9)])
    assert not found["passed"] and found["parent_cores"] == 0.05


@pytest.fixture
def machine(monkeypatch):
    """A machine whose ledger is what the test says: cores used by others, flags beside a spinner and without."""

    def simulate(ambient, beside, quiet):
        monkeypatch.setattr(interference, "_ambient", lambda: ambient)
        monkeypatch.setattr(interference, "_run", lambda disturbed, seconds: list(beside if disturbed else quiet))
        return interference.run()

    return simulate


def test_a_ledger_that_sees_every_spinner_and_nothing_else_passes(machine):
    found = machine(0.01, [True] * 50, [False] * 50)
    assert found["passed"] and (found["recall"], found["false_flags"], found["samples"]) == (1.0, 0.0, 400)


def test_a_ledger_that_misses_one_in_fifty_fails(machine):
    assert not machine(0.01, [True] * 49 + [False], [False] * 50)["passed"]


def test_a_ledger_that_flags_one_quiet_sample_in_fifty_fails(machine):
    assert not machine(0.01, [True] * 50, [False] * 49 + [True])["passed"]


def test_on_a_busy_machine_false_flags_are_not_judged_and_the_check_says_so(machine):
    found = machine(0.6, [True] * 50, [True] * 50)
    assert not found["passed"] and found["why"] == "other processes use 0.60 cores: false flags cannot be judged"


def test_half_the_runs_are_disturbed_in_an_order_of_chance(monkeypatch):
    order = []
    monkeypatch.setattr(interference, "_ambient", lambda: 0.0)
    monkeypatch.setattr(interference, "_run", lambda disturbed, seconds: order.append(disturbed) or [disturbed])
    interference.run(runs=8)
    assert sorted(order) == [False] * 4 + [True] * 4 and order != [True, False] * 4


def test_a_spinning_cell_takes_the_time_it_is_asked_for():
    cell = footprint.spinning_cell(3, 0.02)
    # 400 µs + 980 million parameters × 0.02 ns = 20 ms
    assert (cell.model, cell.repetitions, cell.options["real"]) == ("fake-980m", 3, True)


def test_the_phases_of_the_virtual_engine_add_up():
    found = phases.run(backend="fake")
    assert found["passed"] and found["calls"] > 0 and found["worst_residual_s"] <= 1e-9


def test_a_gap_that_nobody_recorded_fails_the_phases(monkeypatch):
    honest = phases.read
    monkeypatch.setattr(phases, "read", lambda raw: honest(raw).assign(gap_seconds=lambda f: f["gap_seconds"] - 2e-6))
    found = phases.run(backend="fake")
    assert not found["passed"] and found["worst_residual_s"] == pytest.approx(2e-6)


def test_warm_up_ends_where_the_series_is_steady_and_does_not_where_it_never_is():
    found = warmup.run(series=8)
    assert found["passed"] and set(found["mean_bias_by_tau"]) == {1, 3, 10, 25, 50}


def test_a_warm_up_that_ends_at_once_leaves_a_bias(monkeypatch):
    monkeypatch.setattr(warmup, "warm", lambda *_: True)
    assert not warmup.run(series=4)["passed"]


def test_every_result_can_be_written_as_json():
    for found in (phases.run(backend="fake"), warmup.run(series=2)):
        json.dumps(found)
