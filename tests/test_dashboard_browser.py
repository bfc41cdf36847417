"""The dashboard in a real browser, as Voila serves it: it loads, filters, breaks a profile down, and takes a log."""

from pathlib import Path

import pytest

from llmresearch.sizer import browsing

pytest_plugins = ["browser_pages"]
READY = ".lr-dashboard table.dataTable tbody tr"
PARTS = ".lr-dashboard .lr-parts"
LOG = Path(__file__).parent / "sizer_logs" / "vllm_0_19.txt"


@pytest.fixture
def dashboard(voila, browser):
    def open_(**options):
        page = browser(voila.url("dashboard"), **options)
        page.seconds_until(READY)
        return page

    return open_


def upload(page, path):
    with page.page.expect_file_chooser() as chooser:
        page.page.get_by_role("button", name="Add a start-up log").click()
    chooser.value.set_files(str(path))


def shown(page, text):
    page.page.locator(PARTS).get_by_text(text).first.wait_for(state="visible")
    return page.page.locator(PARTS).inner_text()


def test_it_loads_without_errors_faults_or_anything_from_elsewhere(dashboard):
    page = dashboard()
    assert "13 passing, 0 failing" in page.page.locator(".lr-dashboard").inner_text()
    assert page.faults() == []
    assert (page.errors, page.outside) == ([], [])


def test_search_filters_and_a_click_on_a_row_breaks_it_down_as_the_sizer_does(dashboard):
    page = dashboard()
    page.page.get_by_label("Search").fill("llama-3.3-70b")
    page.page.wait_for_function("document.querySelectorAll('.lr-dashboard table.dataTable tbody tr').length < 8")
    page.page.locator(READY).first.locator("td").first.click()
    text = shown(page, "llama-3.3-70b")
    row_id = text.strip().split(":")[0]
    found = browsing.breakdown(browsing.everything(), row_id)
    assert all(f"{value:.2f}" in text for value in found.predicted[:2])
    assert page.errors == []


def test_a_profile_can_be_chosen_with_the_keyboard(dashboard):
    page = dashboard()
    page.page.get_by_label("Profile").focus()
    page.page.keyboard.press("ArrowDown")
    assert shown(page, browsing.everything().row_id[1]).strip()


def test_an_uploaded_log_is_a_row_and_a_bad_one_a_sentence(dashboard, tmp_path):
    page = dashboard()
    upload(page, LOG)
    assert "14.99" in shown(page, "vllm_0_19.txt")
    bad = tmp_path / "bad.txt"
    bad.write_text("nothing of the kind")
    upload(page, bad)
    page.page.get_by_text("no line of vLLM, SGLang or llama.cpp").wait_for(state="visible")
    assert "14.99" in shown(page, "vllm_0_19.txt")
    assert page.errors == []


@pytest.mark.parametrize(("width", "dark"), [(360, False), (360, True), (1200, True)])
def test_it_is_read_on_a_telephone_and_in_the_dark(dashboard, width, dark):
    page = dashboard(width=width, dark=dark)
    assert page.overflow() == 0
    assert page.contrast(PARTS + " td") > 4.5 and page.contrast(READY + ":nth-child(2) td") > 4.5
    assert page.faults() == []
