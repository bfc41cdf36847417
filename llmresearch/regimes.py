"""What bounds each engine: reading weights, computing, or neither, told by a roofline measured in the same run.

Of each call the least time is known: its bytes over the machine's bandwidth, its operations over its peak
(plausibility.bounds). Where that explains at least HALF of the time, the call is bound by it; where it explains less,
the rest is overhead: launches, Python, kernels that reach neither.
"""

import numpy as np
import pandas as pd

from . import plausibility
from .frames import steady
from .stats.estimates import center_of_sessions

BY = ["backend", "device", "dtype", "model", "params_measured", "scenario", "phase"]
HALF = 0.5  # of a call's time; a line drawn before measuring


def shares(frame, ceilings):
    """One row per engine, model, scenario and phase: the share of each limit reached, and the regime.

    `ceilings`: {device: the roofline's facts}, as the run's sidecar has them. Columns: median_s, least_s, `memory` and
    `compute` (Estimates of share over sessions), share with share_low and share_high (the larger of the two),
    fits_cache, regime: memory-bound, compute-bound, overhead-bound, undecided, unknown without a roofline, or
    beyond the limit: faster than this machine can be (a clock that is not its own, or a record that is wrong).
    """
    used = steady(frame)
    rows = []
    for key, part in used.groupby(BY, observed=True, sort=True):
        found = dict(zip(BY, key))
        rows.append(found | _judged(part, (ceilings or {}).get(found["device"]) or {}, float(found["params_measured"] or 0)))
    return pd.DataFrame(rows, columns=None if rows else [*BY, "regime"])


def _judged(part, ceiling, params):
    if not ceiling.get("bytes_per_s"):
        return {"median_s": part["seconds"].median(), "regime": "unknown"}
    judged = plausibility.bounds(part, ceiling["bytes_per_s"], ceiling.get("flops_per_s") or {}, 0)
    memory, compute = (_share(judged, name) for name in ("by_bytes_s", "by_flops_s"))
    larger = max(memory, compute, key=lambda e: np.nan_to_num(e.value, nan=-1.0))
    bytes_ = params * plausibility.BYTES.get(str(part["dtype"].iloc[0]), np.nan)
    cached = bool(bytes_ <= ceiling.get("cache_bytes", 0))
    word = "beyond the limit" if larger.value > plausibility.ROOM and not cached else regime(memory, compute)
    return {"median_s": part["seconds"].median(), "least_s": judged["bound_s"].median(), "memory": memory, "compute": compute,
            "share": larger.value, "share_low": larger.low, "share_high": larger.high,
            "fits_cache": cached, "regime": word}  # fmt: skip


def _share(judged, name):
    """The share of one limit as an Estimate over the sessions' medians."""
    each = (judged[name] / judged["seconds"]).groupby(judged["session"]).median()
    return center_of_sessions(each.to_numpy())


def regime(memory, compute):
    """The word for two shares: which limit explains at least half of the time, by the whole of its interval.

    Without an interval (a single session) the value itself must be clear of the line by a factor of two.
    """
    sides = {name: _side(share) for name, share in (("memory-bound", memory), ("compute-bound", compute))}
    above = [name for name, side in sides.items() if side == "above"]
    if above:
        return above[0] if len(above) == 1 or memory.value >= compute.value else above[1]
    return "overhead-bound" if set(sides.values()) <= {"below", "unknown"} and "below" in sides.values() else "undecided"


def _side(share):
    if np.isnan(share.value):
        return "unknown"
    low, high = (share.low, share.high) if not np.isnan(share.low) else (share.value / 2, share.value * 2)
    return "above" if low >= HALF else "below" if high < HALF else "between"
