"""Time to first token, time per token and throughput by the roofline: estimated, or calibrated."""

from dataclasses import dataclass

import numpy as np

from . import engines, inputs, memory
from .formats import SizerError
from .tensors import active

# Shares of the peaks that engines reach (low, middle, high). A copy on an H200 reaches 4.27 of 4.8 TB/s.
BANDWIDTH_SHARE = (0.6, 0.8, 0.9)
COMPUTE_SHARE = (0.3, 0.5, 0.7)
# Seconds that a step costs beside its bytes. Without CUDA graphs, a layer: GPT-2 (12 layers) takes 3.65 ms a
# step with an eager cache on an H200, Llama-3.2-1B (16) 5.2 ms in vLLM 0.25.1. With them, a step: GPT-2 0.82
# ms in a captured graph and 1.16 ms in vLLM, Llama-3.2-1B 512 + 64 tokens in 88 ms.
EAGER_LAYER_SECONDS = 3.0e-4
GRAPH_STEP_SECONDS = (4.0e-4, 7.0e-4, 1.1e-3)


@dataclass(frozen=True, slots=True)
class Speed:
    """(low, value, high) of seconds to the first token, seconds a token, tokens a second of the batch."""

    ttft_seconds: tuple
    tpot_seconds: tuple
    tokens_per_s: tuple
    bound: str
    label: str = "estimated"


def roofline(model, prompt_tokens=512, **question):
    """The Speed of `batch` sequences with `prompt_tokens` each; the other arguments are those of `estimate`.

    A decode step reads the active weights at their real bits, for a mixture as many experts as the batch
    reaches, and the cache of every sequence; prefill computes 2 operations a weight and token, and the
    scores. Raises SizerError where the GPU's bandwidth is not known.
    """
    asked = inputs.ask(inputs.DEFAULTS | {"model": model} | question, 1)
    if asked.reasons[0] is not None:
        raise SizerError(asked.reasons[0])
    gpu = asked.gpus[asked.gpu_code[0]]
    if gpu.bandwidth != gpu.bandwidth:
        raise SizerError(f"gpu: the bandwidth of {gpu.name} is not known; choose a GPU of the registry.")
    decode, reads, work = _decode(asked, gpu)
    prefill = _prefill(asked, gpu, prompt_tokens)
    batch = float(asked.settings.batch[0])
    rates = tuple(batch / step for step in reversed(decode))
    return Speed(prefill, decode, rates, "memory" if reads > work else "compute")


def _step_seconds(asked):
    """(fastest, middle, slowest) seconds of a step that are not bytes or operations."""
    if asked.settings.eager[0] or asked.settings.engine[0] == engines.ENGINE_CODES["transformers"]:
        layers = EAGER_LAYER_SECONDS * float(asked.facts.layers[0])
        return 0.8 * layers, layers, 1.3 * layers
    return GRAPH_STEP_SECONDS


def _shares(seconds, shares):
    """(fastest, middle, slowest) seconds when that share of the peak is reached."""
    return tuple(seconds / share for share in reversed(shares))


def weights_read(asked):
    """Bytes of weights that one decode step of the batch reads on one GPU.

    Of E experts a batch of B tokens that each choose k reaches E (1 - (1 - k/E)^B), if they choose
    independently.
    """
    spec, facts = asked.specs[0], asked.facts
    held = float(facts.weights[0])
    batch = float(asked.settings.batch[0])
    if not spec.experts:
        return held - (0.0 if spec.tied else float(facts.embedding[0]))
    total = spec.params - spec.vision_params
    expert = (total - active(spec)) / (spec.experts - spec.experts_per_token)
    reached = spec.experts * (1 - (1 - spec.experts_per_token / spec.experts) ** batch)
    return held * (total - expert * (spec.experts - reached)) / total


def _decode(asked, gpu):
    facts, settings = asked.facts, asked.settings
    batch = float(settings.batch[0])
    cache = batch * float(memory.sequence_need(facts, settings, settings.context)[0])
    reads = (weights_read(asked) + cache) / gpu.bandwidth
    flops = _flops(asked, gpu)
    work = 2 * batch * active(asked.specs[0]) / float(facts.tp[0] * facts.pp[0]) / flops
    parts = _shares(reads, BANDWIDTH_SHARE), _shares(work, COMPUTE_SHARE), _step_seconds(asked)
    return tuple(max(r, w) + fixed for r, w, fixed in zip(*parts, strict=True)), reads, work


def _flops(asked, gpu):
    kind = asked.forms[asked.form_code[0]].speed_type
    flops = gpu.flops_of(kind)
    return flops if flops == flops else gpu.flops_of("bf16")


def _prefill(asked, gpu, prompt_tokens):
    spec, facts = asked.specs[0], asked.facts
    tokens = float(asked.settings.batch[0]) * prompt_tokens
    scores = 4 * tokens * prompt_tokens / 2 * spec.heads * spec.head_dim * spec.full_layers
    split = float(facts.tp[0] * facts.pp[0])
    work = (2 * tokens * active(spec) + scores) / split / _flops(asked, gpu)
    reads = float(facts.weights[0]) / gpu.bandwidth
    chunks = float(np.ceil(tokens / float(asked.settings.tokens[0])))
    parts = _shares(work, COMPUTE_SHARE), _shares(reads, BANDWIDTH_SHARE), _step_seconds(asked)
    return tuple(float(max(w, r * chunks) + fixed * chunks) for w, r, fixed in zip(*parts, strict=True))


def calibrated(estimate, measured_tpot_seconds):
    """The same Speed with its times scaled so that one measured time per token is met; label `calibrated`."""
    factor = measured_tpot_seconds / estimate.tpot_seconds[1]
    times = tuple(factor * t for t in estimate.tpot_seconds)
    first = tuple(factor * t for t in estimate.ttft_seconds)
    rates = tuple(r / factor for r in estimate.tokens_per_s)
    return Speed(first, times, rates, estimate.bound, "calibrated")
