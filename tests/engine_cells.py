"""What the tests of several engines share: a cell without a plan, a run of a phase, what all engines keep to."""

from types import SimpleNamespace

import pytest

from llmresearch import models

VOCAB = 211
PROMPTS = [models.seeded_ids(VOCAB, 12, seed=1, index=i) for i in range(2)]
FORCED = models.seeded_ids(VOCAB, 30, seed=7)
PHASES = ("prefill", "decode", "e2e", "generate")


def cell(**values):
    """A cell with what engines read of it: two rows of 12 tokens, 6 new ones, fp32 on one core."""
    known = {
        "device": "cpu", "dtype": "fp32", "concurrency": 1, "batch": 2, "prompt_tokens": 12, "new_tokens": 6,
        "threads": 1, "options": {}, "seed": 42, "phases": PHASES, "score": None, "source": None, "model": "small",
    }  # fmt: skip
    return SimpleNamespace(**known | values)


def started(engine, folder, ids=PROMPTS, **values):
    """The engine, loaded with the model and given the prompt."""
    engine.load(cell(**values), folder)
    engine.start(cell(**values), ids)
    return engine


def run(engine, phase):
    """(ids, tokens, marks) of one call of a phase."""
    engine.prepare(phase)
    engine.marks.clear()
    tokens = getattr(engine, phase)()
    engine.settle()
    return engine.output(), tokens, len(engine.marks)


def answer(engine, phase):
    """(tokens, ids) of one call of a phase."""
    ids, tokens, _ = run(engine, phase)
    return tokens, ids


def assert_phases_agree(engine):
    """Cached phases give the ids of the uncached loop, in any order and again; gives what e2e gave."""
    uncached = run(engine, "generate")
    assert uncached[1:] == (12, 6)
    whole = run(engine, "e2e")
    assert whole == uncached
    assert run(engine, "prefill") == ([row[:1] for row in whole[0]], 24, 0)
    for _ in range(2):
        ids, tokens, marks = run(engine, "decode")
        assert (tokens, marks) == (12, 6)
        assert [row[:5] for row in ids] == [row[1:] for row in whole[0]]
    assert run(engine, "e2e") == whole
    return whole


def assert_scores_are_those_of_forced_tokens(engine, cut=lambda: None):
    """A text's score is the sum of what its forced tokens cost; `cut` may change how it is scored."""
    found = engine.forced(FORCED, 10)
    assert (len(found["top1"]), len(found["nll"])) == (21, 20)
    cut()
    total, tokens = engine.score(FORCED, first=10)
    assert tokens == 20 and total == pytest.approx(sum(found["nll"]), rel=1e-5)
