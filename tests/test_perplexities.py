"""Perplexities, their windows, intervals and gates, against figures that can be worked out on paper."""

import math

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from llmresearch import texts
from llmresearch.perplexities import (
    PerplexityError, change, gate, interval, looks_untrained, perplexity, require_disjoint, windows)
from llmresearch.texts import TextError, read_text, wikitext2


def test_the_published_perplexities_of_tr118_follow_from_their_sums():
    assert perplexity(294936.218, 72531) == pytest.approx(58.343, abs=5e-4)
    assert perplexity(785182.759, 72531) == pytest.approx(50285.809, abs=5e-2)


def test_a_coin_has_perplexity_two_and_certainty_one():
    assert perplexity(10 * math.log(2), 10) == pytest.approx(2)
    assert perplexity(0, 5) == 1


@pytest.mark.parametrize(("nll_sum", "tokens"), [
    (1.0, 0), (1.0, -3), (math.nan, 4), (math.inf, 4), (-0.1, 4), (1.0, math.nan)])
def test_what_no_model_can_score_is_refused(nll_sum, tokens):
    with pytest.raises(PerplexityError):
        perplexity(nll_sum, tokens)


def test_a_perplexity_too_large_for_a_float_is_infinite():
    assert perplexity(10_000.0, 1) == math.inf


def test_a_short_text_is_one_window():
    assert windows(5, 8) == [(0, 5, 1)]


def test_windows_overlap_and_score_what_the_one_before_did_not():
    assert windows(10, 4, 2) == [(0, 4, 1), (2, 6, 2), (4, 8, 2), (6, 10, 2)]


@pytest.mark.parametrize(
    ("count", "window", "stride"), [(2, 2, 1), (11, 4, 3), (100, 7, 5), (1024, 512, 256), (9, 8, 1)])
def test_every_token_but_the_first_is_scored_once(count, window, stride):
    scored = [token for w in windows(count, window, stride) for token in range(w.start + w.first, w.end)]
    assert scored == list(range(1, count))
    assert sum(w.tokens for w in windows(count, window, stride)) == count - 1


def test_a_scored_token_has_the_promised_past():
    assert min(w.first for w in windows(1000, 128, 32)[1:]) >= 96


@pytest.mark.parametrize(("count", "window", "stride"), [(1, 8, 4), (10, 8, 8), (10, 8, 0), (10, 1, None)])
def test_a_plan_that_would_lose_tokens_or_their_past_is_refused(count, window, stride):
    with pytest.raises(ValueError, match="windows:"):
        windows(count, window, stride)


def test_the_interval_is_students_t_on_block_sums():
    means = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]  # per token; 4 windows of 10 tokens in each block
    scores = [(10 * mean, 10) for mean in means for _ in range(4)]
    found = interval(scores)
    half = 2.5705818 * math.sqrt(3.5 / 6)  # t(0.975, 5) · sd / sqrt(n), by hand
    assert found.value == pytest.approx(math.exp(3.5))
    assert found.low == pytest.approx(math.exp(3.5 - half))
    assert found.high == pytest.approx(math.exp(3.5 + half))
    assert (found.n, found.unit_of_replication) == (6, "block of windows")


def test_the_interval_covers_the_truth_where_neighbours_resemble_each_other():
    chance, hits = np.random.default_rng(118), 0
    for _ in range(400):
        noise = chance.normal(size=201)
        means = 3 + 0.3 * (noise[1:] + 0.5 * noise[:-1])
        found = interval(np.column_stack([64 * means, np.full(200, 64)]))
        hits += found.low <= math.exp(3) <= found.high
    assert 0.92 <= hits / 400 <= 0.98


def test_too_few_windows_give_a_value_without_an_interval():
    found = interval([(20.0, 10)] * 23)
    assert found.value == pytest.approx(math.exp(2))
    assert np.isnan([found.low, found.high]).all()
    assert "at least 24" in found.method


def test_a_paired_change_does_not_see_what_makes_a_window_hard():
    hard = np.random.default_rng(1).uniform(1, 9, 40)
    baseline = np.column_stack([10 * hard, np.full(40, 10)])
    candidate = baseline + [0.1, 0]  # 0.01 nats a token worse, everywhere
    found = change(candidate, baseline)
    assert found.value == pytest.approx(math.expm1(0.01))
    assert found.high - found.low < 1e-9
    assert interval(baseline).high / interval(baseline).low > 1.5


def test_scores_of_different_windows_are_not_compared():
    with pytest.raises(PerplexityError, match="same windows"):
        change([(1.0, 10)] * 30, [(1.0, 11)] * 30)


@pytest.mark.parametrize(("precision", "candidate", "verdict"), [
    ("fp32", 58.345, "pass"), ("fp32", 58.41, "fail"), ("fp16", 58.6, "pass"), ("fp16", 58.7, "fail"),
    ("int8", 59.4, "pass"), ("int8", 59.6, "fail"), ("int8", 57.0, "fail"),
    ("same weights", 58.3435, "pass"), ("same weights", 58.354, "fail"), ("q4_k_m", 58.343, "refused")])
def test_a_gate_follows_the_limit_of_its_precision(precision, candidate, verdict):
    assert gate(candidate, 58.343, precision, 50257).verdict == verdict


def test_a_stated_limit_serves_a_precision_that_has_none():
    assert gate(59.0, 58.343, "q4_k_m", 50257, limit=0.02).verdict == "pass"


def test_no_gate_is_passed_by_a_model_that_has_learnt_nothing():
    found = gate(50285.808, 50285.809, "int8", 50257)
    assert found.verdict == "refused"
    assert "1.0006 times the vocabulary" in found.reason and "random" in found.reason


def test_a_missing_perplexity_is_refused_not_failed():
    assert gate(math.nan, 58.343, "fp16", 50257).verdict == "refused"


def test_a_trained_model_does_not_look_untrained():
    assert looks_untrained(58.343, 50257) == ""
    assert looks_untrained(21.297, 262144) == ""
    assert "random" in looks_untrained(60000.0, 50257)


def test_calibrating_on_the_evaluation_text_is_refused():
    with pytest.raises(PerplexityError, match="tokens 3 to 18"):
        require_disjoint(list(range(40)), [9, 9, *range(3, 30)])
    require_disjoint(list(range(40)), list(range(25, 40)))


def test_the_two_shipped_texts_share_no_run_of_six_words():
    evaluation, calibration = read_text("evaluation").split(), read_text("calibration").split()
    assert min(len(evaluation), len(calibration)) > 550
    require_disjoint(evaluation, calibration, length=6)


def test_a_text_that_does_not_exist_is_refused():
    with pytest.raises(TextError, match="'evaluation' and 'calibration'"):
        read_text("training")
    with pytest.raises(TextError, match="'validation'"):
        wikitext2("dev")


def test_wikitext_is_joined_as_it_stands(tmp_path, monkeypatch):
    parquet.write_table(pyarrow.table({"text": ["", " = Title = \n", "One line.\n"]}), tmp_path / "t.parquet")
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_, **__: tmp_path / "t.parquet")
    assert wikitext2("test") == " = Title = \nOne line.\n"


def test_without_a_hub_the_refusal_names_the_shipped_text(monkeypatch):
    def absent(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", absent)
    with pytest.raises(TextError, match="read_text"):
        texts.wikitext2()
