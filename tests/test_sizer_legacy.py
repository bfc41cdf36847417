import pytest

from llmresearch.sizer import legacy, legacy_8pct, legacy_plan


def test_the_eight_percent_rule_is_its_formula():
    # 2.4716 GB of weights, 2 x 16 x 2048 x 1024 x 4 x 0.25 bytes of cache, 1024 x 2048 x 16 of activations
    expected = 1.08 * (2.4716288 + 0.067108864 + 0.033554432)
    assert legacy_8pct("llama-3.2-1b", kv_dtype="fp8") == pytest.approx(expected)


def test_the_plans_formula_adds_a_baseline_and_percentages():
    model = 2 * 7.241732096 + 2 * 32 * 4096 * 1024 * 2 / 1e9 + 1024 * 4096 * 16 / 1e9
    assert legacy_plan("mistral-7b-v0.2") == pytest.approx(model * 1.05 + 14)
    assert legacy_plan("mistral-7b-v0.2", engine="llama.cpp") == pytest.approx(model * 1.03 + 0.5)


def test_the_plan_charges_gpus_and_batches():
    one, two = legacy_plan("mistral-7b-v0.2"), legacy_plan("mistral-7b-v0.2", gpus=2)
    weights = 2 * 7.241732096
    assert two - one == pytest.approx(-weights / 2 * 1.05 + weights / 2 * 0.15)
    assert legacy_plan("mistral-7b-v0.2", batch=8) > one


def test_the_plan_counts_only_the_experts_of_one_token():
    assert legacy.terms("mixtral-8x7b").weights == pytest.approx(2 * 12.88, rel=1e-3)
    assert legacy.terms("mixtral-8x7b", active_only=False).weights == pytest.approx(2 * 46.7028, rel=1e-4)


def test_the_plans_cache_is_multi_head_whatever_the_model_has():
    assert legacy.terms("llama-3.1-8b", kv_dtype="fp8").kv == pytest.approx(0.268, abs=1e-3)
    assert legacy.terms("qwen3-8b").kv == pytest.approx(0.604, abs=1e-3)


def test_every_expected_value_of_the_plan_has_its_explanation():
    assert [value for _, value, _ in legacy.EXPECTED] == [18.94, 20.28, 41.27, 125.0]
    assert all("pool" in why or "pre-allocated" in why for *_, why in legacy.EXPECTED)


def test_both_formulas_answer_to_their_names():
    assert legacy.FORMULAS == {"legacy-8pct": legacy_8pct, "legacy-plan": legacy_plan}
