"""Who is best, paired by session: a winner only where every other interval lies beyond it."""

import math

import numpy as np
import pandas as pd

from .intervals import NAN, Estimate
from .stats.estimates import center_of_sessions


def ranking(sessions, value="tokens_per_s", largest=True):
    """One row per model, scenario and engine, the best first: its ratio to the best, and how sure that is.

    ratio_to_best: in cost or joules, an Estimate, paired by session, at a level that holds for all pairs.
    first_in: in how many of the `sessions` that all engines measured it came first. verdict: winner (every
    other is dearer), no winner, dearer, or not told apart (the interval holds 1).
    """
    rows = []
    for key, part in sessions.groupby(["model", "scenario"], observed=True, sort=True):
        wide = part.pivot_table(index="session", columns="engine", values=value, observed=True).dropna()
        wide = 1 / wide if largest else wide
        rows += [dict(zip(["model", "scenario"], key)) | row for row in _ranked(wide, _errors(part, value))]
    columns = ["model", "scenario", "rank", "engine", "ratio_to_best", "first_in", "sessions", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def _errors(part, value):
    """{engine: the meter's mean error as a share}; nothing where a table has none (a clock's is small)."""
    if "low" not in part:
        return {}
    share = (part["high"] - part["low"]) / 2 / part[value].abs()
    return share.groupby(part["engine"], observed=True).mean().to_dict()


def _ratio(over, under, level, errors=(0.0, 0.0)):
    """over / under, paired by session; the meters' errors (shares) widen its logarithm in quadrature."""
    e, error = center_of_sessions(over / under, level), math.hypot(*errors)
    if not (error and e.low > 0):
        return e
    low, high = (e.value * math.exp(side * math.hypot(math.log(end / e.value), error))
                 for side, end in ((-1, e.low), (1, e.high)))  # fmt: skip
    return Estimate(e.value, low, high, e.n, e.unit_of_replication, f"{e.method}; and the meter's error")


def _ranked(cost, errors):
    """The rows of one scenario; `cost`: sessions by engines, all there."""
    if cost.empty:
        return []
    order = list(np.exp(np.log(cost).mean()).sort_values().index)
    pairs = max(1, len(order) * (len(order) - 1) // 2)
    level, best = 1 - 0.05 / pairs, order[0]
    wrong = {name: errors.get(name, 0.0) for name in order}
    ratios = [_ratio(cost[name], cost[best], level, (wrong[name], wrong[best])) for name in order]
    told = [r.low > 1 for r in ratios[1:]]
    words = ["only one" if len(order) == 1 else "winner" if all(told) else "no winner",
             *("dearer" if dear else "not told apart" for dear in told)]  # fmt: skip
    first = cost.idxmin(axis=1).value_counts()
    ratios[0] = Estimate(1.0, 1.0, 1.0, len(cost), "session", "the best itself")
    return [{"rank": i + 1, "engine": name, "ratio_to_best": ratio, "first_in": int(first.get(name, 0)),
             "sessions": len(cost), "verdict": word}
            for i, (name, ratio, word) in enumerate(zip(order, ratios, words))]  # fmt: skip


def agreement(table):
    """Sentences, one per model and scenario of a ranking: whether its sessions agree on who comes first.

    `table`: model, scenario where there is one, engine, rank (nan: not ranked), first_in, sessions.
    """
    by = [name for name in ("model", "scenario") if name in table]
    groups = table[table["rank"].notna()].groupby(by, observed=True, sort=True)
    return "".join(f"- {', '.join(map(str, key))}: {_agreed(part)}\n" for key, part in groups)


def _agreed(part):
    """Whether the sessions of one ranking agree."""
    first = part[part["first_in"] > 0].sort_values(["first_in", "engine"], ascending=[False, True])
    count = int(part["sessions"].iloc[0])
    if len(part) < 2:
        return f"only {part['engine'].iloc[0]} could be ranked."
    if count < 2:
        return f"{count} session has all engines, so nothing can agree or disagree."
    if len(first) == 1:
        return f"each of {count} sessions puts {first['engine'].iloc[0]} first."
    told = ", ".join(f"{row.engine} came first in {int(row.first_in)}" for row in first.itertuples())
    return f"**the sessions disagree**: of {count}, {told}."


def inverse(ratio):
    """The Estimate of b / a, of one of a / b."""
    ends = [1 / end if end else math.inf for end in (ratio.value, ratio.high, ratio.low)]
    return Estimate(*ends, ratio.n, ratio.unit_of_replication, ratio.method)


COMPARED = ["model", "scenario", "engine", "baseline", "ratio"]
NOT_MEASURED = Estimate(NAN, NAN, NAN, 0, "session", "not measured")


def relative(sessions, baseline, value="tokens_per_s", largest=True, asked=()):
    """One row per model, scenario and engine but the baseline's: its cost over that, paired by session.

    `asked`: (engine, model, scenario) of all that was planned; what has no session gets a ratio of nan.
    """
    rows = _compared(sessions, baseline, value, largest)
    there = {(row["engine"], row["model"], row["scenario"]) for row in rows}
    for engine, model, scenario in asked:
        if engine != baseline and (engine, model, scenario) not in there:
            rows.append(dict(zip(COMPARED, (model, scenario, engine, baseline, NOT_MEASURED))))
    return pd.DataFrame(rows, columns=COMPARED)


def _compared(sessions, baseline, value, largest):
    """The rows of what was measured."""
    rows = []
    for key, part in sessions.groupby(["model", "scenario"], observed=True, sort=True):
        wide = part.pivot_table(index="session", columns="engine", values=value, observed=True, dropna=False)
        errors, wide = _errors(part, value), 1 / wide if largest else wide
        for name in wide.columns.drop(baseline, errors="ignore"):
            both = wide[[name, baseline]].dropna() if baseline in wide else wide[:0]
            ratio = NOT_MEASURED
            if len(both):
                wrong = errors.get(name, 0.0), errors.get(baseline, 0.0)
                ratio = _ratio(both[name], both[baseline], 0.95, wrong)
            row = {"engine": name, "baseline": baseline, "ratio": ratio}
            rows.append(dict(zip(["model", "scenario"], key)) | row)
    return rows
