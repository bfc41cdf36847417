"""Where a pool's tail comes from, and which calls carry its mean."""

import numpy as np
import pandas as pd

from llmresearch import tails


def pool(backend, short, long, first=None):
    """Rows as `read` gives them, of a short and a long scenario, with a first call each."""
    rows = []
    for scenario, times in (("short", short), ("long", long)):
        kinds = ["first"] * (first is not None) + ["sample"] * len(times)
        for i, (kind, t) in enumerate(zip(kinds, [first, *times] if first is not None else times)):
            rows.append({"backend": backend, "model": "m", "phase": "prefill", "scenario": scenario, "kind": kind, "index": i,
                         "seconds": float(t), "status": "ok", "contaminated": None, "session": 1})  # fmt: skip
    return pd.DataFrame(rows)


def test_a_scenario_that_is_slow_throughout_makes_the_pools_whole_tail():
    found = tails.pooled(pool("hf", [1.0] * 90, [10.0] * 30)).set_index("scenario")
    assert found.loc["long", "share_of_tail"] == 1 and found.loc["long", "share_of_calls"] == 0.25
    assert found.loc["short", "share_of_tail"] == 0


def test_a_pool_of_too_few_calls_has_no_tail():
    found = tails.pooled(pool("hf", [1.0] * 20, [2.0] * 20))
    assert found["share_of_tail"].isna().all() and found["share_of_time"].sum() == 1


def test_a_tail_is_refused_below_its_least_count_and_the_count_is_told():
    times = np.linspace(1, 2, 59)
    found = tails.by_scenario(pool("hf", times, times[:58])).set_index("scenario")
    assert np.isnan(found.loc["long", "p95"]) and np.isfinite(found.loc["short", "p95"])
    assert np.isnan(found.loc["short", "p99"]) and "p99: 299" in found.loc["short", "needs"]


def test_a_first_call_that_compiles_turns_the_ranking_by_the_mean_over():
    both = pd.concat([pool("hf", [2.0] * 10, [2.0] * 10, first=2.0), pool("hf-compile", [1.0] * 10, [1.0] * 10, first=90.0)])
    found = tails.rankings(both, "hf").loc[0]
    assert found["median"] == 2 and found["mean, first calls among them"] < 1 and found["agree"] == "no"


def test_few_calls_have_a_median_and_no_mean_without_five_of_them():
    found = tails.rankings(pd.concat([pool("hf", [2.0], [4.0]), pool("hf-compile", [1.0], [2.0])]), "hf").loc[0]
    assert found["median"] == 2 and np.isnan(found["mean without the slowest five"]) and found["agree"] == "yes"


def test_dropping_the_slowest_calls_moves_a_mean_that_one_stall_carries():
    found = tails.views(pool("hf", [1.0] * 19, [1.0] * 19 + [101.0])).loc[0]
    assert found["mean, first calls dropped"] > 3 and found["mean without the slowest"] == 1 == found["trimmed mean"]


def test_the_fastest_and_the_slowest_label_are_named_by_their_medians():
    both = tails.by_scenario(pd.concat([pool("hf", [2.0] * 9, [3.0] * 9), pool("hf-compile", [1.0] * 9, [6.0] * 9)]))
    found = tails.best_and_worst(both).set_index("scenario")[["fastest", "slowest", "apart", "labels"]]
    assert found.loc["short"].tolist() == ["hf-compile", "hf", 2, 2] and found.loc["long"].tolist() == ["hf", "hf-compile", 2, 2]


def test_scenarios_far_apart_are_told_with_an_interval():
    found = tails.slow_over_fast(pool("hf", [1.0, 1.1] * 10, [10.0, 11.0] * 10), "hf", "m", "prefill")
    assert found.low > 5 and abs(found.value - 10) < 1e-9


def test_nothing_measured_gives_empty_tables():
    nothing = pool("hf", [1.0], [1.0]).assign(status="refused")
    for table in (tails.by_scenario(nothing), tails.pooled(nothing), tails.views(nothing), tails.rankings(nothing, "hf")):
        assert table.empty
    assert np.isnan(tails.slow_over_fast(nothing, "hf", "m", "prefill").value)
