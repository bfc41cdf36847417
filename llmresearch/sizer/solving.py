"""The inverse questions: what context, how many sequences, how many GPUs, which GPU, which cache type."""

import shlex
from typing import NamedTuple

import numpy as np

from . import answers, inputs, memory
from .coefficients import coefficients
from .formats import SizerError
from .specs import gpus

TIGHT = 0.5  # the least P(fit) that counts as an answer
KV_TYPES = ("auto", "fp8_e4m3", "q8_0", "q4_0")


def _asked(question):
    unknown = sorted(set(question) - set(inputs.DEFAULTS))
    if unknown:
        raise SizerError(f"sizer: unknown argument {unknown[0]!r}. Known: {', '.join(inputs.DEFAULTS)}.")
    asked = inputs.ask(inputs.DEFAULTS | question, 1)
    if asked.reasons[0] is not None:
        raise SizerError(asked.reasons[0])
    return asked


def _named(more):
    """Positional arguments after the model, by their names in `estimate`."""
    return dict(zip(list(inputs.DEFAULTS)[1:], more, strict=False))


def _p_fit(asked, lengths, batches):
    """P(fit) for arrays of context lengths and batches of one question."""
    count = len(lengths)
    facts = memory.Facts(*(np.repeat(field, count) for field in asked.facts))
    settings = memory.Settings(*(np.repeat(field, count) for field in asked.settings))
    lengths, batches = lengths.astype(float), batches.astype(float)
    settings = settings._replace(
        length=lengths, context=lengths, batch=batches, seqs=np.maximum(settings.seqs, batches)
    )
    many = asked._replace(
        facts=facts, settings=settings, gpu_code=np.repeat(asked.gpu_code, count),
        version_given=np.repeat(asked.version_given, count), seqs_given=np.repeat(asked.seqs_given, count),
    )  # fmt: skip
    return answers.answer(many, coefficients())[1]


def _largest(asked, top, of_length, other):
    """The largest whole number up to `top` that still fits, 0 where none does; P(fit) falls as it grows."""
    low, high = 0, int(top)
    while low < high:
        tries = np.unique(np.linspace(low + 1, high, 64).astype(np.int64))
        fixed = np.full(len(tries), other)
        p = _p_fit(asked, tries, fixed) if of_length else _p_fit(asked, fixed, tries)
        fits = p >= TIGHT
        if not fits[0]:
            return low
        last = int(np.argmin(fits)) - 1 if not fits.all() else len(tries) - 1
        low, high = int(tries[last]), int(tries[last + 1]) - 1 if last + 1 < len(tries) else int(tries[last])
    return low


def max_context(model, *more, **question):
    """The longest context in tokens, at most the model's own, at which `batch` sequences are as likely to fit
    as not.

    The arguments are those of `estimate`. 0 where not even one token fits.
    """
    asked = _asked({"model": model} | _named(more) | question)
    spec = asked.specs[0]
    top = spec.longest_context or 2**22
    return _largest(asked, top, True, float(asked.settings.batch[0]))


def max_concurrency(model, context=None, **question):
    """How many sequences of `context` tokens (`max_model_len` unless given) fit at once; 0 where none does.

    For an engine with a pool, what the pool holds (its own "maximum concurrency"), at most `max_num_seqs`
    where that was given; for the others, the largest batch that fits.
    """
    asked = _asked({"model": model, "context": context} | question)
    facts, settings = asked.facts, asked.settings
    length = settings.context
    if not answers.POOL[settings.engine[0]]:
        return _largest(asked, 4096, False, float(length[0]))
    values, p = answers.answer(asked, coefficients())
    need = memory.sequence_need(facts, settings, length)
    many = int(max(0.0, values["kv_pool"][0][0]) // need[0])
    return min(many, int(settings.seqs[0])) if asked.seqs_given[0] else many


def smallest_tp(model, **question):
    """The fewest GPUs (a power of two up to 64 that divides the heads) on which the load fits, or None."""
    for tp in (1, 2, 4, 8, 16, 32, 64):
        try:
            asked = _asked({"model": model} | question | {"tp": tp})
        except SizerError as error:
            if str(error).startswith("tp:"):
                continue
            raise
        if answers.answer(asked, coefficients())[1][0] >= TIGHT:
            return tp
    return None


def cheapest_gpu(model, **question):
    """(GPU name, number of GPUs, dollars an hour) of the cheapest priced choice that fits, or None.

    Prices and their dates stand in sizer/gpus.yaml.
    """
    choices = []
    for gpu in gpus().values():
        if gpu.usd_per_hour == gpu.usd_per_hour:
            tp = smallest_tp(model, **(question | {"gpu": gpu.name, "gpu_memory_gib": None}))
            if tp:
                choices.append((tp * gpu.usd_per_hour, tp, gpu.name))
    if not choices:
        return None
    cost, tp, name = min(choices)
    return name, tp, round(cost, 4)


def kv_dtype_that_fits(model, **question):
    """The first cache type that fits, of those the engine has: auto, 8 bits, 4 bits; None where none does."""
    for kind in KV_TYPES:
        try:
            asked = _asked({"model": model} | question | {"kv_dtype": kind})
        except SizerError as error:
            if str(error).startswith("kv_dtype:"):
                continue
            raise
        if answers.answer(asked, coefficients())[1][0] >= TIGHT:
            return kind
    return None


class KvSaving(NamedTuple):
    """What another cache type spares on one GPU: bytes a token, as a share, and bytes of the asked load."""

    kv_dtype: str
    per_token: float
    share: float
    load: float


def kv_saving(model, to="fp8", **question):
    """The KvSaving of a cache of type `to` against the asked one; shares below 0 where `to` takes more.

    `load` counts `batch` sequences of `context` tokens. Raises SizerError where the engine has no such cache.
    """
    before, after = (_asked({"model": model} | question | kind) for kind in ({}, {"kv_dtype": to}))
    old, new = (float(memory.per_token(asked.facts, asked.settings)[0]) for asked in (before, after))
    needs = [
        float(memory.sequence_need(asked.facts, asked.settings, asked.settings.context)[0])
        for asked in (before, after)
    ]
    load = float(before.settings.batch[0]) * (needs[0] - needs[1])
    return KvSaving(to, old - new, 1 - new / old if old else 0.0, load)


_QUANTISATION = {"fp8": "fp8", "bnb-nf4": "bitsandbytes", "mxfp4": "mxfp4"}


def serve_command(model, **question):
    """The `vllm serve` command line for the question, batch sizes spelled out so that the answer holds for
    the server.

    Raises SizerError where the engine is another, or where the GPU is too small.
    """
    asked = _asked({"model": model} | question)
    engine, spec, settings = asked.settings.engine[0], asked.specs[0], asked.settings
    if engine != 0:
        raise SizerError("serve_command: only vLLM is started with `vllm serve`; ask with engine='vllm'.")
    answer, p = answers.answer(asked, coefficients())
    if p[0] < TIGHT:
        raise SizerError(too_small(asked, answer, p[0]))
    words = ["vllm", "serve", _served(model, spec), "--tensor-parallel-size", f"{asked.facts.tp[0]:g}"]
    words += ["--pipeline-parallel-size", f"{asked.facts.pp[0]:g}"] if asked.facts.pp[0] > 1 else []
    words += ["--max-model-len", f"{settings.length[0]:.0f}", "--max-num-seqs", f"{settings.seqs[0]:.0f}"]
    words += ["--max-num-batched-tokens", f"{settings.tokens[0]:.0f}"]
    words += ["--gpu-memory-utilization", f"{settings.fraction[0]:g}"]
    kv = question.get("kv_dtype") or "auto"
    words += ["--kv-cache-dtype", kv] if kv != "auto" else []
    form = asked.forms[asked.form_code[0]].name
    words += ["--quantization", _QUANTISATION[form]] if form in _QUANTISATION else []
    words += ["--enforce-eager"] if settings.eager[0] else []
    words += ["--trust-remote-code"] if spec.trust_remote_code else []
    return shlex.join(words)


def _served(model, spec):
    """What `vllm serve` is told to load: a mapping names its repository, or the reader must."""
    pasted = (model.get("_name_or_path") or "YOUR_MODEL") if isinstance(model, dict) else model
    return spec.hf_id or str(pasted)


def too_small(asked, answer, p):
    """The sentence on a GPU that does not hold the load: its context alone, its weights, or all of it."""
    gib = 2**30
    gpu, spec = asked.gpus[asked.gpu_code[0]], asked.specs[asked.model_code[0]]
    weights, required, budget = (float(answer[name][0][0]) for name in ("weights", "required", "budget"))
    need = float(
        asked.settings.batch[0] * memory.sequence_need(asked.facts, asked.settings, asked.settings.context)[0]
    )
    what = f"gpu: {gpu.name} allows {budget / gib:.2f} GiB"
    if need > budget:
        return (
            f"{what}, less than the {need / gib:.2f} GiB that the context alone takes;"
            " shorten context or lower batch, or take more GPUs."
        )
    if weights > budget:
        return f"{what}, less than the {weights / gib:.2f} GiB of weights; quantise them or raise tp."
    return f"{what}; {spec.name} requires about {required / gib:.2f} GiB (P(fit) {p:.2f}); see advice."


def fits_with(asked, **changes):
    """P(fit) of the same question with settings changed (names of memory.Settings)."""
    settings = asked.settings._replace(**{name: np.array([float(value)]) for name, value in changes.items()})
    if "eager" in changes:
        settings = settings._replace(eager=np.array([bool(changes["eager"])]))
    if "length" in changes:
        settings = settings._replace(context=np.minimum(settings.context, settings.length))
    return float(answers.answer(asked._replace(settings=settings), coefficients())[1][0])
