"""Re-deriving a rendered report from its raw file, and listing every place where the two differ."""

from base64 import b64decode
from dataclasses import dataclass
from difflib import SequenceMatcher
from io import BytesIO
import json
from pathlib import Path
import re
from tempfile import TemporaryDirectory

from matplotlib.image import imread
import numpy as np

from . import render
from .claims import ReportError

ASSETS = ("tables/*.csv", "figures/*.csv", "figures/*.png", "*.json", "*.csv")
"""What a report writes into its folder, beside the raw file."""
PAGES = (".md", ".html")
ABSENT = "(absent)"
WINDOW = 60
NUANCE = 4 / 255
"""Brightness by which a pixel may differ: the same figure drawn by another processor differs by 1 / 255 in
some pixels, because logarithms round in another way there (seen with and without AVX-512); a digit drawn
in it differs by 200.
"""


@dataclass(frozen=True)
class Difference:
    """One place where a report does not follow from its raw file; `line` counts from 1, 0: whole file."""

    file: str
    line: int
    shown: str
    derived: str

    def __str__(self):
        return f"{self.file}:{self.line}: shown {self.shown!r}, derived {self.derived!r}"


def verify(folder, notebook=None):
    """Every Difference between a rendered report and what its raw file gives; an empty list where it holds.

    `folder` is outputs/<study>, or one of the pages beside it (see `folder_of`). The notebook runs again on
    the raw file (which may have been compressed since), with measuring switched off, into a folder of its
    own; pages, tables, figures' data, claims and numbers are compared byte by byte, pictures pixel by pixel.
    """
    folder = folder_of(folder)
    with TemporaryDirectory() as elsewhere:
        derived = derive(folder, elsewhere, notebook)
        return compare(folder, derived)


def folder_of(place):
    """The folder of a report as an absolute Path: `place` itself, or, of a page NAME.md or NAME.html, name
    beside it.
    """
    place = Path(place).resolve()
    return place.with_name(place.stem.lower()) if place.suffix in PAGES else place


def derive(folder, elsewhere, notebook=None):
    """Render the report of `folder` (or of a page) again from its raw file; the folder in `elsewhere` with
    the result.
    """
    folder = folder_of(folder)
    manifest = _manifest(folder)
    notebook = render.find(manifest["study"], notebook)
    known = render.declared(notebook)
    values = {k: v for k, v in manifest["params"].items() if k in known and v != known[k]}
    rendered = render.report(
        manifest["study"],
        overrides=values,
        raw=_raw(folder, manifest),
        out_folder=elsewhere,
        measure=False,
        notebook=notebook,
    )
    return rendered.folder


def _manifest(folder):
    path = folder / "report.json"
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise ReportError(
            f"{path}: cannot be read ({error.strerror}). "
            "Name the folder of a rendered report, such as outputs/tr118, or its page, outputs/TR118.md."
        ) from error
    except ValueError as error:
        raise ReportError(f"{path}: not JSON. Render the report again, or restore the file.") from error


def _raw(folder, manifest):
    """The raw file that the report names, compressed or not; None for a report that measures nothing."""
    if not manifest.get("raw_sha256"):
        return None
    raw = folder / manifest["raw"]
    for path in (raw, raw.with_name(raw.name + ".gz"), raw.with_name(raw.name.removesuffix(".gz"))):
        if path.is_file():
            return path
    raise ReportError(f"{raw}: not there, nor compressed. Put the raw file of the report back to verify it.")


def compare(shown, derived):
    """Every Difference between two report folders and the pages beside them, in the order of their names."""
    shown, derived = Path(shown), Path(derived)
    pairs = {f"{shown.name}/{n}": (shown / n, derived / n) for n in sorted(_assets(shown) | _assets(derived))}
    for suffix in PAGES:
        name = shown.name.upper() + suffix
        pairs[name] = (shown.parent / name, derived.parent / name)
    found = []
    for name, (here, there) in pairs.items():
        found += _file(name, _bytes(here), _bytes(there))
    return found


def _assets(folder):
    return {path.relative_to(folder).as_posix() for pattern in ASSETS for path in folder.glob(pattern)}


def _bytes(path):
    return path.read_bytes() if path.is_file() else None


def _file(name, shown, derived):
    if name.endswith("report.json"):
        shown, derived = _without_place(shown), _without_place(derived)
    if shown == derived:
        return []
    if shown is None or derived is None:
        return [
            Difference(
                name, 0, ABSENT if shown is None else "a file", ABSENT if derived is None else "a file"
            )
        ]
    if name.endswith(".png"):
        return [] if same_picture(shown, derived) else [Difference(name, 0, "a picture", "another picture")]
    shown, derived = shown.decode(errors="replace"), derived.decode(errors="replace")
    if name.endswith(".html"):
        shown, derived = _pictures_apart(shown, derived)
        if shown == derived:
            return []
    return _lines(name, shown, derived)


def same_picture(shown, derived):
    """Do two PNG files (bytes) show the same, but for the nuances in which processors differ?"""
    try:
        a, b = (imread(BytesIO(content), format="png") for content in (shown, derived))
    except (OSError, SyntaxError, ValueError):
        return False
    return a.shape == b.shape and float(np.abs(a - b).max()) <= NUANCE


def _pictures_apart(shown, derived):
    """Two pages in which pictures that show the same have the same bytes."""
    pattern = r"data:image/png;base64,([A-Za-z0-9+/=]+)"
    pairs = zip(re.findall(pattern, shown), re.findall(pattern, derived), strict=False)
    for here, there in pairs:
        if here != there and same_picture(*_decoded(here, there)):
            shown = shown.replace(here, there)
    return shown, derived


def _decoded(*texts):
    return [b64decode(text + "=" * (-len(text) % 4)) for text in texts]


def _without_place(content):
    """report.json without the place of the raw file, which is another from another folder."""
    return (
        content
        if content is None
        else b"\n".join(x for x in content.split(b"\n") if not x.startswith(b' "raw": '))
    )


def _lines(name, shown, derived):
    """One Difference for every line that was changed, put in or left out."""
    a, b = shown.splitlines(), derived.splitlines()
    if len(a) == len(b):
        changed = [(i, x, y) for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y]
        found = [Difference(name, i + 1, *_around(x, y)) for i, x, y in changed]
    else:
        found = list(_moved(name, a, b))
    return found or [Difference(name, 0, "other line ends", "as written")]


def _moved(name, a, b):
    for what, a1, a2, b1, b2 in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        for step in range(max(a2 - a1, b2 - b1) if what != "equal" else 0):
            x = a[a1 + step] if a1 + step < a2 else ABSENT
            y = b[b1 + step] if b1 + step < b2 else ABSENT
            yield Difference(name, min(a1 + step, max(a2, 1) - 1) + 1, *_around(x, y))


def _around(x, y):
    """The part of two lines around the first character in which they differ."""
    first = next((i for i, (p, q) in enumerate(zip(x, y, strict=False)) if p != q), min(len(x), len(y)))
    start = max(0, first - WINDOW // 2)
    return x[start : start + WINDOW], y[start : start + WINDOW]
