"""TR119's page where nothing could be measured."""

import json

import pytest

from llmresearch.records import LlmResearchError
from llmresearch.reporting import render, verify


@pytest.mark.slow
def test_a_report_whose_engines_all_fail_still_renders_says_so_and_verifies(tmp_path):
    broken = [{"name": "fake", "refuse": "no such device here"}, {"name": "fake", "label": "b", "fail": "prefill"}]
    render.report("tr119", out_folder=tmp_path, overrides={"backends": broken, "sessions": 1})
    page = (tmp_path / "TR119.md").read_text()
    for words in ("Nothing was measured", "no such device here", "has a price", "**not measured**"):
        assert words in page
    claims = json.loads((tmp_path / "tr119" / "claims.json").read_text())
    assert {claim["status"] for claim in claims} == {"not measured"}
    checks = json.loads((tmp_path / "tr119" / "cost_energy_validation.json").read_text())
    assert [row["holds"] for row in checks] == ["yes", *["not measured"] * 5]
    assert verify.verify(tmp_path / "tr119") == []


def test_a_price_file_older_than_its_life_stops_a_study_before_anything_is_measured(tmp_path):
    prices = tmp_path / "old.yaml"
    prices.write_text("{as_of: 2020-01-31, life_days: 90, grid: [{name: default, usd_per_kwh: 0.2, gco2e_per_kwh: 500, source: s}]}")
    with pytest.raises(LlmResearchError, match="with a life of 90 days"):
        render.report("tr119", out_folder=tmp_path / "out", overrides={"prices": str(prices)})
    assert not list((tmp_path / "out").rglob("*.jsonl"))
