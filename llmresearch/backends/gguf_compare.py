"""A made GGUF file's weights beside those of the file that it was made from: a sample of every matrix.

Types that llama.cpp packs in blocks are unpacked by the package `gguf`, llama.cpp's own; without it nothing is compared.
"""

from importlib.util import find_spec

import numpy as np

from ..models import gguf_header
from ..models.zoo import ModelDamaged

ROWS = 16  # of every matrix, drawn by the seed
# Largest root mean square of the difference, relative to that of the weights. A block of n weights in steps of its largest
# one over k is off by 1/(k √12) of that, which is √n times the block's own root mean square at most: √32/(127 √12) = 1.3 %
# for Q8_0, and in the same way 3.7 % for Q6_K, 11 % for Q5_0 and Q4_K; normal weights lose half of it. A little room on top.
LIMITS = {"F32": 1e-6, "F16": 1e-3, "BF16": 4e-3, "Q8_0": 0.015, "Q6_K": 0.045, "Q5_K": 0.09, "Q5_0": 0.13, "Q5_1": 0.09,
          "Q4_K": 0.16, "Q4_0": 0.27, "Q4_1": 0.16}  # fmt: skip


def compared(path, source, seed=0):
    """{"matrices", "weights", "worst_share", "worst"}: how many were compared, and the largest relative difference.

    None without the package `gguf`. ModelDamaged where a matrix is missing, or further off than rounding leaves it.
    """
    if find_spec("gguf") is None:
        return None
    made, given = gguf_header.tensors(path), gguf_header.tensors(source)
    chance, count, shares = np.random.default_rng(seed), 0, {}
    for name, tensor in given.items():
        if len(tensor.shape) != 2:
            continue
        if name not in made or made[name].shape != tensor.shape:
            raise ModelDamaged(f"{path}: {name} is missing or of another shape than in {source.name}. Delete the file, and "
                               "it is made again.")  # fmt: skip
        rows = np.sort(chance.choice(tensor.shape[1], min(ROWS, tensor.shape[1]), replace=False))
        ours, theirs = _rows(path, made[name], rows), _rows(source, tensor, rows)
        shares[name], count = _share(ours, theirs), count + ours.size
        if not shares[name] <= LIMITS.get(made[name].label, 0.5):
            raise ModelDamaged(f"{path}: {name} ({made[name].label}) is {shares[name]:.2%} away from {source.name}, more than "
                               "rounding leaves. Delete the file, and it is made again.")  # fmt: skip
    worst = max(shares, key=shares.get, default=None)
    return {"matrices": len(shares), "weights": count, "worst_share": shares.get(worst), "worst": worst}


def _share(ours, theirs):
    """Root mean square of the difference over that of the given weights; 0 where both are 0."""
    with np.errstate(invalid="ignore"):  # what is no number gives no share, and is refused
        apart, size = (float(np.sqrt(np.mean(np.square(x, dtype=np.float64)))) for x in (ours - theirs, theirs))
    return apart / size if size else apart


def _rows(path, tensor, rows):
    """float32 [row, weight] of some rows of a matrix, unpacked."""
    import gguf

    width = tensor.bytes // tensor.shape[1]
    packed = np.memmap(path, np.uint8, "r", offset=tensor.start, shape=(tensor.shape[1], width))[rows]
    return gguf.quants.dequantize(packed, gguf.GGMLQuantizationType[tensor.label])
