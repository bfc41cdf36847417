"""Token ids that are the same wherever they are drawn: the parent plans with them, the worker measures with them."""

import numpy as np


def seeded_ids(vocab, length, seed, index=0):
    """list[int] of `length` varied ids below `vocab`, another one for every `index` of a seed.

    Drawn from PCG64's raw output, which numpy promises never to change.
    """
    raw = np.random.PCG64(np.random.SeedSequence([seed, index])).random_raw(length)
    return [int(i) for i in (raw >> np.uint64(32)) * np.uint64(vocab) >> np.uint64(32)]
