"""Every notebook of the project: parameters first, nothing saved that was run, no figure typed by hand."""

import ast
from pathlib import Path
import re

import example
import pytest

from llmresearch.reporting import render
from llmresearch.reporting.claims import ReportError
from llmresearch.matrix import load

HERE = Path(__file__).parent.parent
NOTEBOOKS = [example.NOTEBOOK, *sorted((HERE / "notebooks").glob("*.ipynb"))]
PROFILING = "profiling"  # plans of `llmresearch measure` without a notebook: tests/test_profiling.py plans them
PARAMETERS = sorted(path for path in (HERE / "params").rglob("*.yaml") if path.parent.name != PROFILING)
LONGEST_CELL = 16
ALLOWED = r"9[059] %|^\s*\d+\. |^#+ [\d.]+ "
"""The levels of intervals, the numbers of a list and of a heading."""


def code(notebook):
    return [cell for cell in render.read(notebook).cells if cell.cell_type == "code"]


def prose(notebook):
    return [cell.source for cell in render.read(notebook).cells if cell.cell_type == "markdown"]


def is_study(notebook):
    return any("begin(" in cell.source for cell in code(notebook))


def typed_numbers(text):
    """Figures in prose: not in code, addresses, names such as GPT-2 or H200, nor what is allowed."""
    text = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)|https?://\S+", " ", text, flags=re.S)
    text = re.sub(ALLOWED, " ", text, flags=re.M)
    return re.findall(r"(?<![\w.-])\d[\d.,]*(?![\w-])", text)


STUDIES = [path for path in NOTEBOOKS if is_study(path)]
every_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
every_study = pytest.mark.parametrize("notebook", STUDIES, ids=lambda path: path.stem)


@every_notebook
def test_no_outputs_are_saved(notebook):
    assert not any(cell.outputs or cell.execution_count for cell in code(notebook))


@every_notebook
def test_a_notebook_defines_nothing(notebook):
    defined = [
        node.name for cell in code(notebook) for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef))
    ]  # fmt: skip
    assert defined == []


@every_notebook
def test_logic_that_is_long_lives_in_the_library(notebook):
    long = [cell.source for cell in code(notebook) if "parameters" not in cell.metadata.get("tags", [])]
    assert [source.splitlines()[0] for source in long if len(source.splitlines()) > LONGEST_CELL] == []


@every_notebook
def test_a_notebook_starts_with_its_title_and_a_sentence(notebook):
    first = render.read(notebook).cells[0]
    assert first.cell_type == "markdown" and first.source.startswith("# ") and len(first.source.split()) > 12


@every_study
def test_the_first_code_cell_holds_the_parameters_with_the_places(notebook):
    assert "parameters" in code(notebook)[0].metadata.get("tags", [])
    assert {"folder", "raw", "measure"} <= set(render.declared(notebook))
    assert render.declared(notebook)["folder"] == "outputs/smoke"


@every_study
def test_no_figure_is_typed_in_prose(notebook):
    assert {text.splitlines()[0]: found for text in prose(notebook) if (found := typed_numbers(text))} == {}


@every_study
def test_the_last_code_cell_says_what_is_behind_the_numbers(notebook):
    assert ".footer(" in code(notebook)[-1].source


@every_study
def test_a_study_says_what_it_does_not_show(notebook):
    assert any(re.search(r"^#+ .*not show", text, re.M | re.I) for text in prose(notebook))


@every_study
def test_prose_has_no_formulas_that_would_need_a_script_from_elsewhere(notebook):
    assert not [text for text in prose(notebook) if re.search(r"\$[^$\n]+\$", re.sub(r"`[^`]*`", "", text))]


@every_study
def test_a_third_of_the_cells_or_more_is_prose(notebook):
    assert len(prose(notebook)) >= (len(prose(notebook)) + len(code(notebook))) / 3


@every_study
def test_an_unknown_parameter_is_refused_by_name(notebook):
    with pytest.raises(ReportError, match="unknown parameter 'colour_of_the_sky'"):
        render.parameters(notebook, None, {"colour_of_the_sky": "blue"})


@pytest.mark.parametrize("file", PARAMETERS, ids=lambda path: path.relative_to(HERE).as_posix())
def test_a_file_of_parameters_has_only_names_that_its_notebook_knows(file):
    notebook = HERE / "notebooks" / f"{file.name.split('.')[0]}.ipynb"
    assert set(load(file)) <= set(render.declared(notebook))


def test_figures_in_prose_are_found_and_names_are_not_mistaken_for_them():
    assert typed_numbers("It takes 12.5 ms, or 3 s.") == ["12.5", "3"]
    assert typed_numbers("GPT-2 on an H200 in fp16, `x = 5`, 95 % interval, [a](b/1).") == []
    assert typed_numbers("1. First\n2. Second") == []
