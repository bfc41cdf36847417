import json
import struct

import pytest

from llmresearch.sizer import estimate, from_config, from_file
from llmresearch.sizer.formats import SizerError
from llmresearch.sizer.headers import safetensors_tensors
from llmresearch.sizer.tensors import count

LLAMA = {
    "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
}  # fmt: skip


def test_a_llama_config_counts_to_the_published_total():
    assert count(from_config(LLAMA)) == 8_030_261_248


def test_a_config_and_the_registry_give_the_same_answer():
    settled = {"gpu": "h100", "engine_version": "0.19.0", "max_num_seqs": 256, "max_num_batched_tokens": 8192}
    assert estimate(LLAMA, **settled).required == estimate("llama-3.1-8b", **settled).required


@pytest.mark.parametrize(
    ("config", "total"),
    [
        (
            {"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024,
            "vocab_size": 50257},
            124_439_808,
        ),
        (
            {
                "model_type": "qwen3", "hidden_size": 1024, "num_hidden_layers": 28,
                "num_attention_heads": 16,
                "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 3072, "vocab_size": 151936,
                "tie_word_embeddings": True, "max_position_embeddings": 40960,
            },
            596_049_920,
        ),
        (
            {
                "model_type": "mixtral", "hidden_size": 4096, "num_hidden_layers": 32,
                "num_attention_heads": 32,
                "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 32000,
                "num_local_experts": 8,
                "num_experts_per_tok": 2, "max_position_embeddings": 32768,
            },
            46_702_792_704,
        ),
        (
            {
                "model_type": "deepseek_v3", "hidden_size": 7168, "num_hidden_layers": 61,
                "num_attention_heads": 128,
                "num_key_value_heads": 128, "intermediate_size": 18432, "moe_intermediate_size": 2048,
                "n_routed_experts": 256, "num_experts_per_tok": 8, "n_shared_experts": 1,
                "first_k_dense_replace": 3,
                "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128,
                "v_head_dim": 128, "vocab_size": 129280, "max_position_embeddings": 163840,
            },
            671_026_419_200,
        ),
        (
            {
                "model_type": "gpt_oss", "hidden_size": 2880, "num_hidden_layers": 24,
                "num_attention_heads": 64,
                "num_key_value_heads": 8, "head_dim": 64, "intermediate_size": 2880, "num_local_experts": 32,
                "num_experts_per_tok": 4, "vocab_size": 201088, "sliding_window": 128,
                "layer_types": ["sliding_attention", "full_attention"] * 12,
                "max_position_embeddings": 131072,
            },
            20_914_757_184,
        ),
    ],
)  # fmt: skip
def test_configs_of_other_architectures_count_to_their_published_totals(config, total):
    assert count(from_config(config)) == total


def test_windows_are_read_from_layer_types_and_from_patterns():
    base = {
        "hidden_size": 3840, "num_hidden_layers": 48, "num_attention_heads": 16, "num_key_value_heads": 8,
        "head_dim": 256, "intermediate_size": 15360, "vocab_size": 262208, "max_position_embeddings": 131072,
        "sliding_window": 1024,
    }  # fmt: skip
    by_pattern = from_config(base | {"model_type": "gemma3_text"})
    kinds = (["sliding_attention"] * 5 + ["full_attention"]) * 8
    by_kinds = from_config(base | {"model_type": "gemma3_text", "layer_types": kinds})
    assert (by_pattern.full_layers, by_kinds.full_layers, by_kinds.sliding_layers) == (8, 8, 40)


def test_what_gemma_configs_leave_to_transformers_is_filled_in():
    # text_config of google/gemma-3-12b-it: no head_dim, no vocabulary, no positions
    text = {
        "model_type": "gemma3_text", "hidden_size": 3840, "intermediate_size": 15360, "num_attention_heads": 16,
        "num_hidden_layers": 48, "num_key_value_heads": 8, "sliding_window": 1024,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
    }  # fmt: skip
    spec = from_config({"model_type": "gemma3", "text_config": text})
    assert count(spec) == 11_766_034_176
    assert (spec.rope_rows, spec.max_positions) == (9 * 131072, 131072)
    assert "head_dim 256, vocab_size 262208" in spec.assumed[0]


def test_a_window_that_the_config_does_not_use_is_not_used():
    qwen = LLAMA | {"model_type": "qwen2", "sliding_window": 4096, "use_sliding_window": False}
    assert from_config(qwen).sliding_window == 0


def test_what_a_config_leaves_out_is_assumed_and_said():
    bare = {k: v for k, v in LLAMA.items() if k not in ("num_key_value_heads", "intermediate_size")}
    spec = from_config(bare)
    assert (spec.kv_heads, spec.intermediate) == (32, 16384)
    assert any("num_key_value_heads" in said for said in estimate(bare).assumed)
    assert any("intermediate_size" in said for said in estimate(bare).assumed)


def test_an_unknown_architecture_is_laid_out_like_llama_and_says_so():
    assert (
        "model_type 'newthing' is not known here"
        in from_config(LLAMA | {"model_type": "newthing"}).assumed[0]
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"num_hidden_layers": None}, "the config has no num_hidden_layers"),
        ({"vocab_size": None}, "the config has no vocab_size"),
        ({"num_hidden_layers": -4}, "num_hidden_layers is -4; it must be a positive number"),
        (
            {"hidden_size": 4100, "num_attention_heads": 24},
            "hidden_size 4100 is not a multiple of num_attention_heads 24",
        ),
        ({"num_key_value_heads": 5}, "num_attention_heads 32 is not a multiple of num_key_value_heads 5"),
        ({"layer_types": ["full_attention"] * 3}, "layer_types has 3 entries for 32 layers"),
        ({"num_experts": 4, "num_experts_per_tok": 8}, "num_experts_per_tok 8 is more than the 4 experts"),
    ],
)
def test_missing_and_contradictory_fields_are_refused_in_one_sentence(change, sentence):
    with pytest.raises(SizerError, match=sentence):
        from_config(LLAMA | change)


def test_a_nested_text_config_is_found_and_a_vision_tower_counted():
    tower = {"hidden_size": 1152, "num_hidden_layers": 27, "intermediate_size": 4304, "patch_size": 14}
    spec = from_config(
        {"model_type": "gemma3", "text_config": LLAMA | {"model_type": "gemma3_text"}, "vision_config": tower}
    )
    assert spec.multimodal
    assert spec.vision_params == pytest.approx(417e6, rel=0.05)


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ({"quant_method": "awq"}, "awq"),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8-block"),
        ({"quant_method": "gptq", "bits": 4}, "gptq"),
        ({"quant_method": "mxfp4"}, "mxfp4"),
        (
            {"quant_method": "compressed-tensors", "config_groups": {"0": {"weights": {"num_bits": 4}}}},
            "w4a16",
        ),
        (
            {"quant_method": "compressed-tensors", "config_groups": {"0": {"weights": {"type": "float"}}}},
            "fp8",
        ),
    ],
)
def test_a_quantised_config_is_weighed_as_it_is_stored(method, name):
    config = LLAMA | {"quantization_config": method}
    assert from_config(config).quantised_as == name
    assert estimate(config).weights.value == estimate("llama-3.1-8b", weight_format=name).weights.value


def test_a_config_file_and_its_folder_are_read(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(LLAMA))
    assert estimate(str(path)).weights.value == estimate(LLAMA).weights.value
    assert estimate(str(tmp_path)).weights.value == estimate(LLAMA).weights.value


@pytest.mark.parametrize(("text", "sentence"), [("{", "is not JSON"), ("[1]", "holds no mapping")])
def test_a_file_that_is_no_config_is_refused(tmp_path, text, sentence):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(SizerError, match=sentence):
        from_file(path)


def test_an_absent_file_is_named():
    with pytest.raises(SizerError, match="there is no file nowhere/config.json"):
        estimate("nowhere/config.json")


def safetensors(path, tensors):
    header = json.dumps(
        {name: {"dtype": "BF16", "shape": shape, "data_offsets": [0, 0]} for name, shape in tensors.items()}
    )
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode())


def test_a_safetensors_header_is_counted_without_its_data(tmp_path):
    path = tmp_path / "model.safetensors"
    safetensors(path, {"a": [3, 4], "b": [5]})
    assert safetensors_tensors(path) == {"a": ("BF16", 12), "b": ("BF16", 5)}


def test_a_checkpoint_that_does_not_hold_what_its_config_says_is_said(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    safetensors(tmp_path / "model.safetensors", {"a": [3, 4]})
    assert (
        "holds 12 values where the config implies 8,030,261,248"
        in from_file(tmp_path / "model.safetensors").assumed[-1]
    )


def test_a_broken_safetensors_file_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"\x01")
    with pytest.raises(SizerError, match="has no safetensors header"):
        safetensors_tensors(path)


def gguf(path, pairs, tensors=None):
    def string(text):
        return struct.pack("<Q", len(text)) + text.encode()

    tensors = tensors or {}
    body = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs))
    for key, value in pairs.items():
        if isinstance(value, str):
            body += string(key) + struct.pack("<I", 8) + string(value)
        elif isinstance(value, list):
            strings = b"".join(string(v) for v in value)
            body += string(key) + struct.pack("<IIQ", 9, 8, len(value)) + strings
        else:
            body += string(key) + struct.pack("<II", 4, value)
    for name, (shape, kind) in tensors.items():
        body += string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, 0)
    path.write_bytes(body)


def test_a_gguf_header_gives_the_architecture(tmp_path):
    path = tmp_path / "tiny.gguf"
    gguf(
        path,
        {
            "general.architecture": "llama", "general.name": "tiny", "llama.block_count": 2,
            "llama.embedding_length": 64,
            "llama.attention.head_count": 4, "llama.attention.head_count_kv": 2,
            "llama.feed_forward_length": 128,
            "llama.context_length": 512, "tokenizer.ggml.tokens": ["a", "bb", "ccc"],
        },
    )  # fmt: skip
    spec = from_file(path)
    assert (spec.name, spec.layers, spec.hidden, spec.kv_heads, spec.vocab, spec.max_positions) == (
        "tiny",
        2,
        64,
        2,
        3,
        512,
    )


def test_a_file_that_is_no_gguf_is_refused(tmp_path):
    path = tmp_path / "x.gguf"
    path.write_bytes(b"nothing")
    with pytest.raises(SizerError, match="is not a GGUF file"):
        from_file(path)


def test_a_gguf_files_own_tensor_table_is_its_weights(tmp_path):
    path = tmp_path / "tiny.gguf"
    words = {
        "general.architecture": "llama", "llama.block_count": 1, "llama.embedding_length": 256,
        "llama.attention.head_count": 4, "llama.feed_forward_length": 512, "llama.context_length": 512,
        "llama.vocab_size": 1000,
    }  # fmt: skip
    # Q8_0 is 34 bytes for 32 values, Q4_K 144 for 256
    gguf(path, words, {"token_embd.weight": ([256, 1000], 12), "output.weight": ([256, 1000], 8)})
    found = estimate(path, engine="llama.cpp", gpu="t4", max_model_len=512)
    assert found.weights.value == 256 * 1000 * 34 / 32


def test_a_damaged_gguf_header_is_refused(tmp_path):
    path = tmp_path / "x.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 5))
    with pytest.raises(SizerError, match="is cut short or damaged"):
        from_file(path)
