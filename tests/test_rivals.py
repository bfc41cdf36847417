import numpy as np
import pandas as pd
import pytest

from llmresearch.selfcheck import rivals
from llmresearch.selfcheck.worlds import frame, log_times


def test_a_winner_among_identical_engines_is_wrong_and_equivalent_is_right():
    verdicts = pd.DataFrame({"ours": ["equivalent", "undecided", "faster", "slower"]})
    assert rivals.shares(verdicts, 0.0).iloc[0].tolist() == ["ours", 0.25, 0.5, 0.25]


def test_of_a_slow_down_at_the_margin_only_slower_is_right():
    verdicts = pd.DataFrame({"ours": ["equivalent", "undecided", "faster", "slower"]})
    assert rivals.shares(verdicts, 0.02).iloc[0].tolist() == ["ours", 0.25, 0.5, 0.25]
    assert rivals.shares(verdicts, 0.01).iloc[0].tolist() == ["ours", 0.5, 0.25, 0.25]


def test_where_processes_differ_the_usual_ways_are_wrong_on_the_data_on_which_ours_is_not():
    table = rivals.simulated("process offset 1x", 0.0, studies=150, scenarios=1).set_index("method")
    assert table.loc[rivals.OURS, "wrong"] <= 0.09
    assert table.loc[rivals.POOLED, "wrong"] >= 0.2
    assert table.loc[rivals.MEANS, "wrong"] == 1


def test_studies_are_drawn_from_the_sessions_of_one_measurement():
    df = frame(log_times(np.random.default_rng(0), "iid normal", (1, 12, 2, 1, 7))).drop(columns="study")
    drawn = rivals.studies_of(df, "a", "b", studies=30, sessions=5)
    assert (drawn.groupby("study")["session"].nunique() == 5).all()
    assert len(drawn) == 30 * 5 * 2 * 7
    swapped = rivals.studies_of(df, "a", "b", studies=30, sessions=5, swap=True)
    slow = df[df["backend"] == "b"]["seconds"]
    share = swapped.loc[swapped["backend"] == "b", "seconds"].isin(slow).mean()
    assert share == pytest.approx(0.5, abs=0.15)
