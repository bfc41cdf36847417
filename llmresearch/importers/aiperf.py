"""AIPerf's profile_export.jsonl: one request a line, with values and units."""

from .imported import Defect, Imported, Series

TOOL = "AIPerf"
SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "sec": 1.0, "s": 1.0}


def matches(data):
    """Are these records of AIPerf?"""
    return (
        isinstance(data, list)
        and bool(data)
        and isinstance(data[0], dict)
        and {"metadata", "metrics"} <= set(data[0])
    )


def read(lines, source):
    """Imported: time to first token and whole requests; failed requests and warm-ups left out."""
    kept = [
        line
        for line in lines
        if not line.get("error") and line["metadata"].get("benchmark_phase") != "warmup"
    ]
    found = (
        _series("prefill", kept, "time_to_first_token", "input_sequence_length"),
        _series("e2e", kept, "request_latency", "output_sequence_length"),
    )
    series = [one for one in found if one.seconds]
    lost = len(lines) - len(kept)
    defects = (
        [] if series else [Defect("no samples", "the file", f"{len(lines)} lines, {lost} failed or warm-ups")]
    )
    return Imported(TOOL, None, source, tuple(series), (), tuple(defects))


def _series(phase, lines, seconds, tokens):
    """The requests that have this time; one that stopped before its first token lacks it."""
    timed = [line["metrics"] for line in lines if line["metrics"].get(seconds)]
    times = tuple(one[seconds]["value"] * SECONDS[one[seconds]["unit"]] for one in timed)
    counts = tuple(int(one[tokens]["value"]) if one.get(tokens) else None for one in timed)
    return Series(phase, times, counts, backend="http", scenario="profile")
