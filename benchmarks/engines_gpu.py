"""The engines of one GPU beside each other, and what a decode step of the fastest is made of.

    python benchmarks/engines_gpu.py speed RAW              a table from a raw file of benchmarks/engines_gpu.yaml
    python benchmarks/engines_gpu.py agreement [MODEL]      top-1 with hf fp32 on 256 forced, varied tokens
    python benchmarks/engines_gpu.py parts [MODEL] [DTYPE]  what a step and a prefill of `fused` are made of
    python benchmarks/engines_gpu.py blocks [MODEL] [DTYPE] a step with other sizes of its programs

The raw file comes from `llmresearch measure benchmarks/engines_gpu.yaml --raw RAW`: the harness measures, each
engine in its own processes. All times are in microseconds unless the table says otherwise.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from llmresearch import matrix, models, roofline, records
from llmresearch.backends import backend, fused_decoder

HERE = Path(__file__).resolve().parent
PARAMS = HERE.parent / "benchmarks" / "engines_gpu.yaml"
FORCED_PROMPT, FORCED = 16, 256
REPLAYS, ROUNDS = 200, 15
SIZES = {"qkv": (4096, 8192, 16384), "attend": (4096, 8192, 16384), "up": (4096, 8192, 16384),
         "down": (4096, 8192, 16384), "head": (8192, 16384, 32768)}  # fmt: skip
WARPS = (2, 4, 8)


def speed(raw):
    """A frame: milliseconds per prefill or decoded token, times faster than hf fp16, share of the machine's
    own limit.

    The limit is what all weights take at the speed of a copy that the run itself measured (`roofline:
    true`); nan where it did not. `device_ms` is by device events, for engines that have them.
    """
    import llmresearch as lr
    from llmresearch.plausibility import bounds

    frame = lr.read(raw)
    for row in frame[frame["status"] != "ok"].itertuples():
        print(f"{row.backend} {row.dtype}, session {row.session}: {row.reason}")
    good = lr.samples(frame)
    each = np.where(good["phase"] == "decode", good["new_tokens"], 1)
    good = bounds(good, copy_speed(raw), np.nan)
    on_gpu = good["device_seconds"].astype(float)
    good = good.assign(ms=good["seconds"] * 1e3 / each, device_ms=on_gpu * 1e3 / each)
    rows = []
    for phase, part in good.groupby("phase", observed=True):
        arms = dict(list(part.groupby(["backend", "dtype"], observed=True)))
        base = arms[("hf", "fp16")]
        for (name, dtype), cell in arms.items():
            ratio = lr.median_ratio(base["ms"], cell["ms"], base["session"], cell["session"])
            rows.append({"phase": phase, "engine": name, "dtype": dtype, "median_ms": cell["ms"].median(),
                         "best_ms": cell["ms"].min(), "device_ms": cell["device_ms"].median(),
                         "times_faster": ratio.value, "low": ratio.low, "high": ratio.high,
                         "of_limit": cell["share"].median(), "sessions": cell["session"].nunique(),
                         "calls": len(cell)})  # fmt: skip
    return pd.DataFrame(rows).sort_values(["phase", "median_ms"])


def copy_speed(raw):
    """Bytes a second of a copy, as the run measured it on its own GPU; nan where it did not."""
    facts = records.facts(raw)
    return (facts.get("roofline") or {}).get("cuda", {}).get("copy_bytes_per_s", np.nan)


def cell_of(model, name, dtype, **options):
    """The cell of one engine on the scenario of the parameter file."""
    values = matrix.measuring(matrix.load(PARAMS)) | {"models": [model], "sessions": 1}
    entry = {"name": name, "dtypes": [dtype]} | options
    return matrix.plan({"study": "engines"} | values | {"backends": [entry]})[0]


def started(model, name, dtype, **options):
    """(engine with the scenario's prompt, None), or (None, the sentence that says why not)."""
    cell, folder = cell_of(model, name, dtype, **options), models.folder(model)
    engine = backend(name)()
    reason = engine.refuses(cell)
    if reason:
        return None, reason
    engine.load(cell, folder)
    engine.start(cell, [models.seeded_ids(models.check(model, folder).vocab, cell.prompt_tokens, 42, 0)])
    return engine, None


def agreement(model):
    """A frame: each engine's argmax and losses on the same forced ids, against hf fp32 on the same device."""
    vocab = models.check(model, models.folder(model)).vocab
    ids = models.seeded_ids(vocab, FORCED_PROMPT + FORCED, 42, 1_000_000)
    rows, base = [], None
    engines = matrix.load(PARAMS)["backends"]
    wanted = [(entry["name"], dtype) for entry in engines for dtype in entry["dtypes"]]
    for name, dtype in sorted(wanted, key=lambda pair: pair != ("hf", "fp32")):
        engine, reason = started(model, name, dtype)
        if reason:
            print(f"{name} {dtype}: {reason}")
            continue
        found = engine.forced(ids, FORCED_PROMPT)
        engine.close()
        base = base or found
        rows.append({"engine": name, "dtype": dtype, "forced": FORCED, "distinct": len(set(found["top1"])),
                     "top1_agreement": np.mean(np.equal(found["top1"], base["top1"])),
                     "most_nll_difference": np.abs(np.subtract(found["nll"], base["nll"])).max()})  # fmt: skip
    return pd.DataFrame(rows)


def parts(model, dtype):
    """A frame: microseconds of a step and of a prefill, and of what they consist of; medians over rounds."""
    engine, reason = started(model, "fused", dtype)
    if reason:
        sys.exit(reason)
    decoder, prompt = engine.model, engine._prompt_run(engine.prompt_tokens)[0]
    read = sum(t.numel() * t.element_size() for t in decoder.tensors()) - decoder.places.nbytes
    copied = roofline.measure("cuda")["copy_bytes_per_s"]
    layers = [lambda i=i: decoder.layer(i) for i in range(decoder.a.layers)]
    rows = [("a step: id on the host in, next id on the host out", timed_step(engine), "wall clock")]
    rows += [(what, on_device(engine, work), "device events") for what, work in (
        ("a step: replays back to back, no host between them", decoder.step),
        ("its layers", lambda: [layer() for layer in layers]),
        ("its answer: last norm, output layer, argmax", decoder.head),
        ("a prefill: replays back to back", lambda: decoder.prompt(prompt)),
    )]  # fmt: skip
    whole = timed(engine, engine.prefill, "prefill")
    rows += [(f"{read / 1e6:.0f} MB of weights at a copy's {copied / 1e12:.2f} TB/s", read / copied * 1e6, "derived"),
             ("a prefill: ids on the host in, next id on the host out", whole, "wall clock")]  # fmt: skip
    for option in ("dependent_launch", "cuda_graph"):
        other, _ = started(model, "fused", dtype, **{option: False})
        rows.append((f"a step with {option}: false", timed_step(other), "wall clock"))
    found = pd.DataFrame(rows, columns=["what", "us", "how"])
    return found.assign(times_limit=found["us"] / (read / copied * 1e6))


def timed(engine, call, phase):
    """Median microseconds of a call, prepared and settled as the harness does."""
    took = []
    for _ in range(ROUNDS):
        engine.prepare(phase)
        engine.marks.clear()
        engine.settle()
        start = time.perf_counter_ns()
        call()
        engine.settle()
        took.append((time.perf_counter_ns() - start) / 1e3)
    return float(np.median(took[3:]))


def timed_step(engine):
    """Median microseconds of a decoded token."""
    return timed(engine, engine.decode, "decode") / engine.new_tokens


def on_device(engine, work):
    """Median microseconds of `work`, recorded once and replayed back to back, by device events."""
    torch = engine.torch
    with torch.no_grad():
        engine.model.restart(engine.prompt_tokens, 0)
        run = engine._recorded(work)
    took, events = [], [torch.cuda.Event(enable_timing=True) for _ in range(2)]
    for _ in range(ROUNDS):
        engine.model.restart(engine.prompt_tokens, 0)
        torch.cuda.synchronize()
        events[0].record()
        for _ in range(engine.new_tokens - 1):
            run()
        events[1].record()
        torch.cuda.synchronize()
        took.append(events[0].elapsed_time(events[1]) * 1e3 / (engine.new_tokens - 1))
    return float(np.median(took[3:]))


def blocks(model, dtype):
    """A frame: microseconds of a step on the device with one kernel's size and warps changed at a time."""
    engine, reason = started(model, "fused", dtype)
    if reason:
        sys.exit(reason)
    rows, kept = [], dict(fused_decoder.BLOCKS)
    for name, sizes in SIZES.items():
        for size in sizes:
            for warps in WARPS:
                fused_decoder.BLOCKS[name] = (size, warps)
                engine.model.reserve(engine.batch, engine.model.slots)
                took = on_device(engine, engine.model.step)
                rows.append({"kernel": name, "elements": size, "warps": warps, "us": took,
                             "chosen": kept[name] == (size, warps)})  # fmt: skip
        fused_decoder.BLOCKS[name] = kept[name]
    return pd.DataFrame(rows).sort_values(["kernel", "us"])


def main(which, *arguments):
    start = time.time()
    table = {"speed": speed, "agreement": agreement, "parts": parts, "blocks": blocks}[which]
    given = list(arguments) if which == "speed" else [*arguments, *["gpt2", "fp16"][len(arguments) :]]
    found = table(*given[: table.__code__.co_argcount])
    print(found.to_markdown(index=False, floatfmt=".4g"))
    print(json.dumps({"command": which, "seconds": round(time.time() - start)}))


if __name__ == "__main__":
    main(*sys.argv[1:]) if len(sys.argv) > 1 else sys.exit(__doc__)
