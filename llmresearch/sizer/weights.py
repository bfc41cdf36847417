"""Bytes of weights on one GPU: every tensor at its real bits, rounded as the allocator rounds it."""

import functools
from typing import NamedTuple

from .formats import GGUF_BITS, GGUF_MIXTURES, gguf_mixture
from .tensors import inventory, stages

MIB = 2**20
# PyTorch's caching allocator (c10/cuda/CUDACachingAllocator.h): a request of 10 MiB or more gets a block of
# its own, rounded up to 2 MiB, and a rest of 1 MiB or less stays with it; smaller requests share blocks and
# round to 512 bytes.
_OWN_BLOCK = 10 * MIB
_BLOCK_STEP = 2 * MIB
_SMALLEST_REST = MIB
_SMALL_STEP = 512


class Held(NamedTuple):
    """Bytes on one GPU: all, those that the engine builds beside the checkpoint, and the embedding."""

    total: float
    runtime: float
    embedding: float


def allocated(size, copies=1):
    """Bytes the allocator counts for `copies` tensors of `size` bytes each."""
    if size < _OWN_BLOCK:
        return -(-size // _SMALL_STEP) * _SMALL_STEP * copies
    rest = -size % _BLOCK_STEP
    return (size + (rest if rest <= _SMALLEST_REST else 0)) * copies


@functools.lru_cache(maxsize=20000)
def weights(spec, form, tp=1, pp=1, ep=None, stage=0, absorbed=True):
    """What one GPU of stage `stage` holds of a model whose matrices have WeightFormat `form`, as Held.

    `absorbed` counts the second copy of MLA's up-projections that vLLM has kept since 0.7.
    """
    part = stages(spec.layers, pp)[stage]
    total = runtime = embedding = 0.0
    for tensor in inventory(spec, part, tp, ep, pad=64):
        if tensor.name == "absorbed" and not absorbed:
            continue
        size = _bytes(spec, tensor, form)
        held = allocated(size, tensor.copies) if tensor.kind != "expert" else size * tensor.copies
        total += held
        runtime += held if tensor.kind == "runtime" else 0.0
        embedding += held if tensor.name == "embed" else 0.0
    return Held(total, runtime, embedding)


def _bytes(spec, tensor, form):
    values = tensor.rows * tensor.cols
    if form.name == "mxfp4" and spec.experts:
        return _mxfp4_bytes(tensor, form) if tensor.kind == "expert" else values * form.rest_bytes
    if tensor.kind in ("linear", "expert"):
        return values * form.bits / 8
    return values * form.rest_bytes


def _mxfp4_bytes(tensor, form):
    """MXFP4 kernels want the model's width in multiples of 256 and the experts' in multiples of 128."""
    up = tensor.name == "experts up"
    width, inner = (tensor.cols, tensor.rows // 2) if up else (tensor.rows, tensor.cols)
    padded = -(-width // 256) * 256 * -(-inner // 128) * 128
    return padded * (2 if up else 1) * form.bits / 8


@functools.lru_cache(maxsize=2000)
def gguf(spec, mixture):
    """(bytes on the GPU, bytes of the token embedding on the CPU) of a GGUF file with this mixture of types.

    The mixture's rules are llama.cpp's (`llama_tensor_get_type` in llama-quant.cpp), so the same name takes
    different bits in different models. With tied embeddings the head is a second copy, on the GPU.
    """
    name = gguf_mixture(mixture)
    on_gpu = on_cpu = 0.0
    for tensor in inventory(spec, stages(spec.layers)[0]):
        if tensor.kind in ("runtime", "vision"):
            continue
        size = (
            sum(GGUF_BITS[kind] * n for kind, n in _gguf_types(spec, tensor, name))
            * tensor.rows
            * tensor.cols
            / 8
        )
        if tensor.name == "embed":
            on_cpu += size
        else:
            on_gpu += size
    if spec.tied:
        on_gpu += spec.vocab * spec.hidden * GGUF_BITS[_head_type(name)] / 8
    return on_gpu, on_cpu


def _head_type(name):
    base = GGUF_MIXTURES[name]
    return base if GGUF_BITS[base] >= 8 else "Q6_K"


def _gguf_types(spec, tensor, name):
    """[(type, how many of the copies have it)] of one kind of tensor; V is a share of `qkv` here."""
    base = GGUF_MIXTURES[name]
    if tensor.kind == "plain":
        return [("F32", tensor.copies)]
    if tensor.name == "head":
        return [(_head_type(name), tensor.copies)]
    if (
        GGUF_BITS[base] >= 8
        or tensor.kind == "table"
        or name in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q6_K", "MXFP4")
    ):
        return [(base, tensor.copies)]
    if tensor.name == "qkv":
        return _value_types(spec, tensor, name, base)
    if tensor.name in ("mlp down", "experts down", "shared down"):
        return _down_types(tensor, name, base)
    if tensor.name == "o":
        return [({"Q2_K": "Q3_K", "Q3_K_M": "Q4_K", "Q3_K_L": "Q5_K"}.get(name, base), tensor.copies)]
    return [(base, tensor.copies)]


def _value_types(spec, tensor, name, base):
    layers = tensor.copies
    share = spec.kv_heads / (spec.heads + 2 * spec.kv_heads)
    better, many = {
        "Q4_K_M": ("Q6_K", _more_bits(layers)),
        "Q5_K_M": ("Q6_K", _more_bits(layers)),
        "Q4_K_S": ("Q5_K", min(4, layers)),
        "Q3_K_L": ("Q5_K", layers),
        "Q3_K_M": ("Q4_K", layers),
        "Q2_K": ("Q4_K" if spec.heads >= 4 * spec.kv_heads else "Q3_K", layers),
        "IQ4_XS": ("Q5_K" if spec.heads >= 4 * spec.kv_heads else base, layers),
    }.get(name, (base, 0))
    return [(better, many * share), (base, layers - many * share)]


def _down_types(tensor, name, base):
    """Experts' copies are layers x experts: the rules go by layer, so the shares are the same."""
    copies = tensor.copies
    better, share = {
        "Q4_K_M": ("Q6_K", _more_bits(64) / 64),
        "Q5_K_M": ("Q6_K", _more_bits(64) / 64),
        "Q4_K_S": ("Q5_K", 1 / 8),
        "Q3_K_L": ("Q5_K", 1.0),
        "Q3_K_M": ("Q4_K", _more_bits(64) / 64),
        "Q2_K": ("Q3_K", 1.0),
        "IQ4_XS": ("Q5_K", 1 / 8),
    }.get(name, (base, 0.0))
    if tensor.name == "mlp down" and name in ("Q4_K_M", "Q5_K_M"):
        share = _more_bits(copies) / copies
    return [(better, share * copies), (base, copies - share * copies)]


def _more_bits(layers):
    """How many of the layers get more bits: the first and last eighth, and every third between."""
    eighth = layers // 8
    return sum(i < eighth or i >= 7 * layers // 8 or (i - eighth) % 3 == 2 for i in range(layers))
