import numpy as np
import pandas as pd
import pytest

from llmresearch.records import LlmResearchError
from llmresearch.stats.summaries import summary


def calls(seconds, **columns):
    return pd.DataFrame({"backend": "hf", "seconds": seconds, **columns})


def test_a_group_is_one_row_with_count_median_interval_and_tails():
    row = summary(calls([3.0, 1, 2, 6, 5, 4]), "backend").iloc[0]
    assert (row["n"], row["sessions"], row["median"], row["low"], row["high"]) == (6, 1, 3.5, 1, 6)
    assert np.isnan([row["p95"], row["p99"]]).all()
    assert (row["mean"], row["min"], row["max"]) == (3.5, 1, 6)


def test_tails_appear_where_there_are_samples_for_them():
    rng = np.random.default_rng(0)
    row = summary(calls(rng.lognormal(size=298)), "backend").iloc[0]
    assert row["p95_low"] <= row["p95"] <= row["p95_high"]
    assert np.isnan(row["p99"])
    assert np.isfinite(summary(calls(rng.lognormal(size=299)), "backend")["p99_high"][0])


def test_several_sessions_are_the_unit_of_replication():
    row = summary(calls([1.0, 1.1, 1.2, 2.0, 2.1, 2.2, 1.5, 1.6, 1.7], session=[0, 0, 0, 1, 1, 1, 2, 2, 2]), "backend").iloc[0]
    assert (row["sessions"], row["unit_of_replication"], row["median"]) == (3, "session", 1.6)
    logs = np.log([1.1, 2.1, 1.6])
    half = 4.30265 * logs.std(ddof=1) / 3**0.5
    assert (row["low"], row["high"]) == pytest.approx(tuple(np.exp([logs.mean() - half, logs.mean() + half])), rel=1e-5)


def test_the_rate_is_total_over_total():
    assert summary(calls([1.0, 3.0], tokens=[100, 100]), "backend")["tokens_per_s"][0] == 50


def test_rows_without_a_call_and_warm_ups_are_left_out_and_counted():
    df = pd.DataFrame({"backend": ["hf"] * 8 + ["trt"], "seconds": [9.0, 1, 2, 3, 4, 5, 6, 7, np.nan],
                       "kind": ["first"] + ["sample"] * 7 + [None], "phase": ["prefill"] * 8 + [None],
                       "status": ["ok"] * 8 + ["failed"]})
    table = summary(df, ["backend", "phase"])
    assert table[["backend", "phase", "n"]].to_numpy().tolist() == [["hf", "prefill", 7]]
    assert table.attrs["left_out"] == {"not ok": 1, "not a sample": 1}
    assert summary(df, ["kind"])["n"].tolist() == [1, 7]


def test_first_calls_alone_are_summarised():
    assert summary(calls([9.0, 8.0], kind="first"), "backend")["median"][0] == 8.5


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_a_broken_time_spoils_its_group_and_says_so(value):
    row = summary(calls([3.0, 1, 2, 6, 5, 4, value], tokens=1), "backend").iloc[0]
    assert np.isnan([row["median"], row["low"], row["mean"], row["max"], row["tokens_per_s"]]).all()
    assert "1 of 7 values" in row["method"]


def test_equal_times_have_no_interval():
    row = summary(calls([2.0] * 9), "backend").iloc[0]
    assert (row["median"], row["sd"]) == (2, 0)
    assert np.isnan(row["low"])
    assert "equal" in row["method"]


def test_an_autocorrelated_group_is_found_out():
    rng = np.random.default_rng(0)
    x = 1 + 0.01 * np.cumsum(rng.standard_normal(60))
    row = summary(calls(x[::-1], time=np.arange(60.0)[::-1]), "backend").iloc[0]
    assert np.isnan(row["low"])
    assert "autocorrelated" in row["method"]


def test_no_rows_make_an_empty_table():
    assert len(summary(calls([]), "backend")) == 0


def test_samples_whose_number_the_data_chose_are_held_to_a_higher_level():
    x = np.random.default_rng(0).permutation(np.arange(1.0, 25))
    plain = summary(calls(x), "backend").iloc[0]
    stopped = summary(calls(x, interval_level=1 - 0.05 / 12), "backend").iloc[0]
    assert (plain["low"], plain["high"]) == (7, 18)
    assert (stopped["low"], stopped["high"]) == (5, 20)
    assert "achieved level 0.9985" in stopped["method"]


def test_an_unknown_column_is_named_beside_the_known_ones():
    with pytest.raises(LlmResearchError, match="summary: no column 'phaze'. There are: backend, seconds."):
        summary(calls([1.0, 2.0]), ["backend", "phaze"])
