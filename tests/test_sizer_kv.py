import pytest

from llmresearch.sizer import estimate, max_concurrency
from llmresearch.sizer.kv import cache
from llmresearch.sizer.specs import find_model

# (model, tp, kv type, bytes a token and GPU): measured pools divided by their tokens, vLLM 0.19 unless said.
TOKENS = [
    ("llama-3.1-8b", 1, "auto", 131072), ("llama-3.1-8b", 1, "fp8", 65536), ("llama-3.1-8b", 4, "auto",
    32768),
    ("qwen2.5-7b", 1, "auto", 57344), ("qwen2.5-7b", 1, "fp8_e4m3", 28672), ("gemma-7b", 1, "auto", 458752),
    ("gemma-3-27b", 1, "auto", 573440), ("gemma-3-4b", 1, "auto", 143360), ("gemma-3-12b", 1, "auto", 393216),
    ("llama-4-scout-17b-16e", 4, "auto", 49152), ("kimi-vl-a3b", 1, "auto", 31104), ("kimi-vl-a3b", 2,
    "auto", 31104),
    ("qwen3-235b-a22b", 4, "auto", 48128), ("qwen3-235b-a22b", 8, "auto", 48128), ("gpt-oss-20b", 1, "auto",
    49152),
    ("qwen3-next-80b-a3b", 1, "auto", 24576), ("deepseek-v3", 8, "auto", 70272),
]  # fmt: skip


@pytest.mark.parametrize(("model", "tp", "kind", "size"), TOKENS)
def test_a_token_takes_what_measured_pools_divide_to(model, tp, kind, size):
    found = estimate(model, tp=tp, kv_dtype=kind, engine_version="0.19.0", weight_format="fp8")
    assert found.kv_per_token.value == size


def test_a_full_precision_model_has_a_full_precision_cache():
    assert estimate("llama-3.1-8b", weight_format="fp32").kv_per_token.value == 262144


@pytest.mark.parametrize(
    ("kind", "size"), [("q8_0", 30464), ("q4_0", 16128), ("fp16", 57344), ("q5_1", 21504)]
)
def test_llama_cpp_caches_take_their_block_formats(kind, size):
    found = estimate("qwen2.5-7b", engine="llama.cpp", weight_format="Q4_K_M", kv_dtype=kind)
    assert found.kv_per_token.value == size


def test_the_latent_rows_were_padded_from_0_7_3_to_0_8():
    found = estimate("deepseek-r1", weight_format="fp8", tp=8, engine_version="0.8.4")
    assert found.kv_per_token.value == 61 * 640 * 2


def test_layer_groups_have_the_size_of_the_rarer_kind():
    found = cache(find_model("gemma-3-27b"), "bf16")
    assert (found.full, found.sliding, found.group, found.full_groups, found.sliding_groups) == (
        10,
        52,
        10,
        1,
        6,
    )


def test_a_window_makes_a_long_context_cheap_in_local_layers():
    one = max_concurrency("gemma-3-12b", 100_000, max_model_len=100_000, gpu="h100", engine_version="0.19.0")
    old = max_concurrency("gemma-3-12b", 100_000, max_model_len=100_000, gpu="h100", engine_version="0.9.0")
    assert (one, old) == (3, 1)


def test_a_recurrent_state_is_constant_and_counted_once_a_sequence():
    found = cache(find_model("qwen3-next-80b-a3b"), "bf16")
    assert found.state == 36 * (32 * 128 * 128 * 4 + (2 * 16 + 32) * 128 * 3 * 2)


def test_a_llama_cpp_cache_with_windows_is_exact():
    found = estimate(
        "gpt-oss-120b", engine="llama.cpp", weight_format="mxfp4", gpu_memory_gib=128, max_model_len=131072,
        max_num_seqs=2, max_num_batched_tokens=1024,
    )  # fmt: skip
    assert found.kv_pool.value / 2**20 == 9216 + 90
