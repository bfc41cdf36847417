"""Notebooks open with clean diffs: a hook strips what was run, and git compares cells, not JSON."""

from pathlib import Path
import shutil
import subprocess

import nbformat
import yaml

HERE = Path(__file__).parent.parent
NOTEBOOKS = sorted((HERE / "notebooks").glob("*.ipynb"))


def hook():
    repositories = yaml.safe_load((HERE / ".pre-commit-config.yaml").read_text())["repos"]
    return repositories, repositories[0]["hooks"][0]


def read(path):
    return nbformat.read(path, as_version=4)


def run_hook(*paths):
    """The hook's own command on files, as pre-commit runs it: in the project's folder."""
    command = " ".join([hook()[1]["entry"], *map(str, paths)])
    return subprocess.run(["bash", "-c", command], cwd=HERE, capture_output=True, text=True, check=True)


def test_the_hook_needs_no_network():
    repositories, found = hook()
    assert [entry["repo"] for entry in repositories] == ["local"]
    assert found["language"] == "system"


def test_the_hook_strips_outputs_counts_and_the_interpreters_version(tmp_path):
    cell = nbformat.v4.new_code_cell("1 + 1", execution_count=7, outputs=[nbformat.v4.new_output("stream", text="2")])
    cell["id"] = "cell-00"
    book = nbformat.v4.new_notebook(cells=[cell], metadata={"language_info": {"name": "python", "version": "3.11.7"}})
    path = tmp_path / "ran.ipynb"
    nbformat.write(book, path)
    run_hook(path)
    found = read(path)
    assert (found.cells[0].outputs, found.cells[0].execution_count, found.cells[0].id) == ([], None, "cell-00")
    assert found.metadata.language_info == {"name": "python"}


def test_committed_notebooks_stay_as_they_are(tmp_path):
    copies = [Path(shutil.copy(notebook, tmp_path)) for notebook in NOTEBOOKS]
    run_hook(*copies)
    changed = [one.name for one, other in zip(copies, NOTEBOOKS, strict=True) if read(one) != read(other)]
    assert changed == []


def test_git_compares_notebooks_by_cells():
    asked = ["git", "check-attr", "diff", "merge", "--", "notebooks/tr121.ipynb"]
    said = subprocess.run(asked, cwd=HERE, capture_output=True, text=True, check=True).stdout
    assert said.count("jupyternotebook") == 2
