"""An engine that caches, truncates, pads or computes in another precision is caught; an honest one is not."""

from dataclasses import replace

import pytest

from llmresearch import compliance
from llmresearch.compliance import audit, digest
from llmresearch.matrix import plan
from llmresearch.models.token_ids import seeded_ids

CELL = plan(
    {
        "backends": ["fake"],
        "models": ["fake-50m"],
        "scenarios": [{"name": "c", "prompt_tokens": 64, "new_tokens": 16}],
    }
)[0]
PROMPTS = [seeded_ids(1000, 64, 42, index) for index in range(8)]


def findings(kind, **options):
    engine = kind()
    engine.load(CELL)
    engine.options = options
    return {finding.check: finding for finding in audit(engine, CELL, PROMPTS)}


def test_the_honest_engine_passes_every_check():
    assert all(finding.passed for finding in findings(compliance._Honest).values())


def test_an_honest_but_noisy_engine_passes_too():
    assert all(finding.passed for finding in findings(compliance._Honest, noise=0.15, stall=0.05).values())


@pytest.mark.parametrize("name", compliance.MUTANTS)
def test_each_mutant_fails_the_check_that_is_meant_for_it(name):
    kind, check = compliance.MUTANTS[name]
    assert findings(kind)[check].passed is False


def test_an_honest_engine_on_a_machine_that_others_use_is_not_called_a_liar():
    for seed in range(8):
        cell = replace(CELL, seed=seed)
        engine = compliance._Honest()
        engine.load(cell)
        engine.options = {"noise": 0.05, "stall": 0.35}
        assert audit(engine, cell, PROMPTS)[0].passed, seed


def test_a_caught_cache_shows_both_times():
    seen = findings(compliance._Caching, noise=0.0)["no cached prompts"].seen
    assert seen == "prefill: 0.0014 s where the prompt was seen before, 0.0644 s where it was new"


def test_an_answer_given_again_without_the_work_shows_both_times():
    seen = findings(compliance._Remembering, noise=0.0)["no cached prompts"].seen
    assert seen == "e2e: 0.0014 s where the prompt was seen before, 0.0854 s where it was new"


def test_an_early_end_is_found_at_its_place():
    seen = findings(compliance._Padding)["its own answer"].seen
    assert seen == "8 of 16 tokens chosen again, not the one at 8"


def test_a_server_that_takes_no_forced_tokens_is_not_called_a_liar():
    class Server(compliance._Honest):
        def forced(self, ids, prompt):
            return None

    assert findings(Server)["its own answer"].passed is None


def test_an_fp32_label_on_a_file_of_few_bits_is_caught():
    class Renamed(compliance._Honest):
        def evidence(self):
            return super().evidence() | {"bits_per_weight": 7.36}

    found = findings(Renamed)["asked precision"]
    assert (found.passed, found.seen) == (False, "fp32 asked, fp32 loaded at 7.36 bits a weight")


def test_too_few_prompts_cannot_show_a_cache():
    with pytest.raises(ValueError, match="fewer than 5 different"):
        audit(compliance._Honest(), CELL, PROMPTS[:1] * 9)


def test_the_check_of_the_checks_passes_and_names_what_it_caught():
    found = compliance.run()
    assert found["passed"]
    assert found["caught"] == {
        "caching": True, "remembering": True, "truncating": True, "padding": True, "wrong precision": True,
    }  # fmt: skip
    assert found["failed"]["honest"] == []


def test_a_digest_is_of_the_ids_alone():
    assert digest([[1, 2]]) == digest([[1, 2]]) != digest([[1], [2]])
