import pytest

from llmresearch.sizer import SizerError, roofline
from llmresearch.sizer.speed import calibrated


def test_a_decode_step_on_an_h200_is_what_was_measured():
    # Llama-3.2-1B bf16, vLLM 0.25.1, 512 + 64 tokens: 88 ms with CUDA graphs, 335 ms eager
    graphs = roofline("llama-3.2-1b", gpu="h200", context=576, prompt_tokens=512)
    assert graphs.tpot_seconds[0] < 0.088 / 64 < graphs.tpot_seconds[2]
    eager = roofline("llama-3.2-1b", gpu="h200", context=576, prompt_tokens=512, enforce_eager=True)
    assert eager.tpot_seconds[0] < 0.335 / 64 < eager.tpot_seconds[2]


def test_one_sequence_is_bound_by_memory_and_many_by_operations():
    assert roofline("llama-3.1-8b", gpu="h100", context=512).bound == "memory"
    assert roofline("llama-3.1-8b", gpu="h100", context=64, batch=4096).bound == "compute"


def test_fewer_bits_are_read_faster():
    slow, fast = (
        roofline("llama-3.1-70b", gpu="h200", tp=2, weight_format=form).tpot_seconds[1]
        for form in ("bf16", "awq")
    )
    assert 2.5 < slow / fast < 4


def test_a_mixture_reads_the_experts_that_a_batch_reaches():
    one = roofline("mixtral-8x7b", gpu="h200", context=128).tpot_seconds[1]
    many = roofline("mixtral-8x7b", gpu="h200", context=128, batch=32).tpot_seconds[1]
    assert 2.5 < many / one < 4.5


def test_low_middle_and_high_are_in_order_and_labelled_estimated():
    found = roofline("qwen3-8b", gpu="rtx 4090", weight_format="fp8", context=2048)
    for times in (found.ttft_seconds, found.tpot_seconds, found.tokens_per_s):
        assert list(times) == sorted(times)
    assert found.label == "estimated"


def test_a_measured_time_calibrates_the_rest():
    found = calibrated(roofline("gpt2", gpu="h200"), 0.00116)
    assert found.tpot_seconds[1] == pytest.approx(0.00116)
    assert found.label == "calibrated"


def test_a_gpu_without_a_known_bandwidth_is_refused():
    with pytest.raises(SizerError, match="the bandwidth of Mystery 48GB is not known"):
        roofline("gpt2", gpu="Mystery 48GB")
