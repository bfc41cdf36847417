"""One row per group of calls: how many, the median with its interval, tails that may refuse, and the rate."""

import numpy as np
import pandas as pd

from .estimates import ONE_SESSION, quantile, session_labels
from ..intervals import needed
from ..records import LlmResearchError

TAILS = {"p95": 0.95, "p99": 0.99}
READ = ("seconds", "tokens", "interval_level", "run_id", "session", "time", "order", "index", "status", "phase", "kind",
        "contaminated")     # the columns that statistics look at, besides those they group by


def timed(df, by=()):
    """The rows of `df` that statistics may use: calls that ran, timed, not contaminated, and samples where there are some.

    First calls and warm-ups are left out beside samples (unless `kind` is in `by`), and kept where they are all there
    is. What was left out is counted in `.attrs["left out"]`.
    """
    keep, left_out = np.ones(len(df), bool), {}
    for reason, wanted in _rules(df, by):
        left_out[reason] = int((keep & ~wanted).sum())
        keep &= wanted
    out = df[keep]
    out.attrs["left out"] = {reason: n for reason, n in left_out.items() if n}
    return out


def _rules(df, by):
    """(reason, mask of the rows that pass) for each column that can speak against a row."""
    if "status" in df:
        yield "not ok", (df["status"] == "ok").to_numpy(bool)
    if "phase" in df:
        yield "no call", df["phase"].notna().to_numpy(bool)
    if "contaminated" in df and "contaminated" not in by:
        flag = df["contaminated"]
        yield "contaminated", (flag.isna() | flag.isin(["", False])).to_numpy(bool)
    if "kind" in df and "kind" not in by and (df["kind"] == "sample").any():
        yield "not a sample", (df["kind"] == "sample").to_numpy(bool)


def in_time_order(df):
    """The rows in the order in which they were measured, as far as `time`, or `order` and `index`, tell."""
    for keys in (["time"], ["order", "index"], ["index"]):
        if all(k in df and df[k].notna().all() for k in keys):
            return df.sort_values(keys, kind="stable")
    return df


def summary(df, by, level=0.95):
    """A frame with one row per group of `by`, seconds per call: n, sessions, median, low, high, p95 and p99 with their
    intervals (nan below 59 and 299 samples), mean, sd, min, max, tokens_per_s (total tokens over total seconds),
    unit_of_replication and method. Rows that `timed` leaves out do not count. Where the data said when to stop, one
    session's interval uses the higher level that the looks ask for (`interval_level`).
    """
    by = [by] if isinstance(by, str) else list(by)
    for name in (*by, "seconds"):
        if name not in df:
            raise LlmResearchError(f"summary: no column {name!r}. There are: {', '.join(map(str, df.columns))}.")
    used = in_time_order(timed(df[[c for c in df if c in {*by, *READ}]], by))
    sessions = pd.Categorical(session_labels(used)).codes
    columns = {c: used[c].to_numpy(float) for c in ("seconds", "tokens", "interval_level") if c in used}
    rows = []
    for key, at in used.groupby(by, sort=True, dropna=False, observed=True).indices.items():
        row = dict(zip(by, key if isinstance(key, tuple) else (key,)))
        part = {name: values[at] for name, values in columns.items()}
        rows.append(row | _describe(part, sessions[at], _level(part, sessions[at], level)))
    out = pd.DataFrame(rows, columns=None if rows else by)
    out.attrs.update(level=level, left_out=used.attrs.get("left out", {}))
    return out


def summary_over_sessions(df, by, level=0.95):
    """`summary` with low and high of the median only where sessions are their unit; `method` says why one has none."""
    table = summary(df, by, level)
    if table.empty:
        return table
    apart = table["unit_of_replication"] == "session"
    known = {name: table[name].where(apart) for name in ("low", "high")}
    return table.assign(**known, method=table["method"].where(apart, ONE_SESSION))


def _level(part, sessions, level):
    """The level to ask of one session's samples; sessions that stopped by themselves are still independent."""
    if "interval_level" not in part or (sessions != sessions[0]).any():
        return level
    return max(level, float(part["interval_level"].max()))


def _describe(part, sessions, level):
    """The columns of one group."""
    x, tokens = part["seconds"], part.get("tokens")
    good = np.isfinite(x).all() and (x >= 0).all()
    if not good:
        x = np.where(x < 0, np.nan, x)       # a negative time is as broken as a missing one
    middle = quantile(x, 0.5, sessions, level)
    row = {"n": x.size, "sessions": len(pd.unique(sessions)),
           "median": middle.value, "low": middle.low, "high": middle.high}
    for name, q in TAILS.items():
        row |= _tail(name, q, x, sessions, level, good)
    moments = (x.mean(), x.std(ddof=1) if x.size > 1 else np.nan, x.min(), x.max()) if good else (np.nan,) * 4
    row |= dict(zip(("mean", "sd", "min", "max"), map(float, moments)))
    if tokens is not None:
        row["tokens_per_s"] = float(tokens.sum() / x.sum()) if good and x.sum() > 0 else np.nan
    return row | {"unit_of_replication": middle.unit_of_replication, "method": middle.method}


def _tail(name, q, x, sessions, level, good):
    if not good or x.size < needed(q, level):
        return {name: np.nan, f"{name}_low": np.nan, f"{name}_high": np.nan}
    e = quantile(x, q, sessions, level)
    return {name: e.value, f"{name}_low": e.low, f"{name}_high": e.high}
