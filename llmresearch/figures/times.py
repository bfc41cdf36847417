"""Figures of calls: how times are distributed, what the first call costs, how phases and lengths add up."""

import numpy as np

from ..stats.estimates import median
from . import style
from .style import INK, SOFT, styled

FEW = 400
"""Up to this many samples in a group each is a full dot; above, dots fade."""


@styled
def latency_distributions(calls, by="backend", facet=None, value="seconds"):
    """Every sample of each group with the median and its 95 % interval: one row a group, one panel per
    `facet`.

    `calls`: one row per timed call with `seconds` (and `session`, the unit of the interval, where there is
    one).
    """
    panels = style.groups(calls, facet)
    names = [name for name, _ in style.groups(calls, by)]
    figure, axes = style.sheet(height=max(1.5, 0.75 + 0.42 * len(names)), rows=len(panels))
    for ax, (panel, part) in zip(axes, panels, strict=True):
        factor, unit = style.unit(part[value], "s")
        for row, (name, group) in enumerate(style.groups(part, by)):
            _strip(
                ax,
                group,
                value,
                names.index(name) if name in names else row,
                factor,
                style.colours(names)[name][0],
            )
        name_rows(ax, names)
        if style.wide(part[value]):
            style.logarithmic(ax.xaxis)
        ax.set(title=panel, xlabel=f"time of one call, {unit}")
    return figure


def _strip(ax, group, value, row, factor, colour):
    """Dots scattered within a row by a fixed seed, the median as a bar, its interval as a line."""
    times = group[value].dropna().to_numpy(float) / factor
    lift = np.random.default_rng(row).uniform(-0.26, 0.26, times.size)
    faint = 0.55 if times.size <= FEW else max(0.05, 0.55 * FEW / times.size)
    ax.scatter(times, row + lift, s=11, color=colour, alpha=faint, linewidths=0, rasterized=times.size > FEW)
    found = median(group.rename(columns={value: "seconds"}).dropna(subset="seconds"))
    _interval(ax, found, row, factor)


def _interval(ax, found, row, factor, colour=INK):
    """The median as an upright bar, its interval as a line with ends; only the bar where it has none."""
    ax.plot(
        [found.value / factor] * 2,
        [row - 0.36, row + 0.36],
        color=colour,
        lw=2,
        solid_capstyle="butt",
        zorder=4,
    )
    if np.isfinite([found.low, found.high]).all():
        edges = [found.low / factor, found.high / factor]
        ax.plot(edges, [row, row], color=colour, lw=1.4, marker="|", ms=9, zorder=4)


def name_rows(ax, names):
    """Names at the left of horizontal rows, the first on top."""
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)


@styled
def cold_start(calls, by="backend", value="seconds"):
    """The first call of each process beside the steady median, one row a group; the factor between them at
    the right.

    `calls`: one row per timed call with `kind` (first, warmup, sample) and `seconds`.
    """
    found = style.groups(calls, by)
    names = [name for name, _ in found]
    factor, unit = style.unit(calls[value], "s")
    figure, (ax,) = style.sheet(height=max(1.6, 0.9 + 0.42 * len(names)))
    for row, (_, group) in enumerate(found):
        _first_and_steady(ax, group, value, row, factor)
    name_rows(ax, names)
    if style.wide(calls[value]):
        style.logarithmic(ax.xaxis)
    ax.set_xlabel(f"time of one call, {unit}")
    ax.plot([], [], "o", mfc="none", color=style.COLOURS[1], label="first call of a process")
    ax.plot([], [], "|", color=INK, ms=9, mew=2, label="steady: median, 95 % interval")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return figure


def _first_and_steady(ax, group, value, row, factor):
    group = group.rename(columns={value: "seconds"})
    first = group.loc[group["kind"] == "first", "seconds"].to_numpy(float)
    steady = median(group[group["kind"] == "sample"].dropna(subset="seconds"))
    colour = style.COLOURS[1]
    if first.size and np.isfinite(steady.value):
        middle = float(np.median(first))
        ax.plot(
            [steady.value / factor, middle / factor], [row, row], color=colour, lw=2.5, alpha=0.25, zorder=1
        )
        ax.text(
            1.01,
            row,
            f"× {middle / steady.value:.3g}",
            transform=ax.get_yaxis_transform(),
            va="center",
            color=SOFT,
            size=8.5,
        )
    ax.plot(first / factor, np.full(first.size, row), "o", mfc="white", color=colour, ms=6, zorder=3)
    _interval(ax, steady, row, factor)


@styled
def decode_length(points, x="new_tokens", by="backend", value=None, ylabel="time of one call"):
    """Time against length, one line a group: medians with their intervals; no line bends beyond what was
    measured.

    `points`: one row per group and length with `median` (or value, seconds), `low`, `high` in seconds.
    """
    value = style.centre(points, value)
    factor, unit = style.unit(points[value], "s")
    found = style.groups(points, by)
    looks = style.colours([name for name, _ in found])
    figure, (ax,) = style.sheet(height=3.6)
    for name, group in found:
        group, (colour, marker) = group.sort_values(x), looks[name]
        spread = style.errors(group, value) / factor
        ax.errorbar(group[x], group[value] / factor, spread, color=colour, marker=marker, mec="white",
                    mew=0.7, capsize=2.5, elinewidth=1.1, label=name)  # fmt: skip
    if style.wide(points[x]) or style.wide(points[value]):
        style.logarithmic(ax.xaxis)
        style.logarithmic(ax.yaxis)
    ax.set(xlabel=x.replace("_", " "), ylabel=f"{ylabel}, {unit}")
    style.key(ax)
    return figure


@styled
def phase_stack(points, by="backend", parts="phase", value=None):
    """The phases of a request on one bar a group, with each phase's share; medians in seconds, added for the
    eye only.

    `points`: one row per group and phase with `median` (or value, seconds).
    """
    value = style.centre(points, value)
    factor, unit = style.unit(points[value], "s")
    found = style.groups(points, by)
    phases = list(dict.fromkeys(points[parts].astype(str)))
    figure, (ax,) = style.sheet(height=max(1.5, 0.9 + 0.42 * len(found)))
    bars(ax, found, parts, value, phases, factor)
    name_rows(ax, [name for name, _ in found])
    bars_key(ax, phases)
    ax.set_xlabel(f"median time, {unit}")
    return figure


def bars(ax, found, parts, value, kinds, factor):
    """One bar for each (name, rows): the sums of `value` by kind, end to end."""
    sums = [rows.groupby(rows[parts].astype(str), observed=True)[value].sum() for _, rows in found]
    longest = max(float(s.sum()) for s in sums) / factor
    for row, lengths in enumerate(sums):
        _stack(ax, row, [lengths.get(kind, 0.0) / factor for kind in kinds], longest)


def _stack(ax, row, lengths, longest):
    """One bar; a part's share is written on it where it is long enough to hold the text."""
    start, total = 0.0, sum(lengths)
    for i, length in enumerate(lengths):
        ax.barh(
            row, length, 0.62, start, color=style.COLOURS[i % len(style.COLOURS)], edgecolor="white", lw=0.8
        )
        if length >= 0.07 * longest > 0:
            share = f"{100 * length / total:.0f} %"
            ink = style.ink_on(style.COLOURS[i % len(style.COLOURS)])
            ax.text(start + length / 2, row, share, ha="center", va="center", color=ink, size=8)
        start += length


def bars_key(ax, names):
    """A legend above the axes for the parts of stacked bars."""
    for i, name in enumerate(names):
        ax.barh([0], [0], color=style.COLOURS[i % len(style.COLOURS)], label=name)
    ax.legend(
        loc="lower left", bbox_to_anchor=(0, 1.0), ncols=min(6, len(names)), handlelength=1, borderaxespad=0.3
    )
