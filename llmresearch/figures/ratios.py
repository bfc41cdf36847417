"""Figures of comparisons: ratios with intervals against the line of equality."""

import numpy as np

from ..reporting import display
from . import style
from .style import INK, SOFT, VERDICTS, styled


@styled
def ratio_forest(table, by=None, margin=None, title="time, as a ratio to the baseline"):
    """Each comparison's ratio with its interval, coloured by verdict; left of 1 is faster than the baseline.

    `table`: what `compare` gives: `ratio`, `low`, `high`, `verdict`, and columns that name the row (`by`: by
    default all text columns before `ratio` but `baseline`). `margin` (or the table's column) is the band of
    equivalence.
    """
    names = _names(table, by)
    figure, (ax,) = style.sheet(height=max(1.5, 0.85 + 0.34 * len(table)))
    margin = margin if margin is not None else _margin(table)
    if margin:
        ax.axvspan(1 - margin, 1 + margin, color=VERDICTS["equivalent"], alpha=0.1, lw=0)
    ax.axvline(1, color=INK, lw=1)
    for row, (_, found) in enumerate(table.iterrows()):
        _ratio(ax, row, found)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    _span(ax, table)
    style.logarithmic(ax.xaxis)
    ax.set_xlabel(title)
    return figure


def _ratio(ax, row, found):
    verdict = str(found.get("verdict", "undecided"))
    colour = VERDICTS.get(verdict, SOFT)
    text = "not measured"
    if np.isfinite(found["ratio"]):
        closed = np.isfinite([found["low"], found["high"]]).all()
        text = f"{display.estimate(found['ratio'], found['low'], found['high'])}  {verdict}"
        ax.plot(found["ratio"], row, "s", color=colour, mfc=colour if closed else "white", ms=6, zorder=3)
        if closed:
            ax.plot([found["low"], found["high"]], [row, row], color=colour, lw=1.8, zorder=2)
    ax.text(1.01, row, text, transform=ax.get_yaxis_transform(), va="center", size=8.5, color=colour)


def _span(ax, table):
    """Both sides of 1 stay visible, and no interval is cut."""
    known = table[["ratio", "low", "high"]].to_numpy(float)
    known = known[np.isfinite(known) & (known > 0)]
    low, high = min([0.9, *known]), max([1.1, *known])
    ax.set_xlim(low / (high / low) ** 0.06, high * (high / low) ** 0.06)


def _names(table, by):
    by = [by] if isinstance(by, str) else by
    if by is None:
        before = list(table.columns)[: list(table.columns).index("ratio")]
        by = [name for name in before if name != "baseline"]
    return [" · ".join(str(v) for v in row) for row in table[by].itertuples(index=False)]


def _margin(table):
    values = table["margin"].dropna().unique() if "margin" in table else []
    return float(values[0]) if len(values) == 1 else None
