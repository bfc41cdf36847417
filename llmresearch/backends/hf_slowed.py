"""`hf` with a known slow-down: after each call it spins for a share of the call's own time. It proves the method."""

import time

from .hf import Hf


class HfSlowed(Hf):
    """transformers, slower by the option `slowdown` (0.05 for 5 %), within the clock."""

    name = "hf-slowed"
    options = (*Hf.options, "slowdown")

    def start(self, cell, ids):
        super().start(cell, ids)
        self.share = cell.options.get("slowdown", 0.0)

    def prefill(self):
        return self._slowed(super().prefill)

    def decode(self):
        return self._slowed(super().decode)

    def e2e(self):
        return self._slowed(super().e2e)

    def _slowed(self, call):
        start = time.perf_counter_ns()
        result = call()
        self.settle()
        now = time.perf_counter_ns()
        end = now + (now - start) * self.share
        while time.perf_counter_ns() < end:
            pass
        return result
