"""TR118's page where nothing could be measured: every cell refused, or every cell failed."""

import json

import pytest

from llmresearch.reporting import render

GONE = {"refused": {"refuse": "fake: not here, on purpose."}, "failed": {"fail": "prefill"}}
SMALL = {"also": [], "sessions": 1, "repetitions": 2, "scenarios": [{"name": "one", "prompt_tokens": 8, "new_tokens": 2}]}


@pytest.fixture(scope="module", params=["refused", "failed"])
def gone(request, tmp_path_factory):
    """(how the cells ended, the report) of a study in which no cell ran."""
    engines = [{"name": "fake", "label": label} | GONE[request.param] for label in ("eager", "exported")]
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, render.report("tr118", overrides=SMALL | {"backends": engines}, out_folder=folder)


def test_a_report_without_any_data_renders_and_says_why(gone):
    how, report = gone
    page = report.markdown.read_text()
    assert "Nothing was measured: every cell was refused or failed" in page and "Behind these numbers" in page
    assert "No gate judged anything" in page
    assert {"refused": "not here, on purpose", "failed": "out of memory"}[how] in page


def test_a_report_without_any_data_measures_no_claim_and_keeps_its_failures(gone):
    how, report = gone
    claims = json.loads((report.folder / "claims.json").read_text())
    assert [claim["status"] for claim in claims] == ["not measured"] * 3 and "exported" in claims[0]["text"]
    assert "fake:eager cpu fp32 was not measured here, so nothing is compared with it" in report.markdown.read_text()
    classes = json.loads((report.folder / "failures.json").read_text())
    assert sum(row["cells"] for row in classes) == 2 and {row["status"] for row in classes} == {how}
