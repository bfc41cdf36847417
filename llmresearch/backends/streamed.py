"""The phases of an engine behind HTTP, by the arrival of its tokens at the client.

    prefill   request sent → first token here, of an answer of one token
    decode    first token here → last token here, of an answer of new_tokens + 1 tokens
    e2e       request sent → last token here, of an answer of new_tokens; the first mark is the first token

The connection is open before the clock starts. The server's own clock, where it tells one, is the call's
device time. An answer that stops early is recorded as long as it was; nothing is scaled. Before anything is
timed, the cell's own prompt is answered once: its output stands in the record, and its length is checked in
every call: a prompt that suddenly has fewer tokens, or takes no longer when it is longer, came from a prompt
cache, and the cell fails. A server outlives this process, and so does its cache: no prompt, not that of a
request at the same time nor that of an earlier session, has the order or the salt of another.
"""

import hashlib
import itertools
import math
import os
import random
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from .http_client import LOOPBACK, Client, ServerAbsent, ServerProblem

SECONDS = 120.0  # the longest wait for a byte, unless the cell's option `answer_within_s` says otherwise
GROWS_FROM = 64  # prompt tokens from which a prefill must take longer than that of a quarter of the prompt
TRIES = 3  # pairs of prefills before one that does not grow is called cached
FEW_WORDS = 8  # a text of fewer words gets a number in front instead of another order
CACHED_BELOW = 0.5  # of the first prefill's seconds: an exact repeat that is faster was cached
RUN = os.urandom(8).hex()  # of this process: what it sends, no other process has sent
_CALLS = itertools.count(1)  # one count for all requests of this process, also for those at the same time


@dataclass
class Chunk:
    """One message of a stream: its tokens, text and ids; `end` carries the final figures."""

    tokens: int = 0
    text: str = ""
    ids: tuple = ()
    end: dict | None = None


class Streamed:
    """What the backends behind HTTP share; a subclass knows its server's requests and messages."""

    options = ("url", "answer_within_s", "cache")
    counts = True  # does this kind of server always count the prompt's tokens, unless they were cached?
    clock = staticmethod(time.perf_counter_ns)

    def __init__(self):
        self.marks = []
        self.padded_tokens = None
        self.early = self.calls = 0
        self.ends = {}
        self._unread = False

    @staticmethod
    def needs_weights(cell):
        """Does the cell need a model's folder here? Not where its entry says that only the server has it."""
        return not (cell.source or {}).get("served")

    def refuses(self, cell):
        """Why the cell cannot be measured, in one sentence, or None; asks whether the server is there."""
        unknown = sorted(set(cell.options) - set(self.options))
        if unknown:
            return f"{self.name}: unknown option {unknown[0]!r}. Known options: {', '.join(self.options)}."
        if cell.options.get("cache", "bust") not in ("bust", "keep"):
            return f"{self.name}: cache: {cell.options['cache']!r} is neither bust nor keep."
        wait = cell.options.get("answer_within_s", SECONDS)
        if isinstance(wait, bool) or not isinstance(wait, (int, float)) or not 0 < wait < math.inf:
            return f"{self.name}: answer_within_s: {wait!r} is no number of seconds. Write how long to wait for a byte."
        if cell.batch != 1:
            return f"{self.name}: a request carries one prompt. Use batch: 1, with concurrency for several at once."
        if not self.needs_weights(cell) and cell.text is None:
            return f"{self.name}: {cell.model} is on the server only. Give texts as prompts: {{prompts: [\"…\"]}}."
        if "generate" in cell.phases:
            return f"{self.name}: a server always has a KV cache. Leave `generate` out of phases."
        client = self._client(cell)
        try:
            return self.stranger(client)
        except ServerAbsent:
            return (
                f"{self.name}: no answer from {client.url}. {self.remedy}, or drop '{self.name}' from "
                "backends."
            )
        finally:
            client.close()

    def _client(self, cell):
        return Client(
            self.name, cell.options.get("url", self.url), cell.options.get("answer_within_s", SECONDS)
        )

    def load(self, cell, folder):
        """Untimed: the server has the model loaded; what it says about itself is kept."""
        self.client, self.folder = self._client(cell), folder
        self.keep = cell.options.get("cache", "bust") == "keep"
        self.about = self.introduce(cell)

    def start(self, cell, ids):
        """Untimed: take the prompt, have it answered once, and see whether the server reuses prompts."""
        self.ids, self.new_tokens, self.phase = ids[0], cell.new_tokens, None
        self.prompt = self.prompt_of(cell, self.ids)
        self.calls, self.early, self.ends = next(_CALLS), 0, {}
        self.pids = self.client.processes()
        self.cache = {"server_reuses": None, "growth": None}
        self.prompt_tokens = len(self.ids)
        first = self._answered(self.prompt, cell.new_tokens)
        self.text, self.made = "".join(self._text), list(self._ids)
        self._watch_cache(first)

    def _answered(self, prompt, tokens):
        """An untimed answer, read to its end; its figures."""
        self.client.connect()
        self._open(prompt, tokens)
        self._tokens(tokens)
        return self._finish()

    def _watch_cache(self, first):
        """Ask for a varied prompt, for the same again and for a quarter of it: is a prefill ever skipped?"""
        varied = self._varied()
        fresh, repeated = self._answered(varied, 1), self._answered(varied, 1)
        self.prompt_tokens = fresh.get("prompt_tokens") or first.get("prompt_tokens") or self.prompt_tokens
        self.cache["server_reuses"] = _reused(fresh, repeated)
        if fresh.get("prompt_seconds") is None or self.prompt_tokens < GROWS_FROM:
            return
        whole, quarter = [fresh["prompt_seconds"]], [self._quarter()]
        while min(whole) < min(quarter) and len(whole) < TRIES:  # a disturbed call is slow: the fastest tell
            whole.append(self._answered(self._varied(), 1).get("prompt_seconds") or 0.0)
            quarter.append(self._quarter())
        self.cache["growth"] = min(whole) / max(min(quarter), 1e-9)
        if self.cache["growth"] < 1:
            self._cached(
                f"a prefill of {self.prompt_tokens} tokens took no longer than one of a quarter of them"
            )

    def _quarter(self):
        """Seconds of a prefill of a new form of a quarter of the prompt; 0 where the server tells none."""
        self.calls = next(_CALLS)
        end = self._answered(self.vary(self.prompt, self.calls, quarter=True), 1)
        return end.get("prompt_seconds") or 0.0

    def _varied(self):
        """The prompt in another form of the same length, which no cache has; itself with `cache: keep`."""
        self.calls = next(_CALLS)
        return self.prompt if self.keep else self.vary(self.prompt, self.calls)

    def prepare(self, phase):
        """Untimed: an open connection; before `decode` a stream whose first token has come."""
        if self._unread:
            self._check(self._finish())
        self.phase = phase
        self.client.connect()
        if phase == "decode":
            self._open(self._varied(), self.new_tokens + 1)
            self._tokens(1)
        else:
            self._next = self._varied()

    def prefill(self):
        """Timed: one prompt, until its first token is here; gives prompt tokens."""
        self._open(self._next, 1)
        self._tokens(1)
        return self.prompt_tokens

    def decode(self):
        """Timed: from the first token to the last; gives tokens that came."""
        return self._tokens(self.new_tokens + 1) - 1

    def e2e(self):
        """Timed: one prompt until its last token is here; gives tokens that came."""
        self._open(self._next, self.new_tokens)
        return self._tokens(self.new_tokens)

    def settle(self):
        """Nothing to wait for: a token that is here has been made."""

    def _open(self, prompt, tokens):
        self._count, self._wanted, self._end, self._unread = 0, tokens, None, True
        self._text, self._ids = [], []
        self._stream = self.client.stream(*self.request(prompt, tokens))

    def _tokens(self, until):
        """Reads until that many tokens are here and marks each arrival; gives how many have come."""
        while self._count < until and self._end is None:
            line = next(self._stream, None)
            now = self.clock()
            if line is None:
                raise self.client.broke_off(self._count, self._wanted)
            chunk = self.chunk(line)
            if chunk is None:
                continue
            self._take(chunk, now)
        return self._count

    def _take(self, chunk, now):
        if chunk.tokens:
            self.marks.append(now)
            self._count += chunk.tokens
            self._text.append(chunk.text)
            self._ids += chunk.ids
        if chunk.end is not None:
            self._end = chunk.end
            self._count = chunk.end.get("tokens") or self._count

    def _finish(self):
        """The rest of the answer, read outside the clock; its final figures, checked."""
        while self._end is None and (line := next(self._stream, None)) is not None:
            chunk = self.chunk(line)
            if chunk is not None:
                self._take(chunk, self.clock())
        if self._end is None:
            raise self.client.broke_off(self._count, self._wanted)
        for _ in self._stream:
            pass
        self._unread = False
        if not self._count:
            raise ServerProblem(
                f"{self.name}: no tokens returned by {self.client.url}. Ask the model for more than nothing."
            )
        if self._count > self._wanted:
            raise ServerProblem(f"{self.name}: wrong number of tokens: {self.client.url} says that it made {self._count}, "
                                f"{self._wanted} were asked for. Use a server that keeps to the limit.")  # fmt: skip
        self.early += self._count < self._wanted
        return self._end

    def device_start(self):
        """Nothing to arm: the server's clock comes with its answer."""

    def device_seconds(self):
        """The server's own seconds for the phase, or None; reads the answer's end and checks it."""
        end = self._finish()
        self._check(end)
        times = {
            "prefill": [end.get("prompt_seconds")],
            "decode": [end.get("token_seconds")],
            "e2e": [end.get("prompt_seconds"), end.get("token_seconds")],
        }[self.phase]
        self.ends.setdefault(self.phase, []).append(end)
        return None if None in times else sum(times)

    def _check(self, end):
        if end.get("cached_tokens"):
            self._cached(f"{end['cached_tokens']} tokens of the prompt came from the server's cache")
        if not end.get("prompt_tokens"):
            if self.counts:
                self._cached("an answer has no count of prompt tokens, which a cached prompt has not")
        elif end["prompt_tokens"] < 0.9 * self.prompt_tokens - 2:
            self._cached(f"{end['prompt_tokens']} prompt tokens were handled, {self.prompt_tokens} expected")

    def _cached(self, what):
        """Notes a prompt that was not handled; refuses to time it unless the cell says `cache: keep`."""
        self.cache["hit"] = what
        if not self.keep:
            raise ServerProblem(
                f"{self.name}: invalid output: {what}: a prefill from a prompt cache is no prefill. Switch "
                "the server's "
                "prompt cache off, or write `cache: keep` to time it as it is."
            )

    def output(self):
        """The ids of the cell's own prompt, ids[batch][token]; empty where the server gives text only."""
        return [self.made] if self.made else []

    def forced(self, ids, prompt):
        """None: a server chooses its own tokens."""

    def processes(self):
        """Ids of the server's processes, whose work is the engine's; none for a server on another machine."""
        return self.pids

    def evidence(self):
        """What the server says of itself, and what its answers showed."""
        return self.about | {
            "url": self.client.url,
            "remote": self.client.host not in LOOPBACK,
            "prompt_tokens_counted": self.prompt_tokens,
            "prompt_cache": self.cache | {"asked": "keep" if self.keep else "bust"},
            "early_stops": self.early,
            "text": self.text,
            "text_sha256": hashlib.sha256(self.text.encode()).hexdigest(),
            "server_seconds": {phase: _medians(ends) for phase, ends in self.ends.items()},
        }

    def close(self):
        """Ends the connection."""
        self.client.close()

    def decoded(self, ids):
        """The text of these ids without special tokens, by the folder's tokenizer.json."""
        if find_spec("tokenizers") is None:
            raise ServerProblem(
                f"{self.name}: needs the package tokenizers to turn ids into text: pip install tokenizers."
            )
        path = Path(self.folder) / "tokenizer.json"
        if not path.is_file():
            raise ServerProblem(
                f"{self.name}: {self.folder} has no tokenizer.json, and the server takes text. Give prompts."
            )
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(path)).decode(ids)


def rotated(text, call, quarter=False):
    """The text's words, or their first quarter, in an order of this call's own; a number before a text of few words."""
    words = text.split(" ")
    moved = " ".join(mixed(words[: max(len(words) // 4, 1)] if quarter else words, call))
    return moved if len(words) >= FEW_WORDS else f"{call} {moved}"


def mixed(parts, call):
    """The parts in an order that no other call has: another one begins, and the rest follow at random."""
    place = call % len(parts)
    rest = parts[place + 1 :] + parts[:place]
    random.Random(f"{RUN} {call}").shuffle(rest)
    return [parts[place], *rest]


def _reused(fresh, repeated):
    """Did the exact repeat of a prompt come from a cache? None where the server's figures do not tell."""
    before, again = fresh.get("prompt_tokens") or 0, repeated.get("prompt_tokens") or 0
    if repeated.get("cached_tokens") or again < before:
        return True
    if None in (fresh.get("prompt_seconds"), repeated.get("prompt_seconds")):
        return None
    return repeated["prompt_seconds"] < CACHED_BELOW * fresh["prompt_seconds"]


def _medians(ends):
    """Median of each figure over the calls that gave it."""
    names = {name for end in ends for name, value in end.items() if isinstance(value, (int, float))}
    return {name: median(end[name] for end in ends if end.get(name) is not None) for name in sorted(names)}
