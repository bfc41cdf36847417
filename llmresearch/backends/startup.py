"""What an engine's start-up leaves behind: the memory that NVML saw, and the lines its log says about memory."""

import os
import re
import stat
import threading

from ..telemetry import Telemetry

TELLS = re.compile(
    r"\d\s*(?:GiB|MiB|GB|MB)\b|KV cache size|Maximum concurrency|LLM engine \(v|vLLM (?:API server )?version"
    r"|# (?:GPU|CUDA|CPU) blocks|stand-in|Graph capturing"
)
LONGEST_LINE, MOST_LINES = 1200, 120
_BLOCK = 1 << 16


class Memory:
    """Bytes in use on the first visible GPU: before, at most while the block ran, and after it. None without NVML.

    Another process on the same GPU is counted too: NVML sees the device.
    """

    def __init__(self, device, period_s=0.05):
        self.telemetry, self.period_s = Telemetry(device), period_s
        self.before = self.peak = self.after = None

    def used(self):
        """Bytes in use now, or None."""
        return self.telemetry.gpu and self.telemetry.read().get("gpu_memory_bytes")

    def __enter__(self):
        self.before = self.peak = self.used()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        if self.before is not None:
            self.thread.start()
        return self

    def _watch(self):
        while not self.ended.wait(self.period_s):
            self.peak = max(self.peak, self.used() or 0)

    def __exit__(self, *_):
        self.ended.set()
        if self.before is not None:
            self.thread.join()
        self.after = self.used()

    def facts(self):
        """The readings in bytes."""
        return {"before_bytes": self.before, "peak_bytes": self.peak, "after_bytes": self.after,
                "read_by": "NVML, the whole first GPU" if self.before is not None else None}  # fmt: skip


class Log:
    """What this process and its children write to standard error from now on, where that is a file that can be read."""

    def __init__(self, descriptor=2):
        self.descriptor = descriptor
        found = os.fstat(descriptor)
        self.readable = stat.S_ISREG(found.st_mode)
        self.start = found.st_size

    def text(self):
        """All that was written since; empty where it went to a terminal or a pipe."""
        blocks, place = [], self.start
        while self.readable and (block := os.pread(self.descriptor, _BLOCK, place)):
            blocks.append(block)
            place += len(block)
        return b"".join(blocks).decode(errors="replace")

    def lines(self, rename=("", "")):
        """The lines that tell of memory, versions and settings, list[str], with `rename` = (from, to) done in them."""
        found = [line.strip()[:LONGEST_LINE] for line in self.text().splitlines() if TELLS.search(line)]
        return [line.replace(*rename) if rename[0] else line for line in found][:MOST_LINES]
