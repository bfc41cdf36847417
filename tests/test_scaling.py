"""Points, laws and decisions of a family of models with a known law."""

import numpy as np
import pandas as pd
import pytest

import llmresearch as lr
from llmresearch import scaling

SIZES = [1, 2, 5, 10, 20, 50, 100, 200]
OVERHEAD, PER_PARAMETER = 400e-6, 2e-11  # seconds: the law of the fake engine, per forward and per parameter and token
PARAMS = {"study": "s", "models": [f"fake-{n}m" for n in [*SIZES, 400]], "sessions": 2, "repetitions": 3, "warmup": 0,
          "scenarios": [{"name": "short", "prompt_tokens": 10, "new_tokens": 4}]}  # fmt: skip


@pytest.fixture(scope="module")
def frame(tmp_path_factory):
    raw = tmp_path_factory.mktemp("raw") / "raw.jsonl"
    quiet = {"name": "fake", "noise": 0.001}
    return lr.read(lr.measure(lr.plan(PARAMS | {"backends": [quiet]}), raw, progress=False))


@pytest.fixture(scope="module")
def family(frame):
    points = scaling.scaling_points(frame)
    return points[points["params_measured"] <= 200e6]


def test_points_are_medians_by_size(frame):
    points = scaling.scaling_points(frame, "short", ["prefill"])
    assert list(points["params_measured"]) == [n * 1e6 for n in [*SIZES, 400]]
    truth = OVERHEAD + points["params_measured"] * 10 * PER_PARAMETER
    assert np.allclose(points["median"], truth, rtol=0.005)


def test_overhead_and_work_is_preferred_where_it_is_the_truth(family):
    rivals = scaling.rival_laws(family)
    best = rivals[rivals["delta"] == 0]
    assert set(best["law"]) == {"overhead + work"} and len(best) == 3
    assert set(scaling.law_table(family)["verdict"]) == {"rejected"}


def test_a_law_is_asked_again_where_another_scenario_measured_enough_sizes(frame):
    family = [f"fake-{n}m" for n in SIZES]
    assert scaling.laws_elsewhere(frame, family, "short").empty
    batched = frame[frame["model"].isin(family[:5]) & (frame["phase"] == "decode")].assign(scenario="batch-8", batch=8)
    found = scaling.laws_elsewhere(pd.concat([frame, batched]), family, "short").set_index(["series", "phase"])
    assert found.loc[("fake cpu fp32 batch-8", "decode"), ["n", "verdict"]].tolist() == [5, "too few sizes"]
    assert found.loc[("fake cpu fp32 short", "decode"), "n"] == 8
    three = batched[batched["model"].isin(family[:3])]
    assert scaling.laws_elsewhere(pd.concat([frame, three]), family, "short").empty


def test_a_model_beyond_the_family_is_foretold_and_labelled(frame, family):
    points = scaling.scaling_points(frame)
    found = scaling.foretold(family, points[points["model"] == "fake-400m"])
    assert set(found["label"]) == {"extrapolated"} and (found["ratio"] > 1).all()
    assert set(found["law"]) == {"rejected"}
    within = [e.low <= seconds <= e.high for e, seconds in zip(found["foretold_s"], found["measured_s"])]
    assert found["inside"].tolist() == within


def test_growth_compares_the_largest_with_the_smallest(frame):
    found = scaling.growth(frame, [f"fake-{n}m" for n in SIZES], "short").set_index("phase")
    truth = (OVERHEAD + 200e6 * 10 * PER_PARAMETER) / (OVERHEAD + 1e6 * 10 * PER_PARAMETER)
    times = found.loc["prefill", "times"]
    assert found.loc["prefill", "sizes"] == 200 and times.value == pytest.approx(truth, rel=0.005)
    assert found.loc["prefill", "relative"].value == pytest.approx(truth / 200, rel=0.005)


def test_growth_from_one_session_has_no_interval_whatever_its_calls_say(frame):
    calls = frame[(frame["session"] == 1) | (frame["model"] != "fake-1m")]
    found = scaling.growth(calls, [f"fake-{n}m" for n in SIZES], "short").set_index("phase").loc["decode"]
    for known in (found["times"], found["relative"]):
        assert known.value > 0 and np.isnan([known.low, known.high]).all() and known.n == 1
        assert "no replication" in known.method


def test_a_larger_model_that_takes_less_time_than_its_neighbour_is_named():
    points = pd.DataFrame({"engine": "e", "phase": "decode", "model": ["a", "b", "c"], "params_measured": [1.0, 2.0, 3.0],
                           "median": [4.0, 1.0, 3.0]})  # fmt: skip
    (row,) = scaling.inversions(points).to_dict("records")
    assert (row["smaller"], row["larger"], row["times"]) == ("a", "b", 0.25)
    assert scaling.inversions(points.iloc[1:]).empty


def test_a_step_costs_the_same_at_any_length(frame):
    points = scaling.per_token(scaling.scaling_points(frame, "short", ["decode"])).set_index("model")
    assert points.loc["fake-10m", "median"] == pytest.approx(OVERHEAD + 10e6 * PER_PARAMETER, rel=0.005)


def test_a_latency_goal_is_met_missed_or_undecided():
    row = {"engine": "e", "params_measured": 1e6, "scenario": "s", "prompt_tokens": 4, "new_tokens": 10}
    decode = row | {"phase": "decode", "model": "a", "median": 1.0, "low": 0.9, "high": 1.1}
    prefill = row | {"phase": "prefill", "model": "a", "median": 0.5, "low": 0.4, "high": 0.6}
    points = pd.DataFrame([decode, prefill])
    assert scaling.within_budget(points, 0.7, 0.2)["verdict"].tolist() == ["fits"]
    assert scaling.within_budget(points, 0.5, 0.2)["verdict"].tolist() == ["undecided"]
    assert scaling.within_budget(points, 0.7, 0.05)["verdict"].tolist() == ["too slow"]


@pytest.mark.parametrize("told", [{"low": np.nan, "high": np.nan}, {"low": 0.99, "high": 1.01, "sessions": 1}])
def test_without_sessions_to_compare_a_median_must_be_clear_of_its_goal_by_a_factor_of_two(told):
    row = {"engine": "e", "params_measured": 1e6, "scenario": "s", "prompt_tokens": 4, "new_tokens": 10, "model": "a"}
    points = pd.DataFrame([row | {"phase": phase, "median": 1.0} | told for phase in ("prefill", "decode")])
    verdicts = [scaling.within_budget(points, goal, 9.0)["verdict"][0] for goal in (2.0, 1.9, 0.5, 0.49)]
    assert verdicts == ["fits", "undecided", "undecided", "too slow"]


def test_a_phase_that_was_not_measured_does_not_make_a_model_fit_and_an_unknown_size_is_shown():
    row = {"engine": "e", "params_measured": np.nan, "scenario": "s", "prompt_tokens": 4, "new_tokens": 10, "model": "a"}
    points = pd.DataFrame([row | {"phase": "prefill", "median": 1.0, "low": 0.9, "high": 1.1}])
    assert scaling.within_budget(points, 9.0, 9.0)["verdict"].tolist() == ["undecided"]
    assert scaling.within_budget(points, 0.1, 9.0)["verdict"].tolist() == ["too slow"]


def test_the_same_ids_in_every_session_are_seen(frame):
    assert scaling.same_outputs(frame)["same_ids"].all()


def ablated(**changed):
    base = {"backend": "b", "device": "cpu", "dtype": "fp32", "model": "m", "params_measured": 1e6, "scenario": "short", "session": 1,
            "phase": "decode", "prompt_tokens": 8, "new_tokens": 4, "batch": 1, "tokens": 4, "kind": "sample", "status": "ok",
            "contaminated": None, "seconds": 4.0}  # fmt: skip
    return base | changed


def test_a_batch_gives_more_tokens_a_second_where_a_step_costs_the_same():
    calls = [ablated(), ablated(scenario="batch-4", batch=4, tokens=16), ablated(model="other"), ablated(scenario="sweep-8", new_tokens=8)]
    found = scaling.ablation(pd.DataFrame(calls), "short", "batch")
    assert found[["model", "batch", "median", "rate", "gain"]].values.tolist() == [["m", 1, 1.0, 1.0, 1.0], ["m", 4, 1.0, 4.0, 4.0]]


def test_a_prompt_is_one_forward_and_its_tokens_all_count():
    calls = [ablated(phase="prefill", tokens=8), ablated(phase="prefill", scenario="length-32", prompt_tokens=32, tokens=32, seconds=8.0)]
    found = scaling.ablation(pd.DataFrame(calls), "short", "prompt_tokens")
    assert found[["median", "rate", "gain"]].values.tolist() == [[4.0, 2.0, 1.0], [8.0, 4.0, 2.0]]


def test_an_ablation_that_was_not_measured_is_an_empty_table():
    assert scaling.ablation(pd.DataFrame([ablated()]), "short", "batch").empty


def test_one_size_does_not_grow_and_a_plan_that_failed_leaves_its_claim_unmeasured():
    cells = lr.plan(PARAMS | {"backends": ["fake"], "phases": ["decode"], "sessions": 1})
    one = pd.DataFrame([ablated(backend="fake", scenario="short")])
    assert scaling.growth(one, ["m"], "short").empty
    found = scaling.growth(one, [f"fake-{n}m" for n in SIZES], "short", cells=cells)
    assert found["engine"].tolist() == ["fake cpu fp32"] and np.isnan(found["times"][0].value)


def test_the_ends_are_the_smallest_and_the_largest_model_of_each_engine(frame):
    assert set(scaling.ends(scaling.scaling_points(frame))["model"]) == {"fake-1m", "fake-400m"}


def test_lines_are_named_in_words_and_stand_by_size():
    table = pd.DataFrame({"backend": ["b", "b"], "model": ["large", "small"], "params_measured": [2.0, 1.0]})
    assert scaling.named(table, "backend", "model")["series"].tolist() == ["b small", "b large"]


def test_a_request_without_calls_has_no_share_of_decode(frame):
    assert scaling.decode_fractions(frame.iloc[:0]).empty


def test_models_without_a_declared_size_are_not_called_right(frame):
    assert set(scaling.identities(frame)["agrees"]) == {"not declared"}


def test_a_frame_without_calls_gives_empty_points(frame):
    assert scaling.scaling_points(frame.iloc[:0]).empty


def test_decodes_share_of_a_request_is_made_within_each_session():
    calls = pd.DataFrame([
        {"backend": "fake", "device": "cpu", "dtype": "fp32", "model": "m", "scenario": "s", "prompt_tokens": 8, "new_tokens": 4,
         "session": session, "phase": phase, "kind": "sample", "status": "ok", "contaminated": None, "seconds": seconds}
        for session, prefill, decode in ((1, 1.0, 3.0), (2, 1.0, 1.0), (3, 2.0, 2.0)) for phase, seconds in (("prefill", prefill), ("decode", decode))
    ])  # fmt: skip
    row = scaling.decode_fractions(calls).iloc[0]
    assert row["share"] == pytest.approx((0.75 + 0.5 + 0.5) / 3)
    half = 4.302653 * np.std([0.75, 0.5, 0.5], ddof=1) / 3**0.5
    assert (row["low"], row["high"], row["sessions"]) == (pytest.approx(row["share"] - half), pytest.approx(row["share"] + half), 3)


def test_one_session_has_no_interval_of_decodes_share():
    calls = pd.DataFrame([
        {"backend": "fake", "device": "cpu", "dtype": "fp32", "model": "m", "scenario": "s", "prompt_tokens": 8, "new_tokens": 4,
         "session": 1, "phase": phase, "kind": "sample", "status": "ok", "contaminated": None, "seconds": 1.0}
        for phase in ("prefill", "decode")
    ])  # fmt: skip
    assert np.isnan(scaling.decode_fractions(calls).iloc[0][["low", "high"]].astype(float)).all()
