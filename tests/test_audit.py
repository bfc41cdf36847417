"""The audit of the published studies: verdicts that can be checked with a pocket calculator, and nothing left out."""

import math
from pathlib import Path

import pandas as pd
import pytest

from llmresearch.audit import (
    Finding, compare, judge, ledger, overview, published, published_runs, published_tables, wrong)
from llmresearch.audit.findings import last_place, number, show
from llmresearch.audit.tables import PublishedError
from llmresearch.audit.tr118 import QUESTIONS, audit, changelog, corrected, crossings, decisions, sizes
from llmresearch.audit.tr118.runs import DEEP, FIX
from llmresearch.audit.tr118.significance import implied_n
from llmresearch.audit.tr118.throughputs import aggregates

PUBLISHED = Path(__file__).parents[2] / "shared" / "technical_reports" / "published"


@pytest.fixture(scope="module")
def runs():
    found, reason = published_runs(PUBLISHED)
    if found is None:
        pytest.skip(reason)
    return found


@pytest.fixture(scope="module")
def found(runs):
    return audit(runs)


@pytest.fixture(scope="module")
def with_runs(found):
    return ledger(found)


@pytest.fixture(scope="module")
def without_runs():
    return ledger(audit())


def verdict(table, claim):
    found = table.loc[table["claim"] == claim, "verdict"]
    assert len(found) == 1, f"{claim}: {len(found)} findings"
    return found.iloc[0]


@pytest.mark.parametrize(("printed", "ours", "measured", "expected"), [
    ("5.09", 5.0949, False, "reproduced"), ("5.09", 5.0951, False, "rounded"), ("5.09", 5.2, False, "inconsistent"),
    ("5.09", 5.2, True, "refuted"), ("N/A", 5.2, True, "not checkable"), ("5.09", math.nan, True, "not checkable"),
    ("88000", 87995.7, True, "rounded"), ("1.246e+04", 12462.7, True, "reproduced"),
    ("-687", -687.4, True, "reproduced")])
def test_a_printed_number_is_judged_by_its_last_place(printed, ours, measured, expected):
    assert judge(printed, ours, measured) == expected


def test_numbers_are_read_as_they_are_printed():
    assert [number(t) for t in ("+344% (4.44×)", "< 1e-09", "1,434", "76 (4x19)", "none")][:4] == [344, 1e-9, 1434, 76]
    assert math.isnan(number("none"))
    assert [last_place(t) for t in ("5.09", "1.136e+04", "87996")] == pytest.approx([0.01, 10, 1])
    assert [show(5.0949, "5.09"), show(12462.7, "1.246e+04"), show(math.nan, "1")] == ["5.095", "12,463", "nothing"]


def test_a_verdict_outside_the_five_is_refused():
    with pytest.raises(ValueError, match="reproduced, rounded"):
        Finding("t", "c", "1", "1", "almost", "how", "source")


def test_a_comparison_shows_one_digit_more_than_was_printed():
    found = compare("t", "c", "0.68", 0.6759, "how", "source")
    assert (found.published, found.ours, found.verdict) == ("0.68", "0.676", "reproduced")


def test_every_published_table_names_a_source_in_every_row():
    for name in published_tables():
        assert (published(name)["source"].str.len() > 3).all(), name


def test_a_table_that_is_not_there_is_refused_with_the_names_of_those_that_are():
    with pytest.raises(PublishedError, match="tr118_amortization"):
        published("tr118_nonsense")


def test_every_tr118_table_is_audited(without_runs):
    assert set(published_tables("tr118")) <= set(without_runs["table"])


def test_each_question_has_findings():
    for question in QUESTIONS:
        assert audit(question=question), question


def test_without_the_runs_nothing_is_said_about_them(without_runs):
    claims = without_runs[without_runs["how"].str.contains("raw runs", na=False)]
    assert set(claims["verdict"]) == {"not checkable"}
    refuted = without_runs.loc[without_runs["verdict"] == "refuted", "table"]
    assert set(refuted) == {"tr118_artifacts", "tr118_precision", "tr118_amortization", "tr118_perplexity"}


def test_version_2_1_counted_six_times_the_runs_there_were(without_runs):
    assert verdict(without_runs, "v2.1: runs of all backends together") == "inconsistent"
    assert verdict(without_runs, "v2.2: runs of all backends together") == "reproduced"


def test_the_published_break_even_is_768390_tokens_but_for_rounding(without_runs):
    how = without_runs.loc[without_runs["claim"] == "total tokens", ["ours", "how"]].iloc[0].tolist()
    assert how == ["768,389.9", "240 · 2121 · 6284 / (6284 - 2121)"]
    assert verdict(without_runs, "total tokens") == "rounded"
    assert verdict(without_runs, "total tokens v2.1") == "rounded"


def test_the_crossover_of_version_2_2_is_reproduced_to_the_last_digit():
    k, scale, crossed = crossings.line(*crossings.points())
    assert (k, scale) == (pytest.approx(-0.5057334853154661), pytest.approx(9700.19, abs=5e-3))
    assert crossed == pytest.approx(76412445.21646284)
    assert crossings.bootstrap(*crossings.points()) == pytest.approx((56194690.07151843, 120279123.13488889))


@pytest.mark.parametrize(("claim", "expected"), [
    ("v2.2 (log-log OLS, 9 points): crossover", "reproduced"),
    ("v2.1 (2-point power law): k", "inconsistent"),
    ("v2.1 (2-point power law): crossover", "inconsistent"),
    ("v2.1 (2-point power law): crossover follows from its own k and A0, millions", "inconsistent"),
    ('v2.1 (3-point "least squares"): crossover high, millions', "inconsistent"),
    ("v2.1 (45M addendum, by eye): crossover low, millions", "reproduced")])
def test_the_history_of_the_crossover(without_runs, claim, expected):
    assert verdict(without_runs, claim) == expected


def test_the_printed_intervals_follow_from_eight_runs_not_thirty():
    assert implied_n(2150, 1796) == 8
    assert implied_n(61, 51) == 8
    assert math.isnan(implied_n(1, 100))


def test_perplexities_follow_from_sums_but_not_from_log_probabilities(without_runs):
    assert verdict(without_runs, "gpt2: perplexity") == "reproduced"
    assert verdict(without_runs, "tiny-gpt2: perplexity") == "reproduced"
    assert verdict(without_runs, "onnxruntime-gpu: perplexity follows from log-probability") == "inconsistent"


def test_an_untrained_model_proves_nothing_about_quality(without_runs):
    assert verdict(without_runs, "tiny-gpt2: its perplexities show that quality is kept") == "refuted"


def test_the_engine_labelled_int8_is_five_times_too_large_for_it(without_runs):
    assert sizes.least_size("gpt2", "trt_int8_engine")[1] == pytest.approx(155.5, abs=0.05)
    assert verdict(without_runs, "gpt2: the engine labelled INT8 computes in int8") == "refuted"


def test_the_decision_matrices_contradict_each_other_from_1_to_50_million():
    wrong = [f.claim for f in decisions.contradictions() if f.verdict == "inconsistent"]
    assert [claim.partition(":")[0] for claim in wrong] == ["1 M to 10 M", "10 M to 50 M"]


def test_generate_figures_that_are_copies_of_prefill_are_found_without_the_runs(without_runs):
    copies = without_runs[without_runs["how"].str.startswith("the same digits stand in the prefill table")]
    assert len(copies) == 56    # 8 × 7 cells: three TensorRT engines twice, ONNX-GPU and PyTorch latencies
    assert set(copies["verdict"]) == {"inconsistent"}


def test_the_published_counts_are_those_of_the_runs(runs):
    assert (len(runs), int((~runs["ok"]).sum()), runs["session"].nunique()) == (5580, 1190, 31)
    assert (runs["campaign"] == DEEP).sum() == 720


@pytest.mark.parametrize(("claim", "expected"), [
    ("v2.2 tensorrt-fp16: prefill successes of 60", "reproduced"),
    ("gpt2 prefill tensorrt-int8: overall tok/s", "reproduced"),
    ("gpt2 prefill tensorrt-fp16: runs behind the mean", "refuted"),
    ("tiny-gpt2 onnxruntime-cpu single_micro: tok/s", "refuted"),
    ("gpt2 onnxruntime-cpu single_micro: tok/s", "reproduced"),
    ("v2 gpt2 generate transformers-gpu-compile OVERALL: ms", "refuted"),
    ("11 M generate TensorRT: all runs timed out", "refuted"),
    ("tensorrt-fp32 generate: all fail by profile mismatch", "refuted"),
    ("tensorrt-fp16 prefill: all fail by profile mismatch", "reproduced"),
    ("PyTorch vs ORT CPU: significant", "refuted"),
    ("PyTorch vs TRT INT8: t", "refuted"),
    ("onnxruntime-cpu against PyTorch: Cohen's d", "reproduced"),
    ("5 M prefill onnxruntime-cpu: p", "reproduced"),
    ("FP16 is the slowest of the three precisions", "refuted"),
    ("gpt2 prefill: ONNX-CPU is slower than PyTorch (-32 %), however scenarios are weighted", "not checkable"),
    ("< 50M: ONNX CPU is the one to use", "refuted"),
    ("> 7B params: TRT INT8 is the one to use", "not checkable"),
    ("all runs stand in the report", "refuted")])
def test_a_claim_against_the_published_runs(with_runs, claim, expected):
    assert verdict(with_runs, claim) == expected


def test_a_misplaced_throughput_says_where_it_belongs(with_runs):
    how = with_runs.loc[with_runs["claim"] == "tiny-gpt2 onnxruntime-cpu single_micro: tok/s", "how"].iloc[0]
    assert how.endswith("the printed number is that of batch_medium")


def test_who_wins_on_gpt2_depends_on_how_rates_are_averaged(runs):
    rates = aggregates(runs, "gpt2", DEEP).set_index("backend")
    cpu, torch = rates.loc["onnxruntime-cpu"], rates.loc["transformers-gpu-compile"]
    assert cpu["mean of rates"] < 0.7 * torch["mean of rates"]
    assert cpu["tokens over time"] > torch["tokens over time"]
    assert "tensorrt-fp16" not in rates.index and "tensorrt-fp16" in set(aggregates(runs, "gpt2", FIX)["backend"])


def test_the_overview_counts_every_finding_once(with_runs, found):
    table = overview(found)
    assert table["checked"].iloc[-1] == len(with_runs) == table["checked"].iloc[:-1].sum()
    assert table.set_index("table").loc["all", ["reproduced", "inconsistent", "refuted"]].gt(50).all()


def test_the_changelog_lists_only_what_changes_and_all_of_it(with_runs, found):
    table = changelog(found)
    assert table["figures"].sum() == with_runs["verdict"].isin(["inconsistent", "refuted"]).sum()
    assert set(table["verdict"]) == {"inconsistent", "refuted"}
    assert (table["section"] != "–").all()


def test_the_corrected_sections_are_generated_in_order(runs):
    sections = corrected(runs)
    assert [s.number for s in sections] == ["2.1", "4", "5", "7", "8", "9.2", "13", "15.3"]
    assert all(s.tables and all(len(table) for table, _ in s.tables) for s in sections)
    by_number = {s.number: s for s in sections}
    assert by_number["15.3"].says.startswith("200 of 720 runs degraded (27.8%)")
    assert by_number["7"].tables[0][0]["n"].sum() == 1190
    assert by_number["5"].tables[0][0]["params"].is_monotonic_increasing


def test_without_runs_a_section_says_what_it_lacks():
    lacking = [s.number for s in corrected(None) if "raw runs are not here" in s.says]
    assert lacking == ["2.1", "4", "5", "7", "9.2", "15.3"]


def test_absent_runs_come_with_a_reason(tmp_path):
    assert published_runs(tmp_path)[0] is None
    assert "raw_tr118_runs.csv" in published_runs(None)[1]


def test_runs_come_with_their_number_and_hash(runs):
    assert published_runs(PUBLISHED)[1].startswith("5,580 runs in raw_tr118_runs.csv, SHA-256 ")


def test_what_is_wrong_is_shown_in_part_and_counted_in_whole(with_runs):
    table = wrong([Finding("t", f"c{i}", "1", "2", "refuted", "h", "s") for i in range(9)], each=4)
    assert table["claim"].tolist() == ["c0", "c1", "c2", "c3", "… and 5 more of this table and verdict"]


def test_a_file_of_another_kind_is_refused(tmp_path):
    pd.DataFrame({"model": ["x"]}).to_csv(tmp_path / "raw_tr118_runs.csv", index=False)
    with pytest.raises(PublishedError, match="columns"):
        published_runs(tmp_path)
