"""Times of the calculator as a person meets it: first answer and redraws, from Voila in headless Chromium.

    python benchmarks/calculator_redraw.py [--redraws 20] [--visits 3]

First answer: from the request for a page to the visible verdict, or to the dashboard's table, a new kernel each visit. Redraw: from a key that moves
the context's slider to the changed answer in the page, by the page's own clock. Ends with exit code 1 where a limit is
crossed. Numbers of a busy machine say little: the load is printed beside them.
"""

import argparse
import itertools
import os
from pathlib import Path
from statistics import median
import sys
import tempfile
import time

import pandas as pd

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import browser_pages as pages

FIRST_S, REDRAW_MS = 5.0, 100.0
"""The limits: of a first answer, and of a redraw."""
READY = {"calculator": "[data-lr=fits]", "dashboard": ".lr-dashboard table.dataTable tbody tr"}
SLIDER = "[data-field=max_model_len] input[type=range]"
SAID = "document.querySelector('.lr-root').dataset"


def redraws(page, count):
    """Milliseconds of `count` redraws: the slider goes to and fro, and each answer is waited for."""
    slider, times = page.page.locator(SLIDER), []
    slider.focus()
    for index in range(count):
        beat = page.page.evaluate(f"{SAID}.beat")
        slider.press("ArrowRight" if index % 2 else "ArrowLeft")
        page.page.wait_for_function(f"beat => {SAID}.beat !== beat", arg=beat)
        times.append(float(page.page.evaluate(f"{SAID}.redrawMs")))
        page.page.wait_for_timeout(50)
    return times


def measure(visits, count):
    """({page: seconds of each first answer}, milliseconds of each redraw of the calculator's last visit)."""
    from playwright.sync_api import sync_playwright

    place, first, redrawn = tempfile.mkdtemp(), {name: [] for name in READY}, []
    with pages.serving(pages.voila_command, "/voila/render", "/voila/static/voila.js", place) as server, sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=pages.program(), args=pages.FLAGS)
        for name, visit in itertools.product(READY, range(visits)):
            with pages.opener(chromium) as open_:
                page = open_(server.url(name))
                first[name].append(page.seconds_until(READY[name]))
                if name == "calculator" and visit == visits - 1:
                    redrawn = redraws(page, count)
            time.sleep(1)
    return first, redrawn


def shown(first, redrawn):
    """One row a quantity: median, largest, limit, n, and whether it holds."""
    rows = [(f"first answer, {name} (s)", times, FIRST_S) for name, times in first.items()]
    rows.append(("redraw (ms)", redrawn, REDRAW_MS))
    return pd.DataFrame(
        [(name, median(times), max(times), limit, len(times), max(times) <= limit) for name, times, limit in rows],
        columns=["what", "median", "largest", "limit", "n", "holds"],
    )


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--redraws", type=int, default=20)
    asked.add_argument("--visits", type=int, default=3)
    asked = asked.parse_args()
    first, redrawn = measure(asked.visits, asked.redraws)
    table = shown(first, redrawn)
    print("redraws in order (ms):", *(f"{time:.0f}" for time in redrawn))
    print(table.round(2).to_markdown(index=False))
    print(f"load of this machine: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")
    sys.exit(0 if table.holds.all() else 1)
