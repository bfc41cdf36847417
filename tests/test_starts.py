"""What a fresh process pays, on calls whose answers are known."""

import pandas as pd

from llmresearch import starts


def starting(seconds, ready=2.0, kinds=("first", "warmup", "sample", "sample", "sample"), session=1):
    return [{"backend": "b", "device": "cpu", "dtype": "fp32", "model": "m", "scenario": "s", "phase": "prefill", "status": "ok",
             "contaminated": None, "session": session, "time": float(i), "kind": kind, "seconds": second,
             "evidence": {"ready_seconds": ready}} for i, (kind, second) in enumerate(zip(kinds, seconds))]  # fmt: skip


def test_a_process_is_warm_at_its_first_call_near_the_steady_median():
    row = starts.cold_starts(pd.DataFrame(starting([9.0, 1.5, 1.05, 1.0, 1.0])), percent=10.0).iloc[0]
    assert (row["ready_s"], row["first_call"], row["steady"], row["warm_after"], row["lost_s"]) == (2.0, 9.0, 1.0, 2, 8.5)


def test_the_slowest_process_says_how_many_calls_to_make_before_serving():
    calls = starting([3.0, 1.0, 1.0, 1.0, 1.0]) + starting([9.0, 2.0, 1.0, 1.0, 1.0], ready=4.0, session=2)
    row = starts.cold_starts(pd.DataFrame(calls)).iloc[0]
    assert (row["processes"], row["warm_after"], row["ready_s"], row["lost_s"]) == (2, 2, 3.0, (2.0 + 9.0) / 2)
    assert row["ratio"] == (3.0 + 9.0) / 2 / 1.0


def test_steadiness_is_judged_process_by_process():
    calls = starting([3.0, 1.0, 1.0, 1.0, 1.0]) + starting([3.0, 1.0, 1.0, 1.0, 1.0], session=2)
    row = starts.warmups(pd.DataFrame(calls)).iloc[0]
    assert (row["calls"], row["processes too few"], row["processes steady"]) == (8, 2, 0)


def test_calls_that_failed_have_no_start():
    failed = pd.DataFrame(starting([3.0, 1.0])).assign(status="failed")
    assert starts.cold_starts(failed).empty and starts.warmups(failed).empty
