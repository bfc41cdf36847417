"""The files that users of the earlier study expect: statistics, costs, one row per call."""

import math

import numpy as np
import pandas as pd

from ..frames import steady
from ..intervals import Estimate
from ..stats.summaries import summary_over_sessions

SUMMARY = ["engine", "model", "scenario", "phase"]
METRICS = ["scenario", "prompt", "mode", "backend", "device", "model", "quantization", "session", "phase", "kind", "sample_idx",
           "is_first_sample", "latency_ms", "ttft_ms", "tokens", "tokens_per_s", "contaminated", "status", "error"]  # fmt: skip


def statistics(frame, paired, variance):
    """{summaries, pairwise, anova} as JSON can hold it. Times in seconds; ci_95 is that of the median over sessions, nan in one.

    `paired` and `variance` are what `pairs` and `anovas` gave.
    """
    used = steady(frame)
    table = summary_over_sessions(used, SUMMARY) if len(used) else pd.DataFrame(columns=SUMMARY)
    edges = used.groupby(SUMMARY, observed=True)["seconds"].quantile([0.25, 0.75]).unstack() if len(used) else None
    return {
        "unit": "seconds", "unit_of_replication": "session", "ci_95": "of the median, over sessions",
        "summaries": [_summary(row, edges) for row in rows(table)],
        "pairwise": [_pair(row) for row in rows(paired)], "anova": rows(variance),
    }  # fmt: skip


def rows(table):
    """The rows as dicts that JSON can hold; an Estimate is {value, ci_95, n}, and kind where it is a cost."""
    return [{k: _plain(v) for k, v in row.items()} for row in table.to_dict("records")]


def _plain(value):
    if isinstance(value, Estimate):
        kind = {"kind": value.kind} if hasattr(value, "kind") else {}
        return {"value": value.value, "ci_95": [value.low, value.high], "n": value.n} | kind
    return value.item() if isinstance(value, np.generic) else value


def _summary(row, edges):
    key = tuple(row[name] for name in SUMMARY)
    q25, q75 = (float(edges.loc[key, q]) for q in (0.25, 0.75))
    return {name: row[name] for name in SUMMARY} | {
        "mean": row["mean"], "median": row["median"], "std": row["sd"], "min": row["min"], "max": row["max"], "q25": q25,
        "q75": q75, "ci_95": [row["low"], row["high"]], "n": row["n"], "sessions": row["sessions"], "method": row["method"],
    }  # fmt: skip


def _pair(row):
    kept = ("model", "phase", "a", "b", "difference", "percent_change", "ratio", "p", "p_adjusted", "p_games_howell", "verdict")
    more = {"ci_95_simultaneous": [row["low"], row["high"]], "effect_size": row["effect"], "n": row["n"], "method": row["method"]}
    return {name: row[name] for name in kept} | {"mean_a": row["seconds_a"], "mean_b": row["seconds_b"]} | more


def cost_analysis(table, usd_per_hour, source):
    """{usd_per_hour, source, label, costs: [...]} of the rows of `costs`; every figure is derived from a measured rate."""
    names, found = ("engine", "model", "scenario", "mode", "tokens_per_s", "usd_per_million_tokens"), []
    for row in rows(table):
        edges = [row["usd_per_million_tokens_low"], row["usd_per_million_tokens_high"]]
        found.append({name: row[name] for name in names} | {"ci_95": edges, "n": row["n"]})
    return {"usd_per_hour": usd_per_hour, "source": source, "label": "derived", "costs": found}


def metrics(frame):
    """One row per call, and one per cell that has none: what was asked, how long it took, what became of it.

    ttft_ms is the time to the first token, empty where the engine does not tell; tokens_per_s of requests at
    the same time are those of all of them over the wall.
    """
    seconds, tokens = frame["seconds"].astype(float), frame["tokens"].astype(float)
    found = frame.assign(
        quantization=frame["dtype"], sample_idx=frame["index"], is_first_sample=frame["kind"].eq("first"),
        latency_ms=1e3 * seconds, ttft_ms=1e3 * frame["ttft"].astype(float),
        tokens_per_s=(tokens / seconds).where(seconds > 0, math.nan), error=frame["reason"],
    )  # fmt: skip
    return found[METRICS].sort_values(["model", "scenario", "prompt", "backend", "quantization", "session"], kind="stable", ignore_index=True)
