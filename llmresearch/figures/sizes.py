"""Figures over size: a law with its band and the range it was fitted in, and where two engines cross."""

import numpy as np

from . import style
from .style import SOFT, styled
from .times import FEW

BEYOND = 3.0
"""A law is drawn this many times beyond the smallest and largest size, dashed and shaded."""


@styled
def scaling(
    points, laws=None, x="params_measured", by="backend", value=None, xlabel="parameters", samples=None
):
    """Time against size on logarithmic axes, one colour a group, with its law where there is one.

    `points`: one row per group and size with `median` (or value, seconds), `low`, `high` in seconds. `laws`
    maps a group's name to a PowerLaw or another law with `.predict(sizes)` and, for its band,
    `.interval(sizes)`, in seconds. Outside the sizes that it was fitted to the curve is dashed on grey:
    extrapolated. `samples`, the timed calls behind the points with `seconds`, are small dots.
    """
    value = style.centre(points, value)
    factor, unit = style.unit(points[value], "s")
    found, laws = style.groups(points, by), _drawable(laws, points[x].to_numpy(float))
    looks = style.colours([name for name, _ in found])
    figure, (ax,) = style.sheet(height=4.0)
    for name, group in found:
        law = laws.get(name)
        if law is not None:
            _law(ax, law, group[x].to_numpy(float), factor, looks[name][0])
        if samples is not None:
            _dots(ax, samples[samples[by].astype(str) == name], x, factor, looks[name][0])
        _points(ax, group, x, value, factor, *looks[name], name)
    style.logarithmic(ax.xaxis)
    style.logarithmic(ax.yaxis)
    if laws:
        _shade(ax, points[x].to_numpy(float), laws.values())
    ax.set(xlabel=xlabel, ylabel=f"time of one call, {unit}")
    style.key(ax)
    return figure


def _drawable(laws, sizes):
    """The laws that say something: one of too few sizes has no curve."""
    return {name: law for name, law in (laws or {}).items() if np.isfinite(law.predict(sizes)).all()}


def _points(ax, group, x, value, factor, colour, marker, name):
    spread = style.errors(group, value) / factor
    ax.errorbar(group[x], group[value] / factor, spread, fmt=marker, color=colour, mec="white", mew=0.7,
                capsize=2.5, elinewidth=1.1, label=name, zorder=4)  # fmt: skip


def _dots(ax, calls, x, factor, colour):
    """Every call as a small dot; the more there are, the fainter."""
    faint = 0.45 if len(calls) <= FEW else max(0.05, 0.45 * FEW / len(calls))
    ax.plot(calls[x], calls["seconds"] / factor, ".", color=colour, ms=3.5, mew=0, alpha=faint, zorder=2)


def _law(ax, law, sizes, factor, colour):
    """The curve with its band: solid where it was fitted, dashed beyond."""
    low, high = _range(law, sizes)
    for start, end, line in ((low / BEYOND, low, "--"), (low, high, "-"), (high, high * BEYOND, "--")):
        grid = np.geomspace(start, end, 60)
        middle, below, above = curve(law, grid)
        ax.plot(grid, middle / factor, line, color=colour, lw=1.4, zorder=3)
        if np.isfinite(below).any():
            ax.fill_between(grid, below / factor, above / factor, color=colour, alpha=0.14, lw=0)


def _range(law, sizes):
    """The smallest and largest size that a law was fitted to; those drawn where it does not tell."""
    low, high = getattr(law, "range", (np.nan, np.nan))
    return (low, high) if np.isfinite([low, high]).all() else (sizes.min(), sizes.max())


def curve(law, sizes):
    """(value, low, high) of a law at `sizes`: its prediction, and a new point's interval where it has one."""
    value = np.asarray(law.predict(sizes), float)
    low, high = law.interval(sizes) if hasattr(law, "interval") else np.full((2, len(sizes)), np.nan)
    return value, np.asarray(low, float), np.asarray(high, float)


def _shade(ax, sizes, laws):
    """Grey outside of the sizes that any law was fitted to, with the word for it."""
    ranges = [_range(law, sizes) for law in laws]
    low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
    left, right = min(low, sizes.min()) / BEYOND, max(high, sizes.max()) * BEYOND
    ax.axvspan(left, low, color="#8a8f98", alpha=0.09, lw=0)
    ax.axvspan(high, right, color="#8a8f98", alpha=0.09, lw=0)
    ax.set_xlim(left, right)
    place = ax.get_xaxis_transform()
    ax.text((high * right) ** 0.5, 0.02, "extrapolated", transform=place, ha="center", color=SOFT, size=8)


@styled
def crossover(
    points,
    found=None,
    x="params_measured",
    ratio="ratio",
    by=None,
    xlabel="parameters",
    ylabel="ratio of times",
):
    """The ratio of two engines against size, the line of equality, and where it is crossed with its interval.

    `points`: one row per size with `ratio`, `low`, `high`. `found` is a Crossover in the unit of `x`; its
    bootstrap interval is drawn where it is one stretch, to the edge where it has no end, and not at all where
    it is unknown.
    """
    groups = style.groups(points, by)
    looks = style.colours([name for name, _ in groups])
    figure, (ax,) = style.sheet(height=3.6)
    ax.axhline(1, color=style.INK, lw=1)
    for name, group in groups:
        _points(ax, group, x, ratio, 1.0, *looks[name], name)
    style.logarithmic(ax.xaxis)
    style.logarithmic(ax.yaxis)
    if found is not None:
        _crossing(ax, found)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    style.key(ax)
    return figure


def _crossing(ax, found):
    edges, (left, right) = found.bootstrap, ax.get_xlim()
    if edges.finite and not np.isnan([edges.low, edges.high]).any():
        ax.axvspan(max(edges.low, left), min(edges.high, right), color=style.COLOURS[4], alpha=0.22, lw=0)
    if np.isfinite(found.value) and left <= found.value <= right:
        ax.axvline(found.value, color=style.COLOURS[4], lw=1.6)
        ax.text(
            found.value,
            1.01,
            style.short(found.value),
            transform=ax.get_xaxis_transform(),
            ha="center",
            size=8.5,
        )
    ax.set_xlim(left, right)
