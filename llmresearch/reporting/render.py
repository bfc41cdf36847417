"""Executing a study's notebook, and rendering it: Markdown with figures, one self-contained HTML file."""

import ast
from dataclasses import dataclass
from difflib import get_close_matches
import json
import os
from pathlib import Path
import re
import sys

from . import claims, page
from .. import root
from .claims import ReportError
from .report import make, write

TEMPLATES = Path(__file__).parent / "templates"
PLACES = ("folder", "raw", "measure")
"""Where things lie and whether to measure: not shown, so that a page does not depend on them."""


@dataclass(frozen=True)
class Rendered:
    """Where a report is: its pages, the executed notebook, the folder of its files."""

    markdown: Path
    html: Path
    notebook: Path
    folder: Path


def report(study, params_file=None, overrides=None, raw=None, out_folder=None, measure=True, notebook=None):
    """Execute and render one study; where its pages are, as Rendered.

    `overrides` win over `params_file`; both are checked against the notebook's parameters cell before
    anything runs. `raw` is the raw file to continue or read, `out_folder` takes STUDY.md, STUDY.html and
    study/ (by default what the parameter `folder` says), `measure=False` reads only. A cell that fails raises
    ReportError with one sentence.
    """
    notebook = find(study, notebook)
    values = parameters(notebook, params_file, overrides)
    values |= {k: v for k, v in _places(raw, out_folder, measure).items() if v is not None}
    defaults = declared(notebook)
    out = root() / str(values.get("folder", defaults.get("folder", "outputs/smoke")))
    values["folder"] = str(out)
    # in the notebook's order, so that the page does not depend on the file's; what repeats a default says nothing
    told = {k: values[k] for k in defaults if k in values and (k in PLACES or values[k] != defaults[k])}
    return render(execute(notebook, told, out), out, study)


def _places(raw, out_folder, measure):
    """The three place parameters as a notebook takes them; None where nothing was said."""
    return {
        "raw": None if raw is None else str(Path(raw).resolve()),
        "folder": None if out_folder is None else str(Path(out_folder).resolve()),
        "measure": None if measure else False,
    }


def find(study, notebook=None):
    """The path of a study's notebook; names the known ones where there is none."""
    path = Path(notebook) if notebook else root() / "notebooks" / f"{str(study).lower()}.ipynb"
    if path.is_file():
        return path
    known = sorted(p.stem for p in path.parent.glob("*.ipynb"))
    raise ReportError(
        f"report: no study {study!r}. "
        f"Known studies: {', '.join(known) or 'none, run it in the project folder'}."
    )


def declared(notebook):
    """{name: default} of a notebook's cell tagged `parameters`; a default that is no literal is None.

    Reads the file as JSON: a host that only measures has no Jupyter.
    """
    try:
        cells = json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReportError(
            f"{notebook}: cannot be read as a notebook ({error}). Restore it from a copy."
        ) from error
    for cell in cells:
        if cell["cell_type"] == "code" and "parameters" in cell["metadata"].get("tags", []):
            return _assignments("".join(cell["source"]))
    raise ReportError(f"{notebook}: no cell is tagged 'parameters'. Tag the one with the defaults.")


def _assignments(source):
    found = {}
    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name):
                found[target.id] = _literal(node.value)
    return found


def _literal(node):
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def parameters(notebook, params_file=None, overrides=None):
    """The parameters of one execution; refuses names that the notebook lacks, and says the nearest."""
    from ..matrix import load

    values = load(params_file) if params_file else {}
    _check_names(values, notebook, params_file)
    _check_names(overrides or {}, notebook, "-p")
    return values | dict(overrides or {})


def _check_names(values, notebook, where):
    known = list(declared(notebook))
    for name in values:
        if name not in known:
            near = get_close_matches(str(name), known, n=3)
            hint = f"Did you mean {' or '.join(near)}? " if near else ""
            raise ReportError(
                f"{where}: unknown parameter {name!r} for {Path(notebook).name}. "
                f"{hint}Known parameters: {', '.join(known)}."
            )


def read(notebook):
    """A notebook as a NotebookNode; one sentence where the file is no notebook."""
    import nbformat

    try:
        return nbformat.read(notebook, as_version=4)
    except (OSError, ValueError, nbformat.ValidationError) as error:
        raise ReportError(
            f"{notebook}: cannot be read as a notebook ({error}). Restore it from a copy."
        ) from error


def execute(notebook, values, out):
    """Run the notebook by papermill with this interpreter; the path of the executed copy, out/STUDY.ipynb.

    Where a cell fails the copy is called STUDY.failed.ipynb, an earlier STUDY.ipynb stays, and ReportError
    says which cell it was; what was measured is in the raw file.
    """
    import papermill

    from .kernel import ThisInterpreter

    out = make(out)
    name = Path(notebook).stem.upper()
    running = out / f"{name}.failed.ipynb"
    try:
        papermill.execute_notebook(
            str(notebook), str(running), parameters=values, kernel_name="python3", progress_bar=False,
            cwd=str(root()), kernel_manager_class=ThisInterpreter, stderr_file=sys.stderr,
        )  # fmt: skip
    except papermill.PapermillExecutionError as error:
        raise ReportError(_sentence(notebook, error, running, values)) from error
    except (RuntimeError, OSError) as error:
        raise ReportError(
            f"{notebook}: the kernel stopped ({error}). What it did until then is in {running}."
        ) from error
    os.replace(running, out / f"{name}.ipynb")
    return out / f"{name}.ipynb"


def _sentence(notebook, error, running, values):
    """Which cell stopped, why, and what is left."""
    heading = ""
    for cell in read(notebook).cells:
        if cell.cell_type == "markdown":
            heading = (re.findall(r"^#+ +(.+)$", cell.source, re.M) or [heading])[-1]
        elif cell.source == error.source:
            break
    said = (_plain(error.evalue) or "no message").rstrip(".")
    raw = values.get("raw") or f"{values['folder']}/{Path(notebook).stem}/raw/"
    return (
        f"{Path(notebook).name}, cell [{error.exec_count}] under '{heading}': {error.ename}: {said}. "
        f"What was measured stays in {raw}; the notebook up to there is {running}."
    )


def _plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", str(text)).strip()


def render(executed, out, study):
    """Write out/STUDY.md and out/STUDY.html from an executed notebook; where they are, as Rendered."""
    executed, out = Path(executed), make(out)
    folder = out / str(study).lower()
    notebook = tidy(read(executed))
    name = str(study).upper()
    pages = Rendered(out / f"{name}.md", out / f"{name}.html", executed, folder)
    write(pages.markdown, markdown(notebook))
    write(pages.html, html(notebook, summary(folder), name))
    return pages


def tidy(notebook):
    """The notebook without what differs from run to run: ids, times, progress bars, noise, places."""
    notebook.metadata = {k: v for k, v in notebook.metadata.items() if k in ("kernelspec", "language_info")}
    notebook.metadata.get("language_info", {}).pop("version", None)
    for index, cell in enumerate(notebook.cells):
        tags = cell.metadata.get("tags", [])
        cell.id, cell.metadata = f"cell-{index}", {"tags": tags}
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _noise(output)]
            if "injected-parameters" in tags:
                cell.source = _without_places(cell.source)
    notebook.cells = [cell for cell in notebook.cells if cell.source.strip() not in ("", "# Parameters")]
    return notebook


def _noise(output):
    """A stream of warnings, or a progress bar in either of its forms."""
    if output.output_type == "stream":
        return output.name == "stderr" or "\r" in output.text
    return "application/vnd.jupyter.widget-view+json" in output.get("data", {})


def _without_places(source):
    """The injected parameters without those that only say where things lie."""
    return "\n".join(
        line for line in source.split("\n") if not line.startswith(tuple(f"{p} = " for p in PLACES))
    )


def summary(folder):
    """What stands at the top of the page, from report.json; empty where the notebook wrote no footer."""
    manifest = Path(folder) / "report.json"
    return json.loads(manifest.read_text()) if manifest.exists() else {}


def markdown(notebook):
    """The notebook as Markdown: prose, tables, links to figures; code folded away, no progress, no noise."""
    from nbconvert import MarkdownExporter
    from traitlets.config import Config

    order = ["text/markdown", "image/png", "text/plain"]
    exporter = MarkdownExporter(_config(order, Config), template_name="llmresearch_markdown")
    text = exporter.from_notebook_node(notebook)[0]
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+\n", "\n", text)).strip() + "\n"


def html(notebook, manifest, title):
    """The notebook as one HTML file that needs nothing else: styles and figures inside, no script."""
    from nbconvert import HTMLExporter
    from traitlets.config import Config

    order = ["text/html", "text/markdown", "image/png", "text/plain"]
    exporter = HTMLExporter(_config(order, Config), template_name="llmresearch_html", anchor_link_text="#")
    exporter.register_filter("tagged", page.tagged)
    resources = {
        "lr": _top(notebook, manifest, title),
        "style": (TEMPLATES / "llmresearch_html" / "style.css").read_text(),
    }
    text = exporter.from_notebook_node(notebook, resources=resources)[0]
    return text.replace("<!--contents-->", contents(text)).strip() + "\n"


def _config(order, config):
    return config({
        "NbConvertBase": {"display_data_priority": order},
        "TemplateExporter": {"extra_template_basedirs": [str(TEMPLATES)]},
    })  # fmt: skip


def _top(notebook, manifest, title):
    """The head of the page: its title, and the figures of report.json that a reader wants first."""
    first = next((c.source for c in notebook.cells if c.cell_type == "markdown"), title)
    heading = re.search(r"^# +(.+)$", first, re.M)
    counts = {status: manifest.get("claims", {}).get(status, 0) for status in claims.STATUSES}
    return {
        "title": heading.group(1) if heading else title, "study": title, "claims": counts,
        "calibration": manifest.get("calibration") if manifest.get("raw_sha256") else None,
    }  # fmt: skip


def contents(page):
    """The table of contents: links to the second- and third-level headings of an HTML page."""
    found = re.findall(r'<h([23]) id="([^"]+)">(.*?)</h\1>', page, re.S)
    items = [
        f'<li class="lr-l{level}"><a href="#{anchor}">{_words(text)}</a></li>'
        for level, anchor, text in found
    ]
    return "\n".join(items)


def _words(heading):
    return re.sub(r"<a class=\"anchor-link\".*?</a>|<[^>]+>", "", heading, flags=re.S).strip()
