"""A worker process as its parent sees it: started with a plan, listened to, ended with everything it started."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import timing
from .matrix import as_json
from .records import LlmResearchError
from .worker import failure


class WorkerNotStarted(LlmResearchError):
    """An interpreter that is not there."""


class WorkerProcess:
    """The process that measures one group of cells; `results()` yields what became of each.

    `cells` are (cell, ids, forced ids, windows to score); `folder` is the model's.
    """

    def __init__(self, cells, folder):
        first = cells[0][0]
        self.pending = len(cells)
        self.timeout = first.timeout_s
        self.ready, self.late = False, False
        self.words = tempfile.TemporaryFile()
        self.load_seconds = 0.0
        self.started = time.monotonic()
        self.process = _spawn(first, self.words)
        names = ("ids", "forced", "scored")
        work = [{"cell": as_json(cell)} | dict(zip(names, rest)) for cell, *rest in cells]
        self._send({"folder": folder and str(folder), "cells": work})

    def _send(self, work):
        try:
            with self.process.stdin as stream:
                stream.write(json.dumps(work).encode())
        except BrokenPipeError:
            return  # it died at once: reading its pipe will say so

    def results(self):
        """Yield (calls, found) per cell, in order; after one that hung or killed its process there are no more.

        A process that never got ready would not do so for its next cell either: all its cells end as the first.
        """
        calls = []
        for message in self.messages():
            if "ready" in message:
                self.ready = True
                self.load_seconds = time.monotonic() - self.started
            calls += message.get("calls", ())
            if "cell" in message:
                self.pending -= 1
                yield calls, message["cell"]
                calls = []
        if self.pending:
            found = self._epitaph()
            for _ in range(1 if self.ready else self.pending):
                yield calls, found

    def messages(self):
        """Yield each message of the worker, until it has none left or is late; the parent sleeps in between."""
        channel, buffered = self.process.stdout.fileno(), b""
        deadline = time.monotonic() + self.timeout
        while self.pending:
            ready, _, _ = select.select([channel], [], [], max(deadline - time.monotonic(), 0))
            data = os.read(channel, 1 << 20) if ready else b""
            if not data:
                self.late = not ready
                return
            *whole, buffered = (buffered + data).split(b"\n")
            for message in map(json.loads, whole):
                if "cell" in message:
                    deadline = time.monotonic() + self.timeout
                yield message

    def _epitaph(self):
        """The record of a cell that did not finish: was it late, or how did its process end, and its last words."""
        status, reason = "timeout", f"timed out: no result within {self.timeout:g} s (timeout_s); its processes were ended"
        if not self.late:
            code = self.process.wait()
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            status, reason = "failed", f"the worker process ended with {how}: {self._last_words()}"
        return {"status": status, "reason": reason, "failure": failure(reason), "evidence": {}}

    def _last_words(self):
        self.words.seek(0)
        return " | ".join(self.words.read().decode(errors="replace").strip().splitlines()[-5:]) or "it said nothing"

    def end(self):
        """End the worker and everything it started."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process.stdout.close()
        self.words.close()


def _spawn(cell, words):
    python = cell.python or sys.executable
    try:
        return subprocess.Popen(
            [python, "-m", "llmresearch.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words,
            env=environment(cell), start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        words.close()
        raise WorkerNotStarted(
            f"backends: {cell.backend}: {python} could not be started ({error.strerror}). "
            "Give the path of a Python interpreter as `python`, or leave it out."
        ) from error


def environment(cell):
    """The worker's environment: this package importable, as many compute threads as the cell says, and who started it.

    LLMRESEARCH_PYTHON is for what an engine's own environment lacks: exporting a model.
    """
    threads = str(cell.threads or timing.available_cores())
    home = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return os.environ | {"PYTHONPATH": path, "LLMRESEARCH_PYTHON": sys.executable} | dict.fromkeys(names, threads)
