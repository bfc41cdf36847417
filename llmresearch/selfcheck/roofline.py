"""T6: are samples that no machine can have taken found, and possible ones left alone?

The ceilings are measured here and now; samples at the ceiling and samples beyond it are simulated for them. Then the
replay: runs that a study reported as a model of 124,439,808 weights, which were a test fixture of 102,714, must fail
loudly, and its runs of the real model must pass.
"""

import pandas as pd

from ..frames import read, samples
from ..plausibility import ImpossibleSamples, impossible, refuse_impossible
from ..roofline import measure

# Milliseconds of five runs each: 8 tokens generated without a cache after 8, batch 1, fp32, ONNX Runtime on the CPU.
# Source: TR118's raw runs (tr118v2_…_deep, bench_generate), scenario single_micro, as published.
REPLAY_MS = {"test fixture": (4.21215, 3.01875, 2.80045, 3.26515, 2.64675),
             "real model": (111.80205, 110.7814, 108.8806, 111.1101, 101.4944)}  # fmt: skip
FIXTURE, CLAIMED = 102_714, 124_439_808
# No laptop's memory is faster: 128 bits at 8,533 million transfers a second (LPDDR5X; JEDEC JESD209-5C). No cache of
# one was larger than 64 MiB. 10 TFLOP/s in fp32 is several times what a laptop's processor computes.
LAPTOP = {"bandwidth": 16 * 8533e6, "flops": {"fp32": 1e13}, "cache_bytes": 64 << 20}
LARGE = 7_000_000_000     # weights of the simulated samples: larger than any cache
STEADY = 2.0              # the ceilings of two probes in a row agree within this factor, or the machine is too busy


def run(raw=None, ceilings=None):
    """The check's result: ceilings, shares found and falsely flagged, the replay; of `raw` too, where one is given."""
    found = ceilings or measure("cpu")
    again = found if ceilings else measure("cpu", repeats=2)
    steady = max(found["bytes_per_s"], again["bytes_per_s"]) <= STEADY * min(found["bytes_per_s"], again["bytes_per_s"])
    limits = {"bandwidth": found["bytes_per_s"], "flops": found["flops_per_s"], "cache_bytes": found["cache_bytes"]}
    caught, false = _share(_simulated(0.5, limits), limits), _share(_simulated(1.0, limits), limits)
    replayed = {name: _share(frame, LAPTOP) for name, frame in replay().items()}
    loud = _refused(replay()["test fixture as 124 M"], LAPTOP)
    passed = steady and caught == 1 and false == 0 and loud and replayed == EXPECTED
    result = {"name": "roofline", "passed": bool(passed), "bytes_per_s": found["bytes_per_s"], "caught": caught,
              "false_flags": false, "replay": replayed, "replay_refused": loud, "ceilings": found,
              "why": None if steady else "two probes of the memory differ by more than a factor of two: the machine is busy"}  # fmt: skip
    return result | (_of_raw(raw, limits) if raw else {})


EXPECTED = {"test fixture as 124 M": 1.0, "test fixture as itself": 0.0, "real model as 124 M": 0.0}


def replay():
    """{what was run as what: frame of its runs}."""
    fixture, real = REPLAY_MS["test fixture"], REPLAY_MS["real model"]
    return {"test fixture as 124 M": _frame(fixture, CLAIMED), "test fixture as itself": _frame(fixture, FIXTURE),
            "real model as 124 M": _frame(real, CLAIMED)}  # fmt: skip


def _frame(milliseconds, weights, phase="generate", prompt=8, new=8):
    return pd.DataFrame({"backend": "onnxruntime-cpu", "model": "gpt2", "dtype": "fp32", "phase": phase, "batch": 1,
                         "prompt_tokens": prompt, "tokens": new, "params_declared": weights,
                         "seconds": [ms / 1e3 for ms in milliseconds]})  # fmt: skip


def _simulated(factor, limits):
    """One decode step and one prefill of a large model, that took `factor` times the least they can."""
    step = (LARGE * 4 - limits["cache_bytes"]) / limits["bandwidth"]
    prefill = max(step, 2 * LARGE / limits["flops"]["fp32"])
    frames = [_frame([factor * step * 1e3], LARGE, "decode", 512, 1), _frame([factor * prefill * 1e3], LARGE, "prefill", 512, 512)]
    return pd.concat(frames, ignore_index=True)


def _share(frame, limits):
    return len(impossible(frame, **limits)) / len(frame)


def _refused(frame, limits):
    try:
        refuse_impossible(frame, **limits)
    except ImpossibleSamples:
        return True
    return False


def _of_raw(raw, limits):
    frame = samples(read(raw))
    return {"raw_calls": len(frame), "raw_impossible": len(impossible(frame, **limits))}
