import math

import numpy as np
import pandas as pd
import pytest

from llmresearch import figures
from llmresearch.intervals import Estimate
from llmresearch.selfcheck import judged, rivals
from llmresearch.selfcheck.worlds import frame, log_times


def calls(slowdown=0.0, sessions=10, world="process offset 1x"):
    logs = log_times(np.random.default_rng(5), world, (1, sessions, 2, 1, 7))
    logs[:, :, 1] += math.log1p(slowdown)
    return frame(logs, ("fake:a", "fake:b")).drop(columns="study").assign(phase="decode")


def test_the_interval_of_a_share_is_that_of_clopper_and_pearson():
    found = judged.share(0, 10)
    assert (found.value, found.low, found.n) == (0, 0, 10)
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 10))      # the k = 0 case, solved by hand


def test_no_trial_has_no_share():
    assert math.isnan(judged.share(0, 0).value)


def test_studies_that_share_sessions_count_only_as_many_as_share_none():
    found = judged.share_of_drawn(0.9, 4)
    assert found.n == 4 and found.value == 0.9
    assert found.low == judged.share(3, 4).low and found.high == 1.0


def test_lots_are_added_by_their_numbers_not_by_their_shares():
    assert judged.overall([judged.share(1, 10), judged.share(9, 30)]).value == 0.25


def test_ours_keeps_its_level_where_processes_differ_and_the_usual_recipes_do_not():
    found = judged.false_positives(300, worlds=("process offset 1x",)).set_index("method")
    assert found.loc[judged.OURS, "within"]
    assert not found.loc[[judged.WELCH, judged.RANKS, rivals.POOLED, rivals.MEANS], "within"].any()
    assert found.loc[rivals.MEANS, "told_apart"].value == 1.0


def test_the_worst_world_stands_beside_the_share_over_all_worlds():
    table = pd.DataFrame({"world": ["a", "b"], "method": ["m", "m"], "told_apart": [judged.share(1, 10), judged.share(3, 10)]})
    row = next(judged.over_worlds(table).itertuples())
    assert (row.told_apart.value, row.most, row.in_world) == (0.2, 0.3, "b")


def test_a_drift_that_always_hits_the_same_engine_is_refused_and_one_that_is_interleaved_is_not():
    found = judged.orders(150, worlds=("drift 3 %",)).set_index("order")
    assert found.loc["interleaved", "refused"].value == 0.0
    assert found.loc["one always last", "refused"].low > 0.05
    assert found.loc["one always last", "welch"].low > found.loc["interleaved", "welch"].high


def test_an_exact_interval_states_the_level_that_it_achieves(monkeypatch):
    rows = [{"method": "median, one session", "world": "iid normal", "n": 7, "given": 1.0, "covered": 0.98, "passed": True},
            {"method": "block bootstrap", "world": "AR(1) 0.6", "n": 3000, "given": 0.2, "covered": 0.9, "passed": True}]
    monkeypatch.setattr(judged.statistics, "coverage", lambda studies, seed: {"rows": rows})
    found = judged.coverage(100)
    assert found["stated"].tolist() == [pytest.approx(1 - 2 / 2**7), 0.95]
    assert [e.n for e in found["covered"]] == [100, 10]
    assert judged.by_method(found)["method"].tolist() == ["median, one session"]


def test_the_ratio_of_a_slowed_engine_stands_beside_the_truth():
    found = judged.ratios(calls(0.5), {"fake:a": {"fake:b": 0.5}, "hf:a": {"hf:b": 0.0}})
    assert found[["backend", "slowdown", "verdict", "truth_inside"]].values.tolist() == [["fake:b", 0.5, "slower", True]]
    assert judged.ratio(next(found.itertuples())).n == 10


def test_measured_studies_are_judged_by_every_method_on_the_same_calls():
    found = judged.measured_verdicts(calls(0.5), {"fake:a": {"fake:b": 0.5}}, studies=12)
    assert found["method"].tolist() == list(judged.METHODS)
    assert [(e.value, e.n) for e in found["right"]] == [(1.0, 2)] * 5


def test_fewer_than_five_sessions_are_no_study():
    found = judged.measured_verdicts(calls(sessions=4), {"fake:a": {"fake:b": 0.0}}, studies=3)
    assert len(found) == 0 and "right" in found


def test_the_same_seed_gives_the_same_table():
    one, two = (judged.simulated_verdicts(2).to_csv() for _ in range(2))
    assert one == two


def test_shares_are_drawn_with_their_intervals_and_outcomes_end_at_one():
    table = pd.DataFrame({"world": ["a", "b"], "method": ["m", "m"], "told": [Estimate(0.1, 0.0, 0.3, 9), Estimate(0.5, 0.4, 0.6, 9)]})
    ax = figures.shares(table, "told", line=0.05).axes[0]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b"]
    bars = figures.outcomes(pd.DataFrame({"slowdown": [0.02], "method": ["m"], "right": [0.5], "undecided": [0.3], "wrong": [0.2]}))
    assert max(bar.get_x() + bar.get_width() for bar in bars.axes[0].patches) == pytest.approx(1.0)


def test_a_claims_id_is_made_of_words():
    assert judged.short("compare (paired, blocked, over sessions)") == "compare"
    assert judged.short("median, one session") == "median_one_session"
