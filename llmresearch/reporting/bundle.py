"""A report with everything that stands behind it in one file, and the study measured again from that file.

A bundle is a compressed tar of one folder: report/ (the pages and the study's folder), raw/ (raw file and sidecar),
params.json, environment.txt (packages with versions), certificate.json where the machine had one, and bundle.json with
the SHA-256 of every file.
"""

import hashlib
import json
import shutil
import tarfile
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import pandas as pd

from .. import records
from . import render
from .claims import ReportError
from .reproduce import TOLERANCE, conclusion, reproduced

SCHEMA = 1
LARGEST = 8 << 30  # bytes that a bundle may unpack to: a study's raw file has some hundred MB


@dataclass(frozen=True)
class Reproduction:
    """A study that was measured again: one row per claim, the conclusion, the tolerance, and where the new report is."""

    table: pd.DataFrame
    conclusion: str
    tolerance: float
    folder: Path

    def __str__(self):
        rows = "\n".join(_line(row) for row in self.table.itertuples())
        return f"{rows}\n{self.conclusion} (ratios within {100 * self.tolerance:g} %, by their intervals)"


def _line(row):
    change = "" if pd.isna(row.change) else f": second / first {row.change:.4g} [{row.low:.4g}, {row.high:.4g}]"
    return f"{row.verdict:15} {row.id}{change}"


def pack(folder, path):
    """Path of the bundle (.tar.gz) that was written from a rendered report's folder, such as outputs/tr118.

    Raises ReportError where the report, its pages or its raw file are missing.
    """
    folder, path = Path(folder).resolve(), Path(path)
    manifest = _json(folder / "report.json", "Name the folder of a rendered report, such as outputs/tr118.")
    with TemporaryDirectory() as place:
        inside = Path(place) / "bundle"
        _report(folder, inside / "report")
        facts = _raw(folder, manifest, inside / "raw")
        _write(inside / "params.json", manifest.get("params") or {})
        (inside / "environment.txt").write_text(environment())
        if facts.get("certificate"):
            _write(inside / "certificate.json", facts["certificate"])
        about = {"schema": SCHEMA, "study": manifest["study"], "commit": facts.get("commit"), "raw": _raw_name(inside)}
        _write(inside / "bundle.json", about | {"sha256": _hashes(inside)})
        _archive(inside, path)
    return path


def _report(folder, inside):
    """Copy the study's folder and the pages beside it."""
    shutil.copytree(folder, inside / folder.name, ignore=shutil.ignore_patterns("raw"))
    for page in folder.parent.glob(f"{folder.name.upper()}.*"):
        shutil.copy2(page, inside / page.name)


def _raw(folder, manifest, inside):
    """Copy the raw file and its sidecar; the sidecar's facts. A report without a raw file has none."""
    inside.mkdir()
    if not manifest.get("raw"):
        return {}
    raw = (folder / manifest["raw"]).resolve()
    raw = next((p for p in (raw, raw.with_name(raw.name + ".gz")) if p.is_file()), None)
    if raw is None:
        raise ReportError(f"{folder / manifest['raw']}: is missing. Put the raw file back: a bundle has what its numbers come from.")
    shutil.copy2(raw, inside)
    if records.sidecar(raw).is_file():
        shutil.copy2(records.sidecar(raw), inside)
    for made in raw.parent.glob(f"{records.sidecar(raw).stem}.*.json"):  # what a model made of the records, such as vectors
        shutil.copy2(made, inside)
    return records.facts(raw)


def _raw_name(inside):
    return next((p.name for p in (inside / "raw").iterdir() if ".jsonl" in p.name or p.suffix == ".parquet"), None)


def environment():
    """The installed packages, one `name==version` a line, sorted; no addresses and no paths."""
    found = {(d.metadata["Name"], d.version) for d in distributions() if d.metadata["Name"]}
    return "".join(f"{name}=={version}\n" for name, version in sorted(found, key=lambda p: p[0].lower()))


def _hashes(inside):
    files = sorted(p for p in inside.rglob("*") if p.is_file())
    return {p.relative_to(inside).as_posix(): _sha(p) for p in files}


def _sha(path):
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n")


def _archive(inside, path):
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, "w:gz") as tar:
            tar.add(inside, arcname="bundle", filter=_anonymous)
    except OSError as error:
        raise ReportError(f"{path}: cannot be written ({error.strerror}). Choose a folder you may write to.") from error


def _anonymous(member):
    """The member without the names and numbers of the user who packed it."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def unpack(path, folder):
    """The folder `folder`/bundle, unpacked and checked: every file is there with its hash, and no other.

    Raises ReportError for a file that is no bundle, was changed, or holds links, devices or paths that lead out of it.
    """
    path = Path(path)
    try:
        with tarfile.open(path, "r:*") as tar:
            members = [_safe(member, path) for member in tar]
            if sum(member.size for member in members) > LARGEST:
                raise ReportError(f"{path}: unpacks to more than {LARGEST >> 30} GiB. It is no bundle of a report.")
            tar.extractall(folder, members=members, filter="data")
    except (OSError, EOFError, tarfile.TarError) as error:
        raise ReportError(f"{path}: cannot be read as a bundle ({error}). Name a file that `bundle` wrote.") from error
    return _checked(Path(folder) / "bundle", path)


def _safe(member, path):
    """The member, where it is a plain file or folder below bundle/."""
    parts = PurePosixPath(member.name).parts
    if not (member.isfile() or member.isdir()) or not parts or parts[0] != "bundle" or ".." in parts:
        raise ReportError(f"{path}: holds {member.name!r}, which is no file below bundle/. Do not unpack it.")
    return member


def _checked(inside, path):
    about = _json(inside / "bundle.json", "Name a file that `bundle` wrote.")
    if about.get("schema") != SCHEMA or not isinstance(about.get("sha256"), dict):
        raise ReportError(f"{path}: has schema {about.get('schema')!r}; this version reads {SCHEMA}. Use the version that wrote it.")
    found = {name: sha for name, sha in _hashes(inside).items() if name != "bundle.json"}
    wrong = sorted(name for name in {*found, *about["sha256"]} if found.get(name) != about["sha256"].get(name))
    if wrong:
        raise ReportError(f"{path}: {len(wrong)} files are not as they were packed (first: {wrong[0]}). Get the bundle again.")
    return inside


def _json(path, remedy):
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise ReportError(f"{path}: cannot be read ({error.strerror}). {remedy}") from error
    except ValueError as error:
        raise ReportError(f"{path}: is no JSON. {remedy}") from error


def reproduce(path, out, tolerance=TOLERANCE, notebook=None):
    """Measure a bundle's study again on this machine with its parameters; the Reproduction. str() of it is for printing.

    `out` takes the new report. Ratios are compared by their intervals (`reproduce.reproduced`), absolute times are not.
    The raw file in the bundle is not used: everything is measured anew.
    """
    with TemporaryDirectory() as place:
        inside = unpack(path, place)
        about = _json(inside / "bundle.json", "")
        source = render.find(about["study"], notebook)
        values = _values(_json(inside / "params.json", "Get the bundle again."), render.declared(source))
        rendered = render.report(about["study"], overrides=values, out_folder=out, notebook=source)
        table = reproduced(inside / "report" / str(about["study"]).lower(), rendered.folder, tolerance)
    return Reproduction(table, conclusion(table), tolerance, rendered.folder)


def _values(params, defaults):
    """The parameters that differ from the notebook's defaults, without places: those are this machine's."""
    return {k: v for k, v in params.items() if k in defaults and k not in render.PLACES and v != defaults[k]}
