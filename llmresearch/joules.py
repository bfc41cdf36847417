"""Joules per token from the records' energy windows: above idle, with the counter's error, or why not."""

import math

import numpy as np
import pandas as pd

from . import energy
from .energy import Counter
from .intervals import NAN, Estimate
from .stats.estimates import center_of_sessions, session_labels

ENGINE = ["backend", "device", "dtype"]
CHOICE = ["engine", "model", "scenario"]
MOST_PREPARING = 0.05  # of a window: then its energy moves the result by less than the counter's ends do
NOT_ASKED = "energy was not measured (energy_window_s)"
DISTURBED = "something else ran beside the window: "


def named(frame):
    """The frame with `engine`: backend, device and precision in one word."""
    return frame.assign(engine=frame[ENGINE].astype(str).agg(" ".join, axis=1) if len(frame) else "")


def windows(frame):
    """One row per cell, session and phase that ran: joules_per_token above idle, and why where it is unknown.

    low and high hold the counter's ends and the preparation inside of the window. idle_joules_per_token is
    what the device draws at rest in the time of the calls; watts above idle, idle_w, tokens and the counter
    stand beside.
    """
    ran = frame[(frame["status"] == "ok") & frame["phase"].notna()]
    ran = named(ran.assign(session=session_labels(ran))).drop_duplicates(["cell_id", "session", "phase"])
    columns = [*CHOICE, "cell_id", "session", "phase", "joules_per_token", "low", "high",
               "idle_joules_per_token", "watts", "idle_w", "tokens", "counter", "why"]  # fmt: skip
    rows = [{name: getattr(row, name) for name in columns[:6]} | _window(row.evidence or {}, str(row.phase))
            for row in ran.itertuples()]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _window(evidence, phase):
    found = evidence.get("energy") or {"unknown": NOT_ASKED}
    names = ["joules_per_token", "low", "high", "idle_joules_per_token", "watts", "idle_w"]
    blank = dict.fromkeys(names, NAN) | {"tokens": 0, "counter": None}
    if "unknown" in found or phase not in found:
        return blank | {"why": found.get("unknown", NOT_ASKED)}
    record, about = found[phase], found["counter"]
    net, idle_w = _above_idle(found, record)
    blank |= {"idle_w": idle_w, "tokens": record["tokens"], "counter": f"{about['name']}: {about['covers']}"}
    if net.reason:
        return blank | {"why": net.reason}
    per = [joules / record["tokens"] for joules in _without_preparing(net, record)]
    found = dict(zip(["joules_per_token", "low", "high"], per))
    idle = idle_w * record["calls_s"] / record["tokens"]
    return blank | found | {"idle_joules_per_token": idle, "watts": net.joules / net.seconds, "why": None}


def _above_idle(found, record):
    """(Energy of a window above idle, idle power in W), unknown where either was disturbed or too short."""
    about = found["counter"]
    counter = Counter(about["period_s"], about["step_j"], about["wraps_at_j"]) if about["period_s"] else None
    used, idle = (energy.window(counter, part["start"], part["end"]) for part in (record, found["idle"]))
    share = record["preparing_s"] / max(record["preparing_s"] + record["calls_s"], 1e-12)
    beside = record["contaminated"] or found["idle"]["contaminated"]
    if beside:
        used = energy.unknown(used.seconds, DISTURBED + beside)
    elif share > MOST_PREPARING:
        words = f"preparing took {share:.0%} of the window, of {MOST_PREPARING:.0%} at most"
        used = energy.unknown(used.seconds, words)
    return energy.above_idle(used, idle), idle.joules / idle.seconds


def _without_preparing(net, record):
    """(joules, low, high) of the calls alone: preparing drew the mean power, give or take all of it."""
    share = record["preparing_s"] / (record["preparing_s"] + record["calls_s"])
    return net.joules * (1 - share), net.low * (1 - share) - share * abs(net.joules), net.high


def over_sessions(values, lows, highs, why=()):
    """The Estimate of one value per session: their spread and the counter's mean error, added in quadrature.

    Values that are unknown are left out; with none left it is nan, and `method` the first reason.
    """
    values, lows, highs = (np.asarray(x, dtype=float) for x in (values, lows, highs))
    known = np.isfinite(values)
    if not known.any():
        return Estimate(NAN, NAN, NAN, 0, "session", next((w for w in why if w), "no window was measured"))
    e = center_of_sessions(values[known], 0.95)
    below, above = (values - lows)[known].mean(), (highs - values)[known].mean()
    low, high = e.value - math.hypot(e.value - e.low, below), e.value + math.hypot(e.high - e.value, above)
    return Estimate(e.value, low, high, int(known.sum()), "session", f"{e.method}; and the counter's error")


def per_token(frame):
    """One row per engine, model, scenario and phase: joules_per_token, an Estimate over sessions, or why not.

    with_idle: all that the device drew during the calls, per token. Beside them sessions, watts above idle,
    idle_w and the counter.
    """
    values = ["joules_per_token", "with_idle", "watts", "idle_w", "counter", "why"]
    rows = []
    for key, part in windows(frame).groupby([*CHOICE, "phase"], observed=True, sort=True):
        found, whole = _of_sessions(part), _of_sessions(_with_idle(part))
        rows.append(dict(zip([*CHOICE, "phase"], key)) | {
            "sessions": found.n, "joules_per_token": found, "with_idle": whole,
            "watts": part["watts"].median(), "idle_w": part["idle_w"].median(),
            "counter": part["counter"].dropna().iloc[0] if part["counter"].notna().any() else None,
            "why": None if found.n else found.method})  # fmt: skip
    return pd.DataFrame(rows, columns=[*CHOICE, "phase", "sessions", *values])


def _of_sessions(part):
    return over_sessions(*(part[name] for name in ENDS), part["why"])


ENDS = ["joules_per_token", "low", "high"]


def _with_idle(part):
    """The windows with all that the device drew during the calls, instead of what it drew above idle."""
    return part.assign(**{name: part[name] + part["idle_joules_per_token"] for name in ENDS})


def of_mix(frame, mix, with_idle=False):
    """{(engine, model, scenario): joules per token of the mix, an Estimate}; mixed session by session.

    Above idle, or all that the device drew `with_idle`.
    """
    return {
        key: over_sessions(part["value"], part["low"], part["high"], part["why"])
        for key, part in mixed_sessions(frame, mix, with_idle).groupby(CHOICE, observed=True, sort=True)
    }


def mixed_sessions(frame, mix, with_idle=False):
    """One row per engine, model, scenario and session: joules per token of the mix as value, low, high.

    Above idle, or all that the device drew `with_idle`; `why` says why they are nan.
    """
    rows, taken = [], windows(frame)
    taken = _with_idle(taken) if with_idle else taken
    for key, part in taken.groupby([*CHOICE, "session"], observed=True, sort=True):
        by_phase = part.groupby("phase", observed=True)[ENDS].mean().reindex(["prefill", "decode"])
        ends = [mix.of(*by_phase[name]) for name in ENDS]
        rows.append(dict(zip([*CHOICE, "session"], key)) | dict(zip(["value", "low", "high"], ends))
                    | {"why": next((w for w in part["why"] if w), None)})  # fmt: skip
    return pd.DataFrame(rows, columns=[*CHOICE, "session", "value", "low", "high", "why"])
