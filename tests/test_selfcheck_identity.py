"""Five models that are not what they claim, and copies that are."""

import pytest

from llmresearch.selfcheck import identity


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LLMRESEARCH_CACHE", str(tmp_path))


def test_five_mutants_are_caught_for_the_right_reason_and_no_honest_copy_is():
    found = identity.run(copies=5)
    assert (found["passed"], found["caught"], found["false_alarms"]) == (True, 5, 0)
    reasons = {"test fixture as gpt2": "parameters: declared 124,439,808, measured 102,714",
               "tokeniser changed": "tokens of 'The capital of France is'", "one tensor times 1.001": "sha256 of tensors",
               "Q4 file renamed F32": "quantisation: declared F32, measured Q4_0",
               "vocabulary padded": "vocabulary: declared 50,257, measured 50,304"}
    for name, reason in reasons.items():
        assert reason in found["said"][name]


def test_a_check_that_accepts_everything_fails_the_selfcheck(monkeypatch):
    monkeypatch.setattr(identity.models, "check", lambda spec, path: None)
    found = identity.run(copies=1)
    assert not found["passed"] and found["caught"] == 0


def test_a_check_that_accuses_everything_fails_the_selfcheck(monkeypatch):
    def accuse(spec, path):
        raise identity.ModelMismatch(f"{path} is not what the name claims (everything)")

    monkeypatch.setattr(identity.models, "check", accuse)
    assert not identity.run(copies=2)["passed"]
