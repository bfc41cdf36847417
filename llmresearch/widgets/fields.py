"""The fields of the calculator: what each is called, how it is entered, and what it offers."""

from dataclasses import dataclass

from ..sizer import engines, formats, gpus, inputs, models, overview
from ..sizer.command import OPTIONS

KNOBS = ("max_num_seqs", "max_num_batched_tokens", "gpu_memory_utilization", "enforce_eager", "usage", "gpu_memory_gib", "pp")
PROMPT = "prompt_tokens"
"""An argument of the speed, not of the estimate."""
STOPS = (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144, 524288, 1048576)
WEIGHTS = (*formats.FORMATS, *(name for name in formats.GGUF_MIXTURES if name not in ("F32", "F16", "BF16", "MXFP4")))
NAMES = {
    "model": "Model", "engine": "Engine", "engine_version": "Engine version", "gpu": "GPU",
    "weight_format": "Weights", "kv_dtype": "KV cache", "tp": "GPUs (tensor parallel)", "pp": "Pipeline stages",
    "max_model_len": "Context (max_model_len)", "batch": "Sequences at once", "context": "Tokens of each sequence",
    "ep": "GPUs of the experts", "max_num_seqs": "max_num_seqs", "max_num_batched_tokens": "max_num_batched_tokens",
    "gpu_memory_utilization": "gpu_memory_utilization", "enforce_eager": "enforce_eager", "usage": "Defaults of",
    "gpu_memory_gib": "GPU memory, GiB", PROMPT: "Prompt, tokens (for TTFT)",
}  # fmt: skip
HELP = {PROMPT: "Tokens of the prompt that the time to the first token is for."} | {
    name: told for name, (_, told) in OPTIONS.items()
}
HELP["model"] = "A name to search for, or a config.json pasted whole."
DEFAULTS = {name: value for name, value in inputs.DEFAULTS.items()} | {PROMPT: 512}


@dataclass(frozen=True, slots=True)
class Control:
    """How a field is entered. `kind`: text, pick, number, slider or flag; `group`: main, experts or advanced."""

    name: str
    kind: str
    group: str = "main"
    options: tuple = ()
    step: float = 1
    least: float | None = None
    most: float | None = None


def controls():
    """Every Control, in the order of the page."""
    kv = ("auto", *formats.KV_BYTES)
    return (
        Control("model", "text", options=tuple(models())),
        Control("engine", "pick", options=tuple(engines.ENGINES)),
        Control("engine_version", "text"),
        Control("gpu", "pick", options=tuple(gpus())),
        Control("tp", "slider", options=(1, 2, 4, 8, 16), least=1),
        Control("weight_format", "pick", options=WEIGHTS),
        Control("kv_dtype", "pick", options=kv),
        Control("max_model_len", "slider", options=STOPS, least=1),
        Control("batch", "slider", options=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024), least=1),
        Control("context", "number", least=1),
        Control("ep", "number", "experts", least=1),
        *(_knob(name) for name in KNOBS),
        Control(PROMPT, "number", "advanced", least=1),
    )


def _knob(name):
    kinds = {"enforce_eager": "flag", "usage": "pick"}
    share = name == "gpu_memory_utilization"
    offered = inputs.USAGES if name == "usage" else ()
    return Control(
        name, kinds.get(name, "number"), "advanced", offered, 0.01 if share else 1,
        least=0.01 if share else None if name == "gpu_memory_gib" else 1, most=1 if share else None,
    )  # fmt: skip


def stops(model):
    """The contexts that the slider of a model stops at: up to its own longest, which is the last.

    Raises SizerError for a model that is not known.
    """
    top = overview.longest(model)
    return STOPS if top is None else (*(stop for stop in STOPS if stop < top), top)
