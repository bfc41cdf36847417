"""`llmresearch size`: one question in, a table for people or JSON for programs out."""

import json

from .estimating import estimate
from .formats import SizerError
from .inputs import DEFAULTS
from .solving import serve_command

# One option per argument of estimate: name -> (type, help).
OPTIONS = {
    "model": (str, "A registry name, a Hugging Face id of one, a config.json, a GGUF file or a folder."),
    "engine": (str, "vllm, sglang, tgi, tensorrt-llm, llama.cpp, ollama or transformers."),
    "engine_version": (str, "The engine's version; the latest known where not given."),
    "gpu": (str, "A GPU of the registry."),
    "gpu_memory_gib": (float, "GiB that the GPU reports, over the registry's."),
    "tp": (int, "GPUs that share every layer."),
    "pp": (int, "Pipeline stages."),
    "weight_format": (str, "bf16, fp8, awq, gptq, nvfp4, mxfp4, Q4_K_M and so on."),
    "kv_dtype": (str, "auto, fp8, q8_0 and so on."),
    "max_model_len": (int, "The longest sequence the engine must hold, tokens."),
    "max_num_seqs": (int, "Sequences at once; the engine's own where not given."),
    "max_num_batched_tokens": (int, "Tokens of one prefill chunk; the engine's own where not given."),
    "gpu_memory_utilization": (float, "Share of the GPU that the engine may take."),
    "enforce_eager": (bool, "No CUDA graphs."),
    "batch": (int, "Sequences that must fit at once."),
    "context": (int, "Tokens of each of them; max_model_len where not given."),
    "usage": (str, "vLLM's own defaults: offline (LLM) or server (vllm serve)."),
    "ep": (int, "GPUs that the experts are spread over whole."),
}


def answer(question):
    """The MemoryEstimate of a mapping of options; what is None is left to its default.

    Raises SizerError for an unknown option or an impossible question.
    """
    unknown = sorted(set(question) - set(OPTIONS))
    if unknown:
        raise SizerError(f"size: unknown option {unknown[0]!r}. Known: {', '.join(OPTIONS)}.")
    return estimate(
        **{"model": None} | {name: value for name, value in question.items() if value is not None}
    )


def as_json(question):
    """The answer as a JSON string: {"weights": {"value", "low", "high", "label"}, …, "p_fit", "advice"}."""
    found = answer(question)
    return json.dumps(found.as_dict() | {"command": _command(question)}, indent=2, allow_nan=False)


def as_text(question):
    """The answer as a table with a bar for each component, what to change, and the command line for it."""
    command = _command(question)
    return str(answer(question)) + (f"\n\n{command}" if command else "")


def _command(question):
    given = {name: value for name, value in question.items() if value is not None}
    try:
        return serve_command(given.pop("model"), **given)
    except SizerError:
        return None


def size(json_=False, **question):
    """The text of `llmresearch size`: JSON where `json_`, else the table."""
    return as_json(question) if json_ else as_text(question)


assert set(OPTIONS) == set(DEFAULTS)
