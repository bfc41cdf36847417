"""The OpenAI-compatible client against a stand-in: ids in, tokens by arrival, dialects, caches, faults."""

import itertools
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import pytest

sys.path.insert(0, str(Path(__file__).parent / "servers"))
from asking import TEXT, at_once, cell, measured  # noqa: E402
from stand_in import Law, running  # noqa: E402

from llmresearch import models
from llmresearch.backends.http_client import Client, ServerProblem
from llmresearch.backends.llamacpp import LlamaCpp
from llmresearch.backends.openai_http import DIALECTS, OpenAi
from llmresearch.backends.streamed import RUN
from llmresearch.failures import classify_failure

PARIS = [2, 818, 5279, 529, 7001, 563]  # "The capital of France is"


def sent(server):
    return [body for path, body in server.requests if path == "/v1/completions"]


def test_time_to_first_token_and_the_gaps_between_tokens_come_from_the_stream():
    with running(owner="vllm", engine=Law(prompt_s=200e-6, token_s=3e-3)) as server:
        _, calls = measured(cell("openai", server.url, phases=["e2e"]))
    fastest = min(calls["e2e"], key=lambda c: c.seconds)
    assert 0.020 < fastest.token_seconds[0] < 0.3
    assert 0.003 <= sorted(fastest.token_seconds[1:])[3] < 0.02
    assert sum(fastest.token_seconds) + fastest.gap_seconds == pytest.approx(fastest.seconds, abs=1e-6)


def test_the_prompt_goes_as_ids_and_the_answer_comes_as_ids():
    with running(owner="vllm") as server:
        engine, calls = measured(cell("openai", server.url, phases=["prefill", "decode"]), ids=range(7, 107))
    assert sent(server)[0]["prompt"] == list(range(7, 107))
    assert engine.output() == [[0, 1, 2, 3, 4, 5, 6, 7]]
    assert {c.tokens for c in calls["prefill"]} == {100}
    assert {c.tokens for c in calls["decode"]} == {8}


def test_each_dialect_switches_the_prompt_cache_off_in_its_own_way():
    with running(owner="vllm") as server:
        measured(cell("openai", server.url, phases=["prefill"]))
    assert len({body["cache_salt"] for body in sent(server)[-4:]}) == 4
    with running(owner="llamacpp") as server:
        engine, _ = measured(cell("openai", server.url, phases=["prefill"]))
    assert all(body["cache_prompt"] is False and body["ignore_eos"] is True for body in sent(server))
    assert engine.output() == [[0, 1, 2, 3, 4, 5, 6, 7]]


def test_an_unknown_server_gets_no_unknown_fields_and_a_rotated_prompt_each_time():
    with running(owner="someone") as server:
        engine, _ = measured(cell("openai", server.url, phases=["prefill"]))
    known = {"model", "prompt", "max_tokens", "temperature", "seed", "stream", "stream_options"}
    assert {key for body in sent(server) for key in body} == known
    prompts = [tuple(body["prompt"]) for body in sent(server)[-4:]]
    assert len(set(prompts)) == 4
    assert all(prompt[0] == 0 and sorted(prompt) == list(range(100)) for prompt in prompts)


def test_tokens_that_came_from_a_cache_fail_the_cell():
    with (
        running(fault="cached", owner="someone") as server,
        pytest.raises(ServerProblem, match="99 tokens of the prompt|of a quarter") as c,
    ):
        measured(cell("openai", server.url), vary=lambda ids, call, quarter=False: ids)
    assert classify_failure(str(c.value)).kind == "invalid output"


def test_a_kept_cache_keeps_the_rest_of_the_dialect():
    with running(owner="llamacpp") as server:
        measured(cell("openai", server.url, phases=["prefill"], cache="keep"))
    assert all("cache_prompt" not in body and body["ignore_eos"] for body in sent(server))


@pytest.mark.parametrize(
    "fault, words, kind",
    [
        ("500", "HTTP 500", "hard"),
        ("html", "nonsense", "invalid output"),
        ("slow", "timed out", "timeout"),
        ("stops_cleanly", "the stream ended after 3 of 8 tokens", "soft"),
        ("stops", "connection|stream", "soft"),
        ("not_json_line", "nonsense", "invalid output"),
        ("empty", "no tokens returned", "invalid output"),
    ],
)
def test_each_fault_is_one_sentence_with_its_class(fault, words, kind):
    with running(fault=fault) as server, pytest.raises(ServerProblem, match=words) as caught:
        measured(cell("openai", server.url, answer_within_s=0.5))
    assert classify_failure(str(caught.value)).kind == kind


def test_an_absent_server_and_another_program_are_refused():
    assert "or drop 'openai' from backends" in OpenAi().refuses(cell("openai", "http://127.0.0.1:9"))
    with running(fault="other_program") as server:
        assert "lists no models" in OpenAi().refuses(cell("openai", server.url))


def test_a_model_that_the_server_has_not_is_named():
    with running() as server, pytest.raises(ServerProblem, match="'big' not found; the server has small"):
        measured(cell("openai", server.url, served="big"))


def test_a_precision_that_the_bits_contradict_is_refused():
    engine, asked = OpenAi(), cell("openai", "http://127.0.0.1:9", dtype="fp32")
    meta = {"size": 250_000_000, "n_params": 268_000_000}

    class Answers(Client):
        def get(self, path):
            return {"data": [{"id": "small", "owned_by": "llamacpp", "meta": meta}]}

    engine.client = Answers("openai", "http://127.0.0.1:9", 1)
    with pytest.raises(ServerProblem, match="7.5 bits a weight, fp32 has 30 to 33"):
        engine.introduce(asked)


def test_two_clients_at_once_each_have_a_first_token_and_gaps_and_share_no_prompt(tmp_path):
    with running(owner="someone", engine=Law(prompt_s=200e-6, token_s=3e-3)) as server:
        engine = {"name": "openai", "url": server.url}
        found, calls = at_once(tmp_path / "raw.jsonl", engine, prompts=[TEXT], new_tokens=8)
        timed = [body["prompt"] for body in sent(server)][-24:]  # 2 clients, 3 phases, a first call and 3 samples
    assert found["status"] == "ok", found["reason"]
    for phase, count, least in (("prefill", 1, 0.020), ("decode", 8, 0.0), ("e2e", 8, 0.020)):
        told = calls[calls["phase"] == phase]["request_token_seconds"].tolist()
        assert [[len(gaps) for gaps in call] for call in told] == [[count, count]] * 3, phase
        assert min(gaps[0] for call in told for gaps in call) >= least, phase
    whole = calls[calls["phase"] == "e2e"]
    for ends, told, seconds in zip(whole["request_seconds"], whole["request_token_seconds"], whole["seconds"]):
        assert all(sum(gaps) <= end <= seconds for end, gaps in zip(ends, told))
    assert whole["tokens"].tolist() == [16, 16, 16] and whole["token_seconds"].isna().all()
    assert len(set(timed)) == 24


def test_another_process_sends_no_prompt_and_no_salt_that_this_one_sent(monkeypatch):
    def all_sent(run):
        monkeypatch.setattr("llmresearch.backends.streamed.RUN", run)
        monkeypatch.setattr("llmresearch.backends.streamed._CALLS", itertools.count(1))
        with running(owner="someone") as server:
            measured(cell("openai", server.url, phases=["prefill"]))
        return {tuple(body["prompt"]) for body in sent(server)[1:]}

    assert not all_sent("a") & all_sent("b")
    assert RUN in DIALECTS["vllm"]["cache_salt"]


@pytest.fixture(scope="module")
def llama_server():
    """(address, process) of a stand-in with gemma3-270m in llama.cpp behind it."""
    if find_spec("llama_cpp") is None:
        pytest.skip("needs llama-cpp-python")
    script = Path(__file__).parent / "servers" / "stand_in.py"
    start = [sys.executable, str(script), "--gguf", str(models.gguf("gemma3-270m"))]
    server = subprocess.Popen(start, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    yield server.stdout.readline().strip(), server
    server.kill()
    server.wait()
    server.stdout.close()


@pytest.mark.slow
def test_a_stand_in_backed_by_llama_cpp_gives_the_ids_of_llama_cpp_in_process(llama_server):
    url, server = llama_server
    engine, calls = measured(cell("openai", url, new_tokens=6, phases=["prefill"]), ids=PARIS)
    assert engine.processes() == (server.pid,)
    assert engine.evidence()["prompt_cache"]["server_reuses"] is True
    assert engine.output() == [_in_process(PARIS)]


@pytest.mark.slow
def test_two_clients_of_llama_cpp_at_once_get_their_own_answers_and_one_waits(llama_server, tmp_path):
    engine = {"name": "openai", "url": llama_server[0]}
    found, calls = at_once(tmp_path / "raw.jsonl", engine, "gemma3-270m", prompt_tokens=40, new_tokens=6)
    assert found["status"] == "ok", found["reason"]
    rows = [models.seeded_ids(262_144, 40, seed=42, index=index) for index in range(2)]
    assert found["output_ids"] == [_in_process(row) for row in rows]
    both = [sorted(call, key=sum) for call in calls[calls["phase"] == "e2e"]["request_token_seconds"]]
    waited = [second[0] - sum(first) for first, second in both]
    assert median(waited) > 0  # this server answers one after the other, and the times show it


def _in_process(ids):
    engine, asked = LlamaCpp(), cell("llamacpp", None, new_tokens=6)
    asked = replace(asked, model="gemma3-270m", options={})
    engine.load(asked, models.folder("gemma3-270m"))
    engine.start(asked, [ids])
    engine.prepare("e2e")
    engine.e2e()
    found = engine.output()[0]
    engine.close()
    return found
