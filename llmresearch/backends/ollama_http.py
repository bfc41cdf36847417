"""Ollama over its own HTTP interface: raw prompts, counts and durations, its prompt cache, early stops.

Interface: https://github.com/ollama/ollama/blob/main/docs/api.md. Ollama takes text only and gives no ids, so
seeded ids are decoded first, and the count of tokens that it reports is what was handled. It stops at an end-
of-text token; such an answer is recorded at its true length. Its prompt cache cannot be switched off: each
call sends the prompt's words in another order, so that they share no prefix. `prompt_eval_count` is absent or
small where a prompt was cached all the same (ollama issues 2068 and 3427): such a cell fails.
"""

from .http_client import ServerProblem
from .streamed import Chunk, Streamed, rotated

LEVELS = {"fp32": "F32", "fp16": "F16", "bf16": "BF16", "q8_0": "Q8_0", "q4_k_m": "Q4_K_M"}
NANO = 1e-9
LEAST_CONTEXT = 2048  # tokens; a change of context makes Ollama load the model again, so small ones share one


class Ollama(Streamed):
    """One model of a running Ollama; `tag` is its name there, the cell's model name unless given."""

    name = "ollama"
    url = "http://127.0.0.1:11434"
    remedy = "Start it with 'ollama serve'"
    options = Streamed.options + ("tag", "quantization", "context", "keep_alive")

    def refuses(self, cell):
        """As Streamed; and a precision that Ollama has no word for."""
        if cell.dtype not in LEVELS and "quantization" not in cell.options:
            return (
                f"ollama: serves {', '.join(LEVELS)}, not {cell.dtype}. Name its own word, as in "
                "quantization: Q4_0."
            )
        return super().refuses(cell)

    def stranger(self, client):
        """A sentence where the port belongs to another program, else None."""
        try:
            version = client.get("/api/version").get("version")
        except ServerProblem as problem:
            if "HTTP 404" not in str(problem):
                raise
            version = None
        if isinstance(version, str):
            return None
        return (
            f"ollama: port in use: {client.url} answers, but is not Ollama. Name the right address: url: "
            "http://HOST:PORT."
        )

    def introduce(self, cell):
        """What the server says about itself and the model, which it then has loaded."""
        self.tag = cell.options.get("tag", cell.model)
        self.settings = self._settings(cell)
        shown = self.client.post("/api/show", {"model": self.tag})
        told = self.client.told
        details, facts = (told(shown, name, dict) or {} for name in ("details", "model_info"))
        level, expected = (
            details.get("quantization_level"),
            cell.options.get("quantization") or LEVELS[cell.dtype],
        )
        if level != expected:
            raise ServerProblem(
                f"ollama: {self.tag} is {level}, the cell says {expected}. Name a tag of that precision, or "
                f"the precision that it has."
            )
        loaded = self.client.post("/api/generate", self._body("", 1, stream=False))
        return {
            "engine": "ollama",
            "server_version": self.client.get("/api/version").get("version"),
            "tag": self.tag,
            "dtype": cell.dtype,
            "quantization_level": level,
            "family": details.get("family"),
            "parameter_size": details.get("parameter_size"),
            "parameters": facts.get("general.parameter_count"),
            "load_seconds": (told(loaded, "load_duration", int) or 0) * NANO,
            "stand_in": details.get("stand_in"),
        } | self._placed(cell)

    def _placed(self, cell):
        """Where the loaded model lies, from the server's list of running models."""
        running = self.client.listed(self.client.get("/api/ps"), "models")
        mine = next((model for model in running if self.tag in (model.get("name"), model.get("model"))), None)
        if mine is None:
            raise ServerProblem(
                f"ollama: {self.tag} was loaded and is not among the running models. Read the server's log."
            )
        on_gpu, size = (self.client.told(mine, name, int) or 0 for name in ("size_vram", "size"))
        on_gpu /= max(size, 1)
        if (cell.device == "cuda") != (on_gpu > 0):
            raise ServerProblem(
                f"ollama: no device as asked: {on_gpu:.0%} of {self.tag} is on a GPU, the cell says "
                f"{cell.device}. Read the "
                "server's log for why, or change device."
            )
        return {
            "device": cell.device,
            "share_on_gpu": on_gpu,
            "model_bytes": mine.get("size"),
            "digest": mine.get("digest"),
        }

    def _settings(self, cell):
        need = cell.options.get("context") or max(
            LEAST_CONTEXT, 2 * ((cell.prompt_tokens or 0) + cell.new_tokens)
        )
        found = {"temperature": 0, "seed": cell.seed, "num_ctx": need}
        if cell.threads:
            found["num_thread"] = cell.threads
        return found | ({"num_gpu": 0} if cell.device == "cpu" else {})

    def prompt_of(self, cell, ids):
        """The text to send: the cell's own, or the ids decoded; the server adds the begin-of-text token."""
        self.settings = self._settings(cell)
        self.keep_alive = cell.options.get("keep_alive", "30m")
        return cell.text or self.decoded(ids)

    def vary(self, text, call, quarter=False):
        """The text's words in another order; a number before a text of few words."""
        return rotated(text, call, quarter)

    def request(self, prompt, tokens):
        """Path and body of a streamed, raw, greedy answer."""
        return "/api/generate", self._body(prompt, tokens)

    def _body(self, prompt, tokens, stream=True):
        return {
            "model": self.tag,
            "prompt": prompt,
            "raw": True,
            "stream": stream,
            "keep_alive": getattr(self, "keep_alive", "30m"),
            "options": self.settings | {"num_predict": tokens},
        }

    def chunk(self, line):
        """One line of the stream."""
        message = self.client.decode(line)
        if message.get("error"):
            self.client.close()
            raise ServerProblem(f"ollama: the server broke off: {str(message['error'])[:300]}")
        text = message.get("response")
        if not isinstance(text, str):
            raise self.client.nonsense(f"a line without a response: {line[:80]!r}")
        return Chunk(
            tokens=int(text != ""), text=text, end=_figures(self.client.told, message) if message.get("done") else None
        )


def _figures(told, message):
    """The last message's counts, and its durations in seconds; None where it has none."""
    seconds = {
        name: told(message, key, int)
        for name, key in (
            ("prompt_seconds", "prompt_eval_duration"),
            ("token_seconds", "eval_duration"),
            ("load_seconds", "load_duration"),
            ("total_seconds", "total_duration"),
        )
    }
    return {name: None if value is None else value * NANO for name, value in seconds.items()} | {
        "prompt_tokens": told(message, "prompt_eval_count", int),
        "tokens": told(message, "eval_count", int),
        "reason": message.get("done_reason"),
    }
