"""A backend with a known law and a virtual clock: whole studies in milliseconds, with exact answers.

Seconds of one forward = OVERHEAD + parameters × tokens × PER_PARAMETER, times `slowdown`, times noise. Noise is
lognormal and seeded by cell and session; options add what real machines do: `noise` (sd of the logarithm), `session`
(sd of a factor per process), `drift` (relative, per call), `warm` (calls until 1/e of a doubled first call is left),
`stall` (chance of a call that takes five times as long), `autocorrelation` (of the noise). `fail`, `refuse`, `hang`
and `die` break it on purpose. With `real` the time is really spent, spinning on one core. With `power_w` its virtual
device draws so many watts at work, and `idle_w` (default 0) at rest: a counter of energy whose truth is known.
"""

import hashlib
import math
import os
import random
import re
import time

OVERHEAD_NS = 400_000       # per forward
NS_PER_PARAMETER = 2e-2     # per token: 50 million parameters a millisecond
VOCABULARY = 1000
_SIZES = {"k": 1e3, "m": 1e6, "b": 1e9}


class Fake:
    """The virtual engine; see the module."""

    name = "fake"
    needs_weights = False
    virtual = True

    def __init__(self):
        self.now, self.at_work = 0, 0
        self.marks = []

    def clock(self):
        return self.now if self.virtual else time.perf_counter_ns()

    def refuses(self, cell):
        return cell.options.get("refuse")

    def load(self, cell, folder=None):
        self.options = cell.options
        self.virtual = not cell.options.get("real")
        self.parameters = parameters(cell)
        seed = hashlib.sha256(f"{cell.cell_id} {cell.session} {cell.seed}".encode()).digest()
        self.chance = random.Random(seed)
        self.factor = math.exp(self.chance.gauss(0, self.options.get("session", 0.0)))

    def start(self, cell, ids):
        self.cell, self.ids, self.calls, self.last = cell, ids, 0, 0.0

    def prepare(self, phase):
        if self.options.get("hang") == phase:
            time.sleep(3600)
        if self.options.get("die") == phase:
            os._exit(9)
        if self.options.get("fail") == phase:
            raise RuntimeError(self.options.get("message", "CUDA out of memory"))
        self.calls += 1
        self.noise = self._noise()

    def _noise(self):
        """This call's factor: one draw, remembered where noise is autocorrelated."""
        o = self.options
        rho, sd = o.get("autocorrelation", 0.0), o.get("noise", 0.02)
        self.last = rho * self.last + math.sqrt(1 - rho**2) * self.chance.gauss(0, 1)
        warm = math.exp(-(self.calls - 1) / o["warm"]) if o.get("warm") else 0.0
        stall = 5.0 if self.chance.random() < o.get("stall", 0.0) else 1.0
        return self.factor * math.exp(sd * self.last) * (1 + o.get("drift", 0.0) * self.calls) * (1 + warm) * stall

    def _forward(self, tokens):
        work = OVERHEAD_NS + self.parameters * tokens * NS_PER_PARAMETER
        self._spend(round(work * self.noise * self.options.get("slowdown", 1.0)))

    def rest(self, seconds):
        """Time in which nothing is done."""
        self.now += round(seconds * 1e9)
        if not self.virtual:
            time.sleep(seconds)

    def energy_j(self):
        """The virtual device's counter in joules; None where no power was given."""
        watts, idle = self.options.get("power_w"), self.options.get("idle_w", 0.0)
        return None if watts is None else (idle * self.now + (watts - idle) * self.at_work) / 1e9

    def _spend(self, nanoseconds):
        self.now += nanoseconds
        self.at_work += nanoseconds
        end = 0 if self.virtual else time.perf_counter_ns() + nanoseconds
        while time.perf_counter_ns() < end:
            pass

    def prefill(self):
        self._forward(self.cell.prompt_tokens * self.cell.batch)
        self._last = [[self._next(row)] for row in self.ids]
        return self.cell.prompt_tokens * self.cell.batch

    def decode(self):
        return self._steps(self.cell.new_tokens)

    def e2e(self):
        self._forward(self.cell.prompt_tokens * self.cell.batch)
        self.marks.append(self.clock())
        return self._steps(self.cell.new_tokens - 1) + self.cell.batch

    def generate(self):
        for step in range(self.cell.new_tokens):
            self._forward((self.cell.prompt_tokens + step) * self.cell.batch)
        self._last = [self._row(row, self.cell.new_tokens) for row in self.ids]
        return self.cell.new_tokens * self.cell.batch

    def _steps(self, steps):
        for _ in range(steps):
            self._forward(self.cell.batch)
            self.marks.append(self.clock())
        self._last = [self._row(row, self.cell.new_tokens) for row in self.ids]
        return steps * self.cell.batch

    def _next(self, row):
        return sum(row[-8:]) % VOCABULARY

    def _row(self, row, count):
        row, made = list(row), []
        for _ in range(count):
            made.append(self._next(row))
            row.append(made[-1])
        return made

    def settle(self):
        pass

    def output(self):
        return self._last

    def forced(self, ids, prompt):
        return {"top1": [self._next(ids[:n]) for n in range(prompt, len(ids) + 1)]}

    def evidence(self):
        return {"engine": "fake", "dtype": self.cell.dtype, "device": self.cell.device, "parameters": self.parameters}

    def close(self):
        pass


def parameters(cell):
    """The parameter count that the cell's model name says: gpt2-5m, fake-1.5b; else what its source declares."""
    declared = (cell.source or {}).get("params")
    size = re.search(r"([\d.]+)([kmb])\b", cell.model.lower())
    return int(declared or (float(size[1]) * _SIZES[size[2]] if size else 1_000_000))
