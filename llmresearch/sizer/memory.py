"""The components of an engine's memory on one GPU, over columns: arrays in, arrays out, bytes throughout.

A `Facts` holds, per row, what follows from model, format and split alone; settings are arrays of the same
length. What physics does not give comes from `c`, the mapping that fit.py writes to coefficients.yaml.
"""

from typing import NamedTuple

import numpy as np

from . import engines
from .formats import GIB

LINKS = ("nvlink", "nvlink-h20", "pcie", "amd", "unknown")


class Facts(NamedTuple):
    """One row a configuration: what the architecture, the format and the split into GPUs settle."""

    weights: np.ndarray  # bytes, first pipeline stage
    weights_last: np.ndarray  # bytes, last stage
    embedding: np.ndarray  # bytes of the token embedding
    merged: (
        np.ndarray
    )  # bytes more where MLA's projections are multiplied with each other (engines.MLA_MERGED)
    hidden: np.ndarray
    vocab: np.ndarray
    mlp: np.ndarray  # values a token has at the widest point of a dense layer, beside the residual stream
    expert: np.ndarray  # values a token has in the experts it is routed to
    heads: np.ndarray
    qk_norm: np.ndarray
    value_bytes: np.ndarray  # bytes of an activation
    layers: np.ndarray  # of the fullest stage
    moe: np.ndarray
    multimodal: np.ndarray
    hybrid: np.ndarray
    mla: np.ndarray
    mxfp4: np.ndarray
    quantised_cache: np.ndarray
    vision_peak: np.ndarray  # bytes
    layer: np.ndarray  # cache bytes of one token in one layer
    full: np.ndarray
    sliding: np.ndarray
    window: np.ndarray
    group: np.ndarray
    full_groups: np.ndarray
    sliding_groups: np.ndarray
    state: np.ndarray
    pp: np.ndarray
    tp: np.ndarray


class Settings(NamedTuple):
    """One row a configuration: what the engine was told, defaults filled in."""

    engine: np.ndarray  # code of engines.ENGINE_CODES
    version: np.ndarray
    seqs: np.ndarray
    tokens: np.ndarray
    length: np.ndarray
    context: np.ndarray
    batch: np.ndarray
    fraction: np.ndarray
    eager: np.ndarray
    total: np.ndarray  # bytes the driver reports
    link: np.ndarray  # index into LINKS


def weights(facts, settings):
    """(bytes on the first pipeline stage, on the last): the checkpoint, and what is built beside it."""
    first, last = engines.MLA_MERGED
    merged = (settings.engine == 0) & (settings.version >= first) & (settings.version <= last)
    more = np.where(merged, facts.merged, 0.0)
    return facts.weights + more, facts.weights_last + more


def sampler_peak(facts, settings, c):
    """Bytes at the sampler's profile run: copies of the logits of max_num_seqs sequences, as fp32.

    Since 0.17 about 3.1 fp32 copies and one in the model's type, with the batch's hidden states; before, 9.75
    copies (46 logged configurations). Not divided by TP: the logits are gathered before they are
    sampled.
    """
    logits = settings.seqs * facts.vocab * 4.0
    now, before = c["activation"]["sampler"], c["activation"]["sampler_before_0_17"]
    hidden = settings.tokens * facts.hidden * facts.value_bytes
    new = logits * (now["copies"] + facts.value_bytes / 4) + hidden * now["hidden_copies"]
    new = new + np.where(settings.eager, now["eager_gib"], now["compiled_gib"]) * GIB
    return np.where(settings.version >= engines.SAMPLER_SMALLER, new, logits * before["copies"])


def prefill_peak(facts, settings, c):
    """Bytes at the widest point of one prefill chunk: gate, up and their product, beside the residual stream.

    T x (3 I / TP + 3 H): both halves of the gated MLP's input and its product, the residual, and the
    normalised input that two tensors hold. Before 0.17 one more tensor of the hidden width stayed alive; with
    normalised queries and keys it still does.
    """
    now = c["activation"]["prefill"]
    old = settings.version < engines.SAMPLER_SMALLER
    copies = np.where(old, now["hidden_copies_before_0_17"], now["hidden_copies"] + facts.qk_norm)
    width = facts.mlp + facts.hidden * copies
    work = np.where(old, 0.0, np.where(settings.eager, now["eager_gib"], now["compiled_gib"])) * GIB
    return settings.tokens * width * facts.value_bytes + work


def activation(facts, settings, c):
    """(bytes at the peak of the first pipeline stage, of the last): the larger of prefill and sampler, and
    the experts.

    A first stage of several has no sampler, but two tensors for the next stage; the expert workspaces are
    held beside either peak.
    """
    prefill = prefill_peak(facts, settings, c)
    sampler = sampler_peak(facts, settings, c)
    experts = settings.tokens * facts.expert * facts.value_bytes
    # the encoder's output for a whole batch is cached while a multimodal model is profiled
    encoded = settings.tokens * facts.hidden * facts.value_bytes * facts.multimodal
    encoded = np.where(settings.version >= engines.SAMPLER_SMALLER, encoded, 0.0)
    last = np.maximum(np.maximum(prefill, sampler) + experts + encoded, facts.vision_peak)
    handed_on = 2 * settings.tokens * facts.hidden * facts.value_bytes
    first = np.where(facts.pp > 1, prefill + handed_on + experts, last)
    return first, last


def non_torch(facts, settings, c):
    """Bytes outside PyTorch: CUDA libraries, and NCCL's buffers of several GPUs, by link and version."""
    table = c["non_torch"]
    column = np.searchsorted([2, 4, 8], facts.tp, side="right")
    values = np.array([table["gib"][link] for link in LINKS])[settings.link, column]
    alone = (facts.tp == 1) & (settings.link != LINKS.index("amd"))
    first = np.where(settings.version >= 0.18, values, np.minimum(values, table["alone_before_0_18_gib"]))
    values = np.where(alone, first, values)
    values = np.where(
        alone & (settings.version >= 0.21), np.minimum(values, table["alone_since_0_21_gib"]), values
    )
    values = np.where(alone & (facts.pp > 1), table["pipeline_gib"], values)
    odd = (facts.vocab % 2 == 1) & (settings.version >= 0.18)
    values = values + np.where(odd, table["odd_vocabulary_gib"], 0.0)
    context = np.array([table["context_before_0_6_5_gib"][link] for link in LINKS])[settings.link]
    values = values + np.where(settings.version < engines.CONTEXT_OUTSIDE, context, 0.0)
    return values * GIB


def cuda_graphs(facts, settings, c):
    """Bytes of captured CUDA graphs: grows with layers and width; none with enforce_eager."""
    fit = c["cuda_graphs"]
    now = fit["base_gib"] + fit["layer_gib"] * facts.layers + fit["width_gib"] * facts.layers * facts.hidden
    now = now + fit["moe_gib"] * facts.moe
    era = np.where(settings.version >= engines.GRAPHS_IN_BUDGET, fit["share_since_0_21"], 1.0)
    old = settings.version < engines.SAMPLER_SMALLER
    value = np.where(old, fit["before_0_17_gib"], now * era)
    has = np.isin(settings.engine, [engines.ENGINE_CODES[name] for name in ("vllm", "sglang", "tgi")])
    return np.where(settings.eager | ~has, 0.0, value * GIB)


def graphs_in_budget(graphs, settings, c):
    """Bytes that vLLM subtracts from its pool for graphs, since 0.21; earlier they came on top."""
    return np.where(
        settings.version >= engines.GRAPHS_IN_BUDGET, graphs * c["cuda_graphs"]["subtracted_share"], 0.0
    )


def per_token(facts, settings):
    """Bytes of pool that one token takes in all layers: groups padded, and MLA's rows before 0.9."""
    layers = facts.full + facts.sliding
    grouped = facts.group * (facts.full_groups + facts.sliding_groups)
    groups = _grouped(facts, settings)
    padded = (settings.engine == 0) & (facts.mla > 0) & (settings.version >= 0.0703)
    padded &= settings.version < engines.MLA_UNPADDED
    return np.where(groups, grouped, layers) * facts.layer * np.where(padded, 640 / 576, 1.0)


def _grouped(facts, settings):
    both = (facts.full_groups > 0) & (facts.sliding_groups > 0)
    return both & (settings.engine == 0) & (settings.version >= engines.HYBRID_POOL)


def sequence_need(facts, settings, length):
    """Bytes that one sequence of `length` tokens must have: whole blocks, windows where the engine keeps only
    those.

    A sliding layer needs min(length, window - 1 + chunk) tokens and one block more (vLLM's
    SlidingWindowSpec).
    """
    block = np.array([engine.block for engine in engines.ENGINES.values()], float)[settings.engine]
    slots = np.ceil(length / block) * block
    grouped = _grouped(facts, settings)
    windowed = grouped | (facts.full_groups == 0) | (settings.engine == engines.ENGINE_CODES["llama.cpp"])
    windowed |= settings.engine == engines.ENGINE_CODES["ollama"]
    kept = np.ceil(np.minimum(length, facts.window - 1 + settings.tokens) / block) * block + block
    kept = np.where(windowed & (facts.window > 0), np.minimum(kept, slots), slots)
    full = np.where(grouped, facts.full_groups * facts.group, facts.full)
    sliding = np.where(grouped, facts.sliding_groups * facts.group, facts.sliding)
    scale = per_token(facts, settings) / np.maximum((full + sliding) * facts.layer, 1e-9)
    return (full * slots + sliding * kept) * facts.layer * scale + facts.state


def pool_tokens(pool, facts, settings):
    """How many tokens an engine counts in so many bytes: whole blocks, shared by its layer groups."""
    block = np.array([engine.block for engine in engines.ENGINES.values()], float)[settings.engine]
    groups = np.where(_grouped(facts, settings), facts.full_groups + facts.sliding_groups, 1)
    block_bytes = per_token(facts, settings) / groups * block
    blocks = np.floor(np.maximum(pool, 0.0) / block_bytes)
    return np.floor(blocks / groups) * block
