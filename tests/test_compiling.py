"""What was compiled, how fast it is and which setting does it, on frames whose answers are known."""

import math

from compiled_calls import COMPILED, calls, sessions
import pandas as pd
import pytest

from llmresearch import compiling


@pytest.fixture
def frame():
    return sessions()


def test_a_label_is_called_compiled_by_its_graphs_and_never_by_its_name(frame):
    named = pd.concat([frame, calls("hf-compile:liar", 1, [4.0], 4.0)], ignore_index=True)
    found = compiling.labels(named).set_index("backend")["may be called compiled"]
    assert found.to_dict() == {"hf": "no", "hf-compile": "yes", "hf-compile:liar": "no"}


def test_a_label_whose_shapes_fell_back_to_eager_is_not_called_compiled():
    found = compiling.labels(calls("hf-compile", 1, [1.0], 1.0, COMPILED | {"fell_back_to_eager": True}))
    assert found.loc[0, "may be called compiled"] == "no" and "recompile limit" in found.loc[0, "why"]


def test_a_label_that_was_refused_everywhere_was_not_measured_and_says_why():
    found = compiling.labels(calls("hf-compile", 1, [], 1.0, None, status="refused", reason="needs a compiler"))
    assert (found.loc[0, "may be called compiled"], found.loc[0, "why"]) == ("not measured", "needs a compiler")


def test_the_ledger_has_a_row_for_each_shape_with_the_reasons_once(frame):
    found = compiling.ledger(frame)
    assert len(found) == 1 and found.loc[0, "why"] == "size mismatch"
    assert found.loc[0, ["graphs", "recompiles", "sessions"]].tolist() == [2, 1, 3]


def test_the_short_ledger_has_no_column_of_counts_that_nobody_took(frame):
    table = compiling.short_ledger(compiling.ledger(frame))
    assert "cudagraphs_recorded" not in table and {"graphs", "recompile_limit_reached", "why"} <= set(table)
    recorded = frame.assign(evidence=[{"compile": COMPILED | {"cudagraphs_recorded": 0}}] * len(frame))
    assert "cudagraphs_recorded" in compiling.short_ledger(compiling.ledger(recorded))


def test_the_counters_hold_all_that_each_compiled_cell_told(frame):
    found = compiling.counters(frame)
    assert len(found) == 3 and {row["session"] for row in found} == {1, 2, 3} and found[0]["recompile_reasons"] == ["size mismatch"]


def test_an_effect_is_the_ratio_of_cells_that_differ_in_one_factor_only():
    cells = []
    for padding, static, seconds in ((1, False, 1.0), (1, True, 2.0), (64, False, 3.0), (64, True, 6.0)):
        told = COMPILED | {"padding": padding, "dynamic": False if static else "prompt"}
        for session, factor in ((1, 1.0), (2, 1.1)):
            cells.append(calls(f"hf-compile:{padding}{static}", session, [seconds * factor] * 2, 9.0, told))
    found = compiling.factorial(pd.concat(cells, ignore_index=True)).set_index("factor")
    assert found.loc["dynamic", "ratio"] == pytest.approx(2 if found.loc["dynamic", "setting"] == "false" else 0.5)
    assert found.loc["padding", "ratio"] == pytest.approx(3 if found.loc["padding", "setting"] == "64" else 1 / 3)
    assert set(found["pairs"]) == {4} and set(found["sessions"]) == {2}


def test_an_effect_is_found_within_a_model_that_lacks_the_setting_most_frequent_elsewhere():
    cells = [calls("hf-compile", session, [1.0] * 2, 9.0, COMPILED | {"cudagraphs": None}).assign(model="large") for session in (1, 2, 3)]
    for asked, seconds in ((True, 1.0), (False, 3.0)):
        cells.append(calls(f"hf-compile:{asked}", 1, [seconds] * 2, 9.0, COMPILED | {"cudagraphs": asked}))
    (row,) = compiling.factorial(pd.concat(cells, ignore_index=True)).to_dict("records")
    assert row["factor"] == "cudagraphs" and row["model"] == "m"
    assert row["ratio"] == pytest.approx(3 if row["setting"] == "false" else 1 / 3)


def test_the_most_frequent_setting_hides_no_pairs_that_it_is_not_part_of():
    cells = [calls("hf-compile", session, [1.0] * 2, 9.0, COMPILED | {"mode": "reduce-overhead"}) for session in (1, 2, 3)]
    for asked, seconds in ((True, 1.0), (False, 3.0)):
        cells.append(calls(f"hf-compile:{asked}", 1, [seconds] * 2, 9.0, COMPILED | {"cudagraphs": asked}))
    (row,) = compiling.factorial(pd.concat(cells, ignore_index=True)).to_dict("records")
    assert row["factor"] == "cudagraphs" and {row["setting"], row["against"]} == {"true", "false"}


def test_cells_of_two_precisions_are_no_pair():
    cells = [calls(f"hf-compile:{padding}", 1, [float(padding)] * 2, 9.0, COMPILED | {"padding": padding}).assign(dtype=dtype)
             for padding, dtype in ((1, "fp32"), (64, "fp16"))]  # fmt: skip
    assert compiling.factorial(pd.concat(cells, ignore_index=True)).empty


def test_the_speed_up_is_paired_by_session(frame):
    found = compiling.speedup(frame, "hf", "hf-compile", "m", "prefill")
    assert found.value == pytest.approx(2, rel=1e-3) and found.low < 2 < found.high and found.n == 3


def test_what_was_not_measured_has_no_speed_up_and_no_rows(frame):
    refused = calls("hf-compile", 1, [], 1.0, None, status="refused", reason="no compiler")
    assert math.isnan(compiling.speedup(refused, "hf", "hf-compile", "m", "prefill").value)
    for table in (compiling.by_phase(refused, "hf"), compiling.factorial(refused), compiling.ledger(refused)):
        assert table.empty


def test_only_the_baseline_and_cells_with_graphs_are_proven(frame):
    named = pd.concat([frame, calls("hf-compile:liar", 1, [4.0], 4.0)], ignore_index=True)
    assert set(compiling.proven(named, "hf")["backend"]) == {"hf", "hf-compile"}


def test_answers_are_compared_along_forced_ids_with_a_baseline_that_ran_the_model():
    told = {"hf": [1, 2, 3, 4], "hf-compile": [1, 2, 9, 4], "hf-compile:other": [1, 2, 3, 4]}
    cells = [calls(backend, 1, [1.0], 2.0).assign(evidence=[{"forced": {"top1": ids}}] * 2) for backend, ids in told.items()]
    cells[2]["model"] = "other"
    (row,) = compiling.answers(pd.concat(cells, ignore_index=True), "hf").to_dict("records")
    assert (row["backend"], row["positions"], row["agreement"]) == ("hf-compile", 4, 0.75)
