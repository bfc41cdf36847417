"""Figures of several engines on the same scenarios."""

import numpy as np

from . import style
from .style import styled
from .times import name_rows


@styled
def latency_by_backend(points, by="engine", rows="scenario", value=None, label="time of one request", base="s"):
    """Median time of a request with its 95 % interval: one band a scenario, one mark an engine.

    `points`: one row per engine and scenario with `median` (or value, seconds), `low`, `high` in seconds; or, with
    `label` and `base` (its unit), anything else that engines differ in.
    """
    value = style.centre(points, value)
    factor, unit = style.unit(points[value], base)
    scenarios = [name for name, _ in style.groups(points, rows)]
    engines = sorted(points[by].astype(str).unique())
    looks, offsets = style.colours(engines), np.linspace(-0.3, 0.3, len(engines)) if len(engines) > 1 else [0.0]
    figure, (ax,) = style.sheet(height=max(1.8, 0.9 + len(scenarios) * (0.3 + 0.11 * len(engines))))
    for name, offset in zip(engines, offsets, strict=True):
        group = points[points[by].astype(str) == name]
        places = np.array([scenarios.index(str(s)) for s in group[rows]]) + offset
        colour, marker = looks[name]
        ax.errorbar(group[value] / factor, places, xerr=style.errors(group, value) / factor, fmt=marker,
                    color=colour, mec="white", mew=0.6, capsize=2.5, elinewidth=1.2, label=name)  # fmt: skip
    name_rows(ax, scenarios)
    for edge in range(1, len(scenarios)):
        ax.axhline(edge - 0.5, color=style.GRID, lw=0.8)
    if style.wide(points[value]):
        style.logarithmic(ax.xaxis)
    ax.set_xlabel(f"{label}, {unit}")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3)
    return figure
