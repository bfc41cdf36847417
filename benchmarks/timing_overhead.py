"""What measuring adds to what is measured: to a call, and to a model.

    python benchmarks/timing_overhead.py calls     one call of known length, beside a bare loop, torch and pyperf
    python benchmarks/timing_overhead.py models    the whole harness beside a bare loop, in interleaved fresh processes

Without an argument it does both. The first table's figure is what a tool reports beyond the true length of a spinning
call, per call, as a median; the second one's is the ratio of medians, harness over bare loop, with the interval of its
pairs of processes.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

import llmresearch as lr
from llmresearch import models
from llmresearch.selfcheck.timer import bare, ours, spinner
from llmresearch.stats import median

LENGTHS_NS = {"0": 0, "1 µs": 1_000, "1 ms": 1_000_000, "10 ms": 10_000_000}
PROMPT, NEW, WARMUP = 64, 16, 2
CALLS = {"gpt2-5m": 40, "gemma3-270m": 5}  # samples per process


TOOLS = {"bare loop": bare, "llmresearch": ours, "torch Timer(number=1)": lambda call: _torch(call)}


def calls(count=400):
    """A frame: nanoseconds added per call, by tool and length; all tools but pyperf take turns in one process."""
    rows = []
    for name, length in LENGTHS_NS.items():
        n = min(count, max(100, 2_000_000_000 // max(length, 1)))
        rows.append({"length": name, **_added_in_turns(length, n), "pyperf": _pyperf(length)})
    return pd.DataFrame(rows)


def _added_in_turns(length, count):
    """{tool: median nanoseconds reported beyond the true length}."""
    spin, lengths = spinner(length)
    beyond = {tool: [] for tool in TOOLS}
    for _ in range(count):
        for tool, measure in TOOLS.items():
            reported = measure(spin)
            beyond[tool].append(reported - lengths[-1])
    return {tool: float(np.median(values)) for tool, values in beyond.items()}


def _torch(call):
    """torch.utils.benchmark on one call; its own warm-up call comes first."""
    from torch.utils.benchmark import Timer

    return Timer("call()", globals={"call": call}).timeit(number=1).mean * 1e9


PYPERF = """
import pyperf, time
clock, lengths = time.perf_counter_ns, []
def spin():
    start = now = clock()
    while now - start < {length}:
        now = clock()
    lengths.append(now - start)
import atexit, statistics, sys
runner = pyperf.Runner(processes=1, values=20, warmups=2, loops={loops})
found = runner.bench_func("spin", spin)
if found and runner.args.worker:
    values = [value * 1e9 for value in found.get_values()]
    print("ADDED", statistics.median(values) - statistics.median(lengths), file=sys.stderr)
"""


def _pyperf(length):
    """pyperf's time per call less the true one; it loops, so what it adds is spread over many calls."""
    loops = max(1, min(1000, 100_000_000 // max(length, 1000)))
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "spin.py"
        script.write_text(PYPERF.format(length=length, loops=loops))
        done = subprocess.run([sys.executable, script, "--worker", "-w2", "-n20", f"-l{loops}"], capture_output=True, text=True)
    said = [line.split()[1] for line in done.stderr.splitlines() if line.startswith("ADDED")]
    return float(said[0]) if said else float("nan")


BARE = """
import gc, json, sys, time, torch, transformers
torch.set_num_threads({threads})
transformers.utils.logging.disable_progress_bar()
model = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
ids = torch.tensor([{ids}])
clock, found = time.perf_counter, {{"prefill": [], "decode": []}}
with torch.inference_mode():
    gc.collect(); gc.disable()  # the harness's policy, or the two would differ by it
    for _ in range({calls}):
        out = None
        start = clock()
        out = model(input_ids=ids, use_cache=True, logits_to_keep=1)
        token = out.logits[:, -1].argmax(-1); token.tolist()
        found["prefill"].append(clock() - start)
    for _ in range({calls}):
        out = model(input_ids=ids, use_cache=True, logits_to_keep=1)
        token = out.logits[:, -1].argmax(-1); token.tolist()
        start = clock()
        for _ in range({new}):
            out = model(input_ids=token[:, None], past_key_values=out.past_key_values, use_cache=True, logits_to_keep=1)
            token = out.logits[:, -1].argmax(-1); token.tolist()
        found["decode"].append(clock() - start)
print(json.dumps(found))
"""


def whole_harness(names=tuple(CALLS), pairs=6):
    """A frame: ratio of medians, harness over bare loop, per model and phase, over interleaved pairs of processes."""
    rows = []
    for name in names:
        folder = models.folder(name)
        ids = models.seeded_ids(models.check(name, folder).vocab, PROMPT, 42, 0)
        found = {"prefill": [], "decode": []}
        for pair in range(pairs):
            order = (_harness, _bare_process) if pair % 2 else (_bare_process, _harness)
            took = {run: run(name, folder, ids) for run in order}
            for phase in found:
                found[phase].append((took[_harness][phase], took[_bare_process][phase]))
        for phase, both in found.items():
            harness, loop = np.array(both).T
            ratio = median(harness / loop)
            rows.append({"model": name, "phase": phase, "bare_ms": np.median(loop) * 1e3, "harness_ms": np.median(harness) * 1e3,
                         "ratio": ratio.value, "low": ratio.low, "high": ratio.high, "pairs": pairs})  # fmt: skip
    return pd.DataFrame(rows)


def _bare_process(name, folder, ids):
    """Medians of a bare loop in its own process."""
    from llmresearch.timing import available_cores

    script = BARE.format(threads=available_cores(), ids=ids, calls=WARMUP + 1 + CALLS[name], new=NEW)
    done = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return {phase: float(np.median(times[WARMUP + 1 :])) for phase, times in found.items()}


def _harness(name, folder, ids):
    """Medians of the whole harness: worker process, telemetry and ledger on."""
    scenario = {"name": "one", "prompt_tokens": PROMPT, "new_tokens": NEW}
    params = {"backends": ["hf"], "models": [name], "scenarios": [scenario], "phases": ["prefill", "decode"],
              "repetitions": CALLS[name], "warmup": WARMUP}  # fmt: skip
    with tempfile.TemporaryDirectory() as out:
        frame = lr.samples(lr.read(lr.measure(lr.plan(params), Path(out) / "raw.jsonl", progress=False)))
    return frame.groupby("phase", observed=True)["seconds"].median().to_dict()


def main(which):
    start = time.time()
    if which in ("calls", "both"):
        print("nanoseconds added to a call of known length (median)\n")
        print(calls().to_markdown(index=False, floatfmt=".0f"))
    if which in ("models", "both"):
        print(f"\nharness over bare loop, hf fp32, {PROMPT} + {NEW} tokens\n")
        print(whole_harness().to_markdown(index=False, floatfmt=".3f"))
    print(f"\n{time.time() - start:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "both")
