"""Engines that agree pass; one that computes something else does not."""

import pytest

from llmresearch import selfcheck
from llmresearch.selfcheck import oracle

FP32 = {"top1_agreement": 1.0, "most_nll_difference": 3e-4, "perplexity_change": 2e-5, "limit": 1e-4}
Q4 = {"top1_agreement": 0.9, "most_nll_difference": 0.4, "perplexity_change": 2e-3, "limit": 1e-2}


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (FP32, True),
        (FP32 | {"perplexity_change": -2e-4}, False),
        (FP32 | {"top1_agreement": 32 / 33}, False),
        (FP32 | {"most_nll_difference": 0.05}, False),
        (Q4, True),
        (Q4 | {"perplexity_change": 0.02}, False),
    ],
)
def test_an_fp32_engine_must_give_every_argmax_and_a_quantised_one_the_perplexity(found, verdict):
    assert oracle.agrees(found) is verdict


def test_two_engines_on_one_seeded_model_agree():
    pytest.importorskip("torch")
    pytest.importorskip("onnxruntime")
    found = oracle.run("tiny-gpt2", arms=(("hf", "fp32"), ("ort", "fp32")))
    assert found["passed"] is True, found
    assert found["arms"]["ort fp32"]["top1_agreement"] == 1.0


def test_a_single_engine_has_nothing_to_agree_with():
    found = oracle.run("tiny-gpt2", arms=(("hf", "fp32"),))
    assert found["passed"] is None and found["skipped"].startswith("fewer than two engines")


def test_cheating_engines_are_part_of_the_certificate():
    (found,) = selfcheck.run(["compliance"])
    assert found["passed"] and set(found["caught"]) == {"caching", "remembering", "truncating", "padding", "wrong precision"}
