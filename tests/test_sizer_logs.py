from pathlib import Path

import pytest

from llmresearch.sizer import SizerError, compare_log, parse_log

GIB, MIB = 2**30, 2**20
LOGS = Path(__file__).parent / "sizer_logs"  # the first line of each file names its source


def log(name):
    return (LOGS / f"{name}.txt").read_text(encoding="utf-8")


# vllm-project/vllm-ascend pull request 8289: the sentence at the end of start-up
SUMMARY = (
    "Free memory on device (60.86/61.27 GiB) on startup. Desired GPU memory utilization is (0.9, 55.14 GiB)."
    " Actual usage: 1.14 GiB for weights, 0.22 GiB for peak activation, 0.13 GiB for non-torch memory,"
    " 0.04 GiB for NPU graph memory."
)


def gib(found):
    return {
        key: round(value / GIB, 4)
        for key, value in found.items()
        if key.endswith("_bytes") and key != "kv_per_token_bytes"
    }


def test_the_table_of_0_6_is_read():
    assert gib(parse_log(log("vllm_0_6_4"))) == {
        "weights_bytes": 14.96, "activation_bytes": 1.26, "non_torch_bytes": 1.79, "kv_pool_bytes": 53.29,
        "total_bytes": 79.22, "budget_bytes": 71.29,
    }  # fmt: skip


def test_of_several_ranks_the_first_counts():
    found = parse_log(log("vllm_0_7"))
    assert gib(found) == {
        "weights_bytes": 21.21, "activation_bytes": 0.37, "non_torch_bytes": 0.2, "kv_pool_bytes": 1.57,
        "total_bytes": 23.58, "budget_bytes": 23.35,
    }  # fmt: skip
    assert found["gpu_memory_utilization"] == 0.99


def test_the_short_log_of_0_8_is_read():
    found = parse_log(log("vllm_0_8"))
    assert found["weights_bytes"] == round(14.9889 * GIB)
    assert (found["kv_pool_tokens"], found["max_model_len"], found["max_concurrency"]) == (
        158656,
        32768,
        4.84,
    )


def test_the_debug_lines_of_0_19_are_read_through_their_colours():
    found = parse_log(log("vllm_0_19"))
    assert gib(found) == {
        "weights_bytes": 14.99, "activation_bytes": 1.89, "non_torch_bytes": 0.25, "non_kv_bytes": 17.12,
        "kv_pool_bytes": 58.11, "cuda_graphs_bytes": 0.91, "cuda_graphs_estimated_bytes": 0.84,
        "budget_bytes": 75.23,
    }  # fmt: skip
    assert (found["engine_version"], found["tp"], found["max_model_len"]) == ("0.19.0", 1, 8192)
    assert found["kv_per_token_bytes"] == pytest.approx(131072, rel=1e-3)


def test_the_closing_sentence_is_read():
    assert gib(parse_log(SUMMARY)) == {
        "weights_bytes": 1.14, "activation_bytes": 0.22, "non_torch_bytes": 0.13, "cuda_graphs_bytes": 0.04,
        "total_bytes": 61.27, "budget_bytes": 55.14,
    }  # fmt: skip


def test_blocks_of_the_oldest_logs_are_tokens_of_sixteen():
    # vllm-project/vllm pull request 2031
    found = parse_log(
        "INFO llm_engine.py:161] # GPU blocks: 7351, # CPU blocks: 512\nLoading model weights took 12.5523 GB"
    )
    assert found["kv_pool_tokens"] == 117616
    assert found["weights_bytes"] == round(12.5523 * GIB)


def test_sglang_states_keys_and_values():
    # vllm-project/vllm issue 21348
    found = parse_log("KV Cache is allocated. #tokens: 367404, K size: 8.23 GB, V size: 8.23 GB")
    assert (found["engine"], found["kv_pool_tokens"]) == ("sglang", 367404)
    assert found["kv_pool_bytes"] == 2 * round(8.23 * GIB)


def test_old_and_new_llama_cpp_logs_are_read():
    old = parse_log(log("llama_cpp_old"))
    assert (old["engine"], old["kv_pool_bytes"], old["activation_bytes"]) == (
        "llama.cpp",
        144 * MIB,
        300.75 * MIB,
    )
    new = parse_log(log("llama_cpp_new"))
    assert (new["weights_bytes"] / MIB, new["weights_on_cpu_bytes"] / MIB) == pytest.approx((4403.49, 281.81))
    assert (new["kv_pool_tokens"], new["kv_per_token_bytes"]) == (8192, 131072)


def test_of_several_devices_the_fullest_counts_and_the_whole_cache_is_kept():
    found = parse_log(log("llama_cpp_two_devices"))
    assert found["gpus"] == 2
    assert (found["weights_bytes"] / MIB, found["kv_pool_bytes"] / MIB) == pytest.approx((2025.28, 306))
    assert found["kv_cache_bytes"] == 544 * MIB


@pytest.mark.parametrize("text", ["", "INFO: Application startup complete.", "weights memory: unknown"])
def test_a_text_without_memory_is_refused(text):
    with pytest.raises(
        SizerError, match="log: no line of vLLM, SGLang or llama.cpp that states memory was found"
    ):
        parse_log(text)


def test_a_pasted_log_is_compared_with_the_prediction():
    rows = compare_log(log("vllm_0_19"), gpu="h100", max_num_seqs=1024, max_num_batched_tokens=8192)
    errors = {name: error for name, *_, error in rows}
    assert set(errors) == {
        "weights",
        "activation",
        "non_torch",
        "cuda_graphs",
        "kv_per_token",
        "kv_pool",
        "kv_pool_tokens",
    }
    assert (
        max(abs(errors[name]) for name in ("weights", "activation", "kv_per_token", "kv_pool_tokens")) < 0.5
    )


def test_a_log_that_does_not_name_its_model_is_compared_when_it_is_given():
    with pytest.raises(SizerError, match="log: it does not name the model"):
        compare_log(log("vllm_0_6_4"))
    rows = compare_log(
        log("vllm_0_6_4"), model="llama-3-8b", gpu="h100", engine_version="0.6.4", max_num_seqs=256
    )
    assert [row[0] for row in rows] == ["weights", "activation", "non_torch", "kv_pool"]
    assert all(abs(row[-1]) < 8 for row in rows)
