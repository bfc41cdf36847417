import json
import math

import numpy as np
import pytest

from llmresearch.selfcheck import statistics
from llmresearch.selfcheck.worlds import WORLDS, frame, log_times, noise


@pytest.mark.parametrize("check, sizes", [
    ("aa", {"pairs": 1000}), ("ab", {"pairs": 100}), ("fwer", {"families": 40, "scenarios": 3}), ("simpson", {"studies": 40}),
    ("peeking", {"studies": 500}), ("design", {"campaigns": 20}), ("verdicts", {"studies": 1000}), ("tails", {"studies": 250}),
    ("scaling", {"families": 50}), ("units", {})])
def test_the_method_keeps_what_it_promises(check, sizes):
    result = getattr(statistics, check)(**sizes)
    assert result["passed"], result
    assert json.loads(json.dumps(result))["name"] == check


def test_intervals_cover_or_are_refused(monkeypatch):
    monkeypatch.setattr(statistics, "WORLDS", {k: WORLDS[k] for k in ("iid skewed", "process offset 1x")})
    monkeypatch.setattr(statistics, "INDEPENDENT", ("iid skewed",))
    result = statistics.coverage(studies=60)
    assert result["passed"], [row for row in result["rows"] if not row["passed"]]


def test_the_usual_recipes_fail_where_processes_differ():
    rows = {row["world"]: row for row in statistics.aa(pairs=200)["rows"]}
    assert rows["process offset 1x"]["welch"] > 0.25
    assert rows["AR(1) 0.9"]["mann_whitney"] > 0.4


@pytest.mark.parametrize("world", WORLDS)
def test_the_calls_of_every_world_have_their_median_at_zero(world):
    x = noise(np.random.default_rng(0), *WORLDS[world][:2], (4000, 25))
    assert np.median(x) == pytest.approx(0, abs=0.003)


def test_drift_slows_a_session_steadily_and_the_order_of_its_processes_is_random():
    x = log_times(np.random.default_rng(0), "drift 3 %", (300, 5, 2, 1, 100))
    assert x[..., -1].mean() - x[..., 0].mean() == pytest.approx(0.015, abs=0.003)
    first = x[:, :, 0].mean(axis=(-1, -2)) < x[:, :, 1].mean(axis=(-1, -2))
    assert 0.45 < first.mean() < 0.55
    assert first.any(axis=1).mean() > 0.9


def test_the_calls_of_an_autocorrelated_world_remember():
    x = noise(np.random.default_rng(0), "ar", 0.6, (200, 100))
    assert np.corrcoef(x[:, :-1].ravel(), x[:, 1:].ravel())[0, 1] == pytest.approx(0.6, abs=0.02)


def test_an_array_becomes_a_frame_with_its_axes_as_columns():
    logs = np.log(np.arange(1.0, 9).reshape(1, 2, 2, 1, 2))
    df = frame(logs, ("hf", "ort"))
    assert df.query("session == 1 and backend == 'ort'")["seconds"].round(9).tolist() == [7, 8]


def test_a_table_shows_the_rows_of_a_result():
    assert math.isclose(statistics.table({"rows": [{"a": 1.0}, {"a": 2.0}]})["a"].sum(), 3)
