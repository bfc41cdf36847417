"""What a cost report hands to other programs, and whether its own checks would see a figure that does not add up."""

import json
import math

import pandas as pd
import pytest

import llmresearch as lr
from llmresearch import cost_files, peers
from llmresearch.cost import Cost
from llmresearch.intervals import Estimate

KEY = {"engine": "a", "model": "m", "scenario": "s"}
NOTHING = Cost(math.nan, math.nan, math.nan, 0, "session", "no counter", "own")


def rent(value, half=0.5):
    return Cost(value, value - half, value + half, 3, "session", "t", "rent")


def own(value):
    return Cost(value, value, value, 3, "session", "t", "own")


def tables(**changes):
    """The arguments of `checks` for one engine whose mix of one to one costs 3 USD: prompts 2, generated 4."""
    phases = [KEY | {"phase": name, "usd_per_million": rent(cost)} for name, cost in (("prefill", 2.0), ("decode", 4.0))]
    found = {
        "counts": pd.DataFrame({"agrees": [True, True]}),
        "phase_costs": pd.DataFrame(phases),
        "mixed": pd.DataFrame([KEY | {"sessions": 3, "usd_per_million": rent(3.1)}]),
        "mix": lr.Mix(1, 1),
        "foretold": pd.DataFrame({"ratio": [0.98]}),
        "owned": pd.DataFrame([KEY | {"purchase": own(1.0), "idle_and_upkeep": own(2.0), "energy_above_idle": own(3.0),
                                      "total": own(6.0)}]),
        "energy": pd.DataFrame({"joules_per_token": [Estimate(4.0, 3.0, 5.0, 3, "session", "t")]}),
        "sessions": 3,
    }  # fmt: skip
    return found | changes


def held(**changes):
    return cost_files.checks(**tables(**changes)).set_index("check")["holds"].tolist()


def test_a_sound_report_holds_in_every_check():
    assert held() == ["yes"] * 6


@pytest.mark.parametrize(("place", "changes"), [
    (0, {"counts": pd.DataFrame({"agrees": [True, False]})}),
    (1, {"sessions": 4}),
    (2, {"mixed": pd.DataFrame([KEY | {"sessions": 3, "usd_per_million": rent(3.6)}])}),
    (3, {"foretold": pd.DataFrame({"ratio": [0.98, 0.7]})}),
    (4, {"owned": pd.DataFrame([KEY | {"purchase": own(1.0), "idle_and_upkeep": own(2.0), "energy_above_idle": own(3.0),
                                       "total": own(6.1)}])}),
    (5, {"energy": pd.DataFrame({"joules_per_token": [Estimate(4.0, -1.0, 9.0, 3, "session", "t")]})}),
])  # fmt: skip
def test_each_check_sees_what_it_is_for(place, changes):
    assert held(**changes) == ["no" if i == place else "yes" for i in range(6)]


def test_where_nothing_was_measured_no_check_holds_but_the_count():
    gone = {
        "phase_costs": pd.DataFrame(columns=[*KEY, "phase", "usd_per_million"]), "foretold": pd.DataFrame({"ratio": []}),
        "mixed": pd.DataFrame(columns=[*KEY, "sessions", "usd_per_million"]), "owned": pd.DataFrame({"total": []}),
        "energy": pd.DataFrame({"joules_per_token": []}),
    }  # fmt: skip
    assert held(**gone) == ["yes"] + ["not measured"] * 5


def test_a_price_without_an_interval_or_a_phase_is_not_checked():
    lonely = [KEY | {"phase": "prefill", "usd_per_million": rent(2.0)}]
    assert held(phase_costs=pd.DataFrame(lonely))[2] == "not measured"
    unsure = pd.DataFrame([KEY | {"sessions": 3, "usd_per_million": rent(9.0, math.nan)}])
    assert held(mixed=unsure)[2] == "not measured"


def test_an_unknown_total_is_not_checked():
    parts = {"purchase": own(1.0), "idle_and_upkeep": own(2.0), "energy_above_idle": NOTHING, "total": NOTHING}
    assert held(owned=pd.DataFrame([KEY | parts]))[4] == "not measured"


def test_a_table_becomes_rows_whose_estimates_keep_interval_and_kind():
    found = cost_files.analysis({"usd_per_hour": 1.0}, mix=tables()["mixed"])
    row = {"value": 3.1, "ci_95": [2.6, 3.6], "n": 3, "kind": "rent"}
    assert found == {"usd_per_hour": 1.0, "mix": [KEY | {"sessions": 3, "usd_per_million": row}]}
    assert json.loads(json.dumps(found)) == found


def test_statistics_hold_tests_of_seconds_and_dollars_by_phase(tmp_path):
    params = {"study": "s", "models": ["fake-1m"], "sessions": 2, "repetitions": 2, "phases": ["prefill"],
              "backends": [{"name": "fake"}, {"name": "fake", "label": "slow", "slowdown": 2.0}]}  # fmt: skip
    frame = peers.named(lr.read(lr.measure(lr.plan(params), tmp_path / "raw.jsonl", progress=False)))
    found = cost_files.statistics(frame, peers.pairs(frame), peers.anovas(frame), 1.0, tables()["phase_costs"])
    assert {"summaries", "pairwise", "anova", "usd_per_million"} <= set(found)
    assert [row["usd_per_million"]["value"] for row in found["usd_per_million"]] == [2.0, 4.0]
    assert (found["anova"][0]["sessions"], len(found["pairwise"])) == (2, 1)
