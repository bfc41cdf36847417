"""Figures of limits: the roofline of a machine with what engines reach under it, and decode's share of a
request.
"""

import numpy as np

from ..reporting import display
from . import style
from .style import INK, SOFT, styled


@styled
def roofline(points, bytes_per_s, flops_per_s, by="backend", intensity="flops_per_byte", rate="flops_per_s"):
    """What each group reaches under the roof of its machine, on logarithmic axes: operations per second
    against operations per byte moved; left of the ridge memory limits, right of it arithmetic.

    `points`: one row per group and phase with `flops_per_byte`, `flops_per_s` and, for intervals,
    `flops_per_s_low`, `flops_per_s_high`; the ceilings are those measured on the same machine, bytes and
    operations per second.
    """
    found = style.groups(points, by)
    looks = style.colours([name for name, _ in found])
    ridge = flops_per_s / bytes_per_s
    known = points[intensity].to_numpy(float)
    left, right = min(known.min(), ridge) / 3, max(known.max(), ridge) * 3
    figure, (ax,) = style.sheet(height=4.0)
    x = np.array([left, ridge, right])
    ax.plot(x, np.minimum(x * bytes_per_s, flops_per_s), color=INK, lw=1.6, zorder=2)
    ax.axvline(ridge, color=SOFT, lw=0.8, ls=":")
    for name, group in found:
        colour, marker = looks[name]
        spread = style.errors(group, rate, f"{rate}_low", f"{rate}_high")
        ax.errorbar(group[intensity], group[rate], spread, fmt=marker, color=colour, mec="white", mew=0.7, capsize=2.5,
                    elinewidth=1.1, label=name, zorder=4)  # fmt: skip
    style.logarithmic(ax.xaxis)
    style.logarithmic(ax.yaxis)
    ax.set_xlim(left, right)
    _roof_words(ax, bytes_per_s, flops_per_s, left, right)
    ax.set(xlabel="operations per byte moved", ylabel="operations per second")
    style.key(ax, loc="lower right")
    return figure


def _roof_words(ax, bytes_per_s, flops_per_s, left, right):
    """Both ceilings by name and number, above their part of the roof."""
    ax.set_ylim(top=flops_per_s * 3)
    middle = (left * min(flops_per_s / bytes_per_s, right)) ** 0.5
    ax.annotate(f"memory: {_scaled(bytes_per_s)}B/s", (middle, middle * bytes_per_s), (-8, 4),
                textcoords="offset points", size=8.5, color=SOFT, ha="right")  # fmt: skip
    ax.annotate(f"arithmetic: {_scaled(flops_per_s)}flop/s", (right, flops_per_s), (-4, 5),
                textcoords="offset points", size=8.5, color=SOFT, ha="right")  # fmt: skip


def _scaled(rate):
    """'4.34 T': a rate in thousands of millions or, from a thousand of those on, in T."""
    return f"{rate / 1e12:.3g} T" if rate >= 1e12 else f"{rate / 1e9:.3g} G"


@styled
def decode_fraction(points, x="new_tokens", by="backend", value="share"):
    """Decode's share of a request against the length of the answer, one line a group, with intervals.

    `points`: one row per group and length with `share` (1 is the whole request) and `low`, `high`.
    """
    found = style.groups(points, by)
    looks = style.colours([name for name, _ in found])
    figure, (ax,) = style.sheet(height=3.4)
    for name, group in found:
        group, (colour, marker) = group.sort_values(x), looks[name]
        ax.errorbar(group[x], 100 * group[value], 100 * style.errors(group, value), color=colour, marker=marker, mec="white",
                    mew=0.7, capsize=2.5, elinewidth=1.1, label=name)  # fmt: skip
    if style.wide(points[x]):
        style.logarithmic(ax.xaxis)
    ax.set_ylim(0, 103)
    ax.set(xlabel=x.replace("_", " "), ylabel="decode's share of a request, %")
    style.key(ax)
    return figure


@styled
def waiting(points, goal_s=None, by="series", value="ttft_s"):
    """The mean time to the first token against utilisation, one line a group, with intervals; `goal_s` is a
    line.

    `points`: one row per group and utilisation (1 is always busy) with `ttft_s` in seconds, of Estimates or
    with ttft_s_low and ttft_s_high beside it.
    """
    points = display.flat(points)
    found = style.groups(points, by)
    looks = style.colours([name for name, _ in found])
    factor, unit = style.unit(points[value], "s")
    figure, (ax,) = style.sheet(height=3.6)
    for name, group in found:
        group, (colour, marker) = group.sort_values("utilisation"), looks[name]
        spread = style.errors(group, value, f"{value}_low", f"{value}_high") / factor
        ax.errorbar(100 * group["utilisation"], group[value] / factor, spread, color=colour, marker=marker,
                    mec="white", mew=0.7, capsize=2.5, elinewidth=1.1, label=name)  # fmt: skip
    if goal_s is not None:
        ax.axhline(goal_s / factor, color=INK, lw=1, ls="--", label="goal")
    style.logarithmic(ax.yaxis)
    ax.set(xlabel="utilisation, %", ylabel=f"mean time to the first token, {unit}", xlim=(0, 100))
    style.key(ax)
    return figure
