"""vLLM in this process, fed with token ids: memory profiles on dummy weights, prefill and whole requests.

With `load_format: dummy` a config.json is enough (architectures.py): memory does not depend on the weights' values,
speed hardly does, and the ids mean nothing. A start-up that fails leaves its log and its memory in the record.
The engine is stepped here, as `LLM.generate` does it, so that each token is seen when it is made: `prefill` is a request
for one token, `decode` what follows the first token of a request for `new_tokens + 1`, `e2e` a request for `new_tokens`;
a batch is sent at once. Each step hands over its new ids only: handing over all ids so far would grow with the answer.
The engine runs in this process (VLLM_ENABLE_V1_MULTIPROCESSING=0): in one of its own it runs ahead of who waits for its
ids, and decode would begin before the clock does.
"""

import json
import logging
import os
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from ..records import LlmResearchError
from . import architectures, startup

DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
ARGUMENTS = (
    "load_format", "max_num_seqs", "max_num_batched_tokens", "max_model_len", "gpu_memory_utilization", "quantization",
    "kv_cache_dtype", "enforce_eager", "tensor_parallel_size", "pipeline_parallel_size", "enable_expert_parallel",
    "trust_remote_code",
)  # fmt: skip
PHASES = ("prefill", "decode", "e2e")
# where vLLM's configuration holds what it resolved: (part, attribute)
RESOLVED = {
    "max_model_len": ("model_config", "max_model_len"), "quantization": ("model_config", "quantization"),
    "enforce_eager": ("model_config", "enforce_eager"), "max_num_seqs": ("scheduler_config", "max_num_seqs"),
    "max_num_batched_tokens": ("scheduler_config", "max_num_batched_tokens"),
    "kv_cache_dtype": ("cache_config", "cache_dtype"), "block_size": ("cache_config", "block_size"),
    "gpu_memory_utilization": ("cache_config", "gpu_memory_utilization"),
    "async_scheduling": ("scheduler_config", "async_scheduling"),
    "gpu_blocks": ("cache_config", "num_gpu_blocks"), "prefix_caching": ("cache_config", "enable_prefix_caching"),
    "tensor_parallel_size": ("parallel_config", "tensor_parallel_size"),
    "pipeline_parallel_size": ("parallel_config", "pipeline_parallel_size"),
}  # fmt: skip


class OtherEngine(LlmResearchError):
    """Two cells that share a process and name different engine arguments."""


class Vllm:
    """One loaded engine; see the module."""

    name = "vllm"
    options = ARGUMENTS
    clock = staticmethod(time.perf_counter_ns)

    def __init__(self):
        self.marks = []
        self.engine = None
        self._said = {}
        self._made = {}
        self._asked_so_far = 0

    @staticmethod
    def needs_weights(cell):
        """Does the cell need a model's folder? Not where its weights are dummies."""
        return cell.options.get("load_format") != "dummy"

    def refuses(self, cell):
        """A sentence that says why this machine cannot do what the cell asks, or None."""
        unknown = sorted(set(cell.options) - set(ARGUMENTS))
        if unknown:
            return f"vllm: unknown option {unknown[0]!r}. Known options: {', '.join(ARGUMENTS)}."
        if cell.dtype not in DTYPES:
            return f"vllm: starts in {', '.join(DTYPES)}, not {cell.dtype}. Use the option quantization: fp8, …"
        if cell.concurrency != 1:
            return f"vllm: sends one batch at a time here; for {cell.concurrency} at once serve it, and use openai."
        others = [phase for phase in cell.phases if phase not in PHASES]
        if others:
            return (
                f"vllm: measures {', '.join(PHASES)}, not {others[0]}: it always has a KV cache. "
                f"Leave {others[0]} out of phases."
            )
        if find_spec("vllm") is None:
            return "vllm: needs vllm, not installed here. Give `python: PATH` of an environment that has it."
        return _refuses_devices(cell)

    def load(self, cell, folder=None):
        """Untimed: start the engine; its log and the GPU's memory are kept, also where it does not start."""
        self.close()
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "DEBUG")  # prints every component of the memory profile
        self.asked = cell.options
        self.memory, self.log = startup.Memory(cell.device), startup.Log()
        with self.memory, tempfile.TemporaryDirectory() as place:
            model = self._model(cell, folder, Path(place))
            self._rename = (str(model), cell.model)
            self._start(model, cell)

    def _model(self, cell, folder, place):
        """The folder to start from: the model's own, or one with nothing but its config.json."""
        if folder:
            self._said["config"] = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
            return Path(folder)
        self._said["config"] = architectures.config(cell.source, cell.model)
        self._said["architecture"] = (cell.source or {}).get("like", cell.model)
        (place / "config.json").write_text(json.dumps(self._said["config"]))
        return place

    def _start(self, model, cell):
        began = time.monotonic()
        import vllm
        from vllm.sampling_params import RequestOutputKind

        self.vllm, self._new_ids = vllm, RequestOutputKind.DELTA
        try:
            self.engine = vllm.LLM(
                model=str(model), dtype=DTYPES[cell.dtype], seed=cell.seed, skip_tokenizer_init=True,
                enable_prefix_caching=False, **cell.options,
            )  # fmt: skip
        finally:
            self._said["start_s"] = time.monotonic() - began
            logging.getLogger("vllm").setLevel(logging.INFO)  # what was to be read has been said; no timed step logs more

    def start(self, cell, ids):
        """Untimed: take the prompt, ids[batch][token], for the calls that follow."""
        if cell.options != self.asked:
            raise OtherEngine(
                f"vllm: this process was started with {self.asked}, the cell asks for {cell.options}. Give each set of "
                "options a `label` of its own in backends."
            )
        self.prompts = [{"prompt_token_ids": list(row)} for row in ids]
        self.prompt_tokens, self.new_tokens = sum(map(len, ids)), cell.new_tokens

    def prepare(self, phase):
        """Untimed: before `decode`, requests that have their first token; else nothing, the prefix cache is off.

        Requests of a call that broke are finished first: no other call's time has their work in it.
        """
        while self.engine.llm_engine.has_unfinished_requests():
            self.engine.llm_engine.step()
        if phase == "decode":
            self._ask(self.new_tokens + 1)
            while self._least() < 1:
                self._step()

    def prefill(self):
        """Timed: one request per row for a single token; gives tokens handled."""
        self._ask(1)
        self._finish()
        return self.prompt_tokens

    def decode(self):
        """Timed: from the first token of every row to its last; gives tokens made."""
        before = sum(map(len, self._made.values()))
        self._finish()
        return sum(map(len, self._made.values())) - before

    def e2e(self):
        """Timed: one request per row for new_tokens ids; gives tokens made."""
        self._ask(self.new_tokens)
        self._finish()
        return sum(map(len, self._made.values()))  # fewer than asked where the engine's length ends an answer

    def generate(self):
        """Refused: see `refuses`."""
        raise NotImplementedError("vllm: generate is not implemented: it always has a KV cache.")

    def _ask(self, tokens):
        """Every row's request is handed to the engine, which has not worked on it yet."""
        asked = self._sampling(tokens, output_kind=self._new_ids)
        self._made = {}
        for prompt in self.prompts:
            self._asked_so_far += 1
            self._made[str(self._asked_so_far)] = []
            self.engine.llm_engine.add_request(str(self._asked_so_far), prompt, asked)

    def _sampling(self, tokens, **further):
        """Greedy, to the last of so many tokens, as ids."""
        return self.vllm.SamplingParams(temperature=0.0, max_tokens=tokens, ignore_eos=True, detokenize=False, **further)

    def _finish(self):
        """Steps until every request is through; a mark whenever each row has one token more."""
        while self.engine.llm_engine.has_unfinished_requests():
            before = self._least()
            self._step()
            self.marks += [self.clock()] * (self._least() - before)

    def _step(self):
        for found in self.engine.llm_engine.step():
            self._made[found.request_id] += found.outputs[0].token_ids

    def _least(self):
        return min(map(len, self._made.values()))

    def settle(self):
        """Nothing to wait for: every call ends with its ids on the host."""

    def output(self):
        """The ids of the last call, ids[batch][token]."""
        made = list(self._made.values())
        return [row[1:] for row in made] if made and len(made[0]) > self.new_tokens else made

    def forced(self, ids, prompt):
        """{"top1", "nll"} along given ids, by one prefill: a token cannot be forced into a running request."""
        if self.asked.get("load_format") == "dummy":
            return None
        found = self._logprobs(ids)
        return {"top1": [max(at, key=lambda token: at[token].logprob) for at in found[prompt:]] + self._after,
                "nll": [-at[wanted].logprob for at, wanted in zip(found[prompt:], ids[prompt:])]}  # fmt: skip

    def score(self, ids, first=1):
        """(sum of -log p in nats, tokens) over ids[first:], given all that stands before each in the window."""
        found = self._logprobs(ids)
        return -sum(at[wanted].logprob for at, wanted in zip(found[first:], ids[first:])), len(ids) - first

    def _logprobs(self, ids):
        """Per token of the ids, the engine's {token: log p} of the likeliest one and of the token itself."""
        asked = self._sampling(1, prompt_logprobs=1)
        (found,) = self.engine.generate([{"prompt_token_ids": list(ids)}], asked, use_tqdm=False)
        self._after = list(found.outputs[0].token_ids)
        return found.prompt_logprobs

    def remains(self):
        """What a start-up that failed left behind: the same facts as `evidence`, as far as it came."""
        log = self.log.lines(self._rename) if hasattr(self, "_rename") else []
        return self._said | {
            "engine": "vllm", "version": _version(), "arguments": self.asked, "memory": self.memory.facts(), "log": log,
        }  # fmt: skip

    def evidence(self):
        """What really ran: arguments as vLLM resolved them, its log's lines on memory, NVML before and after."""
        settings = self.engine.llm_engine.vllm_config
        resolved = {key: _plain(_attribute(settings, *path)) for key, path in RESOLVED.items()}
        dtype = str(_attribute(settings, "model_config", "dtype")).removeprefix("torch.")
        names = {long: short for short, long in DTYPES.items()}
        return self.remains() | {
            "dtype": names.get(dtype, dtype), "device": _plain(_attribute(settings, "device_config", "device_type")),
            "resolved": resolved, "gpu_blocks": resolved["gpu_blocks"], "device_name": _device_name(),
            "weights": "dummy" if self.asked.get("load_format") == "dummy" else "the model's own",
            "engine_process": "this one" if os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0" else "its own",
        }  # fmt: skip

    def close(self):
        """Lets go of the engine."""
        self.engine = None


def _refuses_devices(cell):
    """The sentence for GPUs that are not there, or None."""
    if cell.device != "cuda":
        return None
    import torch

    asked = cell.options.get("tensor_parallel_size", 1) * cell.options.get("pipeline_parallel_size", 1)
    here = torch.cuda.device_count()
    if here < asked:
        return f"vllm: needs {asked} CUDA device{'s' * (asked > 1)}; this machine has {here or 'none'}."
    return None


def _attribute(settings, part, name):
    return getattr(getattr(settings, part, None), name, None)


def _plain(value):
    """A value that JSON can hold."""
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)


def _version():
    try:
        return version("vllm")
    except PackageNotFoundError:  # its builds for processors have another name
        return getattr(sys.modules.get("vllm"), "__version__", None)


def _device_name():
    torch = sys.modules.get("torch")  # the engine has it; no import for the name alone
    return torch.cuda.get_device_name(0) if torch and torch.cuda.is_available() else None
