"""Which export is meant, and under which name it is kept."""

import hashlib
import json
from dataclasses import asdict, dataclass

from ..models.artifacts import describe, read_config
from .architecture import ExportError

MODEL, DATA, FACTS = "model.onnx", "model.onnx.data", "export.json"
REVISION = 4  # of the graph builder: a change of what it writes makes every cached export stale
IRRELEVANT = ("_name_or_path", "name_or_path", "transformers_version")  # of a configuration
DTYPES = ("fp32", "fp16", "int8")
METHODS = ("blocks", "dynamic", "static")
NAMES = ("in-place", "growing", "slots")  # forms.py


def source_sha256(folder):
    """str: the hash of what a graph is made from, a folder's configuration and its weights."""
    config = {key: value for key, value in read_config(folder).items() if key not in IRRELEVANT}
    what = json.dumps([describe(folder).content_sha256, config], sort_keys=True)
    return hashlib.sha256(what.encode()).hexdigest()


@dataclass(frozen=True)
class Variant:
    """One way to export a model.

    `form`: in-place (opset 24, for ONNX Runtime), growing or slots (opset 17, for TensorRT). `method`, of int8:
    blocks (a scale per 32 weights, ONNX Runtime's own operator), dynamic (a scale per channel; activations'
    ranges found in each call) or static (ranges calibrated beforehand; `seed` orders the calibration
    windows).
    """

    dtype: str = "fp32"
    form: str = "in-place"
    method: str | None = None
    seed: int | None = None

    def __post_init__(self):
        if self.dtype not in DTYPES:
            raise ExportError(f"export: dtype {self.dtype!r} is none of {', '.join(DTYPES)}. Change it.")
        if self.form not in NAMES:
            raise ExportError(f"export: form {self.form!r} is none of {', '.join(NAMES)}. Change it.")
        if (self.dtype == "int8") != (self.method in METHODS):
            raise ExportError(f"export: method {self.method!r} with {self.dtype}; int8 has {' or '.join(METHODS)}, "
                              "other types have none. Change it.")  # fmt: skip

    def key(self, source_sha256):
        """A short name for this export of this model."""
        what = json.dumps([REVISION, source_sha256, asdict(self)], sort_keys=True)
        words = [self.dtype, *filter(None, [self.method]), self.form]
        return f"{'-'.join(words)}-{hashlib.sha256(what.encode()).hexdigest()[:16]}"
