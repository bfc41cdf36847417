"""Exported graphs: the same logits as torch, through a cache, and files that are what they claim."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("onnx", reason="export: needs onnx. Install it: pip install onnx.")

import onnx
import onnxruntime
from safetensors.numpy import load_file, save_file

from llmresearch import export, models
from llmresearch.export import ExportError, Variant, build, calibration
from llmresearch.export.architecture import read_architecture
from llmresearch.export.layers import activation_scale, quantised
from llmresearch.failures import classify_failure
from llmresearch.perplexities import require_disjoint
from llmresearch.texts import read_text
from tests.tiny_models import FAMILIES, made, reference

pytestmark = pytest.mark.usefixtures("cache")
IDS = [models.seeded_ids(211, 24, seed=3, index=row) for row in range(2)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A function from a family's name to the folder of its random model; each is made once."""
    found = {}

    def folder(family):
        if family not in found:
            found[family] = made(family, tmp_path_factory.mktemp(family))
        return found[family]

    return folder


@pytest.fixture
def small(tiny, tmp_path):
    """A copy of the tiny GPT-2 that a test may break."""
    for file in tiny("gpt2").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def written(folder, place, **options):
    """(path of the graph, its facts), built in this process."""
    place.mkdir()
    facts = build.build(folder, place, Variant(**options))
    return place / "model.onnx", facts


def logits(path, facts, ids, prompt):
    """[batch, token, vocab]: the prompt at once, then a token at a time through the cache."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    batch, length = np.shape(ids)
    one_shape = facts["variant"]["form"] != "growing"
    dtype = np.float16 if facts["variant"]["dtype"] == "fp16" else np.float32
    shape = (batch, facts["kv_heads"], length if one_shape else 0, facts["head_width"])
    names = [f"{layer}.{part}" for layer in range(facts["layers"]) for part in ("key", "value")]
    cache = dict.fromkeys(names, np.zeros(shape, dtype))
    found, start = [], 0
    for count in [prompt] + [1] * (length - prompt):
        end = start + count
        slots = np.arange(length if one_shape else end, dtype=np.int32)
        feeds = {"input_ids": np.array(ids, np.int32)[:, start:end], "logits_at": np.arange(count, dtype=np.int32),
                 "position_ids": np.tile(np.arange(start, end, dtype=np.int32), (batch, 1)),
                 "cache_positions": np.tile(slots, (batch, 1))}  # fmt: skip
        feeds |= {f"past_key_values.{name}": value for name, value in cache.items()}
        answer, best, place, *kept = session.run(
            ["logits", "next_ids", "next_positions", *(f"present.{name}" for name in names)], feeds
        )
        assert (best == answer.argmax(-1)).all() and (place == end).all()
        cache, start = dict(zip(names, kept)), end
        found.append(answer)
    return np.concatenate(found, axis=1)


@pytest.mark.parametrize("form, opset", [("in-place", 24), ("growing", 17), ("slots", 17)])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_graph_gives_torchs_logits_through_its_cache(family, form, opset, tiny, tmp_path):
    path, facts = written(tiny(family), tmp_path / "out", form=form)
    expected, found = reference(tiny(family), IDS), logits(path, facts, IDS, prompt=5)
    assert np.abs(found - expected).max() < 5e-5
    assert (found.argmax(-1) == expected.argmax(-1)).all()
    assert facts["opset"] == opset and facts["checker"] == "passed"


def test_half_precision_stays_close(tiny, tmp_path):
    for family in ("gpt2", "gemma3"):
        path, facts = written(tiny(family), tmp_path / family, dtype="fp16")
        assert np.abs(logits(path, facts, IDS, prompt=5) - reference(tiny(family), IDS)).max() < 0.05


@pytest.mark.parametrize("method, form, error", [
    ("blocks", "in-place", 0.3), ("dynamic", "in-place", 0.6), ("static", "in-place", 1.0), ("static", "growing", 1.0),
])  # fmt: skip
def test_eight_bits_stay_close_and_are_there(method, form, error, tiny, tmp_path):
    seed = 0 if method == "static" else None
    path, facts = written(tiny("llama"), tmp_path / "out", dtype="int8", method=method, form=form, seed=seed)
    expected, found = reference(tiny("llama"), IDS), logits(path, facts, IDS, prompt=5)
    assert 1e-4 < np.abs(found - expected).max() < error
    eight = facts["initializer_elements"].get("INT8", 0) + facts["initializer_elements"].get("UINT8", 0)
    assert eight >= 0.99 * sum(
        w.size for w in load_file(tiny("llama") / "model.safetensors").values() if w.ndim == 2
    )


@pytest.mark.parametrize("form", ["growing", "slots"])
def test_what_tensorrt_cannot_parse_is_not_in_its_form(form, tiny, tmp_path):
    path, _ = written(tiny("gemma3"), tmp_path / "out", form=form)
    graph = onnx.load(path, load_external_data=False).graph
    assert not {"Range", "NonZero", "Trilu", "Shape", "Attention"} & {node.op_type for node in graph.node}
    assert {value.type.tensor_type.elem_type for value in graph.input} == {
        onnx.TensorProto.INT32,
        onnx.TensorProto.FLOAT,
    }
    assert {"cache_positions", "position_ids"} <= {value.name for value in graph.input}


def test_sizes_follow_from_the_parameters(tiny, tmp_path):
    params = sum(w.size for w in load_file(tiny("gpt2") / "model.safetensors").values())
    for dtype, bits in (("fp32", 32), ("fp16", 16)):
        _, facts = written(tiny("gpt2"), tmp_path / dtype, dtype=dtype)
        assert facts["implied_bytes"] == params * bits // 8 <= facts["bytes"]


def test_a_file_with_missing_weights_is_refused(tiny, tmp_path):
    path, facts = written(tiny("gpt2"), tmp_path / "out")
    with pytest.raises(ExportError, match="Weights are missing or stored twice"):
        build.checked(path, facts | {"params": facts["params"] * 40})


def test_another_opset_than_asked_for_is_refused(tiny, tmp_path):
    path, facts = written(tiny("gpt2"), tmp_path / "out", form="growing")
    with pytest.raises(ExportError, match="has opset 17, not 24"):
        build.checked(path, facts | {"variant": {"form": "in-place", "dtype": "fp32"}})


def test_a_whole_number_times_its_scale_is_the_weight_within_half_a_step():
    values = np.random.Generator(np.random.PCG64(1)).normal(size=(50, 7)).astype(np.float32)
    whole, scale = quantised(values, axis=0)
    assert np.abs(whole).max() == 127 and scale.shape == (7,)
    assert (np.abs(whole * scale - values) <= scale / 2 * 1.001).all()


@pytest.mark.parametrize("low, high, symmetric, expected", [
    (-1.0, 254.0, False, (1.0, 1)), (3.0, 255.0, False, (1.0, 0)), (-254.0, 10.0, True, (2.0, 0)),
])  # fmt: skip
def test_an_activation_scale_covers_the_range_and_zero(low, high, symmetric, expected):
    assert activation_scale(low, high, symmetric) == expected


def test_an_export_is_made_once_per_content_and_options(tiny):
    first = export.artifact(tiny("gpt2"))
    again = export.artifact(tiny("gpt2"), python="/nowhere/python")
    assert (
        again == first and export.facts(first)["model_sha256"] == models.describe(tiny("gpt2")).content_sha256
    )
    assert export.cached(tiny("gpt2"), Variant(dtype="fp16")) != first.parent


def test_another_models_weights_have_another_place(small):
    before = export.cached(small, Variant())
    weights = load_file(small / "model.safetensors")
    weights["transformer.wte.weight"][0, 0] += 1
    save_file(weights, small / "model.safetensors", metadata={"format": "pt"})
    assert export.cached(small, Variant()) != before


def test_the_caller_needs_neither_onnx_nor_torch():
    code = "import sys, llmresearch.backends.ort; print([m for m in ('onnx', 'torch', 'scipy', 'yaml') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_onnx_the_sentence_says_what_to_install(small, tmp_path, monkeypatch):
    (tmp_path / "onnx.py").write_text("raise ImportError('No module named onnx')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ExportError, match=r"^export: needs onnx .* pip install onnx\.$") as caught:
        export.artifact(small, Variant(dtype="fp16"))
    assert classify_failure(str(caught.value)).cause == "missing library"


def test_a_truncated_export_is_refused(small):
    path = export.artifact(small, Variant(form="growing"))
    data = path.with_name(export.DATA)
    data.write_bytes(data.read_bytes()[:-100])
    with pytest.raises(ExportError, match="a file is truncated or changed. Delete the folder") as caught:
        export.artifact(small, Variant(form="growing"))
    assert classify_failure(str(caught.value)).cause == "corrupt file"


def test_an_export_in_which_one_byte_changed_is_refused(small):
    path = export.artifact(small, Variant(form="slots"))
    data = bytearray(path.with_name(export.DATA).read_bytes())
    data[5000] ^= 1
    path.with_name(export.DATA).write_bytes(data)
    with pytest.raises(ExportError, match="a file is truncated or changed"):
        export.facts(path)


@pytest.mark.parametrize("text", ["[]", "{}", "{", '{"bytes": 5}'])
def test_a_folder_that_holds_no_export_is_one_classified_sentence(text, tmp_path):
    for name in (export.MODEL, export.DATA):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / export.FACTS).write_text(text)
    with pytest.raises(ExportError, match="is no complete export .* Name a model.onnx that was exported here") as caught:
        export.facts(tmp_path / export.MODEL)
    assert classify_failure(str(caught.value)).cause == "corrupt file"


@pytest.mark.parametrize("script, words, cause", [
    ("kill -9 $$", "the export was killed (exit code -9)", "killed"), ("exit 3", "the export ended without a word (exit code 3)", None),
])  # fmt: skip
def test_an_export_that_dies_without_a_word_says_how(script, words, cause, small, tmp_path):
    (tmp_path / "python").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "python").chmod(0o755)
    with pytest.raises(ExportError, match=re.escape(words)) as caught:
        export.artifact(small, Variant(dtype="fp16", form="growing"), python=str(tmp_path / "python"))
    assert cause in (None, classify_failure(str(caught.value)).cause)


@pytest.mark.parametrize("key, value, words", [
    ("model_type", "mamba", "model type 'mamba' is not exported. Known: gpt2, llama"),
    ("scale_attn_by_inverse_layer_idx", True, "scale_attn_by_inverse_layer_idx is set"),
    ("activation_function", "relu", "activation 'relu' is not exported"),
    ("n_head", None, "config.json is damaged (unsupported operand"), ("n_head", 0, "config.json is damaged ("),
    ("n_layer", -1, "config.json is damaged: layers is -1"), ("vocab_size", "211", "config.json is damaged: vocab is '211'"),
])  # fmt: skip
def test_what_the_builder_does_not_know_is_refused(key, value, words, small):
    config = json.loads((small / "config.json").read_text())
    (small / "config.json").write_text(json.dumps(config | {key: value}))
    with pytest.raises(ExportError, match=re.escape(words)):
        read_architecture(small)


def test_a_configuration_without_a_size_is_one_classified_sentence(small):
    config = json.loads((small / "config.json").read_text())
    del config["n_layer"]
    (small / "config.json").write_text(json.dumps(config))
    with pytest.raises(ExportError, match="config.json has no 'n_layer'. Fetch") as caught:
        read_architecture(small)
    assert classify_failure(str(caught.value)).cause == "corrupt file"


@pytest.mark.parametrize("key, value, words", [
    ("vocab_size", 50, "wte.weight is (211, 32), and by config.json it would be (50, 32)"),
    ("n_positions", 64, "wpe.weight is (128, 32), and by config.json it would be (64, 32)"),
    ("n_inner", 32, "h.0.mlp.c_fc is (32, 128), and by config.json it would be (32, 32)"),
])  # fmt: skip
def test_weights_of_another_shape_than_the_configurations_are_refused(key, value, words, small, tmp_path):
    config = json.loads((small / "config.json").read_text())
    (small / "config.json").write_text(json.dumps(config | {key: value}))
    with pytest.raises(ExportError, match=re.escape(words)) as caught:
        written(small, tmp_path / "out")
    assert classify_failure(str(caught.value)).cause == "corrupt file"


@pytest.mark.parametrize("family, told, kinds", [
    ("qwen2", {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1}, ("full", "sliding")),
    ("qwen3", {"use_sliding_window": False, "sliding_window": 4, "max_window_layers": 0}, ("full", "full")),
    ("qwen2", {"use_sliding_window": True, "sliding_window": None, "max_window_layers": 0}, ("full", "full")),
    ("mistral", {"sliding_window": 4}, ("sliding", "sliding")),
])  # fmt: skip
def test_a_configuration_from_before_layer_types_slides_where_its_family_does(family, told, kinds, tiny, tmp_path):
    config = json.loads((tiny(family) / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({k: v for k, v in config.items() if k != "layer_types"} | told))
    assert read_architecture(tmp_path).kinds == kinds


def test_a_configuration_of_another_model_is_refused_across_the_process(small, tiny):
    (small / "config.json").write_text((tiny("qwen2") / "config.json").read_text())
    with pytest.raises(
        ExportError, match=r"has no tensor embed_tokens.weight. Its config.json belongs to another model"
    ):
        export.artifact(small)


def test_a_weight_beyond_half_precision_is_refused(small, tmp_path):
    weights = load_file(small / "model.safetensors")
    weights["transformer.wte.weight"][3, 3] = 1e6
    save_file(weights, small / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ExportError, match="wte.weight: holds values beyond float16. Export it as fp32"):
        written(small, tmp_path / "out", dtype="fp16")


@pytest.mark.parametrize("options, words", [
    ({"dtype": "fp8"}, "dtype 'fp8' is none of"), ({"form": "flat"}, "form 'flat' is none of"),
    ({"dtype": "int8"}, "method None with int8"), ({"method": "static"}, "method 'static' with fp32"),
])  # fmt: skip
def test_an_unknown_variant_is_refused(options, words):
    with pytest.raises(ExportError, match=words):
        Variant(**options)


def test_calibration_is_kept_by_model_data_and_seed(tiny):
    def facts(family, seed):
        folder = tiny(family)
        return calibration.ranges(
            folder, read_architecture(folder), Variant("int8", method="static", seed=seed)
        )[1]

    first, again, seeded, other = facts("qwen3", 5), facts("qwen3", 5), facts("qwen3", 6), facts("mistral", 5)
    assert (first["from_cache"], again["from_cache"]) == (False, True)
    assert len({first["key"], seeded["key"], other["key"]}) == 3 and first["key"] == again["key"]
    assert first["data"] == "seeded ids"


def test_calibration_reads_its_own_text_and_not_the_one_that_models_are_judged_on(small):
    from tokenizers import Tokenizer, models as kinds, pre_tokenizers

    words = sorted(set(re.findall(r"\S+", read_text("calibration") + " " + read_text("evaluation"))))
    tokenizer = Tokenizer(kinds.WordLevel({word: i for i, word in enumerate(words)}, unk_token=words[0]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(small / "tokenizer.json"))
    windows, origin = calibration.calibration_ids(small, len(words), seed=0)
    assert origin == "calibration text" and [len(ids) for ids in windows] == [128] * 8
    for ids in windows:
        require_disjoint(models.prompt_ids(small, read_text("evaluation")), ids, length=8)
