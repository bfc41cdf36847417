"""What other programs read of a cost report: every table as JSON, and checks that its figures add up."""

import math

import pandas as pd

from .economy import CHOICE, PARTS, PHASES
from .peers import files

EXACT = 1e-9  # relative; for figures that follow from each other by arithmetic
ADDS_UP = (0.8, 1.25)  # a request from its phases over one measured whole; beyond, phases miss something


def analysis(about, **tables):
    """{name: rows} of all `tables`, after what `about` says of prices and mix; see `peers.rows`."""
    return about | {name: files.rows(table) for name, table in tables.items()}


def statistics(frame, paired, variance, usd_per_hour, phase_costs):
    """{summaries, pairwise, anova} of seconds, and usd_per_million by phase; as JSON can hold it.

    At one price per hour a ratio of seconds is a ratio of dollars: the tests hold for both.
    """
    about = {"usd_per_hour": usd_per_hour, "dollars": "ratios are those of seconds, at one price per hour"}
    return about | files.statistics(frame, paired, variance) | {"usd_per_million": files.rows(phase_costs)}


def checks(counts, phase_costs, mixed, mix, foretold, owned, energy, sessions):
    """One row per check: what must hold, whether it does (yes, no, not measured), and what was seen.

    `counts` is what check_counts gave, `sessions` how many were planned; the others are tables of `economy`.
    """
    found = {
        "every planned record is there or accounted for": _counted(counts),
        "every engine has all sessions": _sessions(mixed, sessions),
        "the mix costs what its phases cost": _mixed(phase_costs, mixed, mix),
        "phases add up to whole requests": _foretold(foretold),
        "the parts of an owned million are its total": _owned(owned),
        "energy above idle is surely above zero": _energy(energy),
    }
    words = {True: "yes", False: "no", None: "not measured"}
    rows = [{"check": name, "holds": words[holds], "seen": seen} for name, (holds, seen) in found.items()]
    return pd.DataFrame(rows, columns=["check", "holds", "seen"])


def _counted(counts):
    agree = int(counts["agrees"].sum())
    return agree == len(counts), f"{agree} of {len(counts)} quantities agree"


def _sessions(mixed, planned):
    if mixed.empty:
        return None, "no engine has a price"
    least = mixed.loc[mixed["sessions"].idxmin()]
    seen = f"the fewest are {least['sessions']} of {planned}, {least['engine']}"
    return bool(least["sessions"] == planned), seen


def _mixed(phase_costs, mixed, mix):
    """Two ways to the same price: phases pooled over sessions, and mixed within each session."""
    costs = phase_costs.set_index([*CHOICE, "phase"])["usd_per_million"]
    gaps = []
    for row in mixed.to_dict("records"):
        key, cost = tuple(row[name] for name in CHOICE), row["usd_per_million"]
        parts = [costs[(*key, phase)].value for phase in PHASES if (*key, phase) in costs.index]
        parts = parts if len(parts) == len(PHASES) else [math.nan] * len(PHASES)
        gaps.append((abs(mix.of(*parts) / cost.value - 1), cost.relative_half_width))
    gaps = [(gap, width) for gap, width in gaps if math.isfinite(gap) and math.isfinite(width)]
    if not gaps:
        return None, "no price has an interval"
    return all(gap <= width for gap, width in gaps), f"largest gap {max(gap for gap, _ in gaps):.2%}"


def _foretold(foretold):
    ratios = foretold["ratio"].dropna()
    if ratios.empty:
        return None, "no request was measured whole beside its phases"
    low, high = ADDS_UP
    return bool(ratios.between(low, high).all()), f"from {ratios.min():.3f} to {ratios.max():.3f}"


def _owned(owned):
    known = owned[[math.isfinite(cost.value) for cost in owned["total"]]]
    if known.empty:
        return None, "no total is known"
    sums = [sum(getattr(row, name).value for name in PARTS) / row.total.value for row in known.itertuples()]
    worst = max(abs(ratio - 1) for ratio in sums)
    return worst < EXACT, f"{len(sums)} totals, largest gap {worst:.1g}"


def _energy(energy):
    known = [joules for joules in energy["joules_per_token"] if math.isfinite(joules.value)]
    if not known:
        return None, "no energy is known"
    above = sum(joules.low > 0 for joules in known)
    return above == len(known), f"{above} of {len(known)} phases"
