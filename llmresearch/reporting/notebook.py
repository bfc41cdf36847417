"""The first cells of a study's notebook: its parameters, its report, and data that are measured or read."""

from pathlib import Path

from .. import frames, root
from ..matrix import measuring
from .report import Report, ReportError

PLACES = {"folder": "outputs/smoke", "raw": None, "measure": True}
"""Parameters of every notebook: the report's folder, the raw file, and whether to measure what it lacks."""
NOT_PARAMETERS = {"In", "Out", "exit", "quit"}


def parameters(names):
    """The parameters among a notebook's `globals()`: plain values, no name with an underscore in front."""
    plain = (str, int, float, bool, list, dict, type(None))
    return {
        name: value for name, value in names.items()
        if isinstance(value, plain) and not name.startswith("_") and name not in NOT_PARAMETERS
    }  # fmt: skip


def begin(study, names):
    """(report, params): the study's Report, and the parameters that say what to measure, from a notebook's
    `globals()`.

    report, params = lr.begin("tr121", globals()) cells = lr.plan(params) frame = lr.measure_or_read(cells,
    report)

    Call it right after the parameters cell. `folder`, `raw` and `measure` say where things lie; the report
    keeps all other parameters, those of the analysis among them.
    """
    values = parameters(names)
    places = PLACES | {name: values.pop(name) for name in PLACES if name in values}
    folder = root() / places["folder"] / study
    raw = root() / places["raw"] if places["raw"] else _raw_of(folder, study)
    report = Report(study, folder, raw, values)
    report.measure = bool(places["measure"])
    return report, measuring({"study": study} | values)


def _raw_of(folder, study):
    """The study's own raw file; the compressed one where only that is there."""
    raw = folder / "raw" / f"{study}.jsonl"
    packed = raw.with_name(raw.name + ".gz")
    return packed if packed.exists() and not raw.exists() else raw


def measure_or_read(cells, report):
    """Every record of the cells as a data frame: measured where the raw file lacks them, read where it has
    them.

    With the parameter `measure` false nothing is measured: the raw file says all. Shows what became of the
    plan, and says so where nothing was measured at all; the report keeps the frame for its footer.
    """
    if report.measure:
        from ..runner import measure

        measure(cells, report.raw, report.params)
    elif not Path(report.raw).exists():
        raise ReportError(
            f"raw: {report.raw} is not there, and measure is off. Name a raw file, or switch measuring on."
        )
    report.frame = frames.read(report.raw)
    _show_coverage(cells, report)
    return report.frame


def _filled(table):
    """The coverage table without the columns in which nothing happened."""
    silent = [c for c in ("refused", "failed", "timeout", "missing", "contaminated") if not table[c].any()]
    return table.drop(columns=silent if table["reason"].notna().any() else [*silent, "reason"])


def _show_coverage(cells, report):
    """The coverage table, and the counts only where plan and raw file do not agree."""
    frame = report.frame
    if frames.samples(frame).empty:
        report.say(
            "**Nothing was measured: every cell was refused or failed.** What follows has no numbers; "
            "the table says why."
        )
    report.table(
        _filled(frames.coverage(frame, cells)),
        "What became of the plan: cells by backend, device, precision and model.",
        "coverage",
    )
    counts = frames.check_counts(frame, cells)
    if not counts["agrees"].all():
        report.say("**Plan and raw file do not agree;** the table says where.")
        report.table(counts, "Records planned, found and lost.", "counts")
