"""What bounds an engine is told by measured ceilings, and not told without them."""

import math

import pandas as pd
import pytest

import llmresearch as lr
from llmresearch import regimes
from llmresearch.intervals import Estimate

CEILING = {"cpu": {"bytes_per_s": 1e10, "flops_per_s": {"fp32": 1e11}, "cache_bytes": 1e6}}


def call(seconds, session, phase="decode", params=1e8):
    return {"backend": "hf", "device": "cpu", "dtype": "fp32", "model": "m", "params_measured": params, "params_declared": params,
            "scenario": "s", "phase": phase, "seconds": seconds, "session": session, "tokens": 1, "batch": 1, "prompt_tokens": 64,
            "status": "ok", "kind": "sample", "contaminated": None}  # fmt: skip


def judged(seconds, **more):
    frame = pd.DataFrame([call(seconds * (1 + s / 100), s, **more) for s in (1, 2, 3)])
    return regimes.shares(frame, CEILING).iloc[0]


@pytest.mark.parametrize(
    ("seconds", "word"),
    [(0.041, "memory-bound"), (0.4, "overhead-bound"), (0.0792, "undecided"), (0.02, "beyond the limit")],  # 4e8 bytes take 0.04 s at least
)
def test_a_step_is_bound_by_what_explains_half_of_its_time(seconds, word):
    found = judged(seconds)
    assert found["regime"] == word and not found["fits_cache"]
    assert found["least_s"] == pytest.approx(0.04)


def test_a_model_that_fits_the_cache_is_marked():
    assert judged(0.01, params=1e5)["fits_cache"]


def test_a_model_whose_size_is_not_told_is_shown_and_its_regime_unknown():
    found = regimes.shares(pd.DataFrame([call(0.1, 1, params=None), call(0.1, 2, params=None)]), CEILING)
    assert found["regime"].tolist() == ["unknown"] and found.loc[0, "median_s"] == 0.1


def test_any_table_of_times_can_show_the_share_of_the_limit():
    frame = pd.DataFrame([call(seconds * (1 + s / 100), s, phase) for phase, seconds in (("decode", 0.08), ("prefill", 0.5)) for s in (1, 2, 3)])
    by_phase = regimes.beside(lr.summary(frame, ["model", "phase"]), frame, CEILING).set_index("phase")
    assert by_phase.loc["decode", "share"] == pytest.approx(0.04 / 0.0816, rel=0.01) and by_phase.loc["decode", "n"] == 3
    assert by_phase.loc["decode", "share_low"] < by_phase.loc["decode", "share"] < by_phase.loc["decode", "share_high"]
    assert regimes.beside(lr.summary(frame, ["model"]), frame, CEILING)["share"].isna().all()
    unknown = regimes.beside(lr.summary(frame, ["phase"]), frame, {})
    assert unknown["share"].isna().all() and set(unknown["regime"]) == {"unknown"}


def test_without_a_roofline_the_regime_is_unknown():
    frame = pd.DataFrame([call(0.1, 1)])
    assert regimes.shares(frame, None)["regime"].tolist() == ["unknown"]
    assert regimes.shares(frame, {"cpu": {"device": "cpu", "refused": "no memory"}})["regime"].tolist() == ["unknown"]


def test_one_session_decides_only_what_is_clear_by_a_factor_of_two():
    alone = lambda share: Estimate(share, math.nan, math.nan, 1)  # noqa: E731
    assert regimes.regime(alone(1.1), alone(0.01)) == "memory-bound"
    assert regimes.regime(alone(0.6), alone(0.01)) == "undecided"
    assert regimes.regime(alone(0.2), alone(0.9)) == "undecided"
    assert regimes.regime(alone(0.2), alone(0.01)) == "overhead-bound"


def test_nothing_measured_gives_an_empty_table():
    assert regimes.shares(pd.DataFrame([call(0.1, 1)]).iloc[:0], CEILING).empty


PROMPT = {"phase": "prefill", "params": 1e8}  # 64 tokens: at least 2 × (5e7 × 64 + 5e7) operations where half of the weights is output


def test_computing_a_prompt_is_seen_where_the_records_tell_the_output_embedding():
    frame = pd.DataFrame([call(0.1 * (1 + s / 100), s, **PROMPT) | {"cell_id": "c", "evidence": {"output_weights": 5e7}} for s in (1, 2, 3)])
    told, untold = regimes.shares(frame, CEILING).iloc[0], regimes.shares(frame.drop(columns="evidence"), CEILING).iloc[0]
    assert told["least_s"] == pytest.approx(2 * 5e7 * 65 / 1e11) and told["regime"] == "compute-bound"
    assert untold["compute"].value < 0.1


def test_points_under_the_roof_are_the_least_work_over_the_measured_time():
    frame = pd.DataFrame([call(0.1 * (1 + s / 100), s) for s in (1, 2, 3)])
    point = regimes.under_the_roof(regimes.shares(frame, CEILING), "cpu", CEILING["cpu"]).iloc[0]
    assert point["flops_per_s"] == pytest.approx(2e8 / 0.102, rel=1e-3) and point["flops_per_byte"] == pytest.approx(0.5)
    assert point["flops_per_s_low"] < point["flops_per_s"] < point["flops_per_s_high"] and point["series"] == "hf fp32 decode"


def test_nothing_stands_under_a_roof_that_was_not_measured():
    table = regimes.shares(pd.DataFrame([call(0.1, 1)]), None)
    assert regimes.under_the_roof(table, "cpu", {"device": "cpu", "refused": "no memory"}).empty


def test_a_ceiling_that_could_not_be_measured_has_its_reason():
    table = regimes.ceiling_table(CEILING | {"cuda": {"device": "cuda", "refused": "no CUDA device here"}})
    assert table["value"].tolist()[:3] == [1e10, 1e6, 1e11]
    assert table.iloc[3].tolist()[::3] == ["cuda", "no CUDA device here"] and regimes.ceiling_table(None).empty


def test_the_regimes_stand_in_the_order_of_size():
    frame = pd.DataFrame([call(0.1, 1, params=1e9) | {"model": "a"}, call(0.1, 1, params=1e8) | {"model": "b"}])
    assert regimes.shares(frame, CEILING)["model"].tolist() == ["b", "a"]


def test_a_ceiling_that_neighbours_lowered_refutes_a_claim_but_does_not_support_it():
    found = regimes.with_room(Estimate(0.7, 0.6, 0.8, 3))
    assert (found.value, found.low, found.high) == (0.7, 0.48, 0.8)
    assert math.isnan(regimes.with_room(math.nan))
