"""What `?` and `papermill --help-notebook` show: a sentence for every public name, a comment for every parameter."""

import inspect
from pathlib import Path

import click
import pytest
from papermill.inspection import display_notebook_help

import llmresearch as lr
from llmresearch.reporting import render

HERE = Path(__file__).parent.parent
NOTEBOOKS = [path for path in sorted((HERE / "notebooks").glob("*.ipynb"))
             if any("parameters" in cell.metadata.get("tags", []) for cell in render.read(path).cells)]  # fmt: skip
UNITS = {
    "summary": "seconds", "compare": "seconds", "read": "seconds", "break_even": "seconds", "quick": "seconds",
    "perplexity": "nats", "crossover": "unit", "rate": "second", "median_ratio": "ratio",
}  # fmt: skip


@pytest.mark.parametrize("name", lr.__all__)
def test_every_public_name_says_first_what_it_is(name):
    text = inspect.getdoc(getattr(lr, name)) or ""
    first = text.split("\n\n")[0].rstrip()
    assert len(first.split()) > 3 and first[-1] in ".:?)", name


def test_a_docstring_is_written_and_not_made_by_dataclass():
    made = [name for name in lr.__all__ if (getattr(lr, name).__doc__ or "").startswith(f"{name}(")]
    assert made == []


@pytest.mark.parametrize(("name", "unit"), UNITS.items())
def test_what_gives_a_quantity_says_its_unit(name, unit):
    assert unit in inspect.getdoc(getattr(lr, name)), name


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_help_for_a_notebook_shows_every_parameter_with_its_comment(notebook, capsys):
    display_notebook_help(click.Context(click.Command("papermill")), str(notebook), {})
    shown = dict.fromkeys(render.declared(notebook), "is not shown")
    for line in capsys.readouterr().out.splitlines():
        if line.startswith("  ") and line[2] != " ":
            name = line.split(":")[0].strip()
            shown[name] = "has no comment"
        elif line.startswith("    "):
            shown[name] = ""
    assert {name: fault for name, fault in shown.items() if fault} == {}
