"""When a faster engine has made up the seconds that exporting and building it took."""

import math

import numpy as np
import pandas as pd

from ..fits.payback import break_even
from ..frames import steady
from ..intervals import Estimate, refused
from ..stats.estimates import rate
from .artefacts import build_seconds
from .names import cells_of, with_engine
from .speed import speedups

KEYS = ["model", "scenario", "phase"]
COLUMNS = ["engine", *KEYS, "build_seconds", "baseline_tokens_per_s", "speedup", "pays_after_s", "pays_after_tokens", "verdict"]


def payback(frame, reference):
    """One row per engine, model, scenario and phase with a known build time: seconds and tokens until it has paid.

    speedup over `reference` is an Estimate, paired by session; pays_after_s and pays_after_tokens are Estimates at its
    ends, infinite at an end where the engine may not be faster. verdict: pays, never, undecided (the interval of the
    speed-up holds 1, or there is none). A phase is a workload of its own: mixing them is a choice, not a measurement.
    """
    built = {key: build_seconds(part["evidence"].iloc[-1])
             for key, part in cells_of(frame).groupby(["engine", "model"], observed=True)}  # fmt: skip
    rates, rows = _rates(frame, reference), []
    for row in speedups(frame, reference, KEYS).to_dict("records"):
        seconds, known = built.get((row["engine"], row["model"]), (0.0, False))
        base = rates.get(tuple(row[name] for name in KEYS))
        if known and base:
            speed = Estimate(row["speedup"], row["low"], row["high"], row["n"], "session", row["method"])
            rows.append({name: row[name] for name in ("engine", *KEYS)} | {"build_seconds": seconds,
                        "baseline_tokens_per_s": base, "speedup": speed} | _paid(seconds, base, speed))  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)


def _rates(frame, reference):
    """{(model, scenario, phase): the reference's tokens per second}."""
    used = with_engine(steady(frame))
    used = used[used["engine"] == reference]
    return {key: rate(part["tokens"], part["seconds"]).value for key, part in used.groupby(KEYS, observed=True)}


def _paid(seconds, base, speed):
    """Break-even at the speed-up's value and at its ends; a higher speed-up pays earlier."""
    value, late, soon = (_even(seconds, base, ratio) for ratio in (speed.value, speed.low, speed.high))
    if not np.isfinite([speed.low, speed.high]).all():
        why = f"no interval: {speed.method}"
        return {"pays_after_s": refused(why, speed.n, value[0], "session"),
                "pays_after_tokens": refused(why, speed.n, value[1], "session"), "verdict": "undecided"}  # fmt: skip
    verdict = "pays" if speed.low > 1 else "never" if speed.high <= 1 else "undecided"
    method = "break-even at the ends of the speed-up's interval"
    after, tokens = (Estimate(v, low, high, speed.n, "session", method) for v, low, high in zip(value, soon, late))
    return {"pays_after_s": after, "pays_after_tokens": tokens, "verdict": verdict}


def _even(seconds, base, ratio):
    if not math.isfinite(ratio):
        return math.nan, math.nan
    found = break_even(seconds, base, base * ratio)
    return found.seconds, found.tokens
