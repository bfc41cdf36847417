import pytest

import llmresearch as lr
from llmresearch.sizer import SizerError, estimate, kv_saving
from llmresearch.sizer.estimating import NAMES
from llmresearch.sizer.explaining import mixture, overhead, why
from llmresearch.sizer.overview import longest, overview

GIB = 2**30
ENGINES = ["vllm", "sglang", "tgi", "tensorrt-llm", "llama.cpp", "ollama", "transformers"]


@pytest.mark.parametrize("engine", ENGINES)
def test_every_component_has_a_formula_numbers_and_a_source(engine):
    reasons = why(estimate("llama-3.1-8b", engine=engine))
    assert set(reasons) == set(NAMES)
    assert all(all(part.strip() for part in reason) for reason in reasons.values())


def test_the_reason_for_a_cached_token_multiplies_to_its_bytes():
    found = estimate("llama-3.1-8b")
    assert why(found)["kv_per_token"].numbers == (
        "(2 x 8 KV heads x 128) values = 4096 bytes x 32 layers; 131,072 bytes a token"
    )
    assert found.kv_per_token.value == 4096 * 32


def test_the_reason_for_the_activation_names_the_two_peaks_of_which_the_larger_counts():
    found = estimate("llama-3.1-8b", gpu="h100")
    parts = overhead(found)
    assert max(parts["prefill peak"], parts["sampler peak"]) == pytest.approx(found.activation.value)
    assert f"sampler {parts['sampler peak'] / GIB:.2f} GiB" in why(found)["activation"].numbers


def test_the_experts_workspace_stands_beside_the_larger_peak():
    found = estimate("mixtral-8x7b-v0.1", tp=2)
    parts = overhead(found)
    whole = max(parts["prefill peak"], parts["sampler peak"]) + parts["experts' workspace"]
    assert whole == pytest.approx(found.activation.value)


def test_graphs_that_are_not_captured_are_said_not_to_be():
    assert why(estimate("qwen3-8b", enforce_eager=True))["cuda_graphs"].formula == "none are captured"


def test_a_mixture_says_how_many_experts_a_token_passes_through_and_a_dense_model_nothing():
    assert mixture(estimate("qwen3-8b")) == {}
    facts = mixture(estimate("mixtral-8x7b-v0.1", tp=2))
    assert (facts["experts"], facts["experts_per_token"]) == (8, 2)
    assert facts["parameters"] == 46_702_792_704 and facts["active"] == 12_879_925_248


def test_eight_bits_halve_what_sixteen_took():
    # 2 x 8 x 128 values x 32 layers: 65,536 values a token, 4096 tokens
    found = kv_saving("llama-3.1-8b")
    assert (found.kv_dtype, found.per_token, found.share) == ("fp8", 65536.0, 0.5)
    assert found.load == 4096 * 65536


def test_a_cache_that_has_eight_bits_already_is_spared_nothing():
    assert kv_saving("llama-3.1-8b", kv_dtype="fp8").share == 0.0


def test_an_engine_without_such_a_cache_has_no_saving():
    with pytest.raises(SizerError, match="kv_dtype: llama.cpp has no fp8_e4m3 cache"):
        kv_saving("qwen3-8b", engine="llama.cpp")


def test_the_overview_says_what_each_question_alone_says():
    question = {"model": "llama-3.1-8b", "gpu": "rtx-4090", "max_model_len": 8192}
    found = overview(**question)
    assert found.estimate.as_dict() == estimate(**question).as_dict()
    assert found.max_context == lr.sizer.max_context(**question)
    assert found.max_concurrency == lr.sizer.max_concurrency(**question)
    assert found.command == lr.sizer.serve_command(**question)
    assert found.speed == lr.sizer.roofline(**question)
    assert found.call == "lr.sizer.estimate('llama-3.1-8b', gpu='rtx-4090', max_model_len=8192)"
    assert found.query == "model=llama-3.1-8b&gpu=rtx-4090&max_model_len=8192"


def test_what_has_no_answer_is_none_with_the_sentence_that_says_why():
    found = overview("llama-3.1-70b", gpu="h100")
    assert found.command is None and found.max_context == 0
    assert found.silent["command"].startswith("gpu: h100 allows")


def test_the_longest_context_is_the_models_own_and_none_where_it_does_not_say():
    assert longest("llama-3.1-8b") == 131072
    with pytest.raises(SizerError, match="model: "):
        longest("no-such-model-at-all")
