"""TensorRT: RTX builds for real, without a GPU; running is tried on a stand-in for TensorRT and the GPU (no GPU here)."""

import gc
import json
import re
import sys
import weakref
from types import SimpleNamespace

import pytest

from llmresearch import export, matrix, models, runner
from llmresearch.backends import trt, trt_build, trt_profiles, trt_versions
from llmresearch.backends.trt import Trt, TrtRtx
from llmresearch.backends.trt_build import EngineError
from llmresearch.backends.trt_device import Device
from llmresearch.export import Variant
from llmresearch.failures import classify_failure
from llmresearch.frames import read
from llmresearch.records import LlmResearchError
from tests import engine_cells, stand_in_trt
from tests.engine_cells import PROMPTS, assert_phases_agree, assert_scores_are_those_of_forced_tokens, run
from tests.tiny_models import made, reference

SMALL = trt_profiles.profiles([(1, 16, 64)], 128)
GPU = {"name": None, "capability": "8.9"}
pytestmark = pytest.mark.usefixtures("cache")
needs_rtx = pytest.mark.skipif(not trt_versions.installed("trt-rtx"), reason="needs tensorrt_rtx: pip install tensorrt_rtx_cu13.")


def cell(**values):
    return engine_cells.cell(**{"device": "cuda"} | values)


@pytest.fixture
def driver(monkeypatch):
    """The stand-in's driver, with the stand-in as TensorRT and pycuda."""
    found = stand_in_trt.Driver()
    monkeypatch.setitem(sys.modules, "tensorrt", stand_in_trt)
    monkeypatch.setattr(trt, "Device", lambda: Device(stand_in_trt.cuda, found))
    return found


def started(folder, ids=PROMPTS, asked=(), **values):
    engine = Trt()
    engine.expects([(cell(**values), ids), *asked])
    engine.load(cell(**values), folder)
    engine.start(cell(**values), ids)
    return engine


def launched(driver, call):
    """How many recorded graphs a call launches."""
    before = driver.launches
    call()
    return driver.launches - before


# Building, for real


@needs_rtx
@pytest.mark.parametrize("values, kind", [
    (Variant(form="slots"), "fp32"), (Variant(dtype="fp16", form="slots"), "fp16"),
    (Variant(dtype="int8", form="slots", method="static", seed=1), "int8"),
])  # fmt: skip
def test_rtx_builds_every_precision_without_a_gpu_and_says_what_is_in_it(values, kind, gpt2):
    path, found = trt_build.engine(trt_versions.Api("trt-rtx"), export.artifact(gpt2, values), kind, SMALL, GPU)
    assert path.stat().st_size == found["bytes"] > 10_000 and found["build_seconds"] > 0
    assert found["network_types"][kind] >= (18 if kind == "int8" else 100)
    assert (kind == "int8") == ("int8" in found["network_types"])


@needs_rtx
def test_a_cell_is_built_as_load_would_build_it(gemma):
    path, found = TrtRtx.artifact(cell(options={"compute_capability": "12.0"}), gemma)
    assert path.is_file() and found["identity"]["capability"] == "12.0"
    assert found["identity"]["profiles"] == {"batch": [2, 2, 2], "tokens": [1, 17, 128], "slots": [64, 64, 128]}


@needs_rtx
def test_an_engine_is_kept_and_one_that_was_cut_short_is_built_again_and_says_so(gpt2):
    def build():
        return trt_build.engine(trt_versions.Api("trt-rtx"), export.artifact(gpt2, Variant(form="slots")), "fp32",
                                trt_profiles.profiles([(1, 8, 64)], 128), GPU)  # fmt: skip

    path, first = build()
    assert not first["from_cache"] and build()[1]["from_cache"]
    path.write_bytes(path.read_bytes()[:1000])
    again = build()[1]
    assert not again["from_cache"]
    assert "file is truncated or changed: 1,000 bytes" in again["rebuilt_because"]
    assert classify_failure(again["rebuilt_because"]).cause == "corrupt file"


@needs_rtx
@pytest.mark.parametrize("changed", [
    {"version": "1.6.0"}, {"gpu": "NVIDIA L4"}, {"capability": "8.0"}, {"onnx_sha256": "0" * 64}, {"dtype": "fp16"},
    {"profiles": {"batch": [1, 1, 1]}},
])  # fmt: skip
def test_an_engine_made_for_something_else_is_refused_by_what_differs(changed, gpt2):
    path, found = trt_build.engine(trt_versions.Api("trt-rtx"), export.artifact(gpt2, Variant(form="slots")), "fp32", SMALL, GPU)
    assert trt_build.kept(path.parent, found["identity"])["sha256"] == found["sha256"]
    with pytest.raises(EngineError, match=f"incompatible version: the engine was built for {next(iter(changed))} ") as caught:
        trt_build.kept(path.parent, found["identity"] | changed)
    assert classify_failure(str(caught.value)).cause == "version mismatch"


@needs_rtx
@pytest.mark.parametrize("values, dtype, capability, words, cause", [
    (Variant(form="slots"), "int8", "8.9", "no int8 layers in the network", "invalid output"),
    (Variant(form="slots"), "fp32", "9.0", "does not support compute capability 9.0, only 7.5", "version mismatch"),
    (Variant(), "fp32", "8.9", "failed to parse the ONNX file .* Invalid Node - layer_0/TensorScatter", "build failure"),
])  # fmt: skip
def test_what_cannot_be_built_is_a_classified_failure(values, dtype, capability, words, cause, gpt2):
    with pytest.raises(EngineError, match=words) as caught:
        trt_build.build(trt_versions.Api("trt-rtx"), export.artifact(gpt2, values), dtype, SMALL, capability)
    assert classify_failure(str(caught.value)).cause == cause and "\n" not in str(caught.value)


@needs_rtx
def test_an_onnx_file_cut_short_is_a_corrupt_file(gpt2, tmp_path):
    (tmp_path / "model.onnx").write_bytes(export.artifact(gpt2, Variant(form="slots")).read_bytes()[:3000])
    with pytest.raises(EngineError, match="failed to parse") as caught:
        trt_build.build(trt_versions.Api("trt-rtx"), tmp_path / "model.onnx", "fp32", SMALL, "8.9")
    assert classify_failure(str(caught.value)).cause == "corrupt file"


# Shapes


def test_profiles_cover_every_request_and_no_more_than_the_model_has():
    found = trt_profiles.profiles([(1, 16, 80), (4, 300, 900)], 512)
    assert found == trt_profiles.Profiles((1, 4, 4), (1, 300, 300), (64, 512, 512))
    assert found.lacks(2, 200, 512) is None
    assert "no valid profile: batch 5 is outside 1 … 4" in found.lacks(5, 1, 64)
    assert found.sizes("step")["token"] == (1, 1, 1) == found.sizes("step")["row"]


def test_a_cell_needs_its_prompt_its_answer_and_its_windows():
    assert trt_profiles.needs(cell()) == (2, 17, 64)
    assert trt_profiles.needs(cell(phases=("e2e",), new_tokens=100)) == (2, 12, 112)
    assert trt_profiles.needs(cell(score={"window": 256}), [[1, 2, 3]]) == (1, 8, 256)


def test_a_plan_that_the_profile_does_not_cover_is_refused_before_anything_is_built():
    asked = cell(options={"profile": {"batch": 4, "tokens": 8}})
    words = "trt: profile: no valid profile: tokens 17 is outside 1 … 8. Build with options.profile that covers it, or ask for less."
    assert Trt().refuses(asked) == words
    assert classify_failure(words).cause == "profile or shape mismatch"


# Running, on the stand-in


def test_every_phase_gives_the_same_ids_however_often_it_runs(gemma, driver):
    whole = assert_phases_agree(started(gemma))
    assert run(started(gemma, options={"cuda_graph": False}), "e2e") == whole


def test_ids_are_those_of_the_reference(gpt2, driver):
    rows = [list(row) for row in PROMPTS]
    for _ in range(6):
        best = reference(gpt2, rows)[:, -1].argmax(-1)
        rows = [[*row, int(token)] for row, token in zip(rows, best)]
    assert run(started(gpt2), "e2e")[0] == [row[12:] for row in rows]


def test_a_decode_step_is_one_launch_of_a_recorded_graph(gpt2, driver):
    engine = started(gpt2)
    engine.prepare("decode")
    assert launched(driver, engine.decode) == 6
    assert engine.evidence()["cuda_graph"] is True


def test_forced_tokens_and_scores_agree_with_each_other(gemma, driver, monkeypatch):
    engine = started(gemma)
    assert_scores_are_those_of_forced_tokens(engine, lambda: monkeypatch.setattr(trt_profiles, "AT_ONCE", 7))
    assert run(engine, "e2e") == run(started(gemma), "e2e")


def test_one_engine_serves_all_cells_of_a_process(gpt2, driver):
    other = cell(batch=1, prompt_tokens=40, new_tokens=60)
    long = [models.seeded_ids(211, 40, seed=3)]
    engine = started(gpt2, asked=[(other, long)])
    first = run(engine, "e2e")
    engine.start(other, long)
    assert len(run(engine, "e2e")[0][0]) == 60
    engine.start(cell(), PROMPTS)
    assert run(engine, "e2e") == first
    assert engine.evidence()["profiles"] == {"batch": [1, 2, 2], "tokens": [1, 99, 128], "slots": [64, 100, 128]}


def test_loading_again_lets_go_of_the_first_engine(gpt2, driver):
    engine = started(gpt2)
    whole, first = run(engine, "e2e"), weakref.ref(engine.engine)
    engine.load(cell(), gpt2)
    engine.start(cell(), PROMPTS)
    gc.collect()
    assert first() is None and run(engine, "e2e") == whole
    engine.close()
    assert driver.graphs == {}


@pytest.mark.parametrize("family", ["qwen2", "qwen3"])
def test_query_heads_that_share_a_key_head_give_the_references_ids_in_a_batch_of_three(family, driver, tmp_path):
    rows, folder = [models.seeded_ids(211, 12, seed=9, index=index) for index in range(3)], made(family, tmp_path)
    found = run(started(folder, rows, batch=3), "e2e")[0]
    for step in range(6):
        best = reference(folder, [row + answer[:step] for row, answer in zip(rows, found)])[:, -1].argmax(-1)
        assert [answer[step] for answer in found] == best.tolist()


@pytest.mark.parametrize("ids, words", [
    ([[1, 2], [3]], "are no batch. Give rows of one length"), ([[1, 211], [1, 2]], "id 211 is outside the vocabulary of 211"),
    ([list(range(123))] * 2, "129 tokens asked, prompt and answer together; the model has 128 positions"),
    ([[1, 2]] * 3, "no valid profile: batch 3 is outside 2 … 2"),
])  # fmt: skip
def test_a_wrong_shape_is_refused(ids, words, gpt2, driver):
    engine = started(gpt2)
    with pytest.raises(LlmResearchError, match=words):
        engine.start(cell(), ids)


def test_rows_of_one_prompt_that_are_answered_differently_fail_the_cell(gpt2, driver, monkeypatch):
    engine = started(gpt2)
    step = engine.buffers.step

    def broken():
        step()
        engine.buffers.answer[1] += 1

    monkeypatch.setattr(engine.buffers, "step", broken)
    with pytest.raises(EngineError, match="invalid output: one prompt in 2 rows was answered by") as caught:
        engine.forced(PROMPTS[0], 4)
    assert classify_failure(str(caught.value)).kind == "invalid output"


def test_evidence_tells_types_and_times_and_an_int8_cell_without_int8_layers_fails(gpt2, driver, monkeypatch):
    engine = started(gpt2, dtype="int8")
    found = engine.evidence()
    assert found["dtype"] == "int8" and found["layers"]["int8"] == 9 and found["method"] == "static"
    assert found["calibration"]["data"] and found["device_name"] == "stand-in" and json.dumps(found)
    monkeypatch.setattr(trt.trt_run, "inspected", lambda api, engine, context: {"fp32": 3})
    with pytest.raises(EngineError, match="no int8 layers in the engine, only") as caught:
        started(gpt2, dtype="int8")
    assert classify_failure(str(caught.value)).kind == "invalid output"


def test_a_type_that_the_inspector_does_not_name_is_unknown_where_the_builder_may_choose_it(gpt2, driver, monkeypatch):
    monkeypatch.setattr(trt.trt_run, "inspected", lambda api, engine, context: {"unsaid": 98})
    engine = started(gpt2)
    assert engine.evidence()["dtype"] == "fp32"  # a strongly typed network keeps the types that were parsed
    engine.api.strong = False
    assert engine.evidence()["dtype"] is None


def test_copies_and_layers_of_which_the_inspector_says_nothing_prove_no_type(gpt2, driver):
    engine = started(gpt2)
    engine.engine.what["layers"][:2] = ["SILENT", "COPY"]
    found = trt.trt_run.inspected(engine.api, engine.engine, engine.buffers.one[0])
    assert (found["unsaid"], found["copy"]) == (1, 1) and "fp16" not in found and sum(found.values()) == engine.engine.num_layers


def test_a_tensors_name_proves_no_type():
    told = {"Inputs": [{"Name": "int8_fp16", "Format/Datatype": "Row major linear FP32"}], "Weights": {"Type": "Float"}}
    assert trt.trt_run._narrowest(json.dumps(told)) == "fp32"
    assert trt.trt_run._narrowest(json.dumps(told | {"Weights": {"Type": "Int8"}})) == "int8"


@pytest.mark.parametrize("label, ran, kept, told", [
    ("fp16", {"copy": 96, "fp32": 1, "unsaid": 1}, None, None), ("fp16", {"fp16": 1, "copy": 2}, None, "fp16"),
    ("fp32", {"fp32": 1, "unsaid": 1}, None, "fp32"), ("fp32", {"fp16": 3, "fp32": 1}, None, "fp16"),
    ("fp16", {"unsaid": 9}, {"fp16": 9}, "fp16"), ("fp16", {"fp32": 9}, {"fp16": 9}, "fp32"), ("fp32", {"unsaid": 9}, None, None),
])  # fmt: skip
def test_a_version_that_chooses_types_proves_one_only_by_a_layer_that_computes_in_it(label, ran, kept, told):
    assert trt.proven(label, ran, kept) == told


def test_the_timing_cache_of_one_build_is_given_to_the_next(gpt2, driver):
    api = trt_versions.Api("trt")
    onnx = export.artifact(gpt2, Variant(form="slots"))
    place = export.cached(gpt2, Variant(form="slots")).parents[1] / "engines" / "timing-trt-10.13.0-8.9.bin"
    place.unlink(missing_ok=True)
    for count in (1, 2):
        assert trt_build.build(api, onnx, "fp32", SMALL, "8.9")[1]["timing_cache"]
        assert place.read_bytes() == b"t" * count
    assert [file.suffix for file in place.parent.glob("timing-*")] == [".bin"]


@pytest.mark.parametrize("refusal", [
    lambda self, data: None if data else SimpleNamespace(serialize=lambda: b"new"),
    lambda self, data: SimpleNamespace(serialize=lambda: b"old" if data else b"new", foreign=bool(data)),
])  # fmt: skip
def test_a_timing_cache_that_the_builder_does_not_take_is_begun_anew(refusal, gpt2, driver, monkeypatch):
    def given(self, cache, ignore_mismatch):
        self.cache = cache
        return not getattr(cache, "foreign", False)

    monkeypatch.setattr(stand_in_trt.Config, "create_timing_cache", refusal)
    monkeypatch.setattr(stand_in_trt.Config, "set_timing_cache", given)
    onnx = export.artifact(gpt2, Variant(form="slots"))
    place = export.cached(gpt2, Variant(form="slots")).parents[1] / "engines" / "timing-trt-10.13.0-9.0.bin"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"of another GPU, or damaged")
    trt_build.build(trt_versions.Api("trt"), onnx, "fp32", SMALL, "9.0")
    assert place.read_bytes() == b"new"


def test_the_gpu_times_a_call_between_two_events(gpt2, driver):
    engine = started(gpt2)
    engine.prepare("prefill")
    assert engine.device_seconds() is None
    engine.device_start()
    engine.prefill()
    assert engine.device_seconds() == 0.002


def test_a_stream_that_cannot_be_recorded_is_a_classified_failure(gpt2, driver, monkeypatch):
    monkeypatch.setattr(stand_in_trt.Driver, "cuGraphInstantiateWithFlags", lambda *a: 801)
    with pytest.raises(trt_build.LlmResearchError, match="cuGraphInstantiateWithFlags gave CUDA error 801") as caught:
        started(gpt2)
    assert classify_failure(str(caught.value)).kind == "hard"


def test_a_file_that_is_no_engine_is_refused_in_the_runtimes_words(driver, tmp_path):
    (tmp_path / "engine.plan").write_bytes(b"no engine")
    with pytest.raises(EngineError, match="could not deserialize the engine with trt 10.13.0") as caught:
        trt.trt_run.opened(trt_versions.Api("trt"), tmp_path / "engine.plan")
    assert classify_failure(str(caught.value)).cause == "build failure"


# Versions and refusals


@pytest.mark.parametrize("version, flags, method", [
    ("8.6.1", {"EXPLICIT_BATCH": 0}, "calibrator"), ("10.13.0", {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1}, "static"),
    ("11.4.0", {}, "static"),
])  # fmt: skip
def test_versions_differ_in_how_int8_comes_about_and_in_their_networks_flags(version, flags, method):
    module = SimpleNamespace(__version__=version, NetworkDefinitionCreationFlag=SimpleNamespace(__members__=flags))
    api = trt_versions.Api("trt", module)
    assert api.method("int8") == method and api.method("fp16") is None
    assert api.network_flags() == {"8.6.1": 1, "10.13.0": 2, "11.4.0": 0}[version]
    assert trt.variant(cell(dtype="int8"), api.method("int8")).dtype == ("fp32" if version == "8.6.1" else "int8")


@pytest.mark.parametrize("values, words", [
    ({"options": {"grph": 1}}, "unknown option 'grph'. Known options: cuda_graph, profile"),
    ({"dtype": "bf16"}, "measures fp32, fp16, int8, not bf16"), ({"device": "cpu"}, "runs on NVIDIA GPUs only"),
    ({"concurrency": 2}, "serves one request at a time, not 2"),
    ({"options": {"profile": {"rows": 1}}}, "is no mapping of batch, tokens, slots"),
    ({"options": {"profile": {"tokens": 0}}}, "tokens: 0 is not a whole number from 1 up"),
])  # fmt: skip
def test_what_cannot_be_measured_is_refused_with_the_reason(values, words):
    assert re.search(words, Trt().refuses(cell(**values)))


def test_without_library_driver_or_pycuda_the_reason_says_so(monkeypatch):
    monkeypatch.setattr(trt_versions, "find_spec", lambda name: None)
    assert TrtRtx().refuses(cell()) == "trt-rtx: needs tensorrt_rtx, not installed here: pip install tensorrt_rtx_cu13."
    monkeypatch.setattr(trt_versions, "find_spec", lambda name: name)
    monkeypatch.setattr(trt_versions, "driver_lack", lambda: trt_versions.NO_DRIVER)
    words = Trt().refuses(cell())
    assert words == ("trt: needs a CUDA device to run an engine; no NVIDIA driver: libcuda.so.1 cannot be loaded. "
                     "Measure on a machine with an NVIDIA GPU.")  # fmt: skip
    assert classify_failure(words).cause in ("no device", "missing library")
    monkeypatch.setattr(trt_versions, "driver_lack", lambda: None)
    monkeypatch.setattr(trt, "find_spec", lambda name: None)
    assert Trt().refuses(cell()).endswith("needs pycuda, not installed here: pip install pycuda.")


@needs_rtx
def test_a_worker_refuses_every_cell_where_there_is_no_driver_and_the_run_goes_on(tmp_path):
    asked = {"backends": ["trt-rtx", "fake"], "device": "cuda", "repetitions": 2, "warmup": 0}
    if trt_versions.driver_lack() is None:
        pytest.skip("this machine has a driver.")
    frame = read(runner.measure(matrix.plan(asked), tmp_path / "raw.jsonl", progress=False))
    found = frame.groupby("backend")["status"].first()
    assert found["trt-rtx"] == "refused"
    assert "needs a CUDA device to run an engine; no NVIDIA driver" in frame[frame.backend == "trt-rtx"]["reason"].iloc[0]


def test_another_interpreter_exports_without_the_paths_of_the_engines_own(monkeypatch, tmp_path):
    seen = {}

    def run(command, env, **rest):
        seen.update(command=command, env=env)
        return SimpleNamespace(returncode=1, stderr="ExportError: enough")

    monkeypatch.setattr(export.subprocess, "run", run)
    for name in ("PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH"):
        monkeypatch.setenv(name, "engine")
    monkeypatch.setenv("LLMRESEARCH_PYTHON", "/elsewhere/python")
    with pytest.raises(export.ExportError, match="enough"):
        export.artifact(made("mistral", tmp_path / "other"), Variant(form="slots"))
    assert seen["command"][0] == "/elsewhere/python"
    assert "engine" not in seen["env"].values() and seen["env"]["LLMRESEARCH_CACHE"]


def test_a_graph_of_a_prompt_goes_when_its_context_gets_other_shapes(gpt2, driver):
    engine = started(gpt2)
    assert launched(driver, lambda: run(engine, "prefill")) == 1
    run(engine, "generate")
    assert not [whole for whole in engine.buffers.wholes.values() if whole.graph]
    assert launched(driver, lambda: run(engine, "prefill")) == 1


def test_where_a_profile_is_lent_once_both_directions_share_a_context(gpt2, driver, monkeypatch):
    whole = run(started(gpt2), "e2e")
    monkeypatch.setattr(trt_versions.Api, "lends", False)
    engine = started(gpt2)
    assert engine.buffers.one[0] is engine.buffers.one[1]
    assert run(engine, "e2e") == whole == run(engine, "generate")
