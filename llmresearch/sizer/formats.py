"""How many bits a weight and a cached value really take, by the names people use for them."""

import re
from typing import NamedTuple

from ..records import LlmResearchError

GIB = 2**30
GB = 10**9


class SizerError(LlmResearchError):
    """A question the sizer cannot answer, in one sentence."""


class WeightFormat(NamedTuple):
    """Bits of a quantised tensor, scales included; `rest_bytes` is what stays unquantised takes per value."""

    name: str
    bits: float
    rest_bytes: int = 2
    quantised: bool = True
    group: str = ""
    speed_type: str = "bf16"


# Bits per weight: 4 + 16/128 for a 16-bit scale per group of 128, + 4/128 where zero points are kept; an
# 8-bit scale of 8-bit groups of 256 for NF4's double quantisation: 4 + 8/64 + 32/(64*256); NVFP4: 4 + 8/16;
# MXFP4: 4 + 8/32; FP8 in blocks of 128 x 128 carries one fp32 scale each: 8 + 32/16384.
FORMATS = {
    row.name: row
    for row in (
        WeightFormat("fp32", 32, 4, False, "none", "fp32"),
        WeightFormat("bf16", 16, 2, False, "none", "bf16"),
        WeightFormat("fp16", 16, 2, False, "none", "fp16"),
        WeightFormat("fp8", 8, 2, True, "fp8", "fp8"),
        WeightFormat("fp8-block", 8 + 32 / 128**2, 2, True, "fp8", "fp8"),
        WeightFormat("int8", 8, 2, True, "int8", "int8"),
        WeightFormat("gptq-int8", 8 + 16 / 128 + 8 / 128, 2, True, "int8", "bf16"),
        WeightFormat("gptq", 4 + 16 / 128, 2, True, "int4", "bf16"),
        WeightFormat("awq", 4 + 16 / 128 + 4 / 128, 2, True, "int4", "bf16"),
        WeightFormat("w4a16", 4 + 16 / 128, 2, True, "int4", "bf16"),
        WeightFormat("bnb-nf4", 4 + 8 / 64 + 32 / (64 * 256), 2, True, "bnb", "bf16"),
        WeightFormat("bnb-int8", 8, 2, True, "bnb", "bf16"),
        WeightFormat("nvfp4", 4 + 8 / 16, 2, True, "fp4", "fp4"),
        WeightFormat("mxfp4", 4 + 8 / 32, 2, True, "fp4", "bf16"),
    )
}

# Bits per weight of GGUF tensor types, from the block layouts in ggml-common.h (block bytes * 8 / block
# values).
GGUF_BITS = {
    "F32": 32.0, "F16": 16.0, "BF16": 16.0, "Q4_0": 4.5, "Q4_1": 5.0, "Q5_0": 5.5, "Q5_1": 6.0, "Q8_0": 8.5,
    "Q2_K": 2.625, "Q3_K": 3.4375, "Q4_K": 4.5, "Q5_K": 5.5, "Q6_K": 6.5625, "IQ1_S": 1.5625, "IQ1_M": 1.75,
    "IQ2_XXS": 2.0625, "IQ2_XS": 2.3125, "IQ2_S": 2.5, "IQ3_XXS": 3.0625, "IQ3_S": 3.4375, "IQ4_NL": 4.5,
    "IQ4_XS": 4.25, "MXFP4": 4.25,
}  # fmt: skip

# A GGUF file is named after its mixture: the type of most tensors, and which tensors get better ones.
GGUF_MIXTURES = {
    "F32": "F32", "F16": "F16", "BF16": "BF16", "Q4_0": "Q4_0", "Q4_1": "Q4_1", "Q5_0": "Q5_0",
    "Q5_1": "Q5_1",
    "Q8_0": "Q8_0", "Q2_K": "Q2_K", "Q3_K_S": "Q3_K", "Q3_K_M": "Q3_K", "Q3_K_L": "Q3_K", "Q4_K_S": "Q4_K",
    "Q4_K_M": "Q4_K", "Q5_K_S": "Q5_K", "Q5_K_M": "Q5_K", "Q6_K": "Q6_K", "IQ4_XS": "IQ4_XS",
    "IQ4_NL": "IQ4_NL",
    "IQ3_XXS": "IQ3_XXS", "IQ3_S": "IQ3_S", "IQ2_XXS": "IQ2_XXS", "IQ2_XS": "IQ2_XS", "IQ2_S": "IQ2_S",
    "IQ1_S": "IQ1_S", "IQ1_M": "IQ1_M", "MXFP4": "MXFP4",
}  # fmt: skip

# What names mean, tried in this order; the name is lower case, with one space where it had any of " _-/,()".
_PATTERNS = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"\b(bf16|bfloat16)\b", "bf16"),
        (r"\b(fp16|float16|f16|half)\b", "fp16"),
        (r"\b(fp32|float32|f32|float)\b", "fp32"),
        (r"\b(nvfp4|modelopt fp4)\b", "nvfp4"),
        (r"\bmxfp4\b", "mxfp4"),
        (r"\bfp8\b.*\b(block|128x128|deepgemm)\b|\bblock\b.*\bfp8\b", "fp8-block"),
        (r"\b(fp8|float8|w8a8 fp8|e4m3|e4m3fn)\b", "fp8"),
        (r"\bgptq\b.*\b(int8|8 ?bit|w8a16)\b", "gptq-int8"),
        (r"\bgptq\b", "gptq"),
        (r"^(?!.*\bbnb\b).*\bawq\b", "awq"),
        (r"\b(w4a16|wna16|int4 g128|autoround|auto round)\b", "w4a16"),
        (r"\b(llm int8|bnb int8|bitsandbytes int8|bnb 8 ?bit|load in 8bit)\b", "bnb-int8"),
        (r"\b(nf4|bnb|bitsandbytes|fp4|4 ?bit|load in 4bit)\b", "bnb-nf4"),
        (r"\b(int8|w8a8|smoothquant|w8a16|8 ?bit)\b", "int8"),
        (r"\b(int4|w4)\b", "w4a16"),
        (r"\b(compressed tensors)\b", "fp8"),
        (r"^(none|auto|unquantized|unquantised)?$", "bf16"),
    )
)

# Bytes of a cached value. q8_0 holds 32 values in 34 bytes, q4_0 in 18, q5_0 in 22, q5_1 in 24, q4_1 in 20.
KV_BYTES = {
    "fp32": 4.0, "bf16": 2.0, "fp16": 2.0, "fp8_e4m3": 1.0, "fp8_e5m2": 1.0, "int8": 1.0, "q8_0": 34 / 32,
    "q5_1": 24 / 32, "q5_0": 22 / 32, "q4_1": 20 / 32, "q4_0": 18 / 32, "nvfp4": 4.5 / 8,
}  # fmt: skip
_KV_ALIASES = {
    "fp8": "fp8_e4m3", "fp8_e4m3fn": "fp8_e4m3", "float8_e4m3fn": "fp8_e4m3", "float8_e5m2": "fp8_e5m2",
    "e4m3": "fp8_e4m3", "e5m2": "fp8_e5m2", "bfloat16": "bf16", "float16": "fp16", "half": "fp16",
    "f16": "fp16",
    "f32": "fp32", "float32": "fp32", "float": "fp32", "fp8_inc": "fp8_e4m3", "": "auto", "none": "auto",
}  # fmt: skip


def gguf_mixture(text):
    """The GGUF mixture that `text` names ("gguf q4_k_m", "UD-IQ3_XXS"), or None."""
    name = re.sub(r"^(GGUF|UD)[ _:-]+|[ _:-]+GGUF$", "", str(text).strip().upper())
    return name if name in GGUF_MIXTURES else None


def weight_format(text):
    """The WeightFormat that `text` names; a GGUF mixture gives bits of nan, since they depend on the model.

    Raises SizerError for a name that means none of them.
    """
    mixture = gguf_mixture(text)
    if mixture and mixture not in ("F32", "F16", "BF16", "MXFP4"):
        return WeightFormat(mixture, float("nan"), 2, True, "gguf", "bf16")
    plain = re.sub(r"[\s_/,()+-]+", " ", str(text).strip().lower()).strip()
    for pattern, name in _PATTERNS:
        if pattern.search(plain):
            return FORMATS[name]
    known = ", ".join([*FORMATS, "Q4_K_M and the other GGUF mixtures"])
    raise SizerError(f"weight_format: {text!r} is not a format known here. Known: {known}.")


def kv_type(text, weights="bf16"):
    """The name of the cache's type in KV_BYTES; "auto" follows the model: fp32 weights have an fp32 cache."""
    name = str(text).strip().lower()
    name = _KV_ALIASES.get(name, name)
    if name == "auto":
        return "fp32" if weights == "fp32" else "bf16"
    if name not in KV_BYTES:
        raise SizerError(
            f"kv_dtype: {text!r} is not a cache type known here. Known: auto, {', '.join(KV_BYTES)}."
        )
    return name
