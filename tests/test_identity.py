"""Is a model what its name claims? Five ways in which it was not, and none in which it is."""

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from llmresearch.models import artifacts
from llmresearch import models
from llmresearch.models import ModelMismatch
from safetensors.numpy import load_file, save_file

TEXT = "The capital of France is"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LLMRESEARCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def tiny():
    return models.folder("tiny-gpt2")


def write_tokenizer(folder, words):
    """A tokeniser of whole words, or of single characters where `words` is false."""
    from tokenizers import Tokenizer, models as kinds, pre_tokenizers

    pieces = TEXT.split() if words else sorted(set(TEXT))
    tokenizer = Tokenizer(
        kinds.WordLevel({piece: i for i, piece in enumerate([*pieces, "?"])}, unk_token="?")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace() if words else pre_tokenizers.Split("", "isolated")
    tokenizer.save(str(folder / "tokenizer.json"))


def changed(folder, tmp_path, change):
    """A copy of the folder whose tensors went through `change`."""
    other = tmp_path / "changed"
    shutil.copytree(folder, other)
    weights = load_file(other / "model.safetensors")
    change(weights)
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    return other


def test_a_test_fixture_does_not_pass_for_gpt2(tiny):
    with pytest.raises(ModelMismatch, match=r"parameters: declared 124,439,808, measured 102,714"):
        models.check("gpt2", tiny)


def test_a_folder_that_is_named_gpt2_has_the_size_of_gpt2(tiny, tmp_path):
    shutil.copytree(tiny, tmp_path / "gpt2")
    spec = str(tmp_path / "gpt2")
    with pytest.raises(ModelMismatch, match=r"declared 124,439,808, measured 102,714"):
        models.check(spec, models.folder(spec))


def test_own_weights_of_a_known_architecture_pass_under_its_name(tiny, tmp_path):
    def change(weights):
        weights["transformer.h.0.mlp.c_fc.weight"] *= np.float32(1.001)

    own = str(changed(tiny, tmp_path, change))
    assert models.check({"name": "tiny-gpt2", "folder": own}, own).params_measured == 102_714
    with pytest.raises(ModelMismatch, match="declared 5,036,720, measured 102,714"):
        models.check({"name": "gpt2-5m", "folder": own}, own)


def test_one_tensor_times_1_001_is_found(tiny, tmp_path):
    def change(weights):
        weights["transformer.h.0.mlp.c_fc.weight"] *= np.float32(1.001)

    with pytest.raises(
        ModelMismatch, match=r"sha256 of tensors: declared 223d3938\w+, measured (?!223d3938)\w{64}"
    ):
        models.check("tiny-gpt2", changed(tiny, tmp_path, change))


def test_a_padded_vocabulary_is_found(tiny, tmp_path):
    def change(weights):
        weights["transformer.wte.weight"] = np.pad(weights["transformer.wte.weight"], ((0, 47), (0, 0)))

    with pytest.raises(ModelMismatch, match=r"vocabulary: declared 50,257, measured 50,304"):
        models.check("tiny-gpt2", changed(tiny, tmp_path, change))


def test_a_changed_tokeniser_is_found(tiny):
    write_tokenizer(tiny, words=True)
    spec = {"name": "tiny-gpt2", "tokens": {TEXT: 5}}
    right = models.check(spec, tiny)
    write_tokenizer(tiny, words=False)
    with pytest.raises(ModelMismatch, match=rf"tokens of '{TEXT}': declared 5, measured 24"):
        models.check(spec, tiny)
    assert models.check("tiny-gpt2", tiny).tokenizer_sha256 != right.tokenizer_sha256


def test_the_same_number_of_other_tokens_is_found_where_ids_are_declared(tiny):
    write_tokenizer(tiny, words=True)
    models.check({"name": "tiny-gpt2", "tokens": {TEXT: [0, 1, 2, 3, 4]}}, tiny)
    with pytest.raises(
        ModelMismatch, match=r"declared 5 ids \[4, 3, 2, 1, 0\], measured 5 ids \[0, 1, 2, 3, 4\]"
    ):
        models.check({"name": "tiny-gpt2", "tokens": {TEXT: [4, 3, 2, 1, 0]}}, tiny)


def test_a_missing_tokeniser_is_found_where_one_is_declared(tiny):
    with pytest.raises(ModelMismatch, match="measured nothing"):
        models.check({"name": "tiny-gpt2", "tokens": {TEXT: 6}}, tiny)


def small_gguf(path, kind):
    """A GGUF file of two tensors whose declared type is `kind`."""
    import gguf

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_embedding_length(32)
    writer.add_file_type({"F32": 0, "Q8_0": 7}[kind])
    for name, shape in (("token_embd.weight", (64, 32)), ("output_norm.weight", (32,))):
        data = np.ones(shape, np.float32)
        if kind == "Q8_0" and len(shape) == 2:
            data = gguf.quants.quantize(data, gguf.GGMLQuantizationType.Q8_0)
            writer.add_tensor(name, data, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        else:
            writer.add_tensor(name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_quantised_file_that_was_renamed_is_found(tmp_path):
    small_gguf(tmp_path / "model-f32.gguf", "Q8_0")
    spec = {"name": "m", "gguf": str(tmp_path / "model-f32.gguf"), "params": 2080, "quantisation": "F32"}
    with pytest.raises(ModelMismatch, match=r"quantisation: declared F32, measured Q8_0"):
        models.check(spec, models.gguf(spec))
    small_gguf(tmp_path / "model-f32.gguf", "F32")
    identity = models.check(spec, models.gguf(spec))
    assert (identity.params_measured, identity.vocab, identity.layers, identity.hidden) == (2080, 64, 1, 32)


def test_a_gguf_that_lacks_its_last_byte_is_one_sentence(tmp_path):
    small_gguf(tmp_path / "m.gguf", "F32")
    os.truncate(tmp_path / "m.gguf", artifacts.describe(tmp_path / "m.gguf").bytes - 100)
    with pytest.raises(models.ModelError, match=r"m.gguf: is cut short .* and its index needs"):
        artifacts.describe(tmp_path / "m.gguf")


def test_every_disagreement_is_in_the_one_sentence(tiny):
    spec = {"name": "tiny-gpt2", "params": 7, "vocab": 8}
    with pytest.raises(ModelMismatch) as caught:
        models.check(spec, tiny)
    assert "declared 7, measured 102,714; vocabulary: declared 8, measured 50,257" in str(caught.value)


def test_a_model_that_is_what_it_claims_passes_a_hundred_times(tiny, tmp_path):
    for time in range(100):
        copy = tmp_path / f"copy{time}"
        shutil.copytree(tiny, copy)
        (copy / "README.md").write_text(str(time))
        assert models.check("tiny-gpt2", copy).params_measured == 102_714


def test_what_was_compared_is_told(tiny):
    identity = models.check("tiny-gpt2", tiny)
    assert {"parameters", "vocabulary", "layers", "width", "bytes of tensors", "sha256 of tensors"} <= set(
        identity.checked
    )
    assert models.check({"name": "mine", "folder": str(tiny)}, tiny).checked == ()
    assert models.check({"name": "mine", "folder": str(tiny)}, tiny).weights == "random"


def test_a_quantised_folder_has_no_count_rather_than_a_wrong_one(tiny):
    config = json.loads((tiny / "config.json").read_text())
    (tiny / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "gptq"}}))
    found = artifacts.describe(tiny)
    assert (found.params_measured, found.quantisation) == (None, "gptq")


@pytest.mark.slow
def test_gemma_is_converted_once_and_is_what_it_claims(monkeypatch):
    monkeypatch.delenv("LLMRESEARCH_CACHE")
    folder = models.folder("gemma3-270m")
    identity = models.check("gemma3-270m", folder)
    assert (identity.params_measured, identity.vocab, identity.weights) == (268_098_176, 262_144, "trained")
    assert identity.source_sha256 == models.resolve("gemma3-270m").gguf_sha256
    assert models.prompt_ids(folder, TEXT) == [2, 818, 5279, 529, 7001, 563]
    packed = models.check("gemma3-270m", models.gguf("gemma3-270m"))
    assert (packed.params_measured, packed.quantisation, packed.bytes) == (268_098_176, "Q4_K_M", 253_113_024)
    with pytest.raises(ModelMismatch, match="quantisation: declared F32, measured Q4_K_M"):
        models.check(replace(models.resolve("gemma3-270m"), quantisation="F32"), models.gguf("gemma3-270m"))


def test_ids_say_a_text_by_the_folder_s_own_tokeniser_and_none_without_one(tmp_path):
    assert models.text_of(tmp_path, [0, 1]) is None
    write_tokenizer(tmp_path, True)
    ids = models.prompt_ids(tmp_path, "The capital of France")
    assert models.text_of(tmp_path, ids) == "The capital of France"
