"""Scores of answers as tables: against the reference engine, against known continuations, and along forced ids."""

import math

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from ..stats.estimates import t_center
from .answers import KEYS, continuation
from .scores import METRICS, missing, score

LEAST = 3  # prompts, below which a mean has no interval


def against_reference(answered, reference, vectors=None):
    """One row per engine (but `reference`), model, scenario and prompt: every score against the reference's text.

    `answered` is what `answers` gives; `vectors` maps a text to its embedding, where there are any. A score
    that cannot be computed is nan.
    """
    base = answered[answered["engine"] == reference].set_index(KEYS)["text"]
    pairs = [(row, base.get(tuple(getattr(row, k) for k in KEYS))) for row in judged(answered).itertuples()]
    pairs = [(row, text) for row, text in pairs if row.engine != reference and isinstance(text, str)]
    return _scored(pairs, vectors)


def against_continuations(answered, vectors=None):
    """One row per engine, model, scenario and prompt whose true continuation is known: every score against it."""
    pairs = [(row, continuation(row.asked, len(row.text))) for row in judged(answered).itertuples()]
    return _scored([(row, text) for row, text in pairs if text], vectors)


def judged(answered):
    """The answers that may be scored."""
    return answered[answered["reason"].isna()]


def words(answered):
    """Every text that a similarity of meaning is asked about, each once, sorted: answers and known continuations."""
    own = judged(answered)
    known = [continuation(row.asked, len(row.text)) for row in own.itertuples()]
    return sorted({text for text in [*own["text"], *known] if text and text.strip()})


def _scored(pairs, vectors):
    rows = []
    for row, text in pairs:
        found = score(row.text, text) | {"similarity": _cosine(row.text, text, vectors or {})}
        rows.append({"engine": row.engine} | {k: getattr(row, k) for k in KEYS} | found)
    return pd.DataFrame(rows, columns=["engine", *KEYS, *METRICS])


def _cosine(a, b, vectors):
    """The cosine of the angle between two texts' embeddings; nan where one has none."""
    if a not in vectors or b not in vectors:
        return math.nan
    u, v = (np.asarray(vectors[text], float) for text in (a, b))
    return float(u @ v / math.sqrt((u @ u) * (v @ v)))


def means(scored, by=("engine", "model")):
    """One row per group: prompts, and the mean of each score over them with its 95 % interval (Student t over prompts).

    No interval below 3 prompts, nor where all prompts give the same.
    """
    by, rows = list(by), []
    for key, part in scored.groupby(by, sort=True):
        row = dict(zip(by, key)) | {"prompts": len(part)}
        for name in METRICS:
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), _mean(part[name].to_numpy(float))))
        rows.append(row)
    return pd.DataFrame(rows, columns=[*by, "prompts", *[c for n in METRICS for c in (n, f"{n}_low", f"{n}_high")]])


def _mean(values):
    if values.size == 0 or not np.isfinite(values).all():
        return math.nan, math.nan, math.nan
    if values.size < LEAST or np.ptp(values) < 1e-12:
        return float(values.mean()), math.nan, math.nan
    mean, half = t_center(values)
    return float(mean), max(0.0, float(mean - half)), min(1.0, float(mean + half))


def why_unknown(answered, reference, similarity=""):
    """Sentences, each once: which scores are unknown, and why. `similarity` says why there are no embeddings."""
    found = [f"{n} of {len(answered)} answers: {why}." for why, n in answered["reason"].dropna().value_counts().items()]
    if len(answered) == 0:
        found.append("no engine answered anything.")
    elif not (answered["engine"] == reference).any():
        found.append(f"{reference} did not run, so there is no reference text.")
    return [*found, *missing().values(), *([similarity] if similarity else [])]


def fidelity(frame, reference):
    """One row per engine and model: does it choose what the reference chooses along the same forced ids?

    positions: forced tokens. agreement: the share of them at which both have the same most likely next id.
    nats: the mean of |difference of -log p| of the forced tokens. This needs no text and no trained model.
    """
    ran = frame[frame["status"].astype(str) == "ok"].drop_duplicates("cell_id")
    rows, base = [], {}
    for (model, engine), part in ran.groupby(["model", "engine"], observed=True, sort=True):
        led = next((e["forced"] for e in part["evidence"] if e and e.get("forced")), None)
        if engine == reference:
            base[model] = led
        rows.append({"model": model, "engine": engine, "led": led})
    kept = [{"model": r["model"], "engine": r["engine"]} | _led(r["led"], base.get(r["model"])) for r in rows]
    return pd.DataFrame(kept, columns=["model", "engine", "positions", "agreement", "nats"])


def _led(mine, base):
    """Agreement of two forced runs; nan where one of them was not led."""
    if not mine or not base or len(mine["top1"]) != len(base["top1"]):
        return {"positions": 0, "agreement": math.nan, "nats": math.nan}
    same = float(np.mean(np.equal(mine["top1"], base["top1"])))
    both = mine.get("nll") and base.get("nll")
    nats = float(np.abs(np.subtract(mine["nll"], base["nll"])).mean()) if both else math.nan
    return {"positions": len(mine["top1"]), "agreement": same, "nats": nats}


def with_intervals(table, reference):
    """The table of `fidelity` with agreement_low and agreement_high: exact 95 % (Clopper and Pearson 1934).

    Positions count as independent, which those of one text are only nearly; nan where nothing was led, and for
    the reference, which agrees with itself.
    """
    ends = [_exact(row.agreement, 0 if row.engine == reference else row.positions) for row in table.itertuples()]
    found = pd.DataFrame(ends, columns=["agreement_low", "agreement_high"], index=table.index, dtype=float)
    columns = ["model", "engine", "positions", "agreement", *found, "nats"]
    return pd.concat([table, found], axis=1).reindex(columns=columns)


def _exact(share, n):
    if not n or math.isnan(share):
        return math.nan, math.nan
    return tuple(binomtest(round(share * n), int(n)).proportion_ci(method="exact"))
