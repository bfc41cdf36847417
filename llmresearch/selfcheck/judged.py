"""The tables of the methodology report: how often each way of judging is right, with exact intervals of the shares."""

import math
import re

import numpy as np
import pandas as pd
from scipy import stats

from ..frames import samples
from ..intervals import NAN, Estimate, needed, quantile_ranks, refused
from ..stats.comparisons import compare
from . import rivals, statistics
from .worlds import WORLDS, allowed, frame, log_times

ALPHA = 0.05
WELCH, RANKS = "Welch over all calls pooled", "Mann-Whitney over all calls pooled"
METHODS = (rivals.OURS, WELCH, RANKS, rivals.POOLED, rivals.MEANS)
PER_STUDY = 5     # sessions of one study
OURS = rivals.OURS
OUTCOMES = ("right", "wrong", "undecided")
EXACT = "binomial, Clopper and Pearson"


def share(hits, trials):
    """The share of `hits` among independent `trials` as an Estimate; its interval is Clopper and Pearson's (1934)."""
    if trials < 1:
        return refused("no trial")
    found = stats.binomtest(int(hits), int(trials)).proportion_ci()
    return Estimate(hits / trials, float(found.low), float(found.high), int(trials), "study", EXACT)


def share_of_drawn(mean, apart):
    """The share `mean` over studies that draw from common sessions, of which only `apart` share none, as an Estimate.

    The average over all draws varies no more than that over `apart` disjoint studies (Hoeffding 1948), so the exact
    interval of so few, from the whole numbers of hits around the share, is on the safe side.
    """
    if apart < 1 or not math.isfinite(mean):
        return refused(f"fewer than {PER_STUDY} sessions: not one study")
    hits = mean * apart
    low, high = share(math.floor(hits + 1e-9), apart).low, share(math.ceil(hits - 1e-9), apart).high
    method = f"{EXACT}, of the studies without common sessions"
    return Estimate(float(mean), low, high, int(apart), "disjoint study", method)


def overall(estimates):
    """The share over several independent lots, as an Estimate; `estimates` are those of `share`."""
    given = [e for e in estimates if e.n]
    return share(round(sum(e.value * e.n for e in given)), sum(e.n for e in given))


def false_positives(pairs, seed=1, worlds=WORLDS, calls=15):
    """A frame with the share of `pairs` of identical backends that each method tells apart, by simulated world.

    A row each world and method; `bar` is what a method that keeps 5 % may show, two standard errors above it.
    """
    rng, rows = np.random.default_rng(seed), []
    for world in worlds:
        logs = log_times(rng, world, (pairs, PER_STUDY, 2, 1, calls))
        for method, p in _p_values(logs).items():
            rows.append({"world": world, "method": method, "told_apart": share((p < ALPHA).sum(), pairs)})
    table = pd.DataFrame(rows)
    within = [e.value <= allowed(ALPHA, pairs) for e in table["told_apart"]]
    table = table.assign(bar=allowed(ALPHA, pairs), within=within)
    return table.sort_values("method", key=lambda names: names.map(METHODS.index), kind="stable", ignore_index=True)


def over_worlds(table):
    """`false_positives` with one row per method: the share over all worlds, and the world in which it is largest."""
    rows = []
    for method, part in table.groupby("method", sort=False):
        worst = max(part.itertuples(), key=lambda row: row.told_apart.value)
        rows.append({"method": method, "told_apart": overall(part["told_apart"]), "most": worst.told_apart.value,
                     "in_world": worst.world})
    return pd.DataFrame(rows)


def _p_values(logs):
    """The p-values of each method on the same calls; whose mean is lower wins always, as if p were 0."""
    a, b = np.exp(logs).swapaxes(1, 2).reshape(logs.shape[0], 2, -1).swapaxes(0, 1)
    return {
        rivals.OURS: compare(frame(logs), "a", by="study", correction="none")["p"].to_numpy(),
        WELCH: stats.ttest_ind(a, b, axis=1, equal_var=False).pvalue,
        RANKS: stats.mannwhitneyu(a, b, axis=1).pvalue,
        rivals.POOLED: stats.ttest_ind(a, b, axis=1).pvalue,
        rivals.MEANS: np.where(a.mean(axis=1) == b.mean(axis=1), 1.0, 0.0),
    }


def orders(pairs, seed=11, worlds=("drift 1 %", "drift 3 %"), calls=15):
    """A frame: identical backends on a drifting machine, interleaved or not; shares told apart and refused."""
    rng, rows = np.random.default_rng(seed), []
    for world in worlds:
        for interleave in (True, False):
            logs = log_times(rng, world, (pairs, PER_STUDY, 2, 1, calls), interleave)
            calls_ = frame(logs) if interleave else _placed(frame(logs), calls)
            p = compare(calls_, "a", by="study", correction="none")["p"].to_numpy()
            rows.append({"world": world, "order": "interleaved" if interleave else "one always last",
                         "ours": share((p < ALPHA).sum(), pairs), "refused": share(np.isnan(p).sum(), pairs),
                         "welch": share((_p_values(logs)[WELCH] < ALPHA).sum(), pairs)})
    return pd.DataFrame(rows)


def _placed(calls_, per_process):
    """The calls with their places in time, where the arms of a session run one after the other."""
    return calls_.assign(order=calls_["backend"].cat.codes, index=np.arange(len(calls_)) % per_process)


def coverage(studies, seed=3):
    """A frame: how often each interval holds the truth, by method, world and n; `stated` is the level that it promises.

    `given` is the share of the studies in which there is an interval at all, rather than a refusal.
    """
    table = statistics.table(statistics.coverage(studies, seed))
    exact = (table["method"].isin(["median, one session", "median, sessions"])) & (table["n"] >= needed(0.5))
    trials = [round(g * _studies(m, studies)) for g, m in zip(table["given"], table["method"])]
    held = [share(round(c * n), n) if n else refused("always refused") for c, n in zip(table["covered"], trials)]
    stated = [quantile_ranks(int(n))[2] if e else 0.95 for n, e in zip(table["n"], exact)]
    kind = np.where(exact, "exact", "approximate")
    return table[["method", "world", "n", "given"]].assign(covered=held, stated=stated, kind=kind)


def _studies(method, studies):
    return studies // 2 if "bootstrap" in method else studies


def by_method(table):
    """The coverage table pooled over the worlds and n in which at least half of the studies have an interval."""
    given = table[table["given"] >= 0.5]
    rows = [{"method": method, "kind": kind, "worlds": part["world"].nunique(), "covered": overall(part["covered"])}
            for (method, kind), part in given.groupby(["method", "kind"], sort=False)]
    return pd.DataFrame(rows, columns=["method", "kind", "worlds", "covered"])


def power(pairs, seed=2):
    """A frame: with the sessions that the planner asks for 80 % power, what each slow-down finds."""
    found = statistics.table(statistics.ab(pairs, seed=seed))
    for name in ("power", "wrong_sign", "coverage"):
        found[name] = [share(round(v * n), n) for v, n in zip(found[name], found["studies"])]
    found["planned"] = np.where(found.pop("judged"), 0.8, NAN)
    return found[["slowdown", "sessions", "studies", "planned", "power", "wrong_sign", "coverage"]]


def promises(families, studies, peeks):
    """A frame: families, peeking, Simpson and verdicts at the margin; our share beside that of the careless way."""
    family, peek = statistics.fwer(families), statistics.peeking(peeks)
    simpson, verdicts = statistics.simpson(studies), statistics.verdicts(studies)["rows"]
    edge, same = max(row["equivalent"] for row in verdicts[:3]), verdicts[3]["equivalent"]
    rows = [
        ("families", "any of a study's comparisons of identical backends is claimed", family["holm"], families,
         "no correction", family["uncorrected"]),
        ("peeking", "the interval ever misses, looked at after every sample", peek["alpha_spending"], peeks,
         "95 % at each look", peek["naive"]),
        ("Simpson", "a gain present in every scenario is found", simpson["blocked_power"], studies,
         "all scenarios pooled", simpson["pooled_power"]),
        ("margin", "called equivalent though it lies at the margin (worst case)", edge, studies, "", NAN),
        ("equal", "called equivalent where it is", same, studies, "", NAN),
    ]  # fmt: skip
    return pd.DataFrame([_promise(*row) for row in rows])


def _promise(name, what, value, n, other, theirs):
    there = share(round(theirs * n), n) if math.isfinite(theirs) else refused("no rival")
    ours = share(round(value * n), n)
    return {"promise": name, "share_in_which": what, "ours": ours, "other_way": other, "theirs": there}


def simulated_verdicts(studies, seed=0):
    """A frame: shares of right, wrong and undecided verdicts by slow-down and method, over all simulated worlds."""
    table = rivals.all_simulated(studies, seed=seed)
    for name in OUTCOMES:
        table[name] = [share(round(value * studies), studies) for value in table[name]]
    rows = [{"slowdown": slow, "method": method} | {kind: overall(part[kind]) for kind in OUTCOMES}
            for (slow, method), part in table.groupby(["slowdown", "method"], sort=False)]
    return pd.DataFrame(rows)


def calls_of(df):
    """All samples that ran to their end, those disturbed by other programs too: every method judges the same calls."""
    return samples(df).drop(columns="contaminated")


def ratios(calls, arms):
    """A frame: each slowed backend beside its identical twin's baseline over all sessions, and the truth put in.

    `arms` maps a baseline to its candidates, and these to their true slow-down (0.05 for 5 %).
    """
    tables = [_ratio_rows(calls, baseline, truths) for baseline, truths in arms.items()]
    tables = [table for table in tables if len(table)]
    nothing = pd.DataFrame(columns=["backend", "phase", "slowdown", "ratio"])
    return pd.concat(tables, ignore_index=True) if tables else nothing


def _ratio_rows(calls, baseline, truths):
    mine = calls[calls["backend"].astype(str).isin([baseline, *truths])].astype({"backend": str})
    if baseline not in set(mine["backend"]) or mine["backend"].nunique() < 2:
        return pd.DataFrame()
    found = compare(mine, baseline, by="phase")
    found.insert(2, "slowdown", found["backend"].map(truths))
    inside = (found["low"] <= 1 + found["slowdown"]) & (1 + found["slowdown"] <= found["high"])
    return found.assign(truth_inside=inside).sort_values(["phase", "slowdown"], ignore_index=True)


def ratio(row):
    """The ratio of one row of `ratios` as an Estimate."""
    return Estimate(row.ratio, row.low, row.high, int(row.n), "session", row.method)


def measured_verdicts(calls, arms, studies=200, seed=0):
    """A frame: shares of right, wrong and undecided verdicts of each method, by baseline, phase and true slow-down.

    Each study draws five of the measured sessions at random; the arms of identical backends change places at random.
    """
    rows = []
    for baseline, truths in arms.items():
        for candidate, slow in truths.items():
            for phase, part in calls.groupby("phase", observed=True):
                found = _drawn(part, baseline, candidate, slow, studies, seed)
                rows += [{"baseline": baseline, "phase": str(phase), "slowdown": slow, **row} for row in found]
    return pd.DataFrame(rows, columns=["baseline", "phase", "slowdown", "method", "right", "wrong", "undecided"])


def _drawn(part, baseline, candidate, slow, studies, seed):
    """The rows of one candidate and phase; none where fewer than five sessions hold both arms."""
    both = part[part["backend"].astype(str).isin([baseline, candidate])]
    arms = both.groupby("session")["backend"].transform("nunique")
    both = both[arms == 2]
    apart = both["session"].nunique() // PER_STUDY
    if not apart:
        return []
    drawn = rivals.studies_of(both, baseline, candidate, studies, PER_STUDY, seed, swap=slow == 0)
    table = rivals.shares(judged(drawn, baseline, candidate), slow)
    for name in OUTCOMES:
        table[name] = [share_of_drawn(round(value, 9), apart) for value in table[name]]
    return table.to_dict("records")


def short(words):
    """The words as a claim's id: the first bracket left out, words joined by underscores."""
    return "_".join(re.findall(r"[a-z0-9]+", re.sub(r" \(.*?\)", "", words).lower()))


def judged(df, baseline, candidate):
    """`rivals.judged` with the verdicts of Welch and of Mann and Whitney: a row per study, a column per method."""
    said = rivals.judged(df, baseline, candidate)
    for key, part in df.groupby("study"):
        a, b = (part.loc[part["backend"] == name, "seconds"].to_numpy() for name in (baseline, candidate))
        found = {WELCH: stats.ttest_ind(a, b, equal_var=False), RANKS: stats.mannwhitneyu(a, b)}
        for method, p in ((name, test.pvalue) for name, test in found.items()):
            said.loc[key, method] = said.loc[key, rivals.MEANS] if p < ALPHA else "undecided"
    return said[list(METHODS)]
