"""The arithmetic of an answer: from components to the pool, what a load requires, the budget and P(fit)."""

import numpy as np

from . import conformal, engines, llama_cpp, memory

NAMES = (
    "weights", "activation", "non_torch", "cuda_graphs", "kv_per_token", "kv_pool", "kv_pool_tokens",
    "required", "budget",
)  # fmt: skip


def answer(asked, c):
    """({name: (value, low, high)} for each of NAMES, P(fit)), arrays; nan where a row cannot be answered."""
    facts, settings = asked.facts, asked.settings
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        parts = components(facts, settings, c)
        group = conformal.group_of(facts, settings)
        nominal = np.array([gpu.nominal for gpu in asked.gpus])[asked.gpu_code]
        stretch = conformal.stretch(facts, settings, nominal, c)
        bounds = {name: _bounds(name, parts, facts, settings, asked, group, stretch, c) for name in _SPREAD}
        out = {
            name: (parts[name], *bounds[name])
            for name in ("weights", "activation", "non_torch", "cuda_graphs")
        }
        budget = budgets(settings)
        non_kv = parts["weights"] + parts["activation"] + parts["non_torch"]
        out["kv_per_token"] = (parts["per_token"],) * 3
        down, up = bounds["non_kv"][1] - non_kv, bounds["non_kv"][0] - non_kv
        out["kv_pool"] = _around(pool(parts, settings), -down, -up, settings)
        out["kv_pool_tokens"] = tuple(_tokens(parts, size, facts, settings) for size in out["kv_pool"])
        required = _required(parts, settings)
        out["required"] = required, required + up, required + down
        out["budget"] = (budget,) * 3
        p_fit = conformal.probability(budget, *out["required"])
        return out, np.minimum(p_fit, _physical(parts, budget, facts, settings, c))


_SPREAD = ("weights", "activation", "non_torch", "cuda_graphs", "non_kv")
POOL = np.array([engine.pool for engine in engines.ENGINES.values()])
STATIC = np.array([engine.static for engine in engines.ENGINES.values()])
GGML = np.array([name in ("llama.cpp", "ollama") for name in engines.ENGINES])
TENSORRT = engines.ENGINE_CODES["tensorrt-llm"]


def components(facts, settings, c):
    """Every component's value in bytes, whatever the engine."""
    first, last = memory.activation(facts, settings, c)
    weights, weights_last = memory.weights(facts, settings)
    outside = memory.non_torch(facts, settings, c)
    graphs = memory.cuda_graphs(facts, settings, c)
    per_token = memory.per_token(facts, settings)
    need = settings.batch * memory.sequence_need(facts, settings, settings.context)
    start = memory.sequence_need(facts, settings, settings.length)
    parts = {"need": np.maximum(np.minimum(need, settings.seqs / settings.batch * need), start)}
    if not POOL[settings.engine].all():
        reserved = POOL[settings.engine]
        alone = np.where(
            GGML[settings.engine],
            llama_cpp.compute_buffer(facts, settings),
            llama_cpp.transformers_peak(facts, settings),
        )
        first, last = np.where(reserved, first, alone), np.where(reserved, last, alone)
        outside = np.where(reserved, outside, llama_cpp.context_bytes(settings, c))
        held = np.where(GGML[settings.engine], llama_cpp.cache_bytes(facts, settings), need)
        parts["need"] = np.where(reserved, parts["need"], held)
    return parts | {
        "weights": weights, "weights_last": weights_last, "activation": first,
        "activation_last": last,
        "non_torch": outside, "cuda_graphs": graphs, "per_token": per_token,
        "subtracted": memory.graphs_in_budget(graphs, settings, c),
        "non_kv": weights + first + outside,
    }  # fmt: skip


def budgets(settings):
    """Bytes an engine allows itself: its share of what the driver reports, or all of it."""
    whole = ~POOL[settings.engine] | (settings.engine == TENSORRT)
    return np.where(whole, settings.total, settings.fraction * settings.total)


def pool(parts, settings):
    """Bytes left for the cache on the first pipeline stage; what is allocated where an engine has no pool."""
    activation = np.where(STATIC[settings.engine], 0.0, parts["activation"])
    taken = parts["weights"] + parts["non_torch"] + activation + parts["subtracted"]
    left = budgets(settings) - taken
    left = np.where(settings.engine == TENSORRT, settings.fraction * left, left)
    return np.where(POOL[settings.engine], left, parts["need"])


def _around(value, down, up, settings):
    """(value, low, high) of a pool; what an engine without a pool allocates is exact."""
    spread = np.where(POOL[settings.engine], (down, up), 0.0)
    return value, value + spread.min(axis=0), value + spread.max(axis=0)


def _tokens(parts, size, facts, settings):
    """Tokens of the tightest stage: every stage must hold the same blocks."""
    if (facts.pp > 1).any():
        lost = parts["weights_last"] + parts["activation_last"] - parts["weights"] - parts["activation"]
        size = np.where(POOL[settings.engine], size - np.maximum(lost, 0.0), size)
    tokens = memory.pool_tokens(size, facts, settings)
    return np.where(
        POOL[settings.engine], tokens, settings.length * np.maximum(settings.seqs, settings.batch)
    )


def _required(parts, settings):
    """Bytes that must exist on the tightest stage for the load, whatever an engine reserves."""
    activation = parts["activation"], parts["activation_last"]
    first, last = (np.where(STATIC[settings.engine], 0.0, part) for part in activation)
    stage = np.maximum(parts["weights"] + first, parts["weights_last"] + last)
    return stage + parts["non_torch"] + parts["subtracted"] + parts["need"]


def _physical(parts, budget, facts, settings, c):
    """P that the GPU itself suffices once graphs and warm-up come on top of what vLLM budgeted.

    A start of gpt-oss passes its profile and then needs its sampler's copies of the logits once more: its
    kernels repack the weights, and the profiled blocks are not to be had again (two logged starts failed so,
    at 0.95; one at 0.90 ran).
    """
    copies = c["activation"]["sampler"]["copies"] + facts.value_bytes / 4
    logits = settings.seqs * facts.vocab * 4.0 * copies
    on_top = parts["cuda_graphs"] - parts["subtracted"] + np.where(facts.mxfp4 > 0, logits, 0.0)
    used = budget + on_top + llama_cpp.context_bytes(settings, c)
    wide = 0.5 * on_top
    p = conformal.probability(settings.total, used, used - wide, used + wide)
    return np.where((settings.engine == 0) & (facts.mxfp4 > 0), p, 1.0)


def _bounds(name, parts, facts, settings, asked, group, stretch, c):
    """(low, high) of a component; what is absent is 0, and a version not given reaches to the oldest."""
    value = parts[name]
    low, high = conformal.bounds(name, value, group, stretch, c)
    unknown = (settings.engine == 0) & ~asked.version_given
    if name in ("activation", "non_kv"):
        most = c["activation"]["sampler_before_0_17"]["most_copies"]
        older = value - parts["activation"] + settings.seqs * facts.vocab * 4.0 * most
        high = np.where(unknown, np.maximum(high, older), high)
    if name in ("non_torch", "non_kv"):
        low = np.where(unknown, np.minimum(low, value - parts["non_torch"]), low)
    if name == "cuda_graphs":
        high = np.where(value > 0, high, 0.0)
    return np.maximum(low, 0.0), high
