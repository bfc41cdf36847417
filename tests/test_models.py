"""The model zoo: names, folders, downloads, hashes."""

import json
import os
import shutil
import struct
import subprocess
import sys

import numpy as np
import pytest
from llmresearch.models import artifacts, gguf_convert
from llmresearch import models
from llmresearch.models import ModelError
from safetensors.numpy import load_file, save_file

SMALL = {"name": "small", "seeded": True, "layers": 1, "hidden": 8, "heads": 2, "vocab": 97}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LLMRESEARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def small():
    return models.folder(SMALL)


# counts: TR118 v2.2 section 5, as published
@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("tiny-gpt2", 102_714), ("gpt2-5m", 5_036_720), ("gpt2-1m", 11_180_928), ("gpt2-11m", 11_180_928),
        ("gpt2-25m", 25_016_064), ("gpt2-45m", 45_171_200), ("gpt2-50m", 51_475_968), ("gpt2-75m", 74_824_704),
        ("gpt2-100m", 96_088_320), ("gpt2", 124_439_808),
    ],
)  # fmt: skip
def test_every_architecture_of_the_studies_has_the_published_count(name, params):
    declared = models.resolve(name)
    layers, width = declared.layers, declared.hidden
    counted = declared.vocab * width + 1024 * width + layers * (12 * width**2 + 13 * width) + 2 * width
    assert (declared.params, counted, declared.bytes, declared.weights) == (
        params,
        params,
        4 * params,
        "random",
    )


def test_a_seeded_folder_has_the_pinned_content_wherever_it_is_made():
    identity = models.check("gpt2-5m", models.folder("gpt2-5m"))
    assert identity.params_measured == 5_036_720
    assert identity.content_sha256 == "7d1334f74482e1c4b21bf00c9272f8b08846f5cb5d65748346b04da4424b872a"
    assert identity.weights == "random"


def test_transformers_loads_a_seeded_folder_without_a_missing_or_unexpected_weight(small):
    import transformers

    transformers.utils.logging.disable_progress_bar()
    model, report = transformers.AutoModelForCausalLM.from_pretrained(small, output_loading_info=True)
    assert not report["missing_keys"] - {"lm_head.weight"} and not report["unexpected_keys"]
    assert sum(p.numel() for p in model.parameters()) == artifacts.describe(small).params_measured


def test_seeded_weights_have_the_spread_of_gpt2(small):
    weights = load_file(small / "model.safetensors")
    assert abs(weights["transformer.wpe.weight"].std() - 0.02) < 0.0005
    assert abs(weights["transformer.wpe.weight"].mean()) < 0.0005
    assert (weights["transformer.h.0.ln_1.weight"] == 1).all()
    assert (weights["transformer.h.0.mlp.c_fc.bias"] == 0).all()


def test_a_folder_is_prepared_once(small):
    before = (small / "model.safetensors").stat().st_mtime_ns
    assert models.folder(SMALL) == small
    assert (small / "model.safetensors").stat().st_mtime_ns == before


def test_nothing_half_made_stays_when_preparing_breaks(cache, monkeypatch):
    def full(folder, *shape):
        (folder / "config.json").write_text("{}")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(models.gpt2_seeded, "write", full)
    with pytest.raises(ModelError, match="cannot be written .No space left on device.. Free some space"):
        models.folder(SMALL)
    assert list(cache.iterdir()) == []


def test_a_prepared_folder_whose_weights_changed_is_refused(small):
    weights = load_file(small / "model.safetensors")
    weights["transformer.wte.weight"] = weights["transformer.wte.weight"] * np.float32(1.001)
    save_file(weights, small / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="weights changed since they were prepared"):
        models.folder(SMALL)


def test_the_content_hash_is_of_the_tensors_and_not_of_the_file(small, tmp_path):
    weights = load_file(small / "model.safetensors")
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(small / "config.json", other)
    halves = [dict(list(weights.items())[:5]), dict(list(weights.items())[5:])]
    for number, half in enumerate(halves, 1):
        save_file(half, other / f"model-{number:05}-of-00002.safetensors", metadata={"made": "elsewhere"})
    assert artifacts.describe(other).content_sha256 == artifacts.describe(small).content_sha256


def test_tied_embeddings_that_are_stored_twice_count_once(small, tmp_path):
    weights = load_file(small / "model.safetensors")
    weights["lm_head.weight"] = weights["transformer.wte.weight"].copy()
    weights["transformer.h.0.attn.bias"] = np.ones((1, 1, 16, 16), np.float32)  # the mask of old checkpoints
    folder = tmp_path / "twice"
    folder.mkdir()
    save_file(weights, folder / "model.safetensors")
    config = json.loads((small / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config))
    assert artifacts.describe(folder).params_measured == artifacts.describe(small).params_measured
    (folder / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}))
    assert artifacts.describe(folder).params_measured == artifacts.describe(small).params_measured + 97 * 8


def test_a_hash_is_computed_once_and_again_when_the_file_changes(tmp_path):
    file, calls = tmp_path / "weights", []
    file.write_bytes(b"one")
    for _ in range(3):
        artifacts.remembered([file], lambda: calls.append(1) or "a")
    assert len(calls) == 1
    stamp = file.stat()
    file.write_bytes(b"two")

    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # even when its time of change is set back
    artifacts.remembered([file], lambda: calls.append(1) or "b")
    assert len(calls) == 2


@pytest.mark.parametrize("kept", [0, 5, 200, -1])
def test_a_weights_file_that_is_cut_short_is_one_sentence(small, kept):
    data = (small / "model.safetensors").read_bytes()
    (small / "model.safetensors").write_bytes(data[:kept])
    with pytest.raises(ModelError, match=r"is cut short or damaged .*Fetch or prepare the model again\."):
        artifacts.describe(small)


def test_pickles_are_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(
        ModelError, match=r"only as a pickle .pytorch_model.bin.*Save the model with safetensors"
    ):
        models.folder(str(tmp_path))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "cannot be read"), ("{", "is not JSON"), ("[]", "holds a list, not a mapping")],
)
def test_a_configuration_that_cannot_be_used_is_one_sentence(tmp_path, content, sentence):
    if content:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(ModelError, match=sentence):
        models.folder(str(tmp_path))


def test_an_unknown_name_is_refused_with_its_neighbour():
    with pytest.raises(
        ModelError, match="'gpt2-5n' is no known model, folder or GGUF file. Did you mean 'gpt2-5m'"
    ):
        models.folder("gpt2-5n")


@pytest.mark.parametrize(
    ("mapping", "sentence"),
    [
        ({"name": "x", "paramz": 3}, "unknown key 'paramz'"),
        ({"params": 3}, "no name"),
        ({"name": "x", "hub": "a/b", "folder": "c"}, "hub and folder given"),
        ({"name": "x", "hub": "a/b", "params": -1}, "params: -1 is not a whole number"),
        ({"name": "a/b", "params": -1}, "params: -1 is not a whole number"),
        ({"name": "x", "hub": "a/b", "weights": "good"}, "none of trained, random, unknown"),
        ({"name": "x", "seeded": True, "layers": 2}, "need layers, hidden, heads and vocab"),
        ({"name": "gpt2-5m", "heads": 3}, "width of 80 does not divide into 3 heads"),
    ],
)
def test_a_mapping_that_means_nothing_is_refused(mapping, sentence):
    with pytest.raises(ModelError, match=sentence):
        models.resolve(mapping)


def test_other_heads_change_the_folder_but_not_the_weights():
    plain, wide = models.folder("gpt2-5m"), models.folder({"name": "gpt2-5m", "heads": 10})
    assert plain != wide
    assert models.check({"name": "gpt2-5m", "heads": 10}, wide).content_sha256 == models.check(
        "gpt2-5m", plain
    ).content_sha256  # fmt: skip


def test_a_hub_model_is_fetched_without_pickles_and_without_code(monkeypatch, small):
    import huggingface_hub

    asked = {}
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda name, **how: asked.update(how, name=name) or small
    )
    assert models.folder("owner/some-model") == small
    assert asked["name"] == "owner/some-model"
    assert not any(pattern.endswith((".bin", ".pt", ".py")) for pattern in asked["allow_patterns"])
    models.folder({"name": "own", "hub": "owner/some-model", "trust_remote_code": True})
    assert "*.py" in asked["allow_patterns"]


def test_a_hub_that_does_not_answer_is_one_sentence(monkeypatch):
    import huggingface_hub

    def silent(*_, **__):
        raise OSError("no route to host\nand more")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", silent)
    with pytest.raises(
        ModelError, match="neither in the local cache nor to be had from the hub .no route to host."
    ):
        models.folder("gpt2-medium")


def test_a_gguf_that_is_cut_short_or_something_else_is_one_sentence(tmp_path):
    file = tmp_path / "model.gguf"
    for content in (b"", b"GGUF", b"PK\x03\x04" + bytes(100), b"GGUF\x03\x00\x00\x00" + b"\xff" * 60):
        file.write_bytes(content)
        with pytest.raises(ModelError, match="is no GGUF file|is cut short"):
            artifacts.describe(file)


@pytest.mark.parametrize("entry", [
    {"data_offsets": [-4, 4]}, {"data_offsets": [8, 0]}, {"data_offsets": [0.0, 8.0]}, {"shape": [3]}, {"shape": [-2]},
    {"shape": "2"}, {"dtype": "F16"}, {"dtype": ["F32"]},
])  # fmt: skip
def test_a_tensor_that_is_not_as_large_as_its_index_says_is_one_sentence(entry, tmp_path):
    index = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | entry}).encode()
    (tmp_path / "model.safetensors").write_bytes(len(index).to_bytes(8, "little") + index + bytes(8))
    with pytest.raises(ModelError, match="is cut short or damaged .its index cannot be read"):
        artifacts.read_tensors(tmp_path)


@pytest.mark.parametrize("value", [struct.pack("<II", 4, 0), struct.pack("<IQ", 8, 1) + b"a"])
def test_a_gguf_whose_alignment_is_no_number_is_one_sentence(value, tmp_path):
    head = struct.pack("<IQQQ", 3, 0, 1, len("general.alignment"))
    (tmp_path / "model.gguf").write_bytes(b"GGUF" + head + b"general.alignment" + value + bytes(64))
    with pytest.raises(ModelError, match="is no GGUF file, or is cut short"):
        artifacts.describe(tmp_path / "model.gguf")


def test_a_package_that_is_missing_says_what_to_install():
    with pytest.raises(ModelError, match="pip install no-such-weights"):
        models.gguf({"name": "x", "package": "no_such_weights", "gguf_sha256": "0" * 64})


def test_a_model_without_a_gguf_says_so():
    with pytest.raises(ModelError, match="gpt2: has no GGUF file"):
        models.gguf("gpt2")


def test_a_conversion_that_breaks_is_one_sentence(tmp_path):
    (tmp_path / "broken.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelError, match=r"transformers could not convert it .*It needs transformers"):
        gguf_convert.convert(tmp_path / "broken.gguf", tmp_path / "out", python=shutil.which("false"))


def test_seeded_ids_are_fixed_varied_and_below_the_vocabulary():
    assert models.seeded_ids(50257, 6, seed=42, index=0) == [38896, 22056, 43150, 35047, 4733, 49031]
    assert models.seeded_ids(50257, 6, seed=42, index=1) != models.seeded_ids(50257, 6, seed=42, index=0)
    ids = models.seeded_ids(1000, 4000, seed=1)
    assert min(ids) >= 0 and max(ids) < 1000 and len(set(ids)) > 900


def test_text_without_a_tokeniser_is_refused(small):
    with pytest.raises(ModelError, match="has no tokenizer.json.*Use prompt_tokens"):
        models.prompt_ids(small, "Hello")


def test_preparing_and_describing_load_no_engine(tmp_path):
    code = (
        "import sys; from llmresearch import models; models.check('gpt2-5m', models.folder('gpt2-5m')); "
        "print(sorted({'torch', 'transformers', 'pandas', 'huggingface_hub'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
