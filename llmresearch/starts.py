"""What a fresh process pays before it runs at its steady pace, and how many of its calls were still warm-up."""

import numpy as np
import pandas as pd

from .frames import steady
from .scaling import ENGINE
from .steadiness import steady_from

STEADINESS = ("steady", "not-stationary", "too few")


def warmups(frame):
    """One row per engine, model and phase: how many calls after the first were still warm-up, by the
    steadiness test.
    """
    used = frame[(frame["status"] == "ok") & frame["kind"].isin(["warmup", "sample"])]
    rows = []
    for key, part in used.groupby([*ENGINE, "model", "scenario", "phase"], observed=True, sort=True):
        found = [steady_from(one.sort_values("time")["seconds"]) for _, one in part.groupby("session")]
        verdicts = pd.Series([f.verdict for f in found]).value_counts()
        rows.append(dict(zip([*ENGINE, "model", "scenario", "phase"], key))
                    | {"calls": len(part), "warm_up_at_most": max(f.discard for f in found)}
                    | {f"processes {word}": int(verdicts.get(word, 0)) for word in STEADINESS})  # fmt: skip
    return pd.DataFrame(rows)


def cold_starts(frame, percent=10.0):
    """One row per engine, model, scenario and phase: what a fresh process pays before it runs at its steady
    pace.

    ready_s: from starting the process to a loaded model; first_call, steady (medians of calls) and their
    ratio; warm_after: calls until one is within `percent` of its process's steady median, in the slowest
    process; lost_s: what those calls took beyond as many steady ones. Medians over processes, in seconds.
    Phases run one after the other: the first one in a process pays for what they share.
    """
    keys = [*ENGINE, "model", "scenario", "phase"]
    used = frame[(frame["status"] == "ok") & frame["phase"].notna()]
    rows = []
    for key, part in used.groupby(keys, observed=True, sort=True):
        each = pd.DataFrame([_start(one.sort_values("time"), percent) for _, one in part.groupby("session")])
        warm = steady(part)["seconds"].median()
        found = each[["ready_s", "first_call", "lost_s"]].median().to_dict() | {"steady": warm}
        rows.append(dict(zip(keys, key)) | {"processes": len(each)} | found
                    | {"ratio": found["first_call"] / warm,
                       "warm_after": each["warm_after"].max()})  # fmt: skip
    columns = [*keys, "processes", "ready_s", "first_call", "steady", "ratio", "warm_after", "lost_s"]
    return pd.DataFrame(rows, columns=columns)


def _start(calls, percent):
    """One process: seconds until it was ready, its first call, calls until one was warm, and the seconds they
    cost.
    """
    seconds, warm = calls["seconds"].to_numpy(float), steady(calls)["seconds"].median()
    evidence = calls["evidence"].iloc[0] if "evidence" in calls else None
    is_warm = seconds <= warm * (1 + percent / 100)
    after = int(is_warm.argmax()) if is_warm.any() else np.nan
    lost = (seconds[:after] - warm).sum() if is_warm.any() else np.nan
    first = calls.loc[calls["kind"] == "first", "seconds"]
    return {"ready_s": (evidence or {}).get("ready_seconds") or np.nan,
            "first_call": first.iloc[0] if len(first) else np.nan, "warm_after": after, "lost_s": lost}  # fmt: skip
