"""The two formulas that this sizer replaces, kept for comparison. All in GB of 10^9 bytes; the cache is
multi-head whatever the model has, and of a mixture only one token's experts are counted.
"""

from typing import NamedTuple

from .formats import GB
from .inputs import _find_spec

BYTES = {"fp32": 4.0, "fp16": 2.0, "bf16": 2.0, "fp8": 1.0, "int8": 1.0, "int4": 0.5}
_CACHE_SHARE = {"fp32": 1.0, "fp16": 0.5, "bf16": 0.5, "fp8": 0.25}
_PLAN = {
    "vllm": (14.0, 0.05, 0.15, 0.002), "tgi": (8.0, 0.08, 0.12, 0.003), "llama.cpp": (0.5, 0.03, 0.0, 0.001),
    "tensorrt-llm": (6.0, 0.06, 0.10, 0.002),
}  # fmt: skip


class Legacy(NamedTuple):
    """The formulas' terms in GB of 10^9 bytes."""

    weights: float
    kv: float
    activation: float


def terms(model, weight_format="fp16", kv_dtype="fp16", batch=1, tokens=1024, active_only=True):
    """The Legacy terms: W = params x bytes, K = 2 x layers x hidden x S x B x 4 x m, A = B x S x hidden x 16.

    The plan counted only a token's experts of a mixture: (shared + (total - shared) x k / E) x bytes.
    """
    spec = _find_spec(model)
    width = BYTES[_plain(weight_format)]
    params = spec.active if spec.experts and active_only and spec.active else spec.params
    kv = 2 * spec.layers * spec.hidden * tokens * batch * 4 * _CACHE_SHARE[_plain(kv_dtype)]
    return Legacy(params * width / GB, kv / GB, batch * tokens * spec.hidden * 16 / GB)


def _plain(name):
    text = str(name).lower()
    if text in BYTES:
        return text
    if "fp8" in text:
        return "fp8"
    if "fp32" in text:
        return "fp32"
    return (
        "int8"
        if "int8" in text or "w8" in text
        else "int4"
        if any(k in text for k in ("4", "q5", "q6"))
        else "fp16"
    )


def legacy_8pct(model, **question):
    """`legacy-8pct`, GB: (W + K + A) x 1.08."""
    return 1.08 * sum(terms(model, **question))


def legacy_plan(model, engine="vllm", gpus=1, batch=1, **question):
    """`legacy-plan`, GB a GPU: M + base + p M + W/N g (N - 1) + M b log2(B), with M = W/N + K + A."""
    from math import log2

    base, share, per_gpu, per_batch = _PLAN[engine]
    weights, kv, activation = terms(model, batch=batch, **question)
    model_gb = weights / gpus + kv + activation
    more = weights / gpus * per_gpu * (gpus - 1) if gpus > 1 else 0.0
    return (
        model_gb + base + share * model_gb + more + (model_gb * per_batch * log2(batch) if batch > 1 else 0.0)
    )


FORMULAS = {"legacy-8pct": legacy_8pct, "legacy-plan": legacy_plan}

# What the plan expected (GB), and how each number reads on what is known now.
EXPECTED = (
    (
        "Llama-3.2-1B, fp16 weights, fp8 KV, batch 1, 512 + 512 tokens",
        18.94,
        "2.5 GB of weights and 0.02 GB of cache; the rest is a pool that an engine had reserved: 0.9 of a"
        " 24 GB GPU less what it did not fill. It says nothing of what the model needs",
    ),
    (
        "Mistral-7B, fp16, batch 1",
        20.28,
        "14.5 GB of weights, 0.13 GB of cache for 1,024 tokens; 0.9 x 24 GB = 21.6 GB is the same"
        " pre-allocated share",
    ),
    (
        "Mistral-7B, fp16, batch 8",
        41.27,
        "the batch adds 1.1 GB of cache, not 21: a second reading of a pool, of a 48 GB GPU at 0.9 = 43 GB",
    ),
    (
        "GLM-4.5 on 4 GPUs",
        125.0,
        "352.8 B weights are 176 GB a GPU in 16 bits and 88 GB in 8: 125 GB is 0.9 of a 141 GB H200 (126.9),"
        " a pool",
    ),
)
