"""vllm bench latency and serve: latencies of requests, or times to each token (--save-detailed)."""

from math import nan

import numpy as np

from .imported import Defect, Figure, Imported, Series, tail

TOOL = "vllm bench"


def matches(data):
    """Is this a result of vllm bench?"""
    return isinstance(data, dict) and any(
        keys <= set(data)
        for keys in (
            {"avg_latency", "latencies"},
            {"request_throughput", "completed"},
            {"requests_per_second", "elapsed_time"},
        )
    )


def read(data, source):
    """Imported: `latency` gives e2e; `serve` gives time to first token, token gaps and e2e."""
    if "avg_latency" in data:
        return _latency(data, source)
    if "ttfts" not in data:
        lost = Defect("no samples", "the file", "use --save-detailed with serve, or vllm bench latency")
        return Imported(TOOL, None, source, defects=(lost,))
    return _serve(data, source)


def _latency(data, source):
    seconds = data["latencies"]
    figures = [Figure("avg_latency", data["avg_latency"], float(np.mean(seconds)), "s")]
    figures += [
        Figure(f"p{q}", value, float(np.percentile(seconds, float(q))), "s")
        for q, value in data["percentiles"].items()
    ]
    tails = [
        d
        for q in data["percentiles"]
        if float(q) > 90
        for d in tail("latencies", float(q) / 100, len(seconds))
    ]
    series = Series(
        "e2e", tuple(seconds), (1,) * len(seconds), "vllm", scenario="latency (tokens not in the file)"
    )
    return Imported(TOOL, None, source, (series,), tuple(figures), tuple(tails))


def _serve(data, source):
    wrong = data.get("errors") or [""] * len(data["ttfts"])
    kept = [place for place, error in enumerate(wrong) if not error]
    first, gaps = [data["ttfts"][i] for i in kept], [data["itls"][i] for i in kept]
    prompts, made = [data["input_lens"][i] for i in kept], [data["output_lens"][i] for i in kept]
    whole = [f + sum(g) for f, g in zip(first, gaps)]
    about = {
        "backend": str(data.get("backend", "vllm")),
        "model": str(data.get("model_id", "unknown")),
        "scenario": f"serve, {data.get('request_rate')} requests/s",
        "concurrency": data.get("max_concurrency") or 1,
    }
    series = (
        Series("prefill", tuple(first), tuple(prompts), **about),
        Series(
            "decode",
            tuple(map(sum, gaps)),
            tuple(n - 1 for n in made),
            token_seconds=tuple(map(tuple, gaps)),
            **about,
        ),
        Series("e2e", tuple(whole), tuple(made), **about),
    )
    return Imported(
        TOOL,
        None,
        source,
        series,
        tuple(_serve_figures(data, first, gaps, whole)),
        tuple(_serve_defects(data, len(kept))),
    )


def _serve_figures(data, first, gaps, whole):
    flat = [gap for gaps_of_one in gaps for gap in gaps_of_one]
    for name, values in (("ttft", first), ("itl", flat), ("e2el", whole)):
        for key, of in (("mean", np.mean), ("median", np.median), ("p99", lambda v: np.percentile(v, 99))):
            if f"{key}_{name}_ms" in data and values:
                yield Figure(f"{key}_{name}", data[f"{key}_{name}_ms"] / 1e3, float(of(values)), "s")
    yield Figure("completed", data["completed"], len(first), "")
    rate = len(first) / data["duration"] if data.get("duration") else nan
    yield Figure("request_throughput", data["request_throughput"], rate, "requests/s")


def _serve_defects(data, n):
    if not data.get("num_warmups"):
        yield Defect(
            "no warm-up",
            "the run",
            f"num_warmups is {data.get('num_warmups', 'not in the file (0 unless set)')}",
        )
    if any(key.startswith("p99") for key in data):
        yield from tail("p99", 0.99, n)
