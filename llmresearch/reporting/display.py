"""Numbers as a reader sees them: as many digits as the interval carries, ms and GiB, one table for Markdown
and HTML.

Files keep full precision in seconds and bytes; only what is shown is rounded and scaled, and only here.
"""

from html import escape
import json
import math
import numbers

import numpy as np
import pandas as pd

from ..intervals import Estimate, digits

UNITS = {
    "s": ((1e-3, "ms"), (1.0, "s")),
    "B": ((2**20, "MiB"), (2**30, "GiB")),
    "J": ((1.0, "J"),),
}
"""Unit inside: the scales it may be shown in; seconds in ms below 10 s, bytes in GiB from 0.1 GiB."""
SECONDS = {"seconds", "median", "mean", "sd", "std", "min", "max", "q25", "q75", "p50", "p90", "p95", "p99"}
"""Columns of a summary of calls, which are seconds there; elsewhere a mean may be of anything."""
OF_CALLS = {"tokens_per_s", "sessions", "unit_of_replication"}
"""Columns by which a summary of calls is known."""
BADGES = {
    "supported": "good", "refuted": "bad", "undecided": "open", "not measured": "none",
    "faster": "good", "slower": "bad", "equivalent": "none",
    "reproduced": "good", "rounded": "good", "inconsistent": "bad", "not checkable": "none",
    "ok": "good", "failed": "bad", "timeout": "bad", "refused": "none",
    "rejected": "bad", "carried by one point": "open", "too few sizes": "open",
    "inside": "good", "outside": "open", "no finite interval": "open",
}  # fmt: skip
"""Words of the closed vocabularies, and the colour that they are shown in."""
MARKS = {"good": "✓", "bad": "✗", "open": "?", "none": "–"}
MISSING = "–"
LONG = 300  # characters of a cell
LONGEST = 40
WIDE = 26


def number(value, decimals=None):
    """`value` as text with thousands commas; an en dash where there is none, ∞ where it is unbounded."""
    if value is None or value is pd.NA or (isinstance(value, numbers.Real) and math.isnan(value)):
        return MISSING
    if isinstance(value, numbers.Integral):
        return f"{int(value):,}"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    decimals = digits(value) if decimals is None else decimals
    return f"{value:,.{decimals}f}" if not 0 < abs(value) < 1e-6 else f"{value:.3g}"


def exact(value, unit=""):
    """A number that somebody chose, such as a claim's line: '1.05', '20 ms'; no digit more than it has."""
    factor, shown = scale([value], unit)
    return f"{value / factor:,.10g}" + (f" {shown}" if shown else "")


def scale(values, unit):
    """(factor, shown unit) for numbers in `unit` (s, B, …): ms below 10 s, MiB below 0.1 GiB; others stay."""
    finite = [abs(v) for v in values if v is not None and math.isfinite(v)]
    largest = max(finite, default=0.0)
    if unit == "s":
        return UNITS["s"][int(largest >= 10)]
    if unit == "B":
        return UNITS["B"][int(largest >= 0.1 * 2**30 or largest == 0)]
    return 1.0, unit


def estimate(value, low=math.nan, high=math.nan, unit=""):
    """'2.41 ms [2.38, 2.45]': value, unit and interval; without the brackets where there is none."""
    if low == high == value and float(f"{value:.4g}") == value:
        return exact(value, unit)
    factor, shown = scale([value], unit)
    value, low, high = value / factor, low / factor, high / factor
    decimals = digits(value, low, high)
    text = number(value, decimals) + (f" {shown}" if shown and math.isfinite(value) else "")
    if math.isnan(value) or math.isnan(low) or math.isnan(high) or low == high == value:
        return text
    return f"{text} [{number(low, decimals)}, {number(high, decimals)}]"


def chance(p):
    """A p-value: three decimals, '< 0.001' below."""
    return "< 0.001" if p < 0.001 else number(p, 3)


class Shown:
    """A table ready to be shown: heads, rows of text, which columns are numbers and which cells are badges.

    `units` maps a column to its unit inside (s, B, J, or any text). Columns called seconds or bytes need no
    entry, nor do the statistics of a summary of calls. `x`, `x_low`, `x_high` (or any column, then `low`,
    then `high`) become one with an interval.
    """

    def __init__(self, frame, units=None, longest=LONGEST):
        frame = flat(frame)
        self.hidden = max(0, len(frame) - longest)
        frame = frame.head(longest)
        self.of_calls = "median" in frame and bool(OF_CALLS & set(frame.columns))
        self.units = dict(getattr(frame, "attrs", {}).get("units", {})) | dict(units or {})
        intervals = _intervals(list(frame.columns))
        used = {edge for pair in intervals.values() for edge in pair}
        self.heads, self.columns, self.numeric = [], [], []
        for name in frame.columns:
            if name not in used:
                self._add(frame, name, intervals.get(name))

    def _add(self, frame, name, pair):
        column = frame[name]
        if not _is_numeric(column):
            self._take(_head(name, ""), [_short(_text(cell)) for cell in column], False)
        elif pair is None:
            self._plain(column, name)
        else:
            self._interval(frame, name, pair)

    def _plain(self, column, name):
        if pd.api.types.is_integer_dtype(column) and self.unit(name) in ("", "s"):
            return self._take(_head(name, ""), [number(v) for v in column], True)
        values = [float(v) if v is not None and not pd.isna(v) else math.nan for v in column]
        if "p" in str(name).split("_"):
            return self._take(_head(name, ""), [chance(v) for v in values], True)
        factor, shown = scale(values, self.unit(name))
        whole = all(v == int(v) for v in values if math.isfinite(v)) and factor == 1.0
        cells = [number(v / factor, 0 if whole else None) for v in values]
        self._take(_head(name, shown), cells, True)

    def _interval(self, frame, name, pair):
        rows = frame[[name, *pair]].astype(float).to_numpy()
        factor, shown = scale(rows[:, 0], self.unit(name))
        extra = "95 %" if any("95 % interval" in head for head in self.heads) else "95 % interval"
        self._take(_head(name, shown, extra), [estimate(*(row / factor)) for row in rows], True)

    def _take(self, head, cells, numeric):
        self.heads.append(head)
        self.columns.append(cells)
        self.numeric.append(numeric)

    def unit(self, name):
        """The unit inside of a column: as given, else by its name, else none."""
        if name in self.units:
            return self.units[name]
        text = str(name)
        if text.endswith("seconds") or (self.of_calls and text in SECONDS):
            return "s"
        if text == "bytes" or text.endswith("_bytes"):
            return "B"
        return ""

    @property
    def rows(self):
        return list(zip(*self.columns, strict=True)) if self.columns else []

    def markdown(self):
        """A pipe table; numbers stand to the right."""
        rule = ["---:" if numeric else "---" for numeric in self.numeric]
        rows = [self.heads, rule, *self.rows]
        return "\n".join("| " + " | ".join(_piped(cell) for cell in row) + " |" for row in rows)

    def html(self):
        """The same table as HTML; words of the closed vocabularies are badges."""
        head = "".join(
            f"<th{_side(numeric)}>{_kept(escape(h))}</th>"
            for h, numeric in zip(self.heads, self.numeric, strict=True)
        )
        rows = "\n".join("<tr>" + "".join(self._cells(row)) + "</tr>" for row in self.rows)
        return (
            f'<div class="lr-scroll"><table class="lr-table">\n<thead><tr>{head}</tr></thead>\n'
            f"<tbody>\n{rows}\n</tbody></table></div>"
        )

    def _cells(self, row):
        for cell, numeric in zip(row, self.numeric, strict=True):
            yield f"<td{_side(numeric, cell)}>{_faint(escape(cell)) if numeric else badge(cell)}</td>"


def badge(word):
    """`word` as HTML: in the colour of its meaning where it is in a closed vocabulary, else escaped text."""
    colour = BADGES.get(word)
    return f'<span class="lr-badge lr-{colour}">{escape(word)}</span>' if colour else escape(word)


def flat(frame):
    """The frame with its named index as columns and each Estimate as three columns."""
    if isinstance(frame, pd.Series):
        frame = frame.to_frame()
    attrs = dict(frame.attrs)
    named = [name for name in frame.index.names if name is not None]
    frame = frame.reset_index() if named else frame.reset_index(drop=True)
    columns = {}
    for name in frame.columns:
        columns |= _spread(name, frame[name])
    result = pd.DataFrame(columns, index=frame.index)
    result.attrs = attrs
    return result


def _spread(name, column):
    if not (len(column) and all(isinstance(cell, Estimate) for cell in column)):
        return {str(name): column}
    return {
        str(name): [cell.value for cell in column],
        f"{name}_low": [cell.low for cell in column],
        f"{name}_high": [cell.high for cell in column],
    }


def csv(frame):
    """The frame as CSV text: full precision, units as inside, the same bytes every time."""
    frame = flat(frame).copy()
    for name in frame.columns:
        if not _is_numeric(frame[name]):
            frame[name] = [_plain_text(cell) for cell in frame[name]]
    return frame.to_csv(index=False, lineterminator="\n")


def _intervals(names):
    """Column → (its low, its high): x_low and x_high of x; plain `low` is that of the column before it."""
    found = {n: (f"{n}_low", f"{n}_high") for n in names if f"{n}_low" in names and f"{n}_high" in names}
    if "low" in names[1:] and "high" in names:
        found[names[names.index("low") - 1]] = ("low", "high")
    return found


def _is_numeric(column):
    if pd.api.types.is_bool_dtype(column):
        return False
    if pd.api.types.is_numeric_dtype(column):
        return True
    filled = [cell for cell in column if cell is not None and cell is not pd.NA]
    return bool(filled) and all(
        isinstance(c, numbers.Real) and not isinstance(c, (bool, np.bool_)) for c in filled
    )


def _short(text):
    """Both ends of a long text, an engine's error say; the table's file has all of it."""
    return text if len(text) <= LONG else f"{text[: LONG // 2]} … {text[-LONG // 2 :]}"


def _text(cell):
    """A cell that is no column of numbers: words as they are, numbers as numbers, nothing as a dash."""
    if isinstance(cell, Estimate):
        return estimate(cell.value, cell.low, cell.high)
    if isinstance(cell, (bool, np.bool_)):
        return "yes" if cell else "no"
    if isinstance(cell, numbers.Real) or cell is None or cell is pd.NA:
        return number(cell)
    text = _plain_text(cell)
    return text if text else MISSING


def _plain_text(cell):
    if isinstance(cell, (dict, list, tuple, np.ndarray)):
        return json.dumps(
            cell.tolist() if isinstance(cell, np.ndarray) else cell, sort_keys=True, default=str
        )
    return "" if cell is None or cell is pd.NA or cell != cell else str(cell)


def _head(name, unit, extra=""):
    """What stands above a column; `_s` at the end of its name is the unit inside, and the one that is shown goes first."""
    text = (str(name).removesuffix("_s") if unit else str(name)).replace("_", " ")
    return text + (f", {unit}" if unit else "") + (f" [{extra}]" if extra else "")


def _piped(cell):
    return str(cell).replace("|", "\\|").replace("\n", " ")


def _side(numeric, cell=""):
    """The class of a cell: numbers stand to the right, long texts keep a width that can be read."""
    if numeric:
        return ' class="lr-n"'
    return ' class="lr-l"' if len(cell) > 4 * WIDE else ' class="lr-w"' if len(cell) > WIDE else ""


def _kept(head):
    """A head whose unit stays with its name, and whose level with its sign."""
    return head.replace(", ", ",&nbsp;").replace(" %", "&nbsp;%")


def _faint(text):
    """The interval in a lighter colour than its value."""
    value, bracket, interval = text.partition(" [")
    return f'{value} <span class="lr-ci">[{interval}</span>' if bracket else value
