"""vllm bench latency and serve: latencies of requests, or times to each token (--save-detailed)."""

import re
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
    if data.get("latencies"):
        return _latency(data, source)
    if not data.get("ttfts"):
        lost = Defect("no samples", "the file", "use --save-detailed with serve, or vllm bench latency")
        return Imported(TOOL, None, source, defects=(lost,))
    return _serve(data, source)


def _latency(data, source):
    seconds, quantiles = data["latencies"], data.get("percentiles") or {}
    figures = [Figure("avg_latency", data["avg_latency"], float(np.mean(seconds)), "s")]
    figures += [
        Figure(f"p{q}", value, float(np.percentile(seconds, float(q))), "s")
        for q, value in quantiles.items()
    ]
    tails = [
        d
        for q in quantiles
        if float(q) > 90
        for d in tail("latencies", float(q) / 100, len(seconds))
    ]
    series = Series(
        "e2e", tuple(seconds), (1,) * len(seconds), "vllm", scenario="latency (tokens not in the file)"
    )
    return Imported(TOOL, None, source, (series,), tuple(figures), tuple(tails))


def _serve(data, source):
    wrong = data.get("errors") or [""] * len(data["ttfts"])
    kept = [place for place, error in enumerate(wrong) if not error and data["output_lens"][place]]
    first, gaps = [data["ttfts"][i] for i in kept], [data["itls"][i] for i in kept]
    prompts, made = [data["input_lens"][i] for i in kept], [data["output_lens"][i] for i in kept]
    whole = [f + sum(g) for f, g in zip(first, gaps)]
    about = {
        "backend": str(data.get("backend", "vllm")),
        "model": str(data.get("model_id", "unknown")),
        "scenario": f"serve, {data.get('request_rate')} requests/s",
        "concurrency": data.get("max_concurrency") or 1,
    }
    after = [place for place, n in enumerate(made) if n > 1]  # one token has no steps after it
    series = (
        Series("prefill", tuple(first), tuple(prompts), **about),
        Series(
            "decode",
            tuple(sum(gaps[i]) for i in after),
            tuple(made[i] - 1 for i in after),
            token_seconds=tuple(tuple(gaps[i]) for i in after),
            **about,
        ),
        Series("e2e", tuple(whole), tuple(made), **about),
    )
    return Imported(
        TOOL,
        None,
        source,
        tuple(one for one in series if one.seconds),
        tuple(_serve_figures(data, first, gaps, prompts, made) if first else ()),
        tuple(_serve_defects(data, len(kept))),
    )


def _serve_figures(data, first, gaps, prompts, made):
    values = {
        "ttft": first, "e2el": [f + sum(g) for f, g in zip(first, gaps)], "itl": [gap for g in gaps for gap in g],
        "tpot": [sum(g) / (n - 1) for g, n in zip(gaps, made) if n > 1],
    }  # fmt: skip
    for key, said in data.items():
        named = re.fullmatch(r"(mean|median|std|p([\d.]+))_(ttft|itl|e2el|tpot)_ms", key)
        if named and values[named[3]]:
            yield Figure(key.removesuffix("_ms"), said / 1e3, _of(named[1], named[2], values[named[3]]), "s")
    yield Figure("completed", data["completed"], len(first), "")
    amounts = {"request": len(first), "output": sum(made), "total_token": sum(prompts) + sum(made)}
    for name, amount in amounts.items():
        said, unit = data.get(f"{name}_throughput"), "requests/s" if name == "request" else "tokens/s"
        if said is not None:
            yield Figure(f"{name}_throughput", said, amount / data["duration"] if data.get("duration") else nan, unit)


def _of(what, quantile, values):
    known = {"mean": np.mean, "median": np.median, "std": np.std}
    return float(np.percentile(values, float(quantile)) if quantile else known[what](values))


def _serve_defects(data, n):
    if not data.get("num_warmups"):
        yield Defect(
            "no warm-up",
            "the run",
            f"num_warmups is {data.get('num_warmups', 'not in the file (0 unless set)')}",
        )
    if any(key.startswith("p99") for key in data):
        yield from tail("p99", 0.99, n)
