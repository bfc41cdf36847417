import pytest

from llmresearch.sizer import (
    SizerError,
    advice,
    cheapest_gpu,
    estimate,
    kv_dtype_that_fits,
    max_concurrency,
    max_context,
    serve_command,
    smallest_tp,
)

NEW = {"engine_version": "0.19.0"}


def test_the_longest_context_fits_and_one_token_more_does_not():
    longest = max_context("llama-3.1-8b", gpu="rtx 4090", **NEW)
    assert 35_000 < longest < 50_000
    assert estimate("llama-3.1-8b", gpu="rtx 4090", max_model_len=longest, **NEW).p_fit >= 0.5
    assert estimate("llama-3.1-8b", gpu="rtx 4090", max_model_len=longest + 16, **NEW).p_fit < 0.5


def test_the_longest_context_is_at_most_the_models_own_and_0_where_nothing_fits():
    assert max_context("qwen2.5-0.5b", gpu="h200") == 32768
    assert max_context("llama-3.1-70b", gpu="h100") == 0


def test_arguments_may_be_given_in_the_order_of_the_estimate():
    assert max_context("qwen2.5-0.5b", "vllm", "0.19.0", "h200") == 32768


def test_an_eight_bit_cache_doubles_the_context():
    one, two = (max_context("llama-3.1-8b", gpu="rtx 4090", kv_dtype=kind, **NEW) for kind in ("auto", "fp8"))
    assert two == pytest.approx(2 * one, abs=64)


def test_more_sequences_leave_a_shorter_context():
    assert max_context("llama-3.1-8b", gpu="h100", batch=32, **NEW) < max_context(
        "llama-3.1-8b", gpu="h100", batch=8, **NEW
    )


def test_concurrency_is_what_vllm_prints():
    # vLLM 0.19 on an H100 at 0.95 prints 476,016 tokens, 58.1 sequences of 8,192
    settings = {
        "gpu": "h100",
        "gpu_memory_utilization": 0.95,
        "max_num_batched_tokens": 8192,
        "max_model_len": 8192,
    }
    assert max_concurrency("llama-3.1-8b", max_num_seqs=1024, **settings, **NEW) == 58
    assert max_concurrency("llama-3.1-8b", max_num_seqs=16, **settings, **NEW) == 16


def test_an_engine_without_a_pool_takes_the_largest_batch_that_fits():
    most = max_concurrency("llama-3.1-8b", 4096, engine="transformers", gpu="rtx 4090")
    assert (
        estimate("llama-3.1-8b", engine="transformers", gpu="rtx 4090", batch=most, context=4096).p_fit >= 0.5
    )
    assert (
        estimate("llama-3.1-8b", engine="transformers", gpu="rtx 4090", batch=most + 1, context=4096).p_fit
        < 0.5
    )


@pytest.mark.parametrize(
    ("model", "form", "gpu", "tp"),
    [
        ("llama-3.1-8b", "bf16", "h100", 1),
        ("llama-3.1-70b", "bf16", "h100", 2),
        ("llama-3.1-70b", "fp8", "h100", 2),
        ("deepseek-r1", "fp8-block", "h200", 8),
        ("deepseek-r1", "bf16", "t4", None),
    ],
)
def test_the_smallest_number_of_gpus_is_found(model, form, gpu, tp):
    assert smallest_tp(model, weight_format=form, gpu=gpu, max_num_seqs=256, **NEW) == tp


def test_the_cheapest_gpu_is_priced_and_fits():
    name, tp, dollars = cheapest_gpu("llama-3.1-8b", **NEW)
    assert (name, tp, dollars) == ("rtx-3090", 1, 0.39)
    assert estimate("llama-3.1-8b", gpu=name, tp=tp, **NEW).p_fit >= 0.5


def test_the_cache_type_that_fits_is_the_least_changed_one():
    where = {"gpu": "rtx 4090"} | NEW
    assert kv_dtype_that_fits("llama-3.1-8b", max_model_len=4096, **where) == "auto"
    assert kv_dtype_that_fits("llama-3.1-8b", max_model_len=60_000, **where) == "fp8_e4m3"
    assert kv_dtype_that_fits("llama-3.1-8b", max_model_len=131_072, **where) is None


def test_the_command_line_spells_out_what_the_answer_rests_on():
    command = serve_command(
        "llama-3.1-8b", gpu="h100", kv_dtype="fp8", weight_format="fp8", enforce_eager=True, **NEW
    )
    assert command == (
        "vllm serve meta-llama/Llama-3.1-8B-Instruct --tensor-parallel-size 1 --max-model-len 4096"
        " --max-num-seqs 1024 --max-num-batched-tokens 16384 --gpu-memory-utilization 0.9 --kv-cache-dtype"
        " fp8 --quantization fp8 --enforce-eager"
    )


def test_a_model_with_code_of_its_own_is_started_with_it():
    assert serve_command("kimi-k2", gpu="b200", tp=16, weight_format="fp8").endswith("--trust-remote-code")


def test_there_is_no_command_line_for_what_does_not_fit_or_is_not_vllm():
    with pytest.raises(SizerError, match="gpu: h100 allows 71.27 GiB, less than the 131.45 GiB of weights"):
        serve_command("llama-3.1-70b", gpu="h100")
    with pytest.raises(SizerError, match="only vLLM is started"):
        serve_command("llama-3.1-8b", engine="sglang")


def test_an_unknown_argument_is_refused():
    with pytest.raises(SizerError, match="unknown argument 'gpus'"):
        max_context("llama-3.1-8b", gpus=2)


def test_advice_names_what_makes_it_fit():
    lines = advice("llama-3.1-8b", gpu="rtx 4090", max_model_len=60_000, **NEW)
    assert any("shorten max_model_len to" in line for line in lines)
    assert "a cache of kv_dtype='fp8_e4m3' fits." in lines
    assert "tp=2 fits." in lines
    assert advice("llama-3.1-8b", gpu="h100", **NEW) == []


def test_advised_settings_do_fit():
    tight = {
        "gpu": "rtx 4090",
        "max_model_len": 20_000,
        "max_num_seqs": 512,
        "max_num_batched_tokens": 16384,
    } | NEW
    before = estimate("llama-3.1-8b", gpu_memory_utilization=0.8, **tight)
    assert before.p_fit < 0.5
    raised = next(line for line in before.advice if line.startswith("raise gpu_memory_utilization to 0.94"))
    after = estimate("llama-3.1-8b", gpu_memory_utilization=0.94, **tight)
    assert f"{after.p_fit:.2f}" in raised


def test_a_share_that_leaves_no_room_for_the_context_is_warned_of():
    assert "lower it" in advice("llama-3.1-8b", gpu="h100", gpu_memory_utilization=1.0, **NEW)[0]
