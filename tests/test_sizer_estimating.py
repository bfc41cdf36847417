import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from llmresearch.sizer import Component, SizerError, estimate

GIB = 2**30
NAMES = [
    "weights",
    "activation",
    "non_torch",
    "cuda_graphs",
    "kv_per_token",
    "kv_pool",
    "kv_pool_tokens",
    "required",
    "budget",
]
H100 = {
    "gpu": "H100-80GB", "gpu_memory_gib": 79.19, "engine_version": "0.19.0", "gpu_memory_utilization": 0.95,
    "max_num_seqs": 1024, "max_num_batched_tokens": 8192, "max_model_len": 8192,
}  # fmt: skip
# Rows of llm-d-planner PR 205 (vLLM 0.19 on an H100): weights, activation, non-torch, pool (GiB), tokens of
# the pool.
MEASURED = [
    ("codellama/CodeLlama-7b-hf", {}, 12.56, 0.77, 0.25, 61.66, 126256),
    ("RedHatAI/Llama-3.3-70B-Instruct-fp8-dynamic", {"weight_format": "fp8 (compressed-tensors, dynamic)",
    "tp": 2}, 33.88, 1.96, 2.10, 37.28, 244304),
    ("google/gemma-2-9b-it", {}, 17.22, 3.65, 0.25, 54.12, 168880),
    ("google/gemma-3-4b-it", {}, 8.58, 3.89, 0.25, 62.51, 468144),
    ("meta-llama/Llama-3.1-8B-Instruct", {"weight_format": "fp32"}, 29.98, 2.21, 0.25, 42.80, 175296),
    ("meta-llama/Llama-3.1-8B-Instruct", {"kv_dtype": "fp8"}, 14.99, 1.89, 0.25, 58.11, 952032),
    ("meta-llama/Llama-3.1-8B-Instruct", {"tp": 4}, 3.77, 1.89, 2.13, 67.44, 2209792),
    ("meta-llama/Llama-3.1-8B-Instruct", {"pp": 4}, 4.26, 1.05, 0.07, 69.80, 2257264),
    ("mistralai/Mixtral-8x7B-Instruct-v0.1", {"tp": 2}, 43.51, 1.21, 2.07, 28.44, 465936),
    ("microsoft/phi-4", {}, 27.39, 1.52, 0.25, 46.08, 241568),
    ("Qwen/Qwen2.5-72B-Instruct", {"tp": 2}, 67.80, 2.29, 2.09, 3.04, 19920),
]  # fmt: skip


@pytest.mark.parametrize(("model", "more", "weights", "activation", "non_torch", "pool", "tokens"), MEASURED)
def test_components_are_what_vllm_logged(model, more, weights, activation, non_torch, pool, tokens):
    found = estimate(model, **(H100 | more))
    assert found.weights.gib == pytest.approx(weights, rel=2e-3)
    assert found.activation.gib == pytest.approx(activation, abs=0.15)
    assert found.non_torch.gib == pytest.approx(non_torch, abs=0.05)
    assert found.kv_pool.gib == pytest.approx(pool, rel=0.02)
    assert found.kv_pool_tokens.value == pytest.approx(tokens, rel=0.02)


def test_reserved_and_required_are_two_answers():
    found = estimate("llama-3.1-8b", **H100)
    assert found.budget.value == pytest.approx(0.95 * 79.19 * GIB)
    assert found.required.gib == pytest.approx(14.99 + 1.89 + 0.25 + 8192 * 131072 / GIB, rel=2e-3)
    more = estimate("llama-3.1-8b", batch=8, **H100)
    assert more.required.value - found.required.value == pytest.approx(7 * 8192 * 131072)
    assert more.kv_pool == found.kv_pool


def test_the_context_that_is_asked_for_counts_and_at_least_one_whole_sequence_must_fit():
    whole = estimate("llama-3.1-8b", **H100).required.value
    assert estimate("llama-3.1-8b", context=1024, **H100).required.value == whole
    assert estimate("llama-3.1-8b", context=1024, batch=16, **H100).required.value > whole


def test_every_component_has_an_interval_and_says_where_it_comes_from():
    found = estimate("llama-3.1-8b", **H100)
    for name in NAMES:
        part = getattr(found, name)
        assert isinstance(part, Component)
        assert part.low <= part.value <= part.high
        assert part.label in ("derived", "fitted", "extrapolated")
    assert found.weights.label == found.kv_per_token.label == "derived"
    assert estimate("llama-3.1-8b", gpu="h100", engine="sglang").activation.label == "extrapolated"


def test_eager_mode_captures_no_graphs_and_they_vary_with_the_model():
    assert estimate("llama-3.1-8b", enforce_eager=True, **H100).cuda_graphs.value == 0
    assert estimate("llama-3.3-70b", tp=2, **H100).cuda_graphs.gib == pytest.approx(1.7, abs=0.3)


def test_the_offline_default_of_a_large_gpu_is_a_chunk_of_16384_tokens():
    # measured on an H200 with vLLM 0.25.1: 1.72 GiB at the peak of Mistral-7B, 0.97 of Llama-3.2-1B
    settings = {"engine_version": "0.25.1", "gpu": "NVIDIA H200", "enforce_eager": True, "max_num_seqs": 256}
    assert estimate("mistral-7b-v0.2", **settings).activation.gib == pytest.approx(1.72, abs=0.01)
    assert estimate("llama-3.2-1b", **settings).activation.gib == pytest.approx(0.97, abs=0.01)
    server = estimate("mistral-7b-v0.2", usage="server", **settings)
    assert server.activation.gib == pytest.approx(0.875, abs=0.02)


def test_the_sampler_took_more_before_0_17():
    before = estimate("qwen3-14b", **(H100 | {"engine_version": "0.15.0"})).activation.gib
    after = estimate("qwen3-14b", **(H100 | {"engine_version": "0.17.0"})).activation.gib
    assert (before, after) == pytest.approx((5.64, 2.23), abs=0.05)


@pytest.mark.parametrize(
    ("model", "form", "gib"), [("deepseek-coder-v2-lite", "bf16", 3.97), ("deepseek-r1", "fp8-block", 83.88)]
)
def test_vllm_0_7_kept_products_of_the_latent_projections(model, form, gib):
    found = estimate(model, weight_format=form, tp=8, engine_version="0.7.x", gpu="h200")
    assert found.weights.gib == pytest.approx(gib, rel=0.006)


@pytest.mark.parametrize(
    "question",
    [
        {"model": "gpt-oss-20b", "weight_format": "mxfp4"} | H100,
        {"model": "gpt-oss-20b", "weight_format": "mxfp4", "tp": 2} | H100,
        {"model": "qwen2.5-7b", "weight_format": "4-bit (bnb/awq)", "gpu": "RTX4060-8GB",
        "gpu_memory_gib": 8.0, "gpu_memory_utilization": 0.7, "max_num_seqs": 256},
        {"model": "qwen3-8b", "gpu": "RTX-16GB (Blackwell)", "engine_version": "0.23", "max_model_len": 8192},
        {"model": "qwen3-30b-a3b", "weight_format": "nvfp4", "gpu": "RTX-16GB (Blackwell)",
        "engine_version": "0.23"},
        {"model": "gpt-oss-120b", "weight_format": "mxfp4 (marlin)", "gpu": "H100-80GB",
        "engine_version": "0.10 Marlin", "max_num_seqs": 1024, "max_num_batched_tokens": 8192},
        {"model": "Lingshu-7B (Qwen2.5-VL-7B)", "gpu": "A100-80GB", "gpu_memory_utilization": 0.4},
    ],
)  # fmt: skip
def test_starts_that_failed_are_more_likely_than_not_to_fail(question):
    assert estimate(**question).p_fit < 0.5


def test_the_same_start_of_gpt_oss_that_ran_is_likely_to_run():
    assert (
        estimate("gpt-oss-20b", weight_format="mxfp4", tp=2, **(H100 | {"gpu_memory_utilization": 0.9})).p_fit
        > 0.9
    )


def test_p_fit_never_claims_certainty_and_falls_with_the_context():
    shares = [
        estimate("llama-3.1-8b", gpu="rtx 4090", max_model_len=n, engine_version="0.19").p_fit
        for n in (4096, 36000, 60000)
    ]
    assert shares == sorted(shares, reverse=True)
    assert (max(shares), min(shares)) == (0.995, pytest.approx(0.005))


def test_outside_the_support_intervals_are_wider_and_say_why():
    inside = estimate("llama-3.1-8b", tp=4, gpu="h100", engine_version="0.19", max_num_seqs=256)
    outside = estimate("llama-3.1-8b", tp=8, gpu="h100", engine_version="0.19", max_num_seqs=256)
    assert inside.wider == ()
    assert outside.wider == ("more than 4 GPUs: their NCCL buffers ranged from 0.2 to 7 GiB",)
    assert outside.non_torch.high - outside.non_torch.value > 2 * (
        inside.non_torch.high - inside.non_torch.value
    )
    assert "AMD" in estimate("llama-3.1-8b", gpu="mi300x").wider[0]


def test_a_version_that_was_not_given_is_named_and_reaches_to_what_older_ones_take():
    unknown = estimate("llama-3.1-8b", gpu="h100", max_num_seqs=256)
    assert "no vLLM version given: 0.25" in unknown.assumed[0]
    assert unknown.activation.high >= 9.6 * 256 * 128256 * 4
    assert (
        estimate("llama-3.1-8b", gpu="h100", max_num_seqs=256, engine_version="0.25").activation.high
        < 2 * GIB
    )


def test_a_default_length_above_the_models_own_is_shortened_and_said():
    found = estimate("tinyllama-1.1b-v1.0")
    assert any("max_model_len 2048" in said for said in found.assumed)


# Frames


def frame_of(questions):
    return pd.DataFrame(questions)


def test_a_frame_gives_what_single_questions_give():
    questions = [
        {"model": "llama-3.1-8b", "gpu": "h100", "tp": 2, "max_num_seqs": 128},
        {"model": "gemma-3-27b", "gpu": "a100", "weight_format": "fp8", "engine_version": "0.12.1"},
        {
            "model": "qwen2.5-7b",
            "gpu": "rtx 4090",
            "engine": "llama.cpp",
            "weight_format": "Q4_K_M",
            "kv_dtype": "q8_0",
        },
        {"model": "mixtral-8x7b", "gpu": "h200", "engine": "sglang", "batch": 4, "max_model_len": 8000},
        {"model": "llama-3.2-1b", "engine": "transformers", "gpu": "t4", "batch": 3},
    ]
    frame = estimate(frame_of(questions))
    for (_, row), question in zip(frame.iterrows(), questions, strict=True):
        one = estimate(**question)
        for name in NAMES:
            part = getattr(one, name)
            assert (row[name], row[f"{name}_low"], row[f"{name}_high"]) == pytest.approx(
                (part.value, part.low, part.high)
            )
        assert row.p_fit == pytest.approx(one.p_fit)


def test_a_frame_keeps_its_columns_and_index_and_gains_the_answers():
    frame = pd.DataFrame({"row": ["a", "b"], "model": ["gpt2", "llama-3.1-8b"]}, index=[7, 9])
    found = estimate(frame)
    more = [f"{name}{suffix}" for name in NAMES for suffix in ("", "_low", "_high")]
    assert list(found.columns) == ["row", "model", *more, "p_fit"]
    assert list(found.index) == [7, 9]
    assert found.p_fit.dtype == float
    assert list(frame.columns) == ["row", "model"]


def test_missing_values_in_a_frame_mean_the_defaults():
    columns = ["engine", "engine_version", "gpu", "gpu_memory_gib", "tp", "pp", "weight_format", "kv_dtype",
    "max_model_len",
               "max_num_seqs", "max_num_batched_tokens", "gpu_memory_utilization", "enforce_eager",
               "batch", "context"]  # fmt: skip
    empty = pd.DataFrame({"model": ["llama-3.1-8b"]} | {name: [np.nan] for name in columns})
    nones = pd.DataFrame({"model": ["llama-3.1-8b"]} | {name: [None] for name in columns})
    expected = estimate("llama-3.1-8b")
    for frame in (empty, nones, empty.convert_dtypes()):
        found = estimate(frame).iloc[0]
        assert found.required == expected.required.value
        assert found.kv_pool_high == expected.kv_pool.high


def test_a_row_that_cannot_be_answered_says_why_and_leaves_the_others():
    frame = pd.DataFrame({"model": ["llama-3.1-8b", "nothing-like-it-1", "llama-3.1-8b"], "tp": [1, 1, 3]})
    found = estimate(frame)
    assert found.weights.notna().tolist() == [True, False, False]
    assert found.p_fit.notna().tolist() == [True, False, False]
    assert pd.isna(found.reason[0])
    assert found.reason[1].startswith("model: 'nothing-like-it-1' is not in the registry")
    assert found.reason[2].startswith("tp: llama-3.1-8b has 32 attention heads")


def test_a_row_with_an_unknown_gpu_is_answered_where_its_memory_does_not_matter():
    found = estimate(pd.DataFrame({"model": ["llama-3.1-8b"] * 2, "gpu": ["Ascend 910Z", "h100"]}))
    assert found.weights[0] == found.weights[1]
    assert found.kv_per_token[0] == 131072
    assert found[["budget", "kv_pool", "kv_pool_tokens", "p_fit"]].loc[0].isna().all()
    assert found.reason[0].startswith("gpu: 'Ascend 910Z' is not known")


def test_a_given_memory_far_from_the_named_gpus_is_another_gpu():
    two = {"tp": 2, "engine_version": "0.19"}
    assert estimate("qwen2.5-7b", gpu_memory_gib=79.2, gpu="h100", **two).non_torch.gib > 2
    assert estimate("qwen2.5-7b", gpu_memory_gib=23.6, **two).non_torch.gib < 0.5


def test_a_frame_takes_configs_as_mappings():
    config = {
        "model_type": "llama", "hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32,
        "num_key_value_heads": 8, "head_dim": 64, "intermediate_size": 8192, "vocab_size": 128256,
        "tie_word_embeddings": True, "max_position_embeddings": 131072,
    }  # fmt: skip
    found = estimate(pd.DataFrame({"model": [config, "llama-3.2-1b", config], "tp": [1, 1, 2]}))
    assert found.weights[0] == found.weights[1] > found.weights[2]


def test_a_frame_without_a_model_column_is_refused():
    with pytest.raises(SizerError, match="the data frame has no column 'model'"):
        estimate(pd.DataFrame({"gpu": ["h100"]}))


def test_an_empty_frame_gives_an_empty_frame():
    assert len(estimate(pd.DataFrame({"model": []}))) == 0


# Bad input: one sentence each


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ({"model": "llama-9-8b"}, "model: 'llama-9-8b' is not in the registry; the nearest are"),
        ({"model": None}, "model: none was given"),
        (
            {"tp": 3},
            "tp: llama-3.1-8b has 32 attention heads, which 3 GPUs cannot share evenly; tp can be 1, 2, 4",
        ),
        ({"tp": 0}, "tp: 0 is impossible; give a whole number of at least 1"),
        ({"tp": 1.5}, "tp: 1.5 is impossible"),
        ({"pp": 64}, "pp: llama-3.1-8b has 32 layers; 64 stages leave some empty"),
        ({"max_model_len": 500_000}, "max_model_len: above the 131072 tokens that llama-3.1-8b is made for"),
        ({"context": 500_000}, "context: above the 131072 tokens"),
        ({"max_model_len": -1}, "max_model_len: -1 is impossible"),
        ({"weight_format": "q9"}, "weight_format: 'q9' is not a format known here"),
        (
            {"weight_format": "Q4_K_M", "engine": "tgi"},
            "weight_format: tgi does not load Q4_K_M weights; it loads",
        ),
        (
            {"weight_format": "fp8", "engine": "llama.cpp"},
            "weight_format: llama.cpp does not load fp8 weights",
        ),
        ({"kv_dtype": "q8_0"}, "kv_dtype: vllm has no q8_0 cache; it has"),
        ({"engine": "foo"}, "engine: 'foo' is not known. Known: vllm, sglang, tgi"),
        ({"gpu": "h900"}, "gpu: 'h900' is not known; the nearest are"),
        ({"gpu_memory_gib": -3}, "gpu_memory_gib: -3 is impossible"),
        ({"gpu_memory_utilization": 1.5}, "gpu_memory_utilization: 1.5 is impossible"),
        ({"gpu_memory_utilization": 0}, "gpu_memory_utilization: 0 is impossible"),
        ({"batch": -1}, "batch: -1 is impossible"),
        ({"batch": 0}, "batch: 0 is impossible"),
        ({"max_num_seqs": "many"}, "max_num_seqs: 'many' is not a number"),
        ({"enforce_eager": "perhaps"}, "enforce_eager: neither true nor false"),
        ({"usage": "both"}, "usage: 'both' is not known. Known: offline, server"),
    ],
)
def test_impossible_questions_are_refused_in_one_sentence(question, sentence):
    with pytest.raises(SizerError) as error:
        estimate(**({"model": "llama-3.1-8b"} | question))
    assert str(error.value).startswith(sentence)
    assert "\n" not in str(error.value)


def test_a_gpu_that_is_too_small_for_the_context_alone_is_told_so_first():
    found = estimate(
        "llama-2-70b", gpu="t4", weight_format="awq", max_model_len=4096, batch=64, max_num_seqs=64
    )
    assert "less than the 80.00 GiB that the context alone takes" in found.advice[0]


# How fast


def test_a_hundred_thousand_configurations_take_less_than_a_second():
    rng = np.random.default_rng(1)
    count = 100_000
    frame = pd.DataFrame(
        {
            "model": rng.choice(["llama-3.1-8b", "qwen2.5-72b", "gemma-3-27b", "mixtral-8x7b",
            "deepseek-v3"], count),
            "tp": rng.choice([1, 2, 4, 8], count), "gpu": rng.choice(["h100", "h200", "a100"], count),
            "weight_format": rng.choice(["bf16", "fp8", "awq"], count), "max_model_len": rng.integers(256,
            8192, count),
            "max_num_seqs": rng.integers(1, 512, count),
        }
    )  # fmt: skip
    seconds = min(timed(lambda: estimate(frame)) for _ in range(3))
    assert seconds < 1.0


def test_a_single_answer_takes_less_than_five_milliseconds():
    estimate("llama-3.1-70b", gpu="h100")
    assert (
        min(timed(lambda: estimate("llama-3.1-70b", gpu="h100", max_model_len=5000)) for _ in range(20))
        < 0.005
    )


def timed(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def test_answering_needs_neither_torch_nor_pandas():
    code = (
        "import sys; from llmresearch.sizer import estimate; estimate('llama-3.1-8b');"
        " print([m for m in ('torch', 'pandas', 'scipy', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
