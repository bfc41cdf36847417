"""GuideLLM's report: every request, and intervals that hold for independent requests only."""

import numpy as np

from .imported import Defect, Figure, Imported, Series, tail

TOOL = "GuideLLM"


def matches(data):
    """Is this a report of GuideLLM?"""
    runs = data.get("benchmarks") if isinstance(data, dict) else None
    return bool(runs) and isinstance(runs[0], dict) and {"requests", "metrics"} <= set(runs[0])


def read(data, source):
    """Imported: of successful requests, the time to the first token, the tokens after it, the whole."""
    series, figures, defects = [], [], []
    for number, run in enumerate(data["benchmarks"]):
        name, kept = f"benchmark {number + 1}", run["requests"].get("successful") or []
        if not kept:
            defects.append(Defect("no samples", name, "no successful request is in the file"))
            continue
        series += _series(run, name, kept)
        figures += _figures(run, name, kept)
        defects += _defects(run, name, kept)
    metadata = data.get("metadata") or {}
    return Imported(
        TOOL, metadata.get("guidellm_version"), source, tuple(series), tuple(figures), tuple(defects)
    )


def _series(run, name, kept):
    about = {
        "backend": "http",
        "model": str((run.get("config") or {}).get("model", "unknown")),
        "scenario": name,
    }
    first = [r for r in kept if r.get("time_to_first_token_ms") is not None]
    gaps = [
        r for r in kept if r.get("inter_token_latency_ms") is not None and (r.get("output_tokens") or 0) > 1
    ]
    whole = [r for r in kept if r["request_latency"] is not None]
    if whole:
        yield Series(
            "e2e", tuple(r["request_latency"] for r in whole), tuple(r.get("output_tokens") for r in whole), **about
        )
    if first:
        yield Series(
            "prefill",
            tuple(r["time_to_first_token_ms"] / 1e3 for r in first),
            tuple(r.get("prompt_tokens") for r in first),
            **about,
        )
    if gaps:
        after = tuple(r["inter_token_latency_ms"] / 1e3 * (r["output_tokens"] - 1) for r in gaps)
        yield Series("decode", after, tuple(r["output_tokens"] - 1 for r in gaps), **about)


METRICS = {
    "request_latency": ("request_latency", 1),
    "time_to_first_token_ms": ("time_to_first_token_ms", 1e-3),
}


def _figures(run, name, kept):
    for metric, (key, unit) in METRICS.items():
        said = ((run["metrics"].get(metric) or {}).get("successful")) or {}
        values = [r[key] * unit for r in kept if r.get(key) is not None]
        for what, of in (("mean", np.mean), ("median", np.median), ("std_dev", np.std)):
            if said.get(what) is not None and values:
                yield Figure(f"{metric} {what}, {name}", said[what] * unit, float(of(values)), "s")


def _defects(run, name, kept):
    said = (run["metrics"].get("request_latency") or {}).get("successful") or {}
    if said.get("mean_ci") or said.get("percentile_cis"):
        yield Defect("iid intervals", name, "mean_ci or percentile_cis are given")
    if (said.get("count") or len(kept)) > len(kept):
        yield Defect("not all kept", name, f"{len(kept)} of {said['count']} requests are in the file")
    if (said.get("percentiles") or {}).get("p99") is not None:
        yield from tail(name, 0.99, said.get("count") or len(kept))
