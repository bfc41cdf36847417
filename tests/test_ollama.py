"""Ollama's client against a stand-in that says it is one: counts, clocks, caches, early stops, and every
fault.
"""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "servers"))
from asking import TEXT, cell, measured  # noqa: E402
from stand_in import Law, running  # noqa: E402

import llmresearch as lr  # noqa: E402
from llmresearch import records  # noqa: E402
from llmresearch.backends.http_client import Client, ServerProblem
from llmresearch.backends.ollama_http import Ollama
from llmresearch.failures import classify_failure


def asked(server, **changes):
    return cell("ollama", server.url, **{"tag": "small"} | changes)


def test_every_phase_is_timed_by_the_arrival_of_its_tokens():
    with running(engine=Law(prompt_s=200e-6, token_s=2e-3)) as server:
        _, calls = measured(asked(server))
    prefill, decode, e2e = (min(c.seconds for c in calls[phase]) for phase in ("prefill", "decode", "e2e"))
    assert 0.020 < prefill < 0.3
    assert 0.008 < decode < 0.3  # a first token that is read late shortens it
    assert 0.034 < e2e < 0.5
    assert {c.tokens for c in calls["prefill"]} == {100}
    assert {(c.tokens, len(c.token_seconds)) for c in calls["decode"] + calls["e2e"]} == {(8, 8)}
    assert all(c.token_seconds[0] >= 0.020 for c in calls["e2e"])


def test_the_servers_own_clock_is_the_calls_device_time():
    with running(engine=Law(prompt_s=200e-6, token_s=2e-3)) as server:
        engine, calls = measured(asked(server))
    assert all(0.020 < c.device_seconds < c.seconds for c in calls["prefill"])
    assert all(0.033 < c.device_seconds < c.seconds + 0.1 for c in calls["e2e"])
    assert engine.evidence()["server_seconds"]["decode"]["tokens"] == 9


def test_evidence_is_what_the_server_said_and_names_the_stand_in():
    with running() as server:
        engine, _ = measured(asked(server, phases=["prefill"]))
        found = engine.evidence()
    assert found["stand_in"] == "a stand-in for Ollama, not Ollama"
    assert (found["quantization_level"], found["dtype"], found["device"], found["digest"]) == (
        "Q4_K_M",
        "q4_k_m",
        "cpu",
        "d1",
    )
    assert found["load_seconds"] == 0.25
    assert found["text"] == " w0 w1 w2 w3 w4 w5 w6 w7"
    assert found["remote"] is False


def test_no_two_measured_prompts_share_their_beginning_and_all_have_the_same_words():
    with running() as server:
        measured(asked(server, phases=["prefill"]))
    sent = [body["prompt"] for path, body in server.requests if path == "/api/generate" and body["prompt"]]
    timed = sent[-4:]
    assert len({prompt.split()[0] for prompt in timed}) == 4
    assert {" ".join(sorted(prompt.split())) for prompt in timed} == {" ".join(sorted(TEXT.split()))}


def test_an_early_stop_is_recorded_at_its_true_length():
    with running(engine=Law(stops_after=3)) as server:
        engine, calls = measured(asked(server))
    assert {c.tokens for c in calls["decode"]} == {2}
    assert {c.tokens for c in calls["e2e"]} == {3}
    assert engine.evidence()["early_stops"] > 0


def test_a_prompt_from_the_cache_fails_the_cell():
    with (
        running(fault="cached") as server,
        pytest.raises(ServerProblem, match="no count of prompt tokens") as caught,
    ):
        measured(asked(server), vary=lambda text, call, quarter=False: text)
    assert classify_failure(str(caught.value)).kind == "invalid output"


def test_a_kept_cache_is_timed_and_flagged():
    with running(fault="cached") as server:
        engine, calls = measured(asked(server, cache="keep"))
    assert engine.evidence()["prompt_cache"]["hit"].startswith("an answer has no count")
    assert engine.evidence()["prompt_cache"]["asked"] == "keep"
    assert len(calls["prefill"]) == 4


def test_a_server_that_reuses_prompts_is_told_from_one_that_does_not():
    with (
        running(fault="cached", engine=Law(prompt_s=300e-6)) as server,
        running(engine=Law(prompt_s=300e-6)) as honest,
    ):
        engine, _ = measured(asked(honest, phases=["prefill"]))
        assert engine.evidence()["prompt_cache"]["server_reuses"] is False
        assert engine.evidence()["prompt_cache"]["growth"] > 1.5
        reusing, calls = measured(asked(server, phases=["prefill"]))
    assert reusing.evidence()["prompt_cache"]["server_reuses"] is True
    assert all(c.seconds > 0.03 for c in calls["prefill"])


@pytest.mark.parametrize(
    "seconds, verdict",
    [
        (
            [0.010, 0.010, 0.011, 0.010, 0.011, 0.010, 0.011],
            "cached",
        ),  # whole, repeat, then quarters and wholes in turns
        ([0.040, 0.040, 0.050, 0.041, 0.011], "grows"),  # the first quarter was disturbed
    ],
)
def test_a_prefill_that_does_not_grow_with_its_prompt_fails_the_cell(seconds, verdict):
    engine = Ollama()
    vars(engine).update(keep=False, calls=0, prompt=TEXT, prompt_tokens=100, cache={})
    ends = iter([{"prompt_tokens": 100, "prompt_seconds": s} for s in seconds])
    engine._answered = lambda prompt, tokens: next(ends)
    if verdict == "cached":
        with pytest.raises(ServerProblem, match="took no longer than one of a quarter"):
            engine._watch_cache({})
    else:
        engine._watch_cache({})
        assert engine.cache["growth"] == pytest.approx(0.040 / 0.011)


@pytest.mark.parametrize(
    "fault, words, kind, cause",
    [
        ("500", "HTTP 500", "hard", "engine did not start"),
        ("html", "answered nonsense", "invalid output", "invalid output"),
        ("slow", "timed out: no answer within 0.5 s", "timeout", "time-out"),
        ("slow_stream", "timed out, after 3 tokens", "timeout", "time-out of an engine that works"),
        ("stops", "connection lost|the stream ended", "soft", "connection lost"),
        ("stops_cleanly", "the stream ended after 3 of 8 tokens", "soft", "connection lost"),
        ("error_line", "out of memory", "hard", "out of memory"),
        ("not_json_line", "answered nonsense", "invalid output", "invalid output"),
        ("long_line", "a line of more than a mebibyte", "invalid output", "invalid output"),
        ("empty", "no tokens returned", "invalid output", "invalid output"),
    ],
)
def test_each_fault_is_one_sentence_with_its_class(fault, words, kind, cause):
    with running(fault=fault) as server, pytest.raises(ServerProblem, match=words) as caught:
        measured(asked(server, answer_within_s=0.5))
    found = classify_failure(str(caught.value))
    assert (found.kind, found.cause) == (kind, cause)
    assert "\n" not in str(caught.value)


def test_an_absent_server_is_refused_with_the_way_to_start_it():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    reason = Ollama().refuses(cell("ollama", url))
    assert (
        reason
        == f"ollama: no answer from {url}. Start it with 'ollama serve', or drop 'ollama' from backends."
    )


def test_another_program_on_the_port_is_refused():
    with running(fault="other_program") as server:
        assert "port in use" in Ollama().refuses(asked(server))


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"tag": "large"}, "model 'large' not found"),
        ({"dtype": "q8_0"}, "small is Q4_K_M, the cell says Q8_0"),
        ({"device": "cuda"}, "no device as asked: 0% of small is on a GPU"),
    ],
)
def test_a_wrong_model_precision_or_device_fails_while_loading(changes, words):
    with running() as server, pytest.raises(ServerProblem, match=words):
        measured(asked(server, **changes))


def test_the_uncached_loop_a_batch_and_unknown_options_are_refused():
    assert "always has a KV cache" in Ollama().refuses(
        cell("ollama", "http://127.0.0.1:1", phases=["generate"])
    )
    for wait in (0, -1, "long", float("nan"), True):
        asked = cell("ollama", "http://127.0.0.1:1", answer_within_s=wait)
        assert f"answer_within_s: {wait!r} is no number of seconds" in Ollama().refuses(asked)
    assert "unknown option 'tagg'" in Ollama().refuses(cell("ollama", "http://127.0.0.1:1", tagg="x"))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://localhost", "localhost:11434", "http://", "http://user:pw@localhost:1", "http://localhost:99999",
        "http://localhost:abc", "http://a..b:80", "http://[::1:80", 5, None,
    ],  # fmt: skip
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(ServerProblem, match="Write http://HOST:PORT"):
        Client("ollama", url, 1)


def test_the_default_address_is_loopback():
    assert Ollama.url == "http://127.0.0.1:11434"


def test_the_servers_processes_are_found_by_its_port():
    script = Path(__file__).parent / "servers" / "stand_in.py"
    server = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    try:
        client = Client("ollama", server.stdout.readline().strip(), 5)
        assert client.processes() == (server.pid,)
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def test_a_server_elsewhere_has_no_processes_here():
    assert Client("ollama", "http://192.0.2.1:11434", 1).processes() == ()


def test_a_model_that_only_the_server_has_is_planned_by_its_tag_and_texts(tmp_path):
    params = {
        "study": "s", "dtypes": ["q4_k_m"], "models": [{"name": "small", "served": True}], "phases": ["e2e"],
        "repetitions": 3, "warmup": 0, "scenarios": [{"name": "s", "prompts": [TEXT], "new_tokens": 8}],
    }  # fmt: skip
    with running() as server:
        asked_for = params | {"backends": [{"name": "ollama", "url": server.url}]}
        lr.measure(lr.plan(asked_for), tmp_path / "raw.jsonl", progress=False)
        (found,) = records.cells(tmp_path / "raw.jsonl")
        seeded = lr.plan(asked_for | {"scenarios": [{"name": "s", "prompt_tokens": 9}]})[0]
        assert Ollama().refuses(seeded).endswith('Give texts as prompts: {prompts: ["…"]}.')
    assert found["status"] == "ok", found["reason"]
    assert (found["params_measured"], found["prompt_tokens"], found["model_sha"]) == (7_000_001, 100, None)
