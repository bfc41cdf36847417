"""Every engine against every other: blocked by scenario and prompt, replicated by session, corrected for their number."""

from itertools import combinations
import math

import numpy as np
import pandas as pd

from ..frames import steady
from ..intervals import Estimate
from ..stats.classical import anova_blocked, games_howell
from ..stats.comparisons import compare
from ..stats.corrections import adjust, at_tested_levels
from ..stats.estimates import quantile
from ..stats.resampling import hierarchical_bootstrap

LEVEL = 0.95
RESAMPLES = 2000
COLUMNS = ["model", "phase", "a", "b", "seconds_a", "seconds_b", "difference", "percent_change", "ratio", "low", "high",
           "p", "p_adjusted", "p_games_howell", "effect", "verdict", "n", "blocks", "method"]  # fmt: skip


def pairs(frame):
    """One row per model, phase and pair of engines: b against a. Below a ratio of 1, b is faster.

    Log medians are paired by session, scenario and prompt, and averaged over those blocks; n counts
    sessions. p is of Student's t over sessions, p_adjusted is Holm's over all pairs of the model and phase,
    and gives the verdict: faster, slower, equivalent or undecided. low and high hold for all these pairs at
    once (Bonferroni, 95 %). p_games_howell is the unpaired test of Games and Howell on the sessions' means,
    as a second opinion.
    """
    used, found = steady(frame), []
    for (model, phase), part in used.groupby(["model", "phase"], observed=True, sort=True):
        engines = sorted(part["engine"].unique())
        if len(engines) > 1:
            found.append(_of_group(part, engines).assign(model=str(model), phase=str(phase)))
    out = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=COLUMNS)
    return out.reindex(columns=COLUMNS)


def _of_group(part, engines):
    """The pairs of one model and phase."""
    family = math.comb(len(engines), 2)
    rows = [_pair(part, a, b, 1 - (1 - LEVEL) / family) for a, b in combinations(engines, 2)]
    out = pd.DataFrame(rows)
    alpha, center = 1 - LEVEL, np.log(out["ratio"].to_numpy(float))
    out["p_adjusted"] = adjust(out["p"])
    differs, same = out["p_adjusted"].to_numpy(float) < alpha, adjust(out.pop("p_equivalent")) < alpha
    choices = [differs & (center < 0), differs & (center > 0), same]
    out["verdict"] = np.select(choices, ["faster", "slower", "equivalent"], "undecided")
    howell = games_howell(_session_means(part, engines))
    return out.merge(howell[["a", "b", "p"]].rename(columns={"p": "p_games_howell"}), on=["a", "b"], how="left")


def _pair(part, a, b, level):
    both = part[part["engine"].isin([a, b])]
    row = compare(both, a, by=[], correction="none", level=level, between="engine").iloc[0]
    base, mine = float(row["baseline_seconds"]), float(row["seconds"])
    kept = {k: row[k] for k in ("ratio", "low", "high", "p", "p_equivalent", "effect", "n", "blocks", "method")}
    change = {"difference": mine - base, "percent_change": 100 * (float(row["ratio"]) - 1)}
    return {"a": a, "b": b, "seconds_a": base, "seconds_b": mine} | change | kept


def _session_means(part, engines):
    """{engine: its sessions' mean log seconds over the blocks that all engines measured in all sessions}."""
    whole = grid(part).dropna()
    return {name: whole[name].groupby("session").mean().to_numpy() for name in engines if name in whole}


def grid(part):
    """Logarithms of the cells' median seconds: a row per session, scenario and prompt, a column per engine."""
    cells = part.groupby(["session", "scenario", "prompt", "engine"], observed=True)["seconds"].median()
    return np.log(cells).unstack("engine")


def versus(frame, reference, phase="e2e"):
    """{(model, engine): Estimate of the ratio of its seconds to the reference's}, paired by session and block.

    Its interval is at the level at which Holm's correction tests it, over all these ratios.
    An engine or a reference that did not run gives an Estimate of nan, whose method says why.
    """
    part = frame[frame["phase"] == phase]
    whole = frame[["model", "engine"]].drop_duplicates().astype(str)
    asked = [(m, e) for m, e in whole.itertuples(index=False) if e != reference]
    if part.empty or reference not in set(part["engine"]):
        nothing = Estimate(math.nan, math.nan, math.nan, 0, "session", f"{reference} was not measured")
        return dict.fromkeys(asked, nothing)
    table = at_tested_levels(lambda level: compare(part, reference, by=["model"], between="engine", level=level))
    found = {
        (str(row.model), str(row.engine)): Estimate(row.ratio, row.low, row.high, int(row.n), "session", row.method)
        for row in table.itertuples()
    }
    gone = Estimate(math.nan, math.nan, math.nan, 0, "session", "was not measured")
    return {key: found.get(key, gone) for key in asked}


def anovas(frame):
    """One row per model and phase: F and p of the engine with the session as block, on sessions' mean log seconds.

    Only blocks (session, scenario and prompt) that all engines measured count, in so many `sessions`; `reason`
    says why there is no F.
    """
    rows = []
    for (model, phase), part in steady(frame).groupby(["model", "phase"], observed=True, sort=True):
        means = _session_means(part, sorted(part["engine"].unique()))
        row = {"model": str(model), "phase": str(phase), "engines": part["engine"].nunique()}
        rows.append(row | {"sessions": min(map(len, means.values()), default=0)} | _anova(means))
    columns = ["model", "phase", "engines", "sessions", "F", "df", "df_residual", "p", "reason"]
    return pd.DataFrame(rows, columns=columns)


def _anova(means):
    nothing = dict.fromkeys(("F", "df", "df_residual", "p"), math.nan)
    if len(means) < 2 or min(map(len, means.values())) < 2:
        return nothing | {"reason": "needs two engines and two sessions"}
    values = [(name, session, x) for name, of in means.items() for session, x in enumerate(of)]
    table = anova_blocked(pd.DataFrame(values, columns=["engine", "session", "log"]), "log", "engine", "session")
    if "reason" in table.attrs:
        return nothing | {"reason": table.attrs["reason"]}
    mine, rest = table.loc["engine"], table.loc["Residual"]
    return {"F": float(mine["F"]), "df": float(mine["df"]), "df_residual": float(rest["df"]), "p": float(mine["p"]), "reason": ""}


def spreads(frame, phase="e2e"):
    """One row per engine, model and scenario: bootstrapped mean of the sessions' medians, and the 95 % quantile.

    The quantile is refused below 59 calls in each session, the least that carry its interval.
    """
    used = steady(frame)
    rows = []
    for key, part in used[used["phase"] == phase].groupby(["engine", "model", "scenario"], observed=True, sort=True):
        sessions = part["session"].to_numpy()
        middle = hierarchical_bootstrap(part["seconds"], sessions, resamples=RESAMPLES)
        tail = quantile(part["seconds"], 0.95, sessions)
        rows.append(dict(zip(["engine", "model", "scenario"], key)) | {
            "n": len(part), "median": middle.value, "median_low": middle.low, "median_high": middle.high,
            "p95": tail.value, "p95_low": tail.low, "p95_high": tail.high, "p95_why": tail.method})  # fmt: skip
    names = ["n", "median", "median_low", "median_high", "p95", "p95_low", "p95_high", "p95_why"]
    return pd.DataFrame(rows, columns=["engine", "model", "scenario", *names])


def untold_tails(table):
    """A sentence on the rows of `spreads` whose tail is unknown, with an example of why."""
    gone = table[table["p95"].isna()]
    if gone.empty:
        return "No tail was refused." if len(table) else "No tail could be asked for."
    row = gone.iloc[0]
    return f"The tail of {len(gone)} of {len(table)} rows is unknown; {row.engine}, {row.scenario}: {row.p95_why}."
