"""Why a mean and a median disagree: tails by scenario before any pooling, and what single calls do."""

import numpy as np
import pandas as pd
from scipy.stats import trim_mean

from .frames import first_calls, steady
from .intervals import needed
from .stats.estimates import median_ratio, quantile
from .stats.summaries import summary

GROUP = ["backend", "model", "phase"]
POOL = [*GROUP, "scenario", "calls", "share_of_calls", "share_of_time", "pooled_quantile", "share_of_tail"]
TRIM = 0.1          # share of the calls that the trimmed mean leaves out at either end
TOP = 5             # calls that "without the slowest five" leaves out, as the published study did


def by_scenario(frame):
    """One row per backend, model, phase and scenario, seconds per call: n, median, p95 and p99, intervals.

    Quantiles are nan where all sessions together have fewer calls than stand in `needs`, and have no interval
    where one session has fewer. Also mean, max, and mean over median.
    """
    found = summary(steady(frame), [*GROUP, "scenario"])
    if found.empty:
        return pd.DataFrame(columns=[*GROUP, "scenario", "n", "median", "p95", "p99", "mean", "max"])
    found["mean_over_median"] = found["mean"] / found["median"]
    found["needs"] = f"p95: {needed(0.95)}, p99: {needed(0.99)}"
    keep = ["n", "sessions", "median", "low", "high", "p95", "p95_low", "p95_high", "p99", "p99_low",
            "p99_high", "mean", "max", "mean_over_median", "needs"]  # fmt: skip
    return found[[*GROUP, "scenario", *keep]]


def pooled(frame, q=0.95):
    """One row per backend, model, phase and scenario: what the scenario gives to the pool of all scenarios.

    share_of_calls, share_of_time, and share_of_tail: of the calls at or above the pool's `q` quantile
    (seconds in `pooled_quantile`, nan where the pool has too few calls for it). A scenario that is slow
    throughout makes the pool's tail without having a tail of its own.
    """
    rows = []
    for key, part in steady(frame).groupby(GROUP, observed=True, sort=True):
        enough = len(part) >= needed(q)
        edge = float(np.quantile(part["seconds"], q)) if enough else np.nan
        tail = part[part["seconds"] >= edge]
        for scenario, own in part.groupby("scenario", observed=True, sort=True):
            rows.append(dict(zip(GROUP, key)) | {
                "scenario": scenario, "calls": len(own), "share_of_calls": len(own) / len(part),
                "share_of_time": float(own["seconds"].sum() / part["seconds"].sum()),
                "pooled_quantile": edge,
                "share_of_tail": float((tail["scenario"] == scenario).mean()) if enough else np.nan,
            })  # fmt: skip
    return pd.DataFrame(rows, columns=POOL)


VIEWS = {
    "mean, first calls among them": ("all", 1, np.mean),
    "mean, first calls dropped": ("steady", 1, np.mean),
    "mean without the slowest": ("steady", 2, lambda x: np.sort(x)[:-1].mean()),
    "mean without the slowest five": ("steady", TOP + 1, lambda x: np.sort(x)[:-TOP].mean()),
    "trimmed mean": ("steady", 1, lambda x: trim_mean(x, TRIM)),
    "median": ("steady", 1, np.median),
}
"""Ways to put one number on a pool of calls, by name: which calls, how many it takes, and how."""


def views(frame):
    """One row per backend, model and phase: seconds of a call by each of `VIEWS`, scenarios pooled.

    The pool is what the published study averaged. Beside each other the columns say which calls carry a mean.
    """
    warm = steady(frame)
    every = pd.concat([first_calls(frame), warm])
    rows = []
    for key, part in warm.groupby(GROUP, observed=True, sort=True):
        mine = every[(every["backend"] == key[0]) & (every["model"] == key[1]) & (every["phase"] == key[2])]
        pools = {"steady": part["seconds"].to_numpy(float), "all": mine["seconds"].to_numpy(float)}
        found = {
            name: float(how(pools[which])) if len(pools[which]) >= least else np.nan
            for name, (which, least, how) in VIEWS.items()
        }
        rows.append(dict(zip(GROUP, key)) | {"n": len(part)} | found)
    return pd.DataFrame(rows, columns=[*GROUP, "n", *VIEWS])


def rankings(frame, baseline):
    """One row per candidate, model and phase: the baseline's time over the candidate's by each of `VIEWS`.

    Above 1 the candidate looks faster. `agree` says whether all views rank the two alike; where they do not,
    the answer was a choice of the view.
    """
    found = views(frame).astype({name: str for name in GROUP})
    base = found[found["backend"] == baseline].set_index(["model", "phase"])
    rows = []
    for row in found[found["backend"] != baseline].to_dict("records"):
        key = (row["model"], row["phase"])
        if key in base.index:
            ratios = {name: base.loc[key, name] / row[name] for name in VIEWS}
            sides = {value > 1 for value in ratios.values() if np.isfinite(value)}
            agree = "yes" if len(sides) == 1 else "no" if sides else "not measured"
            rows.append({**{name: row[name] for name in GROUP}, **ratios, "agree": agree})
    return pd.DataFrame(rows, columns=[*GROUP, *VIEWS, "agree"])


def best_and_worst(points, value="median", by=("model", "phase", "scenario")):
    """For each group of `by`: the fastest label, the slowest, and the latter's time over the former's."""
    rows = []
    for key, part in points.dropna(subset=value).groupby(list(by), observed=True, sort=True):
        first, last = part.loc[part[value].idxmin()], part.loc[part[value].idxmax()]
        rows.append({
            **dict(zip(by, key)), "fastest": str(first["backend"]), "slowest": str(last["backend"]),
            "apart": float(last[value] / first[value]), "labels": len(part),
        })  # fmt: skip
    return pd.DataFrame(rows, columns=[*by, "fastest", "slowest", "apart", "labels"])


def slow_over_fast(frame, backend, model, phase):
    """The slowest scenario's median over the fastest's for one backend, model and phase, as an Estimate.

    Far above 1, a pool of scenarios has two modes or more: its mean and tail are no scenario's own.
    """
    used = steady(frame)
    used = used[(used["backend"] == backend) & (used["model"] == model) & (used["phase"] == phase)]
    medians = used.groupby("scenario", observed=True)["seconds"].median()
    if len(medians) < 2:
        return quantile([], 0.5)
    slow, fast = (used[used["scenario"] == name] for name in (medians.idxmax(), medians.idxmin()))
    return median_ratio(slow, fast)
