"""A stand-in for Ollama and for OpenAI-compatible servers, which says that it is one in every introduction.

It speaks the parts of both interfaces that the backends use. Behind it stands a law (a word is a token; so
many seconds per prompt token and per new token) or llama.cpp with a GGUF file. `fault` breaks it on purpose.

    python tests/servers/stand_in.py [--gguf FILE] [--port 11434]
"""

import argparse
import json
import socket
import struct
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NANO = 1_000_000_000
FAULTS = (
    "500",
    "html",
    "slow",
    "slow_stream",
    "stops",
    "stops_cleanly",
    "error_line",
    "not_json_line",
    "long_line",
    "empty",
    "boasts",
    "cached",
    "flat",
    "other_program",
)


class Law:
    """Words for tokens, and known seconds for each; stops early after `stops_after` tokens."""

    def __init__(self, prompt_s=100e-6, token_s=1e-3, stops_after=None):
        self.prompt_s, self.token_s, self.stops_after = prompt_s, token_s, stops_after

    def ids(self, prompt):
        return list(prompt) if isinstance(prompt, list) else prompt.split()

    def answer(self, ids, count, flat=False):
        """Yield the pieces of an answer."""
        time.sleep(self.prompt_s * (1 if flat else len(ids)))
        for index in range(min(count, self.stops_after or count)):
            if index:
                time.sleep(self.token_s)
            yield f" w{index}", index


class LlamaCpp:
    """A GGUF file in llama.cpp, greedy; it keeps the last prompt's common prefix, as Ollama does.

    It has one context: requests at the same time are answered one after the other, as with OLLAMA_NUM_PARALLEL=1.
    """

    def __init__(self, gguf, context=2048):
        from llama_cpp import Llama

        self.model = Llama(str(gguf), n_ctx=context, flash_attn=True, verbose=False)  # as the backend
        self.turn = threading.Lock()

    def ids(self, prompt):
        return (
            list(prompt) if isinstance(prompt, list) else self.model.tokenize(prompt.encode(), add_bos=True)
        )

    def answer(self, ids, count, flat=False):
        made = []
        with self.turn:
            for token in self.model.generate(ids, temp=0.0):
                made.append(token)
                yield self.model.detokenize([token], prev_tokens=ids + made[:-1]).decode(errors="replace"), token
                if len(made) >= count or token == self.model.token_eos():
                    return


class StandIn(ThreadingHTTPServer):
    """The server; `requests` keeps every body that it got."""

    daemon_threads = True

    def __init__(self, engine=None, fault=None, quantization="Q4_K_M", owner="stand-in", port=0):
        if fault not in (None, *FAULTS):
            raise ValueError(f"fault: {fault!r} is none of {FAULTS}.")
        super().__init__(("127.0.0.1", port), Handler)
        self.engine, self.fault, self.quantization, self.owner = engine or Law(), fault, quantization, owner
        self.requests, self.seen = [], set()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        """Silent where the client has gone away, which faults make it do."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def running(**settings):
    """A server in a thread, and its end."""
    server = StandIn(**settings)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Handler(BaseHTTPRequestHandler):
    """Both interfaces."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    DETAILS = {"family": "stand-in", "parameter_size": "0", "stand_in": "a stand-in for Ollama, not Ollama"}

    def log_message(self, *words):
        pass

    def do_GET(self):
        known = {
            "/api/version": {"version": "0.0.0-stand-in"},
            "/api/ps": {"models": [{"name": "small", "size": 100, "size_vram": 0, "digest": "d1"}]},
            "/v1/models": {
                "data": [
                    {
                        "id": "small",
                        "owned_by": self.server.owner,
                        "meta": {"stand_in": "a stand-in, not llama-server"},
                    }
                ]
            },
            "/props": {"build_info": "stand-in"},
            "/version": {"version": "0.0.0-stand-in"},
        }
        if self.server.fault == "other_program" or self.path not in known:
            return self._whole({"error": "not found"}, 404)
        return self._whole(known[self.path])

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, body))
        if self.path == "/api/show":
            if body["model"] != "small":
                return self._whole({"error": f"model '{body['model']}' not found"}, 404)
            details = self.DETAILS | {"quantization_level": self.server.quantization}
            return self._whole({"details": details, "model_info": {"general.parameter_count": 7_000_001}})
        if self.path == "/api/generate" and not body["prompt"]:
            return self._whole({"done": True, "load_duration": NANO // 4})
        if self.path == "/completion":
            ids = self.server.engine.ids(body["prompt"])
            return self._whole({"tokens": [i for _, i in self.server.engine.answer(ids, body["n_predict"])]})
        fault = self.server.fault
        if fault == "500":
            return self._whole({"error": "llama runner process has terminated"}, 500)
        if fault == "slow":
            time.sleep(2)
        if fault == "html":
            return self._raw(b"<html>welcome</html>", 200)
        return self._stream(body, ollama=self.path == "/api/generate")

    def _stream(self, body, ollama):
        engine, fault = self.server.engine, self.server.fault
        wanted = body["options"]["num_predict"] if ollama else body["max_tokens"]
        ids, key = engine.ids(body["prompt"]), str(body["prompt"])
        cached = fault == "cached" and key in self.server.seen
        self.server.seen.add(key)
        self._head()
        start, made, first = time.perf_counter_ns(), 0, None
        for piece, token in engine.answer(ids[:1] if cached else ids, wanted, flat=fault == "flat"):
            made, first = made + 1, first or time.perf_counter_ns()
            self._piece(ollama, piece, token)
            if made == 3 and self._broken(fault):
                return
        now = time.perf_counter_ns()
        counts = {"prompt": len(ids), "cached": cached, "made": {"empty": 0, "boasts": 100 * made}.get(fault, made)}
        self._end(ollama, counts, (first or now) - start, now - (first or now), made < wanted)

    def _piece(self, ollama, piece, token):
        if self.server.fault == "empty":
            return
        if ollama:
            self._line({"model": "small", "response": piece, "done": False})
        else:
            self._event({"choices": [{"text": piece, "index": 0, "token_ids": [token]}]})

    def _broken(self, fault):
        """Break the stream after three tokens; True where it is over."""
        if fault == "slow_stream":
            time.sleep(2)
        if fault == "error_line":
            self._line({"error": "CUDA error: out of memory"})
        if fault == "not_json_line":
            self._chunk(b"%%% not json %%%\n")
        if fault == "long_line":
            self._chunk(b'{"response": "' + b"x" * (1 << 21) + b'"}\n')
        if fault == "stops":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
        if fault in ("stops_cleanly", "error_line", "not_json_line", "long_line"):
            self._chunk(b"")
        return fault in ("stops", "stops_cleanly", "error_line", "not_json_line", "long_line", "slow_stream")

    def _end(self, ollama, counts, prompt_ns, token_ns, early):
        if not ollama:
            usage = {
                "prompt_tokens": counts["prompt"],
                "completion_tokens": counts["made"],
                "prompt_tokens_details": {"cached_tokens": counts["prompt"] - 1 if counts["cached"] else 0},
            }
            self._event(
                {
                    "choices": [],
                    "usage": usage,
                    "timings": {"prompt_ms": prompt_ns / 1e6, "predicted_ms": token_ns / 1e6},
                }
            )
            self._chunk(b"data: [DONE]\n\n")
        else:
            counted = (
                {}
                if counts["cached"]
                else {"prompt_eval_count": counts["prompt"], "prompt_eval_duration": prompt_ns}
            )
            self._line(
                {
                    "model": "small",
                    "response": "",
                    "done": True,
                    "done_reason": "stop" if early else "length",
                    "eval_count": counts["made"],
                    "eval_duration": token_ns,
                    "load_duration": 1000,
                    "total_duration": prompt_ns + token_ns,
                    **counted,
                }
            )
        self._chunk(b"")

    def _head(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _line(self, message):
        self._chunk(json.dumps(message).encode() + b"\n")

    def _event(self, message):
        self._chunk(b"data: " + json.dumps(message).encode() + b"\n\n")

    def _chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _whole(self, message, status=200):
        self._raw(json.dumps(message).encode(), status)

    def _raw(self, data, status):
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main():
    options = argparse.ArgumentParser(description="A stand-in for Ollama; it says so.")
    options.add_argument("--gguf", help="a GGUF file for llama.cpp; without one a law answers")
    options.add_argument("--port", type=int, default=0)
    asked = options.parse_args()
    server = StandIn(engine=LlamaCpp(asked.gguf) if asked.gguf else Law(), port=asked.port)
    print(server.url, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
