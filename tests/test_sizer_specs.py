import pytest

from llmresearch.sizer import find_gpu, find_model, gpus, models
from llmresearch.sizer.formats import SizerError
from llmresearch.sizer.tensors import active, count

MODELS = models()


def test_the_registry_has_at_least_eighty_models():
    assert len(MODELS) >= 80


@pytest.mark.parametrize("name", MODELS)
def test_the_architecture_counts_to_the_published_total(name):
    spec = MODELS[name]
    assert count(spec) == pytest.approx(spec.params, rel=3e-5)
    assert active(spec) == pytest.approx(spec.active, rel=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_source_and_names_what_its_count_leaves_out(name):
    spec = MODELS[name]
    assert spec.source
    assert bool(spec.leaves_out) == spec.multimodal


@pytest.mark.parametrize(
    ("name", "total", "active_count"),
    [
        ("llama-3.1-8b", 8_030_261_248, 8_030_261_248),
        ("qwen3-30b-a3b", 30_532_122_624, 3.353e9),
        ("mixtral-8x7b-v0.1", 46_702_792_704, 12.88e9),
        ("deepseek-v3", 671_026_419_200, 37.552e9),
        ("kimi-k2", 1_026_408_232_448, 32.862e9),
        ("gpt-oss-120b", 116_829_156_672, 5.712e9),
        ("qwen3-next-80b-a3b", 79_674_391_296, 3.87e9),
        ("gpt2", 124_439_808, 124_439_808),
    ],
)
def test_totals_and_active_weights_are_those_of_the_model_cards(name, total, active_count):
    assert MODELS[name].params == total
    assert MODELS[name].active == pytest.approx(active_count, rel=2e-3)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "llama-3.1-8b"),
        ("LLAMA-3.1-8B", "llama-3.1-8b"),
        ("llama3.1:8b", "llama-3.1-8b"),
        ("RedHatAI/Llama-3.3-70B-Instruct-fp8-dynamic", "llama-3.3-70b"),
        ("RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16", "llama-3.1-8b"),
        ("Qwen/Qwen2.5-7B-Instruct", "qwen2.5-7b"),
        ("qwen2.5:0.5b", "qwen2.5-0.5b"),
        ("DeepSeek-R1 AWQ", "deepseek-r1"),
        ("DeepSeek-R1-0528-Qwen3-8B", "qwen3-8b"),
        ("Mistral-7B-v0.3-GPTQ", "mistral-7b-v0.3"),
        ("mistralai/Mistral-7B-Instruct-v0.1", "mistral-7b-v0.1"),
        ("Llama-3.1-8B + LoRA", "llama-3.1-8b"),
        ("UI-TARS-7B (Qwen2-VL-7B)", "qwen2-vl-7b"),
        ("Qwen3-Coder-Next UD-IQ3_XXS", "qwen3-next-80b-a3b"),
    ],
)
def test_a_model_answers_to_the_names_people_use(said, meant):
    assert find_model(said).name == meant


def test_an_unknown_model_is_answered_with_the_nearest_names():
    with pytest.raises(SizerError, match="'llama-9-8b' is not in the registry; the nearest are llama-3-8b"):
        find_model("llama-9-8b")


@pytest.mark.parametrize(
    ("said", "gib"),
    [
        ("H100-80GB", 79.19),
        ("h100", 79.19),
        ("NVIDIA H100 80GB HBM3", 79.19),
        ("NVIDIA H200", 139.8),
        ("A100-80GB", 79.25),
        ("A100-SXM4-80GB", 79.25),
        ("A100-40GB?", 39.5),
        ("RTX 4090", 23.53),
        ("NVIDIA GeForce RTX 4090", 23.53),
        ("RTX4090-48GB", 47.37),
        ("RTX5090-32GB", 31.37),
        ("Tesla T4", 14.56),
        ("AMD Instinct MI300X", 191.98),
        ("24GB-class", 23.52),
    ],
)
def test_a_gpu_answers_to_the_names_people_use_with_the_memory_it_reports(said, gib):
    assert find_gpu(said).memory_gib == pytest.approx(gib)


def test_an_unknown_gpu_is_answered_where_its_memory_is_given():
    assert find_gpu("Ascend 910B", 61.27).memory_gib == 61.27
    with pytest.raises(SizerError, match="gpu: 'Ascend 910B' is not known; the nearest are"):
        find_gpu("Ascend 910B")


@pytest.mark.parametrize("name", gpus())
def test_every_gpu_reports_less_than_its_box_says_and_dates_its_price(name):
    gpu = gpus()[name]
    assert gpu.source
    assert gpu.bandwidth > 1e11
    assert gpu.flops_of("bf16") > 1e13
    assert (gpu.usd_per_hour == gpu.usd_per_hour) == bool(gpu.price_source)
