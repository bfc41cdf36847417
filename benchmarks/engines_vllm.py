"""The vLLM backend beside `vllm bench latency`, on the same model, lengths and engine arguments, turn by turn.

    python benchmarks/engines_vllm.py PYTHON [TURNS] [MODEL] [PROMPT] [NEW]

PYTHON is the interpreter of an environment that has vLLM. Two processes stay for the whole run, one with the harness's
backend under the harness's clock and one with vLLM's own tool; they take turns, in alternating order, while the other
one waits. A turn is a call that settles the machine and CALLS calls of one sequence; a side's figure of it is their
median. The ratio is above 1 where the harness shows more time.

Both sides take the likeliest token and have the engine in the process that asks, as the backend has it; without an
NVIDIA GPU both get VLLM_CPU_KVCACHE_SPACE=1 (GiB), unless the environment says otherwise. The tool's command itself
wants a package of the name vllm, which that for processors has not; so its module is started, which is all of it.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

import llmresearch as lr
from llmresearch import models
from llmresearch.matrix import as_json
from llmresearch.worker_process import environment

CALLS, WARMUP, PAUSE = 4, 2, 0.3  # calls and turns before the first that counts; seconds in which the other's threads fall asleep
ARGUMENTS = {"max_model_len": 512, "max_num_seqs": 16}  # of the engine, the same on both sides
HERE = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
READY, GO = "turn?", "go"
THEIRS = """
import sys, vllm
from vllm.benchmarks import latency
from vllm.utils.argparse_utils import FlexibleArgumentParser

def in_turns(calls, desc):  # stands for the tool's progress bar, outside its clock
    for index in calls:
        if desc.startswith("Bench") and index % int(sys.argv[1]) == 0:
            print("\\nturn?", flush=True)
            sys.stdin.readline()
        yield index

if __name__ == "__main__":
    asked, vllm.LLM = vllm.SamplingParams, vllm.LLM  # the names of the package are filled when they are first asked for
    vllm.SamplingParams = lambda **values: asked(**values | {"temperature": 0.0})
    latency.tqdm = in_turns
    parser = FlexibleArgumentParser()
    latency.add_cli_args(parser)
    latency.main(parser.parse_args(sys.argv[2:]))
    print("\\nturn?", flush=True)
"""
OURS = """
import json, sys
from pathlib import Path
from llmresearch import timing
from llmresearch.backends import backend
from llmresearch.matrix import from_json

if __name__ == "__main__":
    work = json.loads(sys.argv[1])
    cell, found = from_json(work["cell"]), []
    engine = backend(cell.backend)()
    engine.load(cell, Path(work["folder"]))
    engine.start(cell, work["ids"])
    for _ in range(work["turns"]):
        print("\\nturn?", flush=True)
        sys.stdin.readline()
        found.append([call.seconds for window in timing.measure(engine, cell, "e2e") for call in window])
    Path(work["out"]).write_text(json.dumps(found))
    print("\\nturn?", flush=True)
"""


def plan(python, model, prompt, new):
    """The harness's cell: one request at a time, whole; its first call of a turn is no sample."""
    return lr.plan({"study": "vllm", "backends": [{"name": "vllm", "python": python} | ARGUMENTS], "models": [model],
                    "device": device(), "phases": ["e2e"], "repetitions": CALLS, "warmup": 0, "timeout_s": 600,
                    "scenarios": [{"name": "one", "prompt_tokens": prompt, "new_tokens": new}]})[0]  # fmt: skip


def device():
    return "cuda" if Path("/proc/driver/nvidia/version").exists() else "cpu"


class Player:
    """A process that waits for its turns."""

    def __init__(self, cell, script, words, errors):
        self.errors = errors
        self.process = subprocess.Popen([cell.python, str(script), *words], env=environment(cell) | HERE, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)  # fmt: skip
        self.wait()

    def wait(self):
        """Until it asks for its next turn, or has had its last."""
        for line in self.process.stdout:
            if line.strip() == READY:
                return
        self.errors.seek(0)
        sys.exit(f"{self.process.args[1]}: {self.errors.read()[-2000:]}")

    def turn(self):
        print(GO, file=self.process.stdin, flush=True)
        self.wait()
        time.sleep(PAUSE)


def players(cell, folder, turns, place):
    """{side: Player}, each with its engine loaded, one after the other."""
    for name, text in {"ours.py": OURS, "theirs.py": THEIRS}.items():
        (place / name).write_text(text)
    known = models.check(cell.model, folder)
    work = {"cell": as_json(cell), "folder": str(folder), "turns": turns, "out": str(place / "ours.json"),
            "ids": [models.seeded_ids(known.vocab, cell.prompt_tokens, cell.seed, 0)]}  # fmt: skip
    asked = {"model": folder, "dtype": "float32", "input-len": cell.prompt_tokens, "output-len": cell.new_tokens,
             "batch-size": 1, "num-iters": turns * (CALLS + 1), "num-iters-warmup": 1, "seed": cell.seed}  # fmt: skip
    asked |= {name.replace("_", "-"): value for name, value in ARGUMENTS.items()}
    words = [word for name, value in asked.items() for word in (f"--{name}", str(value))]
    words += ["--skip-tokenizer-init", "--disable-log-stats", "--disable-detokenize", "--output-json", str(place / "theirs.json")]
    return {"harness": Player(cell, place / "ours.py", [json.dumps(work)], (place / "ours.log").open("w+")),
            "tool": Player(cell, place / "theirs.py", [str(CALLS + 1), *words], (place / "theirs.log").open("w+"))}  # fmt: skip


def turns_of(cell, folder, turns):
    """A frame: median seconds of both sides per turn."""
    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        sides = players(cell, folder, WARMUP + turns, place)
        for turn in range(WARMUP + turns):
            for side in ("harness", "tool") if turn % 2 else ("tool", "harness"):
                sides[side].turn()
        for side in sides.values():
            side.process.wait()
        ours = np.array(json.loads((place / "ours.json").read_text()))
        theirs = np.array(json.loads((place / "theirs.json").read_text())["latencies"]).reshape(ours.shape)
    return pd.DataFrame({side: np.median(found[WARMUP:, 1:], axis=1) for side, found in {"harness": ours, "tool": theirs}.items()})


def ratio(found):
    """A frame of one row: medians in ms, the ratio harness / tool of the turns, and its interval."""
    each = lr.median(found["harness"] / found["tool"])
    return pd.DataFrame([{f"{side}_ms": found[side].median() * 1e3 for side in found} | {
        "ratio": each.value, "low": each.low, "high": each.high, "turns": len(found)}])  # fmt: skip


def main(python, turns="40", model="gpt2-25m", prompt="64", new="32"):
    if device() == "cpu":
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    print(f"{model}, {prompt} + {new} tokens, one request, {ARGUMENTS}, {device()}\n")
    found = turns_of(plan(python, model, int(prompt), int(new)), models.folder(model), int(turns))
    print(ratio(found).to_markdown(index=False, floatfmt=".3f"))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
