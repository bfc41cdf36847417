import math

import numpy as np
import pytest

from llmresearch.fits.power_laws import power_law
from llmresearch.records import LlmResearchError
from llmresearch.fits.shapes import aicc, compare_laws, laws, log_quadratic, overhead_work, piecewise

SIZES = [1e5, 5e6, 1.1e7, 2.5e7, 4.5e7, 5e7, 7.5e7, 9.6e7, 1.244e8]
# onnxruntime-cpu over transformers-gpu-compile, tokens per second: TR118 v2.2, section 5
PARAMS = [102714, 5036720, 11180928, 25016064, 45171200, 51475968, 74824704, 96088320, 124439808]
RATIO = [21.93956, 5.09163, 4.43725, 1.57516, 1.42415, 1.26226, 0.71777, 0.85732, 0.67598]


def test_an_exact_law_is_found_exactly_and_supported():
    law = power_law(np.geomspace(1e6, 1e9, 9), 3 * np.geomspace(1e6, 1e9, 9) ** 0.5)
    assert law.exponent == pytest.approx(0.5, abs=1e-12)
    assert law.scale == pytest.approx(3, rel=1e-9)
    assert (law.verdict, law.n) == ("supported", 9)
    assert law.predict(4e8) == pytest.approx(60_000)
    assert law.predict([1e8, 4e8]) == pytest.approx([30_000, 60_000])
    assert law.amplitude(1e8) == pytest.approx(30_000)


def test_three_sizes_have_no_exponent():
    law = power_law([1, 2, 4, 4], [1, 2, 4, 4.1])
    assert math.isnan(law.exponent)
    assert law.verdict == "too few sizes"
    assert math.isnan(law.predict(3))


@pytest.mark.parametrize("n", [4, 7])
def test_four_to_seven_sizes_have_an_exponent_but_no_law(n):
    law = power_law(np.geomspace(1, 100, n), np.geomspace(1, 100, n) ** 0.8)
    assert law.exponent == pytest.approx(0.8)
    assert law.verdict == "too few sizes"
    assert "a law needs 8" in law.method


def test_overhead_is_no_power_law():
    x = np.geomspace(1e5, 1.2e8, 9)
    law = power_law(x, 1e-3 + 1e-11 * x)
    assert law.verdict == "rejected"
    assert "overhead + work" in law.method


def test_a_law_that_hangs_on_one_far_size_says_so():
    law = power_law(PARAMS, RATIO)
    assert law.exponent == pytest.approx(-0.5057, abs=1e-4)
    assert law.amplitude(1) == pytest.approx(9700, rel=1e-3)
    assert law.verdict == "carried by one point"
    assert law.leverage[0] == pytest.approx(0.81, abs=0.01)
    assert law.loo[0] == pytest.approx(-0.68, abs=0.01)
    assert law.cook.argmax() == 0


def test_noise_without_a_trend_stays_undecided():
    rng = np.random.default_rng(0)
    law = power_law(np.geomspace(1e6, 1e9, 10), np.exp(0.1 * rng.standard_normal(10)))
    assert law.verdict == "undecided"


def test_the_exponent_covers_the_truth_and_true_laws_are_seldom_rejected():
    rng = np.random.default_rng(1)
    found = [power_law(np.geomspace(1e6, 1e9, 9), np.geomspace(1e6, 1e9, 9) ** 0.6 * np.exp(0.1 * e))
             for e in rng.standard_normal((200, 9))]
    assert 0.92 <= np.mean([law.exponent.low <= 0.6 <= law.exponent.high for law in found]) <= 0.98
    assert np.mean([law.verdict == "rejected" for law in found]) <= 0.09


def test_a_power_law_on_overhead_dominated_data_is_rejected():
    rng = np.random.default_rng(2)
    x = np.geomspace(1e6, 1e9, 9)
    found = [power_law(x, (2e-3 + 1e-12 * x) * np.exp(0.02 * e)).verdict for e in rng.standard_normal((100, 9))]
    assert found.count("rejected") >= 95


def test_repeating_a_size_adds_no_size():
    law = power_law(np.repeat([1.0, 2, 4, 8, 16], 20), np.tile([1.0, 1.1], 50) * np.repeat([1.0, 2, 4, 8, 16], 20))
    assert (law.n, len(law.leverage), law.verdict) == (5, 5, "too few sizes")


def test_sessions_over_all_sizes_are_averaged_out():
    x = np.tile(np.geomspace(1, 1000, 8), 3)
    y = x**0.7 * np.repeat([1.0, 2.0, 4.0], 8)
    law = power_law(x, y, groups=np.repeat(["a", "b", "c"], 8))
    assert law.exponent == pytest.approx(0.7)
    assert law.scale == pytest.approx(2)


def test_families_with_sizes_of_their_own_share_an_exponent_but_not_a_scale():
    x = np.r_[np.geomspace(1, 100, 6), np.geomspace(30, 3000, 6)]
    y = x**0.7 * np.repeat([1.0, 5.0], 6)
    law = power_law(x, y, groups=["gpt2"] * 6 + ["gemma"] * 6)
    assert law.exponent == pytest.approx(0.7)
    assert law.scales == pytest.approx({"gemma": 5.0, "gpt2": 1.0})


def test_extrapolation_is_named_by_its_factor():
    law = power_law(SIZES, np.asarray(SIZES) ** 0.5)
    assert law.extrapolates(1e8) == 1
    assert law.extrapolates(1.244e9) == pytest.approx(10)


def test_a_new_point_lies_in_the_interval_of_prediction():
    rng = np.random.default_rng(3)
    x = np.geomspace(1, 1000, 9)
    inside = []
    for e in rng.standard_normal((200, 10)):
        low, high = power_law(x, x**0.5 * np.exp(0.1 * e[:9])).interval(500.0)
        inside.append(low <= 500**0.5 * math.exp(0.1 * e[9]) <= high)
    assert 0.92 <= np.mean(inside) <= 0.98


@pytest.mark.parametrize("y", [[1, 2, 3, 4, 5, 6, 7, np.nan], [1, 2, 3, 4, 5, 6, 7, np.inf], [1, 2, 3, 4, 5, 6, 7, -8],
                               [1, 2, 3, 4, 5, 6, 7, 0], [2.0] * 8])
def test_broken_or_flat_values_carry_no_law(y):
    law = power_law([1, 2, 3, 4, 5, 6, 7, 8], y)
    assert math.isnan(law.exponent)
    assert law.verdict == "undecided"
    assert law.method


def test_sizes_and_values_are_pairs():
    with pytest.raises(LlmResearchError, match="3 sizes and 2 values"):
        power_law([1, 2, 3], [1, 2])


def test_overhead_and_work_are_recovered():
    x = np.geomspace(1e5, 1e9, 9)
    law = overhead_work(x, 2e-3 + 4e-11 * x)
    assert law.parameters == pytest.approx({"overhead": 2e-3, "work": 4e-11}, rel=1e-6)
    assert law.predict(1e9) == pytest.approx(0.042, rel=1e-6)


def test_two_pieces_and_a_bend_are_recovered():
    x = np.geomspace(1, 256, 9)
    two = piecewise(x, np.where(x <= 16, x**0.2, 16**0.2 * (x / 16) ** 0.9))
    assert two.parameters["slope"] == pytest.approx(0.2)
    assert two.parameters["slope_after"] == pytest.approx(0.9)
    bend = log_quadratic(x, np.exp(0.5 * np.log(x) + 0.1 * np.log(x) ** 2))
    assert bend.parameters["curvature"] == pytest.approx(0.1)


def test_aicc_is_the_textbook_sum():
    assert aicc([0.1, -0.1, 0.1, -0.1, 0.1, -0.1], 2) == pytest.approx(6 * math.log(0.01) + 6 + 12)
    assert math.isnan(aicc([0.1, 0.2, 0.3], 2))


def test_the_law_behind_the_data_comes_first():
    x = np.geomspace(1e5, 1e9, 10)
    noise = np.exp(0.02 * np.random.default_rng(0).standard_normal(10))
    assert laws(x, (1e-3 + 1e-11 * x) * noise)[0].name == "overhead + work"
    table = compare_laws(x, x**0.5 * noise)
    assert table["law"][0] == "power"
    assert table["weight"].sum() == pytest.approx(1)
