"""What the dashboard shows is what the sizer answers, and a log is read or refused in a sentence."""

from pathlib import Path

import numpy as np
import pytest

from llmresearch.sizer import SizerError, browsing, estimate, profiles, validation

LOGS = Path(__file__).parent / "sizer_logs"
LOG = (LOGS / "vllm_0_19.txt").read_text(encoding="utf-8")
GIB = 2**30


@pytest.fixture(scope="module")
def rows():
    return browsing.everything()


def test_every_engine_has_its_profiles_and_each_once(rows):
    assert rows.row_id.is_unique
    assert {"vLLM", "llama.cpp", "transformers", "SGLang"} <= set(rows.engine)
    assert (rows.engine == "vLLM").sum() == len(validation.table())


def test_a_breakdown_is_what_the_sizer_answers(rows):
    found = browsing.breakdown(rows, "m001").set_index("component")
    known = profiles.read_table().set_index("row_id").loc[["m001"]].reset_index()
    answer = estimate(known).iloc[0]
    assert list(found.index) == list(browsing.PARTS)
    for name in browsing.PARTS:
        assert found.predicted[name] == pytest.approx(answer[name] / GIB)
        assert found.measured[name] == known[f"{name}_gib"].iloc[0]
    assert found.error_percent["cuda_graphs"] == pytest.approx(100 * (found.predicted["cuda_graphs"] / 0.89 - 1))


def test_a_part_that_was_not_measured_says_so(rows):
    unmeasured = rows[rows.activation_measured.isna()].row_id.iloc[0]
    assert browsing.breakdown(rows, unmeasured).set_index("component").inside["activation"] == "not measured"


def test_a_profile_that_is_not_there_is_one_sentence(rows):
    with pytest.raises(SizerError, match="'nobody' is not in the table"):
        browsing.breakdown(rows, "nobody")


def test_the_head_line_counts_thresholds_and_names_the_worst(rows):
    found, good = dict(browsing.headline(rows)), validation.judged(rows)
    errors = validation.error_percent(good, "non_kv")
    assert found["tests"] == "13 thresholds: 13 passing, 0 failing"
    assert found["worst error"] == f"{errors.max():.2f} % ({good.loc[errors.idxmax()].model}, {good.loc[errors.idxmax()].row_id})"
    assert found["average error"].startswith(f"{errors.mean():.2f} % [")


@pytest.mark.parametrize("axis", browsing.AXES)
def test_errors_by_an_axis_hold_every_judged_profile(rows, axis):
    found = browsing.errors_by(rows, axis)
    judged = validation.judged(rows)
    counted = judged[judged[browsing.AXES[axis]].notna() & judged.non_kv_measured.notna()]
    assert found[found.of != "weights"].n.sum() == len(counted)
    assert (found.largest_percent >= found.mean_percent).all()


def test_errors_by_an_unknown_axis_are_refused(rows):
    with pytest.raises(SizerError, match="axis: 'moon' is not known"):
        browsing.errors_by(rows, "moon")


def test_a_log_becomes_a_row_with_its_own_numbers_and_the_sizers(rows):
    more = browsing.added(rows, browsing.from_log(LOG, "mine.txt"))
    found = browsing.breakdown(more, "mine.txt").set_index("component")
    assert found.measured.round(2).tolist() == [14.99, 1.89, 0.25, 0.91, 58.11]
    answer = estimate("llama-3.1-8b", engine_version="0.19.0", gpu_memory_gib=75.23 / 0.95, gpu_memory_utilization=0.95,
                      max_model_len=8192)  # fmt: skip
    assert found.predicted["kv_pool"] == pytest.approx(answer.kv_pool.gib)
    assert found.predicted["weights"] == pytest.approx(answer.weights.gib)


def test_a_log_does_not_move_the_thresholds(rows):
    more = browsing.added(rows, browsing.from_log(LOG, "mine.txt"))
    assert validation.judged(more).equals(validation.judged(rows))


def test_without_the_gpus_memory_no_pool_is_predicted():
    row = browsing.from_log("Model loading took 14.99 GiB memory and 1.0 seconds", "short", model="llama-3.1-8b")
    assert np.isnan(row["kv_pool_predicted"]) and row["weights_predicted"] == pytest.approx(14.989, abs=0.01)


def test_the_same_name_twice_is_refused(rows):
    with pytest.raises(SizerError, match="already in the table"):
        browsing.added(rows, browsing.from_log(LOG, "m001"))


@pytest.mark.parametrize(("text", "words"), [
    ("a shopping list", "no line of vLLM, SGLang or llama.cpp"),
    ("Model loading took 14.99 GiB memory", "does not name the model"),
])  # fmt: skip
def test_a_log_that_says_too_little_is_one_sentence(text, words):
    with pytest.raises(SizerError, match=words):
        browsing.from_log(text)


def test_the_table_shows_measured_beside_predicted(rows):
    shown = browsing.table(rows)
    assert len(shown) == len(rows)
    assert {f"{part} {how}" for part in browsing.PARTS for how in ("measured", "predicted")} <= set(shown.columns)
