"""The vLLM backend beside `vllm bench latency`, on the same model, lengths and engine arguments, in turns.

    python benchmarks/engines_vllm.py PYTHON [PAIRS] [MODEL] [PROMPT] [NEW] [as-it-comes]

PYTHON is the interpreter of an environment that has vLLM. Each pair is one worker of the harness and one process of
vLLM's own tool, both fresh, in alternating order; each makes CALLS whole requests of one sequence after WARMUP, and
a side's figure is their median. The ratio is above 1 where the harness shows more time.

Both sides take the likeliest token and have the engine in the process that asks, as the backend has it; without an
NVIDIA GPU both get VLLM_CPU_KVCACHE_SPACE=1 (GiB), unless the environment says otherwise. The tool itself draws its
tokens (temperature 1) and has its engine in a process beside it: `as-it-comes` shows that too, without a ratio.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import pandas as pd

import llmresearch as lr
from llmresearch import models
from llmresearch.worker_process import environment

CALLS, WARMUP = 20, 5
ARGUMENTS = {"max_model_len": 512, "max_num_seqs": 16}  # of the engine, the same on both sides
HERE = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
# What `vllm bench latency` runs; the command itself wants a package of the name vllm: that for processors has another.
TOOL = """
import sys, vllm
from vllm.benchmarks.latency import add_cli_args, main
from vllm.utils.argparse_utils import FlexibleArgumentParser

if __name__ == "__main__":
    asked, loaded = vllm.SamplingParams, vllm.LLM  # the names of the package are filled when they are first asked for
    if sys.argv.pop(1) == "likeliest":
        vllm.SamplingParams = lambda **values: asked(**values | {"temperature": 0.0})
    parser = FlexibleArgumentParser()
    add_cli_args(parser)
    main(parser.parse_args())
"""


def plan(python, model, prompt, new):
    """The harness's cell: one request at a time, whole."""
    return lr.plan({"study": "vllm", "backends": [{"name": "vllm", "python": python} | ARGUMENTS], "models": [model],
                    "device": device(), "phases": ["e2e"], "repetitions": CALLS, "warmup": WARMUP, "timeout_s": 600,
                    "scenarios": [{"name": "one", "prompt_tokens": prompt, "new_tokens": new}]})  # fmt: skip


def device():
    return "cuda" if Path("/proc/driver/nvidia/version").exists() else "cpu"


def ours(cells):
    """(median seconds of a call, was the machine shared meanwhile?) of the whole harness, in a worker of its own."""
    with tempfile.TemporaryDirectory() as out:
        frame = lr.read(lr.measure(cells, Path(out) / "raw.jsonl", progress=False))
    if frame["status"].iloc[0] != "ok":
        sys.exit(frame["reason"].iloc[0])
    calls = lr.samples(frame)
    return calls["seconds"].median(), bool(calls["contaminated"].notna().any())


def theirs(cell, folder, drawn, settings):
    """Median seconds of the tool's own samples; `drawn`: likeliest or as-it-comes."""
    asked = {"model": folder, "dtype": "float32", "input-len": cell.prompt_tokens, "output-len": cell.new_tokens,
             "batch-size": 1, "num-iters": CALLS, "num-iters-warmup": WARMUP + 1, "seed": cell.seed}  # fmt: skip
    asked |= {name.replace("_", "-"): value for name, value in ARGUMENTS.items()}
    words = [word for name, value in asked.items() for word in (f"--{name}", str(value))]
    with tempfile.TemporaryDirectory() as out:
        found, tool = Path(out) / "latency.json", Path(out) / "latency.py"
        tool.write_text(TOOL)
        words += ["--skip-tokenizer-init", "--disable-detokenize", "--output-json", str(found)]
        done = subprocess.run([cell.python, str(tool), drawn, *words], capture_output=True, text=True,
                              env=environment(cell) | settings)  # fmt: skip
        if done.returncode:
            sys.exit(f"vllm bench latency: {done.stderr[-2000:]}")
        return median(json.loads(found.read_text())["latencies"])


def pairs_of(python, count, model, prompt, new, also):
    """A frame: seconds of both sides per pair; each pair is shown as it comes."""
    folder, cells, rows = models.folder(model), plan(python, model, prompt, new), []
    for pair in range(count):
        other = theirs(cells[0], folder, "likeliest", HERE) if pair % 2 else None
        mine, shared = ours(cells)
        other = other or theirs(cells[0], folder, "likeliest", HERE)
        row = {"harness": mine, "tool": other, "shared": shared}
        rows.append(row | ({also: theirs(cells[0], folder, also, {})} if also else {}))
        print(rows[-1], file=sys.stderr, flush=True)
    return pd.DataFrame(rows)


def ratio(pairs, also):
    """A frame of one row: medians in ms, the ratio harness / tool of the pairs, its interval, pairs that were disturbed."""
    found = lr.median(pairs["harness"] / pairs["tool"])
    sides = ["harness", "tool", *([also] if also else [])]
    return pd.DataFrame([{f"{side}_ms": pairs[side].median() * 1e3 for side in sides} | {
        "ratio": found.value, "low": found.low, "high": found.high, "pairs": len(pairs), "shared": int(pairs["shared"].sum())}])  # fmt: skip


def main(python, count="8", model="gpt2-25m", prompt="64", new="32", also=None):
    if device() == "cpu":
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    print(f"{model}, {prompt} + {new} tokens, one request, {ARGUMENTS}, {device()}\n")
    pairs = pairs_of(python, int(count), model, int(prompt), int(new), also)
    print(ratio(pairs, also).to_markdown(index=False, floatfmt=".3f"))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
