"""What to turn when it does not fit, and whether turning it is enough."""

import numpy as np

from . import inputs, solving
from .formats import GIB, SizerError


def advice(model, **question):
    """Sentences on what to change, best first, each tried: empty where the load fits."""
    from .estimating import estimate

    return list(estimate(model, **question).advice)


def advise(bare, asked):
    """The sentences for a MemoryEstimate and its question."""
    lines = []
    settings = asked.settings
    if settings.engine[0] == 0 and bare.budget.value > settings.total[0] - 0.5 * GIB:
        lines.append(
            "gpu_memory_utilization leaves no room for the CUDA context and graphs on top of it: lower it."
        )
    if bare.p_fit >= 0.95:
        return lines
    answer = {name: (np.array([getattr(bare, name).value]),) for name in ("weights", "required", "budget")}
    if bare.p_fit < 0.5:
        lines.append(solving.too_small(asked, answer, bare.p_fit))
    lines += [line for line in (*_settings(asked), *_splits(bare.question)) if line]
    return lines


def _settings(asked):
    """Knobs of the engine that cost nothing but speed, in the order to try them."""
    settings, facts = asked.settings, asked.facts
    if settings.engine[0] == 0 and settings.seqs[0] > 64:
        yield _tried(asked, "lower max_num_seqs to 64", seqs=64)
    if settings.engine[0] == 0 and settings.tokens[0] > 2048:
        yield _tried(asked, "lower max_num_batched_tokens to 2048", tokens=2048)
    if settings.engine[0] == 0 and settings.fraction[0] < 0.94:
        yield _tried(asked, "raise gpu_memory_utilization to 0.94", fraction=0.94)
    if facts.layer[0] > 0:
        longest = solving._largest(asked, float(settings.length[0]), True, float(settings.batch[0]))
        if 0 < longest < settings.length[0]:
            yield f"shorten max_model_len to {longest // 256 * 256 or longest}: then it fits."
    if settings.batch[0] > 1:
        yield _tried(asked, "lower batch to 1", batch=1)


def _tried(asked, what, **changes):
    p = solving.fits_with(asked, **changes)
    return f"{what}: P(fit) becomes {p:.2f}." if p > 0.05 else None


def _splits(question):
    """Other cache types, weight formats and numbers of GPUs that make it fit."""
    ask = {name: value for name, value in question.items() if name in inputs.DEFAULTS and name != "model"}
    model = question.get("model")
    for say, found in (
        ("a cache of kv_dtype='{}' fits.", lambda: solving.kv_dtype_that_fits(model, **ask)),
        ("weights as '{}' fit.", lambda: _format(model, ask)),
        ("tp={} fits.", lambda: solving.smallest_tp(model, **ask)),
    ):
        try:
            name = found()
        except SizerError:
            name = None
        if name and name not in (ask.get("kv_dtype"), ask.get("weight_format"), ask.get("tp")):
            yield say.format(name)


def _format(model, ask):
    for name in ("fp8", "awq", "Q8_0", "Q4_K_M"):
        try:
            asked = solving._asked({"model": model} | ask | {"weight_format": name})
        except SizerError:
            continue
        if solving._p_fit(asked, asked.settings.length, asked.settings.batch)[0] >= solving.TIGHT:
            return name
    return None
