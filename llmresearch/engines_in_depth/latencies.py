"""Seconds and tokens per second by scenario and phase, in unpadded tokens; and what a missing cache costs."""

import pandas as pd

from ..frames import samples, steady
from ..stats.estimates import median_ratio, over_sessions_only, rate
from ..stats.summaries import summary_over_sessions
from .names import engine_of, with_engine

BY = ["engine", "model", "scenario"]
COLUMNS = [*BY, "n_total", "n_ok", "n_degraded", "degraded_rate", "throughput_mean", "throughput_median", "ttft_mean",
           "ttft_median", "warmup_mean", "warmup_median", "mean", "median", "std", "min", "max", "q25", "q75", "ci_lower",
           "ci_upper", "n"]  # fmt: skip


def latency_summary(frame, cells, phase):
    """One row per engine, model and scenario of one phase, with the columns of TR118's latency_summary files.

    Seconds, and unpadded tokens per second. n_total samples were planned, n_ok came, n_degraded did not (their cell was
    refused, failed or timed out), n were undisturbed and are described. throughput_mean is all tokens over all seconds,
    throughput_median a call's tokens over the median; ci_lower and ci_upper are of the median, over sessions. ttft is the time to the
    first token, nan for `decode`, which begins after it.
    """
    planned = pd.DataFrame([(engine_of(c), c.model, c.scenario, c.repetitions) for c in cells if phase in c.phases],
                           columns=[*BY, "n_total"])  # fmt: skip
    if planned.empty:
        return pd.DataFrame(columns=COLUMNS)
    mine = with_engine(frame[frame["phase"] == phase])
    groups = dict(list(mine.groupby(BY, observed=True)))
    rows = [dict(zip(BY, key)) | _described(groups.get(key), int(total), phase)
            for key, total in planned.groupby(BY, sort=True)["n_total"].sum().items()]  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)


def _described(calls, total, phase):
    """The numbers of one row; nan where nothing ran."""
    taken = samples(calls) if calls is not None else []
    total = max(total, len(taken))  # a rule that looks at the data may take more
    row = {"n_total": total, "n_ok": len(taken), "n_degraded": total - len(taken), "degraded_rate": 1 - len(taken) / total, "n": 0}
    used = steady(calls) if len(taken) else None
    if used is None or used.empty:
        return row
    x, warm = used["seconds"], calls.loc[calls["kind"] == "warmup", "seconds"]
    first = _first_token(used, phase)
    found = summary_over_sessions(used, "phase").iloc[0]
    return row | {
        "throughput_mean": rate(used["tokens"], x).value, "throughput_median": (used["tokens"] / x).median(),
        "ttft_mean": first.mean(), "ttft_median": first.median(), "warmup_mean": warm.mean(), "warmup_median": warm.median(),
        "mean": x.mean(), "median": found["median"], "std": x.std(), "min": x.min(), "max": x.max(), "q25": x.quantile(0.25),
        "q75": x.quantile(0.75), "ci_lower": found["low"], "ci_upper": found["high"], "n": len(x),
    }  # fmt: skip


def _first_token(calls, phase):
    """Seconds to the first token of each call; empty where the phase has none or the engine does not stream."""
    if phase == "prefill":
        return calls["seconds"]
    if phase == "decode":
        return pd.Series(dtype=float)
    return pd.Series([float(marks[0]) for marks in calls["token_seconds"].dropna() if len(marks)], dtype=float)


def throughputs(frame):
    """One row per engine, model, scenario and phase: unpadded tokens per second with the interval of its sessions.

    Prefill counts prompt tokens, the other phases tokens made. Total tokens over total seconds of like calls; nothing is
    averaged over scenarios or phases, whose rates mean different things.
    """
    used, rows = with_engine(steady(frame)), []
    for key, part in used.groupby([*BY, "phase"], observed=True, sort=True):
        found = rate(part["tokens"], part["seconds"], part["session"].to_numpy())
        counted = "prompt tokens" if key[3] == "prefill" else "tokens made"
        rows.append(dict(zip([*BY, "phase"], key)) | {"counted": counted, "tokens_per_s": found, "calls": len(part),
                    "sessions": part["session"].nunique()})  # fmt: skip
    return pd.DataFrame(rows, columns=[*BY, "phase", "counted", "tokens_per_s", "calls", "sessions"])


def cached_and_uncached(frame):
    """One row per engine, model and scenario: the same answer without a KV cache (`generate`) and with one (`e2e`).

    times: seconds without over seconds with, an Estimate over sessions. tokens_again: tokens that pass the model without
    a cache over those with one, exact: step k computes prompt + k tokens instead of one. `answers` says whether both gave
    the same ids.
    """
    rows, used = [], with_engine(steady(frame))
    for key, part in used[used["phase"].isin(["generate", "e2e"])].groupby(BY, observed=True, sort=True):
        without, cached = part[part["phase"] == "generate"], part[part["phase"] == "e2e"]
        if without.empty or cached.empty:
            continue
        prompt, new = float(part["prompt_tokens"].iloc[0]), float(part["new_tokens"].iloc[0])
        rows.append(dict(zip(BY, key)) | {
            "prompt_tokens": int(prompt), "new_tokens": int(new), "batch": int(part["batch"].iloc[0]),
            "generate_seconds": without["seconds"].median(), "e2e_seconds": cached["seconds"].median(),
            "times": over_sessions_only(median_ratio(without, cached)), "tokens_again": new * (prompt + (new - 1) / 2) / (prompt + new - 1)})  # fmt: skip
    columns = [*BY, "prompt_tokens", "new_tokens", "batch", "generate_seconds", "e2e_seconds", "times", "tokens_again"]
    return pd.DataFrame(rows, columns=columns)
