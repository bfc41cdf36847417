import pytest

import llmresearch as lr
from llmresearch.sizer import SizerError, as_call, as_query, from_query

CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 128, "vocab_size": 1000,
    "max_position_embeddings": 8192,
}  # fmt: skip


def test_a_call_names_what_differs_from_the_defaults_only():
    asked = {"model": "llama-3.1-8b", "gpu": "rtx-4090", "tp": 1, "max_model_len": 8192, "context": None}
    assert as_call(asked) == "lr.sizer.estimate('llama-3.1-8b', gpu='rtx-4090', max_model_len=8192)"


def test_the_copied_call_gives_the_same_answer():
    first = lr.sizer.estimate("qwen3-8b", gpu="l4", enforce_eager=True, gpu_memory_utilization=0.85)
    again = eval(as_call(first.question), {"lr": lr})
    assert again.as_dict() == first.as_dict()


@pytest.mark.parametrize("question", [
    {"model": "llama-3.1-8b"},
    {"model": "mixtral-8x7b-v0.1", "tp": 2, "ep": 2, "max_num_seqs": 64, "gpu_memory_utilization": 0.85},
    {"model": "qwen3-8b", "engine": "llama.cpp", "weight_format": "Q4_K_M", "gpu_memory_gib": 23.5},
    {"model": "qwen3-8b", "enforce_eager": True, "usage": "server", "engine_version": "0.19.0"},
    {"model": CONFIG, "context": 2048, "batch": 4},
])  # fmt: skip
def test_a_question_comes_back_from_its_address(question):
    assert from_query(as_query(question)) == question


def test_an_address_without_a_query_asks_nothing():
    assert from_query("") == from_query("?") == {}


def test_a_query_is_escaped_where_a_name_has_signs_of_its_own():
    assert as_query({"model": "a&b=c d"}) == "model=a%26b%3Dc+d"


@pytest.mark.parametrize("query, said", [
    ("model=x&colour=red", "address: unknown name 'colour'"),
    ("tp=two", "tp: 'two' is not a number"),
    ("tp=1e400", "tp: '1e400' is not a number"),
    ("enforce_eager=maybe", "enforce_eager: 'maybe' is neither true nor false"),
    ("model=%7Bbroken", "model: the pasted config is not JSON"),
    ("model=" + "%7B%22a%22:" * 100_000, "model: the pasted config is nested too deeply"),
])  # fmt: skip
def test_a_broken_address_is_refused_in_a_sentence(query, said):
    with pytest.raises(SizerError, match=said):
        from_query(query)


def test_an_address_cannot_make_the_calculator_read_a_file(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(SizerError, match="an address may not name a file"):
        from_query(as_query({"model": str(tmp_path / "config.json")}))


def test_an_unknown_argument_has_no_call():
    with pytest.raises(SizerError, match="question: unknown argument 'colour'"):
        as_call({"model": "qwen3-8b", "colour": "red"})
