import pytest

from llmresearch.sizer import SizerError, compare_log, parse_log

GIB, MIB = 2**30, 2**20

# vllm-project/vllm pull request 10511
V0_6_4 = """\
INFO 12-13 19:54:18 worker.py:243] total_gpu_memory     79.22GiB
INFO 12-13 19:54:18 worker.py:243] gpu_memory_utilization       0.90
INFO 12-13 19:54:18 worker.py:243] the current vLLM instance can use    71.29GiB
INFO 12-13 19:54:18 worker.py:243] model weights take   14.96GiB
INFO 12-13 19:54:18 worker.py:243] non_torch_memory     1.79GiB
INFO 12-13 19:54:18 worker.py:243] PyTorch activation peak memory       1.26GiB
INFO 12-13 19:54:18 worker.py:243] available_kv_cache_memory    53.29GiB
"""
# vllm-project/vllm pull request 14447, two of sixteen ranks
V0_7 = """\
(VllmWorkerProcess pid=507) INFO 04-12 08:21:19 [worker.py:267] Memory profiling takes 17.59 seconds
(VllmWorkerProcess pid=507) INFO 04-12 08:21:19 [worker.py:267] the current vLLM instance can use total_gpu_memory (23.58GiB) x gpu_memory_utilization (0.99) = 23.35GiB
(VllmWorkerProcess pid=507) INFO 04-12 08:21:19 [worker.py:267] model weights take 21.21GiB; non_torch_memory takes 0.20GiB; PyTorch activation peak memory takes 0.37GiB; the rest of the memory reserved for KV Cache is 1.57GiB.
(VllmWorkerProcess pid=577) INFO 04-12 08:21:19 [worker.py:267] model weights take 20.02GiB; non_torch_memory takes 0.20GiB; PyTorch activation peak memory takes 0.37GiB; the rest of the memory reserved for KV Cache is 2.57GiB.
"""  # noqa: E501
# vllm-project/vllm pull request 17122
V0_8 = """\
INFO 04-24 16:33:00 [gpu_model_runner.py:1316] Model loading took 14.9889 GiB and 3.652170 seconds
INFO 04-24 16:33:13 [kv_cache_utils.py:634] GPU KV cache size: 158,656 tokens
INFO 04-24 16:33:13 [kv_cache_utils.py:637] Maximum concurrency for 32,768 tokens per request: 4.84x
"""
# the debug lines of llm-d-planner PR 205's runs with vLLM 0.19
V0_19 = """\
(EngineCore pid=77) INFO 03-30 11:00:01 [core.py:99] Initializing a V1 LLM engine (v0.19.0) with config: model='meta-llama/Llama-3.1-8B-Instruct', dtype=torch.bfloat16, max_seq_len=8192, tensor_parallel_size=1, pipeline_parallel_size=1, quantization=None, kv_cache_dtype=auto
\x1b[1;36m(EngineCore pid=77)\x1b[0;0m INFO 03-30 11:00:21 [gpu_model_runner.py:4879] Model loading took 14.99 GiB memory and 14.429680 seconds
(EngineCore pid=77) DEBUG 03-30 11:00:50 [gpu_worker.py:300] Initial free memory: 78.60 GiB; Requested memory: 0.950000 (util), 75.23 GiB
(EngineCore pid=77) DEBUG 03-30 11:00:50 [gpu_worker.py:301] Memory profiling takes 17.96 seconds. Total non KV cache memory: 17.12GiB; torch peak memory increase: 1.89GiB; non-torch forward increase memory: 0.25GiB; weights memory: 14.99GiB.
(EngineCore pid=77) INFO 03-30 11:00:50 [gpu_worker.py:302] Available KV cache memory: 58.11 GiB
(EngineCore pid=77) INFO 03-30 11:00:50 [kv_cache_utils.py:1087] GPU KV cache size: 476,000 tokens
(EngineCore pid=77) INFO 03-30 11:01:12 [gpu_model_runner.py:5993] Estimated CUDA graph memory: 0.84 GiB total
(EngineCore pid=77) INFO 03-30 11:01:12 [gpu_model_runner.py:6100] Graph capturing finished in 20 secs, took 0.91 GiB
"""  # noqa: E501
# vllm-project/vllm-ascend pull request 8289: the sentence at the end of start-up
SUMMARY = (
    "Free memory on device (60.86/61.27 GiB) on startup. Desired GPU memory utilization is (0.9, 55.14 GiB). Actual usage:"
    " 1.14 GiB for weights, 0.22 GiB for peak activation, 0.13 GiB for non-torch memory, 0.04 GiB for NPU graph memory."
)
# SciSharp/LLamaSharp issue 1099
LLAMA_OLD = """\
[llama Info]: llama_kv_cache_init:      CUDA0 KV buffer size =   144.00 MiB
[llama Info]: llama_init_from_model: KV self size  =  144.00 MiB, K (f16):   72.00 MiB, V (f16):   72.00 MiB
[llama Info]: llama_init_from_model:  CUDA_Host  output buffer size =     0.58 MiB
[llama Info]: llama_init_from_model:      CUDA0 compute buffer size =   300.75 MiB
[llama Info]: llama_init_from_model:  CUDA_Host compute buffer size =    12.01 MiB
"""
# the buffers of Llama-3.1-8B Q4_K_M and of OLMoE on two devices (a public llama.cpp guide for Hexagon)
LLAMA_NEW = """\
load_tensors:   CPU_Mapped model buffer size =   281.81 MiB
load_tensors:        CUDA0 model buffer size =  4403.49 MiB
llama_context: n_ctx         = 8192
llama_kv_cache:      CUDA0 KV buffer size =  1024.00 MiB
llama_kv_cache: size = 1024.00 MiB (  8192 cells,  32 layers,  1/1 seqs), K (f16):  512.00 MiB, V (f16):  512.00 MiB
llama_context:      CUDA0 compute buffer size =   560.00 MiB
"""
LLAMA_TWO = """\
load_tensors:          CPU model buffer size =   143.86 MiB
load_tensors:         HTP1 model buffer size =     0.23 MiB
load_tensors:  HTP1-REPACK model buffer size =  1575.00 MiB
load_tensors:         HTP0 model buffer size =     0.28 MiB
load_tensors:  HTP0-REPACK model buffer size =  2025.00 MiB
llama_kv_cache:       HTP1 KV buffer size =   238.00 MiB
llama_kv_cache:       HTP0 KV buffer size =   306.00 MiB
llama_kv_cache: size =  544.00 MiB (  8192 cells,  16 layers,  1/1 seqs), K (q8_0):  272.00 MiB, V (q8_0):  272.00 MiB
"""


def gib(found):
    return {key: round(value / GIB, 4) for key, value in found.items() if key.endswith("_bytes") and key != "kv_per_token_bytes"}


def test_the_table_of_0_6_is_read():
    assert gib(parse_log(V0_6_4)) == {
        "weights_bytes": 14.96, "activation_bytes": 1.26, "non_torch_bytes": 1.79, "kv_pool_bytes": 53.29,
        "total_bytes": 79.22, "budget_bytes": 71.29,
    }  # fmt: skip


def test_of_several_ranks_the_first_counts():
    found = parse_log(V0_7)
    assert gib(found) == {
        "weights_bytes": 21.21, "activation_bytes": 0.37, "non_torch_bytes": 0.2, "kv_pool_bytes": 1.57,
        "total_bytes": 23.58, "budget_bytes": 23.35,
    }  # fmt: skip
    assert found["gpu_memory_utilization"] == 0.99


def test_the_short_log_of_0_8_is_read():
    found = parse_log(V0_8)
    assert found["weights_bytes"] == round(14.9889 * GIB)
    assert (found["kv_pool_tokens"], found["max_model_len"], found["max_concurrency"]) == (158656, 32768, 4.84)


def test_the_debug_lines_of_0_19_are_read_through_their_colours():
    found = parse_log(V0_19)
    assert gib(found) == {
        "weights_bytes": 14.99, "activation_bytes": 1.89, "non_torch_bytes": 0.25, "non_kv_bytes": 17.12,
        "kv_pool_bytes": 58.11, "cuda_graphs_bytes": 0.91, "cuda_graphs_estimated_bytes": 0.84, "budget_bytes": 75.23,
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
    found = parse_log("INFO llm_engine.py:161] # GPU blocks: 7351, # CPU blocks: 512\nLoading model weights took 12.5523 GB")
    assert found["kv_pool_tokens"] == 117616
    assert found["weights_bytes"] == round(12.5523 * GIB)


def test_sglang_states_keys_and_values():
    # vllm-project/vllm issue 21348
    found = parse_log("KV Cache is allocated. #tokens: 367404, K size: 8.23 GB, V size: 8.23 GB")
    assert (found["engine"], found["kv_pool_tokens"]) == ("sglang", 367404)
    assert found["kv_pool_bytes"] == 2 * round(8.23 * GIB)


def test_old_and_new_llama_cpp_logs_are_read():
    old = parse_log(LLAMA_OLD)
    assert (old["engine"], old["kv_pool_bytes"], old["activation_bytes"]) == ("llama.cpp", 144 * MIB, 300.75 * MIB)
    new = parse_log(LLAMA_NEW)
    assert (new["weights_bytes"] / MIB, new["weights_on_cpu_bytes"] / MIB) == pytest.approx((4403.49, 281.81))
    assert (new["kv_pool_tokens"], new["kv_per_token_bytes"]) == (8192, 131072)


def test_of_several_devices_the_fullest_counts_and_the_whole_cache_is_kept():
    found = parse_log(LLAMA_TWO)
    assert found["gpus"] == 2
    assert (found["weights_bytes"] / MIB, found["kv_pool_bytes"] / MIB) == pytest.approx((2025.28, 306))
    assert found["kv_cache_bytes"] == 544 * MIB


@pytest.mark.parametrize("text", ["", "INFO: Application startup complete.", "weights memory: unknown"])
def test_a_text_without_memory_is_refused(text):
    with pytest.raises(SizerError, match="log: no line of vLLM, SGLang or llama.cpp that states memory was found"):
        parse_log(text)


def test_a_pasted_log_is_compared_with_the_prediction():
    rows = compare_log(V0_19, gpu="h100", max_num_seqs=1024, max_num_batched_tokens=8192)
    errors = {name: error for name, *_, error in rows}
    assert set(errors) == {"weights", "activation", "non_torch", "cuda_graphs", "kv_per_token", "kv_pool", "kv_pool_tokens"}
    assert max(abs(errors[name]) for name in ("weights", "activation", "kv_per_token", "kv_pool_tokens")) < 0.5


def test_a_log_that_does_not_name_its_model_is_compared_when_it_is_given():
    with pytest.raises(SizerError, match="log: it does not name the model"):
        compare_log(V0_6_4)
    rows = compare_log(V0_6_4, model="llama-3-8b", gpu="h100", engine_version="0.6.4", max_num_seqs=256)
    assert [row[0] for row in rows] == ["weights", "activation", "non_torch", "kv_pool"]
    assert all(abs(row[-1]) < 8 for row in rows)
