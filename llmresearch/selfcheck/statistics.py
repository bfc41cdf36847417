"""Does the method keep what it promises? Every check simulates worlds whose truth is known and asks the public functions."""

import math

import numpy as np
import pandas as pd
from scipy import stats

from ..stats.comparisons import MARGIN, compare
from ..stats.corrections import adjust
from ..fits.crossovers import crossover
from ..stats.estimates import median, quantile
from ..fits.power_laws import power_law
from ..intervals import level_at_look, needed, quantile_ranks
from ..fits.payback import UnitError, break_even
from ..stats.planning import design as plan_design
from ..stats.planning import n_needed, variance_components
from ..stats.resampling import block_bootstrap, hierarchical_bootstrap
from .worlds import INDEPENDENT, WORLDS, allowed, frame, log_times, noise

ALPHA = 0.05
COVERS = (0.93, 0.97)     # what an interval at 95 % that is not exact may cover
MOST_SESSIONS = 400       # a slow-down that needs more is simulated with so many, and its power not judged
SLOWDOWNS = (0.005, 0.01, 0.02, 0.05, 0.10)


def _compared(logs, names=("a", "b")):
    """One comparison per study, uncorrected."""
    return compare(frame(logs, names), names[0], by="study", correction="none")


def _result(name, passed, **figures):
    return {"name": name, "passed": bool(passed), **figures}


def aa(pairs=1000, sessions=5, calls=15, seed=1):
    """S1: the share of pairs of identical backends that are told apart, in every world; beside two usual recipes."""
    rng, rows = np.random.default_rng(seed), []
    for world in WORLDS:
        logs = log_times(rng, world, (pairs, sessions, 2, 1, calls))
        ours = (_compared(logs)["p"] < ALPHA).mean()
        rows.append({"world": world, "false_positives": float(ours), **usual_false_positives(logs)})
    bar = allowed(ALPHA, pairs)
    return _result("aa", all(row["false_positives"] <= bar for row in rows), bar=bar, pairs=pairs, rows=rows)


def usual_false_positives(logs):
    """What others would claim of the same calls: Welch and Mann–Whitney over all calls pooled."""
    pooled = np.exp(logs).swapaxes(1, 2).reshape(logs.shape[0], 2, -1)
    welch = stats.ttest_ind(pooled[:, 0], pooled[:, 1], axis=1, equal_var=False).pvalue
    ranks = stats.mannwhitneyu(pooled[:, 0], pooled[:, 1], axis=1).pvalue
    return {"welch": float((welch < ALPHA).mean()), "mann_whitney": float((ranks < ALPHA).mean())}


def ab(pairs=600, calls=15, world="process offset 1x", seed=2):
    """S2: at each slow-down, with the sessions that the planner asks for: power, wrong signs, coverage of the ratio."""
    rng, rows = np.random.default_rng(seed), []
    pilot = log_times(rng, world, (20_000, 1, 2, 1, calls))
    sd = float(np.diff(np.median(pilot, axis=-1)[:, 0, :, 0], axis=1).std(ddof=1))
    for slower in SLOWDOWNS:
        sessions = min(int(n_needed(math.log1p(slower), sd)), MOST_SESSIONS)
        studies = max(100, min(pairs, 2_000_000 // (2 * sessions * calls)))
        logs = log_times(rng, world, (studies, sessions, 2, 1, calls))
        logs[:, :, 1] += math.log1p(slower)
        rows.append({"slowdown": slower, "sessions": sessions, "studies": studies, **_power(_compared(logs), slower)})
        rows[-1]["judged"] = sessions < MOST_SESSIONS
    passed = all(row["wrong_sign"] <= 0.001 + 2 / row["studies"] and _within(row["coverage"], row["studies"])
                 and (row["power"] >= 0.8 - 2 * (0.16 / row["studies"]) ** 0.5 or not row["judged"]) for row in rows)
    return _result("ab", passed, sd_between_sessions=sd, rows=rows)


def _power(found, slower):
    covered = (found["low"] <= 1 + slower) & (1 + slower <= found["high"])
    return {"power": float((found["verdict"] == "slower").mean()),
            "wrong_sign": float((found["verdict"] == "faster").mean()), "coverage": float(covered.mean())}


def _within(share, trials, least=COVERS[0], most=COVERS[1]):
    """Whether a share of `trials` lies between the bounds, give or take two standard errors."""
    room = 2 * (0.05 * 0.95 / trials) ** 0.5
    return bool(least - room <= share <= most + room)


def coverage(studies=400, seed=3):
    """S3: how often each interval holds the truth, per world and n; exact ones at least 95 %, others 93 to 97 %, or no
    interval at all. One process cannot show the spread between processes: sessions answer for those worlds."""
    rng, rows = np.random.default_rng(seed), []
    for world in INDEPENDENT:
        for n in (3, 5, 7, 15, 30):
            x = noise(rng, *WORLDS[world][:2], (studies, n))
            rows.append(_row("median, one session", world, n, [median(np.exp(r)) for r in x], 1.0, 0.95, 1.0))
    for world in WORLDS:
        for sessions in (3, 5, 10):
            rows += _over_sessions(rng, world, sessions, studies)
    for rho in (0.6, 0.9):
        rows += _of_series(rng, rho, studies)
    return _result("coverage", all(row["passed"] for row in rows), studies=studies, rows=rows)


def _row(method, world, n, estimates, truth, least=COVERS[0], most=COVERS[1]):
    """One row: how many gave an interval, and the share of these that hold the truth."""
    given = [e for e in estimates if math.isfinite(e.low)]
    share = float(np.mean([e.low <= truth <= e.high for e in given])) if given else math.nan
    few = len(given) < 0.05 * len(estimates)      # refused, but for the luck of a few
    return {"method": method, "world": world, "n": n, "given": len(given) / len(estimates), "covered": share,
            "passed": bool(few or _within(share, len(given), least, most))}


def _over_sessions(rng, world, sessions, studies, calls=15):
    logs = log_times(rng, world, (studies, sessions, 2, 1, calls))
    found = _compared(logs)
    ratio = ((found["low"] <= 1) & (1 <= found["high"])).mean()
    labels = np.repeat(range(sessions), calls)
    arms = logs[:, :, 0, 0].reshape(studies, -1)
    exact = sessions >= needed(0.5)
    return [
        {"method": "compare, ratio", "world": world, "n": sessions, "given": float(found["low"].notna().mean()),
         "covered": float(ratio), "passed": bool(_within(ratio, studies))},
        _row("median, sessions", world, sessions, [median(np.exp(x), labels) for x in arms], 1.0,
             0.95 if exact else COVERS[0], 1.0 if exact else COVERS[1]),
        _row("hierarchical bootstrap", world, sessions,
             [hierarchical_bootstrap(x, labels, resamples=2000, seed=i) for i, x in enumerate(arms[:studies // 2])], 0.0,
             most=1.0 if world == "bimodal" else COVERS[1]),     # resampled medians jump between modes: it is too wide there
    ]


def _of_series(rng, rho, studies):
    """One autocorrelated process: blocks where there are enough, and mostly a refusal where there are not."""
    rows, world = [], f"AR(1) {rho}"
    for n in (30, 600, 3000):
        x = noise(rng, "ar", rho, (studies, n))
        row = _row("median, one autocorrelated session", world, n, [median(np.exp(r)) for r in x], 1.0, 0.93, 1.0)
        if n == 30:      # what the test of independence lets pass, it lets pass wrongly: count it with the refusals
            row["passed"] = bool(1 - row["given"] * (1 - np.nan_to_num(row["covered"])) >= COVERS[0])
        rows.append(row)
        if n == 3000:
            boots = [block_bootstrap(r, resamples=200, seed=i) for i, r in enumerate(x[:studies // 2])]
            rows.append(_row("block bootstrap", world, n, boots, 0.0, 0.91, 0.97))
    return rows


def fwer(families=150, backends=7, scenarios=9, sessions=5, calls=7, seed=4):
    """S4: the share of studies of identical backends in which any is claimed to differ, over all scenarios, by Holm."""
    rng = np.random.default_rng(seed)
    names = tuple("abcdefghij"[:backends])
    logs = log_times(rng, "process offset 1x", (families, sessions, backends, scenarios, calls))
    found = compare(frame(logs, names), "a", by=["study", "scenario"], correction="none")
    p = found["p"].to_numpy().reshape(families, -1)
    holm = float(np.mean([(adjust(row, "holm") < ALPHA).any() for row in p]))
    plain = float((p < ALPHA).any(axis=1).mean())
    return _result("fwer", holm <= allowed(ALPHA, families), holm=holm, uncorrected=plain, comparisons=p.shape[1],
                   families=families, bar=allowed(ALPHA, families))


def simpson(studies=200, speedup=0.10, seed=5):
    """S5: a gain of 10 % in all nine scenarios, whose times span a factor of fifty: found when blocked, lost when pooled."""
    rng = np.random.default_rng(seed)
    logs = log_times(rng, "process offset 0.25x", (studies, 5, 2, 9, 7)) + np.linspace(0, 4, 9)[:, None]
    logs[:, :, 1] -= math.log1p(speedup)
    blocked = float((_compared(logs)["verdict"] == "faster").mean())
    return _result("simpson", blocked >= 0.95, blocked_power=blocked, pooled_power=usual_false_positives(logs)["welch"])


def peeking(studies=2000, first=5, last=50, seed=6):
    """S6: false positives when looked at after every sample, with alpha spent over the looks, and naively."""
    rng = np.random.default_rng(seed)
    x = noise(rng, "skewed", 0, (studies, last))
    spent, naive = np.zeros(studies, bool), np.zeros(studies, bool)
    for look, n in enumerate(range(first, last + 1), start=1):
        ordered = np.sort(x[:, :n], axis=1)
        for wrong, level in ((spent, level_at_look(look)), (naive, 0.95)):
            low, high, _ = quantile_ranks(n, 0.5, level)
            if low:
                wrong |= (ordered[:, low - 1] > 0) | (ordered[:, high - 1] < 0)
    return _result("peeking", spent.mean() <= ALPHA, alpha_spending=float(spent.mean()), naive=float(naive.mean()))


def design(campaigns=60, pilot_sessions=150, half_width=0.011, between=0.047, within=0.046, seed=7):
    """S7: pilot, design, campaign: the share in which the half-width comes out within 20 % of the prediction."""
    rng, close, sizes = np.random.default_rng(seed), [], []
    for _ in range(campaigns):
        planned = plan_design(variance_components(*_campaign(rng, pilot_sessions, 30, between, within)), half_width, 4.5, 0.008)
        x, labels = _campaign(rng, planned.sessions, planned.samples, between, within)
        points = np.log(np.median(x.reshape(planned.sessions, -1), axis=1))
        reached = stats.t.ppf(0.975, len(points) - 1) * points.std(ddof=1) / len(points) ** 0.5
        close.append(abs(math.expm1(reached) / planned.half_width - 1) <= 0.2)
        sizes.append(planned.sessions)
    return _result("design", np.mean(close) >= 0.9 - 2 * (0.09 / campaigns) ** 0.5, within_20_per_cent=float(np.mean(close)),
                   campaigns=campaigns, median_sessions=float(np.median(sizes)))


def _campaign(rng, sessions, samples, between, within):
    logs = between * rng.standard_normal((sessions, 1)) + within * rng.standard_normal((sessions, samples))
    return np.exp(logs).ravel(), np.repeat(range(sessions), samples)


def verdicts(studies=1000, seed=8):
    """S8: equivalent is rarely said at the margin's edge, often where it is true; undecided always says how many more."""
    rng, rows = np.random.default_rng(seed), []
    for ratio, sessions in ((1 + MARGIN, 5), (1 + MARGIN, 10), (1 / (1 + MARGIN), 10), (1.0, 10)):
        logs = log_times(rng, "process offset 0.25x", (studies, sessions, 2, 1, 30))
        logs[:, :, 1] += math.log(ratio)
        found = _compared(logs)
        open_ = found[found["verdict"] == "undecided"]
        rows.append({"ratio": ratio, "sessions": sessions, "equivalent": float((found["verdict"] == "equivalent").mean()),
                     "undecided": len(open_) / studies, "n_needed_missing": int(open_["n_needed"].isna().sum())})
    edge = all(row["equivalent"] <= allowed(ALPHA, studies) for row in rows[:3])
    return _result("verdicts", edge and not any(row["n_needed_missing"] for row in rows), margin=MARGIN, rows=rows)


def tails(studies=1000, seed=9):
    """S9: tails are refused below the n that carries them (59, 299), and their intervals cover above."""
    rng, rows = np.random.default_rng(seed), []
    for q, n in ((0.95, 59), (0.95, 200), (0.99, 299), (0.99, 1000)):
        x = rng.exponential(size=(studies, n))
        rows.append(_row(f"p{round(100 * q)}", "exponential", n, [quantile(r, q, independent=True) for r in x],
                         -math.log(1 - q), 0.95, 1.0))
    refused = all(math.isnan(quantile(rng.random(n), q).value) for q, n in ((0.95, 58), (0.99, 298), (0.99, 30)))
    least = (needed(0.5), needed(0.95), needed(0.99))
    return _result("tails", refused and least == (6, 59, 299) and all(r["passed"] for r in rows), needed=least, rows=rows)


def scaling(families=300, seed=10):
    """S10: exponents cover the truth, overhead is not taken for a law, few sizes claim none, crossings cover too."""
    rng = np.random.default_rng(seed)
    true, overhead, crossed = [], [], []
    for _ in range(families):
        x, k = np.geomspace(1e6, 1e9, rng.integers(8, 15)), rng.uniform(0.2, 1.0)
        law = power_law(x, rng.lognormal() * x**k * np.exp(rng.uniform(0.01, 0.15) * rng.standard_normal(x.size)))
        true.append((law.exponent.low <= k <= law.exponent.high, law.verdict == "supported"))
        flat = (x.max() * rng.uniform(0.2, 1.0) + x) * np.exp(0.02 * rng.standard_normal(x.size))
        overhead.append(power_law(x, flat).verdict == "rejected")
        ratio = np.exp(-0.5 * np.log(x / 5e7) + 0.1 * rng.standard_normal(x.size))
        c = crossover(x, ratio, resamples=400)
        crossed.append((c.fieller.holds(5e7), c.bootstrap.holds(5e7)))
    few = [power_law(np.arange(1.0, n + 1), np.arange(1.0, n + 1) ** 2) for n in (3, 4, 7)]
    says_few = all(law.verdict == "too few sizes" for law in few) and math.isnan(few[0].exponent) and few[1].exponent > 0
    covered, supported = np.mean(true, axis=0)
    fieller, boot = np.mean(crossed, axis=0)
    passed = says_few and all(_within(v, families) for v in (covered, fieller, boot)) and np.mean(overhead) >= 0.95
    return _result("scaling", passed, families=families, exponent_covered=float(covered), laws_supported=float(supported),
                   overhead_rejected=float(np.mean(overhead)), fieller_covered=float(fieller), bca_covered=float(boot))


def units():
    """S11: the published case by definition, whatever the units, and a refusal for every wrong unit."""
    tokens = 240 * 2121 * 6284 / (6284 - 2121)
    found = [break_even(240, 2121, 6284), break_even("4 min", "127260 token/min", "6.284 token/ms")]
    caught = 0
    mutants = (("240 token", 2121, 6284), (240, "2121 s", 6284), (240, 2121, "6284 s/token"), (240, "2121 m/s", 6284))
    for mutant in mutants:
        try:
            break_even(*mutant)
        except UnitError:
            caught += 1
    exact = all(math.isclose(e.tokens, tokens, rel_tol=1e-12) for e in found)
    return _result("units", exact and caught == len(mutants), tokens=found[0].tokens, seconds_after_build=found[0].seconds,
                   mutants_caught=caught, mutants=len(mutants))


def table(result):
    """The rows of a result as a frame, for printing."""
    return pd.DataFrame(result.get("rows", [{k: v for k, v in result.items() if k != "rows"}]))


