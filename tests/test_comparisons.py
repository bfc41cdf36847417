import numpy as np
import pandas as pd
import pytest

from llmresearch.stats.comparisons import compare, complete
from llmresearch.records import LlmResearchError


def study(log_seconds, backends=("hf", "ort")):
    """A frame of log seconds in an array (studies, sessions, backends, scenarios, calls)."""
    index = np.indices(log_seconds.shape).reshape(5, -1)
    return pd.DataFrame({"study": index[0], "session": index[1], "backend": np.array(backends)[index[2]],
                         "scenario": index[3], "seconds": np.exp(log_seconds).ravel()})


def noise(rng, shape, offset=0.05):
    """Five per cent between calls, `offset` between processes, and scenarios that differ by a factor of twenty."""
    studies, sessions, backends, scenarios, _ = shape
    return (0.05 * rng.standard_normal(shape) + offset * rng.standard_normal((studies, sessions, backends, 1, 1))
            + np.linspace(0, 3, scenarios)[:, None])


def test_the_ratio_is_the_mean_log_ratio_of_medians_with_students_t_over_sessions():
    df = pd.DataFrame({"backend": ["hf"] * 9 + ["ort"] * 9, "session": [0, 0, 0, 1, 1, 1, 2, 2, 2] * 2,
                       "seconds": [1.0, 2, 3, 2, 2, 5, 1, 4, 4, 1, 1, 9, 1, 1, 1, 2, 3, 2]})
    row = compare(df, "hf").iloc[0]
    assert row["ratio"] == pytest.approx(0.5)
    assert (row["baseline_seconds"], row["seconds"]) == pytest.approx((16 ** (1 / 3), 2 ** (1 / 3)))
    assert "no spread" in row["method"]
    df.loc[[15, 17], "seconds"] = 2.5
    row = compare(df, "hf").iloc[0]
    d = np.log([1 / 2, 1 / 2, 2.5 / 4])
    half = 4.30265 * d.std(ddof=1) / 3**0.5
    assert (row["low"], row["high"]) == pytest.approx(tuple(np.exp([d.mean() - half, d.mean() + half])), rel=1e-5)
    assert (row["n"], row["unit_of_replication"]) == (3, "session")


def test_a_gain_of_ten_per_cent_in_all_nine_scenarios_is_found_where_pooling_sees_nothing():
    rng = np.random.default_rng(1)
    x = noise(rng, (1, 5, 2, 9, 7), offset=0.02)
    x[:, :, 1] += np.log(0.9)
    row = compare(study(x), "hf").iloc[0]
    assert row["verdict"] == "faster"
    assert row["low"] < 0.9 < row["high"]
    assert row["speedup"] == pytest.approx(1 / row["ratio"])
    pooled = np.exp(x[0]).swapaxes(0, 1).reshape(2, -1)
    assert abs(pooled[0].mean() - pooled[1].mean()) / pooled.std() < 0.2


@pytest.mark.parametrize("sessions, offset", [(2, 0.0), (3, 0.1), (5, 0.0), (5, 0.1)])
def test_identical_backends_are_rarely_told_apart(sessions, offset):
    rng = np.random.default_rng(sessions)
    found = compare(study(noise(rng, (800, sessions, 2, 1, 15), offset)), "hf", by="study", correction="none")
    assert (found["p"] < 0.05).mean() <= 0.05 + 2 * (0.05 * 0.95 / 800) ** 0.5
    covered = ((found["low"] <= 1) & (1 <= found["high"])).mean()
    assert 0.93 <= covered <= 0.97


def test_seven_identical_backends_seldom_make_any_claim():
    rng = np.random.default_rng(7)
    any_claim = []
    names = tuple("abcdefg")
    for _ in range(80):
        table = compare(study(noise(rng, (1, 5, 7, 3, 7), 0.05), names), "a")
        any_claim.append((table["p_adjusted"] < 0.05).any())
    assert np.mean(any_claim) <= 0.05 + 2 * (0.05 * 0.95 / 80) ** 0.5


def test_equal_backends_measured_well_are_equivalent_and_the_margin_is_stated():
    x = noise(np.random.default_rng(2), (1, 6, 2, 4, 50), offset=0.002)
    row = compare(study(x), "hf", margin=0.03).iloc[0]
    assert (row["verdict"], row["margin"]) == ("equivalent", 0.03)


def test_at_the_edge_of_the_margin_equivalence_is_rarely_claimed():
    x = noise(np.random.default_rng(3), (500, 5, 2, 1, 15), offset=0.01)
    x[:, :, 1] += np.log(1.02)
    found = compare(study(x), "hf", by="study", correction="none")
    assert (found["p_equivalent"] < 0.05).mean() <= 0.05 + 2 * (0.05 * 0.95 / 500) ** 0.5


def test_what_is_undecided_says_how_many_sessions_would_decide():
    x = noise(np.random.default_rng(5), (1, 3, 2, 1, 7), offset=0.1)
    row = compare(study(x), "hf").iloc[0]
    assert row["verdict"] == "undecided"
    assert row["n_needed"] > 3


def test_one_session_decides_nothing_however_many_calls_it_has():
    x = noise(np.random.default_rng(5), (1, 1, 2, 9, 500), offset=0.0)
    x[:, :, 1] += np.log(0.5)
    row = compare(study(x), "hf").iloc[0]
    assert row["verdict"] == "undecided"
    assert row["ratio"] == pytest.approx(0.5, rel=0.01)
    assert np.isnan([row["low"], row["high"], row["p"]]).all()
    assert "one session" in row["method"]
    without = compare(study(x).drop(columns="session"), "hf").iloc[0]
    assert without["verdict"] == "undecided"


def test_arms_that_share_no_sessions_are_compared_by_welch():
    x = noise(np.random.default_rng(6), (1, 5, 2, 3, 9), offset=0.02)
    x[:, :, 1] += np.log(0.8)
    df = study(x)
    df.loc[df["backend"] == "ort", "session"] += 100
    row = compare(df, "hf").iloc[0]
    assert row["verdict"] == "faster"
    assert "Welch" in row["method"]


def test_first_calls_warm_ups_failures_and_contaminated_calls_do_not_count():
    df = study(noise(np.random.default_rng(8), (1, 4, 2, 2, 6)))
    clean = compare(df, "hf")
    df = df.assign(kind="sample", status="ok", phase="prefill", contaminated=None)
    spoilt = df.iloc[:8].assign(seconds=1000.0)
    dirty = pd.concat([df, spoilt.iloc[:2].assign(kind="first"), spoilt.iloc[2:4].assign(kind="warmup"),
                       spoilt.iloc[4:6].assign(contaminated="others 1.2 cores"),
                       spoilt.iloc[6:].assign(status="failed", phase=None, seconds=np.nan)], ignore_index=True)
    table = compare(dirty, "hf")
    assert table["ratio"][0] == clean["ratio"][0]
    assert table.attrs["left_out"] == {"not ok": 2, "contaminated": 2, "not a sample": 4}


def test_phases_and_models_are_told_apart_unless_asked_otherwise():
    df = study(noise(np.random.default_rng(8), (1, 4, 2, 2, 6)))
    df["phase"] = np.where(df["scenario"] == 0, "prefill", "decode")
    df["model"] = "gpt2"
    table = compare(df, "hf")
    assert table["phase"].tolist() == ["decode", "prefill"]
    assert len(compare(df, "hf", by=[])) == 1
    assert compare(df, "hf", by=[])["blocks"][0] == 2


def test_a_scenario_missing_in_one_session_is_left_out_of_all():
    df = study(noise(np.random.default_rng(9), (1, 4, 2, 3, 6)))
    df = df[~((df["session"] == 2) & (df["scenario"] == 1) & (df["backend"] == "ort"))]
    row = compare(df, "hf").iloc[0]
    assert (row["n"], row["blocks"]) == (4, 2)
    assert "1 blocks incomplete and left out" in row["method"]


def test_what_misses_most_is_left_out_first():
    have = np.array([[1, 1, 1], [1, 1, 1], [0, 0, 1]], bool)
    rows, columns, words = complete(have)
    assert rows.tolist() == [True, True, False]
    assert columns.all()
    assert words == "; 1 sessions incomplete and left out"


def test_calls_that_handle_different_numbers_of_tokens_are_compared_per_token():
    df = study(noise(np.random.default_rng(9), (1, 4, 2, 1, 6)))
    df["tokens"] = np.where(df["backend"] == "ort", 64, 32)
    df["seconds"] *= df["tokens"]
    assert compare(df, "hf")["ratio"][0] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 0.0])
def test_a_time_that_is_no_time_makes_no_comparison(value):
    df = study(noise(np.random.default_rng(9), (1, 4, 2, 1, 6)))
    df.loc[5, "seconds"] = value
    row = compare(df, "hf").iloc[0]
    assert np.isnan(row["ratio"])
    assert (row["verdict"], row["method"]) == ("undecided", "1 times are not positive numbers")


def drifting(rng, drift, sessions=5, calls=40, always_last=True):
    """Two identical arms on a machine that slows by `drift` over a session, with the time of every call."""
    df = study(noise(rng, (1, sessions, 2, 1, calls), offset=0.0))
    place = np.where((df["session"] % 2 == 0) | always_last, df["backend"] == "ort", df["backend"] == "hf")
    df["time"] = df["session"] * 1e6 + place * calls + df.groupby(["session", "backend"]).cumcount()
    df["seconds"] *= np.exp(drift * (df["time"] - df["session"] * 1e6) / (2 * calls))
    return df


def test_under_drift_an_arm_that_was_always_measured_last_is_not_called_slower():
    row = compare(drifting(np.random.default_rng(0), 0.3), "hf").iloc[0]
    assert row["verdict"] == "undecided"
    assert "order and engine cannot be told apart" in row["method"]
    assert np.isnan(row["p"])


def test_changing_the_order_or_a_steady_machine_lets_the_comparison_stand():
    changed = compare(drifting(np.random.default_rng(0), 0.3, always_last=False), "hf").iloc[0]
    assert changed["method"] == "paired by session and block"
    stood = [np.isfinite(compare(drifting(np.random.default_rng(i), 0.0), "hf")["p"][0]) for i in range(40)]
    assert np.mean(stood) >= 0.85


@pytest.mark.parametrize("arguments, message", [
    ({"baseline": "onnx"}, "baseline: 'onnx' is not in column 'backend'. There are: hf, ort."),
    ({"baseline": "hf", "by": "phaze"}, "by: no column 'phaze'"),
    ({"baseline": "hf", "correction": "bonferoni"}, "correction: 'bonferoni' is not known"),
    ({"baseline": "hf", "margin": 2}, "margin: 2 is not a share")])
def test_a_wrong_name_is_refused(arguments, message):
    df = study(noise(np.random.default_rng(9), (1, 2, 2, 1, 6)))
    with pytest.raises(LlmResearchError, match=message):
        compare(df, **arguments)


def test_a_baseline_alone_makes_an_empty_table_with_all_columns():
    df = study(noise(np.random.default_rng(9), (1, 2, 2, 1, 6)))
    table = compare(df[df["backend"] == "hf"], "hf")
    assert len(table) == 0
    assert {"ratio", "low", "high", "p", "p_adjusted", "effect", "verdict"} <= set(table.columns)


def test_an_engine_of_which_no_call_may_be_used_is_a_row_without_numbers():
    df = study(noise(np.random.default_rng(9), (1, 3, 2, 2, 6))).assign(status="ok")
    df.loc[df["backend"] == "ort", "status"] = "failed"
    table = compare(df, "hf", by="scenario")
    assert table["scenario"].tolist() == [0, 1]
    assert set(table["verdict"]) == {"undecided"}
    assert table["method"].str.startswith("no usable call").all()


def test_a_frame_without_rows_makes_an_empty_table():
    assert len(compare(study(noise(np.random.default_rng(9), (1, 3, 2, 2, 6))).iloc[:0], "hf")) == 0
