"""TR120's page where a label only says that it is compiled, and where nothing could be measured at all."""

import json

import pytest

from llmresearch.reporting import render

REASON = "fake: no compiler, on purpose."
REFUSED = [{"name": "fake", "label": label, "refuse": REASON} for label in ("eager", "called-compiled")]
ONE = [{"name": "one", "prompt_tokens": 8, "new_tokens": 2}]


def claims(folder):
    return {claim["id"]: claim["status"] for claim in json.loads((folder / "tr120/claims.json").read_text())}


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tr120_failed")
    engines = [{"name": "fake", "label": label, "fail": "prefill"} for label in ("eager", "called-compiled")]
    changed = {"backends": engines, "sessions": 1, "scenarios": ONE}
    return folder, render.report("tr120", out_folder=folder, overrides=changed).markdown.read_text()


def test_a_report_whose_every_cell_failed_renders_with_the_reason_and_claims_nothing(failed):
    folder, page = failed
    assert "every cell was refused or failed" in page and "out of memory" in page and "Nothing was compiled" in page
    assert set(claims(folder).values()) == {"not measured"}


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tr120")
    changed = {"backends": REFUSED, "sessions": 1, "scenarios": ONE}
    return folder, render.report("tr120", out_folder=folder, overrides=changed).markdown.read_text()


def test_a_report_without_any_data_renders_and_says_so(refused):
    page = refused[1]
    assert "every cell was refused or failed" in page and "no compiler, on purpose" in page
    assert "Nothing was compiled" in page


def test_a_claim_about_what_was_refused_is_not_measured(refused):
    found = claims(refused[0])
    paying = ["pays_fake-5m_prefill_one", "pays_fake-5m_decode_one"]
    assert found == dict.fromkeys(["compile_speeds_prefill", "compile_speeds_decode", *paying], "not measured")
