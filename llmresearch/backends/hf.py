"""transformers in eager mode with its own KV cache: the reference that every other engine is compared with.

What a phase is, here and in every backend of this family:

    prefill   prompt ids on the host → id 1 on the host
    decode    from a cache that holds exactly the prompt, and id 1: ids 2 … new_tokens + 1, one cached step each
    e2e       ids 1 … new_tokens: one prefill and new_tokens - 1 steps; the first mark is the time to the first token
    generate  ids 1 … new_tokens without a cache, all logits each time, as the earlier studies ran it

Every id goes to the host before the next step starts, as in a server that streams. There is little Python
around `model.forward`; `generate()` of transformers is not used, because its own logic costs more than a
small model.
"""

import copy
import json
import time
from importlib.util import find_spec
from pathlib import Path

from .prompts import batch_of, within

DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
ATTENTION = ("sdpa", "eager", "flash_attention_2")
SCORED_AT_ONCE = 128  # rows of logits turned into log-probabilities together: large vocabularies need memory


class Hf:
    """One loaded model; the phases of the module's words."""

    name = "hf"
    options = ("attention",)  # keys of a cell's options that this backend understands
    mode_without_gradients = "inference_mode"  # 6 % less per step of gpt2-5m than no_grad, and the same ids
    clock = staticmethod(time.perf_counter_ns)
    device_start = None  # on CUDA: arms a pair of events, set by `load`

    def __init__(self):
        self.marks = []
        self.padded_tokens = None
        self._made = []
        self._events = None
        self._armed = False

    def refuses(self, cell):
        """A sentence that says why this machine cannot do what the cell asks, or None."""
        unknown = sorted(set(cell.options) - set(self.options))
        if unknown:
            return f"{self.name}: unknown option {unknown[0]!r}. Known options: {', '.join(self.options)}."
        if cell.dtype not in DTYPES:
            return f"{self.name}: measures {', '.join(DTYPES)}, not {cell.dtype}. Use an engine with such kernels."
        if cell.options.get("attention", "sdpa") not in ATTENTION:
            return f"{self.name}: attention: {cell.options['attention']!r} is none of {', '.join(ATTENTION)}."
        missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
        if missing:
            return f"{self.name}: needs {' and '.join(missing)}, not installed here: pip install llmresearch."
        return self._refuses_device(cell)

    def _refuses_device(self, cell):
        import torch

        if cell.device == "cuda" and not torch.cuda.is_available():
            return f"{self.name}: needs a CUDA device; this machine has none, or this torch was built without CUDA."
        if cell.device == "cuda" and cell.dtype == "bf16" and not torch.cuda.is_bf16_supported():
            return f"{self.name}: this GPU has no bf16. Use fp16 or fp32."
        return None

    def load(self, cell, folder):
        """Untimed: the model from its local folder, in the cell's precision, on its device, without dropout."""
        import torch
        import transformers

        transformers.utils.logging.disable_progress_bar()
        self.torch, self.transformers = torch, transformers
        self.no_gradients = getattr(torch, self.mode_without_gradients)
        self.device = torch.device(cell.device)
        self.model = transformers.AutoModelForCausalLM.from_pretrained(
            str(folder), dtype=getattr(torch, DTYPES[cell.dtype]), local_files_only=True, use_safetensors=True,
            attn_implementation=cell.options.get("attention", "sdpa"),
            trust_remote_code=bool((cell.source or {}).get("trust_remote_code", False)),
        )  # fmt: skip
        self.model.to(self.device).eval().requires_grad_(False)
        self.positions, self.vocab = _positions(folder), len(self.model.get_input_embeddings().weight)
        if cell.device == "cuda":
            self._events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
            self.device_start = self._arm

    def start(self, cell, ids):
        """Untimed: take the prompt, ids[batch][token], for the calls that follow."""
        self.batch, self.prompt_tokens = batch_of(self.name, ids, self.vocab)
        self.new_tokens = cell.new_tokens
        self._check_length(self.prompt_tokens + self.new_tokens)
        self.prompt = self.torch.tensor(ids, dtype=self.torch.long)
        self.cache, self._after_prompt = None, None

    def _check_length(self, tokens):
        within(self.name, tokens, self.positions)

    def prepare(self, phase):
        """Untimed: before `decode`, the cache holds exactly the prompt and the first id is known."""
        if phase == "decode":
            with self.no_gradients():
                self._first = self._to_prompt()

    def prefill(self):
        """Timed: one forward over the prompt; gives tokens handled."""
        self._device_begin()
        with self.no_gradients():
            token, _ = self._prefill(self.prompt)
            self._device_end()
            self._made = [token.tolist()]
        return self.batch * self.prompt_tokens

    def decode(self):
        """Timed: new_tokens cached steps from the cache of `prepare`; gives tokens made."""
        self._made = []
        self._device_begin()
        with self.no_gradients():
            self._steps(self._first.to(self.device), self.new_tokens)
            self._device_end()
        return self.batch * self.new_tokens

    def e2e(self):
        """Timed: from the prompt to new_tokens ids, cached; gives tokens made."""
        self._device_begin()
        with self.no_gradients():
            token, _ = self._prefill(self.prompt)
            self._made = [token.tolist()]
            self.marks.append(self.clock())
            self._steps(token, self.new_tokens - 1)
            self._device_end()
        return self.batch * self.new_tokens

    def generate(self):
        """Timed: new_tokens ids without a cache, the whole prefix again for each; gives tokens made."""
        self._made = []
        self._device_begin()
        with self.no_gradients():
            ids = self.prompt.to(self.device)
            for _ in range(self.new_tokens):
                token = self._logits(ids)[:, -1].argmax(-1, keepdim=True)
                ids = self.torch.cat([ids, token], dim=1)
                self._made.append(token.tolist())
                self.marks.append(self.clock())
            self._device_end()
        return self.batch * self.new_tokens

    def _steps(self, token, count):
        for _ in range(count):
            token, _ = self._step(token)
            self._made.append(token.tolist())
            self.marks.append(self.clock())

    def _prefill(self, prompt):
        """(next id [batch, 1], its logits [batch, vocab]) on the device, and a new cache that holds the prompt."""
        self.cache = self.transformers.DynamicCache(config=self.model.config)
        return self._step(prompt.to(self.device))

    def _step(self, ids):
        """(next id [batch, 1], its logits [batch, vocab]) on the device; the cache grows by `ids`."""
        found = self.model(input_ids=ids, past_key_values=self.cache, use_cache=True, logits_to_keep=1)
        logits = found.logits[:, -1]
        return logits.argmax(-1, keepdim=True), logits

    def _logits(self, ids):
        """Logits [batch, token, vocab] of one forward without a cache."""
        return self.model(input_ids=ids, use_cache=False).logits

    def _to_prompt(self):
        """The first id, on the host, with the cache as it was after the prompt.

        A step binds new tensors to a dynamic layer and leaves the old ones as they were, so copies of the
        layers' own references bring back the very state after the prompt, sliding windows included. Other
        kinds of layer may write in place: there the prompt is run again.
        """
        if self._after_prompt is None or not _rebinds(self.cache):
            self._after_prompt = (
                self._prefill(self.prompt)[0].cpu(),
                [copy.copy(layer) for layer in self.cache.layers],
            )
        first, layers = self._after_prompt
        self.cache.layers = [copy.copy(layer) for layer in layers]
        return first

    def settle(self):
        """Waits until the device is idle."""
        if self._events:
            self.torch.cuda.synchronize()

    def output(self):
        """The ids of the last call, ids[batch][token]."""
        rows = len(self._made[0]) if self._made else 0
        return [[step[row][0] for step in self._made] for row in range(rows)]

    def forced(self, ids, prompt):
        """{"top1", "nll"} along given ids: the first `prompt` by prefill, the others one cached step each.

        top1: the argmax after the prefill and after each forced token, len(ids) - prompt + 1 of them. nll:
        minus the log probability of each forced token, in nats. Every row of the batch gets the same ids; the
        first row answers.
        """
        self._check_length(len(ids))
        top1, nll = [], []
        with self.no_gradients():
            token, logits = self._prefill(self._rows(ids[:prompt]))
            top1.append(int(token[0, 0]))
            for wanted in ids[prompt:]:
                nll.append(-float(self.torch.log_softmax(logits[0].float(), -1)[wanted]))
                token, logits = self._step(self._rows([wanted]).to(self.device))
                top1.append(int(token[0, 0]))
        self._after_prompt = None
        return {"top1": top1, "nll": nll}

    def _rows(self, ids):
        """The same ids in every row of the batch, a tensor of its own (a slice's strides would be another shape)."""
        return self.torch.tensor([ids] * self.batch, dtype=self.torch.long)

    def score(self, ids, first=1):
        """(sum of -log p in nats, tokens) over ids[first:], given all that stands before each in the window."""
        if not 1 <= first < len(ids):
            raise ValueError(
                f"first: {first} is outside 1 … {len(ids) - 1}, the tokens of the window that have a past."
            )
        self._check_length(len(ids))
        torch, cost = self.torch, self.torch.nn.functional.cross_entropy
        total = 0.0
        with self.no_gradients():
            row = torch.tensor([ids], dtype=torch.long, device=self.device)
            logits = self._logits(row)[0, first - 1 : -1]
            for block, wanted in zip(logits.split(SCORED_AT_ONCE), row[0, first:].split(SCORED_AT_ONCE)):
                total += float(cost(block.float(), wanted, reduction="sum"))
        return total, len(ids) - first

    def evidence(self):
        """What really ran, read back from the model and its engine."""
        torch = self.torch
        weights = {}
        for weight in self.model.parameters():
            key = f"{str(weight.dtype).removeprefix('torch.')} on {weight.device.type}"
            weights[key] = weights.get(key, 0) + weight.numel()
        dtype, device = max(weights, key=weights.get).split(" on ")
        return {
            "engine": "transformers", "transformers": self.transformers.__version__, "torch": torch.__version__,
            "dtype": {v: k for k, v in DTYPES.items()}.get(dtype, dtype), "device": device,
            "device_name": torch.cuda.get_device_name(self.device) if self._events else None,
            "weights": weights, "parameters": sum(weights.values()), "cache": type(self.cache).__name__,
            "attention": self.model.config._attn_implementation, "threads": torch.get_num_threads(),
            "gradients": self.mode_without_gradients, "fp32_precision": torch.get_float32_matmul_precision(),
        }  # fmt: skip

    def close(self):
        """Lets go of the model."""
        self.model = self.cache = self._after_prompt = None
        if self._events:
            self.torch.cuda.empty_cache()

    def _arm(self):
        """Arms the pair of events for the next call; CUDA only."""
        self._armed = True

    def device_seconds(self):
        """Seconds between the call's first and last work on the GPU's own clock; None where there is no GPU."""
        if not self._armed:
            return None
        self._armed = False
        self.torch.cuda.synchronize()
        return self._events[0].elapsed_time(self._events[1]) / 1e3

    def _device_begin(self):
        if self._armed:
            self._events[0].record()

    def _device_end(self):
        if self._armed:
            self._events[1].record()


def _rebinds(cache):
    """Do this cache's layers bind new tensors at every step? True for the two kinds whose code was read."""
    return all(
        type(layer).__name__ in ("DynamicLayer", "DynamicSlidingWindowLayer") for layer in cache.layers
    )


def _positions(folder):
    """Length of a learned table of positions; None for a model that computes them (they degrade, but do not break)."""
    config = json.loads((Path(folder) / "config.json").read_text())
    return config.get("n_positions")
