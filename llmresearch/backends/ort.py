"""ONNX Runtime with I/O binding: the KV cache is written in place, and a decode step feeds the next one.

The phases are those of hf.py. All memory is allocated when a cell starts. The cache's inputs and outputs are
bound to one buffer; next_ids and next_positions are bound to the memory of input_ids and position_ids
(export/decoder.py says why that is sound). So a step is one call of the session, and one read of an id.
"""

import time

import numpy as np

from ..export import Variant, artifact, facts
from ..export.forms import EMPTY
from . import ort_session
from .prompts import batch_of, within

SCORED_AT_ONCE = 128  # rows of logits turned into log-probabilities together; bounds memory
ROOM = 64  # slots at least, so that a short cell's forced tokens fit as well


class Ort:
    """One session of ONNX Runtime; the phases of hf.py's words."""

    name = "ort"
    options = ("method", "onnx", "cuda_graph")  # keys of a cell's options that this backend understands
    clock = staticmethod(time.perf_counter_ns)

    def __init__(self):
        self.marks = []
        self.padded_tokens = None
        self.session = None
        self._made = []

    def refuses(self, cell):
        """A sentence that says why this machine cannot do what the cell asks, or None."""
        return ort_session.refusal(cell, self.name, self.options)

    @classmethod
    def artifact(cls, cell, folder):
        """Path of the ONNX file that `load` will use, exported if it is not in the cache yet."""
        return cell.options.get("onnx") or artifact(folder, variant(cell))

    def load(self, cell, folder):
        """Untimed: the session over the exported model; the one before it is let go of first."""
        self.close()
        self.path = self.artifact(cell, folder)
        self.facts = facts(self.path)
        ort_session.same_model(self.path, self.facts, folder)
        ort_session.as_asked(self.path, self.facts, cell)
        self.session, self.run_options = ort_session.opened(self.path, cell)
        self.device = cell.device
        self.cell, self.buffers, self._kernels = cell, None, None

    def start(self, cell, ids):
        """Untimed: take the prompt, ids[batch][token], and allocate all memory for the calls that follow."""
        self.batch, self.prompt_tokens = batch_of(self.name, ids, self.facts["vocab"])
        self.prompt, self.new_tokens = np.array(ids, np.int32), cell.new_tokens
        self._room(self.prompt, self.new_tokens)
        self._after_prompt = None

    def _room(self, ids, more=0):
        """Memory for `ids` [batch, token] and as many tokens after them, or a refusal of what the model cannot take."""
        batch_of(self.name, ids.tolist(), self.facts["vocab"])
        within(self.name, ids.shape[1] + more, self.facts["positions"] if self.facts["learned_positions"] else EMPTY)
        self._reserve(max(ids.shape[1] + more, self.prompt_tokens + self.new_tokens, ROOM))

    def _reserve(self, tokens):
        """Buffers for a batch of `tokens`; those that are there already are kept where they are as large."""
        wanted = (self.batch, tokens)
        if self.buffers is None or (self.buffers.batch, self.buffers.slots) != wanted:
            self.buffers = ort_session.Buffers(self.session, self.facts, self.device, *wanted)
            self.step = self.buffers.binding(1, 1, step=True)
            self.whole = {}
            self._capture()

    def _capture(self):
        """Records the step as a CUDA graph where the session was opened for it; a recording runs the step, so it comes first."""
        if self.run_options["step"]:
            self.run_options["step"].add_run_config_entry("gpu_graph_id", str(self.buffers.graph_id))
            for _ in range(3):
                self._restart(np.zeros((self.batch, 1), np.int32), 0)
                self.session.run_with_iobinding(self.step.io, self.run_options["step"])

    def _whole(self, tokens, rows=1, logits=False):
        """The binding for `tokens` at once from an empty cache, kept for the next call."""
        key = (tokens, rows, logits)
        if key not in self.whole:
            self.whole[key] = self.buffers.binding(tokens, rows, logits)
        return self.whole[key]

    def prepare(self, phase):
        """Untimed: before `decode`, the cache holds the prompt; slots after it are out of every query's sight."""
        if phase == "decode" and self._after_prompt is None:
            self._after_prompt = self._prefill(self.prompt)
        if phase != "decode":
            self._whole(self.prompt_tokens)

    def prefill(self):
        """Timed: one forward over the prompt; gives tokens handled."""
        self._made = [self._prefill(self.prompt)]
        return self.batch * self.prompt_tokens

    def decode(self):
        """Timed: new_tokens cached steps after the prompt; gives tokens made."""
        self._made = []
        self._restart(self._after_prompt, self.prompt_tokens)
        self._steps(self.new_tokens)
        return self.batch * self.new_tokens

    def e2e(self):
        """Timed: from the prompt to new_tokens ids, cached; gives tokens made."""
        self._made = [self._prefill(self.prompt)]
        self.marks.append(self.clock())
        self._steps(self.new_tokens - 1)
        return self.batch * self.new_tokens

    def generate(self):
        """Timed: new_tokens ids without a cache, the whole prefix again for each; gives tokens made."""
        ids, self._made = self.prompt, []
        for _ in range(self.new_tokens):
            bound = self._whole(ids.shape[1], ids.shape[1])
            self._run(bound, ids)
            self._made.append(bound.answer.read()[:, -1:].copy())
            ids = np.concatenate([ids, self._made[-1]], axis=1)
            self.marks.append(self.clock())
        self._after_prompt = None
        return self.batch * self.new_tokens

    def _prefill(self, ids):
        """The next id [batch, 1] on the host; the step's own inputs then hold it and its position."""
        self._run(self._whole(ids.shape[1]), ids)
        return self.buffers.ids.read().copy()

    def _run(self, bound, ids):
        bound.ids.write(ids)
        self.session.run_with_iobinding(bound.io, self.run_options["whole"])

    def _restart(self, ids, position):
        self.buffers.ids.write(ids)
        self.buffers.positions.write(np.full((self.batch, 1), position, np.int32))

    def _steps(self, count):
        run, io, options = self.session.run_with_iobinding, self.step.io, self.run_options["step"]
        read, made, marks, clock = self.buffers.ids.read, self._made, self.marks, self.clock
        for _ in range(count):
            run(io, options)
            made.append(read().copy())
            marks.append(clock())

    def settle(self):
        """Waits until the device is idle."""
        if self.device == "cuda":
            self.step.io.synchronize_outputs()

    def output(self):
        """The ids of the last call, ids[batch][token]."""
        return np.concatenate(self._made, axis=1).tolist() if self._made else []

    def forced(self, ids, prompt):
        """{"top1", "nll"} along given ids: the first `prompt` by prefill, the others one cached step each.

        top1: the argmax after the prefill and after each forced token, len(ids) - prompt + 1 of them. nll:
        minus the log probability of each forced token, in nats. Every row of the batch gets the same ids; the
        first row answers.
        """
        rows = np.array([ids] * self.batch, np.int32)
        self._room(rows)
        first, step = self._whole(prompt, 1, logits=True), self.buffers.binding(1, 1, logits=True, step=True)
        self._run(first, rows[:, :prompt])
        top1, nll, bound = [int(self.buffers.ids.read()[0, 0])], [], first
        for place in range(prompt, len(ids)):
            nll.append(_surprise(bound.logits.read()[0, -1:], ids[place : place + 1]))
            self._restart(rows[:, place : place + 1], place)
            self.session.run_with_iobinding(step.io, self.run_options["whole"])
            top1.append(int(self.buffers.ids.read()[0, 0]))
            bound = step
        self._after_prompt = None
        return {"top1": top1, "nll": nll}

    def score(self, ids, first=1):
        """(sum of -log p in nats, tokens) over ids[first:], given all that stands before each in the window."""
        if not 1 <= first < len(ids):
            raise ValueError(
                f"first: {first} is outside 1 … {len(ids) - 1}, the tokens of the window that have a past."
            )
        rows = np.array([ids] * self.batch, np.int32)
        self._room(rows)
        total = 0.0
        for start in range(0, len(ids) - 1, SCORED_AT_ONCE):
            part = rows[:, start : min(start + SCORED_AT_ONCE, len(ids) - 1)]
            bound = self._whole(part.shape[1], part.shape[1], logits=True)
            bound.places.write(
                np.tile(np.arange(start, start + part.shape[1], dtype=np.int32), (self.batch, 1))
            )
            self._run(bound, part)
            skip = max(first - 1 - start, 0)
            wanted = ids[start + 1 + skip : start + 1 + part.shape[1]]
            total += _surprise(bound.logits.read()[0, skip:], wanted) if wanted else 0.0
        self.whole, self._after_prompt = {}, None
        return total, len(ids) - first

    def evidence(self):
        """What really ran, read back from the session and from a profile of one more run."""
        if self._kernels is None:
            self._kernels = ort_session.kernels(self.path, self.cell, self.facts)
        return ort_session.evidence(
            self.session, self.path, self.facts, self._kernels, self.cell, self.buffers
        )

    def close(self):
        """Lets go of the session and of all memory."""
        self.session = self.buffers = self.step = None
        self.whole, self._after_prompt = {}, None


def variant(cell):
    """The export that a cell means."""
    method = cell.options.get("method", "blocks") if cell.dtype == "int8" else None
    return Variant(dtype=cell.dtype, method=method, seed=cell.seed if method == "static" else None)


def _surprise(logits, wanted):
    """Σ -log softmax(logits)[wanted] in nats, in double precision."""
    rows = logits.astype(np.float64)
    top = rows.max(-1, keepdims=True)
    whole = top[:, 0] + np.log(np.exp(rows - top).sum(-1))
    return float((whole - rows[np.arange(len(rows)), wanted]).sum())
