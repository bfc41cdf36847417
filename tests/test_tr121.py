"""TR121's page with several engines, and where nothing could be measured; and what its plan on a GPU asks for."""

from collections import Counter
import json
from pathlib import Path

import pytest

import llmresearch as lr
from llmresearch.matrix import load
from llmresearch.reporting import render

H200 = Path(__file__).parent.parent / "params/h200/tr121.yaml"
REASON = "fake: no engine, on purpose."
REFUSED = [{"name": "fake", "label": "refusing", "refuse": REASON}, {"name": "fake", "label": "failing", "fail": "prefill", "message": "broken, on purpose"}]
SMALL = {"models": ["fake-1m", "fake-5m"], "also": [], "sessions": 1, "repetitions": 2, "warmup": 0, "roofline": False}
TWO_SIZES = {"backends": [{"name": "fake", "label": "once"}], "models": ["fake-1m", "fake-200m"]}
BATCH = {"backends": [{"name": "fake", "label": "all"}], "models": ["fake-5m"], "phases": ["prefill", "decode"],
         "scenarios": [{"name": "batch-4", "prompt_tokens": 32, "new_tokens": 16, "batch": 4}]}  # fmt: skip
SEVERAL = {"backends": [{"name": "fake", "label": "all"}], "also": [TWO_SIZES, BATCH], "repetitions": 6, "warmup": 0, "sessions": 1, "roofline": False}


def rendered(folder, changed):
    page = render.report("tr121", out_folder=folder, overrides=changed).markdown.read_text()
    return page, {claim["id"]: claim["status"] for claim in json.loads((folder / "tr121/claims.json").read_text())}


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    return rendered(tmp_path_factory.mktemp("refused"), SMALL | {"backends": REFUSED})


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    return rendered(tmp_path_factory.mktemp("several"), SEVERAL)


def test_a_report_whose_cells_are_all_refused_or_failed_renders_and_says_so(refused):
    page, claims = refused
    assert REASON in page and "broken, on purpose" in page and "every cell was refused or failed" in page
    assert set(claims) == {f"{what}_fake:{engine}_cpu_fp32_{phase}" for what in ("grows", "sublinear")
                           for engine in ("refusing", "failing") for phase in ("prefill", "decode", "e2e")}  # fmt: skip
    assert set(claims.values()) == {"not measured"}


def test_an_engine_with_two_sizes_has_its_points_and_claims_but_no_law(several):
    page, claims = several
    assert "| fake:once cpu fp32 | decode | – |" in page and "too few sizes" in page
    assert {id for id in claims if id.startswith("grows_fake:once")} and {id for id in claims if id.startswith("grows_fake:all")}


def test_without_a_roofline_the_regime_is_unknown_and_its_claims_are_not_measured(several):
    page, claims = several
    assert "| unknown |" in page
    assert {status for id, status in claims.items() if id.startswith("memory_")} == {"not measured"}


def test_a_batch_stands_beside_the_single_sequence_of_its_own_engine_only(several):
    rows = [row for row in several[0].split("One forward by sequences")[-1].splitlines() if row.startswith("| fake:")]
    batches = [row.split(" | ")[:4] for row in rows[:4]]
    assert {row[0] for row in batches} == {"| fake:all cpu fp32"} and {row[3] for row in batches} == {"1", "4"}


def test_the_plan_for_an_h200_starts_few_processes_and_has_what_each_section_asks_for():
    cells = lr.plan(H200)
    assert Counter(group[1] for group in {cell.group for cell in cells}) == {"fused": 15, "ort": 6, "hf": 2}
    names = {cell.scenario for cell in cells}
    assert {name.partition("-")[0] for name in names} == {"short", "sweep", "batch", "length"}
    ends = Counter(cell.backend for cell in cells if cell.model in ("gpt2-5m", "gpt2") and cell.scenario == "short")
    assert ends == {"fused": 6, "ort": 6, "hf": 2} and len(load(H200)["family"]) == 8
