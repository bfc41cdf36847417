"""Intervals and P(fit): quantiles of the residuals of families that a fit has not seen, wider outside its
support.

Every component has a scale, sqrt(absolute^2 + (relative x value)^2). A residual divided by its scale is a
score; the 5 % and 95 % quantiles of a group's scores, each family weighing the same, are the interval
(Mondrian conformal).
"""

import numpy as np

from .formats import GIB

GROUPS = ("text", "text, before 0.17", "multimodal", "no engine log")
COMPONENTS = ("weights", "activation", "non_torch", "cuda_graphs", "non_kv")


def group_of(facts, settings):
    """Which group of GROUPS a row belongs to, as an index."""
    group = np.where((settings.version < 0.17) & (settings.engine == 0), 1, 0)
    group = np.where(facts.multimodal > 0, 2, group)
    return np.where((settings.engine != 0) | (facts.hybrid > 0), 3, group)


def scale(component, value, c):
    """The size of a residual that counts as one, in bytes."""
    row = c["intervals"]["scales"][component]
    return np.hypot(row["absolute_gib"] * GIB, row["relative"] * np.abs(value))


def bounds(component, value, group, stretch, c):
    """(low, high) of a component, bytes, as 90 % intervals; `stretch` widens them."""
    table = c["intervals"]["scores"]
    low = np.array([table[name][component][0] for name in GROUPS])[group]
    high = np.array([table[name][component][1] for name in GROUPS])[group]
    one = scale(component, value, c) * stretch
    return value + np.minimum(low, 0) * one, value + np.maximum(high, 0) * one


def stretch(facts, settings, gpu_nominal, c):
    """How many times wider the intervals are than the fit's residuals, per row."""
    table = c["intervals"]["stretch"]
    factor = np.ones(len(facts.tp))
    for rows, name, _ in _outside(facts, settings, gpu_nominal):
        factor = np.where(rows, factor * table[name], factor)
    return factor


def why_wider(facts, settings, gpu_nominal):
    """The sentences that say what lies outside the fit's support, for the first row."""
    return [sentence for rows, _, sentence in _outside(facts, settings, gpu_nominal) if rows[0]]


def _outside(facts, settings, gpu_nominal):
    from .memory import LINKS

    vllm = settings.engine == 0
    return (
        (vllm & (settings.version > 0.25), "version", "a vLLM newer than the 0.25 that was measured"),
        (vllm & (settings.version < 0.06), "version", "a vLLM older than the 0.6 that was measured"),
        (settings.link == LINKS.index("amd"), "vendor", "an AMD GPU: four measured profiles, far apart"),
        (vllm & (facts.tp > 4), "split", "more than 4 GPUs: their NCCL buffers ranged from 0.2 to 7 GiB"),
        (
            vllm & (facts.tp > 1) & (settings.link != 0),
            "split",
            "several GPUs without the NVLink that was measured",
        ),
        (
            facts.vision_peak > 0,
            "vision",
            "a vision encoder's start-up peak: measured from 4 to 37 GiB, not derived",
        ),
        (gpu_nominal, "gpu", "a GPU whose reported memory is not known here"),
    )


# 95 % point of Student's t with 4 degrees of freedom: the interval's half-width in units of its scale.
_T4_95 = 2.1318467863266495
SURE = 0.995


def probability(budget, required, low, high):
    """P(required <= budget), by Student's t with 4 degrees of freedom, never beyond 0.5 % and 99.5 %.

    The scale is that side of the 90 % interval on which the budget lies.
    """
    slack = budget - required
    side = np.where(slack >= 0, high - required, required - low)
    t = slack / np.maximum(side / _T4_95, 1.0)
    bent = t / np.sqrt(1 + t * t / 4)
    below = 0.5 + 0.375 * bent * (1 - bent * bent / 12)
    return np.clip(below, 1 - SURE, SURE)
