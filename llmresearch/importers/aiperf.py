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
    first, whole = _times(kept, "time_to_first_token"), _times(kept, "request_latency")
    prompts, made = _counts(kept, "input_sequence_length"), _counts(kept, "output_sequence_length")
    about = {"backend": "http", "scenario": "profile"}
    series = []
    if all(value is not None for value in first) and first:
        series.append(Series("prefill", tuple(first), tuple(prompts), **about))
    if all(value is not None for value in whole) and whole:
        series.append(Series("e2e", tuple(whole), tuple(made), **about))
    lost = len(lines) - len(kept)
    defects = (
        [] if series else [Defect("no samples", "the file", f"{len(lines)} lines, {lost} failed or warm-ups")]
    )
    return Imported(TOOL, None, source, tuple(series), (), tuple(defects))


def _times(lines, name):
    found = [line["metrics"].get(name) for line in lines]
    return [m and m["value"] * SECONDS[m["unit"]] for m in found]


def _counts(lines, name):
    return [int((line["metrics"].get(name) or {"value": 0})["value"]) for line in lines]
