"""The calculator in a real browser, as Voila serves it and in JupyterLab: it answers, follows, and says what is wrong."""

from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

import llmresearch as lr

pytest_plugins = ["browser_pages"]
READY = "[data-lr=fits]"
FRAME_BUDGET_MS = 1000
"""A redraw takes some 40 ms on a quiet machine; the bound leaves room for neighbours."""
PASTE = """(element, size) => {
  const clipboardData = new DataTransfer();
  clipboardData.setData("text/plain", "x".repeat(size));
  return element.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
}"""


@pytest.fixture(scope="module")
def wide(shared_browser, voila):
    """The calculator at 1200 px in light, loaded once."""
    found = shared_browser(voila.url("calculator"))
    found.seconds_until(READY)
    return found


@pytest.fixture(scope="module")
def narrow(shared_browser, voila):
    """The calculator of a mixture at 360 px in dark, asked by its address."""
    found = shared_browser(voila.url("calculator", "model=mixtral-8x7b-v0.1&gpu=h100&tp=2"), width=360, dark=True)
    found.seconds_until(READY)
    return found


def field(page, name):
    return page.page.locator(f"[data-field={name}]")


def said(page, name):
    return page.page.locator(f"[data-lr={name}]").first.text_content()


def answered(page, call):
    """Waits until the page shows the answer to `call`."""
    page.page.wait_for_function("call => document.querySelector('[data-lr=call]').textContent === call", arg=call)


def agrees(page, **question):
    expected = lr.sizer.estimate(**question)
    answered(page, lr.sizer.as_call(question))
    assert said(page, "p-fit") == f"{expected.p_fit:.3f}"
    assert said(page, "required") == f"{expected.required.gib:.2f}"
    assert said(page, "budget") == f"{expected.budget.gib:.2f}"


def test_a_slider_that_is_moved_by_key_changes_the_answer_to_the_sizers(wide):
    slider = field(wide, "max_model_len").locator("input[type=range]")
    slider.focus()
    slider.press("End")
    agrees(wide, model="llama-3.1-8b", gpu="h100", max_model_len=131072)
    slider.press("ArrowLeft")
    agrees(wide, model="llama-3.1-8b", gpu="h100", max_model_len=65536)
    assert slider.get_attribute("aria-valuetext") == "65536"


def test_a_redraw_is_quick(wide):
    slider = field(wide, "max_model_len").locator("input[type=range]")
    slider.focus()
    slider.press("Home")
    agrees(wide, model="llama-3.1-8b", gpu="h100", max_model_len=512)
    assert float(wide.page.locator(".lr-root").get_attribute("data-redraw-ms")) < FRAME_BUDGET_MS
    field(wide, "max_model_len").locator("input[type=number]").fill("8192")
    agrees(wide, model="llama-3.1-8b", gpu="h100", max_model_len=8192)


def test_a_model_and_a_gpu_that_are_chosen_change_the_answer_to_the_sizers(wide):
    field(wide, "model").locator("input").fill("qwen3-8b")
    agrees(wide, model="qwen3-8b", gpu="h100", max_model_len=8192)
    field(wide, "gpu").locator("select").select_option("l4")
    agrees(wide, model="qwen3-8b", gpu="l4", max_model_len=8192)
    assert "gpu=l4" in wide.page.url


def test_bad_input_has_its_sentence_beside_the_field_and_the_last_good_answer_stays(wide):
    before = said(wide, "call")
    entry = field(wide, "batch").locator("input[type=number]")
    entry.fill("0")
    error = field(wide, "batch").locator(".lr-error")
    error.wait_for(state="visible")
    assert error.text_content().startswith("batch: ")
    assert entry.get_attribute("aria-invalid") == "true" and said(wide, "call") == before
    assert wide.page.locator(".lr-stale").is_visible()
    entry.fill("1")
    error.wait_for(state="hidden")
    assert not wide.page.locator(".lr-stale").is_visible()


@pytest.mark.parametrize(("name", "text"), [
    ("model", "no-such-model"), ("model", "{broken"), ("model", '{"num_hidden_layers": "many"}'), ("engine_version", "banana"),
    ("tp", "1e30"), ("tp", "-1"), ("max_model_len", "0"), ("context", "1.5"), ("batch", "1e30"),
])  # fmt: skip
def test_nonsense_in_a_field_is_refused_there_and_the_page_goes_on(wide, name, text):
    entry, before = field(wide, name).locator("input:not([type=range])"), said(wide, "call")
    good = entry.input_value()
    entry.fill(text)
    error = field(wide, name).locator(".lr-error")
    error.wait_for(state="visible")
    assert error.text_content().startswith(f"{name}: ") and wide.page.locator(".lr-error:visible").count() == 1
    assert said(wide, "call") == before
    entry.fill(good)
    error.wait_for(state="hidden")


def test_fifty_megabytes_that_are_pasted_or_typed_never_leave_the_page(wide):
    entry, before = field(wide, "model").locator("input"), said(wide, "call")
    good = entry.input_value()
    assert not entry.evaluate(PASTE, 50_000_000)  # the paste was stopped
    error = field(wide, "model").locator(".lr-error")
    error.wait_for(state="visible")
    assert error.text_content().startswith("model: too long") and entry.input_value() == good
    entry.fill(good)
    error.wait_for(state="hidden")
    entry.evaluate("element => { element.value = 'x'.repeat(3e6); element.dispatchEvent(new Event('input')); }")
    error.wait_for(state="visible")
    assert error.text_content().startswith("model: too long") and said(wide, "call") == before
    entry.fill(good)
    error.wait_for(state="hidden")


def test_why_opens_by_key_and_stays_open_while_the_answer_changes(wide):
    summary = wide.page.locator("[data-part=weights] summary")
    summary.focus()
    summary.press("Enter")
    assert "Source:" in wide.page.locator("[data-part=weights]").inner_text()
    field(wide, "batch").locator("input[type=number]").fill("2")
    wide.page.wait_for_function("document.querySelector('[data-lr=call]').textContent.includes('batch=2')")
    assert wide.page.locator("[data-part=weights]").get_attribute("open") is not None


def test_advanced_has_the_engines_knobs_and_the_overhead(wide):
    wide.page.get_by_text("Advanced", exact=True).click()
    field(wide, "enforce_eager").locator("input").check()
    wide.page.wait_for_function("document.querySelector('[data-lr=call]').textContent.includes('enforce_eager=True')")
    assert "sampler peak" in wide.page.locator(".lr-overhead").inner_text()


def test_nothing_is_wrong_with_the_page_nor_asked_of_another_host(wide):
    assert wide.faults() == []
    assert (wide.errors, wide.outside, wide.overflow()) == ([], [], 0)


def test_an_address_is_answered_at_360_px_in_the_dark_without_a_fault(narrow):
    agrees(narrow, model="mixtral-8x7b-v0.1", gpu="h100", tp=2)
    assert field(narrow, "ep").is_visible()
    assert narrow.page.locator(".lr-root").get_attribute("data-theme") == "dark"
    assert narrow.contrast(".lr-verdict span") >= 4.5 and narrow.contrast("h1") >= 4.5
    assert narrow.faults() == []
    assert (narrow.errors, narrow.outside, narrow.overflow()) == ([], [], 0)


def test_a_pasted_name_with_markup_is_text(narrow):
    field(narrow, "model").locator("input").fill("<img src=x onerror=document.title='owned'>")
    field(narrow, "model").locator(".lr-error").wait_for(state="visible")
    assert "<img" in field(narrow, "model").locator(".lr-error").text_content()
    assert narrow.page.locator(".lr-root img").count() == 0


def test_no_other_notebook_is_served(voila):
    with pytest.raises(HTTPError, match="404"):
        urlopen(voila.url("tr121"), timeout=30)


def test_the_calculator_works_in_jupyterlab(browser, lab):
    page = browser(lab.url("calculator"))
    page.run_all()
    page.seconds_until(READY)
    field(page, "gpu").locator("select").select_option("l4")
    agrees(page, model="llama-3.1-8b", gpu="l4", max_model_len=8192)
    assert page.faults(".lr-root") == []
    page.darken_lab()
    assert page.page.locator(".lr-root").get_attribute("data-theme") == "dark" and page.faults(".lr-root") == []
    assert (page.errors, page.outside) == ([], [])
