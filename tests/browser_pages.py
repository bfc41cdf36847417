"""Real pages in a real browser: servers on loopback, Chromium, what the console said, and axe.

A test module that says `pytest_plugins = ["browser_pages"]` has the fixtures `voila`, `lab` (servers: `.url(notebook)`)
and `browser`. Everything is skipped, with the reason, where there is no Chromium or no Playwright.
"""

from contextlib import contextmanager
import os
from pathlib import Path
import shutil
import socket
import subprocess
import sys
import time
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

HERE = Path(__file__).parent.parent
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--force-color-profile=srgb"]  # fmt: skip
PATIENCE = 60.0
"""Seconds that a page may take on a machine with neighbours."""
GRAVE = ("serious", "critical")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A server on a free port of loopback: `base` is its address, `log` what it said."""

    def __init__(self, command, path, folder, **environment):
        self.port, self.path = free_port(), path
        self.base = f"http://127.0.0.1:{self.port}"
        self.log = Path(folder) / "server.log"
        with self.log.open("w") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command(self.port)], cwd=HERE, stdout=said, stderr=said,
                env=os.environ | environment,
            )  # fmt: skip

    def url(self, notebook, query=""):
        """The address at which `notebook` (without .ipynb) is shown."""
        return f"{self.base}{self.path}/{notebook}.ipynb{'?' + query if query else ''}"

    def wait(self, path):
        """Returns once the server answers at `path`; raises with its log where it ends or stays silent."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with urlopen(self.base + path, timeout=5):
                    return self
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"the server did not answer:\n{self.log.read_text()[-2000:]}")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def serving(command, path, alive, folder, **environment):
    server = Server(command, path, folder, **environment)
    try:
        yield server.wait(alive)
    finally:
        server.stop()


def voila_command(port):
    return ["llmresearch.widgets", f"--port={port}", "--no-browser"]


def lab_command(folder):
    """A JupyterLab without token, news or updates, that saves nothing into the project."""
    return lambda port: [
        "jupyterlab", "--no-browser", f"--port={port}", "--ip=127.0.0.1", "--allow-root", f"--notebook-dir={folder}",
        "--IdentityProvider.token=", "--expose-app-in-browser", "--LabApp.news_url=None", "--LabApp.extension_manager=readonly",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def voila(tmp_path_factory):
    """The server that `make calculator` starts."""
    pytest.importorskip("voila", reason="voila is not installed: pip install voila")
    with serving(voila_command, "/voila/render", "/voila/static/voila.js", tmp_path_factory.mktemp("voila")) as server:
        yield server


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab on copies of calculator.ipynb and dashboard.ipynb."""
    folder = tmp_path_factory.mktemp("lab")
    for name in ("calculator", "dashboard"):
        if (HERE / "notebooks" / f"{name}.ipynb").exists():
            shutil.copy(HERE / "notebooks" / f"{name}.ipynb", folder)
    places = {name: str(folder / name) for name in ("JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")}
    with serving(lab_command(folder), "/lab/tree", "/api", folder, **places) as server:
        yield server


def program():
    """The path of a Chromium of the machine, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="module")
def chromium():
    """A headless Chromium of the machine; nothing is downloaded."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    path = program()
    if path is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def opener(chromium):
    contexts = []

    def open_(url, width=1200, height=1000, dark=False, **options):
        scheme = "dark" if dark else "light"
        context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, **options)
        contexts.append(context)
        return Watched(context.new_page(), url)

    yield open_
    for context in contexts:
        context.close()


@pytest.fixture
def browser(chromium):
    """open(url, width=1200, dark=False) -> Watched; every page is closed after the test."""
    with opener(chromium) as open_:
        yield open_


@pytest.fixture(scope="module")
def shared_browser(chromium):
    """The same for pages that several tests of a module look at: closed after the last."""
    with opener(chromium) as open_:
        yield open_


class Watched:
    """A page that is watched from its first byte: `.page` is Playwright's, `.errors` and `.outside` must stay empty."""

    def __init__(self, page, url):
        self.page, self.errors, self.outside = page, [], []
        self.host = urlsplit(url).netloc
        page.set_default_timeout(1000 * PATIENCE)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self._asked)
        self.began = time.perf_counter()
        page.goto(url, wait_until="commit")

    def _said(self, message):
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url')})")

    def _asked(self, request):
        place = urlsplit(request.url)
        if place.scheme not in ("data", "blob", "about") and place.netloc != self.host:
            self.outside.append(request.url)

    def seconds_until(self, selector):
        """Seconds from the first request until `selector` is visible."""
        self.page.locator(selector).first.wait_for(state="visible")
        return time.perf_counter() - self.began

    def run_all(self):
        """Runs every cell of the notebook that is open in JupyterLab."""
        self.page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
        self.page.wait_for_function(IDLE)  # before its kernel stands, JupyterLab would ask which one
        self.page.evaluate("void window.jupyterapp.commands.execute('notebook:run-all-cells')")

    def darken_lab(self):
        """JupyterLab in its dark theme."""
        self.page.evaluate("window.jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Dark' })")
        self.page.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
        self.page.wait_for_timeout(500)

    def faults(self, selector=None):
        """Serious and critical findings of axe inside `selector` (the whole page without one), a line each."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page, context=selector).response["violations"]
        return [
            f"{fault['id']}: {fault['help']}: {node['html'][:160]}"
            for fault in found if fault["impact"] in GRAVE for node in fault["nodes"]
        ]  # fmt: skip

    def overflow(self):
        """Pixels by which the page is wider than its window."""
        return self.page.evaluate("document.scrollingElement.scrollWidth - document.documentElement.clientWidth")

    def contrast(self, selector):
        """Contrast of an element's text to the background that it stands on, as WCAG defines it: 1 to 21."""
        return self.page.locator(selector).first.evaluate(CONTRAST)


IDLE = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
CONTRAST = """element => {
  const parse = text => { const n = text.match(/[\\d.]+/g).map(Number); return n.length > 3 ? n : [...n, 1]; };
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  let under = element, back = [255, 255, 255, 1];
  while (under) { const c = parse(getComputedStyle(under).backgroundColor); if (c[3] > 0) { back = c; break; } under = under.parentElement; }
  const [a, b] = [light(parse(getComputedStyle(element).color)), light(back)].sort((x, y) => y - x);
  return (a + .05) / (b + .05);
}"""
