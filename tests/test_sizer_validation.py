import pytest

from llmresearch.sizer import validation


@pytest.fixture(scope="module")
def rows():
    return validation.table()


@pytest.fixture(scope="module")
def figures(rows):
    return validation.figures(rows)


def test_every_threshold_holds_with_families_left_out(figures):
    assert figures[~figures.passed].what.tolist() == []
    assert len(figures) >= 13


def test_the_thresholds_are_those_that_were_set():
    assert validation.THRESHOLDS == {
        "kv_pool_mape": 2.0, "non_kv_mape_text": 1.5, "1-2 B": 2.0, "7-8 B": 1.0, "13-70 B": 2.0, "MoE": 3.0,
        "coverage_low": 85.0, "coverage_high": 95.0, "no_fit_probability": 0.5,
    }  # fmt: skip


def test_a_crossed_threshold_stops_the_run(figures):
    worse = figures.copy()
    worse.loc[0, ["achieved", "passed"]] = [9.9, False]
    with pytest.raises(validation.ThresholdError, match="KV pool, mean absolute error"):
        validation.check(worse)
    validation.check(figures)


@pytest.mark.parametrize(
    ("params", "moe", "name"),
    [
        (1.24e9, 0, "1-2 B"),
        (8.03e9, 0, "7-8 B"),
        (13.0e9, 0, "13-70 B"),
        (72.7e9, 0, "13-70 B"),
        (46e9, 8, "MoE"),
        (4e9, 0, "3-6 B"),
    ],
)
def test_size_classes_are_the_plans(params, moe, name):
    assert validation.size_class(params, moe) == name


def test_bytes_a_token_are_exact_where_the_physics_is():
    found = validation.per_token()
    exact = found[found.exact]
    assert (exact.error_percent.abs() < 1).mean() > 0.95
    assert exact.error_percent.abs().median() < 0.02


def test_the_old_formulas_are_judged_on_the_same_rows_and_are_far_off():
    found = validation.against_legacy().set_index("method")
    assert found.loc["this sizer", "mean_percent"] < 1
    assert found.loc["legacy-plan", "mean_percent"] > 30
    assert found.loc["legacy-8pct", "mean_percent"] > 5
    assert found.n.nunique() == 1


def test_errors_are_broken_down_as_the_plan_asked(rows):
    by_class = validation.by(rows, "size_class")
    assert {"1-2 B", "7-8 B", "13-70 B", "MoE"} <= set(by_class.index)
    assert (by_class.n > 0).all()
    assert set(validation.by(rows, "tp").index) >= {1, 2, 4}


def test_coverage_of_the_plans_axes_says_what_was_measured_and_what_only_computed():
    found = validation.axes()
    assert set(found.axis) == {"batch", "sequence length", "size class", "GPUs", "quantisation"}
    assert found[found.axis == "batch"].shape[0] == 12
    assert found[found.axis == "sequence length"].shape[0] == 10
    assert found.answered.all()
    assert (found[found.axis == "GPUs"].measured > 0).sum() >= 4


def test_a_mean_error_has_an_interval_over_families(rows):
    found = validation.mean_error(validation.judged(rows))
    assert 0 < found.low < found.value < found.high < 2
    assert found.unit_of_replication == "family"


def test_the_figures_of_the_validation_are_drawn(rows):
    from llmresearch.sizer import drawing

    panels = drawing.agreement(validation.predicted_against_measured(rows)).axes
    assert [panel.get_title(loc="left") for panel in panels[:5]] == list(drawing.PARTS.values())
    assert "error (%)" in drawing.errors(validation.judged(rows)).axes[0].get_ylabel()
