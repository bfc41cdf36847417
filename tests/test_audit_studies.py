"""The audits of TR117, TR119, TR120 and TR121: every published table, and verdicts worked out by hand."""

import math
from pathlib import Path

import pytest

from llmresearch.audit import ledger, published_tables, tr117, tr119, tr120, tr121

PUBLISHED = Path(__file__).parents[2] / "shared" / "technical_reports" / "published"


@pytest.fixture(scope="module")
def studies():
    return {name: ledger(room.audit()) for name, room in
            (("tr117", tr117), ("tr119", tr119), ("tr120", tr120), ("tr121", tr121))}


def verdict(table, claim):
    found = table.loc[table["claim"] == claim, "verdict"]
    assert len(found) == 1, f"{claim}: {len(found)} findings"
    return found.iloc[0]


@pytest.mark.parametrize("study", ["tr117", "tr119", "tr120", "tr121"])
def test_every_published_table_of_a_study_is_audited(studies, study):
    used_as_input = {"tr117_tail_from_tr120", "tr121_architecture"}
    assert set(published_tables(study)) - used_as_input <= set(studies[study]["table"])


@pytest.mark.parametrize(("study", "claim", "expected"), [
    ("tr117", "one-way ANOVA: p follows from F", "reproduced"),
    ("tr117", "transformers-gpu-compile against transformers-gpu: p follows from d", "inconsistent"),
    ("tr117", "transformers-gpu against transformers-cpu: p follows from d", "reproduced"),
    ("tr117", "transformers-cpu-compile against transformers-cpu: p follows from d", "inconsistent"),
    ("tr117", "transformers-gpu-compile against transformers-gpu: difference of means, ms", "reproduced"),
    ("tr117", "skew gemma3 pct", "rounded"),
    ("tr117", "tiny-gpt2: parameters", "refuted"),
    ("tr117", "-compile is faster on the mean", "inconsistent"),
    ("tr117", "transformers-gpu: mean without the largest, ms", "reproduced"),
    ("tr117", "transformers-gpu: mean ms", "not checkable"),
    ("tr119", "onnxruntime-cpu generate batch_medium: total_cost_usd_per_1m_tok", "reproduced"),
    ("tr119", "onnxruntime-cpu generate batch_medium: power, W", "inconsistent"),
    ("tr119", "onnxruntime-gpu generate batch_medium: power, W", "reproduced"),
    ("tr119", "generate: F", "reproduced"),
    ("tr119", "aws_g5_xlarge on_demand, USD/h", "not checkable"),
    ("tr119", "an hour on one's own machine, USD", "inconsistent"),
    ("tr120", "prefill, variable-length: compiling helps", "reproduced"),
    ("tr120", "prefill, padded per scenario, cudagraphs off: compiling helps", "reproduced"),
    ("tr120", "kv_decode, variable-length: compiling hurts", "reproduced"),
    ("tr121", "ollama kv_decode: slope", "reproduced"),
    ("tr121", "hf_cpu_fp32 e2e_kv: ci_high", "reproduced"),
    ("tr121", "hf_cpu_fp32 prefill: latency follows a power law", "not checkable"),
    ("tr121", "ollama gpt-oss-20b:latest: prompt tokens, geometric mean", "inconsistent"),
    ("tr121", "hf_cpu_fp32 models/gpt2-5m: prompt tokens, geometric mean", "reproduced"),
    ("tr121", "avg_tokens_per_s_for_1B_month_30d", "reproduced"),
    ("tr121", "gpu_bs8_prefill_r2", "not checkable")])
def test_a_claim_against_its_own_figures(studies, study, claim, expected):
    assert verdict(studies[study], claim) == expected


def test_a_million_tokens_at_a_thousand_a_second_take_a_thousand_seconds():
    hours, infra, kwh, energy = tr119.per_million(1000, 360, 3.6, 0.5)
    assert (hours, infra, kwh, energy) == pytest.approx((1 / 3.6, 1.0, 0.1, 0.05))


def test_paired_and_corrected_fewer_cost_differences_remain():
    table = tr119.blocked("prefill").set_index(["a", "b"])
    assert len(table) == 10
    assert (table["p_adjusted"] < 0.05).sum() == 4
    assert math.isclose(table.loc[("onnxruntime-cpu", "onnxruntime-gpu"), "ratio"], 0.5, rel_tol=0.01)


def test_no_exponent_of_seven_sizes_is_called_a_law():
    table = tr121.overview_of_laws()
    assert set(table["verdict"]) == {"too few sizes"}
    assert (table["least without one"] < table["published"]).all()


def test_the_means_of_tr117_follow_from_its_42_files():
    files = tr117.read_cold_start(PUBLISHED)
    if files is None:
        pytest.skip("the published raw files are not here")
    table = ledger(tr117.audit(files))
    assert verdict(table, "transformers-gpu: mean ms") == "reproduced"
    assert verdict(table, "transformers-gpu single_micro: largest, ms") == "reproduced"
