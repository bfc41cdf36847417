"""Many comparisons at once: p-values corrected for their number."""

import numpy as np
from scipy.stats import false_discovery_control

from ..records import LlmResearchError


def _bonferroni(p):
    return np.minimum(p * p.size, 1)


def _step_down(p):
    """Holm, Scand. J. Stat. 6 (1979) 65: the k-th smallest of m times m - k + 1, never below the one before."""
    order = np.argsort(p)
    out = np.empty(p.size)
    out[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)), 1)
    return out


METHODS = {"holm": _step_down, "bonferroni": _bonferroni, "bh": false_discovery_control,
           "fdr_bh": false_discovery_control, "benjamini_hochberg": false_discovery_control}


def adjust(p, correction="holm"):
    """Adjusted p-values, as an array in the order of `p`; nan (nothing was tested) stays nan and does not count.

    holm and bonferroni keep the chance of any false claim at alpha, bh the share of false claims among all claims.
    """
    p = np.asarray(p, dtype=float)
    if correction in (None, "none"):
        return p.copy()
    if correction not in METHODS:
        raise LlmResearchError(f"correction: {correction!r} is not known. Known: {', '.join(METHODS)}, none.")
    tested = np.isfinite(p)
    if ((p[tested] < 0) | (p[tested] > 1)).any():
        raise LlmResearchError("p: a value outside 0 to 1 is no p-value. Give p-values.")
    out = np.full(p.shape, np.nan)
    if tested.any():
        out[tested] = METHODS[correction](p[tested])
    return out


def holm(p):
    """p-values adjusted by Holm's step-down: the chance of any false claim stays at alpha."""
    return adjust(p, "holm")


def benjamini_hochberg(p):
    """p-values adjusted by Benjamini and Hochberg: the expected share of false claims stays at alpha."""
    return adjust(p, "bh")
