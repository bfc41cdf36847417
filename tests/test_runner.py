"""Workers die, hang and fail; the run goes on, and nothing that was measured is lost."""

import json
from types import SimpleNamespace

import pytest

import llmresearch as lr
from llmresearch import provenance, records, runner, worker
from llmresearch.records import RawFileError
from llmresearch.worker_process import WorkerNotStarted

SMALL = {"study": "s", "models": ["fake-1m"], "repetitions": 3, "warmup": 1, "phases": ["prefill", "decode"]}


def measured(params, raw):
    lr.measure(lr.plan(SMALL | params), raw, progress=False)
    return records.cells(raw)


@pytest.fixture
def raw(tmp_path):
    return tmp_path / "raw.jsonl"


def test_a_cell_leaves_its_first_call_its_warm_up_and_its_samples(raw):
    (cell,) = measured({}, raw)
    kinds = [(line["phase"], line["kind"]) for line in records.lines(raw) if line["record"] == "call"]
    each = ["first", "warmup", "sample", "sample", "sample"]
    assert kinds == [(phase, kind) for phase in ("prefill", "decode") for kind in each]
    assert cell["status"] == "ok" and cell["evidence"]["engine"] == "fake" and len(cell["output_ids"][0]) == 8


def test_a_cell_tells_how_long_its_process_took_to_be_ready(raw):
    first, second = measured({"sessions": 2}, raw)
    assert 0 < first["evidence"]["ready_seconds"] != second["evidence"]["ready_seconds"] > 0


def test_the_weights_that_only_an_answered_token_passes_stand_beside_the_evidence():
    (cell,), identity = lr.plan(SMALL), SimpleNamespace(weights="random", vocab=100, hidden=8)
    said = runner._said(cell, {"evidence": {"engine": "e"}}, None, identity, 1.5)
    assert said["evidence"] == {"engine": "e", "ready_seconds": 1.5, "model_weights": "random", "output_weights": 800}


def test_the_virtual_law_is_measured_to_the_nanosecond(raw):
    measured({"backends": [{"name": "fake", "noise": 0.0}]}, raw)
    frame = lr.read(raw)
    # 400 µs overhead, 1e6 parameters × 16 tokens × 0.02 ns
    assert set(frame.query("phase == 'prefill'")["seconds"]) == {0.00072}
    # eight steps of 400 µs + 1e6 × 1 × 0.02 ns
    assert set(frame.query("phase == 'decode'")["seconds"]) == {0.00336}


def test_running_again_measures_only_what_is_missing(raw):
    measured({"sessions": 1}, raw)
    before = raw.read_bytes()
    assert len(measured({"sessions": 3}, raw)) == 3
    assert raw.read_bytes().startswith(before)
    whole = raw.read_bytes()
    measured({"sessions": 3}, raw)
    assert raw.read_bytes() == whole


def test_a_raw_file_that_was_cut_short_is_completed(raw):
    measured({"sessions": 2}, raw)
    data = raw.read_bytes()
    raw.write_bytes(data[:-50])
    assert len(measured({"sessions": 2}, raw)) == 2
    assert lr.check_counts(lr.read(raw), lr.plan(SMALL | {"sessions": 2}))["agrees"].all()


def test_a_worker_that_dies_costs_one_cell_and_keeps_the_calls_it_had_made(raw):
    two = [{"name": "short", "prompt_tokens": 4, "new_tokens": 2}, {"name": "long", "prompt_tokens": 9, "new_tokens": 2}]
    cells = measured({"backends": [{"name": "fake", "die": "decode"}], "scenarios": two}, raw)
    assert [c["status"] for c in cells] == ["failed", "failed"]
    assert "exit code 9" in cells[0]["reason"]
    assert sum(line["record"] == "call" for line in records.lines(raw)) == 2 * 5


def test_a_worker_that_hangs_is_ended_and_recorded(raw):
    (cell,) = measured({"backends": [{"name": "fake", "hang": "decode"}], "timeout_s": 1.5}, raw)
    assert (cell["status"], cell["failure"]["kind"]) == ("timeout", "timeout")
    assert "within 1.5 s" in cell["reason"]
    assert sum(line["record"] == "call" for line in records.lines(raw)) == 5


def test_an_engine_that_raises_gives_a_classified_failure_and_the_next_backend_runs(raw):
    broken = {"name": "fake", "label": "broken", "fail": "decode", "message": "CUDA out of memory. Tried to allocate 2 GiB"}
    cells = measured({"backends": ["fake", broken]}, raw)
    by = {c["backend"]: c for c in cells}
    assert by["fake"]["status"] == "ok"
    assert by["fake:broken"]["failure"]["cause"] == "out of memory"
    assert "Tried to allocate" in by["fake:broken"]["reason"]


def test_a_refusal_is_a_record_with_its_reason(raw):
    (cell,) = measured({"backends": [{"name": "fake", "refuse": "needs a moon"}]}, raw)
    assert (cell["status"], cell["reason"]) == ("refused", "needs a moon")


def test_an_interpreter_that_is_not_there_is_one_sentence(raw):
    with pytest.raises(WorkerNotStarted, match="/no/python could not be started .No such file"):
        measured({"backends": [{"name": "fake", "python": "/no/python"}]}, raw)


def test_an_engine_whose_environment_lacks_it_fails_every_cell_at_once(raw):
    two = [{"name": "a"}, {"name": "b"}]
    cells = measured({"backends": [{"name": "fake", "python": "/bin/false"}], "scenarios": two}, raw)
    assert [c["status"] for c in cells] == ["failed", "failed"]
    assert "exit code 1" in cells[0]["reason"]


def test_a_raw_file_of_another_plan_is_refused_and_stays_as_it_is(raw):
    measured({}, raw)
    before = raw.read_bytes()
    with pytest.raises(RawFileError, match="cells that this plan does not have"):
        measured({"repetitions": 4}, raw)
    assert raw.read_bytes() == before


def test_a_raw_file_of_another_machine_is_read_but_not_continued(raw):
    measured({}, raw)
    facts = records.facts(raw) | {"host": "another machine"}
    records.sidecar(raw).write_text(json.dumps(facts))
    measured({}, raw)
    with pytest.raises(RawFileError, match="was measured on another machine"):
        measured({"sessions": 2}, raw)


def test_a_model_that_is_not_what_it_says_stops_before_the_first_call(raw, monkeypatch):
    def mismatch(*_):
        raise lr.LlmResearchError("gpt2: 102,714 parameters, not 124,439,808")

    monkeypatch.setattr(runner.models, "check", mismatch)
    with pytest.raises(lr.LlmResearchError, match="102,714 parameters, not 124,439,808"):
        measured({"backends": ["hf"], "models": ["tiny-gpt2"]}, raw)
    assert not raw.exists()


def test_the_run_level_facts_stand_beside_the_raw_file(raw):
    measured({"sessions": 2}, raw)
    facts = records.facts(raw)
    assert facts["host"] == provenance.host() and facts["processes"] == 2
    assert facts["model_seconds"] == pytest.approx(sum(x["seconds"] for x in records.lines(raw) if x["record"] == "call"))
    assert 0 < facts["load_seconds"] < facts["wall_seconds"]


def test_no_room_on_the_disk_stops_the_run_and_keeps_what_was_written(raw, monkeypatch):
    append, count = records.append, []

    def full_at_the_second(path, lines):
        count.append(1)
        if len(count) == 2:
            raise RawFileError(f"{path}: could not be written (No space left on device).")
        append(path, lines)

    monkeypatch.setattr(records, "append", full_at_the_second)
    with pytest.raises(RawFileError, match="No space left"):
        measured({"sessions": 3}, raw)
    assert len(records.done(raw)) == 1


def test_progress_tells_the_count_of_cells(raw, capsys):
    lr.measure(lr.plan(SMALL | {"sessions": 2}), raw)
    assert "2/2" in capsys.readouterr().err


def test_a_run_that_other_code_continued_names_both(raw, monkeypatch):
    monkeypatch.setenv("LLMRESEARCH_COMMIT", "aaa")
    measured({}, raw)
    monkeypatch.setenv("LLMRESEARCH_COMMIT", "bbb")
    measured({"sessions": 2}, raw)
    assert records.facts(raw)["commit"] == "aaa, bbb"


def test_the_roofline_is_measured_once_a_run_and_only_where_it_is_asked_for(raw, monkeypatch):
    asked = []
    monkeypatch.setattr(runner.roofline, "apart", lambda device, python: asked.append(device) or {"bytes_per_s": 5.0})
    lr.measure(lr.plan(SMALL), raw, {"roofline": False}, progress=False)
    assert "roofline" not in records.facts(raw)
    for sessions in (2, 3):
        params = SMALL | {"sessions": sessions, "roofline": True}
        lr.measure(lr.plan(params), raw, params, progress=False)
    assert asked == ["cpu"] and records.facts(raw)["roofline"] == {"cpu": {"bytes_per_s": 5.0}}


@pytest.mark.parametrize("special, windows", [
    ([], [([1, 2, 3, 4], 1), ([3, 4, 5, 6], 2), ([5, 6, 7], 2)]),
    ([9], [([9, 1, 2, 3], 1), ([9, 2, 3, 4, 5], 3), ([9, 4, 5, 6, 7], 3)]),
])  # fmt: skip
def test_every_window_of_a_text_begins_as_the_tokeniser_begins_a_text(monkeypatch, special, windows):
    ids = {"": special, "text": [*special, 1, 2, 3, 4, 5, 6, 7]}
    monkeypatch.setattr(runner.models, "prompt_ids", lambda folder, text: ids[text])
    monkeypatch.setattr(runner, "read_text", lambda name: "text")
    cell = SimpleNamespace(score={"text": "evaluation", "window": 4, "stride": 2, "tokens": 8})
    assert runner.scored(cell, "folder", None) == windows


def test_what_loading_left_is_not_looked_through_again(monkeypatch):
    frozen = []
    monkeypatch.setattr(worker.gc, "freeze", lambda: frozen.append(1))
    assert worker._loaded(SimpleNamespace(load=lambda cell, folder: None), None, None, lambda message: None)["status"] == "ok"
    assert frozen == [1]


def test_a_failure_speaks_in_its_own_words_and_names_files_by_their_place_in_the_cache(monkeypatch, tmp_path):
    def step():
        raise records.LlmResearchError(f"{tmp_path}/engines/x: is cut short.")

    monkeypatch.setenv("LLMRESEARCH_CACHE", str(tmp_path))
    assert worker._attempt(step)["reason"] == "engines/x: is cut short."
    assert worker._attempt(lambda: [][0])["reason"] == "IndexError: list index out of range"
