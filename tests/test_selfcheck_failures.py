"""Faults on purpose land in their class, and the check says where one does not."""

from llmresearch.selfcheck import failures


def test_each_fault_is_a_record_of_its_class_and_the_counts_agree():
    found = failures.run({k: failures.FAULTS[k] for k in ("works", "memory", "riddle", "death", "refusal")})
    assert found["passed"] and (found["in_their_class"], found["counts_agree"]) == (5, True)


def test_a_fault_in_another_class_fails_the_check_and_is_named():
    options, status, kind, _ = failures.FAULTS["memory"]
    found = failures.run({"memory": (options, status, kind, "disk full")})
    assert not found["passed"]
    assert found["why"] == "memory: ('failed', 'hard', 'out of memory'), not ('failed', 'hard', 'disk full')"
