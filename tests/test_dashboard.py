"""The dashboard does what its inputs say, computes nothing itself, and keeps what it shows where an input is bad."""

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


def dropped(dashboard, *files):
    """What the page sends for one drop: a message a file."""
    for index, (name, content) in enumerate(files):
        about = {"name": name, "size": len(content), "index": index, "of": len(files), "read": True}
        dashboard.drop._told(None, about, [memoryview(content)])
    return dashboard.drop.answer


def test_dropped_logs_are_rows_and_the_last_is_chosen(dashboard):
    answer = dropped(dashboard, ("mine.txt", LOG.encode()), ("other.txt", LOG.encode("utf-16")))
    assert answer == {"sentences": [], "added": "Added: mine.txt, other.txt."}
    assert list(dashboard.rows.row_id[-2:]) == ["mine.txt", "other.txt"] and dashboard.profile.value == "other.txt"
    assert "14.99" in words(dashboard.parts.value) and dashboard.said.value == ""


def test_of_several_dropped_files_only_the_bad_ones_are_refused(dashboard):
    answer = dropped(dashboard, ("bad.txt", b"\x00\xff"), ("mine.txt", LOG.encode()), ("mine.txt", LOG.encode()))
    assert [one.split(":")[0] for one in answer["sentences"]] == ["bad.txt", "mine.txt"]
    assert answer["added"] == "Added: mine.txt." and len(dashboard.rows) == len(ROWS) + 1


@pytest.mark.parametrize(("message", "sentence"), [
    ({"of": 0}, "drop: no file was dropped"),
    ({"name": "big.txt", "size": 2**30, "index": 0, "of": 1}, "big.txt: longer than 5 MiB"),
    ({"name": "folder", "size": 4096, "index": 0, "of": 1}, "folder: the browser cannot read it"),
])  # fmt: skip
def test_a_drop_that_holds_no_log_has_one_sentence(dashboard, message, sentence):
    dashboard.drop._told(None, message, [])
    assert len(dashboard.drop.answer["sentences"]) == 1 and dashboard.drop.answer["sentences"][0].startswith(sentence)
    assert len(dashboard.rows) == len(ROWS)


@pytest.mark.parametrize("message", ["hello", None, {}, {"of": "two"}, {"of": 2, "index": 7}, {"of": 1, "index": 5, "read": True}])
def test_a_message_that_means_nothing_changes_nothing(dashboard, message):
    dashboard.drop._told(None, message, [])
    assert dashboard.drop.answer == {"sentences": [], "added": ""} and len(dashboard.rows) == len(ROWS)


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
