"""transformers through torch.compile: a cache of fixed size, one graph for the prefill and one for a step.

Options of a cell, for ablations (defaults first):

    mode        default on the CPU, reduce-overhead on CUDA; also max-autotune, max-autotune-no-cudagraphs
    cudagraphs  as the mode says; true or false overrides it
    dynamic     prompt: only the prompt's length is a symbol, from the first time on; false: every length is
                compiled anew; auto: static first, symbolic from the second length on; true: every dimension a
                symbol
    padding     1: the prompt as it is; N: padded on the right to a multiple of N (causal: the pads change no result)
    fullgraph   false; true: a graph break or a recompile limit is an error
    capacity    tokens that the cache holds; at least the request, by default the next power of two from 128 on
    caches      true; false: compiled kernels are neither read from the disk nor kept there: a cold start
    attention   sdpa

Compiling is lazy, as for every user of torch.compile: the first call of a phase pays it. torch keeps compiled
kernels on disk between processes; `evidence` counts hits and misses, and says whether they were on at all:
TORCHINDUCTOR_FORCE_DISABLE_CACHES=1 turns them off for every cell.
"""

import os
import shutil
from importlib.util import find_spec
from types import FunctionType

from ..records import LlmResearchError
from .compile_ledger import CompileLedger
from .hf import Hf

MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")
DYNAMIC = ("prompt", "auto", True, False)
LEAST_CAPACITY = 128


class NothingCompiled(LlmResearchError):
    """A cell that is called compiled, and ran no compiled graph."""


def _at_once(name, cell):
    if cell.concurrency != 1:
        return f"{name}: a compiled graph belongs to the thread that made it; {cell.concurrency} at once need a server."
    return None


class HfCompile(Hf):
    """One loaded model and its compiled graphs, a set for each batch size and cache capacity."""

    name = "hf-compile"
    mode_without_gradients = "no_grad"  # what compiled graphs of torch expect; they pay nothing for it
    options = ("attention", "mode", "cudagraphs", "dynamic", "padding", "fullgraph", "capacity", "caches")

    def refuses(self, cell):
        """A sentence that says why this machine cannot do what the cell asks, or None."""
        return (
            super().refuses(cell)
            or _at_once(self.name, cell)
            or _wrong_option(self.name, cell.options)
            or _no_compiler(self.name, cell.device)
        )

    def load(self, cell, folder):
        """Untimed: the model as for `hf`; compiling waits for the first call."""
        super().load(cell, folder)
        from .slot_cache import SlotCache

        self._new_cache = SlotCache
        self.ledger = CompileLedger(self.torch)
        self.mode = cell.options.get("mode") or ("reduce-overhead" if cell.device == "cuda" else "default")
        self.dynamic = cell.options.get("dynamic", "prompt")
        self.padding = cell.options.get("padding") or 1
        self.asked = cell.options
        if cell.options.get("caches") is False:
            self.torch.compiler.config.force_disable_caches = True
        self._sets = {}  # (batch, capacity): a cache and its graphs
        self._ends = {}  # prompt length: where its last token is, on the device

    def start(self, cell, ids):
        """Untimed: take the prompt, and the graphs and the cache for its batch and length."""
        super().start(cell, ids)
        self.padded = -(-self.prompt_tokens // self.padding) * self.padding
        self.padded_tokens = self.padded if self.padding > 1 else None
        self._use(len(ids), max(self.padded, self.prompt_tokens + self.new_tokens))
        self.ledger.begin()

    def _use(self, batch, tokens):
        """Takes the graphs and the cache for this batch that hold `tokens`; makes them where there are none."""
        capacity = self.asked.get("capacity") or _power_of_two(tokens)
        if capacity < tokens:
            raise LlmResearchError(
                f"{self.name}: capacity {capacity} is less than the {tokens} tokens asked. Raise it."
            )
        if (batch, capacity) not in self._sets:
            self._sets[batch, capacity] = self._make(batch, capacity)
        self.cache, self._run_prefill, self._run_step, self._run_whole = self._sets[batch, capacity]

    def _make(self, batch, capacity):
        layers = self.model.config.get_text_config().num_hidden_layers
        cache = self._new_cache(layers, capacity, self.device)
        with self.no_gradients():  # allocates outside of any graph: only so are the layers' addresses static
            one = self.torch.zeros((batch, 1), dtype=self.torch.long, device=self.device)
            self.model(input_ids=one, past_key_values=cache, use_cache=True, logits_to_keep=1)
        model, label = self.model, f"{batch}x{capacity}"
        return (
            cache,
            self._compiled(_prefill_of(model, cache), f"prefill_{label}"),
            self._compiled(_step_of(model, cache), f"step_{label}"),
            self._compiled(_whole_of(model), f"whole_{label}", cudagraphs=False),
        )

    def _compiled(self, function, label, cudagraphs=None):
        """The function under torch.compile, with code of its own: torch counts recompiles by code object.

        The uncached forward gets no CUDA graphs unless asked for: each length would be recorded, with all its
        logits.
        """
        code = function.__code__.replace(co_name=label)
        own = FunctionType(code, function.__globals__, label, function.__defaults__, function.__closure__)
        options = dict(self.torch._inductor.list_mode_options(self.mode))
        wanted = self.asked.get("cudagraphs", cudagraphs)
        if wanted is not None:
            options["triton.cudagraphs"] = wanted
        dynamic = self.dynamic if isinstance(self.dynamic, bool) else None
        return self.torch.compile(
            own, options=options, dynamic=dynamic, fullgraph=bool(self.asked.get("fullgraph"))
        )

    def _padded(self, prompt):
        """(ids [batch, padded], last [1]): the prompt with zeros on the right, and where its last token is."""
        length = prompt.shape[1]
        if length not in self._ends:
            self._ends[length] = self.torch.tensor([length - 1], device=self.device)
        missing = self.padded - length
        ids = self.torch.nn.functional.pad(prompt, (0, missing)) if missing else prompt
        return ids, self._ends[length]

    def _prefill(self, prompt):
        """(next id [batch, 1], its logits [batch, vocab]); the fixed cache then holds exactly the prompt."""
        ids, last = self._padded(prompt)
        ids = ids.to(self.device)
        self._mark_length(ids)
        self.cache.slots.empty = True
        self._next_graph()
        return self._own(self._run_prefill(ids, last))

    def _step(self, ids):
        """(next id [batch, 1], its logits [batch, vocab]); the fixed cache grows by one."""
        self.cache.slots.empty = False
        self._next_graph()
        return self._own(self._run_step(ids))

    def _logits(self, ids):
        self._mark_length(ids)
        self._next_graph()
        return self._run_whole(ids)

    def _mark_length(self, ids):
        if self.dynamic == "prompt":
            self.torch._dynamo.maybe_mark_dynamic(ids, 1)

    def _own(self, found):
        """The id copied out of the graph's memory, which its next replay overwrites; the logits stay in it."""
        token, logits = found
        return token.clone(), logits

    def _next_graph(self):
        """Tells CUDA graphs that what the last replay gave is no longer needed."""
        if self._events:
            self.torch.compiler.cudagraph_mark_step_begin()

    def _to_prompt(self):
        """The first id, on the host, with the cache set back to the prompt: later slots are overwritten in order."""
        if self._after_prompt is None:
            self._after_prompt = self._prefill(self.prompt)[0].cpu()
        self.cache.slots.length.fill_(self.prompt_tokens)
        return self._after_prompt

    def forced(self, ids, prompt):
        """As for `hf`, through the very graphs that are timed: a prefill has the shape of the cell's own prompt.

        A shorter prefill is padded to it, a longer one goes on in single steps: checking compiles nothing new.
        """
        mine = self.cache, self._run_prefill, self._run_step, self._run_whole
        if len(ids) > self.cache.capacity:
            self._use(self.batch, len(ids))
        first = min(prompt, self.prompt_tokens)
        found = super().forced(ids, first)
        self.cache, self._run_prefill, self._run_step, self._run_whole = mine
        return {key: values[prompt - first :] for key, values in found.items()}

    def evidence(self):
        """As for `hf`, and what torch.compile did; raises NothingCompiled where it did nothing."""
        compiled = self.ledger.read(self.device)
        if not compiled["graphs"]:
            raise NothingCompiled(
                f"{self.name}: nothing was compiled ({compiled['frames_tried']} frames tried), so this is {Hf.name}. "
                "Unset TORCHDYNAMO_DISABLE and TORCH_COMPILE_DISABLE, or measure hf."
            )
        asked = {
            "mode": self.mode,
            "cudagraphs": self.asked.get("cudagraphs"),
            "dynamic": self.dynamic,
            "padding": self.padding,
            "capacity": self.cache.capacity,
            "caches": not self.torch.compiler.config.force_disable_caches,
        }
        return super().evidence() | {"compile": asked | compiled}

    def close(self):
        """Lets go of the model, its graphs and its caches."""
        self._sets = {}
        self._run_prefill = self._run_step = self._run_whole = None
        self.torch._dynamo.reset()
        self.ledger.close()
        super().close()


def _prefill_of(model, cache):
    def prefill(ids, last):
        logits = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=last).logits[
            :, -1
        ]
        cache.slots.length.copy_(last[0] + 1)
        return logits.argmax(-1, keepdim=True), logits

    return prefill


def _step_of(model, cache):
    def step(ids):
        logits = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1]
        cache.slots.length.add_(1)
        return logits.argmax(-1, keepdim=True), logits

    return step


def _whole_of(model):
    def whole(ids):
        return model(input_ids=ids, use_cache=False).logits

    return whole


def _power_of_two(tokens):
    return max(LEAST_CAPACITY, 1 << (tokens - 1).bit_length())


def _wrong_option(name, options):
    """The sentence about the first option whose value means nothing, or None."""
    for key, known in (
        ("mode", MODES),
        ("dynamic", DYNAMIC),
        ("cudagraphs", (True, False)),
        ("fullgraph", (True, False)),
        ("caches", (True, False)),
    ):
        value = options.get(key)
        if value is not None and not any(value is k or value == k and isinstance(k, str) for k in known):
            return f"{name}: {key}: {value!r} is none of {', '.join(map(str, known))}."
    for key in ("padding", "capacity"):
        value = options.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            return f"{name}: {key}: {value!r} is not a whole number from 1 up."
    return None


def _no_compiler(name, device):
    """The sentence about what inductor lacks here to make kernels, or None."""
    if device == "cuda":
        return (
            None
            if find_spec("triton")
            else f"{name}: needs triton on CUDA, not installed here: pip install triton."
        )
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) or shutil.which("clang++"):
        return None
    return f"{name}: needs a C++ compiler on the CPU, and {compiler} is not here: install g++, or measure hf."
