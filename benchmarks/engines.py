"""Every engine beside the reference, and each beside its own native tool, on identical token ids.

    python benchmarks/engines.py speed  [MODEL] [SESSIONS]   time per token and ratio to hf, per engine and precision
    python benchmarks/engines.py native [MODEL] [PAIRS] [DEVICE] [ENGINE]  the harness over the engine's own tool, interleaved
    python benchmarks/engines.py oracle [MODEL]              top-1, logits and perplexity against hf fp32

Without an argument: all three on gemma3-270m. Speed is measured by the harness itself, each engine in its own
processes, sessions interleaved. An engine that is absent is a line with its reason. To add one: a line in
ENGINES, and one in NATIVE. An engine with an environment of its own is started by the interpreter that PYTHONS
names, found on the PATH. benchmarks/engines_llamacpp.py compares llama.cpp with its own tool, engines_vllm.py vLLM.
"""

import json
import math
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

import llmresearch as lr
from llmresearch import export, matrix, models
from llmresearch.backends import backend, trt_build
from llmresearch.models.artifacts import cache_folder
from llmresearch.perplexities import perplexity, windows
from llmresearch.texts import read_text
from llmresearch.timing import available_cores

PROMPT, NEW = 64, 32
CALLS, WARMUP = {"cpu": 5, "cuda": 50}, {"cpu": 1, "cuda": 20}  # a GPU that was idle takes many short calls to reach its clocks
ENGINES = [
    ("hf", "fp32"),
    ("ort", "fp32"),
    ("ort", "int8"),
    ("llamacpp", "fp32"),
    ("llamacpp", "q8_0"),
    ("llamacpp", "q4_k_m"),
]
WINDOW = 256  # tokens of a scored window
PYTHONS = {"trt": "trt-python"}


def params(model, engines, sessions, device="cpu"):
    """The parameters that measure `engines`, a list of (backend, dtype)."""
    by_name = {}
    for name, dtype in engines:
        by_name.setdefault(name, []).append(dtype)
    return {
        "study": "engines", "models": [model], "device": device, "phases": ["prefill", "decode"], "sessions": sessions,
        "backends": [{"name": name, "dtypes": dtypes} | interpreter(name) for name, dtypes in by_name.items()],
        "repetitions": CALLS[device], "warmup": WARMUP[device], "scenarios": [{"name": "one", "prompt_tokens": PROMPT, "new_tokens": NEW}],
        "timeout_s": 300,
    }  # fmt: skip


def interpreter(name):
    """{"python": …} of an engine that has an environment of its own, where its interpreter is on the PATH."""
    found = shutil.which(PYTHONS.get(name, ""))
    return {"python": found} if found else {}


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


def bare_ort(model, folder, ids, ran):
    """Medians of a bare I/O-bound loop over the same file, in a process of its own: {phase: seconds}."""
    path, device = made(cache_folder() / "onnx", export.MODEL, export.FACTS, ran["onnx_sha256"]), ran["device"]
    asked = {"threads": available_cores(), "device": device} | facts_of(path.with_name(export.FACTS))
    return bare("engines_bare_ort.py", sys.executable, path, asked, ids, device)


def bare_trt(model, folder, ids, ran):
    """Medians of a bare loop over the same engine, in a process of its own: {phase: seconds}."""
    path = made(cache_folder() / "engines", trt_build.PLAN, trt_build.FACTS, ran["engine_sha256"])
    onnx = made(cache_folder() / "onnx", export.MODEL, export.FACTS, ran["onnx_sha256"])
    return bare("engines_bare_trt.py", interpreter("trt").get("python", sys.executable), path,
                facts_of(onnx.with_name(export.FACTS)), ids, ran["device"])  # fmt: skip


def made(folder, file, facts, digest):
    """The artefact with this sha256 among the kept ones: what the harness ran, not what is like it."""
    return next(place.with_name(file) for place in folder.glob(f"*/{facts}") if facts_of(place)["sha256"] == digest)


def facts_of(path):
    """What was found when an artefact was made."""
    return json.loads(path.read_text())


def bare(script, python, path, asked, ids, device):
    """{phase: median seconds} of one of the bare loops beside this file."""
    before = WARMUP[device] + 1
    asked = asked | {"calls": before + CALLS[device], "new": NEW, "ids": [ids]}
    command = [python, str(Path(__file__).with_name(script)), str(path), json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{script}: {done.stderr}")
    found = json.loads(done.stdout.splitlines()[-1])
    return {phase: float(np.median(times[before:])) for phase, times in found.items()}


NATIVE = {("ort", "fp32"): ("a bare I/O-bound loop", bare_ort), ("ort", "fp16"): ("a bare I/O-bound loop", bare_ort),
          ("trt", "fp32"): ("a bare loop", bare_trt), ("trt", "fp16"): ("a bare loop", bare_trt)}  # fmt: skip


def native(model, pairs, device="cpu", only=""):
    """A frame: ratio of medians, harness over the engine's own tool, over interleaved pairs of fresh processes.

    `only`: an engine or an engine and its precision, as "trt fp16"; all of them without it.
    """
    folder = models.folder(model)
    ids = models.seeded_ids(models.check(model, folder).vocab, PROMPT, 42, 0)
    rows = []
    for engine, (tool, run) in NATIVE.items():
        if not " ".join(engine).startswith(only):
            continue
        first, ran = harness(model, engine, device)
        if not first:
            print(f"{' '.join(engine)}: {ran}")
            continue
        took = {"harness": [], "tool": []}
        for pair in range(pairs):
            for side in ("harness", "tool") if pair % 2 else ("tool", "harness"):
                took[side].append(run(model, folder, ids, ran) if side == "tool" else harness(model, engine, device)[0])
        for phase in ("prefill", "decode"):
            ours, theirs = (np.array([found[phase] for found in took[side]]) for side in ("harness", "tool"))
            ratio = lr.median(ours / theirs)
            rows.append({"engine": " ".join(engine), "tool": tool, "phase": phase, "tool_ms": np.median(theirs) * 1e3,
                         "harness_ms": np.median(ours) * 1e3, "ratio": ratio.value, "low": ratio.low, "high": ratio.high,
                         "pairs": pairs})  # fmt: skip
    return pd.DataFrame(rows)


def harness(model, engine, device):
    """({phase: median seconds}, evidence) of the whole harness for one engine in its own worker; ({}, why) without."""
    with tempfile.TemporaryDirectory() as out:
        asked = lr.plan(params(model, [engine], 1, device))
        frame = lr.read(lr.measure(asked, Path(out) / "raw.jsonl", progress=False))
    row = frame.iloc[0]
    if row["status"] != "ok":
        return {}, row["reason"]
    return lr.samples(frame).groupby("phase", observed=True)["seconds"].median().to_dict(), row["evidence"]


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


def main(which="all", model="gemma3-270m", count=None, device="cpu", only=""):
    start = time.time()
    if which in ("speed", "all"):
        print(f"{model}, {PROMPT} + {NEW} tokens, batch 1, {available_cores()} cores\n")
        print(speed(model, int(count or 6)).to_markdown(index=False, floatfmt=".3f"))
    if which in ("native", "all"):
        print("\nharness over native tool\n")
        print(native(model, int(count or 8), device, only).to_markdown(index=False, floatfmt=".3f"))
    if which in ("oracle", "all"):
        print("\nagainst hf fp32 on the same ids\n")
        print(oracle(model).to_markdown(index=False, floatfmt=".6f"))
    print(f"\n{time.time() - start:.0f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
