"""An answer that is wrong with a cache is a failure, however fast it came."""

import pandas as pd

from llmresearch import engines_in_depth as depth

TRUTH = [[5, 6, 7], [1, 2, 3]]
LOST = [[5, 6, 7], [1, 9, 9]]


def cell(backend, ids, phases, session=1, status="ok"):
    about = {"cell_id": f"{backend}{phases[0]}", "session": session, "backend": backend, "device": "cpu", "dtype": "fp32",
             "model": "m", "scenario": "s", "prompt": 0, "status": status, "reason": None, "failure": None,
             "failure_kind": None, "evidence": {}, "output_ids": ids}  # fmt: skip
    return [about | {"phase": phase, "kind": "sample", "seconds": 1.0} for phase in phases]


def frame(*cells):
    found = pd.DataFrame([row for one in cells for row in one])
    return found.astype({"status": "category", "phase": "category"})


def whole(backend, cached, uncached, **more):
    return cell(backend, cached, ("decode", "e2e"), **more) + cell(backend, uncached, ("generate",), **more)


def test_a_cache_that_loses_rows_is_told_from_another_precision():
    read = frame(whole("hf", TRUTH, TRUTH), whole("lossy", LOST, TRUTH), whole("coarse", LOST, LOST))
    found = depth.answers(read, "hf cpu fp32").set_index("engine")
    assert found["verdict"].to_dict() == {"hf cpu fp32": "the reference's", "lossy cpu fp32": "wrong with a cache",
                                          "coarse cpu fp32": "other ids than the reference"}  # fmt: skip
    assert found.loc["lossy cpu fp32", ["tokens", "as_uncached", "as_reference"]].tolist() == [6, 4, 4]
    assert found.loc["coarse cpu fp32", ["tokens", "as_uncached", "as_reference"]].tolist() == [6, 6, 4]


def test_cells_that_are_wrong_with_a_cache_count_as_failed_and_the_others_stay():
    read = frame(whole("hf", TRUTH, TRUTH), whole("lossy", LOST, TRUTH), whole("lossy", TRUTH, TRUTH, session=2))
    left = depth.without_wrong_answers(read, "hf cpu fp32")
    failed = left[left["status"] == "failed"]
    assert set(zip(failed["cell_id"], failed["session"], failed["phase"])) == {("lossydecode", 1, "decode"), ("lossydecode", 1, "e2e")}
    assert failed["reason"].iloc[0].startswith("invalid output: with a cache 4 of 6 tokens are the reference's")
    assert set(failed["failure_kind"]) == {"invalid output"} and failed["failure"].iloc[0]["kind"] == "invalid output"
    assert (read["status"] == "ok").all()


def test_nothing_is_judged_without_a_reference_or_an_answer():
    lonely = frame(whole("lossy", LOST, TRUTH))
    assert depth.answers(lonely, "hf cpu fp32")["verdict"].tolist() == ["no reference"]
    assert depth.without_wrong_answers(lonely, "hf cpu fp32") is lonely
    refused = frame(cell("lossy", None, ("decode",), status="refused"))
    assert depth.answers(refused, "hf cpu fp32").empty


def test_an_engine_without_an_uncached_answer_is_compared_with_the_reference_only():
    read = frame(whole("hf", TRUTH, TRUTH), cell("lossy", LOST, ("decode",)))
    found = depth.answers(read, "hf cpu fp32").set_index("engine").loc["lossy cpu fp32"]
    assert found["verdict"] == "other ids than the reference" and pd.isna(found["as_uncached"])
