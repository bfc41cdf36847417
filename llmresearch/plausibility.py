"""Samples that are faster than the device can be: fewer seconds than the weights take to read, or the work to compute.

    seconds ≥ forwards × (bytes of the weights − last-level cache) / bandwidth         and
    seconds ≥ 2 × weights × tokens / peak of matrix products          (roofline: Williams et al., CACM 52, 2009)

Each forward reads every weight once; of a model that is larger than the last-level cache, what does not fit must come
from memory again, and a model that fits is not judged by its bytes.
"""

import numpy as np
import pandas as pd

from .records import LlmResearchError

BYTES = {"fp32": 4.0, "bf16": 2.0, "fp16": 2.0, "int8": 1.0, "q8_0": 34 / 32, "q4_k_m": 144 / 256}
"""The least bytes a weight takes (blocks of ggml: 34 bytes for 32 weights, 144 for 256)."""
ROOM = 1.25
"""A ceiling that was measured beside other programs may be low by so much; and an input embedding that is not tied is
not read. TR118's replay is beyond by a factor of ten and more."""


class ImpossibleSamples(LlmResearchError):
    """Samples that no such device can have taken of such a model."""


def bounds(frame, bandwidth, flops, cache_bytes=0, embeddings=None):
    """The frame of calls with the least seconds each can have taken, and the share of the roofline it reached.

    Adds by_bytes_s, by_flops_s, bound_s (their maximum) and share (bound over seconds); nan where nothing can be said:
    no parameter count, an unknown dtype, a model that fits the cache. `bandwidth` in bytes/s; `flops` a number or
    {dtype: operations/s}; `cache_bytes` of the last level. Weights are `params_active` where the frame has it (of a
    mixture of experts), else params_measured, else params_declared. `embeddings` {model: weights of the output
    embedding}: an engine may apply those to the last token of a prompt only. Where a model is not in it, only one token
    of the prompt is sure to pass all weights, and no more is counted. A decoder that guesses several tokens a forward
    must not be judged.
    """
    weights, tokens = pd.Series(_weights(frame), frame.index), frame["tokens"].astype(float)
    batch, prompt = frame["batch"].astype(float), frame["prompt_tokens"].astype(float)
    output = weights if embeddings is None else frame["model"].astype(object).map(embeddings).astype(float).fillna(weights)
    bytes_ = weights * frame["dtype"].astype(object).map(BYTES).astype(float) - cache_bytes
    passes, computed = _work(frame["phase"].astype(object), weights - output, output, tokens, batch, prompt)
    by_bytes = np.where(bytes_ > 0, passes * bytes_ / bandwidth, np.nan)
    by_flops = 2 * computed / _peak(frame, flops)
    bound = np.fmax(by_bytes, by_flops)
    return frame.assign(by_bytes_s=by_bytes, by_flops_s=by_flops, bound_s=bound, share=bound / frame["seconds"])


def _weights(frame):
    """Weights that one token passes, as floats."""
    found = np.full(len(frame), np.nan)
    for name in ("params_declared", "params_measured", "params_active"):
        if name in frame:
            given = frame[name].astype(float).to_numpy()
            found = np.where(np.isnan(given), found, given)
    return found


def _work(phase, body, output, tokens, batch, prompt):
    """(forwards, weights × tokens) of each call, by its phase."""
    steps, first = tokens / batch, batch * (prompt * body + output)
    uncached = tokens * (body * (prompt + (steps - 1) / 2) + output)  # step k computes prompt + k tokens again
    cached = (body + output) * tokens
    kinds = [phase == name for name in ("prefill", "decode", "e2e", "generate")]
    forwards = np.select(kinds, [np.ones(len(phase)), steps, steps, steps], np.nan)
    return forwards, np.select(kinds, [first, cached, first + (body + output) * (tokens - batch), uncached], np.nan)


def _peak(frame, flops):
    """Operations per second for each row; nan for a dtype whose peak was not measured."""
    if isinstance(flops, dict):
        return frame["dtype"].astype(object).map(flops).astype(float).to_numpy()
    return float(flops)


def impossible(frame, bandwidth, flops, cache_bytes=0, embeddings=None):
    """The rows of `frame` (timed calls) that took fewer seconds than their bound allows, with the reason in `why`.

    Arguments as for `bounds`; a row must be beyond it by the factor ROOM. An empty frame where nothing is wrong.
    """
    judged = bounds(frame, bandwidth, flops, cache_bytes, embeddings)
    found = judged[judged["share"] > ROOM]
    return found.assign(why=[_why(row) for row in found.itertuples()])


def _why(row):
    what = "reading its weights" if row.bound_s == row.by_bytes_s else "computing it"
    return f"{row.seconds * 1e3:.3g} ms, and {what} takes {row.bound_s * 1e3:.3g} ms at least on this device"


def refuse_impossible(frame, bandwidth, flops, cache_bytes=0, embeddings=None):
    """Nothing; raises ImpossibleSamples with the count, the worst sample and what to look for. Arguments as `bounds`."""
    found = impossible(frame, bandwidth, flops, cache_bytes, embeddings)
    if len(found):
        worst = found.loc[found["share"].idxmax()]
        raise ImpossibleSamples(
            f"roofline: {len(found)} of {len(frame)} calls are faster than the device can be; the worst: {worst['model']}, "
            f"{worst['backend']}, {worst['phase']}: {worst['why']}. Check that the model, its precision and the count of "
            "tokens are what the records say, and that the clock waited for the device."
        )
