import math

import numpy as np
import pytest

from llmresearch.fits.crossovers import crossover

# onnxruntime-cpu over transformers-gpu-compile, tokens per second: TR118 v2.2, section 5
PARAMS = [102714, 5036720, 11180928, 25016064, 45171200, 51475968, 74824704, 96088320, 124439808]
RATIO = [21.939562291, 5.091626816, 4.437253364, 1.575156667, 1.424149742, 1.262255544, 0.717774519, 0.857320979,
         0.675982086]


def test_the_published_crossover_and_its_interval_come_out():
    c = crossover(PARAMS, RATIO)
    assert c.value == pytest.approx(76_412_445, rel=1e-6)
    assert c.exponent == pytest.approx(-0.50573349, abs=1e-7)
    assert tuple(c.bootstrap.plain) == pytest.approx((56.2e6, 120.3e6), rel=0.03)
    assert c.verdict == "inside"
    assert c.loo == pytest.approx([66.10e6, 73.52e6, 68.52e6, 78.73e6, 74.28e6, 75.57e6, 87.27e6, 77.61e6, 81.57e6],
                                  rel=1e-3)


def test_fieller_is_the_set_of_sizes_at_which_a_line_of_zero_is_not_rejected():
    c = crossover(PARAMS, RATIO)
    u, w = np.log(PARAMS), np.log(RATIO)
    slope, intercept = np.polyfit(u, w, 1)
    error2 = ((w - intercept - slope * u) ** 2).sum() / 7
    for end in c.fieller:
        v = math.log(end)
        spread = error2 * (1 / 9 + (v - u.mean()) ** 2 / ((u - u.mean()) ** 2).sum())
        assert abs(intercept + slope * v) / math.sqrt(spread) == pytest.approx(2.364624, abs=1e-5)


def test_a_crossover_beyond_the_sizes_is_outside():
    c = crossover([1, 2, 4, 8, 16, 32], [9, 8, 7.1, 6.2, 5.6, 5])
    assert c.verdict == "outside"
    assert c.value > 32


def test_without_a_sure_slope_there_is_no_finite_interval():
    c = crossover([1, 2, 3, 4, 5, 6], [2, 1.9, 2.1, 2, 2.2, 1.8])
    assert c.verdict == "no finite interval"
    assert c.fieller.kind in ("outside", "everything")
    assert "slope may be zero" in c.fieller.method


def test_noise_about_one_excludes_no_size_at_all():
    c = crossover([1, 2, 4, 8, 16, 32], [1.1, 0.9, 1.1, 0.9, 1.1, 0.9])
    assert c.fieller.kind == "everything"
    assert c.fieller.holds(1e9)


@pytest.mark.parametrize("x, ratio, reason", [([1, 2, 3], [2, 1, 0.5], "needs 4"), ([1, 2, 3, 4], [2, 1, 0, 3], "positive"),
                                              ([1, 2, 3, 4], [2, 1, -1, 3], "positive"),
                                              ([1, 2, 3, 4], [2, 2, 2, 2], "equal"),
                                              ([1, 2, 3, 4], [2, 1, np.nan, 2], "nan or infinite"),
                                              ([5, 5, 5, 5, 5], [2, 1, 1.1, 2, 3], "1 distinct sizes"), ([], [], "needs 4")])
def test_what_cannot_cross_says_why(x, ratio, reason):
    c = crossover(x, ratio)
    assert math.isnan(c.value)
    assert c.verdict == "no finite interval"
    assert reason in c.method
    assert c.fieller.kind == "empty"


def test_five_points_are_too_few_to_resample():
    c = crossover([1, 2, 4, 8, 16], [2, 1.6, 1.2, 0.9, 0.7])
    assert c.bootstrap.kind == "empty"
    assert "6 are needed" in c.bootstrap.method
    assert c.fieller.finite


def test_intervals_cover_the_true_crossover():
    rng = np.random.default_rng(0)
    x = np.geomspace(1e6, 1e9, 9)
    hits = []
    for noise in rng.standard_normal((250, 9)):
        c = crossover(x, np.exp(-0.5 * np.log(x / 7e7) + 0.1 * noise), resamples=1000)
        hits.append([i.holds(7e7) for i in (c.fieller, c.bootstrap, c.bootstrap.percentile)])
    assert (np.mean(hits, axis=0) >= 0.92).all()
    assert (np.mean(hits, axis=0) <= 0.99).all()
