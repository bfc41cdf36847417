"""Requests that are said to run at the same time do, and each has its own prompt."""

import math

import pytest

import llmresearch as lr
from llmresearch import peers, records

PLAN = {"study": "s", "models": ["tiny-gpt2"], "repetitions": 3, "warmup": 1, "phases": ["prefill", "decode", "e2e"]}
DUAL = [{"name": "dual", "prompt_tokens": 9, "new_tokens": 4, "concurrency": 2}]


def measured(raw, **params):
    lr.measure(lr.plan(PLAN | params), raw, progress=False)
    return records.cells(raw), lr.samples(lr.read(raw))


def test_two_requests_that_spin_take_the_time_of_one_where_there_are_two_cores(tmp_path):
    spinning = {"name": "fake", "real": True, "noise": 0.0}
    scenarios = [*DUAL, {"name": "one", "prompt_tokens": 9, "new_tokens": 4}]
    (dual, one), calls = measured(tmp_path / "raw.jsonl", backends=[spinning], models=["fake-1m"], scenarios=scenarios)
    assert {c["status"] for c in (dual, one)} == {"ok"}
    assert calls.query("scenario == 'dual' and phase == 'prefill'")["tokens"].tolist() == [18, 18, 18]
    ends = calls.query("scenario == 'dual'")["request_seconds"].tolist()
    assert all(len(each) == 2 for each in ends) and calls.query("scenario == 'one'")["request_seconds"].isna().all()
    assert all(max(each) <= seconds for each, seconds in zip(ends, calls.query("scenario == 'dual'")["seconds"]))


def test_each_of_two_requests_has_a_first_token_and_the_gaps_after_it(tmp_path):
    spinning = {"name": "fake", "real": True, "noise": 0.0}
    (dual,), calls = measured(tmp_path / "raw.jsonl", backends=[spinning], models=["fake-1m"], scenarios=DUAL)
    whole = calls.query("phase == 'e2e'")
    for told, ends in zip(whole["request_token_seconds"], whole["request_seconds"]):
        assert [len(gaps) for gaps in told] == [4, 4] and min(map(min, told)) > 0
        assert all(sum(gaps) <= end for gaps, end in zip(told, ends))
    undisturbed = lr.read(tmp_path / "raw.jsonl").assign(contaminated=None)
    (row,) = peers.together(peers.named(undisturbed)).to_dict("records")
    assert 0 < row["token_s"] < row["request_s"] and 0 < row["ttft_s"] < row["request_s"] <= row["wall_s"]


def test_virtual_clocks_share_no_time_so_a_request_beside_another_has_no_first_token(tmp_path):
    _, calls = measured(tmp_path / "raw.jsonl", backends=["fake"], models=["fake-1m"], scenarios=DUAL)
    assert calls["request_token_seconds"].isna().all()
    (row,) = peers.together(peers.named(lr.read(tmp_path / "raw.jsonl"))).to_dict("records")
    assert math.isnan(row["ttft_s"]) and math.isnan(row["token_s"])


def test_each_request_has_its_own_prompt_and_gets_the_answer_it_would_get_alone(tmp_path):
    model = {"models": ["gpt2-5m"], "backends": ["hf"]}
    (dual,), calls = measured(tmp_path / "dual.jsonl", **model, scenarios=DUAL)
    alone = [{"name": "alone", "prompt_tokens": 9, "new_tokens": 4, "prompts": 2}]
    cells, _ = measured(tmp_path / "alone.jsonl", **model, scenarios=alone)
    answers = {cell["prompt"]: cell["output_ids"][0] for cell in cells}
    assert dual["status"] == "ok" and dual["concurrency"] == 2
    assert dual["output_ids"] == [answers[0], answers[1]]
    assert dual["evidence"]["concurrency"]["requests"] == 2


def test_a_request_that_breaks_beside_another_fails_its_cell_and_nothing_hangs(tmp_path):
    broken = {"name": "fake", "fail": "decode"}
    (cell,), _ = measured(tmp_path / "raw.jsonl", backends=[broken], models=["fake-1m"], scenarios=DUAL)
    assert cell["status"] == "failed" and "CUDA out of memory" in cell["reason"]


@pytest.mark.parametrize("engine", ["hf", "ort"])
def test_windows_are_scored_once_per_token_and_alike_by_every_engine(tmp_path, engine):
    pytest.importorskip("onnxruntime" if engine == "ort" else "torch")
    score = {"text": "seeded", "window": 32, "stride": 16, "tokens": 100}
    (cell,), _ = measured(tmp_path / "raw.jsonl", backends=[engine], score=score, phases=["prefill"])
    scores = cell["evidence"]["scored"]["scores"]
    assert sum(tokens for _, tokens in scores) == 99
    assert sum(nll for nll, _ in scores) / 99 == pytest.approx(10.82, abs=0.02)  # ln 50,257: random weights guess evenly


def test_a_text_that_is_not_in_the_package_or_a_stride_as_long_as_the_window_is_refused():
    with pytest.raises(lr.LlmResearchError, match="score: stride 64 with window 64"):
        lr.plan({"score": {"window": 64, "stride": 64}})
    with pytest.raises(lr.LlmResearchError, match="score: unknown key 'windows'. Did you mean 'window'"):
        lr.plan({"score": {"windows": 64}})


def test_a_plan_that_scores_nothing_names_its_cells_as_before():
    assert lr.plan({"models": ["fake-1m"]})[0].cell_id == "fake/cpu/fp32/fake-1m/short/p0/" + lr.plan(
        {"models": ["fake-1m"], "score": None, "energy_window_s": None})[0].cell_id.rsplit("/", 1)[1]
    assert lr.plan({"score": {}})[0].cell_id != lr.plan({})[0].cell_id
