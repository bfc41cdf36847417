"""The first cells of a study's notebook: its parameters, its report, and data that are measured or read."""

from pathlib import Path

from . import root
from .report import Report, ReportError

PLACES = {"folder": "outputs/smoke", "raw": None, "measure": True}
"""Parameters that every notebook has: where the report goes, which raw file, and whether to measure what it lacks."""
NOT_PARAMETERS = {"In", "Out", "exit", "quit"}


def parameters(names):
    """The parameters among a notebook's `globals()` as a dict: plain values under names without an underscore in front."""
    plain = (str, int, float, bool, list, dict, type(None))
    return {
        name: value for name, value in names.items()
        if isinstance(value, plain) and not name.startswith("_") and name not in NOT_PARAMETERS
    }  # fmt: skip


def begin(study, names):
    """(report, params): the study's Report and its parameters, from a notebook's `globals()`.

        report, params = lr.begin("tr121", globals())

    Call it right after the parameters cell. `folder`, `raw` and `measure` say where things lie and are not in params.
    """
    values = parameters(names)
    places = PLACES | {name: values.pop(name) for name in PLACES if name in values}
    folder = root() / places["folder"] / study
    raw = root() / places["raw"] if places["raw"] else _raw_of(folder, study)
    report = Report(study, folder, raw, values)
    report.measure = bool(places["measure"])
    return report, {"study": study} | values


def _raw_of(folder, study):
    """The study's own raw file; the compressed one where only that is there."""
    raw = folder / "raw" / f"{study}.jsonl"
    packed = raw.with_name(raw.name + ".gz")
    return packed if packed.exists() and not raw.exists() else raw


def measure_or_read(cells, report):
    """Every record of the cells as a data frame: measured where the raw file lacks them, read where it has them.

    With the parameter `measure` false nothing is measured: the raw file says all. The report remembers the frame for its
    footer.
    """
    from . import frames

    if report.measure:
        from .runner import measure

        measure(cells, report.raw)
    elif not Path(report.raw).exists():
        raise ReportError(f"raw: {report.raw} is not there, and measure is off. Name a raw file, or switch measuring on.")
    report.frame = frames.read(report.raw)
    return report.frame
