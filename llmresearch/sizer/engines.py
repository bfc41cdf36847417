"""What each engine does with a GPU: names, versions, defaults, what it can load, and what it reserves."""

import re
from typing import NamedTuple

import numpy as np

from .formats import SizerError

LATEST_VLLM = 0.25
# vLLM versions at which something about memory changed (as 0.17 = 0.17.x; 0.6.5 is 0.0605 of minor 6).
CONTEXT_OUTSIDE = 0.0605  # the CUDA context is no longer counted in non-torch memory
SCHEDULER_V1 = 0.08
HYBRID_POOL = 0.10
MLA_UNPADDED = 0.09
MLA_MERGED = (
    0.07,
    0.0703,
)  # versions that multiplied MLA's projections with each other and kept the products
SAMPLER_SMALLER = 0.17
GRAPHS_IN_BUDGET = 0.21


class Engine(NamedTuple):
    """An engine's policy. `pool`: it reserves one; `static`: its share covers weights and pool only."""

    name: str
    pool: bool
    static: bool
    weights: frozenset
    kv: frozenset
    splits_heads: bool = True
    block: int = 16


_FP8_KV = "fp32 bf16 fp16 fp8_e4m3 fp8_e5m2"
_GGML_KV = "fp32 bf16 fp16 q8_0 q5_1 q5_0 q4_1 q4_0"


def _engine(name, pool, static, weights, kv, **more):
    return Engine(name, pool, static, frozenset(("none " + weights).split()), frozenset(kv.split()), **more)


ENGINES = {
    row.name: row
    for row in (
        _engine("vllm", True, False, "fp8 int8 int4 bnb fp4 gguf", _FP8_KV + " nvfp4"),
        _engine("sglang", True, True, "fp8 int8 int4 bnb fp4 gguf", _FP8_KV, block=1),
        _engine("tgi", True, False, "fp8 int8 int4 bnb", "bf16 fp16 fp8_e4m3 fp8_e5m2"),
        _engine(
            "tensorrt-llm", True, False, "fp8 int8 int4 fp4", "fp32 bf16 fp16 fp8_e4m3 int8 nvfp4", block=32
        ),
        _engine("llama.cpp", False, False, "gguf", _GGML_KV, splits_heads=False, block=256),
        _engine("ollama", False, False, "gguf", _GGML_KV, splits_heads=False, block=256),
        _engine(
            "transformers",
            False,
            False,
            "fp8 int8 int4 bnb fp4",
            "fp32 bf16 fp16",
            splits_heads=False,
            block=1,
        ),
    )
}
ENGINE_CODES = {name: code for code, name in enumerate(ENGINES)}
_ALIASES = {
    "sgl": "sglang", "textgenerationinference": "tgi", "trtllm": "tensorrt-llm",
    "tensorrtllm": "tensorrt-llm",
    "trt": "tensorrt-llm", "tensorrt": "tensorrt-llm", "llamacpp": "llama.cpp", "ikllamacpp": "llama.cpp",
    "llamacppserver": "llama.cpp", "gguf": "llama.cpp", "hf": "transformers", "huggingface": "transformers",
    "transformersgpu": "transformers", "huggingfacetransformers": "transformers",
}  # fmt: skip


def find_engine(name):
    """The Engine that `name` means. Raises SizerError with the known ones."""
    key = re.sub(r"[^a-z]", "", str(name).lower())
    key = _ALIASES.get(key, key)
    if key in ENGINES:
        return ENGINES[key]
    raise SizerError(f"engine: {name!r} is not known. Known: {', '.join(ENGINES)}.")


def check(engine, form, kv):
    """Raises SizerError where the engine has no such quantisation or cache type."""
    group = "gguf" if form.name == "mxfp4" and engine.name in ("llama.cpp", "ollama") else form.group
    if group not in engine.weights:
        raise SizerError(
            f"weight_format: {engine.name} does not load {form.name} weights;"
            f" it loads {_format_words(engine)}. Choose one of them or another engine."
        )
    if kv not in engine.kv:
        raise SizerError(
            f"kv_dtype: {engine.name} has no {kv} cache;"
            f" it has {', '.join(sorted(engine.kv))}. Choose one of them."
        )


_GROUP_WORDS = {
    "none": "bf16, fp16, fp32", "fp8": "fp8", "int8": "int8", "int4": "awq, gptq, w4a16",
    "bnb": "bitsandbytes",
    "fp4": "nvfp4, mxfp4", "gguf": "GGUF",
}  # fmt: skip


def _format_words(engine):
    return ", ".join(words for group, words in _GROUP_WORDS.items() if group in engine.weights)


_LAST_PATCH = {5: 5, 6: 6, 7: 3, 8: 5, 9: 2}  # of vLLM's minor versions before 0.10


def version_number(text):
    """A version as one number that grows with it: "0.19.0" is 0.19, "0.6.4" is 0.0604; nan where none is
    stated.

    Of two versions ("0.10.2/0.11") the first counts; "0.6.x" is the last of its line; "V1" alone is nan.
    """
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+|x))?", str(text))
    if not found:
        return float("nan")
    major, minor = int(found[1]), int(found[2])
    patch = _LAST_PATCH.get(minor, 0) if found[3] == "x" else int(found[3] or 0)
    if major == 0 and minor < 10:
        return minor / 100 + min(patch, 99) / 10000
    return major + minor / 100


def vllm_defaults(seqs, tokens, version, large, length, serving):
    """(max_num_seqs, max_num_batched_tokens), arrays with vLLM's own values where nan was given.

    `large`: a GPU of 70 GiB or more that is not an A100 gets larger values (`EngineArgs.get_batch_defaults`);
    before 0.8 there was no chunked prefill below 32k, so that a whole prompt was one batch.
    """
    old = version < SCHEDULER_V1
    own_seqs = np.where(large & ~old, 1024.0, 256.0)
    seqs = np.where(np.isnan(seqs), own_seqs, seqs)
    chunked = np.where(large, np.where(serving, 8192.0, 16384.0), np.where(serving, 2048.0, 8192.0))
    whole = np.where(length > 32768, 2048.0, np.maximum(length, 2048.0))
    own_tokens = np.maximum(np.where(old, whole, chunked), np.where(old, 0.0, np.minimum(seqs, chunked)))
    return seqs, np.where(np.isnan(tokens), own_tokens, tokens)
