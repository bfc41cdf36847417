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


def at_tested_levels(table_at, alpha=0.05):
    """The table with every interval at the level at which Holm's step-down tests its row.

    `table_at(level)` gives a table with `p`, low, high and method, its intervals at that level. Such an interval
    leaves out what was tested exactly where the corrected verdict is decided, so a claim drawn from it cannot
    contradict the table. The k-th smallest of m p-values is tested at alpha / (m - k + 1); from the first that
    fails on, at that one's.
    """
    found = table_at(1 - alpha)
    shares = _tested_at(found["p"].to_numpy(float), alpha)
    for share in set(shares):
        mine = shares == share
        found.loc[mine, ["low", "high"]] = table_at(1 - share).loc[mine, ["low", "high"]]
    how = [f"; interval at {1 - share:.2%}, as tested" for share in shares]
    found["method"] = [text + more for text, more in zip(found["method"], how)]
    return found


def _tested_at(p, alpha):
    """The alpha at which Holm's step-down tests each p; the smallest of all for what was not tested."""
    order = np.argsort(p)  # nan last
    steps = alpha / np.arange(max(1, np.isfinite(p).sum()), 0, -1)
    steps = np.append(steps, np.full(p.size, steps[0]))[: p.size]
    failed = np.flatnonzero(~(p[order] < steps))
    if failed.size:
        steps[failed[0] :] = steps[failed[0]]
    out = np.empty(p.size)
    out[order] = steps
    return out
