"""A folder's safetensors as numpy arrays in fp32, one tensor at a time: no torch, nothing that could run code."""

import numpy as np

from ..models.artifacts import read_tensors
from .architecture import ExportError

_TYPES = {"F32": np.float32, "F16": np.float16, "F64": np.float64}


class Weights:
    """The tensors of a model folder by name; a prefix that only some checkpoints have is left out."""

    def __init__(self, folder):
        self.folder = folder
        self.found = {_plain(name): entry for name, entry in read_tensors(folder).items()}

    def __contains__(self, name):
        return name in self.found

    def __getitem__(self, name):
        """The tensor as a contiguous fp32 array."""
        if name not in self.found:
            raise ExportError(
                f"{self.folder}: has no tensor {name}. Its config.json belongs to another model."
            )
        entry = self.found[name]
        with open(entry["file"], "rb") as file:
            file.seek(entry["start"])
            data = file.read(entry["end"] - entry["start"])
        return _as_float(data, entry["dtype"], self.folder).reshape(entry["shape"])

    def linear(self, *names):
        """(matrix [in, out], bias [out] or None) of linear layers side by side, as torch keeps them: [out, in] each."""
        matrix = np.concatenate([self[f"{name}.weight"] for name in names]).T
        biases = [self[f"{name}.bias"] for name in names if f"{name}.bias" in self]
        if biases and len(biases) < len(names):
            raise ExportError(
                f"{self.folder}: only some of {', '.join(names)} have a bias. This is not exported."
            )
        return np.ascontiguousarray(matrix), np.concatenate(biases) if biases else None


def _plain(name):
    for prefix in ("transformer.", "model."):
        name = name.removeprefix(prefix)
    return name


def _as_float(data, dtype, folder):
    if dtype == "BF16":  # the upper half of an fp32
        return (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32)
    if dtype not in _TYPES:
        raise ExportError(
            f"{folder}: a tensor of type {dtype} is not exported. Save the model as F32, F16 or BF16."
        )
    return np.frombuffer(data, _TYPES[dtype]).astype(np.float32)
