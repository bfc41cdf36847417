"""One published claim, our figure beside it, and how the two agree."""

import math
import re
from dataclasses import asdict, dataclass

import pandas as pd

# reproduced      our figure, printed to as many digits, is theirs
# rounded         it differs by no more than rounding half-way explains
# inconsistent    the report's own figures, or two of its statements, contradict each other
# refuted         the raw runs, or the artefact's own metadata, say otherwise
# not checkable   what it was derived from was not published, or is not here
VERDICTS = ("reproduced", "rounded", "inconsistent", "refuted", "not checkable")
EXACT = 1e-9    # relative difference of two computations of one number in double precision
SLACK = 0.005   # relative difference that rounding of printed inputs may explain
NUMBER = re.compile(r"[-+]?\d[\d,]*\.?\d*(?:[eE][-+]?\d+)?|[-+]?\.\d+")


@dataclass(frozen=True)
class Finding:
    """A claim of a report: where it stands, what was published, what we find, the verdict and the derivation."""

    table: str
    claim: str
    published: str
    ours: str
    verdict: str
    how: str
    source: str

    def __post_init__(self):
        if self.verdict not in VERDICTS:
            raise ValueError(f"finding: verdict {self.verdict!r}. Verdicts: {', '.join(VERDICTS)}.")


def number(printed):
    """The first number in a printed text, as a float; nan where there is none."""
    found = NUMBER.search(str(printed))
    return float(found.group().replace(",", "")) if found else math.nan


def last_place(printed):
    """The value of one unit in the last printed place: 0.01 for '5.09', 100 for '1.136e+04' · 10."""
    found = NUMBER.search(str(printed))
    if not found:
        return math.nan
    mantissa, _, power = found.group().lower().replace(",", "").partition("e")
    decimals = len(mantissa.partition(".")[2])
    return 10.0 ** (int(power or 0) - decimals)


def judge(printed, ours, measured, slack=SLACK):
    """The verdict on one printed number: `ours` is our figure, `measured` whether it comes from raw runs.

    `slack` is the relative difference that rounding may explain, where inputs were themselves printed rounded.
    """
    theirs = number(printed)
    if math.isnan(theirs) or ours is None or math.isnan(ours):
        return "not checkable"
    if abs(theirs - ours) <= max(last_place(printed) * (0.5 + 1e-6), EXACT * abs(ours)):
        return "reproduced"
    if abs(theirs - ours) <= slack * abs(ours):
        return "rounded"
    return "refuted" if measured else "inconsistent"


def compare(table, claim, printed, ours, how, source, measured=False, slack=SLACK):
    """The `Finding` for one printed number and ours; shown with as many digits as theirs, and one more."""
    return Finding(table, claim, str(printed), show(ours, printed), judge(printed, ours, measured, slack), how,
                   source)


def show(value, like):
    """`value` as text with one digit more than the printed number `like`; 'nothing' for nan."""
    if value is None or math.isnan(value):
        return "nothing"
    place = last_place(like)
    if place >= 1 and value == round(value) and abs(value) < 1e15:
        return f"{value:,.0f}"
    if math.isnan(place) or abs(value) >= 1e15 or 0 < abs(value) < 1e-6:
        return f"{value:.4g}"
    return f"{value:,.{max(0, 1 - round(math.log10(place)))}f}" if place < 10 else f"{value:,.0f}"


def ledger(findings):
    """All findings as a table: one row each, columns as in `Finding`."""
    return pd.DataFrame([asdict(f) for f in findings], columns=list(Finding.__dataclass_fields__))


def wrong(findings, each=6):
    """What does not hold or cannot be checked: up to `each` findings of a table and verdict, and how many more."""
    table = ledger(findings)
    table = table[~table["verdict"].isin(["reproduced", "rounded"])]
    parts = []
    for (name, verdict), group in table.groupby(["table", "verdict"], sort=False):
        parts.append(group.head(each))
        if len(group) > each:
            more = f"… and {len(group) - each} more of this table and verdict"
            parts.append(pd.DataFrame([{"table": name, "claim": more, "verdict": verdict}]))
    columns = ["claim", "published", "ours", "verdict", "how"]
    shown = pd.concat(parts, ignore_index=True) if parts else table
    return shown.reindex(columns=columns).fillna("")


def overview(findings):
    """How many findings of each verdict stand in each published table; the last row is their sum."""
    table = ledger(findings)
    counts = pd.crosstab(table["table"], table["verdict"]).reindex(columns=list(VERDICTS), fill_value=0)
    counts.loc["all"] = counts.sum()
    counts["checked"] = counts.sum(axis=1)
    return counts.rename_axis(columns=None).reset_index()
