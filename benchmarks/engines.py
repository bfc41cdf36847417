"""Every engine beside the reference, and each beside its own native tool, on identical token ids.

    python benchmarks/engines.py speed  [MODEL] [SESSIONS]   time per token and ratio to hf, per engine and precision
    python benchmarks/engines.py native [MODEL] [PAIRS]      the harness over the engine's own tool, interleaved
    python benchmarks/engines.py oracle [MODEL]              top-1, logits and perplexity against hf fp32

Without an argument: all three on gemma3-270m. Speed is measured by the harness itself, each engine in its own
processes, sessions interleaved. An engine that is absent is a line with its reason. To add one: a line in
ENGINES, and one in NATIVE.
"""

import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

import llmresearch as lr
from llmresearch import matrix, models
from llmresearch.backends import backend
from llmresearch.perplexities import perplexity, windows
from llmresearch.texts import read_text
from llmresearch.timing import available_cores

PROMPT, NEW, CALLS, WARMUP = 64, 32, 5, 1
ENGINES = [
    ("hf", "fp32"),
    ("ort", "fp32"),
    ("ort", "int8"),
    ("llamacpp", "fp32"),
    ("llamacpp", "q8_0"),
    ("llamacpp", "q4_k_m"),
]
WINDOW = 256  # tokens of a scored window


def params(model, engines, sessions, device="cpu"):
    """The parameters that measure `engines`, a list of (backend, dtype)."""
    by_name = {}
    for name, dtype in engines:
        by_name.setdefault(name, []).append(dtype)
    return {
        "study": "engines", "models": [model], "device": device, "phases": ["prefill", "decode"], "sessions": sessions,
        "backends": [{"name": name, "dtypes": dtypes} for name, dtypes in by_name.items()], "repetitions": CALLS,
        "warmup": WARMUP, "scenarios": [{"name": "one", "prompt_tokens": PROMPT, "new_tokens": NEW}],
    }  # fmt: skip


def speed(model, sessions, raw=None, device="cpu", engines=ENGINES):
    """A frame: milliseconds per forward (prefill) or per token (decode), and how many times faster than hf fp32."""
    with tempfile.TemporaryDirectory() as out:
        frame = lr.read(
            lr.measure(lr.plan(params(model, engines, sessions, device)), raw or Path(out) / "raw.jsonl")
        )
    for (name, dtype), reason in (
        frame[frame["status"] != "ok"].groupby(["backend", "dtype"], observed=True)["reason"].first().items()
    ):
        print(f"{name} {dtype}: {reason}")
    good = lr.samples(frame)
    good = good.assign(ms=good["seconds"] * 1e3 / np.where(good["phase"] == "decode", NEW, 1))
    rows = []
    for phase, part in good.groupby("phase", observed=True):
        arms = {key: cell for key, cell in part.groupby(["backend", "dtype"], observed=True)}
        base = arms[("hf", "fp32")]
        for (name, dtype), cell in arms.items():
            ratio = lr.median_ratio(base["ms"], cell["ms"], base["session"], cell["session"])
            rows.append({"phase": phase, "engine": name, "dtype": dtype, "median_ms": cell["ms"].median(),
                         "best_ms": cell["ms"].min(), "times_faster": ratio.value, "low": ratio.low, "high": ratio.high,
                         "same_ids": same_ids(cell, base), "sessions": sessions})  # fmt: skip
    return pd.DataFrame(rows).sort_values(["phase", "median_ms"])


def same_ids(cell, base):
    """Do all records of a cell hold the ids of the reference?"""
    return bool((cell["output_ids"].map(json.dumps) == json.dumps(base["output_ids"].iloc[0])).all())


def bare_ort(model, folder, ids):
    """Medians of a bare I/O-bound loop over the same file, in a process of its own: {phase: seconds}."""
    from llmresearch import export

    path = export.artifact(folder)
    asked = {"threads": available_cores(), "calls": WARMUP + 1 + CALLS, "new": NEW, "ids": [ids]} | export.facts(path)
    command = [sys.executable, str(Path(__file__).with_name("engines_bare_ort.py")), str(path), json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return {phase: float(np.median(times[WARMUP + 1 :])) for phase, times in found.items()}


NATIVE = {("ort", "fp32"): ("a bare I/O-bound loop", bare_ort)}


def native(model, pairs):
    """A frame: ratio of medians, harness over the engine's own tool, over interleaved pairs of fresh processes."""
    folder = models.folder(model)
    ids = models.seeded_ids(models.check(model, folder).vocab, PROMPT, 42, 0)
    rows = []
    for engine, (tool, run) in NATIVE.items():
        took = {"harness": [], "tool": []}
        for pair in range(pairs):
            for side in ("harness", "tool") if pair % 2 else ("tool", "harness"):
                took[side].append(run(model, folder, ids) if side == "tool" else harness(model, engine))
        for phase in ("prefill", "decode"):
            ours, theirs = (np.array([found[phase] for found in took[side]]) for side in ("harness", "tool"))
            ratio = lr.median(ours / theirs)
            rows.append({"engine": " ".join(engine), "tool": tool, "phase": phase, "tool_ms": np.median(theirs) * 1e3,
                         "harness_ms": np.median(ours) * 1e3, "ratio": ratio.value, "low": ratio.low, "high": ratio.high,
                         "pairs": pairs})  # fmt: skip
    return pd.DataFrame(rows)


def harness(model, engine):
    """Medians of the whole harness for one engine, in its own worker: {phase: seconds}."""
    with tempfile.TemporaryDirectory() as out:
        asked = lr.plan(params(model, [engine], 1))
        frame = lr.samples(lr.read(lr.measure(asked, Path(out) / "raw.jsonl", progress=False)))
    return frame.groupby("phase", observed=True)["seconds"].median().to_dict()


def oracle(model, engines=ENGINES):
    """A frame: what each engine makes of the same forced, varied tokens and, for a trained model, of the same text."""
    folder = models.folder(model)
    known = models.check(model, folder)
    forced = models.seeded_ids(known.vocab, 16 + 256, 42, 1_000_000)
    text = models.prompt_ids(folder, read_text("evaluation")) if known.tokenizer_sha256 else None
    rows, base = [], None
    for name, dtype in engines:
        cell = matrix.plan(params(model, [(name, dtype)], 1))[0]
        engine = backend(name)()
        reason = engine.refuses(cell)
        if reason:
            print(f"{name} {dtype}: {reason}")
            continue
        engine.load(cell, folder)
        engine.start(cell, [forced[:PROMPT]])
        found = engine.forced(forced, 16) | {"perplexity": scored(engine, text)}
        engine.close()
        base = base or found
        rows.append({"engine": name, "dtype": dtype, "forced": len(found["top1"]),
                     "top1_agreement": np.mean(np.equal(found["top1"], base["top1"])),
                     "most_nll_difference": np.abs(np.subtract(found["nll"], base["nll"])).max(),
                     "perplexity": found["perplexity"], "change": found["perplexity"] / base["perplexity"] - 1})  # fmt: skip
    return pd.DataFrame(rows)


def scored(engine, text):
    """Perplexity of the text in strided windows; nan where the model has no tokeniser."""
    if text is None:
        return math.nan
    parts = [engine.score(text[w.start : w.end], w.first) for w in windows(len(text), WINDOW)]
    return perplexity(sum(nll for nll, _ in parts), sum(tokens for _, tokens in parts))


def main(which="all", model="gemma3-270m", count=None):
    start = time.time()
    if which in ("speed", "all"):
        print(f"{model}, {PROMPT} + {NEW} tokens, batch 1, {available_cores()} cores\n")
        print(speed(model, int(count or 6)).to_markdown(index=False, floatfmt=".3f"))
    if which in ("native", "all"):
        print("\nharness over native tool\n")
        print(native(model, int(count or 8)).to_markdown(index=False, floatfmt=".3f"))
    if which in ("oracle", "all"):
        print("\nagainst hf fp32 on the same ids\n")
        print(oracle(model).to_markdown(index=False, floatfmt=".6f"))
    print(f"\n{time.time() - start:.0f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
