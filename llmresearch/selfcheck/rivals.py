"""The same data, three ways to judge: ours, a t test over all calls pooled, and whose mean is lower."""

import math

import numpy as np
import pandas as pd
from scipy import stats

from ..stats.comparisons import MARGIN, compare
from .worlds import WORLDS, frame, log_times

TRUTHS = (0.0, 0.02, 0.05, 0.10)
OURS, POOLED, MEANS = "compare (paired, blocked, over sessions)", "t test over all calls pooled", "lower mean wins"


def judged(df, baseline, candidate, alpha=0.05):
    """A frame of verdicts with a row per `study` and a column per method."""
    ours = compare(df, baseline, by="study", correction="none", level=1 - alpha).set_index("study")["verdict"]
    rows = {}
    for key, part in df.groupby("study"):
        a, b = (part.loc[part["backend"] == name, "seconds"].to_numpy() for name in (baseline, candidate))
        said = "slower" if b.mean() > a.mean() else "faster"
        rows[key] = {POOLED: said if stats.ttest_ind(a, b).pvalue < alpha else "undecided", MEANS: said}
    return pd.DataFrame.from_dict(rows, orient="index").assign(**{OURS: ours})[[OURS, POOLED, MEANS]]


def shares(verdicts, slowdown, margin=MARGIN):
    """A frame with the share of right, wrong and undecided verdicts per method, given the true slow-down.

    Identical engines: equivalent is right, a winner is wrong. Otherwise the right sign is right; the other sign, or
    equivalent where the slow-down is the margin or more, is wrong.
    """
    right = {"equivalent"} if slowdown == 0 else {"slower"} | ({"equivalent"} if slowdown < margin else set())
    table = pd.DataFrame({"right": verdicts.isin(right).mean(), "undecided": (verdicts == "undecided").mean()})
    table.insert(1, "wrong", 1 - table["right"] - table["undecided"])
    return table.rename_axis("method").reset_index()


def simulated(world, slowdown, studies=500, sessions=5, scenarios=3, calls=15, seed=0):
    """`shares` in one simulated world, of scenarios whose times span a factor of ten."""
    rng = np.random.default_rng(seed)
    logs = log_times(rng, world, (studies, sessions, 2, scenarios, calls)) + np.linspace(0, math.log(10), scenarios)[:, None]
    logs[:, :, 1] += math.log1p(slowdown)
    table = shares(judged(frame(logs), "a", "b"), slowdown)
    return table.assign(world=world, slowdown=slowdown)[["world", "slowdown", *table.columns]]


def all_simulated(studies=500, worlds=WORLDS, truths=TRUTHS, seed=0, **sizes):
    """`simulated` for every world and slow-down, as one frame."""
    return pd.concat([simulated(world, slow, studies, seed=seed + 100 * i + j, **sizes)
                      for i, world in enumerate(worlds) for j, slow in enumerate(truths)], ignore_index=True)


def studies_of(df, baseline, candidate, studies=200, sessions=5, seed=0, swap=False):
    """Many studies of `sessions` sessions, drawn at random from one measured frame that has more of them.

    With `swap` (identical engines) the two arms of a session change places at random, which identical engines cannot
    notice. The studies share sessions, so they are not independent of each other.
    """
    rng = np.random.default_rng(seed)
    kept = df[df["backend"].astype(str).isin([baseline, candidate])]
    by_session = {key: part for key, part in kept.groupby("session")}
    other, parts = {baseline: candidate, candidate: baseline}, []
    for study in range(studies):
        for key in rng.choice(list(by_session), sessions, replace=False):
            part = by_session[key].assign(study=study)
            names = part["backend"].astype(str)
            parts.append(part.assign(backend=names.map(other) if swap and rng.random() < 0.5 else names))
    return pd.concat(parts, ignore_index=True)
