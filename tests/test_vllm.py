"""The offline engine's bookkeeping, on an engine that only counts: what was made is what is told."""

from types import SimpleNamespace

import pytest

from llmresearch.backends.vllm_offline import Vllm


class Counting:
    """Steps one token for each request, up to a length in all."""

    def __init__(self, length=100):
        self.length, self.waiting = length, {}

    def add_request(self, name, prompt, asked):
        ids = prompt["prompt_token_ids"]
        self.waiting[name] = [ids[-1], min(asked.max_tokens, self.length - len(ids))]

    def has_unfinished_requests(self):
        return bool(self.waiting)

    def step(self):
        found = []
        for name, one in list(self.waiting.items()):
            one[0], one[1] = one[0] + 1, one[1] - 1
            found.append(SimpleNamespace(request_id=name, outputs=[SimpleNamespace(token_ids=[one[0]])]))
            if not one[1]:
                del self.waiting[name]
        return found


@pytest.fixture
def engine():
    found = Vllm()
    found.asked, found._new_ids = {}, "delta"
    found.vllm = SimpleNamespace(SamplingParams=SimpleNamespace)
    found.engine = SimpleNamespace(llm_engine=Counting(length=10))
    return found


def started(engine, new_tokens, rows=((1, 2, 3), (5, 6, 7))):
    engine.start(SimpleNamespace(options={}, new_tokens=new_tokens), rows)
    return engine


def called(engine, phase):
    engine.prepare(phase)
    return getattr(engine, phase)()


def test_each_phase_counts_and_gives_the_tokens_that_were_made(engine):
    started(engine, new_tokens=4)
    assert (called(engine, "prefill"), engine.output()) == (6, [[4], [8]])
    assert (called(engine, "decode"), engine.output()) == (8, [[5, 6, 7, 8], [9, 10, 11, 12]])
    assert (called(engine, "e2e"), engine.output()) == (8, [[4, 5, 6, 7], [8, 9, 10, 11]])


def test_an_answer_that_the_engines_length_ends_is_told_as_long_as_it_was(engine):
    started(engine, new_tokens=50)
    assert called(engine, "e2e") == 14 and [len(row) for row in engine.output()] == [7, 7]


def test_requests_of_a_call_that_broke_are_in_no_later_one(engine):
    started(engine, new_tokens=4).prepare("decode")  # and the call itself never comes
    assert called(engine, "e2e") == 8 and engine.output()[0] == [4, 5, 6, 7]


def test_an_engine_that_is_loaded_again_is_let_go_of_first(engine, monkeypatch):
    monkeypatch.setattr(Vllm, "_start", lambda self, model, cell: setattr(self, "held", self.engine))
    asked = SimpleNamespace(options={"load_format": "dummy"}, device="cpu", model="llama-3.2-1b", source=None)
    monkeypatch.setattr(Vllm, "_model", lambda self, cell, folder, place: place)
    engine.load(asked)
    assert engine.held is None
