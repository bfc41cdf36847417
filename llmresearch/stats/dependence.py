"""Samples that remember the one before: a test that says so, and what can still be said of their median."""

from dataclasses import dataclass
import math

import numpy as np
from scipy import special, stats

from ..intervals import NAN, observations

BLOCKS = 10               # fewer independent blocks than this carry no interval
TIMES_TAU = 5             # a block is this many correlation times long


@dataclass(frozen=True)
class Independence:
    """`rho`: rank correlation with the sample before; `p`: its chance if independent; `independent`: p above alpha."""

    rho: float
    p: float
    n: int
    independent: bool
    method: str


def independence(x, alpha=0.05):
    """Whether samples, in order of time, look independent: Bartels' rank version of von Neumann's ratio.

    One-sided against positive dependence (autocorrelation, drift, level shifts); ranks, so stalls do no harm.
    Independent samples fail it in `alpha` of cases; 30 samples of an AR(1) series pass it in 12 % (rho 0.6) and 1 %
    (rho 0.9): sessions are the remedy, not longer series. Fewer than 8 samples or equal ones: nan, and taken as
    independent. Source: Bartels, J. Am. Stat. Assoc. 77 (1982) 40.
    """
    values, reason = observations(x)
    n = values.size
    if reason or n < 8 or np.ptp(values) == 0:
        return Independence(NAN, NAN, n, not reason, reason or "too few or equal samples: not tested")
    ranks = stats.rankdata(values)
    ratio = (np.diff(ranks) ** 2).sum() / ((ranks - ranks.mean()) ** 2).sum()
    variance = 4 * (n - 2) * (5 * n * n - 2 * n - 9) / (5 * n * (n + 1) * (n - 1) ** 2)
    p = float(special.ndtr((ratio - 2) / math.sqrt(variance)))
    return Independence(1 - ratio / 2, p, n, p > alpha, f"Bartels rank test, alpha {alpha:g}")


def correlation_time(x):
    """(1 + rho) / (1 - rho) of the rank autocorrelation, corrected for its bias at small n; at least 1.

    The variance of a mean is this many times that of independent samples, for a first-order process.
    """
    found = independence(x)
    if not math.isfinite(found.rho):
        return 1.0
    rho = min(found.rho + (1 + 3 * found.rho) / found.n, 0.999)      # Kendall's bias of a lag-1 correlation
    return max(1.0, (1 + rho) / (1 - rho))


def block_medians(x):
    """(medians of consecutive blocks, block length, reason): blocks so long that their medians are nearly independent.

    The reason is '' or says how many samples would be needed.
    """
    length = math.ceil(TIMES_TAU * correlation_time(x))
    blocks = len(x) // length
    if blocks < BLOCKS:
        return np.array([]), length, (f"too few: {len(x)} autocorrelated samples, an interval needs about "
                                      f"{BLOCKS * length}, or more sessions")
    return np.median(np.reshape(x[:blocks * length], (blocks, length)), axis=1), length, ""


def carlstein_length(x):
    """The block length that balances bias and variance for a first-order process (Carlstein 1986)."""
    tau = correlation_time(x)
    rho = (tau - 1) / (tau + 1)
    return max(1, math.ceil(len(x) ** (1 / 3) * (2 * rho / (1 - rho**2)) ** (2 / 3)))
