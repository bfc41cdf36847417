"""One look for every figure: colour-blind-safe, units on every axis, a word where data are missing."""

from functools import wraps
import math

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, NullLocator
import numpy as np
from pandas import CategoricalDtype

from ..reporting.claims import ReportError

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5B4E9A", "#6b6b6b")
"""Okabe and Ito (2008) without yellow (too faint on white); a violet and a grey added."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")
INK, SOFT, GRID = "#1c2128", "#57606a", "#e4e8ec"
VERDICTS = {"faster": "#009E73", "slower": "#D55E00", "equivalent": "#0072B2", "undecided": "#8a8f98"}
STYLE = {
    "font.family": "DejaVu Sans", "font.size": 9.5, "text.color": INK, "axes.labelcolor": INK,
    "axes.edgecolor": SOFT, "axes.linewidth": 0.8, "axes.spines.top": False, "axes.spines.right": False,
    "axes.axisbelow": True, "axes.titlesize": 10, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "axes.labelsize": 9.5, "xtick.color": SOFT, "ytick.color": SOFT, "xtick.labelcolor": INK,
    "ytick.labelcolor": INK, "xtick.labelsize": 8.5, "ytick.labelsize": 8.5, "xtick.major.width": 0.8,
    "ytick.major.width": 0.8, "xtick.minor.width": 0.5, "ytick.minor.width": 0.5, "axes.grid": True,
    "grid.color": GRID, "grid.linewidth": 0.8, "legend.frameon": False, "legend.fontsize": 8.5,
    "lines.linewidth": 1.6, "lines.markersize": 5.5, "figure.facecolor": "white",
    "axes.facecolor": "white", "savefig.facecolor": "white", "figure.dpi": 100, "text.usetex": False,
    "axes.unicode_minus": True, "axes.formatter.useoffset": False, "path.simplify": False,
}  # fmt: skip
WIDTH = 7.2
"""Inches: the width of a report's column."""
DECADE = 8.0
"""Values whose largest is this many times the smallest go on a logarithmic axis."""
UNITS = {"s": ((1e-6, "µs"), (1e-3, "ms"), (1.0, "s")), "B": ((2**20, "MiB"), (2**30, "GiB"))}


def styled(draw):
    """`draw` in the house style; a frame without rows gives a figure that says so."""

    @wraps(draw)
    def figure(frame, *args, **options):
        with rc_context(STYLE):
            if len(frame) == 0:
                return nothing()
            return draw(frame, *args, **options)

    return figure


def nothing(words="Nothing was measured that could be drawn here."):
    """A Figure that says why it is empty."""
    with rc_context(STYLE):
        figure = sheet(1, 1.3)[0]
        axes = figure.axes[0]
        axes.set_axis_off()
        axes.text(0.5, 0.5, words, ha="center", va="center", color=SOFT, transform=axes.transAxes)
        return figure


def sheet(columns=1, height=3.4, rows=1, **options):
    """(Figure, axes in a flat list): one report column wide, `height` inches a row."""
    figure = Figure(figsize=(WIDTH, height * rows), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06)
    grid = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, list(grid.flat)


def colours(names):
    """Each name's colour and marker, the same for the same list of names."""
    return {name: (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]) for i, name in enumerate(names)}


def ink_on(colour):
    """White or the ink: the one that is read better on `colour` (contrast as WCAG 2.1 defines it)."""
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return INK if linear @ (0.2126, 0.7152, 0.0722) > 0.21 else "white"


def groups(frame, by):
    """(name, rows): models by size, categories in their order, others as they appear; one without `by`."""
    if by is None or by not in frame:
        return [("", frame)]
    words = frame[by].astype(str)
    found = [(name, frame[words == name]) for name in dict.fromkeys(words)]
    if by == "model" and "params_measured" in frame and frame["params_measured"].notna().all():
        return sorted(found, key=lambda pair: (pair[1]["params_measured"].median(), pair[0]))
    if isinstance(frame[by].dtype, CategoricalDtype):
        return sorted(found, key=lambda pair: list(frame[by].cat.categories.astype(str)).index(pair[0]))
    return found


def unit(values, base):
    """(factor, unit) that shows `values` in `base` (s or B) with few digits; others stay as they are."""
    known = [v for v in np.ravel(np.asarray(values, float)) if math.isfinite(v) and v > 0]
    if base not in UNITS or not known:
        return 1.0, base
    middle = float(np.median(known))
    fitting = [pair for pair in UNITS[base] if pair[0] <= middle]
    return fitting[-1] if fitting else UNITS[base][0]


def wide(values):
    """Do the values span so much that a logarithmic axis shows them better?"""
    known = [v for v in np.ravel(np.asarray(values, float)) if math.isfinite(v)]
    return bool(known) and min(known) > 0 and max(known) / min(known) >= DECADE


def logarithmic(axis):
    """A logarithmic axis with plain numbers: 1, 10, 100; 2 and 5 between where there is room."""
    getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    low, high = sorted(axis.get_view_interval())
    if high / max(low, 1e-300) < 4:
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        axis.set_minor_locator(NullLocator())
    elif high / max(low, 1e-300) < 300:
        axis.set_minor_formatter(FuncFormatter(_two_and_five))
    else:
        axis.set_minor_formatter(NullFormatter())


def _two_and_five(value, _):
    lead = value / 10 ** math.floor(math.log10(value) + 1e-9)
    return short(value) if round(lead, 6) in (2.0, 5.0) else ""


def short(value):
    """'124M', '5k', '0.05': a number in at most four characters, where it can be."""
    for size, letter in ((1e15, "P"), (1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}" if abs(value) >= 1e-3 or value == 0 else f"{value:.0e}"


def errors(frame, value="value", low="low", high="high"):
    """Distances (2 × n) from value to low and high for `errorbar`; 0 where there is no interval."""
    middle = frame[value].to_numpy(float)
    below = middle - frame[low].to_numpy(float) if low in frame else np.zeros_like(middle)
    above = frame[high].to_numpy(float) - middle if high in frame else np.zeros_like(middle)
    return np.clip(np.nan_to_num(np.vstack([below, above]), posinf=0.0), 0.0, None)


def centre(frame, value=None):
    """The column that holds the centre: as given, else value, median, seconds or ratio."""
    for name in [value] if value else ["value", "median", "seconds", "ratio"]:
        if name in frame:
            return name
    wanted, found = value or "value, median, seconds or ratio", ", ".join(map(str, frame))
    raise ReportError(f"figure: no column {wanted}. There are: {found}. Name the one to draw.")


def key(axes, **options):
    """A legend where there is something to tell apart."""
    names = [name for name in axes.get_legend_handles_labels()[1] if name]
    if names:
        axes.legend(**{"loc": "best"} | options)
