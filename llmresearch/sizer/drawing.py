"""Figures of the validation: data frame in, matplotlib Figure out."""

from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
import numpy as np

from ..figures.style import COLOURS, SOFT, colours, sheet, styled

PARTS = {
    "weights": "weights", "activation": "activation peak", "non_torch": "outside PyTorch",
    "cuda_graphs": "CUDA graphs", "kv_pool": "KV pool",
}  # fmt: skip


def _plain(axis):
    """Ticks of a logarithmic axis as plain numbers, at 1 and 3."""
    axis.set_major_locator(LogLocator(subs=(1, 3), numticks=6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


@styled
def agreement(frame):
    """Predicted over measured, one panel a component, GiB on logarithmic axes; whiskers are 90 % intervals.

    `frame` is what validation.predicted_against_measured gives.
    """
    figure, axes = sheet(3, 2.3, rows=2)
    for panel, (name, title) in zip(axes, PARTS.items(), strict=False):
        rows = frame[(frame.component == name) & (frame.measured > 0) & (frame.predicted > 0)]
        below, above = rows.predicted - rows.low, rows.high - rows.predicted
        spread = np.maximum([below, above], 0)
        panel.errorbar(
            rows.measured, rows.predicted, spread, fmt="o", ms=3, lw=0.7, color=COLOURS[0], alpha=0.7
        )
        ends = [rows.measured.min() * 0.8, rows.measured.max() * 1.25] if len(rows) else [0.1, 1]
        panel.plot(ends, ends, color=SOFT, lw=0.8)
        panel.set(title=title, xscale="log", yscale="log", xlabel="measured (GiB)", ylabel="predicted (GiB)")
        panel.set(xlim=ends, ylim=ends)
        _plain(panel.xaxis)
        _plain(panel.yaxis)
    axes[-1].set_axis_off()
    return figure


@styled
def errors(frame):
    """Signed error of weights + activation + non-torch in percent against the measured size, by class.

    `frame` has size_class, non_kv_measured and non_kv_left_out, as validation.table gives them.
    """
    figure, (axes,) = sheet(1, 3.2)
    named = colours(sorted(frame.size_class.unique()))
    for name, rows in frame.groupby("size_class"):
        colour, marker = named[name]
        error = 100 * (rows.non_kv_left_out / rows.non_kv_measured - 1)
        axes.scatter(rows.non_kv_measured, error, color=colour, marker=marker, s=20, label=name, alpha=0.8)
    axes.axhline(0, color=SOFT, lw=0.8)
    axes.set(xscale="log", xlabel="measured weights + activation + non-torch (GiB)", ylabel="error (%)")
    _plain(axes.xaxis)
    axes.legend(ncols=4, loc="lower right")
    return figure
