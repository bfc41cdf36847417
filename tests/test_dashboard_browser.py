"""The dashboard in a real browser, in Voila and JupyterLab: it filters, breaks a profile down, and takes dropped logs."""

from pathlib import Path

import pytest

from llmresearch.sizer import browsing

pytest_plugins = ["browser_pages"]
READY = ".lr-dashboard table.dataTable tbody tr"
PARTS = ".lr-dashboard .lr-parts"
LOG = (Path(__file__).parent / "sizer_logs" / "vllm_0_19.txt").read_text(encoding="utf-8")
NONSENSE = "no line of vLLM, SGLang or llama.cpp"


@pytest.fixture(scope="module")
def opened(shared_browser, voila):
    """The dashboard at 1200 px in light, loaded once."""
    found = shared_browser(voila.url("dashboard"))
    found.seconds_until(READY)
    return found


@pytest.fixture
def page(opened):
    """The same with nothing searched and nothing that went wrong before."""
    opened.errors.clear()
    opened.page.get_by_label("Search:").fill("")
    return opened


def drop(page, *files):
    """Drops files, (name, text) each, onto the zone as a person would."""
    held = page.page.evaluate_handle(
        "files => { const t = new DataTransfer(); files.forEach(([name, text]) => t.items.add(new File([text], name))); return t; }",
        [list(file) for file in files],
    )
    zone = page.page.locator(".lr-drop")
    zone.dispatch_event("dragover", {"dataTransfer": held})
    assert "lr-drop-over" in zone.get_attribute("class")
    zone.dispatch_event("drop", {"dataTransfer": held})
    assert "lr-drop-over" not in zone.get_attribute("class")


def shown(page, text):
    page.page.locator(PARTS).get_by_text(text).first.wait_for(state="visible")
    return page.page.locator(PARTS).inner_text()


def said(page, text):
    page.page.locator(".lr-drop-said").get_by_text(text).first.wait_for(state="visible")
    return page.page.locator(".lr-drop-said").inner_text()


def rows(page):
    return [line.split("\t") for line in page.page.locator(READY).all_inner_texts()]


def test_it_loads_without_errors_faults_or_anything_from_elsewhere(opened):
    assert "13 passing, 0 failing" in opened.page.locator(".lr-dashboard").inner_text()
    assert opened.faults() == []
    assert (opened.errors, opened.outside) == ([], [])


def test_search_filters_and_a_click_on_a_row_breaks_it_down_as_the_sizer_does(page):
    page.page.get_by_label("Search:").fill("llama-3.3-70b")
    page.page.wait_for_function("document.querySelectorAll('.lr-dashboard table.dataTable tbody tr').length < 8")
    page.page.locator(READY).first.locator("td").first.click()
    text = shown(page, "llama-3.3-70b")
    found = browsing.breakdown(browsing.everything(), text.strip().split(":")[0])
    assert all(f"{value:.2f}" in text for value in found.predicted[:2])
    assert page.errors == []


def test_a_column_is_filtered_by_key_and_a_click_on_what_is_left_means_that_row(page):
    page.page.get_by_label("How to filter weights measured").focus()
    page.page.keyboard.type("Greater than")
    page.page.get_by_label("Filter weights measured", exact=True).focus()
    page.page.keyboard.type("59")
    page.page.wait_for_function("document.querySelectorAll('.lr-dashboard table.dataTable tbody tr').length < 8")
    left, weights = rows(page), browsing.everything().set_index("row_id").weights_measured
    assert {row[0] for row in left} == set(weights[weights > 59].index[:8])
    page.page.locator(READY).last.locator("td").first.click()
    assert shown(page, f"{left[-1][0]}: ").strip()
    assert page.faults() == [] and page.errors == []
    page.page.get_by_label("Filter weights measured", exact=True).fill("")


def test_the_rows_of_an_engine_are_numbered_by_nothing_but_their_own_names(page):
    page.page.get_by_label("Engine", exact=True).select_option(label="llama.cpp")
    page.page.wait_for_function("document.querySelector('.lr-dashboard .dt-info').textContent.includes(' 12 ')")
    kept = browsing.everything().query("engine == 'llama.cpp'").row_id
    assert [row[0] for row in rows(page)] == list(kept[:8])
    page.page.get_by_label("Engine", exact=True).select_option(label="all")


def test_a_profile_can_be_chosen_with_the_keyboard(page):
    page.page.get_by_label("Profile").focus()
    page.page.keyboard.press("Home")
    page.page.keyboard.press("ArrowDown")
    assert shown(page, f"{browsing.everything().row_id[1]}: ").strip()


def test_two_dropped_logs_are_rows_and_nonsense_beside_them_is_one_sentence(page):
    drop(page, ("first.txt", LOG), ("bad<b>.txt", "nothing of the kind"), ("second.txt", LOG))
    text = said(page, "Added: first.txt, second.txt.")
    assert [line for line in text.splitlines() if line.startswith("bad<b>.txt: ") and NONSENSE in line] and text.count("bad<b>") == 1
    assert "14.99" in shown(page, "second.txt: ")
    assert [row[0] for row in rows(page)][-2:] == ["first.txt", "second.txt"]
    assert page.faults() == [] and page.errors == []


def test_what_is_no_log_has_its_sentence_and_the_page_stays(page):
    before = page.page.locator(PARTS).inner_text()
    drop(page, ("vast.txt", "x" * (5 * 2**20 + 1)))
    assert said(page, "vast.txt: longer than 5 MiB")
    drop(page)
    assert said(page, "drop: no file was dropped")
    drop(page, ("first.txt", LOG))
    assert said(page, "first.txt: log: 'first.txt' is already in the table.")
    assert page.page.locator(PARTS).inner_text() == before and page.errors == []


def test_a_file_that_misses_the_zone_does_not_replace_the_page(page):
    stopped = "() => !document.querySelector('h1').dispatchEvent(new DragEvent('drop', { bubbles: true, cancelable: true }))"
    assert page.page.evaluate(stopped)


def test_the_button_is_reached_by_key_and_takes_files_too(page, tmp_path):
    (tmp_path / "third.txt").write_text(LOG)
    (tmp_path / "fourth.txt").write_bytes(LOG.encode("utf-16"))
    page.page.get_by_label("Model", exact=True).press("Tab")
    button = page.page.get_by_label("Drop start-up logs here, or choose them")
    assert button.evaluate("element => element === document.activeElement")
    button.set_input_files([str(tmp_path / "third.txt"), str(tmp_path / "fourth.txt")])
    assert said(page, "Added: third.txt, fourth.txt.")


@pytest.mark.parametrize(("width", "dark"), [(360, False), (360, True), (1200, True)])
def test_it_is_read_on_a_telephone_and_in_the_dark(page, width, dark):
    page.page.set_viewport_size({"width": width, "height": 800})
    page.page.emulate_media(color_scheme="dark" if dark else "light")
    page.page.get_by_label("Search:").fill("llama")
    assert page.overflow() == 0
    assert page.contrast(PARTS + " td") > 4.5 and page.contrast(READY + ":nth-child(2) td") > 4.5
    assert page.contrast(".lr-drop label") > 4.5
    assert page.faults() == []


def test_the_dashboard_works_in_jupyterlab(browser, lab):
    page = browser(lab.url("dashboard"))
    page.run_all()
    page.seconds_until(READY)
    drop(page, ("mine.txt", LOG))
    assert "14.99" in shown(page, "mine.txt: ")
    page.page.locator(READY).first.locator("td").first.click()
    assert shown(page, f"{rows(page)[0][0]}: ").strip()
    assert page.faults(".lr-dashboard") == []
    page.darken_lab()
    assert page.faults(".lr-dashboard") == []
    assert (page.errors, page.outside) == ([], [])
