"""llama-bench -o json: nanoseconds of every repetition, and a standard deviation that may have wrapped."""

from math import isqrt
from statistics import fmean, stdev

from .imported import Defect, Figure, Imported, Series

TOOL = "llama-bench"
WRAP = 2**64


def matches(data):
    """Is this a list of llama-bench's tests?"""
    return (
        isinstance(data, list)
        and bool(data)
        and isinstance(data[0], dict)
        and {"n_prompt", "n_gen", "avg_ns"} <= set(data[0])
    )


def read(tests, source):
    """Imported: one series per test; `pp` is prefill, `tg` decode, both together e2e."""
    series, figures, defects = [], [], []
    for test in tests:
        name, samples = _name(test), [int(ns) for ns in test.get("samples_ns") or ()]
        if not samples:
            defects.append(Defect("no samples", name, "samples_ns is missing: use -o json"))
            continue
        tokens = test["n_prompt"] + test["n_gen"]
        series.append(_series(test, name, samples, tokens))
        figures += _figures(test, name, samples, tokens)
        defects += _overflow(test, name, samples) + _rates(test, name, samples, tokens)
    commit = f"{tests[0].get('build_commit')} (build {tests[0].get('build_number')})"
    return Imported(TOOL, commit, source, tuple(series), tuple(figures), tuple(defects))


def _name(test):
    parts = [
        f"{kind}{test[key]}"
        for kind, key in (("pp", "n_prompt"), ("tg", "n_gen"), ("d", "n_depth"))
        if test.get(key)
    ]
    return "+".join(parts) + f", {test.get('model_type', 'unknown')}"


def _series(test, name, samples, tokens):
    phase = "e2e" if test["n_prompt"] and test["n_gen"] else "prefill" if test["n_prompt"] else "decode"
    return Series(
        phase,
        tuple(ns / 1e9 for ns in samples),
        (tokens,) * len(samples),
        "llama.cpp",
        model=test.get("model_type", "unknown"),
        scenario=name.split(",")[0],
        device="cuda" if test.get("n_gpu_layers") and "CUDA" in str(test.get("backends")) else "cpu",
        prompt_tokens=test["n_prompt"] or None,
        new_tokens=test["n_gen"] or None,
    )


def _figures(test, name, samples, tokens):
    rates = [tokens / ns * 1e9 for ns in samples]
    found = {
        "avg_ns": (fmean(samples) / 1e9, 1e-9, "s"),
        "stddev_ns": (_sd(samples) / 1e9, 1e-9, "s"),
        "avg_ts": (fmean(rates), 1, "tokens/s"),
        "stddev_ts": (_sd(rates), 1, "tokens/s"),
    }
    rows = [
        Figure(f"{key}, {name}", test[key] * unit, ours, word)
        for key, (ours, unit, word) in found.items()
        if key in test
    ]
    return rows


def _sd(values):
    return stdev(values) if len(values) > 1 else 0.0


def wrapped(samples):
    """The standard deviation in whole nanoseconds as llama-bench computes it: integers modulo 2^64."""
    n = len(samples)
    if n < 2:
        return 0
    mean = sum(samples) % WRAP // n
    squares = sum(ns * ns for ns in samples) % WRAP
    return isqrt((squares // (n - 1) - mean * mean % WRAP * n % WRAP // (n - 1)) % WRAP)


def _overflow(test, name, samples):
    """A standard deviation that is off by more than a hundredth; whole numbers alone are off by less."""
    said, true = test.get("stddev_ns"), _sd(samples)
    if said is None or abs(said - true) <= 0.01 * true + 1e4:
        return []
    same = ", which arithmetic modulo 2^64 gives too" if abs(wrapped(samples) - said) <= 1e-6 * said else ""
    return [Defect("uint64 stddev", name, f"{said:,} ns reported{same}; {true:,.0f} ns from the samples")]


def _rates(test, name, samples, tokens):
    said, true = test.get("avg_ts"), tokens * len(samples) / sum(samples) * 1e9
    if said is None or abs(said / true - 1) <= 0.005:
        return []
    return [Defect("mean of rates", name, f"{said:.4g} tokens/s reported; {true:.4g} over the total time")]
