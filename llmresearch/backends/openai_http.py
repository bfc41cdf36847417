"""Any server with OpenAI's completions interface (llama-server, vLLM, others), by token ids and streams.

Prompts go as token ids, so that every engine gets the same. What differs between servers is a dialect, chosen
by what the server says it is: how to pass over the end-of-text token, how to switch the prompt cache off, and
where its own clock stands. A server without a known dialect gets the prompt's ids in another order in every call.
"""

from .http_client import ServerProblem
from .streamed import RUN, Chunk, Streamed, mixed, rotated

# `owned_by` in /v1/models: what is added to each request. The salt differs in every call.
DIALECTS = {
    "llamacpp": {"cache_prompt": False, "ignore_eos": True},
    "vllm": {"cache_salt": f"llmresearch-{RUN}-{{call}}", "ignore_eos": True, "return_token_ids": True},
}
# Bits per weight that a precision may have, scales and unquantised layers included.
BITS = {
    "fp32": (30, 33),
    "fp16": (15, 17),
    "bf16": (15, 17),
    "int8": (7.5, 9.5),
    "q8_0": (8, 9.5),
    "q4_k_m": (4, 8.4),
}


class OpenAi(Streamed):
    """One model of a running server; `served` is its name there, where it serves several."""

    name = "openai"
    url = "http://127.0.0.1:8080"
    remedy = "Start it (llama-server -m FILE, or vllm serve MODEL)"
    counts = False
    options = Streamed.options + ("served",)

    def stranger(self, client):
        """A sentence where the port belongs to another program, else None."""
        try:
            models = client.get("/v1/models").get("data")
        except ServerProblem as problem:
            if "HTTP 404" not in str(problem):
                raise
            models = None
        if isinstance(models, list) and models:
            return None
        return (
            f"openai: port in use: {client.url} answers, but lists no models. Name the right address: "
            "url: http://HOST:PORT."
        )

    def introduce(self, cell):
        """What the server says about itself and the model."""
        told = self.client.told
        models = {told(model, "id", str): model for model in self.client.listed(self.client.get("/v1/models"), "data")}
        served = cell.options.get("served") or next(iter(models))
        if served not in models:
            raise ServerProblem(
                f"openai: model {served!r} not found; the server has {', '.join(map(str, models))}."
            )
        self.served, self.kind = served, told(models[served], "owned_by", str)
        self.dialect = DIALECTS.get(self.kind)
        meta = told(models[served], "meta", dict) or {}
        size, params = (told(meta, name, int, float) for name in ("size", "n_params"))
        bits = 8 * size / params if size and params else None
        low, high = BITS[cell.dtype]
        if bits and not low <= bits <= high:
            raise ServerProblem(
                f"openai: {served} has {bits:.1f} bits a weight, {cell.dtype} has {low:g} to {high:g}. Serve "
                "that precision, "
                "or name the one that is served."
            )
        return {
            "engine": self.kind or "unknown",
            "served": served,
            "dtype": cell.dtype if bits else "unknown",
            "bits_per_weight": bits,
            "device": "unknown",
            "stand_in": meta.get("stand_in"),
        } | self._build()

    def _build(self):
        """The server's version, where it is one that says it."""
        path, key = {"llamacpp": ("/props", "build_info"), "vllm": ("/version", "version")}.get(
            self.kind, (None, None)
        )
        return {"server_version": self.client.get(path).get(key) if path else None}

    def start(self, cell, ids):
        """As Streamed; llama-server tells an answer's ids at another address, so once more there, untimed."""
        self.seed = cell.seed
        super().start(cell, ids)
        if self.kind == "llamacpp":
            body = {"prompt": self.prompt, "n_predict": cell.new_tokens, "temperature": 0, "return_tokens": True}
            self.made = self.client.listed(self.client.post("/completion", body | self.dialect), "tokens", int)

    def prompt_of(self, cell, ids):
        """The ids themselves; the cell's text for a model that only the server has."""
        return ids if self.needs_weights(cell) else cell.text

    def vary(self, ids, call, quarter=False):
        """The ids: as they are where the dialect switches the cache off, else in another order behind the first."""
        if isinstance(ids, str):
            return rotated(ids, call, quarter)
        ids = ids[: max(len(ids) // 4, 1)] if quarter else ids
        if self.dialect or len(ids) < 3:
            return ids
        return ids[:1] + mixed(ids[1:], call)

    def request(self, prompt, tokens):
        """Path and body of a streamed greedy answer."""
        dialect = {
            key: value.format(call=self.calls) if isinstance(value, str) else value
            for key, value in (self.dialect or {}).items()
            if not (self.keep and key.startswith("cache"))
        }
        self._figures = {}
        return "/v1/completions", {
            "model": self.served,
            "prompt": prompt,
            "max_tokens": tokens,
            "temperature": 0,
            "seed": self.seed,
            "stream": True,
            "stream_options": {"include_usage": True},
        } | dialect

    def chunk(self, line):
        """One server-sent event: tokens, figures, or the end; None for what carries nothing."""
        if not line.startswith(b"data:"):
            if line.startswith((b":", b"event:", b"id:", b"retry:")):
                return None
            raise self.client.nonsense(f"no server-sent event: {line[:80]!r}")
        data = line[5:].strip()
        if data == b"[DONE]":
            return Chunk(end=self._figures)
        message = self.client.decode(data)
        if message.get("error"):
            self.client.close()
            raise ServerProblem(f"openai: the server broke off: {str(message['error'])[:300]}")
        self._note(message)
        choice = (self.client.listed(message, "choices") or [{}])[0]
        text, ids = self.client.told(choice, "text", str) or "", tuple(self.client.listed(choice, "token_ids", int))
        return Chunk(tokens=len(ids) or int(text != ""), text=text, ids=ids)

    def _note(self, message):
        """Counts and the server's own clock, whichever message brings them."""
        told = self.client.told
        usage, times = (told(message, name, dict) or {} for name in ("usage", "timings"))
        details = told(usage, "prompt_tokens_details", dict) or {}
        found = {
            "prompt_tokens": told(usage, "prompt_tokens", int),
            "tokens": told(usage, "completion_tokens", int),
            "cached_tokens": told(times, "cache_n", int) or told(details, "cached_tokens", int),
        }
        for name, key in (("prompt_seconds", "prompt_ms"), ("token_seconds", "predicted_ms")):
            milliseconds = told(times, key, int, float)
            found[name] = None if milliseconds is None else milliseconds / 1e3
        self._figures |= {name: value for name, value in found.items() if value is not None}
