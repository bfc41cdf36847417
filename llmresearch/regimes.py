"""What bounds each engine: reading weights, computing, or neither, told by a roofline measured in the same
run.

Of each call the least time is known: its bytes over the machine's bandwidth, its operations over its peak
(plausibility.bounds). Where that explains at least HALF of the time, the call is bound by it; where it
explains less, the rest is overhead: launches, Python, kernels that reach neither.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from . import plausibility
from .frames import steady
from .intervals import Estimate
from .stats.estimates import center_of_sessions

BY = ["backend", "device", "dtype", "model", "params_measured", "scenario", "phase"]
SHOWN = ["share", "share_low", "share_high", "regime"]
HALF = 0.5  # of a call's time; a line drawn before measuring


def shares(frame, ceilings):
    """One row per engine, model, scenario and phase: the share of each limit reached, and the regime.

    `ceilings`: {device: the roofline's facts}, as the run's sidecar has them. Columns: median_s, least_s,
    `memory` and `compute` (Estimates of share over sessions), share with share_low and share_high (the larger
    of the two), fits_cache, regime: memory-bound, compute-bound, overhead-bound, undecided, unknown without a
    roofline or the model's size, or beyond the limit: faster than this machine can be (a clock that is not its
    own, or a record that is wrong). Sorted by engine, phase and size.
    """
    used = steady(frame)
    rows = []
    for key, part in used.groupby(BY, observed=True, sort=True, dropna=False):
        found = dict(zip(BY, key))
        ceiling, params = (ceilings or {}).get(found["device"]) or {}, float(found["params_measured"] or 0)
        rows.append(found | _judged(part, ceiling, params))
    table = pd.DataFrame(rows, columns=None if rows else [*BY, "regime"])
    return table.sort_values(["backend", "device", "dtype", "phase", "params_measured"], ignore_index=True)


def beside(table, frame, ceilings):
    """Any table of times with `share`, `share_low`, `share_high` and `regime` of its rows: the share of the limit.

    `table` has columns of BY, such as `lr.summary` gives, made from the calls of `frame`. A row that stands for
    several of `shares` (a pool of phases or engines) has no share of its own: nan.
    """
    found = shares(frame, ceilings).reindex(columns=[*BY, *SHOWN])
    keys = [name for name in BY if name in table]
    alone = found.groupby(keys, observed=True, dropna=False)["regime"].transform("size") == 1
    as_words = found[alone][[*keys, *SHOWN]].astype(dict.fromkeys(keys, object))
    joined = table.astype(dict.fromkeys(keys, object)).merge(as_words, on=keys, how="left")
    return table.assign(**{name: joined[name].to_numpy() for name in SHOWN})


def ceiling_table(ceilings):
    """One row per limit of a device: memory bandwidth (the faster of reading and copying), last-level cache,
    and for each precision the peak of matrix products; a device that could not be measured has one row with
    its reason.
    """
    rows = []
    for device, facts in (ceilings or {}).items():
        found = {"memory, bytes per second": facts.get("bytes_per_s")}
        found |= {"last-level cache, bytes": facts.get("cache_bytes")}
        peaks = (facts.get("flops_per_s") or {}).items()
        found |= {f"matrix products in {dtype}, operations per second": flops for dtype, flops in peaks}
        shown = {limit: value for limit, value in found.items() if value or limit.startswith("memory")}
        rows += [{"device": device, "limit": limit, "value": value, "why not": facts.get("refused") or ""}
                 for limit, value in shown.items()]  # fmt: skip
    return pd.DataFrame(rows, columns=["device", "limit", "value", "why not"])


def output_weights(frame):
    """{model: weights of the output embedding}, as the records say; an engine may apply them to a prompt's
    last token only.

    Without them a prompt is sure of little work, and none of its time is explained by computing.
    """
    if "evidence" not in frame:
        return {}
    cells = frame.drop_duplicates(["model", "cell_id"])
    pairs = zip(cells["model"], cells["evidence"])
    said = {model: (evidence or {}).get("output_weights") for model, evidence in pairs}
    return {model: float(weights) for model, weights in said.items() if weights}


def under_the_roof(table, device, ceiling):
    """The rows of `shares` whose device and precision `ceiling` bounds, as points for `figures.roofline`.

    Adds series (engine, precision and phase), flops_per_byte, and flops_per_s with flops_per_s_low and _high:
    the least work of a call over its measured time. Empty where no peak of the precision was measured.
    """
    peaks = ceiling.get("flops_per_s") or {}
    known = table["dtype"].isin(peaks) & table["regime"].ne("unknown")
    found = table[(table["device"] == device) & known].copy()
    if found.empty or "compute" not in found:
        return found.iloc[:0]
    peak = found["dtype"].astype(object).map(peaks).astype(float)
    for edge, suffix in (("value", ""), ("low", "_low"), ("high", "_high")):
        found[f"flops_per_s{suffix}"] = [getattr(share, edge) for share in found["compute"]] * peak
    ratio = np.array([c.value / m.value for c, m in zip(found["compute"], found["memory"])])
    found["flops_per_byte"] = ratio * peak / ceiling["bytes_per_s"]
    found["series"] = found[["backend", "dtype", "phase"]].astype(str).agg(" ".join, axis=1)
    return found.dropna(subset=["flops_per_s", "flops_per_byte"])


def _judged(part, ceiling, params):
    if not ceiling.get("bytes_per_s") or not params > 0:
        return {"median_s": part["seconds"].median(), "regime": "unknown"}
    peaks, output = ceiling.get("flops_per_s") or {}, output_weights(part)
    judged = plausibility.bounds(part, ceiling["bytes_per_s"], peaks, 0, output)
    memory, compute = (_share(judged, name) for name in ("by_bytes_s", "by_flops_s"))
    larger = max(memory, compute, key=lambda e: np.nan_to_num(e.value, nan=-1.0))
    bytes_ = params * plausibility.BYTES.get(str(part["dtype"].iloc[0]), np.nan)
    cached = bool(bytes_ <= ceiling.get("cache_bytes", 0))
    word = "beyond the limit" if larger.value > plausibility.ROOM and not cached else regime(memory, compute)
    return {"median_s": part["seconds"].median(), "least_s": judged["bound_s"].median(),
            "memory": memory, "compute": compute,
            "share": larger.value, "share_low": larger.low, "share_high": larger.high,
            "fits_cache": cached, "regime": word}  # fmt: skip


def _share(judged, name):
    """The share of one limit as an Estimate over the sessions' medians."""
    each = (judged[name] / judged["seconds"]).groupby(judged["session"]).median()
    return center_of_sessions(each.to_numpy())


def with_room(share):
    """A share of a limit, as an Estimate whose lower edge allows for a ceiling measured too low by ROOM:
    neighbours take bandwidth while it is measured, and never give any.
    """
    return replace(share, low=share.low / plausibility.ROOM) if isinstance(share, Estimate) else share


def regime(memory, compute):
    """The word for two shares: which limit explains at least half of the time, by the whole of its interval.

    Without an interval (a single session) the value itself must be clear of the line by a factor of two.
    """
    sides = {name: _side(share) for name, share in (("memory-bound", memory), ("compute-bound", compute))}
    above = [name for name, side in sides.items() if side == "above"]
    if above:
        return above[0] if len(above) == 1 or memory.value >= compute.value else above[1]
    found = set(sides.values())
    return "overhead-bound" if found <= {"below", "unknown"} and "below" in found else "undecided"


def _side(share):
    if np.isnan(share.value):
        return "unknown"
    low, high = (share.low, share.high) if not np.isnan(share.low) else (share.value / 2, share.value * 2)
    return "above" if low >= HALF else "below" if high < HALF else "between"
