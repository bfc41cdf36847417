import pytest

from llmresearch.sizer.formats import GIB, SizerError, kv_type, weight_format
from llmresearch.sizer.specs import find_model
from llmresearch.sizer.tensors import check_split, inventory, stages
from llmresearch.sizer.weights import MIB, allocated, gguf, weights

# (model, format, tp, GiB that vLLM logged): llm-d-planner PR 205 and the public logs of
# sizer/data/profiles.csv.
LOGGED = [
    ("llama-3.1-8b", "bf16", 1, 14.99),
    ("llama-3.1-8b", "bf16", 2, 7.51),
    ("llama-3.1-8b", "bf16", 4, 3.77),
    ("llama-3.1-8b", "bf16", 8, 1.9028),
    ("llama-3.1-8b", "fp32", 1, 29.98),
    ("llama-3.1-8b", "fp8", 1, 8.49),
    ("llama-3.1-8b", "int8 w8a8 (compressed-tensors)", 1, 8.49),
    ("llama-3.3-70b", "fp8 (compressed-tensors, dynamic)", 2, 33.88),
    ("qwen2.5-7b", "bf16", 1, 14.25),
    ("qwen2.5-72b", "bf16", 2, 67.80),
    ("phi-4", "bf16", 1, 27.39),
    ("gemma-2-2b", "bf16", 1, 4.8999),
    ("gemma-3-12b", "bf16", 1, 23.31),
    ("qwen3-8b", "fp8 block", 1, 8.80),
    ("qwen3-30b-a3b", "bf16", 4, 14.2474),
    ("mixtral-8x7b-v0.1", "bf16", 2, 43.51),
    ("llama-4-scout-17b-16e", "bf16", 4, 53.12),
    ("deepseek-r1", "awq int4 (wna16)", 16, 21.21),
]


@pytest.mark.parametrize(("model", "form", "tp", "gib"), LOGGED)
def test_weights_are_what_engines_logged_to_a_tenth_of_a_percent(model, form, tp, gib):
    assert weights(find_model(model), weight_format(form), tp).total / GIB == pytest.approx(gib, rel=1.5e-3)


# Whole-file bits per weight of Llama-3.1-8B's published GGUF files.
FILES = [
    ("Q2_K", 3.159), ("Q3_K_S", 3.643), ("Q3_K_L", 4.298), ("IQ4_XS", 4.460), ("Q4_K_S", 4.667),
    ("Q4_K_M", 4.894),
    ("Q5_K_S", 5.570), ("Q5_K_M", 5.704), ("Q6_K", 6.563), ("Q8_0", 8.501),
]  # fmt: skip


@pytest.mark.parametrize(("mixture", "bits"), FILES)
def test_gguf_mixtures_have_the_bits_of_the_published_files(mixture, bits):
    spec = find_model("llama-3.1-8b")
    on_gpu, on_cpu = gguf(spec, mixture)
    assert 8 * (on_gpu + on_cpu) / spec.params == pytest.approx(bits, abs=1e-3)


def test_llama_cpp_leaves_the_token_embedding_on_the_cpu():
    on_gpu, on_cpu = gguf(find_model("llama-3.1-8b"), "Q4_K_M")
    assert on_gpu / MIB == pytest.approx(4403.49, abs=0.01)
    assert on_cpu / MIB == pytest.approx(281.81, abs=0.01)


@pytest.mark.parametrize(
    ("size", "held"),
    [
        (513, 1024),
        (9 * MIB, 9 * MIB),
        (10 * MIB, 10 * MIB),
        (13 * MIB + 1, 14 * MIB),
        (13 * MIB - 1, 13 * MIB - 1),
    ],
)
def test_the_allocator_keeps_a_rest_of_at_most_one_mebibyte(size, held):
    assert allocated(size) == held


def test_quantising_leaves_embeddings_and_head_in_sixteen_bits():
    spec = find_model("llama-3.1-8b")
    tables = 2 * 2 * spec.vocab * spec.hidden
    linear = weights(spec, weight_format("fp8")).total - tables
    assert linear == pytest.approx(6_979_321_856, rel=6e-3)


def test_key_value_heads_below_the_number_of_gpus_are_copied():
    spec = find_model("qwen2.5-7b")
    rows = {t.name: t.rows for t in inventory(spec, stages(28)[0], tp=4)}
    assert rows["qkv"] == (28 // 4 + 2 * 1) * 128
    eight = {t.name: t.rows for t in inventory(find_model("qwen3-30b-a3b"), stages(48)[0], tp=8)}
    assert eight["qkv"] == (32 // 8 + 2 * 1) * 128


def test_all_experts_are_resident():
    assert weights(find_model("qwen3-30b-a3b"), weight_format("bf16")).total / GIB == pytest.approx(
        56.88, rel=1e-3
    )


def test_experts_spread_whole_over_two_gpus_halve_and_attention_is_copied():
    spec = find_model("qwen3-30b-a3b")
    assert weights(spec, weight_format("bf16"), 1, 1, 2).total / GIB == pytest.approx(29.88, rel=2e-3)


def test_a_pipeline_gives_what_does_not_divide_to_the_middle():
    assert [stage.stop - stage.start for stage in stages(62, 4)] == [15, 16, 16, 15]


def test_mxfp4_pads_the_experts_to_what_its_kernels_want():
    assert weights(find_model("gpt-oss-120b"), weight_format("mxfp4")).total / GIB == pytest.approx(
        65.97, rel=2e-3
    )


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("fp8 (compressed-tensors, dynamic)", "fp8"), ("fp8 block", "fp8-block"),
        ("gptq int4 g128 (marlin)", "gptq"),
        ("gptq int8", "gptq-int8"), ("awq int4 g128", "awq"), ("awq int4 (wna16)", "awq"), ("w4a16", "w4a16"),
        ("bnb nf4", "bnb-nf4"), ("bnb fp4", "bnb-nf4"), ("4-bit (bnb/awq)", "bnb-nf4"),
        ("bitsandbytes", "bnb-nf4"),
        ("int8 w8a8 (compressed-tensors)", "int8"), ("smoothquant int8", "int8"), ("nvfp4", "nvfp4"),
        ("mxfp4 (marlin)", "mxfp4"), ("mxfp4 gguf", "mxfp4"), ("gguf q8_0", "Q8_0"),
        ("UD-IQ3_XXS", "IQ3_XXS"),
        ("float16", "fp16"), ("bfloat16", "bf16"), ("F32", "fp32"), ("none", "bf16"),
    ],
)  # fmt: skip
def test_a_weight_format_answers_to_the_names_people_use(said, meant):
    assert weight_format(said).name == meant


def test_an_unknown_format_is_refused_with_the_known_ones():
    with pytest.raises(SizerError, match="weight_format: 'q9' is not a format known here. Known: fp32, bf16"):
        weight_format("q9")


def test_an_automatic_cache_follows_the_weights():
    assert (kv_type("auto", "fp32"), kv_type("auto", "awq"), kv_type("fp8")) == ("fp32", "bf16", "fp8_e4m3")
    with pytest.raises(SizerError, match="kv_dtype: 'q9' is not a cache type known here"):
        kv_type("q9")


def test_heads_that_gpus_cannot_share_are_refused_with_the_numbers_that_can():
    with pytest.raises(
        SizerError, match="28 attention heads, which 8 GPUs cannot share evenly; tp can be 1, 2, 4"
    ):
        check_split(find_model("qwen2.5-7b"), 8)
