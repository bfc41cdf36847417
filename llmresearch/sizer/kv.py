"""The KV cache: bytes a token and layer, and how a paged pool divides itself among groups of layers."""

import functools
from typing import NamedTuple

from .formats import KV_BYTES
from .tensors import stages


class Cache(NamedTuple):
    """The cache of the fullest pipeline stage, on one GPU. Bytes; `layer` is one token in one layer."""

    layer: float
    full: int
    sliding: int
    window: int
    group: int
    full_groups: int
    sliding_groups: int
    state: float


@functools.lru_cache(maxsize=20000)
def cache(spec, kv, tp=1, pp=1):
    """The Cache of a model whose cached values have type `kv` (a name of formats.KV_BYTES).

    Multi-head, grouped and multi-query: 2 x ceil(kv_heads / tp) x head_dim values a token and layer. MLA: the
    latent and the rope part, once, on every GPU.
    """
    if spec.kv_lora:
        values = spec.kv_lora + spec.rope_dim
    else:
        values = 2 * max(1, -(-spec.kv_heads // tp)) * spec.head_dim
    share = max(stage.stop - stage.start for stage in stages(spec.layers, pp)) / spec.layers
    full, sliding = round(spec.full_layers * share), round(spec.sliding_layers * share)
    group, full_groups, sliding_groups = _groups(full, sliding)
    state = _state(spec, tp) * round(spec.linear_layers * share)
    return Cache(
        values * KV_BYTES[kv], full, sliding, spec.sliding_window, group, full_groups, sliding_groups, state
    )


def _groups(full, sliding):
    """vLLM's hybrid pool: layers of a kind form groups of one size, the last of a kind padded.

    The size is the number of layers of the rarer kind, or of the other kind where that is less than a quarter
    more (`_get_kv_cache_groups_uniform_page_size` in vllm/v1/core/kv_cache_utils.py).
    """
    if not full or not sliding:
        return max(full, sliding), int(full > 0), int(sliding > 0)
    rarer, other = sorted((full, sliding))
    size = other if other < 1.25 * rarer else rarer
    return size, -(-full // size), -(-sliding // size)


def _state(spec, tp):
    """Bytes that one sequence's recurrent state takes in one linear-attention layer: the matrix in fp32, the
    short convolution's last inputs in 16 bits."""
    if not spec.linear_layers:
        return 0.0
    heads = spec.linear_value_heads / tp
    mixed = (2 * spec.linear_key_heads + spec.linear_value_heads) * spec.linear_head_dim / tp
    return heads * spec.linear_head_dim**2 * 4 + mixed * (spec.conv_kernel - 1) * 2
