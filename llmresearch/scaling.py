"""How time grows with model size: points, laws, ablations and latency goals, from frames to frames."""

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import special

from .stats.estimates import median_ratio, over_sessions_only
from .fits.power_laws import LEAST_SIZES, power_law
from .frames import samples, steady
from .intervals import Estimate
from .fits.shapes import compare_laws
from .stats.summaries import summary

ENGINE = ["backend", "device", "dtype"]
SIZE = ["model", "params_measured"]
REQUEST = ["prompt_tokens", "new_tokens", "batch"]
CLEAR = 2.0  # by which a median without replication must be clear of a limit; as regimes has it
NOTHING = Estimate(np.nan, np.nan, np.nan, 0, "session", "not measured at two sizes")
NOT_GROWN = {"smallest": "smallest", "largest": "largest", "sizes": np.nan, "times": NOTHING,
             "relative": NOTHING}  # fmt: skip


def scaling_points(frame, scenario=None, phases=None):
    """One row per engine, model, scenario and phase: median seconds of a call with its interval, sorted by
    size.

    `engine` names backend, device and precision in one word; `params_measured` is a float. Calls after
    warm-up only.
    """
    used = steady(frame)
    used = used[used["scenario"].isin([scenario])] if scenario else used
    used = used[used["phase"].isin(phases)] if phases else used
    found = summary(used, [*ENGINE, *SIZE, "scenario", "phase", *REQUEST])
    if found.empty:
        columns = ["engine", *ENGINE, *SIZE, "scenario", "phase", *REQUEST, "median", "low", "high", "n"]
        return found.reindex(columns=columns)
    found["params_measured"] = found["params_measured"].astype(float)
    found.insert(0, "engine", found[ENGINE].astype(str).agg(" ".join, axis=1))
    return found.sort_values(["engine", "phase", "scenario", "params_measured"], ignore_index=True)


def steady_calls(frame, scenario):
    """The calls after warm-up of one scenario, with `engine` as in the points: the dots behind the medians.
    """
    used = steady(frame)
    used = used[used["scenario"].isin([scenario])]
    return used.assign(engine=used[ENGINE].astype(str).agg(" ".join, axis=1) if len(used) else None)


def named(frame, *columns):
    """The frame sorted by size, with the words of `columns` as one in `series`: the name of a line or row of
    a figure.
    """
    words = frame.reindex(columns=[*columns]).astype(str).agg(" ".join, axis=1) if len(frame) else None
    found = frame.assign(series=words)
    return found.sort_values("params_measured", kind="stable") if "params_measured" in found else found


def laws(points, by="engine"):
    """{(name, phase): PowerLaw} of median seconds against parameters; one scenario at a time."""
    groups = points.groupby([by, "phase"], observed=True, sort=True)
    return {key: power_law(part["params_measured"], part["median"]) for key, part in groups}


def law_table(points, by="engine"):
    """One row per law: exponent with its interval, R², n, what it rests on, the law that AICc prefers, the
    verdict.
    """
    rows = []
    for (name, phase), law in laws(points, by).items():
        loo = np.asarray(law.loo, dtype=float)
        rows.append({
            by: name, "phase": phase, "exponent": float(law.exponent),
            "low": law.exponent.low, "high": law.exponent.high,
            "r2": law.r2, "n": law.n, "theil_sen": law.theil_sen,
            "loo_low": loo.min() if loo.size else np.nan, "loo_high": loo.max() if loo.size else np.nan,
            "largest_leverage": law.leverage.max() if law.leverage.size else np.nan,
            "curvature_p": law.curvature_p, "verdict": law.verdict, "why": law.method,
        })  # fmt: skip
    return pd.DataFrame(rows)


def laws_elsewhere(frame, family, first):
    """`law_table` of the scenarios that measured as many sizes of the family as an exponent needs, `first` and
    others (a batch, a longer answer), by `series` of engine and scenario; empty where there is no other.
    """
    points = scaling_points(frame[frame["model"].isin(family)])
    sizes = points.groupby(["engine", "scenario"], observed=True)["params_measured"].transform("nunique")
    points = points[sizes >= LEAST_SIZES]
    if set(points["scenario"].astype(str)) <= {first}:
        return pd.DataFrame(columns=["series", "phase", "exponent", "verdict"])
    return law_table(named(points, "engine", "scenario"), by="series")


def rival_laws(points, by="engine"):
    """One row per engine, phase and law (power, overhead + work, piecewise, log-quadratic): parameters and
    AICc.
    """
    rows = []
    for (name, phase), part in points.groupby([by, "phase"], observed=True, sort=True):
        found = compare_laws(part["params_measured"], part["median"])
        rows += [{by: name, "phase": phase} | row for row in pd.DataFrame(found).to_dict("records")]
    return pd.DataFrame(rows)


def growth(frame, family, scenario, by="engine", cells=()):
    """One row per engine and phase: how much longer the largest model takes than the smallest (`times`, with
    its interval over sessions), how much larger it is (`sizes`), and `relative`, the first over the second,
    as Estimates; without an interval where either model ran in one session only. An engine that measured one
    size of the family has no row, but where `cells` (the plan) ask for more: a row of nan.
    """
    used = steady(frame)
    used = used[used["scenario"].isin([scenario]) & used["model"].isin(family)]
    rows = []
    for key, part in used.groupby([*ENGINE, "phase"], observed=True, sort=True):
        sizes = part["params_measured"].astype(float)
        if sizes.min() == sizes.max():
            continue  # one size does not grow
        small, large = part[sizes == sizes.min()], part[sizes == sizes.max()]
        times, factor = over_sessions_only(median_ratio(large, small)), sizes.max() / sizes.min()
        edges = {edge: getattr(times, edge) / factor for edge in ("value", "low", "high")}
        rows.append({by: " ".join(key[:3]), "phase": key[3], "smallest": small["model"].iloc[0],
                     "largest": large["model"].iloc[0], "sizes": factor, "times": times,
                     "relative": replace(times, **edges)})  # fmt: skip
    known = {(row[by], row["phase"]) for row in rows}
    missing = [key for key in _planned(cells, family, scenario) if key not in known]
    return pd.DataFrame(rows + [{by: engine, "phase": phase} | NOT_GROWN for engine, phase in missing])


def inversions(points, by="engine"):
    """One row per engine, phase and pair of neighbours in size of which the larger took less time: the two
    models, and the ratio of their medians (larger over smaller), without an interval.
    """
    rows = []
    for (name, phase), part in points.groupby([by, "phase"], observed=True, sort=True):
        ordered = part.sort_values("params_measured")
        for small, large in zip(ordered.itertuples(), ordered.iloc[1:].itertuples()):
            if large.median < small.median:
                rows.append({by: name, "phase": phase, "smaller": small.model, "larger": large.model,
                             "times": large.median / small.median})  # fmt: skip
    return pd.DataFrame(rows, columns=[by, "phase", "smaller", "larger", "times"])


def _planned(cells, family, scenario):
    """(engine, phase) of which the plan asks for more than one size of the family, in its order."""
    asked = {}
    for cell in cells:
        if cell.scenario == scenario and cell.model in family:
            for phase in cell.phases:
                asked.setdefault((f"{cell.backend} {cell.device} {cell.dtype}", phase), set()).add(cell.model)
    return [key for key, models in asked.items() if len(models) > 1]


def foretold(points, others, by="engine"):
    """What the laws of `points` say of `others` (models outside of the family), beside what was measured.

    Columns: the law's verdict, foretold (an Estimate with its prediction interval) and measured, in seconds,
    their ratio, whether what was measured lies `inside` the interval, and whether the size lies in the fitted
    range (`fitted`) or not (`extrapolated`).
    """
    rows = []
    known = laws(points, by)
    for row in others.itertuples():
        law = known.get((getattr(row, by), row.phase))
        if law is None or not np.isfinite(float(law.exponent)):
            continue
        size = row.params_measured
        low, high = law.interval(size)
        how = "power law, prediction interval"
        value = Estimate(law.predict(size), float(low), float(high), law.n, "size", how)
        label = "fitted" if law.range[0] <= size <= law.range[1] else "extrapolated"
        rows.append({by: getattr(row, by), "phase": row.phase, "model": row.model, "law": law.verdict,
                     "foretold_s": value, "measured_s": row.median, "ratio": row.median / value.value,
                     "inside": bool(low <= row.median <= high), "label": label})  # fmt: skip
    return pd.DataFrame(rows)


def identities(frame):
    """One row per model: parameters declared and measured, their ratio, and the hash of the weights."""
    columns = ["model", "params_declared", "params_measured", "model_sha"]
    found = frame[columns].astype(object).drop_duplicates().sort_values("model", ignore_index=True)
    declared = pd.to_numeric(found["params_declared"])
    same = declared == pd.to_numeric(found["params_measured"])
    return found.assign(agrees=np.select([declared.isna(), same], ["not declared", "yes"], "no"))


AXES = {"batch": "batch-", "prompt_tokens": "length-", "new_tokens": "sweep-"}


def ablation(frame, first, axis):
    """What varying one thing does: one row per engine, model, phase and value of `axis` (batch,
    prompt_tokens, new_tokens).

    The values are those of the scenarios called batch-…, length-… or sweep-…, and of the scenario `first` for
    the same models. Columns: median, low, high (seconds of one forward: a prefill, or a cached step), rate
    (tokens per second, a batch's together) with rate_low and rate_high, and gain: the rate over that at the
    smallest value.
    """
    named = frame["scenario"].astype(str)
    varied = named.str.startswith(AXES[axis])
    beside = named == first
    for name in ("backend", "model"):
        beside &= frame[name].isin(frame.loc[varied, name])
    phases = ["decode"] if axis == "new_tokens" else ["prefill", "decode"]
    points = scaling_points(frame[varied | beside], phases=phases)
    if points.empty:
        return points.reindex(columns=[*points.columns, "series", "rate", "gain"])
    points = _per_forward(points).sort_values(["engine", "model", "phase", axis], ignore_index=True)
    who = ["engine", "model", "phase"]
    gain = points["rate"] / points.groupby(who, observed=True)["rate"].transform("first")
    return points.assign(gain=gain, series=points[who].astype(str).agg(" ".join, axis=1))


def _per_forward(points):
    """The points with seconds of one forward, and the tokens per second of a batch."""
    prefill = points["phase"] == "prefill"
    forwards = np.where(prefill, 1, points["new_tokens"])
    scaled = {name: points[name] / forwards for name in ("median", "low", "high")}
    tokens = points["batch"] * np.where(prefill, points["prompt_tokens"], 1)
    edges = {"rate": "median", "rate_low": "high", "rate_high": "low"}
    rates = {name: tokens / scaled[edge] for name, edge in edges.items()}
    return points.assign(**scaled, **rates)


def ends(table):
    """The rows of the smallest and of the largest model of each engine (backend, device, precision)."""
    sizes = table["params_measured"].astype(float)
    sides = sizes.groupby([table[name].astype(str) for name in ENGINE])
    return table[(sizes == sides.transform("min")) | (sizes == sides.transform("max"))]


def per_token(points):
    """The points with seconds per generated token (`decode` and `e2e`), or per prompt token (`prefill`)."""
    tokens = np.where(points["phase"] == "prefill", points["prompt_tokens"], points["new_tokens"])
    scaled = {name: points[name] / tokens for name in ("median", "low", "high")}
    return points.assign(tokens=tokens, **scaled)


def decode_fractions(frame):
    """One row per engine, model, scenario and length: decode's share of prefill + decode (1 is the whole
    request), with the t interval over sessions of `share`; nan edges below two sessions.

    A session's share is made of its own medians: phases of one process belong together.
    """
    keys = [*ENGINE, "model", "scenario", "prompt_tokens", "new_tokens"]
    used = steady(frame)
    used = used[used["phase"].isin(["prefill", "decode"])]
    times = used.groupby([*keys, "session", "phase"], observed=True)["seconds"].median().unstack("phase")
    times = times.reindex(columns=["prefill", "decode"]).dropna()
    shares = (times["decode"] / times.sum(axis=1)).groupby(keys, observed=True)
    found = shares.agg(share="mean", sd="std", sessions="size").reset_index()
    n = found["sessions"]
    half = special.stdtrit(np.maximum(n - 1, 1), 0.975) * found["sd"] / np.sqrt(n)
    low, high = (found["share"] - half).clip(lower=0), (found["share"] + half).clip(upper=1)
    found = found.assign(low=low, high=high).drop(columns="sd")
    found.insert(0, "engine", found[ENGINE].astype(str).agg(" ".join, axis=1) if len(found) else None)
    return found


def within_budget(points, ttft_s, tpot_s):
    """One row per engine and model: does prefill meet `ttft_s`, does a decode step meet `tpot_s`, and how
    surely.

    fits, too slow or undecided, by the interval of the median over sessions; one session, or a median without
    an interval, must be clear of the limit by a factor of CLEAR. A model fits when both phases do; with one of
    them not measured it is undecided, unless the other is too slow.
    """
    steps = per_token(points[points["phase"] == "decode"]).assign(limit=tpot_s)
    starts = points[points["phase"] == "prefill"].assign(limit=ttft_s)
    both = pd.concat([starts, steps], ignore_index=True)
    if both.empty:
        return pd.DataFrame(columns=["engine", "model", "verdict"])
    alone = both["low"].isna() | (both.get("sessions", 2) < 2)
    low = both["low"].mask(alone, both["median"] / CLEAR)
    high = both["high"].mask(alone, both["median"] * CLEAR)
    sure, never = high <= both["limit"], low > both["limit"]
    both["verdict"] = np.select([sure, never], ["fits", "too slow"], "undecided")
    keys = ["engine", "model", "scenario"]
    found = both.astype(dict.fromkeys([*keys, "phase"], str)).groupby([*keys, "phase"])["verdict"].first()
    wide = found.unstack("phase").reindex(columns=["decode", "prefill"])
    sizes = both.astype(dict.fromkeys(keys, str)).groupby(keys)["params_measured"].first()
    wide.insert(0, "params_measured", sizes)
    wide = wide.assign(verdict=wide[["decode", "prefill"]].agg(_worst, axis=1)).reset_index()
    return wide.sort_values(["engine", "params_measured"], ignore_index=True)


def _worst(verdicts):
    """A request fits when all its phases do; one that was not measured decides nothing."""
    found = set(verdicts.fillna("undecided"))
    return next((word for word in ("too slow", "undecided") if word in found), "fits")


def same_outputs(frame):
    """One row per engine, model and scenario: do all sessions give the same ids, and how many of them repeat
    one id.
    """
    cells = samples(frame).drop_duplicates(["cell_id", "session"])
    rows = []
    for key, part in cells.groupby([*ENGINE, "model", "scenario"], observed=True, sort=True):
        shas = part.groupby("cell_id", observed=True)["output_sha"].nunique()
        repeated = [len(set(row)) == 1 for ids in part["output_ids"].dropna() for row in ids]
        rows.append(dict(zip([*ENGINE, "model", "scenario"], key)) | {"sessions": part["session"].nunique(),
                    "same_ids": bool((shas == 1).all()),
                    "one_token_repeated": f"{sum(repeated)} of {len(repeated)}"})  # fmt: skip
    return pd.DataFrame(rows)
