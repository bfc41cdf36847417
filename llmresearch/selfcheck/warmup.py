"""T4: is steady state found where it begins, and missed where there is none? Series are simulated, seeded."""

import numpy as np

from ..matrix import plan
from ..steadiness import steady_from
from ..timing import warm

BIAS, DISCARD = 0.01, 2
TAUS = (1, 3, 10, 25, 50)


def run(series=40, noise=0.01, seed=1):
    """The check's result: the bias left after exponential warm-ups, what flat series lose, what never settles."""
    chance = np.random.default_rng(seed)
    left = {tau: [_bias_left(tau, noise, chance) for _ in range(series)] for tau in TAUS}
    flat = [steady_from(np.exp(chance.normal(0, noise, 64))) for _ in range(10 * series)]
    restless = [steady_from((1 + 0.005 * np.arange(100)) * np.exp(chance.normal(0, noise, 100))) for _ in range(series)]
    bias = {tau: float(np.mean(values)) for tau, values in left.items()}
    kept = float(np.mean([s.discard <= DISCARD for s in flat]))
    seen = float(np.mean([s.verdict == "not-stationary" for s in restless]))
    passed = max(bias.values()) < BIAS and kept >= 0.98 and seen >= 0.99
    return {"name": "warmup", "passed": passed, "mean_bias_by_tau": bias, "flat_discards_at_most_2": kept,
            "never_settling_seen": seen}  # fmt: skip


def _bias_left(tau, noise, chance):
    """The true bias of the median of the thirty calls that follow the warm-up, relative."""
    cell = plan({"warmup": "auto", "within_seconds": 1e9})[0]
    series = []
    while not warm(cell, len(series), lambda kind: series, 0.0):
        series.append((1 + np.exp(-len(series) / tau)) * np.exp(chance.normal(0, noise)))
    return float(np.median(np.exp(-(len(series) + np.arange(30)) / tau)))
