"""Why a component is as large as it is: its formula, this question's numbers in it, where they come from."""

from typing import NamedTuple

import numpy as np

from . import answers, engines, memory
from .coefficients import coefficients
from .formats import GIB
from .tensors import active

FITTED = "coefficients fitted to logged start-ups (sizer/data/profiles.csv)"
SOURCE_CODE = "the engine's own accounting, read in its source code"


class Why(NamedTuple):
    """`formula` in words, the `numbers` that stand in it, and the `source` of what is not arithmetic."""

    formula: str
    numbers: str
    source: str


def why(estimate):
    """{component: Why} of a MemoryEstimate, for every component, what is required and the budget."""
    tellers = {
        "weights": _weights, "activation": _activation, "non_torch": _non_torch, "cuda_graphs": _graphs,
        "kv_per_token": _per_token, "kv_pool": _pool, "kv_pool_tokens": _tokens, "required": _required,
        "budget": _budget,
    }  # fmt: skip
    return {name: Why(*tell(estimate, estimate.asked)) for name, tell in tellers.items()}


def overhead(estimate):
    """{part: bytes} of what is neither weights nor cache, split as far as the formulas go.

    Of "prefill peak" and "sampler peak" the larger counts; the other is there to be compared.
    """
    asked = estimate.asked
    facts, settings = asked.facts, asked.settings
    graphs = {"CUDA graphs": estimate.cuda_graphs.value, "outside PyTorch": estimate.non_torch.value}
    if not _pooled(asked):
        return {"activation peak": estimate.activation.value} | graphs
    c = coefficients()
    experts = settings.tokens * facts.expert * facts.value_bytes
    peaks = {
        "prefill peak": memory.prefill_peak(facts, settings, c)[0],
        "sampler peak": memory.sampler_peak(facts, settings, c)[0],
        "experts' workspace": experts[0], "vision encoder's peak": facts.vision_peak[0],
    }  # fmt: skip
    return {name: float(value) for name, value in peaks.items() if value > 0} | graphs


def mixture(estimate):
    """{fact: value} of a mixture of experts; {} for a dense model.

    `experts`, `experts_per_token`, `shared_experts`, and of the whole model's weights: `parameters`, `active`
    (what one token passes through).
    """
    spec = estimate.asked.specs[0]
    if not spec.experts:
        return {}
    return {
        "experts": spec.experts, "experts_per_token": spec.experts_per_token,
        "shared_experts": spec.shared_experts, "parameters": spec.params, "active": active(spec),
    }  # fmt: skip


def _pooled(asked):
    return bool(answers.POOL[asked.settings.engine[0]])


def _gib(size):
    return f"{float(size) / GIB:.2f} GiB"


def _engine(asked):
    return list(engines.ENGINES)[asked.settings.engine[0]]


def _weights(estimate, asked):
    spec, facts = asked.specs[0], asked.facts
    split = f" on one of {facts.tp[0] * facts.pp[0]:g} GPUs" if facts.tp[0] * facts.pp[0] > 1 else ""
    form = asked.forms[asked.form_code[0]].name
    form = spec.quantised_as or form if form == "bf16" else form
    return (
        "every tensor at the bits of its format, rounded as the allocator rounds blocks",
        f"{spec.params:,} weights as {form}{split} = {_gib(estimate.weights.value)}",
        spec.source or "counted from the config that was given",
    )


def _activation(estimate, asked):
    facts, settings = asked.facts, asked.settings
    if not _pooled(asked):
        ggml = bool(answers.GGML[settings.engine[0]])
        peak = "compute buffer for one physical batch" if ggml else "widest layer of a forward over the prompt"
        return peak, f"{settings.tokens[0]:g} tokens a batch = {_gib(estimate.activation.value)}", SOURCE_CODE
    c = coefficients()
    prefill, sampler = memory.prefill_peak(facts, settings, c)[0], memory.sampler_peak(facts, settings, c)[0]
    return (
        "the larger of a prefill chunk's widest layer (max_num_batched_tokens x widths) and the sampler's copies"
        " of the logits (max_num_seqs x vocabulary), and the experts' workspaces beside either",
        f"prefill {_gib(prefill)} ({settings.tokens[0]:g} tokens); sampler {_gib(sampler)}"
        f" ({settings.seqs[0]:g} sequences x {facts.vocab[0]:g})",
        FITTED,
    )


def _non_torch(estimate, asked):
    if not _pooled(asked):
        return "CUDA context and libraries", _gib(estimate.non_torch.value), "sizer/coefficients.yaml"
    link, tp = memory.LINKS[asked.settings.link[0]], asked.facts.tp[0]
    return (
        "CUDA libraries and, for several GPUs, NCCL's buffers, by link and version",
        f"{tp:g} GPU{'s' if tp > 1 else ''}, link {link} = {_gib(estimate.non_torch.value)}",
        FITTED,
    )


def _graphs(estimate, asked):
    if asked.settings.eager[0] or not estimate.cuda_graphs.value:
        return "none are captured", "enforce_eager, or an engine without them", SOURCE_CODE
    facts = asked.facts
    return (
        "a base, and a part that grows with layers x width",
        f"{facts.layers[0]:g} layers x {facts.hidden[0]:g} wide = {_gib(estimate.cuda_graphs.value)}",
        FITTED,
    )


def _per_token(estimate, asked):
    spec, facts = asked.specs[0], asked.facts
    heads = f"latent {spec.kv_lora} + rope {spec.rope_dim}" if spec.kv_lora else (
        f"2 x {max(1, -(-spec.kv_heads // int(facts.tp[0])))} KV heads x {spec.head_dim}"
    )  # fmt: skip
    layers = f"{facts.full[0]:g} layers" + (
        f" and {facts.sliding[0]:g} of a window of {facts.window[0]:g}" if facts.sliding[0] else ""
    )
    return (
        "values a layer keeps of a token x bytes of a value x layers",
        f"({heads}) values = {facts.layer[0]:g} bytes x {layers}; {estimate.kv_per_token.value:,.0f} bytes a token",
        SOURCE_CODE,
    )


def _pool(estimate, asked):
    if not _pooled(asked):
        return (
            "the cache that the load allocates: sequences x tokens x bytes a token",
            f"{_gib(estimate.kv_pool.value)}",
            SOURCE_CODE,
        )
    if _engine(asked) == "tensorrt-llm":
        formula = "its share of what is left after weights, activation peak and non-torch memory"
    elif answers.STATIC[asked.settings.engine[0]]:
        formula = "budget - weights - non-torch; activations live outside the share"
    else:
        formula = "budget - weights - activation peak - non-torch (- graphs where the version counts them)"
    taken = estimate.budget.value - estimate.kv_pool.value
    numbers = f"{_gib(estimate.budget.value)} - {_gib(taken)} = {_gib(estimate.kv_pool.value)}"
    return formula, numbers, SOURCE_CODE


def _tokens(estimate, asked):
    block = engines.ENGINES[_engine(asked)].block
    return (
        f"whole blocks of {block} token{'s' if block > 1 else ''} that the cache holds",
        f"{_gib(estimate.kv_pool.value)} / {estimate.kv_per_token.value:,.0f} bytes a token",
        SOURCE_CODE,
    )


def _required(estimate, asked):
    settings = asked.settings
    need = float(np.ravel(answers.components(asked.facts, settings, coefficients())["need"])[0])
    return (
        "weights + activation peak + non-torch + the cache of the load, whatever an engine reserves on top",
        f"cache of {settings.batch[0]:g} x {settings.context[0]:g} tokens, and of one of {settings.length[0]:g}"
        f" at least: {_gib(need)}",
        "the sum of the components above",
    )


def _budget(estimate, asked):
    gpu, settings = asked.gpus[asked.gpu_code[0]], asked.settings
    share = float(answers.budgets(settings)[0] / settings.total[0])
    return (
        "share of the GPU's memory that the engine may take",
        f"{share:g} x {_gib(settings.total[0])} of {gpu.name} = {_gib(estimate.budget.value)}",
        gpu.source or "the memory that was given",
    )
