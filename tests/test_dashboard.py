"""The dashboard does what its inputs say, computes nothing itself, and keeps what it shows where an input is bad."""

from datetime import datetime
from pathlib import Path
import re

import pytest

from llmresearch.sizer import browsing, estimate, profiles
from llmresearch.widgets.dashboard import Dashboard

LOG = (Path(__file__).parent / "sizer_logs" / "vllm_0_19.txt").read_text(encoding="utf-8")
ROWS = browsing.everything()


@pytest.fixture
def dashboard():
    return Dashboard(ROWS)


def words(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_totals_stand_at_the_top(dashboard):
    assert "13 thresholds: 13 passing, 0 failing" in words(dashboard.totals.value)


def test_choosing_a_profile_shows_what_the_sizer_answers(dashboard):
    dashboard.profile.value = "m003"
    known = profiles.read_table().query("row_id == 'm003'").reset_index(drop=True)
    answer = estimate(known).iloc[0]
    assert f"{answer.weights / 2**30:.2f}" in words(dashboard.parts.value)
    assert words(dashboard.parts.value).lstrip().startswith("m003: llama-3.3-70b")


def test_a_click_on_a_row_and_the_list_of_profiles_are_one_choice(dashboard):
    dashboard.table.selected_rows = [4]
    assert dashboard.profile.value == ROWS.row_id[4]
    dashboard.profile.value = ROWS.row_id[2]
    assert dashboard.table.selected_rows == [2]


def test_a_filter_leaves_the_rows_of_one_engine_and_a_click_means_one_of_them(dashboard):
    dashboard.engine.value = "llama.cpp"
    kept = ROWS[ROWS.engine == "llama.cpp"].row_id.tolist()
    assert [value for _, value in dashboard.profile.options] == kept
    dashboard.table.selected_rows = [3]
    assert dashboard.profile.value == kept[3]


def test_another_axis_shows_other_errors(dashboard):
    dashboard.axis.value = "version"
    assert "0.19.0" in words(dashboard.errors.value) and "13-70 B" not in words(dashboard.errors.value)


def test_an_uploaded_log_is_a_row_and_is_chosen(dashboard):
    dashboard.upload.value = ({"name": "mine.txt", "type": "text/plain", "size": len(LOG), "content": LOG.encode(),
                               "last_modified": datetime(2026, 1, 1)},)  # fmt: skip
    assert dashboard.rows.row_id.iloc[-1] == "mine.txt" and dashboard.profile.value == "mine.txt"
    assert "14.99" in words(dashboard.parts.value) and dashboard.said.value == ""


@pytest.mark.parametrize(("text", "sentence"), [
    ("nothing of the kind", "no line of vLLM, SGLang or llama.cpp"),
    ("Model loading took 14.99 GiB memory", "does not name the model"),
    ("\x00\xff<script>alert(1)</script>", "no line of vLLM"),
])  # fmt: skip
def test_a_bad_log_shows_its_sentence_and_keeps_what_was_there(dashboard, text, sentence):
    dashboard.choose("m003")
    before = dashboard.parts.value, len(dashboard.rows)
    dashboard.add_log(text, "<bad>.txt")
    assert sentence in dashboard.said.value and "<bad>" not in dashboard.said.value
    assert (dashboard.parts.value, len(dashboard.rows)) == before


def test_a_name_for_a_model_comes_before_the_logs(dashboard):
    dashboard.model.value = "llama-3.1-8b"
    dashboard.add_log("Model loading took 14.99 GiB memory and 1 seconds", "short.txt")
    assert dashboard.profile.value == "short.txt"


def test_a_profile_that_is_not_there_says_so(dashboard):
    dashboard.choose("nobody")
    assert "not in the table" in dashboard.said.value and "m001" in words(dashboard.parts.value)
