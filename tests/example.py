"""The fixture notebook, rendered once: three backends that exist only in a clock, one of them refused."""

from functools import cache
from pathlib import Path
import shutil
from tempfile import TemporaryDirectory

from llmresearch.reporting import render

NOTEBOOK = Path(__file__).parent / "notebooks" / "fixture.ipynb"
_FOLDER = TemporaryDirectory()


@cache
def rendered():
    """The Rendered pages of the fixture notebook, measured with the fake backend; leave them as they are."""
    return render.report("fixture", out_folder=_FOLDER.name, notebook=NOTEBOOK, overrides={"repetitions": 9})


def copied(folder):
    """A copy of the rendered report in `folder`, to change: its study folder."""
    shutil.copytree(_FOLDER.name if rendered() else None, folder, dirs_exist_ok=True)
    return Path(folder) / "fixture"


def notebook(folder, *sources, name="study"):
    """A notebook of code cells; the first is tagged `parameters`."""
    import nbformat

    cells = [nbformat.v4.new_markdown_cell("# A study"), *map(nbformat.v4.new_code_cell, sources)]
    cells[1].metadata = {"tags": ["parameters"]}
    path = Path(folder) / f"{name}.ipynb"
    nbformat.write(
        nbformat.v4.new_notebook(cells=cells, metadata={"language_info": {"name": "python"}}), path
    )
    return path
