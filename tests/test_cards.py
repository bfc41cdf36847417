"""What results show of themselves, as text and as HTML: the number, its interval, the verdict, and nothing unsafe."""

import math

import numpy as np
import pandas as pd
import pytest

from llmresearch.fits.crossovers import crossover
from llmresearch.fits.payback import break_even
from llmresearch.fits.power_laws import power_law
from llmresearch.intervals import Estimate
from llmresearch.reporting import cards
from llmresearch.reporting.claims import claim
from llmresearch.sizer.estimating import Component, Tokens, estimate
from llmresearch.stats.comparisons import compare

SIZES = np.array([1e6, 2e6, 5e6, 1e7, 2e7, 5e7, 1e8, 2e8])
LAW = power_law(SIZES, 1e-9 * SIZES**0.8 * (1 + 0.02 * np.sin(SIZES)))
CALLS = pd.DataFrame([
    {"backend": b, "model": "m", "phase": "decode", "session": s, "kind": "sample", "status": "ok", "index": i,
     "seconds": t * (1 + s / 100 + i / 1000)}
    for b, t in [("hf", 0.012), ("ort", 0.003)] for s in (1, 2, 3) for i in range(5)
])  # fmt: skip


@pytest.fixture(scope="module")
def compared():
    return compare(CALLS.assign(seconds=CALLS["seconds"] * (1 + 0.01 * (CALLS.index % 7))), baseline="hf")


def test_an_estimate_shows_as_many_digits_as_its_interval_carries():
    assert repr(Estimate(2.4149, 2.381, 2.449, 12, "session", "t")) == "Estimate 2.415 [2.381, 2.449], n = 12 (session), t"
    assert repr(Estimate(1.5, math.nan, math.nan, 3, method="too few")) == "Estimate 1.500, n = 3 (sample), too few"
    assert repr(Estimate(2.4e-6, 2.3e-6, 2.5e-6, 9)) == "Estimate 2.4e-06 [2.3e-06, 2.5e-06], n = 9 (sample)"


def test_an_estimate_in_a_notebook_is_escaped():
    assert "&lt;b&gt;" in Estimate(1.0, 0.5, 1.5, 9, method="<b>")._repr_html_()


def test_a_law_says_its_verdict_its_exponent_and_what_it_rests_on():
    lines = repr(LAW).splitlines()
    assert lines[0].endswith(": supported")
    assert lines[1].split() == ["exponent", f"{LAW.exponent:.4g}", f"[{LAW.exponent.low:.4g},", f"{LAW.exponent.high:.4g}]"]
    assert "without one point" in repr(LAW) and "AICc" in repr(LAW)


def test_too_few_sizes_show_no_exponent():
    few = power_law([1.0, 2.0], [1.0, 2.0])
    assert "too few sizes" in repr(few) and "nan" not in repr(few)


def test_a_crossing_shows_both_intervals():
    found = crossover(SIZES, (SIZES / 1e7) ** 0.3 * (1 + 0.02 * np.sin(SIZES)))
    assert f"Fieller            {found.fieller.low:.4g} to {found.fieller.high:.4g}" in repr(found)
    assert repr(crossover([1, 2], [1, 2])).startswith("Crossover: no finite interval")


def test_a_break_even_that_never_comes_says_never():
    assert "never" in repr(break_even(60, 100, 90))
    assert "454,095" in repr(break_even("4 min", "1000 token/s", "2121 token/s"))


def test_a_claim_shows_its_status_its_reading_and_its_line():
    found = claim("fast", "It is fast.", Estimate(1.42, 1.31, 1.55, 12), above=1)
    assert repr(found) == "supported: It is fast. 1.42 [1.31, 1.55], n = 12, line: above 1 (measured)"
    assert ">supported<" in found._repr_html_()


def test_a_component_has_a_unit_and_tokens_are_not_bytes():
    assert repr(Component(2.0 * 2**30, 1.5 * 2**30, 2.5 * 2**30, "fitted")) == "2.00 GiB [1.50, 2.50] (fitted)"
    assert repr(Tokens(890032.0, 864832.0, 891824.0, "fitted")) == "890,032 tokens [864,832, 891,824] (fitted)"
    assert isinstance(estimate("llama-3.1-8b").kv_pool_tokens, Component)


def test_a_memory_estimate_is_read_at_a_prompt():
    assert repr(estimate("llama-3.1-8b", gpu="h200")).startswith("llama-3.1-8b on h200, vllm: fits")


def test_a_comparison_shows_the_verdict_and_the_rule_behind_it(compared):
    assert "faster" in repr(compared) and "corrected by holm over 1" in repr(compared)
    assert ">faster<" in compared._repr_html_() and "ratio [95 % interval]" in compared._repr_html_()


def test_a_comparison_is_a_frame_and_a_part_of_it_is_shown_as_one(compared):
    assert list(compared[compared["verdict"] == "faster"]["backend"]) == ["ort"]
    assert "corrected by" in repr(compared[compared["verdict"] == "faster"])
    assert "corrected by" not in repr(compared[["backend", "ratio"]])
    assert "<table" in compared[["backend", "ratio"]]._repr_html_()


@pytest.mark.parametrize("shown", [LAW, claim("a", "A.", 1.0, above=1), estimate("llama-3.1-8b").weights])
def test_every_result_has_both_forms(shown):
    assert shown._repr_html_().startswith("<") and "object at" not in repr(shown)


def test_inks_are_read_on_their_paper():
    def light(colour):
        parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for pair in cards.BADGE.values():
        ink, paper = pair.split(";background:")
        assert (light(paper) + 0.05) / (light(ink) + 0.05) > 4.5
