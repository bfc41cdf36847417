"""llama.cpp in process: the same ids as the reference, files that are what they claim, evidence read back
from it.
"""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from llmresearch import models
from llmresearch.backends import gguf_compare, gguf_files
from llmresearch.backends.llamacpp import LlamaCpp, WrongPrecision
from llmresearch.backends.prompts import NoBatch
from llmresearch.failures import classify_failure
from llmresearch.models import ModelError, gguf_header
from tests.engine_cells import PROMPTS, answer, cell, started

SMALL = {"name": "small", "seeded": True, "layers": 2, "hidden": 64, "heads": 2, "vocab": 211}
pytestmark = pytest.mark.usefixtures("cache")
FORCED = models.seeded_ids(211, 20, seed=7)


REASON = LlamaCpp().refuses(cell())
needs_engine = pytest.mark.skipif(REASON is not None, reason=REASON or "")


@pytest.fixture(scope="module")
def reference(small):
    """What transformers makes of the same weights: ids, forced tokens, score."""
    from llmresearch.backends.hf import Hf

    engine = started(Hf(), small)
    return SimpleNamespace(
        ids=answer(engine, "e2e")[1], forced=engine.forced(FORCED, 8), score=engine.score(FORCED, 3)
    )


@pytest.fixture(scope="module")
def loaded(small):
    engine = LlamaCpp()
    engine.load(cell(), small)
    yield engine
    engine.close()


def run(engine, phase, prompts=PROMPTS, **values):
    engine.start(cell(**values), prompts)
    return answer(engine, phase)


@needs_engine
def test_every_phase_gives_the_ids_of_the_reference(loaded, reference):
    one, two = reference.ids
    assert len(set(one)) > 2
    assert run(loaded, "e2e") == (12, [one, two])
    assert run(loaded, "generate") == (12, [one, two])
    assert run(loaded, "prefill") == (24, [one[:1], two[:1]])
    tokens, after = run(loaded, "decode")
    assert tokens == 12
    assert [row[:-1] for row in after] == [one[1:], two[1:]]


@needs_engine
def test_decode_begins_at_the_prompt_every_time(loaded):
    loaded.start(cell(), PROMPTS)
    answers = []
    for phase in ("decode", "decode", "e2e", "decode"):
        loaded.prepare(phase)
        getattr(loaded, phase)()
        answers.append(loaded.output())
    assert answers[0] == answers[1] == answers[3]


@needs_engine
def test_forced_tokens_and_scores_agree_with_the_reference(loaded, reference):
    loaded.start(cell(), PROMPTS)
    found = loaded.forced(FORCED, 8)
    assert found["top1"] == reference.forced["top1"]
    assert found["nll"] == pytest.approx(reference.forced["nll"], abs=0.05)
    nll, tokens = loaded.score(FORCED, 3)
    assert tokens == 17
    assert nll == pytest.approx(reference.score[0], rel=1e-3)


@needs_engine
def test_a_score_does_not_depend_on_how_the_window_is_cut(loaded, monkeypatch):
    whole, _ = loaded.score(FORCED, 5)
    monkeypatch.setattr("llmresearch.backends.llama_context.OUTPUTS", 3)
    assert loaded.score(FORCED, 5)[0] == pytest.approx(whole, rel=1e-4)


@needs_engine
def test_after_forced_tokens_the_prompt_is_run_again(loaded):
    before = run(loaded, "decode")[1]
    loaded.forced(FORCED, 8)
    loaded.prepare("decode")
    loaded.decode()
    assert loaded.output() == before


@needs_engine
def test_one_mark_for_each_token(loaded):
    run(loaded, "e2e", PROMPTS[:1])
    assert len(loaded.marks) == 6
    run(loaded, "decode", PROMPTS[:1])
    assert len(loaded.marks) == 6


@needs_engine
def test_evidence_is_read_back_from_the_library(loaded):
    run(loaded, "prefill")
    found = loaded.evidence()
    assert (found["dtype"], found["device"], found["threads"], found["bits_per_weight"]) == (
        "fp32",
        "cpu",
        1,
        32.0,
    )
    assert found["parameters"] == 211 * 64 + 1024 * 64 + 2 * (12 * 64 * 64 + 13 * 64) + 2 * 64
    assert set(found["tensor_types"]) == {"F32"}
    assert found["kv_cache"] == "f16/f16"
    assert "AVX" in found["system"] or "NEON" in found["system"]
    assert found["flash_attention"] in ("enabled", "not supported")


@needs_engine
def test_an_f32_cache_switches_flash_attention_off_and_brings_the_reference_closer(small, reference):
    engine = LlamaCpp()
    engine.load(cell(options={"kv": "f32"}), small)
    run(engine, "prefill")
    found, score = engine.evidence(), engine.score(FORCED, 3)[0]
    engine.close()
    assert (found["kv_cache"], found["flash_attention"]) == ("f32/f32", "disabled")
    assert score == pytest.approx(reference.score[0], rel=2e-5)


@needs_engine
def test_q8_0_of_the_same_weights_is_made_once_and_is_mostly_q8_0(small):
    engine = LlamaCpp()
    engine.load(cell(dtype="q8_0"), small)
    made = engine.path.stat().st_mtime_ns
    run(engine, "prefill")
    found = engine.evidence()
    engine.close()
    assert found["made_from"].endswith("-F32.gguf")
    assert found["weights"]["Q8_0"] == 211 * 64 + 2 * 12 * 64 * 64
    engine.load(cell(dtype="q8_0"), small)
    assert engine.path.stat().st_mtime_ns == made
    engine.close()


@needs_engine
@pytest.mark.parametrize("dtype, least, most", [("fp16", 1e-5, 1e-3), ("q8_0", 1e-3, 0.015), ("q4_k_m", 1e-3, 0.16)])
def test_weights_of_a_made_file_are_sampled_and_compared(dtype, least, most, small):
    engine = LlamaCpp()
    engine.load(cell(dtype=dtype), small)
    found = gguf_files.sampled(engine.path)
    assert found["matrices"] == 10  # two tables, and four matrices in each of two layers
    assert least < found["worst_share"] < most
    engine.close()


@needs_engine
def test_a_made_file_with_another_models_weights_is_refused(small, tmp_path):
    engine = LlamaCpp()
    engine.load(cell(dtype="q8_0"), small)
    source = engine.path.with_name(engine.made_from)
    engine.close()
    tensor = gguf_header.tensors(source)["blk.0.ffn_up.weight"]
    data = bytearray(source.read_bytes())
    weights = np.frombuffer(data, np.float32, tensor.bytes // 4, tensor.start)
    weights[:] = weights[::-1].copy()
    (tmp_path / "other.gguf").write_bytes(data)
    with pytest.raises(ModelError, match=r"blk.0.ffn_up.weight \(Q8_0\) is .*% away from other.gguf, more than rounding leaves"):
        gguf_compare.compared(engine.path, tmp_path / "other.gguf")


@needs_engine
def test_a_made_file_that_changed_is_refused(small):
    engine = LlamaCpp()
    engine.load(cell(dtype="fp16"), small)
    engine.close()
    with engine.path.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x07")
    with pytest.raises(ModelError, match="changed since it was made"):
        engine.load(cell(dtype="fp16"), small)


@needs_engine
def test_a_gguf_cut_short_fails_as_a_corrupt_file(loaded, small, tmp_path):
    short = tmp_path / "short.gguf"
    short.write_bytes(loaded.path.read_bytes()[:-1000])
    with pytest.raises(ModelError, match="is cut short") as caught:
        LlamaCpp().load(cell(source={"gguf": str(short)}), tmp_path)
    assert "Fetch or assemble it again" in str(caught.value)


@needs_engine
def test_a_file_that_names_another_precision_than_it_holds_is_refused():
    file = SimpleNamespace(
        quantisation="Q4_K_M", bytes=1_072_392_704, params_measured=268_098_176, path="renamed.gguf"
    )
    with pytest.raises(WrongPrecision, match="holds Q4_K_M at 32.00 bits a weight"):
        gguf_precision(file)


def gguf_precision(file):
    from llmresearch.backends.llamacpp import _precision

    return _precision(file, cell(dtype="q4_k_m"))


@needs_engine
def test_more_tokens_than_positions_is_refused_before_it_runs(loaded):
    with pytest.raises(NoBatch, match="the model has 1024 positions") as caught:
        loaded.start(cell(new_tokens=1020), PROMPTS)
    assert "Shorten prompt_tokens or new_tokens" in str(caught.value)


@needs_engine
def test_a_decode_that_fails_says_so_and_the_next_call_works(loaded):
    loaded.start(cell(), [[5, 7]])
    loaded.rows = [[5, 999_999]]
    loaded.prepare("prefill")
    with pytest.raises(RuntimeError, match="failed to decode"):
        loaded.prefill()
    assert math.isfinite(loaded.score(FORCED, 3)[0])


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"dtype": "int8"}, "Use q8_0, or another engine"),
        ({"options": {"kv": "int3"}}, "'int3' is none of"),
        ({"options": {"nkv": 1}}, "unknown option 'nkv'"),
    ],
)
def test_what_it_cannot_do_is_refused_with_a_reason(changes, words):
    assert words in LlamaCpp().refuses(cell(**changes))


def test_an_absent_engine_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("llmresearch.backends.llamacpp.find_spec", lambda name: None)
    assert "pip install 'llama-cpp-python==0.3.36'" in LlamaCpp().refuses(cell())


def test_a_folder_of_another_family_without_a_gguf_says_how_to_convert_it(tmp_path):
    from safetensors.numpy import save_file

    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    save_file({"model.embed_tokens.weight": np.zeros((4, 2), np.float32)}, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="convert_hf_to_gguf.py"):
        gguf_files.file_for(cell(), tmp_path, quantise=None)


@pytest.mark.parametrize(
    "name, ours",
    [
        ("transformer.h.3.ln_1.bias", "blk.3.attn_norm.bias"),
        ("h.0.attn.c_attn.weight", "blk.0.attn_qkv.weight"),
        ("transformer.wpe.weight", "position_embd.weight"),
        ("h.0.attn.bias", None),
        ("lm_head.weight", None),
    ],
)
def test_tensors_of_gpt2_get_llama_cpps_names(name, ours):
    assert gguf_files.gpt2_name(name) == ours


def test_a_failed_decode_is_classified():
    assert (
        classify_failure("llama.cpp: failed to find a KV slot: could not find a KV slot").cause
        == "context too long"
    )
