import json

import pytest

from llmresearch.sizer import SizerError, estimate
from llmresearch.sizer.command import size


def test_json_has_every_component_by_the_names_of_the_estimate():
    found = json.loads(size(json_=True, model="llama-3.1-8b", gpu="h100", engine_version="0.19"))
    expected = estimate("llama-3.1-8b", gpu="h100", engine_version="0.19")
    assert found["weights"] == {
        "value": expected.weights.value, "low": expected.weights.low, "high": expected.weights.high,
        "label": "derived",
    }  # fmt: skip
    for name in (
        "activation",
        "non_torch",
        "cuda_graphs",
        "kv_per_token",
        "kv_pool",
        "kv_pool_tokens",
        "required",
        "budget",
    ):
        assert set(found[name]) == {"value", "low", "high", "label"}
    assert found["p_fit"] == expected.p_fit
    assert found["advice"] == []
    assert found["command"].startswith("vllm serve meta-llama/Llama-3.1-8B-Instruct")


def test_the_table_says_whether_it_fits_how_surely_and_what_to_change():
    table = size(model="llama-3.1-70b", gpu="h100")
    assert table.startswith("llama-3.1-70b on h100, vllm: does not fit (P(fit) 0.005); requires")
    assert "change: tp=2 fits." in table or "change: tp=4 fits." in table
    assert "vllm serve" not in table


def test_the_table_has_a_bar_for_every_component_and_the_command_that_starts_it():
    lines = size(model="llama-3.1-8b", gpu="h100").splitlines()
    weights = next(line for line in lines if line.startswith("weights"))
    assert weights.count("#") == 6
    assert lines[-1].startswith("vllm serve")


def test_options_that_were_not_given_keep_their_defaults():
    assert size(json_=True, model="gpt2", tp=None, gpu=None) == size(json_=True, model="gpt2")


def test_an_unknown_option_is_refused():
    with pytest.raises(SizerError, match="size: unknown option 'gpus'"):
        size(model="gpt2", gpus=2)


def test_the_page_is_safe_to_embed():
    page = estimate(
        {
            "model_type": "<b>",
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "vocab_size": 100,
        }
    )._repr_html_()
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert page.count("background:") == 5
