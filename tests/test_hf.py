"""Eager transformers: each phase does what it says, and gives the ids that it should."""

import math

import numpy as np
import pytest
from llmresearch import models
from llmresearch.backends.hf import Hf
from llmresearch.backends.prompts import NoBatch
from llmresearch.texts import read_text
from tests.engine_cells import answer as run
from tests.engine_cells import cell, started

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = {"name": "small", "seeded": True, "layers": 2, "hidden": 16, "heads": 2, "vocab": 211}
FORCED = models.seeded_ids(211, 20, seed=7)


def loaded(folder, ids, **values):
    return started(Hf(), folder, ids, **values)


@pytest.mark.parametrize("kind", ["small", "windowed"])
def test_the_phases_give_the_greedy_ids_of_transformers_own_generate(kind, request):
    import torch

    engine = loaded(request.getfixturevalue(kind), [FORCED[:12]])
    asked = {"max_new_tokens": 7, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    wanted = engine.model.generate(torch.tensor([FORCED[:12]]), **asked)[0, 12:].tolist()
    assert len(set(wanted)) >= 3
    assert run(engine, "prefill") == (12, [wanted[:1]])
    assert run(engine, "decode") == (6, [wanted[1:]])
    assert run(engine, "e2e") == (6, [wanted[:6]])
    assert run(engine, "generate") == (6, [wanted[:6]])


@pytest.mark.parametrize("kind", ["small", "windowed"])
def test_decode_begins_each_time_at_the_prompt(kind, request):
    engine = loaded(request.getfixturevalue(kind), [FORCED[:12]])
    first = run(engine, "decode")
    run(engine, "e2e")
    assert run(engine, "decode") == run(engine, "decode") == first


def test_a_mark_is_left_for_every_token(small):
    engine = loaded(small, [FORCED[:5]])
    for phase, marks in (("prefill", 0), ("decode", 6), ("e2e", 6), ("generate", 6)):
        run(engine, phase)
        assert len(engine.marks) == marks and engine.marks == sorted(engine.marks)


@pytest.mark.parametrize("kind", ["small", "windowed"])
def test_forced_ids_through_the_cache_agree_with_one_forward_over_them(kind, request):
    import torch

    engine = loaded(request.getfixturevalue(kind), [FORCED[:4]])
    found = engine.forced(FORCED, 4)
    with torch.no_grad():
        logits = engine.model(torch.tensor([FORCED])).logits[0].double()
    chances = torch.log_softmax(logits, -1)
    assert found["top1"] == logits[3:].argmax(-1).tolist()
    assert len(set(found["top1"])) > 5
    wanted = [-float(chances[place - 1, FORCED[place]]) for place in range(4, 20)]
    np.testing.assert_allclose(found["nll"], wanted, rtol=1e-4)


def test_a_score_is_the_sum_of_what_the_tokens_cost(small):
    engine = loaded(small, [FORCED[:4]])
    total, tokens = engine.score(FORCED, first=4)
    assert tokens == 16
    assert math.isclose(total, sum(engine.forced(FORCED, 4)["nll"]), rel_tol=1e-4)
    assert engine.score(FORCED)[1] == 19
    with pytest.raises(ValueError, match="first: 20 is outside 1 … 19"):
        engine.score(FORCED, first=20)


def test_rows_of_a_batch_do_not_touch_each_other(small):
    rows = [FORCED[:6], FORCED[6:12], FORCED[12:18]]
    tokens, together = run(loaded(small, rows), "e2e")
    assert tokens == 18
    assert together == [run(loaded(small, [row]), "e2e")[1][0] for row in rows]


@pytest.mark.parametrize(("dtype", "read"), [("fp32", "float32"), ("bf16", "bfloat16"), ("fp16", "float16")])
def test_evidence_is_read_back_from_the_weights(small, dtype, read):
    engine = loaded(small, [FORCED[:4]], dtype=dtype)
    run(engine, "decode")
    found = engine.evidence()
    assert found["weights"] == {f"{read} on cpu": 26352}
    assert (found["dtype"], found["device"], found["cache"], found["attention"]) == (
        dtype,
        "cpu",
        "DynamicCache",
        "sdpa",
    )


def test_a_request_past_the_last_position_is_one_sentence(small):
    with pytest.raises(
        NoBatch, match="1030 tokens asked, prompt and answer together; the model has 1024 positions"
    ):
        loaded(small, [[1] * 1024])


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"device": "cuda"}, "hf: needs a CUDA device; this machine has none"),
        ({"dtype": "q8_0"}, "hf: measures fp32, bf16, fp16, not q8_0"),
        ({"options": {"attn": "sdpa"}}, "hf: unknown option 'attn'. Known options: attention"),
        ({"options": {"attention": "fast"}}, "attention: 'fast' is none of sdpa, eager"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(values, sentence, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert Hf().refuses(cell()) is None
    assert sentence in Hf().refuses(cell(**values))


def test_nothing_of_the_device_is_timed_where_there_is_none(small):
    engine = loaded(small, [FORCED[:4]])
    assert engine.device_start is None and engine.device_seconds() is None


@pytest.mark.slow
def test_gemma_knows_the_capital_of_italy(machine_cache):
    folder = models.folder("gemma3-270m")
    ids = models.prompt_ids(folder, "The capital of France is Paris. The capital of Italy is")
    engine = loaded(folder, [ids], new_tokens=3)
    made = run(engine, "e2e")[1][0]
    from tokenizers import Tokenizer

    assert Tokenizer.from_file(str(folder / "tokenizer.json")).decode(made).strip().startswith("Rome")
    assert engine.evidence()["parameters"] == 268_098_176


@pytest.mark.slow
def test_gemma_has_the_perplexity_that_two_engines_agreed_on(machine_cache):
    """21.297: transformers and llama.cpp, both fp32, on windows of the first token and 511 of the text's."""
    folder = models.folder("gemma3-270m")
    begin, *ids = models.prompt_ids(folder, read_text("evaluation").strip())
    engine = loaded(folder, [ids[:4]])
    scores = [engine.score([begin, *ids[place : place + 511]]) for place in range(0, len(ids), 511)]
    total, tokens = map(sum, zip(*scores))
    assert tokens == 654
    assert math.isclose(math.exp(total / tokens), 21.297, abs_tol=5e-4)
