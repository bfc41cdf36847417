"""pyperf's JSON: values of each process, warm-ups among them; a process is a session here."""

from statistics import fmean, stdev

from .imported import Defect, Figure, Imported, Series

TOOL = "pyperf"


def matches(data):
    """Is this a suite of pyperf?"""
    found = data.get("benchmarks") if isinstance(data, dict) else None
    return bool(found) and isinstance(found[0], dict) and "runs" in found[0]


def read(data, source):
    """Imported: one series per benchmark and process; runs that only calibrated are left out."""
    series, figures, defects, common = [], [], [], data.get("metadata") or {}
    for benchmark in data["benchmarks"]:
        about = common | (benchmark.get("metadata") or {})
        name, runs = about.get("name", "unknown"), [run for run in benchmark["runs"] if run.get("values")]
        if about.get("unit", "second") != "second" or not runs:
            shown = f"{len(benchmark['runs'])} runs in {about.get('unit', 'second')}, {len(runs)} with values"
            defects.append(Defect("no samples", name, shown))
            continue
        series += [_series(name, run, session) for session, run in enumerate(runs, 1)]
        values = [value for run in runs for value in run["values"]]
        if len(values) > 1:
            figures += [
                Figure(f"mean, {name}", fmean(values), fmean(values), "s"),
                Figure(f"sd of {len(runs)} processes, {name}", stdev(values), _between(runs), "s"),
            ]
        if len(runs) > 1:
            defects.append(
                Defect("pooled processes", name, f"{len(values)} values from {len(runs)} processes")
            )
    return Imported(TOOL, common.get("perf_version"), source, tuple(series), tuple(figures), tuple(defects))


def _series(name, run, session):
    warm = [value for _, value in run.get("warmups") or ()]
    kinds = ("warmup",) * len(warm) + ("sample",) * len(run["values"])
    seconds = (*warm, *run["values"])
    return Series(
        "e2e", seconds, (1,) * len(seconds), "pyperf", model=name, scenario=name, session=session, kinds=kinds
    )


def _between(runs):
    """Standard deviation of the processes' means: what a new process would add; nan for one."""
    means = [fmean(run["values"]) for run in runs]
    return stdev(means) if len(means) > 1 else float("nan")
