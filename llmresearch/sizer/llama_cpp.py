"""llama.cpp, Ollama and transformers: no pool is reserved; what a load requires is what it takes."""

import numpy as np

from . import engines
from .formats import GIB

MIB = 2**20
# Builds from b6325 (August 2025) turn flash attention on where the model allows it; before, it was off.
FLASH_BUILD = 6325


def flash(facts, settings):
    """Whether llama.cpp attends with flash attention: in new builds, and with quantised caches."""
    old = (settings.version > 0) & (settings.version < FLASH_BUILD)
    return ~old | (facts.quantised_cache > 0)


def compute_buffer(facts, settings):
    """Bytes of llama.cpp's compute buffer, for a physical batch of `tokens`.

    Without flash attention the scores of all heads, n_head x n_ctx x n_ubatch x 4 B + 36 MiB (exact on logged
    rows at 8192: 560 MiB with 12 MiB of mask); the logits of the batch, n_ubatch x n_vocab x 4 B + 4 MiB, are
    the floor. Newer builds keep logits for the last tokens only: half of that.
    """
    scores = (
        facts.heads * settings.length * settings.tokens * 4 + 32 * MIB + settings.length * settings.tokens * 4
    )
    logits = settings.tokens * facts.vocab * 4
    return np.where(flash(facts, settings), logits / 2, np.maximum(scores, logits + 4 * MIB))


def cache_bytes(facts, settings):
    """Bytes of the allocated cache: n_ctx cells in full layers, window + batch in sliding ones."""
    cells = np.ceil(settings.length / 256) * 256
    kept = np.ceil((facts.window + settings.tokens) / 256) * 256
    kept = np.where(facts.window > 0, np.minimum(cells, kept), cells)
    return settings.seqs * ((facts.full * cells + facts.sliding * kept) * facts.layer + facts.state)


def transformers_peak(facts, settings):
    """Bytes of one forward pass over the whole prompt: the widest layer, fp32 logits of the last position.

    The cache grows by concatenation, so that one layer's cache exists twice for a moment.
    """
    tokens = settings.batch * settings.context
    widest = tokens * (facts.mlp + 4 * facts.hidden) * facts.value_bytes
    logits = settings.batch * facts.vocab * 4
    return np.maximum(widest, logits) + tokens * facts.layer


def context_bytes(settings, c):
    """Bytes of the CUDA context and the libraries' workspaces."""
    own = c["contexts_gib"]
    values = np.array([own.get(name, own["default"]) for name in engines.ENGINES])
    return values[settings.engine] * GIB
