"""ONNX Runtime: the cache is written in place, what ran is read back, and what cannot be measured is refused."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from llmresearch import export, matrix, models, runner
from llmresearch.backends import ort_session
from llmresearch.backends.ort import Ort
from llmresearch.backends.prompts import NoBatch
from llmresearch.export import ExportError, Variant
from llmresearch.failures import classify_failure
from llmresearch.frames import read
from llmresearch.texts import read_text
from tests import engine_cells
from tests.engine_cells import FORCED, PROMPTS, assert_phases_agree, assert_scores_are_those_of_forced_tokens, cell, run
from tests.tiny_models import reference

pytestmark = pytest.mark.usefixtures("cache")
REASON = Ort().refuses(cell())
needs_engine = pytest.mark.skipif(REASON is not None, reason=REASON or "")


def started(folder, ids=PROMPTS, **values):
    return engine_cells.started(Ort(), folder, ids, **values)


@needs_engine
def test_every_phase_gives_the_same_ids_however_often_it_runs(gemma):
    assert_phases_agree(started(gemma))


@needs_engine
def test_a_prompt_of_one_token_is_no_step(gpt2):
    engine = started(gpt2, [[5], [17]])
    whole = run(engine, "generate")
    assert run(engine, "e2e") == whole
    assert [row[:5] for row in run(engine, "decode")[0]] == [row[1:] for row in whole[0]]


@needs_engine
def test_rows_of_a_batch_do_not_see_each_other(gpt2):
    together = run(started(gpt2), "e2e")[0]
    assert together == [run(started(gpt2, [row]), "e2e")[0][0] for row in PROMPTS]


@needs_engine
def test_the_cache_is_written_where_it_is_and_nowhere_else(gpt2):
    engine = started(gpt2)
    before = {
        name: (array.value.data_ptr(), array.host.copy()) for name, array in engine.buffers.cache.items()
    }
    run(engine, "prefill")
    for name, array in engine.buffers.cache.items():
        place, old = before[name]
        assert array.value.data_ptr() == place == array.host.ctypes.data
        changed = (array.host != old).any(axis=(0, 1, 3))
        assert changed[:12].all() and not changed[12:].any()


@needs_engine
def test_forced_tokens_and_scores_agree_with_each_other(gemma):
    engine = started(gemma)
    assert_scores_are_those_of_forced_tokens(engine)
    assert run(engine, "e2e") == run(started(gemma), "e2e")


@needs_engine
def test_scores_do_not_depend_on_how_many_rows_are_scored_at_once(gemma, monkeypatch):
    whole = started(gemma).score(FORCED)
    monkeypatch.setattr("llmresearch.backends.ort.SCORED_AT_ONCE", 4)
    assert started(gemma).score(FORCED) == (pytest.approx(whole[0], rel=1e-6), 29)


@needs_engine
def test_what_ran_is_read_back(gpt2):
    engine = started(gpt2)
    run(engine, "prefill")
    found = engine.evidence()
    assert (found["dtype"], found["device"], found["threads"], found["opset"]) == ("fp32", "cpu", 1, 24)
    assert found["providers"] == ["CPUExecutionProvider"] and found["fell_back"] == {} == found["quantised"]
    assert found["ran"]["CPUExecutionProvider"]["Attention"] == 2
    assert found["ran"]["CPUExecutionProvider"]["TensorScatter"] == 4
    assert found["model_sha256"] == models.describe(gpt2).content_sha256
    assert found["copies_to_or_from_host"] == 0
    assert found["cache_bytes"] == 2 * 2 * (2 * 2 * 64 * 16) * 4


@needs_engine
@pytest.mark.parametrize("method, kernel", [
    ("blocks", "MatMulNBits"), ("dynamic", "DynamicQuantizeMatMul"), ("static", "MatMulIntegerToFloat"),
])  # fmt: skip
def test_eight_bit_cells_ran_integer_kernels(method, kernel, gpt2):
    engine = started(gpt2, dtype="int8", options={"method": method})
    found = engine.evidence()
    assert found["dtype"] == "int8" and found["method"] == method
    assert found["quantised"].get(kernel, 0) == 9, found["ran"]
    assert "MatMul" not in found["ran"]["CPUExecutionProvider"]


@needs_engine
def test_an_int8_cell_without_integer_kernels_fails(gpt2):
    engine = started(gpt2)
    engine.cell = cell(dtype="int8")
    with pytest.raises(ort_session.OrtError, match="no int8 layers ran") as caught:
        engine.evidence()
    assert classify_failure(str(caught.value)).kind == "invalid output"


def test_on_a_gpu_all_nodes_that_ran_elsewhere_and_all_copies_are_named(monkeypatch):
    ran = {
        "CUDAExecutionProvider": {"MatMul": 49, "MemcpyToHost": 2, "MemcpyFromHost": 1},
        "CPUExecutionProvider": {"TensorScatter": 24},
    }
    found = evidence_of(ran, cell(device="cuda", dtype="fp16"), monkeypatch)
    assert found["fell_back"] == {"TensorScatter": 24} and found["copies_to_or_from_host"] == 3
    assert found["cuda_graph"] is True and found["dtype"] == "fp16"


def test_int8_kernels_on_the_processor_are_no_int8_cell_of_a_gpu(monkeypatch):
    ran = {"CUDAExecutionProvider": {"MatMul": 49}, "CPUExecutionProvider": {"MatMulNBits": 49}}
    with pytest.raises(ort_session.OrtError, match=r"no int8 layers ran on cuda, only \['MatMul', 'MatMulNBits'\]"):
        evidence_of(ran, cell(device="cuda", dtype="int8"), monkeypatch)
    ran = {"CUDAExecutionProvider": {"MatMulNBits": 49}}
    found = evidence_of(ran, cell(device="cuda", dtype="int8"), monkeypatch)
    assert found["quantised"] == {"MatMulNBits": 49} and found["fell_back"] == {}


def evidence_of(ran, asked, monkeypatch):
    """The evidence of a session of whose nodes a profile said `ran`."""
    facts = {"initializer_elements": {{"fp16": "FLOAT16", "int8": "UINT8"}[asked.dtype]: 7}, "variant": {"method": None}}
    facts |= dict.fromkeys(("params", "opset", "bytes", "sha256", "data_sha256", "calibration"))
    session = SimpleNamespace(
        get_providers=list, get_provider_graph_assignment_info=list,
        get_modelmeta=lambda: SimpleNamespace(custom_metadata_map={}),
        get_session_options=lambda: SimpleNamespace(intra_op_num_threads=1),
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(__version__="0"))
    return ort_session.evidence(session, "model.onnx", facts, ran, asked, None)


@pytest.mark.parametrize("asked, graph", [({}, True), ({"concurrency": 2}, False), ({"options": {"cuda_graph": False}}, False), ({"device": "cpu"}, False)])
def test_a_step_is_recorded_for_one_request_at_a_time_on_a_gpu(asked, graph):
    assert ort_session.graphed(cell(**{"device": "cuda"} | asked)) is graph


def test_cuda_graphs_and_full_precision_are_what_the_session_is_opened_with():
    (name, options), processor = ort_session._providers("cuda", graphs=True)
    assert (name, processor) == ("CUDAExecutionProvider", "CPUExecutionProvider")
    assert options == {"enable_cuda_graph": "1", "use_tf32": "0"}
    assert ort_session._providers("cuda", graphs=False)[0][1]["enable_cuda_graph"] == "0"


@needs_engine
def test_a_file_of_another_model_is_refused(gpt2, gemma):
    other = str(export.artifact(gemma))
    with pytest.raises(
        ort_session.OrtError, match="sha256 mismatch: it was exported from a model of"
    ) as caught:
        Ort().load(cell(options={"onnx": other}), gpt2)
    assert classify_failure(str(caught.value)).cause == "corrupt file"


@needs_engine
@pytest.mark.parametrize("variant, words", [
    (Variant(dtype="fp16"), "it is fp16 with a cache of form in-place, and the cell wants fp32"),
    (Variant(form="slots"), "it is fp32 with a cache of form slots, and the cell wants fp32, form in-place"),
])  # fmt: skip
def test_a_file_of_another_precision_or_form_than_the_cells_is_refused(variant, words, gpt2):
    with pytest.raises(ort_session.OrtError, match=words) as caught:
        Ort().load(cell(options={"onnx": str(export.artifact(gpt2, variant))}), gpt2)
    assert classify_failure(str(caught.value)).kind == "invalid output"


def test_a_file_that_is_no_path_is_refused():
    assert Ort().refuses(cell(options={"onnx": 5})) == "ort: onnx: 5 is no path. Name the model.onnx of an export."


@needs_engine
def test_a_truncated_file_is_refused_in_one_sentence(gpt2):
    path = export.artifact(gpt2, Variant(form="growing"))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ExportError, match="a file is truncated or changed"):
        Ort().load(cell(options={"onnx": str(path)}), gpt2)
    with pytest.raises(ort_session.OrtError, match="cannot load it .*rotobuf") as caught:
        ort_session.opened(path, cell())
    assert classify_failure(str(caught.value)).cause == "corrupt file" and "\n" not in str(caught.value)


@needs_engine
@pytest.mark.parametrize("ids, words", [
    ([[1, 2], [3]], "are no batch. Give rows of one length"), ([[1, 211]], "id 211 is outside the vocabulary of 211"),
    ([list(range(123))], "129 tokens asked, prompt and answer together; the model has 128 positions"),
])  # fmt: skip
def test_a_wrong_shape_is_refused(ids, words, gpt2):
    with pytest.raises(NoBatch, match=words):
        started(gpt2, ids)


@needs_engine
def test_memory_takes_one_shape_only(gpt2):
    engine = started(gpt2)
    with pytest.raises(ort_session.OrtError, match=r"a shape of \(2, 3\) where \(2, 1\) is bound"):
        engine.buffers.ids.write(np.zeros((2, 3), np.int32))


@needs_engine
def test_loading_again_lets_go_of_the_first_session(gpt2):
    import gc
    import weakref

    engine = started(gpt2)
    first = weakref.ref(engine.session)
    engine.load(cell(), gpt2)
    gc.collect()
    assert first() is None and engine.session is not None


@pytest.mark.parametrize("values, words", [
    ({"options": {"grph": 1}}, "unknown option 'grph'. Known options: method, onnx, cuda_graph"),
    ({"dtype": "fp16"}, "computes fp16 in fp32 on a processor.* On cpu it measures fp32 and int8"),
    ({"dtype": "int8", "device": "cuda", "options": {"method": "static"}},
     "would run 8-bit matrices of method static on the processor. On cuda it measures blocks."),
    ({"dtype": "int8", "options": {"method": "gptq"}}, "method 'gptq' is none of blocks, dynamic, static"),
])  # fmt: skip
def test_what_cannot_be_measured_is_refused_with_the_reason(values, words):
    import re

    assert re.search(words, Ort().refuses(cell(**values)))


def test_without_the_library_the_reason_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(ort_session, "find_spec", lambda name: None)
    assert Ort().refuses(cell()) == "ort: needs onnxruntime, not installed here: pip install onnxruntime."
    assert Ort().refuses(cell(device="cuda")).endswith("pip install onnxruntime-gpu.")


@needs_engine
def test_a_worker_measures_it_and_its_record_has_the_evidence(tmp_path):
    cells = matrix.plan(
        {"backends": ["onnxruntime-cpu"], "models": ["tiny-gpt2"], "repetitions": 2, "warmup": 0}
    )
    frame = read(runner.measure(cells, tmp_path / "raw.jsonl", progress=False))
    assert set(frame["status"]) == {"ok"} and set(frame["backend"]) == {"ort"}
    found = frame["evidence"].iloc[0]
    assert found["providers"] == ["CPUExecutionProvider"] and len(found["forced"]["top1"]) == 33
    assert len(frame["output_ids"].iloc[0][0]) == 8


@needs_engine
@pytest.mark.slow
def test_trained_weights_give_the_reference_logits_and_fill_more_than_their_window(machine_cache):
    """gemma3-270m from the machine's own cache: 560 tokens, and its sliding layers see 512."""
    folder = models.folder("gemma3-270m")
    ids = models.prompt_ids(folder, read_text("evaluation"))[:560]
    engine = started(folder, [ids[:16]])
    engine._room(np.array([ids], np.int32))
    bound = engine._whole(len(ids), 64, logits=True)
    engine._run(bound, np.array([ids], np.int32))
    expected = reference(folder, [ids])[0, -64:]
    assert np.abs(bound.logits.read()[0] - expected).max() < 1e-3
    assert (bound.logits.read()[0].argmax(-1) == expected.argmax(-1)).all()
