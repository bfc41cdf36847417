"""How time grows with model size: points, laws, warm-up, cold start and capacity, from frames to frames."""

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import special

from .stats.estimates import median_ratio
from .fits.power_laws import power_law
from .frames import first_calls, samples, steady
from .intervals import Estimate
from .fits.shapes import compare_laws
from .steadiness import steady_from
from .stats.summaries import summary

ENGINE = ["backend", "device", "dtype"]
SIZE = ["model", "params_measured"]


def scaling_points(frame, scenario=None, phases=None):
    """One row per engine, model, scenario and phase: median seconds of a call with its interval, sorted by size.

    `engine` names backend, device and precision in one word; `params_measured` is a float. Calls after warm-up only.
    """
    used = steady(frame)
    used = used[used["scenario"].isin([scenario])] if scenario else used
    used = used[used["phase"].isin(phases)] if phases else used
    found = summary(used, [*ENGINE, *SIZE, "scenario", "phase", "prompt_tokens", "new_tokens", "batch"])
    if found.empty:
        return found.reindex(columns=["engine", *ENGINE, *SIZE, "scenario", "phase", "median", "low", "high", "n"])
    found["params_measured"] = found["params_measured"].astype(float)
    found.insert(0, "engine", found[ENGINE].astype(str).agg(" ".join, axis=1))
    return found.sort_values(["engine", "phase", "scenario", "params_measured"], ignore_index=True)


def laws(points, by="engine"):
    """{(name, phase): PowerLaw} of median seconds against parameters; one scenario at a time."""
    groups = points.groupby([by, "phase"], observed=True, sort=True)
    return {key: power_law(part["params_measured"], part["median"]) for key, part in groups}


def law_table(points, by="engine"):
    """One row per law: exponent with its interval, R², n, what it rests on, the law that AICc prefers, the verdict."""
    rows = []
    for (name, phase), law in laws(points, by).items():
        loo = np.asarray(law.loo, dtype=float)
        rows.append({
            by: name, "phase": phase, "exponent": float(law.exponent), "low": law.exponent.low, "high": law.exponent.high,
            "r2": law.r2, "n": law.n, "theil_sen": law.theil_sen,
            "loo_low": loo.min() if loo.size else np.nan, "loo_high": loo.max() if loo.size else np.nan,
            "largest_leverage": law.leverage.max() if law.leverage.size else np.nan,
            "curvature_p": law.curvature_p, "verdict": law.verdict, "why": law.method,
        })  # fmt: skip
    return pd.DataFrame(rows)


def rival_laws(points, by="engine"):
    """One row per engine, phase and law (power, overhead + work, piecewise, log-quadratic): parameters and AICc."""
    rows = []
    for (name, phase), part in points.groupby([by, "phase"], observed=True, sort=True):
        found = compare_laws(part["params_measured"], part["median"])
        rows += [{by: name, "phase": phase} | row for row in pd.DataFrame(found).to_dict("records")]
    return pd.DataFrame(rows)


def growth(frame, family, scenario, by="engine"):
    """One row per engine and phase: how much longer the largest model takes than the smallest (`times`, with its
    interval over sessions), how much larger it is (`sizes`), and `relative`, the first over the second, as Estimates.
    """
    used = steady(frame)
    used = used[used["scenario"].isin([scenario]) & used["model"].isin(family)]
    rows = []
    for key, part in used.groupby([*ENGINE, "phase"], observed=True, sort=True):
        sizes = part["params_measured"].astype(float)
        small, large = part[sizes == sizes.min()], part[sizes == sizes.max()]
        times, factor = median_ratio(large, small), sizes.max() / sizes.min()
        relative = replace(times, value=times.value / factor, low=times.low / factor, high=times.high / factor)
        rows.append({by: " ".join(key[:3]), "phase": key[3], "smallest": small["model"].iloc[0],
                     "largest": large["model"].iloc[0], "sizes": factor, "times": times, "relative": relative})  # fmt: skip
    return pd.DataFrame(rows)


def foretold(points, others, by="engine"):
    """What the laws of `points` say of `others` (models outside of the family), beside what was measured.

    Columns: foretold (an Estimate with its prediction interval) and measured, in seconds, their ratio, and whether the size lies in the fitted range
    (`fitted`) or not (`extrapolated`).
    """
    rows = []
    known = laws(points, by)
    for row in others.itertuples():
        law = known.get((getattr(row, by), row.phase))
        if law is None or not np.isfinite(float(law.exponent)):
            continue
        size = row.params_measured
        low, high = law.interval(size)
        value = Estimate(law.predict(size), float(low), float(high), law.n, "size", "power law, prediction interval")
        label = "fitted" if law.range[0] <= size <= law.range[1] else "extrapolated"
        rows.append({by: getattr(row, by), "phase": row.phase, "model": row.model, "foretold_s": value,
                     "measured_s": row.median, "ratio": row.median / value.value, "label": label})  # fmt: skip
    return pd.DataFrame(rows)


def identities(frame):
    """One row per model: parameters declared and measured, their ratio, and the hash of the weights."""
    columns = ["model", "params_declared", "params_measured", "model_sha"]
    found = frame[columns].astype(object).drop_duplicates().sort_values("model", ignore_index=True)
    declared = pd.to_numeric(found["params_declared"])
    agrees = np.where(declared.isna(), "not declared", np.where(declared == pd.to_numeric(found["params_measured"]), "yes", "no"))
    return found.assign(agrees=agrees)


def warmups(frame):
    """One row per engine, model and phase: how many calls after the first were still warm-up, by the steadiness test."""
    used = frame[(frame["status"] == "ok") & frame["kind"].isin(["warmup", "sample"])]
    rows = []
    for key, part in used.groupby([*ENGINE, "model", "scenario", "phase"], observed=True, sort=True):
        found = [steady_from(one.sort_values("time")["seconds"]) for _, one in part.groupby("session")]
        verdicts = pd.Series([f.verdict for f in found]).value_counts()
        rows.append(dict(zip([*ENGINE, "model", "scenario", "phase"], key))
                    | {"calls": len(part), "warm_up_at_most": max(f.discard for f in found)}
                    | {f"processes {name}": int(verdicts.get(name, 0)) for name in ("steady", "not-stationary", "too few")})  # fmt: skip
    return pd.DataFrame(rows)


def cold_starts(frame):
    """One row per engine, model and phase: median first call of a fresh process, steady median, and their ratio."""
    keys = [*ENGINE, "model", "scenario", "phase"]
    cold = first_calls(frame).groupby(keys, observed=True)["seconds"].agg(["median", "size"])
    warm = steady(frame).groupby(keys, observed=True)["seconds"].median()
    found = pd.DataFrame({"first_call": cold["median"], "processes": cold["size"], "steady": warm})
    return found.assign(ratio=found["first_call"] / found["steady"]).reset_index()


def per_token(points):
    """The points with seconds per generated token (`decode` and `e2e`), or per prompt token (`prefill`)."""
    tokens = np.where(points["phase"] == "prefill", points["prompt_tokens"], points["new_tokens"])
    scaled = {name: points[name] / tokens for name in ("median", "low", "high")}
    return points.assign(tokens=tokens, **scaled)


def decode_fractions(frame):
    """One row per engine, model, scenario and length: decode's share of prefill + decode (1 is the whole request), with
    the t interval over sessions of `share`; nan edges below two sessions.

    A session's share is made of its own medians: phases of one process belong together.
    """
    keys = [*ENGINE, "model", "scenario", "prompt_tokens", "new_tokens"]
    used = steady(frame)
    used = used[used["phase"].isin(["prefill", "decode"])]
    times = used.groupby([*keys, "session", "phase"], observed=True)["seconds"].median().unstack("phase")
    times = times.reindex(columns=["prefill", "decode"]).dropna()
    shares = (times["decode"] / times.sum(axis=1)).groupby(keys, observed=True)
    found = shares.agg(share="mean", sd="std", sessions="size").reset_index()
    half = special.stdtrit(np.maximum(found["sessions"] - 1, 1), 0.975) * found["sd"] / np.sqrt(found["sessions"])
    low, high = (found["share"] - half).clip(lower=0), (found["share"] + half).clip(upper=1)
    found = found.assign(low=low, high=high).drop(columns="sd")
    found.insert(0, "engine", found[ENGINE].astype(str).agg(" ".join, axis=1))
    return found


def within_budget(points, ttft_s, tpot_s):
    """One row per engine and model: does prefill meet `ttft_s`, does a decode step meet `tpot_s`, and how surely.

    fits, too slow or undecided, by the interval of the median; a model fits when both do.
    """
    steps = per_token(points[points["phase"] == "decode"]).assign(limit=tpot_s)
    starts = points[points["phase"] == "prefill"].assign(limit=ttft_s)
    both = pd.concat([starts, steps], ignore_index=True)
    if both.empty:
        return pd.DataFrame(columns=["engine", "model", "verdict"])
    sure, never = both["high"] <= both["limit"], both["low"] > both["limit"]
    both["verdict"] = np.select([sure, never], ["fits", "too slow"], "undecided")
    wide = both.pivot_table(index=["engine", "model", "params_measured", "scenario"], columns="phase",
                            values="verdict", aggfunc="first", observed=True)  # fmt: skip
    return wide.assign(verdict=wide.agg(_worst, axis=1)).reset_index().sort_values(["engine", "params_measured"], ignore_index=True)


def _worst(verdicts):
    """A request fits when all its phases do."""
    found = set(verdicts.dropna())
    return next((word for word in ("too slow", "undecided") if word in found), "fits")


def same_outputs(frame):
    """One row per engine, model and scenario: do all sessions give the same ids, and how many of them repeat one id."""
    cells = samples(frame).drop_duplicates(["cell_id", "session"])
    rows = []
    for key, part in cells.groupby([*ENGINE, "model", "scenario"], observed=True, sort=True):
        shas = part.groupby("cell_id", observed=True)["output_sha"].nunique()
        repeated = [len(set(row)) == 1 for ids in part["output_ids"].dropna() for row in ids]
        rows.append(dict(zip([*ENGINE, "model", "scenario"], key)) | {"sessions": part["session"].nunique(),
                    "same_ids": bool((shas == 1).all()), "one_token_repeated": f"{sum(repeated)} of {len(repeated)}"})  # fmt: skip
    return pd.DataFrame(rows)
