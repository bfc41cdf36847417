"""llama.cpp in this process, fed with token ids: F32, F16, BF16, Q8_0 and Q4_K_M files of the same weights.

Phases and outputs are those of `hf.py`. The KV cache is F16 at every precision, llama.cpp's own default: its
flash attention turns any other into F16 (src/llama-graph.cpp), so `kv: f32` switches that off. Rolling the
cache back to the prompt needs every position, so sliding-window layers keep a full-size cache; llama-bench
gives them a small one, which only a prompt longer than the window notices.
"""

import time
from importlib.metadata import version
from importlib.util import find_spec

import numpy as np

from ..records import LlmResearchError
from . import gguf_files, llama_context
from .prompts import batch_of, within

PACKAGE = "llama-cpp-python==0.3.36"
UBATCH = 512  # llama.cpp's own default


class WrongPrecision(LlmResearchError):
    """A file that holds another precision than the cell's name says."""


class LlamaCpp:
    """One loaded model; see the module."""

    name = "llamacpp"
    options = ("kv", "flash_attention", "gpu_layers", "ubatch")
    clock = staticmethod(time.perf_counter_ns)

    def __init__(self):
        self.marks = []
        self.padded_tokens = None
        self.model = self.context = None
        self._made = []

    def refuses(self, cell):
        """A sentence that says why this machine cannot do what the cell asks, or None."""
        unknown = sorted(set(cell.options) - set(self.options))
        if unknown:
            return f"llamacpp: unknown option {unknown[0]!r}. Known options: {', '.join(self.options)}."
        if cell.dtype not in gguf_files.PRECISIONS:
            return (
                f"llamacpp: measures {', '.join(gguf_files.PRECISIONS)}, not {cell.dtype}. Use q8_0, or "
                "another engine."
            )
        for key, known in (("kv", llama_context.KV_TYPES), ("flash_attention", llama_context.ATTENTION)):
            if cell.options.get(key, next(iter(known))) not in known:
                return f"llamacpp: {key}: {cell.options[key]!r} is none of {', '.join(known)}."
        if find_spec("llama_cpp") is None:
            return (
                f"llamacpp: needs llama-cpp-python, not installed here: pip install '{PACKAGE}' (compiles "
                "for minutes)."
            )
        if cell.device == "cuda" and not llama_context.library().llama_supports_gpu_offload():
            return (
                "llamacpp: needs a CUDA device and a build for it: CMAKE_ARGS=-DGGML_CUDA=on pip install "
                + PACKAGE
                + "."
            )
        return None

    def load(self, cell, folder):
        """Untimed: the GGUF file of the cell's precision, made where the cache does not have it."""
        self.path, self.made_from = gguf_files.file_for(cell, folder, llama_context.quantise)
        self.file = gguf_files.describe(self.path)
        self.dtype = _precision(self.file, cell)
        layers = cell.options.get("gpu_layers", -1) if cell.device == "cuda" else 0
        self.device = cell.device if layers else "cpu"
        self.model = llama_context.Model(self.path, layers, cell.threads)
        self.kv = cell.options.get("kv", "f16")
        self.attention = cell.options.get("flash_attention", "off" if self.kv == "f32" else "auto")
        self.ubatch = cell.options.get("ubatch", UBATCH)

    def start(self, cell, ids):
        """Untimed: take the prompt, ids[batch][token], for the calls that follow."""
        self.batch, self.prompt_tokens = batch_of(self.name, ids, self.model.vocabulary)
        self.rows, self.new_tokens = ids, cell.new_tokens
        self._room(self.batch, self.prompt_tokens + cell.new_tokens + 1)

    def _room(self, sequences, length):
        """A context for that many tokens in each sequence; the one that is there where it will do."""
        within(self.name, length - 1, self.model.positions)
        self._first = None
        have = self.context
        if have and have.sequences == sequences and have.length >= length:
            return
        if have:
            have.close()
        self.context = llama_context.Context(
            self.model, sequences, length, self.kv, self.attention, self.ubatch
        )

    def prepare(self, phase):
        """Untimed: an empty cache; before `decode` exactly the prompt in it, and its next id known."""
        if phase != "decode":
            self._empty(self.rows)
            return
        if self._first is None:
            self._empty(self.rows)
            self._first = self._prefill()
        self.context.keep(self.prompt_tokens)

    def _empty(self, rows):
        """An empty cache, and the ids ready on the host."""
        self.context.clear()
        self._first = None
        self._last = self.context.prompt.fill(rows, 0, len(rows[0]) - 1)
        self.context.step.fill([[0]] * len(rows), 0, 0)

    def _prefill(self):
        self.context.run(self.context.prompt)
        return self.context.argmax(self._last)

    def prefill(self):
        """Timed: one forward over the prompt; gives tokens handled."""
        self._made = [self._prefill()]
        return self.batch * self.prompt_tokens

    def decode(self):
        """Timed: new_tokens cached steps after the prompt; gives tokens made."""
        self._made = []
        self._steps(self._first, self.new_tokens)
        return self.batch * self.new_tokens

    def e2e(self):
        """Timed: from the prompt to new_tokens ids, cached; gives tokens made."""
        self._made = [self._prefill()]
        self.marks.append(self.clock())
        self._steps(self._made[0], self.new_tokens - 1)
        return self.batch * self.new_tokens

    def generate(self):
        """Timed: new_tokens ids without a cache, the whole prefix again for each; gives tokens made."""
        self._made, rows = [], [list(row) for row in self.rows]
        for _ in range(self.new_tokens):
            self.context.clear()
            self._last = self.context.prompt.fill(rows, 0, len(rows[0]) - 1)
            self._made.append(self._prefill())
            self.marks.append(self.clock())
            rows = [row + [made] for row, made in zip(rows, self._made[-1])]
        return self.batch * self.new_tokens

    def _steps(self, tokens, count):
        context, batch, rows = self.context, self.context.step, range(self.batch)
        for place in range(self.prompt_tokens, self.prompt_tokens + count):
            batch.put(tokens, place)
            context.run(batch)
            tokens = context.argmax(rows)
            self._made.append(tokens)
            self.marks.append(self.clock())

    def settle(self):
        """Nothing to wait for: every call ends with its ids on the host."""

    def output(self):
        """The ids of the last call, ids[batch][token]."""
        return [list(row) for row in zip(*self._made)]

    def forced(self, ids, prompt):
        """{"top1", "nll"} along given ids, as `hf.Hf.forced`; every row of the batch gets the same ids."""
        self._room(self.batch, len(ids) + 1)
        context, batch = self.context, self.context.step
        self._empty([ids[:prompt]] * self.batch)
        context.run(context.prompt)
        row, top1, nll = self._last[0], [], []
        for place in range(prompt, len(ids)):
            top1.append(int(context.logits(row).argmax()))
            nll.append(_surprise(context.logits(row), ids[place]))
            batch.put([ids[place]] * self.batch, place)
            context.run(batch)
            row = 0
        top1.append(int(context.logits(row).argmax()))
        return {"top1": top1, "nll": nll}

    def score(self, ids, first=1):
        """(sum of -log p in nats, tokens) over ids[first:], each given all that stands before it."""
        if not 1 <= first < len(ids):
            raise ValueError(
                f"first: {first} is outside 1 … {len(ids) - 1}, the tokens of the window that have a past."
            )
        self._room(1, len(ids) + 1)
        self._made, total = [], 0.0
        self.context.clear()
        for start in range(0, len(ids) - 1, llama_context.OUTPUTS):
            block = ids[start : min(start + llama_context.OUTPUTS, len(ids) - 1)]
            wanted = max(first - 1 - start, 0)
            self.context.prompt.fill([block], start, wanted)
            self.context.run(self.context.prompt)
            for place in range(wanted, len(block)):
                total += _surprise(self.context.logits(place), ids[start + place + 1])
        return total, len(ids) - first

    def evidence(self):
        """What really ran, read back from the library and the file."""
        return (
            {
                "engine": "llama.cpp",
                "llama_cpp_python": version("llama_cpp_python"),
                "dtype": self.dtype,
                "device": self.device,
                "file": self.path.name,
                "file_sha256": self.file.content_sha256,
                "file_bytes": self.file.bytes,
                "made_from": self.made_from,
                "sampled": gguf_files.sampled(self.path) if self.made_from else None,
                "weights": self.file.dtypes,
                "layers_on_gpu": self._on_gpu(),
            }
            | self.model.facts()
            | self.context.facts()
        )

    def _on_gpu(self):
        found = [line for line in llama_context.logged() if "layers to GPU" in line]
        return found[-1].split(":", 1)[1].strip() if found else None

    def close(self):
        """Lets go of the model."""
        if self.context:
            self.context.close()
        if self.model:
            self.model.close()
        self.context = self.model = None


def _surprise(logits, token):
    """-log p of `token`, in nats, from one row of logits; float64 inside."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max()
    return float(np.log(np.exp(shifted).sum()) - shifted[token])


def _precision(file, cell):
    """The cell's dtype where the file holds it: its own word for itself, and its bits per weight."""
    label, _ = gguf_files.PRECISIONS[cell.dtype]
    bits = 8 * file.bytes / file.params_measured
    most = {"F32": 33, "F16": 17, "BF16": 17, "Q8_0": 9.5, "Q4_K_M": 8.4}[label]
    if file.quantisation != label or (bits > most and file.params_measured > 1e7):
        raise WrongPrecision(
            f"llamacpp: {file.path} holds {file.quantisation} at {bits:.2f} bits a weight; {cell.dtype} "
            f"means {label} at "
            f"{most:g} at most. Name the right file, or the dtype that it holds."
        )
    return cell.dtype
