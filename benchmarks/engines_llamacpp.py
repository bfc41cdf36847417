"""The llama.cpp backend beside llama-bench, on the same file, thread count and lengths, in turns.

    python benchmarks/engines_llamacpp.py LLAMA_BENCH [PAIRS] [MODEL]

LLAMA_BENCH is the tool's binary, built from the tree that llama-cpp-python carries and linked with the
libraries of its wheel: both sides run one build. Each pair is three calls of the backend under the harness's
clock, in this process, and three repetitions of llama-bench in its own, in alternating order and seconds
apart. Phases: a prompt of 64; 32 tokens at depth 64. Ratios are of the pair's medians, above 1 where the
harness shows more time. llama-bench draws random tokens: it reads no logits and has no next id on the host.
"""

import json
import subprocess
import sys
from statistics import median

import pandas as pd

import llmresearch as lr
from llmresearch import models, timing
from llmresearch.backends import backend

PROMPT, NEW, CALLS = 64, 32, 3
FILES = {"fp32": "F32", "q4_k_m": "Q4_K_M"}
ASKED = {"prefill": (PROMPT, 0, 0), "decode": (0, NEW, PROMPT)}  # llama-bench's -p, -n, -d


def loaded(model, dtype):
    """(the backend with the model and a prompt, its cell)."""
    scenario = {"name": "s", "prompt_tokens": PROMPT, "new_tokens": NEW}
    asked = {"backends": ["llamacpp"], "dtypes": [dtype], "models": [model], "scenarios": [scenario]}
    cell = lr.plan(asked | {"warmup": 1, "repetitions": CALLS})[0]
    folder, engine = models.folder(model), backend("llamacpp")()
    if reason := engine.refuses(cell):
        sys.exit(reason)
    engine.load(cell, folder)
    engine.start(cell, [models.seeded_ids(models.check(model, folder).vocab, PROMPT, 42)])
    return engine, cell


def ours(engine, cell, phase):
    """(median seconds of a call, was the machine shared meanwhile?) under the harness's clock."""
    calls = [
        call for window in timing.measure(engine, cell, phase) for call in window if call.kind == "sample"
    ]
    return median(call.seconds for call in calls), any(call.contaminated for call in calls)


def theirs(binary, engine, phase):
    """Median seconds of llama-bench's own samples."""
    prompt, new, depth = ASKED[phase]
    asked = {"-m": engine.path, "-p": prompt, "-n": new, "-d": depth, "-r": CALLS, "-t": engine.model.threads}
    words = [str(word) for pair in asked.items() for word in pair]
    done = subprocess.run([binary, *words, "-o", "json"], capture_output=True, text=True, check=True)
    return median(json.loads(done.stdout)[0]["samples_ns"]) / 1e9


def pairs_of(binary, model, count):
    """A frame: seconds of both sides per pair, file and phase; each pair is shown as it comes."""
    engines, rows = {dtype: loaded(model, dtype) for dtype in FILES}, []
    for pair in range(count):
        for dtype, (engine, cell) in engines.items():
            for phase in ASKED:
                other = theirs(binary, engine, phase) if pair % 2 else None
                mine, shared = ours(engine, cell, phase)
                other = other or theirs(binary, engine, phase)
                rows.append(
                    {
                        "file": FILES[dtype],
                        "phase": phase,
                        "harness": mine,
                        "llama-bench": other,
                        "shared": shared,
                    }
                )
                print(rows[-1], file=sys.stderr, flush=True)
    return pd.DataFrame(rows)


def ratios(pairs):
    """A frame: medians in ms (a token, for decode), the ratio harness / llama-bench, its interval."""
    rows = []
    for (file, phase), found in pairs.groupby(["file", "phase"], sort=False):
        ratio = lr.median(found["harness"] / found["llama-bench"])
        per = 1e3 / (NEW if phase == "decode" else 1)
        shown = {f"{side} ms": found[side].median() * per for side in ("harness", "llama-bench")}
        interval = {"ratio": ratio.value, "low": ratio.low, "high": ratio.high, "pairs": len(found)}
        rows.append(
            {"file": file, "phase": phase} | shown | interval | {"shared": int(found["shared"].sum())}
        )
    return pd.DataFrame(rows)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    count, model = [*sys.argv[2:], *("15", "gemma3-270m")[len(sys.argv) - 2 :]]
    print(ratios(pairs_of(sys.argv[1], model, int(count))).round(3).to_string(index=False))
