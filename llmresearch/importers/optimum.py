"""optimum-benchmark: all latencies, token latencies that repeat themselves, a rate in a wrong unit."""

from math import nan
from statistics import fmean

import numpy as np

from .imported import Defect, Figure, Imported, Series, tail

TOOL = "optimum-benchmark"
PHASES = {"prefill": "prefill", "decode": "decode", "generate": "e2e"}


def matches(data):
    """Is this a benchmark or a report of optimum-benchmark?"""
    report = _report(data)
    return isinstance(report, dict) and any(
        isinstance(report.get(t), dict) and "latency" in report[t] and "throughput" in report[t]
        for t in (*PHASES, "load_model")
    )


def _report(data):
    return data.get("report", data) if isinstance(data, dict) else None


def read(data, source):
    """Imported: prefill, decode and generate as phases; token latencies once each, beside their decode."""
    report, config = _report(data), data.get("config") or {}
    latencies = {
        target: part["latency"]
        for target, part in report.items()
        if isinstance(part, dict) and part.get("latency")
    }
    repeats, tokens = undo(
        latencies.get("per_token", {}).get("values") or [], len(_values(latencies, "decode"))
    )
    about = _about(config)
    series = [
        _series(phase, _values(latencies, target), about, tokens)
        for target, phase in PHASES.items()
        if target in latencies
    ]
    defects = _defects(report, latencies, about, repeats, tokens)
    return Imported(
        TOOL,
        (config.get("environment") or {}).get("optimum_benchmark_version"),
        source,
        tuple(series),
        tuple(_figures(report, latencies, about, tokens)),
        tuple(defects),
    )


def _values(latencies, target):
    return list(latencies.get(target, {}).get("values") or ())


def _about(config):
    scenario, backend = config.get("scenario") or {}, config.get("backend") or {}
    shapes, generate = scenario.get("input_shapes") or {}, scenario.get("generate_kwargs") or {}
    return {
        "backend": backend.get("name", "unknown"),
        "model": str(backend.get("model", "unknown")),
        "device": backend.get("device"),
        "dtype": {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}.get(backend.get("torch_dtype")),
        "batch": shapes.get("batch_size", 1),
        "prompt_tokens": shapes.get("sequence_length"),
        "new_tokens": generate.get("max_new_tokens"),
        "scenario": config.get("name", "unknown"),
    }


def _series(phase, values, about, tokens):
    made = about["new_tokens"] or 1
    each = {"prefill": about["prompt_tokens"] or 1, "decode": max(made - 1, 1), "e2e": made}[phase] * about[
        "batch"
    ]
    return Series(
        phase,
        tuple(values),
        (each,) * len(values),
        token_seconds=tuple(tokens) if phase == "decode" else (),
        **about,
    )


def undo(values, generations):
    """(how many repeats were taken out, [token seconds of each generation]) of a `per_token` list.

    The tool keeps one list of T × k event times after generation k and adds all its differences each time: N
    = T g (g + 1) / 2 - g values in all, of which the last T g - 1 are each interval once, gaps between
    generations among them. Where the list is not made so, nothing is changed: (0, [] or one entry per
    generation).
    """
    g, n = generations, len(values)
    steps, rest = divmod(2 * (n + g), g * (g + 1)) if g else (0, 1)
    once = values[n - (steps * g - 1) :] if steps > 1 else []
    if rest or g < 2 or steps < 2 or values[: steps - 1] != once[: steps - 1]:
        size, odd = divmod(n, g) if g else (0, 1)
        return 0, [values[i * size : (i + 1) * size] for i in range(g)] if size and not odd else []
    kept = [once[k * steps : (k + 1) * steps - 1] for k in range(g)]
    return n - g * (steps - 1), kept


def _defects(report, latencies, about, repeats, tokens):
    found = []
    if repeats:
        said, true = latencies["per_token"], np.concatenate(tokens)
        found.append(
            Defect(
                "duplicated tokens",
                "per_token",
                f"{len(said['values']):,} values, "
                f"{true.size:,} tokens; mean "
                f"{fmean(said['values']):.4g} s reported, {true.mean():.4g} s true",
            )
        )
    rate = (report.get("generate") or {}).get("throughput") or {}
    if rate.get("unit") == "samples/s" and "generate" in latencies:
        true = about["batch"] / fmean(latencies["generate"]["values"])
        if not 0.99 < rate["value"] / true < 1.01:
            found.append(
                Defect(
                    "throughput unit", "generate", f"{rate['value']:.4g} samples/s reported; {true:.4g} true"
                )
            )
    if "first_generate" in report:
        found.append(Defect("first is second", "first_generate", "a generation precedes it"))
    if "decode" in latencies and "per_token" not in latencies:
        found.append(Defect("decode by subtraction", "decode", "no token latencies were kept"))
    return found + [
        d for t, part in latencies.items() if t != "load_model" for d in tail(t, 0.99, len(part["values"]))
    ]


def _figures(report, latencies, about, tokens):
    true = {target: part["values"] for target, part in latencies.items()}
    if tokens and "per_token" in true:
        true["per_token"] = np.concatenate(tokens)
    for target, part in latencies.items():
        for key, of in (
            ("mean", np.mean),
            ("p50", np.median),
            ("p99", lambda v: np.percentile(v, 99)),
            ("stdev", np.std),
        ):
            if key in part:
                yield Figure(f"{target} {key}", part[key], float(of(true[target])), "s")
        yield Figure(f"{target} count", part.get("count", nan), len(true[target]), "")
    rates = {"generate": about["batch"], "prefill": about["batch"]}
    rates["decode"] = about["batch"] * max((about["new_tokens"] or 1) - 1, 1)
    for target, volume in rates.items():
        said = (report.get(target) or {}).get("throughput")
        if said and target in true:
            yield Figure(f"{target} throughput", said["value"], volume / fmean(true[target]), said["unit"])
