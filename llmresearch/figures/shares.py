"""Figures of shares: how often each way of judging says something, and how often it is right."""

from ..reporting import display
from . import style
from .style import INK, styled
from .times import name_rows

OUTCOMES = {"right": "#009E73", "undecided": "#b9bec5", "wrong": "#D55E00"}


@styled
def shares(table, value, by="world", method="method", line=None, title="share of studies"):
    """A dot with its interval for each row of `by` and each method; `line` is the share that was promised.

    `table`: columns `by`, `method` and `value`, of Estimates or with `<value>_low` and `<value>_high` beside it.
    """
    table = display.flat(table)
    found, looks = style.groups(table, by), style.colours(list(dict.fromkeys(table[method])))
    figure, (ax,) = style.sheet(height=max(2.0, 1.4 + 0.34 * len(found)))
    for place, (name, look) in enumerate(looks.items()):
        rows = table[table[method] == name]
        shift = 0.14 * (place - (len(looks) - 1) / 2)
        y = [shift + [name for name, _ in found].index(str(group)) for group in rows[by]]
        spread = style.errors(rows, value, f"{value}_low", f"{value}_high")
        ax.errorbar(rows[value], y, xerr=spread, fmt=look[1], color=look[0], ms=4.5, elinewidth=1.1, label=name)
    if line is not None:
        ax.axvline(line, color=INK, lw=1)
    name_rows(ax, [name for name, _ in found])
    ax.set(xlabel=title, xlim=(-0.02, 1.02))
    _key(ax, 2)
    return figure


@styled
def outcomes(table, by="slowdown", method="method"):
    """A bar of right, undecided and wrong verdicts for each row of `by` and each method; `table` holds the three shares."""
    table = display.flat(table)
    names = [f"{group} · {said}" for group, said in zip(table[by], table[method])]
    figure, (ax,) = style.sheet(height=max(1.8, 1.0 + 0.24 * len(names)))
    start = 0.0 * table["right"].to_numpy(float)
    for kind, colour in OUTCOMES.items():
        length = table[kind].to_numpy(float)
        ax.barh(range(len(names)), length, 0.66, start, color=colour, edgecolor="white", lw=0.8, label=kind)
        start = start + length
    name_rows(ax, names)
    ax.set(xlabel="share of studies", xlim=(0, 1))
    _key(ax, 3)
    return figure


def _key(ax, columns):
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, handlelength=1, borderaxespad=0.3)
