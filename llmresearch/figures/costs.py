"""Figures of what it takes: money against speed, share of the hardware's limit, where memory goes."""

import numpy as np

from . import style
from .style import INK, SOFT, styled
from .times import bars, bars_key, name_rows


@styled
def cost_throughput(points, x="tokens_per_s", y="usd_per_million_tokens", name="backend"):
    """Dollars per million tokens against tokens per second; what nothing else beats on both is filled, and on the
    Pareto line where there are two such.

    `points`: one row a choice with `tokens_per_s` and `usd_per_million_tokens`, and `_low` and `_high` of
    either.
    """
    points = points.dropna(subset=[x, y])
    if points.empty:
        return style.nothing("No choice has both a speed and a price.")
    figure, (ax,) = style.sheet(height=4.0)
    front = pareto(points[x].to_numpy(float), points[y].to_numpy(float))
    edge = points[front].sort_values(x)
    if len(edge) > 1:
        ax.step(edge[x], edge[y], where="pre", color=SOFT, lw=1.2, ls="--", zorder=1, label="Pareto line")
    looks = style.colours(list(dict.fromkeys(points[name].astype(str))))
    for best, (_, row) in zip(front, points.iterrows(), strict=True):
        _choice(ax, row, x, y, str(row[name]), looks[str(row[name])], best)
    for axis in (ax.xaxis, ax.yaxis):
        style.logarithmic(axis)
    ax.margins(0.12)
    ax.set(xlabel="tokens per second", ylabel="US dollars per million tokens")
    style.key(ax)
    return figure


def pareto(speed, cost):
    """A mask of the points that no other beats: as fast and as cheap, and better in one of both."""
    speed, cost = np.asarray(speed, float), np.asarray(cost, float)
    at_least = (speed[None] >= speed[:, None]) & (cost[None] <= cost[:, None])
    better = (speed[None] > speed[:, None]) | (cost[None] < cost[:, None])
    return ~(at_least & better).any(axis=1)


def _choice(ax, row, x, y, name, look, best):
    colour, marker = look
    spread = [_edges(row, x), _edges(row, y)]
    ax.errorbar(row[x], row[y], spread[1], spread[0], fmt=marker, color=colour, capsize=2, label=name,
                mfc=colour if best else "white", elinewidth=1.1, ms=7, zorder=3)  # fmt: skip


def _edges(row, name):
    low, high = row.get(f"{name}_low", np.nan), row.get(f"{name}_high", np.nan)
    distances = np.array([[row[name] - low], [high - row[name]]], float)
    return np.clip(np.nan_to_num(distances, posinf=0.0), 0.0, None)


@styled
def roofline_share(points, name="backend", value="share", limit="the hardware's limit"):
    """How much of the hardware's limit each group reaches, with intervals; the limit itself is the line at
    100 %.

    `points`: one row a group with `share` (1 is the limit) and `share_low`, `share_high` or `low`, `high`.
    """
    figure, (ax,) = style.sheet(height=max(1.5, 0.8 + 0.4 * len(points)))
    low = f"{value}_low" if f"{value}_low" in points else "low"
    high = low.replace("low", "high")
    share, rows = 100 * points[value].to_numpy(float), np.arange(len(points))
    ax.barh(rows, share, 0.6, color=style.COLOURS[0], alpha=0.85, zorder=2)
    known = np.isfinite(points.reindex(columns=[low, high]).to_numpy(float)).all(axis=1)  # no caps without an interval
    ax.errorbar(
        share[known],
        rows[known],
        xerr=100 * style.errors(points[known], value, low, high),
        fmt="none",
        color=INK,
        capsize=3,
        zorder=3,
    )
    ax.axvline(100, color=style.COLOURS[1], lw=1.6)
    ax.set_xlim(0, max(105.0, 1.05 * np.nanmax(np.append(share, 0.0))))
    ax.set_xlabel(f"share of {limit}, %")
    name_rows(ax, list(points[name].astype(str)))
    return figure


@styled
def memory_components(points, by="model", parts="component", value="bytes", budget=None):
    """What fills the memory, one bar a group, GiB; `budget` (bytes) is a line.

    `points`: one row per group and component with `bytes`.
    """
    found = style.groups(points, by)
    kinds = list(dict.fromkeys(points[parts].astype(str)))
    totals = points.groupby(points[by].astype(str))[value].sum()
    factor, unit = style.unit([budget or totals.max()], "B")
    figure, (ax,) = style.sheet(height=max(1.5, 0.9 + 0.42 * len(found)))
    bars(ax, found, parts, value, kinds, factor)
    name_rows(ax, [name for name, _ in found])
    bars_key(ax, kinds)
    if budget:
        ax.axvline(budget / factor, color=INK, lw=1.4)
        ax.text(budget / factor, len(found) - 0.45, " budget", color=INK, size=8.5, va="bottom")
    ax.set_xlabel(f"memory, {unit}")
    return figure
