"""Raw lines become rows, and counts must agree with the plan."""

import json

import numpy as np
import pandas as pd
import pytest

import llmresearch as lr
from llmresearch import records
from llmresearch.records import RawFileError, call_line, cell_line

PARAMS = {"study": "s", "models": ["fake-1m"], "backends": ["fake"], "phases": ["prefill"], "repetitions": 2, "warmup": 1}
CELLS = lr.plan(PARAMS | {"sessions": 2})
NAME = CELLS[0].cell_id


def lines(session, status="ok", samples=2, contaminated=None):
    who = {"cell_id": NAME, "session": session}
    kinds = ["first", "warmup"] + ["sample"] * samples
    calls = [call_line(**who, phase="prefill", kind=kind, index=i, seconds=0.5 + i, tokens=16, contaminated=contaminated,
                       telemetry={"rss_bytes": 2**20, "others_cores": 0.25}) for i, kind in enumerate(kinds)]  # fmt: skip
    about = {"backend": "fake", "device": "cpu", "dtype": "fp32", "model": "fake-1m", "scenario": "short", "study": "s"}
    return calls + [cell_line(**who, **about, status=status, reason=None if status == "ok" else "broke", evidence={"stop": "fixed"})]


@pytest.fixture
def raw(tmp_path):
    return tmp_path / "raw.jsonl"


def test_each_call_is_a_row_with_its_cell_beside_it(raw):
    records.append(raw, lines(1))
    frame = lr.read(raw)
    assert list(frame["kind"]) == ["first", "warmup", "sample", "sample"]
    assert set(frame["backend"]) == {"fake"} and list(frame["seconds"]) == [0.5, 1.5, 2.5, 3.5]
    assert set(frame["rss_bytes"]) == {2**20} and set(frame["others_cores"]) == {0.25}


def test_a_cell_without_calls_is_one_row_with_no_phase(raw):
    records.append(raw, lines(1)[-1:])
    frame = lr.read(raw)
    assert len(frame) == 1 and frame["phase"].isna().all()


def test_gzip_and_plain_files_give_the_same_frame(raw, tmp_path):
    packed = tmp_path / "raw.jsonl.gz"
    for path in (raw, packed):
        records.append(path, lines(1))
        records.append(path, lines(2))
    pd.testing.assert_frame_equal(lr.read(raw), lr.read(packed))


def test_a_frame_survives_parquet(raw, tmp_path):
    records.append(raw, lines(1))
    frame = lr.read(raw)
    frame.drop(columns=["evidence", "failure", "output_ids"]).to_parquet(tmp_path / "raw.parquet")
    assert list(lr.read(tmp_path / "raw.parquet")["seconds"]) == [0.5, 1.5, 2.5, 3.5]


def test_several_raw_files_are_read_as_one(raw, tmp_path):
    records.append(raw, lines(1))
    records.append(tmp_path / "b.jsonl", lines(2))
    assert set(lr.read([raw, tmp_path / "b.jsonl"])["session"]) == {1, 2}


def test_a_line_that_was_never_finished_is_left_out(raw):
    records.append(raw, lines(1))
    with open(raw, "ab") as stream:
        stream.write(records.encode(lines(2)[0]) + b'{"schema": 1, "rec')
    assert set(lr.read(raw)["session"]) == {1}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"schema": 2, "record": "call"}', "line 6: schema 2"),
        ("not json", "line 6: not JSON"),
        (json.dumps(call_line(cell_id="a") | {"seconds": "soon"}), "values of another type"),
    ],
)
def test_damage_is_refused_with_its_line(raw, text, sentence):
    records.append(raw, lines(1))
    with open(raw, "a") as stream:
        stream.write(text + "\n")
    records.append(raw, lines(2))
    with pytest.raises(RawFileError, match=sentence):
        lr.read(raw)


def test_blocks_do_not_change_what_is_read(raw, monkeypatch):
    from llmresearch import frames

    for session in (1, 2):
        records.append(raw, lines(session, samples=30))
    whole = lr.read(raw)
    monkeypatch.setattr(frames, "BLOCK", 3000)
    pd.testing.assert_frame_equal(lr.read(raw), whole)


def test_steady_leaves_out_first_calls_warm_up_and_contaminated_samples(raw):
    records.append(raw, lines(1))
    records.append(raw, lines(2, contaminated="other processes used 1.00 of 2 cores"))
    frame = lr.read(raw)
    assert len(lr.samples(frame)) == 4 and len(lr.steady(frame)) == 2 and len(lr.first_calls(frame)) == 2


def test_samples_that_said_when_to_stop_need_a_higher_level(raw):
    found = lines(1, samples=15)
    found[-1]["evidence"] = {"stop": "interval"}
    records.append(raw, found)
    frame = lr.read(raw)
    # fifteen samples: two looks (at 7 and 14), so 1 - 0.05 / (2 × 3)
    assert np.isclose(lr.samples(frame)["interval_level"], 1 - 0.05 / 6).all()


def test_coverage_says_what_became_of_the_plan(raw):
    records.append(raw, lines(1))
    (row,) = lr.coverage(lr.read(raw), CELLS).to_dict("records")
    assert (row["planned"], row["ok"], row["missing"], row["samples"]) == (2, 1, 1, 2)
    records.append(raw, lines(2, status="failed"))
    (row,) = lr.coverage(lr.read(raw), CELLS).to_dict("records")
    assert (row["failed"], row["missing"], row["reason"]) == (1, 0, "broke")


def test_counts_agree_when_all_that_was_planned_is_there(raw):
    records.append(raw, lines(1))
    records.append(raw, lines(2, status="failed"))
    counts = lr.check_counts(lr.read(raw), CELLS).set_index("quantity")
    assert counts["agrees"].all()
    assert counts.loc["prefill samples", ["planned", "found", "lost"]].tolist() == [4, 2, 2]


def test_counts_disagree_when_a_record_is_missing_or_a_report_shows_another_total(raw):
    records.append(raw, lines(1))
    records.append(raw, lines(2, samples=1))
    counts = lr.check_counts(lr.read(raw), CELLS).set_index("quantity")
    assert not counts.loc["samples", "agrees"] and counts.loc["cells", "agrees"]
    shown = lr.check_counts(lr.read(raw), CELLS, {"cells": 3}).set_index("quantity")
    assert not shown.loc["cells", "agrees"]


def test_the_original_study_plans_720_records():
    # TR118: 6 backends × 6 scenarios × 5 repetitions × 2 modes × 2 models
    scenarios = [{"name": name} for name in ("micro", "short", "medium", "long", "batch_short", "batch_medium")]
    backends = [{"name": "fake", "label": str(i)} for i in range(6)]
    cells = lr.plan({"study": "tr118", "models": ["tiny-gpt2", "gpt2"], "backends": backends, "scenarios": scenarios,
                     "phases": ["prefill", "generate"], "repetitions": 5})  # fmt: skip
    counts = lr.check_counts(_empty(), cells).set_index("quantity")
    assert counts["planned"].to_dict() == {"cells": 72, "prefill samples": 360, "generate samples": 360, "samples": 720}


def _empty():
    return pd.DataFrame(columns=["cell_id", "session", "status", "kind", "phase"])


@pytest.mark.parametrize("evidence, proven", [
    ({"engine": "tensorrt", "version": "8.6.0", "layers": {"unsaid": 1, "fp32": 1}, "dtype": "fp32"}, "fp32"),
    ({"engine": "tensorrt", "version": "8.6.0", "layers": {"unsaid": 49, "fp16": 48, "fp32": 1}, "dtype": "fp16"}, None),
    ({"engine": "tensorrt", "version": "8.6.0", "layers": {"copy": 96, "fp16": 2}, "dtype": "fp16"}, "fp16"),
    ({"engine": "tensorrt", "version": "10.13.0", "layers": {"unsaid": 98}, "dtype": "fp16"}, "fp16"),
    ({"engine": "transformers", "dtype": "fp32"}, "fp32"), ({}, None),
])  # fmt: skip
def test_a_precision_is_proven_by_what_the_engine_says_and_not_by_what_it_was_given(evidence, proven):
    assert lr.frames.proven_dtype(evidence) == proven
