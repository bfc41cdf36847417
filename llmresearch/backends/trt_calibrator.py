"""Ranges for int8 as TensorRT 8.6 wants them: a calibrator that hands it windows of text, and keeps what it found.

Later versions quantise in the graph instead (trt_versions.py). On one H200 it calibrated and the engine was built; that engine has not run yet.
"""

import hashlib
import json

import numpy as np

from ..export import calibration, facts
from ..models.artifacts import cache_folder
from .trt_build import shapes
from .trt_device import Device

KINDS = {"input_ids": np.int32, "position_ids": np.int32, "cache_positions": np.int32, "logits_at": np.int32}


def windows(folder, vocab, seed, batch, tokens):
    """(int32 [window, batch, token], their origin, sha256): the calibration text in windows of the profile's best shape."""
    ids, origin = calibration.calibration_ids(folder, vocab, seed)
    rows = np.array([np.resize(window, (batch, tokens)) for window in ids], np.int32)
    return rows, origin, hashlib.sha256(rows.tobytes()).hexdigest()


def calibrator(api, onnx, folder, seed, profiles, device=None):
    """A calibrator object of this TensorRT; its cache is keyed by graph, data, seed and version."""
    graph, sizes = facts(onnx), profiles.sizes("whole")
    batch, tokens = sizes["batch"][1], sizes["token"][1]
    rows, origin, digest = windows(folder, graph["vocab"], seed, batch, tokens)
    key = hashlib.sha256(json.dumps([graph["sha256"], digest, origin, seed, api.version]).encode()).hexdigest()[:24]
    note = cache_folder() / "calibration" / f"trt-{key}.bin"
    return _kind(api.trt)(rows, _arrays(device or Device(), graph, sizes), note)


def _arrays(device, graph, sizes):
    """{input: Array on the GPU} of the profile's best shapes; an empty cache and positions from 0."""
    names = [f"past_key_values.{layer}.{part}" for layer in range(graph["layers"]) for part in ("key", "value")]
    past = (-1, graph["kv_heads"], -1, graph["head_width"])
    found = {name: device.array(shapes(name, past, sizes)[1], np.float32) for name in names}
    for name, kind in KINDS.items():
        found[name] = device.array(shapes(name, (-1, -1), sizes)[1], kind)
    for name in ("position_ids", "cache_positions"):
        batch, count = found[name].shape
        found[name].write(np.tile(np.arange(count, dtype=np.int32), (batch, 1)))
    found["logits_at"].write(np.zeros(found["logits_at"].shape, np.int32))
    device.wait()
    return found


def _kind(trt):
    class Calibrator(trt.IInt8EntropyCalibrator2):
        """What the builder asks for while it calibrates."""

        def __init__(self, rows, arrays, note):
            trt.IInt8EntropyCalibrator2.__init__(self)
            self.rows, self.arrays, self.note, self.next = rows, arrays, note, 0

        def get_batch_size(self):
            return self.rows.shape[1]

        def get_batch(self, names):
            if self.next == len(self.rows):
                return None
            ids = self.arrays["input_ids"]
            ids.write(self.rows[self.next])
            ids.device.wait()
            self.next += 1
            return [self.arrays[name].address for name in names]

        def read_calibration_cache(self):
            return self.note.read_bytes() if self.note.is_file() else None

        def write_calibration_cache(self, cache):
            self.note.parent.mkdir(parents=True, exist_ok=True)
            self.note.write_bytes(bytes(cache))

    return Calibrator
