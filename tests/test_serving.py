"""`python -m llmresearch.widgets`, which `make calculator` runs: two pages on loopback, or one sentence."""

import socket
import subprocess
import sys
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

import llmresearch as lr
from llmresearch.widgets import serving

pytest_plugins = ["browser_pages"]
READY = "[data-lr=fits]"
KERNEL = "JSON.parse(document.querySelector('#jupyter-config-data').textContent).kernelId"


@pytest.fixture
def held():
    """A port of loopback that another process listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_that_is_held_is_one_sentence_with_what_to_do(held):
    done = subprocess.run(
        [sys.executable, "-m", "llmresearch.widgets", f"--port={held}", "--no-browser"], capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if not line.startswith("[Served]")]
    assert done.returncode == 1 and done.stdout == ""
    assert len(said) == 1 and said[0].startswith(f"port: {held} of 127.0.0.1 is in use; ") and "--port" in said[0]


@pytest.mark.parametrize(("port", "said"), [(99999, "is no port"), (-1, "is no port")])
def test_what_is_no_port_is_refused(port, said):
    with pytest.raises(serving.ServingError, match=said):
        serving.check("127.0.0.1", port)


def test_a_port_that_may_not_be_had_says_why(monkeypatch):
    def refuse(self, address):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(serving.ServingError, match=r"port: 80 of 127.0.0.1 cannot be had \(Permission denied\); "):
        serving.check("127.0.0.1", 80)


def test_it_says_where_both_pages_are_and_nothing_that_warns(voila):
    said = voila.log.read_text()
    assert all(voila.url(page) in said for page in serving.PAGES) and "Warning" not in said


def test_only_this_machine_is_listened_to(voila):
    with socket.socket() as elsewhere:
        elsewhere.bind(("127.0.0.2", voila.port))  # would be refused if the server listened at every address


def alive(voila, kernel):
    try:
        with urlopen(f"{voila.base}/api/kernels/{kernel}", timeout=30):
            return True
    except HTTPError as error:
        assert error.code == 404
        return False


def test_the_root_is_the_calculator_which_answers_as_the_sizer_and_leads_to_the_dashboard(voila, browser):
    page = browser(voila.base)
    page.seconds_until(READY)
    page.page.locator("[data-field=model] input").fill("qwen3-8b")
    slider = page.page.locator("[data-field=max_model_len] input[type=range]")
    slider.focus()
    slider.press("ArrowRight")
    asked = {"model": "qwen3-8b", "gpu": "h100", "max_model_len": 16384}
    page.page.wait_for_function("call => document.querySelector('[data-lr=call]').textContent === call", arg=lr.sizer.as_call(asked))
    expected = lr.sizer.estimate(**asked)
    assert page.page.locator("[data-lr=required]").text_content() == f"{expected.required.gib:.2f}"
    assert page.page.locator("[data-lr=p-fit]").text_content() == f"{expected.p_fit:.3f}"
    kernel = page.page.evaluate(KERNEL)
    assert alive(voila, kernel)
    page.page.get_by_role("link", name="the dashboard").click()
    page.seconds_until(".lr-dashboard table.dataTable tbody tr")
    page.page.get_by_role("link", name="the calculator").click()
    page.seconds_until(READY)
    assert not alive(voila, kernel), "the page was left, and its process with it"
    assert (page.errors, page.outside) == ([], [])
