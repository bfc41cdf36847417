"""vLLM in this process, fed with token ids: memory profiles on dummy weights, prefill and whole requests.

With `load_format: dummy` a config.json is enough (architectures.py): memory does not depend on the weights' values,
speed hardly does, and the ids mean nothing. A start-up that fails leaves its log and its memory in the record.
Phases: `prefill` is a request for one token, `e2e` one for `new_tokens`; a batch is sent at once.
"""

import json
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
PHASES = ("prefill", "e2e")
# where vLLM's configuration holds what it resolved: (part, attribute)
RESOLVED = {
    "max_model_len": ("model_config", "max_model_len"), "quantization": ("model_config", "quantization"),
    "enforce_eager": ("model_config", "enforce_eager"), "max_num_seqs": ("scheduler_config", "max_num_seqs"),
    "max_num_batched_tokens": ("scheduler_config", "max_num_batched_tokens"),
    "kv_cache_dtype": ("cache_config", "cache_dtype"), "block_size": ("cache_config", "block_size"),
    "gpu_memory_utilization": ("cache_config", "gpu_memory_utilization"),
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
        self._outputs = []

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
                f"vllm: measures {' and '.join(PHASES)}, not {others[0]}: offline it hands a request back whole. "
                "Serve it, and use the backend openai, for the time of each token."
            )
        if find_spec("vllm") is None:
            return "vllm: needs vllm, not installed here. Give `python: PATH` of an environment that has it."
        return _refuses_devices(cell)

    def load(self, cell, folder=None):
        """Untimed: start the engine; its log and the GPU's memory are kept, also where it does not start."""
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

        self.vllm = vllm
        try:
            self.engine = vllm.LLM(
                model=str(model), dtype=DTYPES[cell.dtype], seed=cell.seed, skip_tokenizer_init=True,
                enable_prefix_caching=False, **cell.options,
            )  # fmt: skip
        finally:
            self._said["start_s"] = time.monotonic() - began

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
        """Nothing: the prefix cache is off, so that every request begins empty."""

    def prefill(self):
        """Timed: one request per row for a single token; gives tokens handled."""
        self._generate(1)
        return self.prompt_tokens

    def e2e(self):
        """Timed: one request per row for new_tokens ids; gives tokens made."""
        self._generate(self.new_tokens)
        return len(self.prompts) * self.new_tokens

    def _generate(self, tokens):
        asked = self.vllm.SamplingParams(temperature=0.0, max_tokens=tokens, ignore_eos=True, detokenize=False)
        found = self.engine.generate(self.prompts, asked, use_tqdm=False)
        self._outputs = [list(one.outputs[0].token_ids) for one in found]

    def decode(self):
        """Refused, with `generate`: see `refuses`."""
        raise NotImplementedError("vllm: offline requests come back whole; decode is not implemented for it.")

    generate = decode

    def settle(self):
        """Nothing to wait for: every call ends with its ids on the host."""

    def output(self):
        """The ids of the last call, ids[batch][token]."""
        return self._outputs

    def forced(self, ids, prompt):
        """None: forced tokens cannot be put into a running request; ids are compared by `output`."""

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
    except PackageNotFoundError:
        return None


def _device_name():
    torch = sys.modules.get("torch")  # the engine has it; no import for the name alone
    return torch.cuda.get_device_name(0) if torch and torch.cuda.is_available() else None
