"""TR119's page where nothing could be measured."""

import pytest

from llmresearch.reporting import render, verify


@pytest.mark.slow
def test_a_report_whose_engines_all_fail_still_renders_says_so_and_verifies(tmp_path):
    broken = [{"name": "fake", "refuse": "no such device here"}, {"name": "fake", "label": "b", "fail": "prefill"}]
    render.report("tr119", out_folder=tmp_path, overrides={"backends": broken, "sessions": 1})
    page = (tmp_path / "TR119.md").read_text()
    assert "Nothing was measured" in page and "no such device here" in page
    assert verify.verify(tmp_path / "tr119") == []
