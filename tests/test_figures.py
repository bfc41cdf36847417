"""Figures draw what they were given, say what they do not know, and are the same every time."""

from functools import partial
from io import BytesIO
from types import SimpleNamespace

import matplotlib
import numpy as np
import pandas as pd
import pytest

from llmresearch import figures
from llmresearch.reporting.claims import ReportError
from llmresearch.figures import costs, sizes, style
from llmresearch.fits.crossovers import Interval
from llmresearch.fits.power_laws import power_law
from llmresearch.reporting.report import PNG

SIZES = [1e5, 1e6, 1e7, 1e8]
CALLS = pd.DataFrame([
    {"backend": b, "phase": "decode", "session": s, "kind": k, "status": "ok", "index": i,
     "seconds": t * (1 + i / 50 + s / 100) * (9 if k == "first" else 1)}
    for b, t in [("hf", 0.012), ("ort", 0.003)] for s in (1, 2, 3)
    for i, k in enumerate(["first"] + ["sample"] * 8)
])  # fmt: skip
POINTS = pd.DataFrame({
    "backend": ["hf"] * 4, "params_measured": SIZES, "median": [0.001, 0.002, 0.01, 0.1],
    "low": [0.0009, 0.0019, 0.009, np.nan], "high": [0.0011, 0.0021, 0.011, np.nan],
})  # fmt: skip
LENGTHS = pd.DataFrame(
    {
        "backend": ["hf"] * 3,
        "new_tokens": [8, 32, 128],
        "median": [0.1, 0.4, 1.6],
        "low": [0.09, 0.3, 1.5],
        "high": [0.11, 0.5, 1.7],
    }
)
PHASES = pd.DataFrame({"backend": ["hf", "hf"], "phase": ["prefill", "decode"], "median": [0.1, 0.3]})
COSTS = pd.DataFrame(
    {
        "backend": ["a", "b", "c"],
        "tokens_per_s": [100.0, 200.0, 150.0],
        "usd_per_million_tokens": [1.0, 2.0, 3.0],
    }
)
SHARES = pd.DataFrame({"backend": ["a"], "share": [0.4], "low": [0.35], "high": [0.45]})
RATIOS = pd.DataFrame(
    {
        "phase": ["prefill", "decode"],
        "backend": ["ort", "ort"],
        "ratio": [0.5, 1.0],
        "low": [0.4, np.nan],
        "high": [0.6, np.nan],
        "verdict": ["faster", "undecided"],
    }
)
MEMORY = pd.DataFrame({"model": ["m", "m"], "component": ["weights", "KV pool"], "bytes": [2e10, 4e10]})
CROSS = pd.DataFrame(
    {
        "params_measured": SIZES,
        "ratio": [0.5, 0.8, 1.0, 1.5],
        "low": [0.4, 0.7, 0.9, 1.4],
        "high": [0.6, 0.9, 1.1, 1.6],
    }
)
ROOF = pd.DataFrame({"backend": ["hf", "ort"], "flops_per_byte": [0.5, 30.0], "flops_per_s": [4e9, 7e10]})
FRACTIONS = pd.DataFrame({"backend": ["hf", "hf"], "new_tokens": [8, 128], "share": [0.2, 0.8], "low": [0.1, 0.7], "high": [0.3, 0.9]})
WAITS = pd.DataFrame({"series": "hf m", "utilisation": [0.5, 0.9], "ttft_s": [0.2, 2.0], "ttft_s_low": [0.1, np.nan], "ttft_s_high": [0.3, np.nan]})
KINDS = [
    (figures.latency_distributions, CALLS[CALLS["kind"] == "sample"]), (figures.cold_start, CALLS),
    (figures.scaling, POINTS), (figures.decode_length, LENGTHS), (figures.phase_stack, PHASES),
    (figures.cost_throughput, COSTS),
    (figures.roofline_share, SHARES), (figures.ratio_forest, RATIOS), (figures.memory_components, MEMORY),
    (figures.crossover, CROSS), (partial(figures.roofline, bytes_per_s=2e10, flops_per_s=1.2e11), ROOF),
    (figures.decode_fraction, FRACTIONS), (figures.waiting, WAITS),
]  # fmt: skip


def texts(figure):
    found = figure.findobj(matplotlib.text.Text)
    return " ".join(t.get_text() for t in found)


def png(figure):
    content = BytesIO()
    figure.savefig(content, **PNG)
    return content.getvalue()


@pytest.mark.parametrize(("draw", "frame"), KINDS)
def test_the_same_frame_gives_the_same_picture(draw, frame):
    assert png(draw(frame)) == png(draw(frame.copy()))


@pytest.mark.parametrize(("draw", "frame"), KINDS)
def test_an_empty_frame_gives_a_figure_that_says_so(draw, frame):
    assert "Nothing was measured" in texts(draw(frame.head(0)))


def test_no_window_is_opened_and_no_figure_is_left_in_pyplot():
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    figures.scaling(POINTS)
    assert plt.get_fignums() == before


def test_every_sample_is_a_dot():
    figure = figures.latency_distributions(CALLS[CALLS["kind"] == "sample"])
    dots = sum(len(c.get_offsets()) for c in figure.axes[0].collections)
    assert dots == 48


def test_times_are_shown_in_ms_with_the_unit_on_the_axis():
    assert figures.latency_distributions(CALLS).axes[0].get_xlabel() == "time of one call, ms"


def test_a_cold_start_says_how_many_times_the_steady_call_the_first_one_takes():
    assert "× 8.2" in texts(figures.cold_start(CALLS[CALLS["backend"] == "hf"]))


def test_a_law_is_solid_where_it_was_fitted_and_dashed_beyond():
    law = SimpleNamespace(predict=lambda x: x * 1e-9, interval=lambda x: (x * 0.8e-9, x * 1.2e-9))
    axes = figures.scaling(POINTS, {"hf": law}).axes[0]
    solid = [line for line in axes.get_lines() if line.get_linestyle() == "-" and len(line.get_xdata()) == 60]
    dashed = [line for line in axes.get_lines() if line.get_linestyle() == "--"]
    assert [(line.get_xdata()[0], line.get_xdata()[-1]) for line in solid] == [(1e5, pytest.approx(1e8))]
    assert max(line.get_xdata()[-1] for line in dashed) == pytest.approx(3e8)
    assert "extrapolated" in texts(axes.figure)


def test_a_power_law_has_a_band_and_a_law_without_an_interval_has_none():
    law = power_law(SIZES, POINTS["median"])
    value, low, high = sizes.curve(law, np.array([1e6]))
    assert low[0] < value[0] < high[0]
    assert np.isnan(sizes.curve(SimpleNamespace(predict=lambda x: x), np.array([1.0]))[1]).all()


def test_a_crossing_is_a_line_with_the_band_of_its_interval():
    found = SimpleNamespace(value=1e7, bootstrap=Interval(5e6, 2e7))
    axes = figures.crossover(CROSS, found).axes[0]
    assert "10M" in texts(axes.figure)
    assert any(patch.get_x() == 5e6 and patch.get_width() == 1.5e7 for patch in axes.patches)


def test_a_crossing_without_an_interval_has_no_band():
    found = SimpleNamespace(value=1e7, bootstrap=Interval(np.nan, np.nan))
    assert not figures.crossover(CROSS, found).axes[0].patches


def test_a_ratio_without_an_interval_is_hollow_and_keeps_its_verdict():
    axes = figures.ratio_forest(RATIOS).axes[0]
    squares = [line for line in axes.get_lines() if line.get_marker() == "s"]
    assert [str(line.get_markerfacecolor()) for line in squares] == ["#009E73", "white"]
    assert "0.50 [0.40, 0.60]  faster" in texts(axes.figure)


@pytest.mark.parametrize("usd, named", [([2.0, 1.0], False), ([1.0, 2.0], True)])
def test_a_pareto_line_of_one_point_is_not_named_in_the_key(usd, named):
    points = pd.DataFrame({"backend": ["a", "b"], "tokens_per_s": [100.0, 200.0], "usd_per_million_tokens": usd})
    words = [text.get_text() for text in costs.cost_throughput(points).axes[0].get_legend().get_texts()]
    assert ("Pareto line" in words) == named and {"a", "b"} <= set(words)


def test_the_pareto_line_holds_what_nothing_beats_on_speed_and_cost():
    assert list(costs.pareto([100, 200, 150], [1, 2, 3])) == [True, True, False]
    assert list(costs.pareto([100, 100], [1, 1])) == [True, True]


def test_an_axis_is_logarithmic_where_the_values_span_it():
    assert style.wide([1, 8]) and not style.wide([1, 7.9]) and not style.wide([0, 100])


def test_models_stand_in_the_order_of_their_size_and_categories_in_theirs():
    frame = pd.DataFrame(
        {"model": ["b", "a", "c"], "params_measured": [5, 20, 1], "backend": pd.Categorical(["y", "x", "y"])}
    )
    assert [name for name, _ in style.groups(frame, "model")] == ["c", "b", "a"]
    assert [name for name, _ in style.groups(frame, "backend")] == ["x", "y"]
    assert [name for name, _ in style.groups(frame[["model"]], "model")] == ["b", "a", "c"]


def test_the_roof_bends_where_both_ceilings_meet_and_names_them():
    axes = figures.roofline(ROOF, bytes_per_s=2e10, flops_per_s=1.2e11).axes[0]
    roof = axes.get_lines()[0]
    assert (roof.get_xdata()[1], roof.get_ydata()[1], roof.get_ydata()[2]) == (6.0, 1.2e11, 1.2e11)
    assert "memory: 20 GB/s" in texts(axes.figure) and "arithmetic: 120 Gflop/s" in texts(axes.figure)


def test_the_ceilings_of_a_large_machine_are_in_larger_units():
    words = texts(figures.roofline(ROOF, bytes_per_s=4.34e12, flops_per_s=7.5e14))
    assert "memory: 4.34 TB/s" in words and "arithmetic: 750 Tflop/s" in words


def test_decodes_share_is_in_percent_of_a_whole_request():
    axes = figures.decode_fraction(FRACTIONS).axes[0]
    assert list(axes.get_lines()[0].get_ydata()) == [20.0, 80.0] and axes.get_ylim() == (0, 103)


def test_words_on_a_bar_are_read_on_its_colour():
    assert style.ink_on("#0072B2") == "white" and style.ink_on("#E69F00") == style.INK


def test_every_call_behind_a_point_is_a_dot():
    calls = pd.DataFrame({"backend": "hf", "params_measured": 1e6, "seconds": [0.0018, 0.002, 0.0022]})
    dots = [line for line in figures.scaling(POINTS, samples=calls).axes[0].get_lines() if line.get_marker() == "."]
    assert [list(line.get_ydata()) for line in dots] == [pytest.approx([1.8, 2.0, 2.2])]


def test_a_law_of_too_few_sizes_has_no_curve():
    bare, drawn = figures.scaling(POINTS), figures.scaling(POINTS, {"hf": power_law([1e5, 1e6], [0.001, 0.002])})
    assert len(drawn.axes[0].get_lines()) == len(bare.axes[0].get_lines())


def test_the_goal_of_a_queue_is_a_line_and_its_times_are_on_a_logarithmic_axis():
    axes = figures.waiting(WAITS, goal_s=0.5).axes[0]
    assert axes.get_yscale() == "log" and axes.get_legend_handles_labels()[1][0] == "goal"
    assert list(axes.get_lines()[0].get_xdata()) == [50.0, 90.0]


def test_a_share_without_an_interval_has_no_caps():
    rows = pd.DataFrame({"backend": ["a", "b"], "share": [0.4, 0.5], "low": [0.3, np.nan], "high": [0.5, np.nan]})
    (bars,) = [c for c in figures.roofline_share(rows).axes[0].containers if hasattr(c, "has_xerr")]
    assert [list(cap.get_xdata()) for cap in bars.lines[1]] == [[pytest.approx(30.0)], [pytest.approx(50.0)]]


def test_sizes_are_short():
    assert [style.short(v) for v in (124_439_808, 5000, 0.05, 1.0, 1e15)] == ["124M", "5k", "0.05", "1", "1P"]


def test_the_colours_differ_also_in_brightness():
    bright = sorted(
        0.299 * int(c[1:3], 16) + 0.587 * int(c[3:5], 16) + 0.114 * int(c[5:], 16) for c in style.COLOURS[:5]
    )
    assert min(np.diff(bright)) > 5


def test_a_column_that_is_not_there_is_one_sentence():
    with pytest.raises(ReportError, match="figure: no column value, .*There are: backend, time"):
        figures.decode_length(pd.DataFrame({"backend": ["a"], "time": [1.0]}))
