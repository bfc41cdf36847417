"""A finished file's weights beside the model's own: a sample of every matrix, the difference in steps of its type."""

import numpy as np
import onnx

from .architecture import ExportError
from .weights import Weights

TABLES = ("wte.weight", "wpe.weight", "embed_tokens.weight", "lm_head.weight")  # kept [row, width], as the model does
CHANNELS = 16  # of every matrix, drawn by the seed; all weights of a channel are compared
HALF_STEP = 0.5 + 1e-3  # what rounding to the nearest leaves, and the rounding of the scale itself


def compared(path, folder, family, seed=0):
    """{"matrices", "weights", "worst_steps"}: how many were compared, and the largest difference.

    The unit is what the file can tell apart: the scale of an 8-bit weight, the spacing of a floating-point number.
    Rounding leaves half of it; ExportError where a weight is further off, so is not the model's.
    """
    model, weights = onnx.load(path, load_external_data=False), Weights(folder)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    chance, count, worst, matrices = np.random.default_rng(seed), 0, 0.0, 0
    for name in stored:
        source = _source(weights, name, family)
        if source is None:
            continue
        axis = 0 if name in TABLES else 1
        chosen = np.sort(chance.choice(source.shape[axis], min(CHANNELS, source.shape[axis]), replace=False))
        steps = _steps(_Read(stored, path), name, source, axis, chosen)
        matrices, count, worst = matrices + 1, count + steps.size, max(worst, float(steps.max()))
        if not worst <= HALF_STEP:
            raise ExportError(f"{path}: {name} is {worst:.3g} steps of its type away from the model's own weight, and "
                              "rounding leaves half a step. Delete the folder, and export the model again.")  # fmt: skip
    return {"matrices": matrices, "weights": count, "worst_steps": worst}


class _Read:
    """Stored tensors as arrays, by name."""

    def __init__(self, stored, path):
        self.stored, self.folder = stored, str(path.parent)

    def __getitem__(self, name):
        return onnx.numpy_helper.to_array(self.stored[name], base_dir=self.folder)


def _source(weights, name, family):
    """The model's own matrix behind a stored weight, [in, out] (a table [row, width]); None for what is none."""
    if not name.endswith(".weight"):
        return None
    stem = name.removesuffix(".weight")
    if name in TABLES or family == "gpt2":
        found = weights[name] if name in weights else None
    else:
        place, _, parts = stem.rpartition(".")
        names = [f"{place}.{part}" for part in parts.split("+")]
        found = weights.linear(*names)[0] if all(f"{n}.weight" in weights for n in names) and ".layers." in f".{stem}" else None
    return found if found is not None and found.ndim == 2 else None


def _steps(read, name, source, axis, chosen):
    """|stored - source| of the chosen channels, [channel, weight], in steps of the stored type."""
    wanted = np.take(source, chosen, axis)
    wanted = wanted if axis == 0 else wanted.T
    held, unit = _channels(read, name, axis, chosen)
    unit = np.spacing(np.abs(wanted.astype(held.dtype))).astype(np.float64) if unit is None else unit
    return np.abs(held.astype(np.float64) - wanted) / unit


def _channels(read, name, axis, chosen):
    """(stored values [channel, weight], the step of each or None where it is that of a floating-point type)."""
    whole, scales = read[name], _scale_name(name)
    if whole.dtype == np.uint8:  # blocks: [channel, block, size] around 128, a scale for each block
        scale = read[f"{name if name in TABLES else scales}.scale"].reshape(whole.shape[:2])[chosen, :, None].astype(np.float64)
        values = (whole[chosen].astype(np.float64) - 128) * scale
        return values.reshape(len(chosen), -1), np.broadcast_to(scale, values.shape).reshape(len(chosen), -1)
    part = np.take(whole, chosen, axis)
    part = part if axis == 0 else part.T
    if whole.dtype != np.int8:
        return part, None
    scale = read[f"{name}.row_scale" if name in TABLES else f"{scales}.scale"].ravel()[chosen, None].astype(np.float64)
    return part * scale, scale


def _scale_name(name):
    return name.removesuffix(".weight")
