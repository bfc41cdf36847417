"""A report being written: what it shows goes to the page and, in full precision, to files beside it."""

from base64 import b64encode
from dataclasses import astuple, dataclass
from io import BytesIO
import json
import math
import os
from pathlib import Path
import re

import pandas as pd

from . import claims as claims_
from . import display, origins, page
from .claims import ReportError

DPI = 160
PNG = {"dpi": DPI, "format": "png", "metadata": {"Software": None}}
"""Without the writer's name and version: the same figure gives the same bytes."""


OWN = ("claims.json", "numbers.json", "report.json")
"""Files that a report writes in any case."""


class Number(str):
    """A number as text, ready for a generated sentence; `estimate`, `unit` and `label` are behind it."""

    def __new__(cls, text, estimate, unit, label):
        self = super().__new__(cls, text)
        self.estimate, self.unit, self.label = estimate, unit, label
        return self

    def _repr_markdown_(self):
        return str(self)


@dataclass(frozen=True)
class Piece:
    """Something on the page, in both forms; a notebook has shown it already when it is returned.

    Without HTML of its own the Markdown is what is turned into HTML.
    """

    markdown: str
    html: str | None = None

    def _ipython_display_(self):
        """Nothing: `Report` has shown it, and the last line of a cell must not show it twice."""

    def show(self):
        """Put it on the notebook's page; outside of a notebook nothing happens."""
        if _in_notebook():
            from IPython.display import display as publish

            forms = {"text/html": self.html, "text/markdown": self.markdown, "text/plain": self.markdown}
            publish({kind: form for kind, form in forms.items() if form is not None}, raw=True)
        return self


class ShownClaim(claims_.Claim):
    """A Claim that a notebook has shown already."""

    def _ipython_display_(self):
        """Nothing, as for a Piece."""


class Report:
    """One study's report: `.table .figure .number .claim .say .source .footer`, files in `folder`.

    `folder` is the study's own (outputs/tr118): tables/*.csv, figures/*.png with their data as *.csv,
    claims.json, numbers.json and report.json, which says what was shown in which order. Showing something
    again under the same name or caption replaces it, so a cell may be run twice.
    """

    def __init__(self, study, folder, raw=None, params=None):
        self.study, self.folder = _name(study, "study"), Path(folder)
        self.raw = None if raw is None else Path(raw)
        self.params = dict(params or {})
        self.frame = None
        self._items, self._claims, self._numbers, self._sources = {}, {}, {}, {}
        make(self.folder)

    def table(self, frame, caption, name=None, label="measured", units=None, longest=display.LONGEST):
        """The table as a Piece, numbered and captioned; all rows, unrounded, in tables/<name>.csv.

        `units` maps columns to units inside ("s", "B", "J", or any text); see `display.Shown`.
        """
        item = self._item("table", caption, name, label)
        self._write(item["files"][0], display.csv(frame))
        return Piece(*page.table(item, display.Shown(frame, units, longest))).show()

    def figure(self, figure, caption, name=None, data=None, label="measured"):
        """The figure as a Piece, numbered; figures/<name>.png, and its source `data` as .csv beside it."""
        item = self._item("figure", caption, name, label)
        png = BytesIO()
        figure.savefig(png, **PNG)
        self._write(item["files"][0], png.getvalue())
        if data is not None:
            self._write(item["files"][1], display.csv(data))
        return Piece(*page.figure(item, self.folder.name, b64encode(png.getvalue()).decode())).show()

    def file(self, name, content, caption, label="derived"):
        """A line on the page that names a file of the report's folder, written for other programs to read.

        `content`: a data frame (CSV, all rows, unrounded) or what JSON can hold (nan is null). The name ends
        in .csv or .json and is none of the report's own.
        """
        if not re.fullmatch(r"[a-z0-9_]+\.(csv|json)", name) or name in OWN:
            own = ", ".join(OWN)
            raise ReportError(
                f"file: {name!r} is no name for one. Use small letters, end in .csv or .json, not {own}."
            )
        item = self._item("file", caption, Path(name).stem, label) | {"files": [name]}
        self._items["file", Path(name).stem] = item
        self._write(name, display.csv(content) if isinstance(content, pd.DataFrame) else _json(content))
        return Piece(f"**[{name}]({self.folder.name}/{name})** {caption} ({label})").show()

    def number(self, estimate, unit="", label="measured", name=None):
        """'2.41 ms [2.38, 2.45] (measured)' for a generated sentence; the whole number goes to numbers.json.

        `estimate` is an Estimate, anything with value, low and high, or a number; `unit` the unit inside (s,
        B, …).
        """
        claims_.check_label(label)
        found = claims_.as_estimate(estimate, label)
        label = "unknown" if math.isnan(found.value) else label
        shown = display.estimate(found.value, found.low, found.high, unit)
        text = f"{shown} ({label})" if label != "unknown" else "unknown"
        row = {"shown": text, "value": found.value, "low": found.low, "high": found.high, "n": found.n,
               "unit": unit, "label": label, "method": found.method}  # fmt: skip
        key = name or f"{text} {astuple(found)} {unit}"
        number = self._numbers.get(key, {}).get("number", len(self._numbers) + 1)
        self._numbers[key] = {"number": number, "name": name} | row
        self._write("numbers.json", _json(list(self._numbers.values())))
        return Number(text, found, unit, label)

    def say(self, sentence):
        """Sentences (Markdown, headings too) as a Piece: words of the notebook, numbers from `number`."""
        return Piece(sentence).show()

    def claim(self, id, text, estimate, above=None, below=None, label="measured", unit=""):
        """The Claim, with the status that its interval gives it: supported, refuted, undecided or not
        measured.

        Draw the line (`above`, `below` or both) before measuring, in the unit of the estimate.
        """
        found = claims_.claim(id, text, estimate, above, below, label, unit)
        known = self._claims.get(id)
        if known is not None and known.text != text:
            raise ReportError(
                f"claim {id!r}: already says {known.text!r}. Give every claim an id of its own."
            )
        self._claims[id] = found
        self._write("claims.json", _json([c.asdict() for c in self._claims.values()]))
        Piece(*page.claim(found)).show()
        return ShownClaim(**vars(found))

    def claims(
        self,
        caption="Claims of this report: the line was drawn before measuring, the interval gives the status.",
    ):
        """All claims so far, as one table."""
        found = self._claims.values()
        columns = ["status", "claim", "estimate", "line", "label"]
        rows = [
            (c.status, c.text, page.reading(c), page.line(c).removeprefix("line: "), c.label) for c in found
        ]
        label = claims_.weakest(*(c.label for c in found))
        return self.table(pd.DataFrame(rows, columns=columns), caption, "claims", label, longest=len(rows))

    def source(self, path, whose):
        """`path`, after a note in the footer that its content was used, and whose it is."""
        path = Path(path)
        if not path.is_file():
            raise ReportError(f"source: {path} is not there. Name a file that the report reads.")
        self._sources[path.name] = f"{path.name} ({whose}), sha256 {origins.content_hash(path)}"
        return path

    def footer(self, frame=None):
        """Where the numbers come from: code, machine, packages, raw file, certificate, exclusions. Ends the
        report.

        `frame` is the whole data frame as `read` gave it; by default the one that `measure_or_read` read.
        """
        frame = self.frame if frame is None else frame
        found = origins.behind(self.raw, frame)
        rows = origins.shown(found) | (
            {"Also read": "; ".join(self._sources.values())} if self._sources else {}
        )
        self._remove_stale()
        self._write("report.json", _json(self._manifest(found, rows)))
        return Piece(*page.footer(rows)).show()

    def _manifest(self, found, rows):
        raw = None if self.raw is None else Path(os.path.relpath(self.raw, self.folder)).as_posix()
        return {
            "schema": 1, "study": self.study, "params": self.params, "raw": raw,
            "raw_sha256": found.get("sha256"), "calibration": origins.calibration(found), "footer": rows,
            "items": list(self._items.values()),
            "claims": {s: sum(c.status == s for c in self._claims.values()) for s in claims_.STATUSES},
        }  # fmt: skip

    def _item(self, kind, caption, name, label):
        """The entry of report.json: its number, its name, and the files that it goes to."""
        claims_.check_label(label)
        name = _name(name, kind) if name else self._free(kind, caption)
        number = self._items.get((kind, name), {}).get("number")
        number = number or 1 + sum(k == kind for k, _ in self._items)
        files = [f"tables/{name}.csv"] if kind == "table" else [f"figures/{name}.png", f"figures/{name}.csv"]
        item = {
            "kind": kind, "number": number, "name": name, "caption": caption, "label": label, "files": files,
        }  # fmt: skip
        self._items[kind, name] = item
        return item

    def _free(self, kind, caption):
        """A name made of the caption's first words that no other caption has taken."""
        words = re.findall(r"[a-z0-9]+", caption.lower())[:6] or [kind]
        name, count = "_".join(words), 1
        while self._items.get((kind, name), {}).get("caption", caption) != caption:
            count += 1
            name = "_".join(words) + f"_{count}"
        return name

    def _remove_stale(self):
        """Files that an earlier run of this report wrote and this one did not."""
        earlier = self.folder / "report.json"
        if not earlier.exists():
            return
        now = {file for item in self._items.values() for file in item["files"]}
        for item in json.loads(earlier.read_text()).get("items", []):
            for file in set(item["files"]) - now:
                ours = re.fullmatch(r"((tables|figures)/)?[a-zA-Z0-9_.-]+\.(csv|png|json)", file)
                if ours and file not in OWN:
                    (self.folder / file).unlink(missing_ok=True)

    def _write(self, file, content):
        write(make((self.folder / file).parent) / Path(file).name, content)


def _json(value):
    """JSON with the same bytes every time; nan is null, and what is unbounded the text inf or -inf."""
    return json.dumps(_finite(value), indent=1, ensure_ascii=False, allow_nan=False, default=str) + "\n"


def _finite(value):
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _name(name, what):
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", str(name)):
        raise ReportError(f"{what}: {name!r} is no name for a file. Use letters, digits, '-' and '_'.")
    return str(name)


def make(folder):
    """The folder as a Path, made where it is missing; one sentence where it cannot be."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReportError(
            f"{folder}: cannot be made ({error.strerror}). Choose another folder for the report."
        ) from error
    return folder


def write(path, content):
    """Text or bytes in a file, whole or not at all; one sentence where the disk says no."""
    path = Path(path)
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(content if isinstance(content, bytes) else content.encode())
        os.replace(part, path)
    except OSError as error:
        raise ReportError(
            f"{path}: could not be written ({error.strerror}). Free some space or choose another folder."
        ) from error


def _in_notebook():
    """Is this code running in a Jupyter kernel?"""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return getattr(get_ipython(), "kernel", None) is not None
