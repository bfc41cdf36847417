"""Several requests at the same time: one loaded engine each, in threads of one process, released together.

For an engine in process that is two users of one machine, for one behind HTTP two clients of one server. A call lasts
from the release to the end of the last request; `ended` says when each of them was through, `arrived` when each of its
tokens was there.
"""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

PATIENCE_S = 60.0  # until all threads stand at the line: they do within microseconds, or never


class Together:
    """`engines`, all loaded, with the methods of one backend; request i of a call is engine i's."""

    def __init__(self, engines):
        self.engines = engines
        self.clock = engines[0].clock
        self.virtual = getattr(engines[0], "virtual", False)
        self.marks, self.ended, self.arrived = [], [], []
        self.padded_tokens = None
        self._pools = [ThreadPoolExecutor(1) for _ in engines]  # a thread of its own each: graphs belong to threads
        self._line = Barrier(len(engines) + 1)

    def start(self, cell, ids):
        """Untimed: ids holds the rows of all requests, one batch after the other."""
        batch = len(ids) // len(self.engines)
        for i, engine in enumerate(self.engines):
            self._on(i, engine.start, cell, ids[i * batch:(i + 1) * batch]).result()
        self.padded_tokens = getattr(self.engines[0], "padded_tokens", None)

    def prepare(self, phase):
        """Untimed: every engine is brought to where the phase begins, one after the other."""
        for i, engine in enumerate(self.engines):
            self._on(i, engine.prepare, phase).result()
            engine.marks.clear()

    def _on(self, i, call, *arguments):
        return self._pools[i].submit(call, *arguments)

    def prefill(self):
        return self._all("prefill")

    def decode(self):
        return self._all("decode")

    def e2e(self):
        return self._all("e2e")

    def generate(self):
        return self._all("generate")

    def _all(self, phase):
        """Tokens of all requests, which run at the same time."""
        running = [self._on(i, self._one, engine, phase) for i, engine in enumerate(self.engines)]
        self._line.wait(PATIENCE_S)
        done = [each.result() for each in running]
        self.ended = [end for _, end, _ in done]
        self.arrived = [] if self.virtual else [marks for *_, marks in done]  # virtual clocks share no time
        return sum(tokens for tokens, *_ in done)

    def _one(self, engine, phase):
        self._line.wait(PATIENCE_S)
        tokens = getattr(engine, phase)()
        engine.settle()
        return tokens, engine.clock(), list(engine.marks)

    def device_start(self):
        """Untimed: each engine with a clock of its own beside the call's is told that a call begins."""
        self._each("device_start")

    def device_seconds(self):
        """None: several clocks of overlapping requests make no common time. Each engine reads its answer's end here."""
        self._each("device_seconds")

    def _each(self, method):
        for i, engine in enumerate(self.engines):
            if call := getattr(engine, method, None):
                self._on(i, call).result()

    def settle(self):
        for engine in self.engines:
            engine.settle()

    def output(self):
        """The ids of all requests of the last call, ids[request × batch][token]."""
        rows = [self._on(i, engine.output).result() for i, engine in enumerate(self.engines)]
        return [row for part in rows for row in part or ()]

    def forced(self, ids, prompt):
        return self._on(0, self.engines[0].forced, ids, prompt).result()

    def processes(self):
        """Ids of the processes that do the engines' work, where they have servers of their own."""
        return sorted({pid for engine in self.engines for pid in getattr(engine, "processes", tuple)()})

    def evidence(self):
        """What ran, of the first engine, and how many requests ran at once."""
        found = self._on(0, self.engines[0].evidence).result()
        return found | {"concurrency": {"requests": len(self.engines), "how": "threads of one process, an engine each"}}

    def end(self):
        """Ends the threads; the engines stay loaded."""
        for pool in self._pools:
            pool.shutdown()
