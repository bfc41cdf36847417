"""The vLLM backend beside `vllm bench latency`, on the same model, lengths and engine arguments, in turns.

    python benchmarks/engines_vllm.py PYTHON [PAIRS] [MODEL] [PROMPT] [NEW]

PYTHON is the interpreter of an environment that has vLLM. Each pair is one worker of the harness and one process of
vLLM's own tool, both fresh, in alternating order; each makes CALLS requests of one sequence after WARMUP. Without an
NVIDIA GPU both get VLLM_CPU_KVCACHE_SPACE=1 (GiB), unless the environment says otherwise. Phases: a whole request
(`e2e`), and a request for one token (`prefill`). Ratios are of the pair's medians, above 1 where the harness shows more
time. `in turn` is what is compared: vLLM's tool with its engine in its own process, as the backend has it. `apart` is
the tool as it comes, with the engine in a process beside it: shown, not compared.
The tool samples at temperature 1 and the backend takes the likeliest token; both end with the ids on the host.
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
PHASES = ("e2e", "prefill")
ARGUMENTS = {"max_model_len": 512, "max_num_seqs": 16}  # of the engine, the same on both sides
PROCESS = "VLLM_ENABLE_V1_MULTIPROCESSING"
# What `vllm bench latency` runs; the command itself wants a package of the name vllm, which that for processors has not.
TOOL = ("from vllm.benchmarks.latency import add_cli_args, main\n"
        "from vllm.utils.argparse_utils import FlexibleArgumentParser\n"
        "if __name__ == '__main__':\n"
        "    parser = FlexibleArgumentParser()\n"
        "    add_cli_args(parser)\n"
        "    main(parser.parse_args())\n")  # fmt: skip


def plan(python, model, prompt, new, phase):
    """The harness's cell: one request at a time."""
    asked = {"study": "vllm", "backends": [{"name": "vllm", "python": python} | ARGUMENTS], "models": [model],
             "device": device(), "phases": [phase], "repetitions": CALLS, "warmup": WARMUP, "timeout_s": 600,
             "scenarios": [{"name": "one", "prompt_tokens": prompt, "new_tokens": new}]}  # fmt: skip
    return lr.plan(asked)


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


def theirs(cell, folder, apart):
    """Median seconds of the tool's own samples; `apart`: with its engine in a process of its own, its default."""
    new = cell.new_tokens if cell.phases[0] == "e2e" else 1
    asked = {"model": folder, "dtype": "float32", "input-len": cell.prompt_tokens, "output-len": new, "batch-size": 1,
             "num-iters": CALLS, "num-iters-warmup": WARMUP + 1, "seed": cell.seed}  # fmt: skip
    asked |= {name.replace("_", "-"): value for name, value in ARGUMENTS.items()}
    words = [word for name, value in asked.items() for word in (f"--{name}", str(value))]
    with tempfile.TemporaryDirectory() as out:
        found, tool = Path(out) / "latency.json", Path(out) / "latency.py"
        tool.write_text(TOOL)
        words += ["--skip-tokenizer-init", "--disable-detokenize", "--output-json", str(found)]
        done = subprocess.run([cell.python, str(tool), *words], capture_output=True, text=True,
                              env=environment(cell) | {PROCESS: str(int(apart))})  # fmt: skip
        if done.returncode:
            sys.exit(f"vllm bench latency: {done.stderr[-2000:]}")
        return median(json.loads(found.read_text())["latencies"])


def pairs_of(python, count, model, prompt, new):
    """A frame: seconds of all sides per pair and phase; each pair is shown as it comes."""
    folder, rows = models.folder(model), []
    for pair in range(count):
        for phase in PHASES:
            cells = plan(python, model, prompt, new, phase)
            took = {}
            for side in ("harness", "tool") if pair % 2 else ("tool", "harness"):
                took[side] = ours(cells) if side == "harness" else theirs(cells[0], folder, apart=False)
            mine, shared = took["harness"]
            rows.append({"phase": phase, "harness": mine, "tool": took["tool"], "apart": theirs(cells[0], folder, apart=True),
                         "shared": shared})  # fmt: skip
            print(rows[-1], file=sys.stderr, flush=True)
    return pd.DataFrame(rows)


def ratios(pairs):
    """A frame: medians in ms, the ratio harness / vllm bench latency, its interval, and the tool as it comes."""
    rows = []
    for phase, found in pairs.groupby("phase", sort=False):
        ratio = lr.median(found["harness"] / found["tool"])
        shown = {f"{side}_ms": found[side].median() * 1e3 for side in ("harness", "tool")}
        rows.append({"phase": phase} | shown | {"ratio": ratio.value, "low": ratio.low, "high": ratio.high, "pairs": len(found),
                    "apart_ms": found["apart"].median() * 1e3, "shared": int(found["shared"].sum())})  # fmt: skip
    return pd.DataFrame(rows)


def main(python, count="8", model="gpt2-25m", prompt="64", new="32"):
    if device() == "cpu":
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    print(f"{model}, {prompt} + {new} tokens, batch 1, {ARGUMENTS}, {device()}\n")
    print(ratios(pairs_of(python, int(count), model, int(prompt), int(new))).to_markdown(index=False, floatfmt=".3f"))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
