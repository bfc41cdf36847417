"""Requests by engine: how long, how long to the first token, how many tokens a second, and at what price."""

import itertools
import math

import numpy as np
import pandas as pd

from ..cost import cost_per_million_tokens
from ..frames import steady
from ..stats.estimates import median, over_sessions_only, rate
from ..stats.summaries import summary_over_sessions

ENGINE = ["backend", "device", "dtype"]
KEYS = ["engine", "model", "scenario"]


def named(frame):
    """The frame with `engine` (backend, device and precision in one word), `mode` and `ttft`.

    mode: single, batch (several rows in one forward) or dual (several requests at the same time). ttft:
    seconds to the first token, of a request whose engine says when each token came (of requests at the same
    time the median of theirs); of a prefill the call itself, which ends with that token; else nan.
    """
    engine = frame[ENGINE].astype(str).agg(" ".join, axis=1) if len(frame) else pd.Series(dtype=str)
    mode = np.select([frame["concurrency"].gt(1), frame["batch"].gt(1)], ["dual", "batch"], "single")
    return frame.assign(engine=engine, mode=mode, ttft=_first_tokens(frame))


def _first_tokens(frame):
    told = [times[0] if times is not None and len(times) else math.nan for times in _lists(frame["token_seconds"])]
    told = [np.median(_firsts(times)) if times is not None else one for times, one in zip(_of_each(frame), told)]
    seconds, phase = frame["seconds"].astype(float), frame["phase"].astype(object)
    return np.select([phase.eq("e2e"), phase.eq("prefill")], [np.array(told, float), seconds], math.nan)


def _of_each(frame):
    """Per call, the seconds between tokens of each of its requests, or None: a raw file may be older than this column."""
    return _lists(frame["request_token_seconds"]) if "request_token_seconds" in frame else itertools.repeat(None, len(frame))


def _firsts(requests):
    return [gaps[0] for gaps in requests]


def _lists(column):
    """Each value that is a list, or None."""
    return (value if isinstance(value, (list, np.ndarray)) else None for value in column)


def opening(frame, phase="e2e"):
    """The timed calls of a phase with, of all first calls, only those that opened their process: real cold starts."""
    calls = frame[(frame["phase"] == phase) & frame["seconds"].notna()]
    first = calls[calls["kind"] == "first"]
    opened = first.groupby(["engine", "model", "session"], observed=True)["time"].transform("min")
    return calls.drop(index=first.index[first["time"] > opened])


def requests(frame, phase="e2e"):
    """One row per engine, model and scenario: median seconds of a request, of its first token, tokens per second.

    Each with its 95 % interval over sessions, which one session does not have; tokens per second are all tokens over all seconds, of requests
    at the same time those of all of them over the wall. ttft_from: e2e, or prefill where an engine hands a
    request back whole.
    """
    used = steady(frame)
    of = used[used["phase"] == phase]
    if of.empty:
        return pd.DataFrame(columns=[*KEYS, "mode", "n", "sessions", "median", "low", "high", "tokens_per_s",
                                     "tokens_per_s_low", "tokens_per_s_high", "ttft", "ttft_low", "ttft_high", "ttft_from"])  # fmt: skip
    table = summary_over_sessions(of, [*KEYS, "mode"]).drop(columns="tokens_per_s")
    rows = []
    for row in table.itertuples():
        part = used[(used["engine"] == row.engine) & (used["model"] == row.model) & (used["scenario"] == row.scenario)]
        rows.append(_rates(part[part["phase"] == phase]) | _ttft(part, phase))
    return pd.concat([table, pd.DataFrame(rows)], axis=1)


def _rates(part):
    return _columns("tokens_per_s", rate(part["tokens"], part["seconds"], part["session"].to_numpy()))


def _ttft(part, phase):
    for name in (phase, "prefill"):
        times = part[part["phase"] == name]
        if times["ttft"].notna().any():
            found = over_sessions_only(median(times["ttft"], times["session"].to_numpy()))
            return _columns("ttft", found) | {"ttft_from": name}
    return dict.fromkeys(("ttft", "ttft_low", "ttft_high"), math.nan) | {"ttft_from": "unknown"}


def _columns(name, found):
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def costs(table, usd_per_hour):
    """The rows of `requests` with usd_per_million_tokens and its interval at a price of the hour."""
    name = "usd_per_million_tokens"
    ends = {name: "", f"{name}_low": "_high", f"{name}_high": "_low"}  # the fastest rate is the lowest cost
    rates = {column: table[f"tokens_per_s{end}"].to_numpy(float) for column, end in ends.items()}
    return table.assign(**{column: cost_per_million_tokens(values, usd_per_hour) for column, values in rates.items()})


def together(frame, phase="e2e"):
    """One row per engine, model and scenario of several requests at once: median seconds of the wall and of one request.

    ttft_s is a request's time to its first token, token_s its time from a token to the next: medians over
    all requests. A virtual clock knows no common time of two requests: request_s, ttft_s and token_s are
    then nan.
    """
    used = steady(frame)
    used = used[(used["mode"] == "dual") & (used["phase"] == phase)]
    rows = []
    for key, part in used.groupby(KEYS, observed=True, sort=True):
        rows.append(dict(zip(KEYS, key)) | {
            "requests": int(part["concurrency"].iloc[0]), "n": len(part), "wall_s": float(part["seconds"].median()),
            "request_s": _of_one(part)} | _tokens(part) | {
            "tokens_per_s": rate(part["tokens"], part["seconds"]).value})  # fmt: skip
    return pd.DataFrame(rows, columns=[*KEYS, "requests", "n", "wall_s", "request_s", "ttft_s", "token_s", "tokens_per_s"])


def _tokens(part):
    """{ttft_s, token_s}: medians over all requests of the calls; nan where the engine does not tell, or has no more tokens."""
    told = [gaps for requests in _of_each(part) if requests is not None for gaps in requests]
    later = [gap for gaps in told for gap in gaps[1:]]
    return {"ttft_s": float(np.median(_firsts(told))) if told else math.nan,
            "token_s": float(np.median(later)) if later else math.nan}  # fmt: skip


def _of_one(part):
    """Median seconds of one request; nan where some are no part of their wall, as on clocks that differ."""
    told = [(times, wall) for times, wall in zip(_lists(part["request_seconds"]), part["seconds"]) if times is not None]
    sound = all(min(times) > 0 and max(times) <= wall for times, wall in told)
    return float(np.median(np.concatenate([times for times, _ in told]))) if told and sound else math.nan
