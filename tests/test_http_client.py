"""A server's answers, byte by byte: what is no answer is one classified sentence, and an idle connection may close."""

import json
import socket
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "servers"))
from asking import cell, measured  # noqa: E402
from stand_in import running  # noqa: E402

from llmresearch.backends.http_client import Client, ServerProblem  # noqa: E402
from llmresearch.failures import classify_failure  # noqa: E402

HEAD = b"HTTP/1.1 200 OK\r\n"


def answer(body, length=None):
    return HEAD + b"Content-Length: %d\r\n\r\n" % (length or len(body)) + body


@contextmanager
def saying(*answers, then_close=False):
    """A Client of a server that gives these bytes, one after the other, and may end the connection after each."""
    left = list(answers)

    def serve():
        while left:
            connection, _ = listener.accept()
            with connection:
                while left and connection.recv(1 << 16):
                    connection.sendall(left.pop(0))
                    if then_close:
                        break

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        client = Client("openai", f"http://127.0.0.1:{listener.getsockname()[1]}", 2)
        try:
            yield client
        finally:
            client.close()
            thread.join()


@pytest.mark.parametrize("said, words, cause", [
    (answer(b"[" * 100_000), "answered nonsense (not JSON", "invalid output"),
    (answer(b"[1]"), "answered nonsense (not JSON", "invalid output"),
    (answer(b'{"data"', length=90), "connection lost to", "connection lost"),
    (b"HTTP/1.1 301 Moved\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "HTTP 301 instead of an answer", "invalid output"),
    (b"HTTP/1.1 204 Nothing\r\n\r\n", "HTTP 204 instead of an answer", "invalid output"),
    (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "answered nonsense, not HTTP", "invalid output"),
])  # fmt: skip
def test_what_is_no_answer_is_one_classified_sentence(said, words, cause):
    with saying(said, then_close=True) as client, pytest.raises(ServerProblem) as caught:
        client.get("/v1/models")
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert classify_failure(str(caught.value)).cause == cause


def test_a_connection_that_the_server_let_go_of_while_it_was_idle_is_made_again():
    with saying(answer(b'{"a": 1}'), answer(b'{"a": 2}'), then_close=True) as client:
        assert client.get("/") == {"a": 1}
        client.connection.sock.recv(1)  # waits for the server's end
        assert client.get("/") == {"a": 2}


def test_a_stream_of_told_length_leaves_the_connection_for_the_next_request():
    with saying(answer(b"one\ntwo\n"), answer(b'{"a": 2}')) as client:
        assert list(client.stream("/", {})) == [b"one", b"two"]
        assert client.get("/") == {"a": 2}


@pytest.mark.parametrize("value", ["8", -8, float("inf"), float("nan"), True, [8], {"a": 8}])
def test_a_figure_that_is_no_finite_number_from_0_up_is_nonsense(value):
    client = Client("ollama", "http://127.0.0.1:9", 1)
    assert client.told({"n": 8}, "n", int) == 8 and client.told({"n": None}, "n", int) is client.told({}, "n", int) is None
    with pytest.raises(ServerProblem, match="answered nonsense"):
        client.told({"n": value}, "n", int, float)


def test_a_list_of_other_things_than_asked_for_is_nonsense():
    client = Client("openai", "http://127.0.0.1:9", 1)
    assert client.listed({"data": [{}]}, "data") == [{}] and client.listed({}, "data") == []
    for told in ("abc", [1], {"a": 1}):
        with pytest.raises(ServerProblem, match="answered nonsense"):
            client.listed({"data": told}, "data")


@pytest.mark.parametrize("name, message", [
    ("openai", {"choices": "x"}), ("openai", {"choices": [1]}), ("openai", {"choices": [{"text": 5}]}),
    ("openai", {"choices": [{"token_ids": ["b"]}]}), ("openai", {"usage": 7}), ("openai", {"timings": {"prompt_ms": "x"}}),
    ("openai", {"usage": {"completion_tokens": "8"}}), ("ollama", {"response": 5}),
    ("ollama", {"response": "", "done": True, "eval_count": "8"}), ("ollama", {"response": "", "done": True, "eval_count": -8}),
])  # fmt: skip
def test_a_message_of_another_shape_is_nonsense_and_not_a_bug(name, message):
    from llmresearch.backends import backend

    engine = backend(name)()
    engine.client, engine._figures = Client(name, "http://127.0.0.1:9", 1), {}
    with pytest.raises(ServerProblem, match="answered nonsense"):
        engine.chunk((b"data: " if name == "openai" else b"") + json.dumps(message).encode())


@pytest.mark.parametrize("name, options", [("ollama", {"tag": "small"}), ("openai", {})])
def test_more_tokens_than_were_asked_for_fail_the_cell(name, options):
    with running(fault="boasts") as server, pytest.raises(ServerProblem, match="made 800, 8 were asked for") as caught:
        measured(cell(name, server.url, **options))
    assert classify_failure(str(caught.value)).cause == "invalid output"
