"""At which model size two engines are equally fast: ratios of medians by size, session and scenario, and the crossing."""

import math

import numpy as np
import pandas as pd

from ..fits.crossovers import crossover
from ..fits.power_laws import power_law
from ..fits.shapes import line, laws
from ..frames import steady
from ..intervals import NAN, Estimate, refused
from ..stats.estimates import center_of_sessions, t_center
from .names import with_engine

KEYS = ["engine", "scenario", "phase"]
LEAST_SIZES = 8  # for a crossing of this study; the fit itself takes four
SHAPES = ("power", "log-quadratic", "piecewise")  # of a ratio; overhead + work is a law of times
FAR = 1000.0  # times the measured sizes: a bound beyond is shown as none, a crossing beyond as unknown
GRID = 4001  # sizes at which a curve is asked for its crossing, spaced by equal factors
BEYOND = 100.0  # times the largest size, and below the smallest: further out a crossing means nothing


def session_ratios(frame, reference, models, phases=None):
    """One row per engine, scenario, phase, model and session: median seconds of `reference` over the engine's.

    Above 1 the engine is the faster one. Only sessions that measured both count: a session is one fresh process a side.
    """
    used = with_engine(steady(frame))
    used = used[used["model"].isin(models)]
    used = used[used["phase"].isin(phases)] if phases else used
    keys = ["scenario", "phase", "model", "session"]
    medians = used.groupby(["engine", *keys], observed=True).agg(seconds=("seconds", "median"), params=("params_measured", "first"))
    medians = medians.reset_index().astype({name: str for name in ("engine", "scenario", "phase", "model")})
    base = medians[medians["engine"] == reference].drop(columns=["engine", "params"])
    both = medians[medians["engine"] != reference].merge(base, on=keys, suffixes=("", "_reference"))
    both["ratio"] = both["seconds_reference"] / both["seconds"]
    both = both.rename(columns={"params": "params_measured"})
    return both[[*KEYS, "model", "params_measured", "session", "ratio"]].sort_values([*KEYS, "params_measured", "session"], ignore_index=True)


def size_ratios(by_session):
    """One row per engine, scenario, phase and size: the ratio over sessions with its interval; nan with one session."""
    rows = []
    for key, part in by_session.groupby([*KEYS, "params_measured", "model"], sort=True):
        found = center_of_sessions(part["ratio"].to_numpy())
        value = math.exp(np.log(part["ratio"]).mean())
        rows.append(dict(zip([*KEYS, "params_measured", "model"], key)) | {"ratio": value, "low": found.low, "high": found.high,
                    "sessions": len(part)})  # fmt: skip
    return pd.DataFrame(rows, columns=[*KEYS, "params_measured", "model", "ratio", "low", "high", "sessions"])


def crossings(by_session, least=LEAST_SIZES):
    """One row per engine, scenario and phase: the size at which it stops (or starts) being faster than the reference.

    A line through log ratio against log size, one point a size (the mean over sessions). `size` is an Estimate whose
    interval is the hull of two: Fieller's over the sizes, for scatter about the line, and Student's t over the sessions'
    own crossings, for what moves a whole session; it is refused below `least` sizes or two sessions. `beyond`: how many
    times it lies beyond the measured sizes, where it is extrapolated; nan within them. Beside it Fieller's
    and the BCa bootstrap's own, the extremes without any one size, and the verdict: inside (the measured sizes),
    outside, no finite interval.
    """
    points, rows = size_ratios(by_session), []
    for key, part in points.groupby(KEYS, sort=True):
        found = crossover(part["params_measured"], part["ratio"])
        own = by_session[(by_session[KEYS] == list(key)).all(axis=1)]
        over, ends = _over_sessions(own), (part["params_measured"].min(), part["params_measured"].max())
        loo, size = found.loo[np.isfinite(found.loo)], _hull(found, over, least, ends)
        rows.append(dict(zip(KEYS, key)) | {
            "sizes": found.n, "sessions": own["session"].nunique(), "smallest": ends[0], "largest": ends[1], "slope": found.exponent, "size": size,
            "beyond": _beyond(size.value, ends),
            "fieller_kind": found.fieller.kind} | _near(ends, {
            "fieller_from": found.fieller.low, "fieller_to": found.fieller.high,
            "bootstrap_from": found.bootstrap.low, "bootstrap_to": found.bootstrap.high,
            "sessions_from": over.low, "sessions_to": over.high,
            "without_one_from": loo.min() if loo.size else NAN, "without_one_to": loo.max() if loo.size else NAN}) | {
            "verdict": found.verdict, "faster_at_largest": bool(part.sort_values("params_measured")["ratio"].iloc[-1] > 1)})  # fmt: skip
    columns = [*KEYS, "sizes", "sessions", "smallest", "largest", "slope", "size", "beyond", "fieller_kind", "fieller_from", "fieller_to",
               "bootstrap_from", "bootstrap_to", "sessions_from", "sessions_to", "without_one_from", "without_one_to", "verdict",
               "faster_at_largest"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _beyond(size, ends):
    """How many times a size lies beyond the nearest measured one; nan within them, or without a size."""
    factor = max(size / ends[1], ends[0] / size)
    return factor if factor > 1 else NAN


def _over_sessions(own):
    """The crossings of single sessions as an Estimate with Student's t of their logarithms; refused where one has none."""
    roots = [_log_root(part) for _, part in own.groupby("session")]
    if len(roots) < 2 or not np.isfinite(roots).all():
        return refused("one session, or one without a slope: no interval over sessions", len(roots), unit="session")
    mean, half = t_center(np.array(roots))
    return Estimate(*(_exp(v) for v in (mean, mean - half, mean + half)), len(roots), "session", "Student t of the sessions' crossings")


def _log_root(part):
    """The logarithm of the size at which one session's line is zero; nan with fewer than three sizes or no slope."""
    x, y = (np.log(part[name].to_numpy(float)) for name in ("params_measured", "ratio"))
    if np.unique(x).size < 3:
        return NAN
    intercept, slope = line(x, y)
    return -intercept / slope if slope else NAN


def _exp(log):
    """exp, infinite or zero where a float cannot hold it."""
    return math.inf if log > 700 else math.exp(log) if log > -700 else 0.0


def _near(ends, bounds):
    """The bounds, with 0 or infinity for those that lie beyond all reason (FAR times the measured sizes)."""
    least, most = ends[0] / FAR, ends[1] * FAR
    return {name: 0.0 if v < least else math.inf if v > most else v for name, v in bounds.items()}


def _hull(found, over, least, ends):
    """The crossing with the interval that holds both Fieller's and the sessions'; refused with the reason."""
    near = ends[0] / FAR <= found.value <= ends[1] * FAR
    words = ("no crossing within a thousand times the measured sizes" if not near
             else f"{found.n} sizes; this study asks for {least}" if found.n < least
             else "Fieller's interval is not finite: the slope may be zero" if not found.fieller.finite
             else over.method if math.isnan(over.low) else "")  # fmt: skip
    if words:
        return refused(words, found.n, found.value if near else NAN, "size")
    low, high = _near(ends, {"low": min(found.fieller.low, over.low), "high": max(found.fieller.high, over.high)}).values()
    return Estimate(found.value, low, high, found.n, "size",
                    f"hull of Fieller over {found.n} sizes and Student t over {over.n} sessions")  # fmt: skip


def least_squares_table(points):
    """One row per engine, scenario, phase and size: leverage, Cook's distance, and the crossing without this size."""
    rows = []
    for key, part in points.groupby(KEYS, sort=True):
        part = part.sort_values("params_measured")
        found, law = crossover(part["params_measured"], part["ratio"]), power_law(part["params_measured"], part["ratio"])
        if law.leverage.size != len(part):
            continue
        ends = part["params_measured"].iloc[[0, -1]].to_numpy(float)
        for place, row in enumerate(part.itertuples()):
            rows.append(dict(zip(KEYS, key)) | {"model": row.model, "params_measured": row.params_measured, "ratio": row.ratio,
                        "low": row.low, "high": row.high, "leverage": law.leverage[place], "cook": law.cook[place]}
                        | _near(ends, {"crossing_without": found.loo[place]}))  # fmt: skip
    return pd.DataFrame(rows, columns=[*KEYS, "model", "params_measured", "ratio", "low", "high", "leverage", "cook", "crossing_without"])


def rival_shapes(points):
    """One row per engine, scenario, phase and shape of the ratio: AICc, its weight, and where this shape would cross.

    `crossing` is nan where the curve does not cross 1 within a hundred times the measured sizes; `where` says inside or
    outside of the measured sizes. Shapes that disagree on it mean that the crossing is the shape's, not the data's.
    """
    rows = []
    for key, part in points.groupby(KEYS, sort=True):
        x, y = (part[name].to_numpy(float) for name in ("params_measured", "ratio"))
        if np.unique(x).size < 4:
            continue
        found = [law for law in laws(x, y) if law.name in SHAPES]
        scores = np.array([law.aicc for law in found])
        delta = scores - np.nanmin(scores) if np.isfinite(scores).any() else scores
        weight = np.exp(-delta / 2)
        for law, score, d, w in zip(found, scores, delta, weight / np.nansum(weight) if np.isfinite(weight).any() else weight):
            size = _root(law, x)
            rows.append(dict(zip(KEYS, key)) | {"shape": law.name, "aicc": score, "delta": d, "weight": w, "crossing": size,
                        "where": "none near" if math.isnan(size) else "inside" if x.min() <= size <= x.max() else "outside"})  # fmt: skip
    return pd.DataFrame(rows, columns=[*KEYS, "shape", "aicc", "delta", "weight", "crossing", "where"])


def _root(law, x):
    """The size nearest to the measured ones at which the law is 1; nan where there is none near."""
    grid = np.geomspace(x.min() / BEYOND, x.max() * BEYOND, GRID)
    logs = np.log(np.asarray(law.predict(grid), float))
    turns = np.flatnonzero(np.sign(logs[:-1]) * np.sign(logs[1:]) <= 0)
    if not turns.size:
        return NAN
    middle = math.sqrt(x.min() * x.max())
    k = turns[np.argmin(np.abs(np.log(grid[turns] / middle)))]
    share = logs[k] / (logs[k] - logs[k + 1]) if logs[k] != logs[k + 1] else 0.0
    return float(grid[k] * (grid[k + 1] / grid[k]) ** share)
