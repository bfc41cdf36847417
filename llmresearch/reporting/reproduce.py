"""Did a second run of a study say the same? Ratios are compared with intervals; absolute times are not."""

import json
import math
from pathlib import Path

import pandas as pd

from .claims import ReportError

TOLERANCE = 0.02
"""The share by which a ratio may differ: what the audits of MLPerf call not materially different."""


def reproduced(first, second, tolerance=TOLERANCE):
    """One row per claim of two rendered reports of one study: id, first, second, change, low, high, verdict.

    `change` is second over first with its interval (the two intervals combined on the log scale by recovered
    variances, MOVER; Zou & Donner 2008). verdict: reproduced (all of the interval within the tolerance), not
    reproduced (none of it, or one report supports what the other refutes), undecided; not compared where the
    claim has a unit (another machine may be slower and still agree), is missing in one, or is not positive.
    """
    if not 0 < tolerance < 1:
        raise ReportError(f"tolerance: {tolerance!r} is not a share. Give 0.02 for 2 %.")
    here, there = _claims(first), _claims(second)
    rows = [_compared(id, here.get(id), there.get(id), tolerance) for id in dict.fromkeys([*here, *there])]
    return pd.DataFrame(rows, columns=["id", "first", "second", "change", "low", "high", "verdict"])


def conclusion(table):
    """NOT REPRODUCED if any claim is not, REPRODUCED if all that were compared are, else UNDECIDED."""
    found = set(table["verdict"]) - {"not compared"}
    if "not reproduced" in found:
        return "NOT REPRODUCED"
    return "REPRODUCED" if found == {"reproduced"} else "UNDECIDED"


def _claims(folder):
    path = Path(folder) / "claims.json"
    try:
        return {claim["id"]: claim for claim in json.loads(path.read_text())}
    except (OSError, ValueError) as error:
        raise ReportError(
            f"{path}: cannot be read. Name the folder of a rendered report with claims."
        ) from error


def _compared(id, a, b, tolerance):
    values = [math.nan if c is None or c["value"] is None else float(c["value"]) for c in (a, b)]
    row = {
        "id": id,
        "first": values[0],
        "second": values[1],
        "change": math.nan,
        "low": math.nan,
        "high": math.nan,
    }
    if {c and c["status"] for c in (a, b)} == {"supported", "refuted"}:
        return row | {"verdict": "not reproduced"}
    if a is None or b is None or a["unit"] or b["unit"] or not all(v > 0 for v in values):
        return row | {"verdict": "not compared"}
    change, low, high = _change(_logs(a), _logs(b))
    return row | {"change": change, "low": low, "high": high, "verdict": _verdict(low, high, tolerance)}


def _logs(claim):
    """(value, low, high) on the log scale; nan where there is no end, -inf where it reaches zero."""
    ends = [math.nan if claim[k] is None else float(claim[k]) for k in ("value", "low", "high")]
    return [math.log(x) if x > 0 else math.nan if math.isnan(x) else -math.inf for x in ends]


def _change(a, b):
    """exp of (b - a) with its interval, from the distances of each value to the ends of its own interval."""
    middle = b[0] - a[0]
    below, above = math.hypot(b[0] - b[1], a[2] - a[0]), math.hypot(b[2] - b[0], a[0] - a[1])
    return (
        math.exp(middle),
        math.exp(middle - below),
        math.exp(middle + above) if above < math.inf else math.inf,
    )


def _verdict(low, high, tolerance):
    edges = 1 / (1 + tolerance), 1 + tolerance
    if edges[0] <= low and high <= edges[1]:
        return "reproduced"
    return "not reproduced" if high < edges[0] or low > edges[1] else "undecided"
