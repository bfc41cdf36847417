"""What differs between the versions of TensorRT, in one place.

                      8.6                    10                        11                       RTX 1
    network           explicit batch         strongly typed            strongly typed           strongly typed
    fp16              flag FP16              types of the graph        types of the graph       types of the graph
    int8              flag and calibrator    explicit Q/DQ             explicit Q/DQ            explicit Q/DQ
    timing cache      yes                    yes                       yes                      none (no effect)
    target            the GPU here           the GPU here              the GPU here             named: a compute capability

10 still has calibrators, deprecated since 10.1; 11 has neither them nor the precision flags. A strongly typed
network keeps the types of the graph, so its types can be read without building. 8.6 may choose others.
RTX and 11 were looked up in their bindings; RTX builds in the tests. 8.6 ran on one H200 (fp32,
fp16; its calibrated int8 engine was as large as the fp32 one and its inspector showed no int8 layer); 10 and 11 were not yet run on a GPU.
"""

import ctypes
import importlib
from importlib.util import find_spec

MODULES = {"trt": "tensorrt", "trt-rtx": "tensorrt_rtx"}
PACKAGES = {"trt": "TensorRT (8.6, 10 or 11) with its Python bindings", "trt-rtx": "pip install tensorrt_rtx_cu13"}
TARGET = "8.9"  # what RTX builds for on a machine without a GPU, where nobody says otherwise
NO_DRIVER = "no NVIDIA driver: libcuda.so.1 cannot be loaded"


class Api:
    """One installed TensorRT; `name` is the backend's."""

    def __init__(self, name, module=None):
        self.name = name
        self.trt = module or importlib.import_module(MODULES[name])
        self.version = self.trt.__version__
        self.rtx = name == "trt-rtx"
        self.strong = self.rtx or int(self.version.split(".")[0]) >= 10

    @property
    def lends(self):
        """May several contexts have one profile?"""
        return self.strong

    @property
    def times_tactics(self):
        """Does a timing cache shorten later builds?"""
        return not self.rtx

    def network_flags(self):
        """The flags of a new network."""
        kinds = self.trt.NetworkDefinitionCreationFlag.__members__
        names = ("STRONGLY_TYPED",) if self.strong else ("EXPLICIT_BATCH",)
        return sum(1 << int(kinds[name]) for name in names if name in kinds)

    def method(self, dtype):
        """How int8 comes about: `static` (Q/DQ in the graph) or `calibrator`; None for other types."""
        if dtype != "int8":
            return None
        return "static" if self.strong else "calibrator"

    def set_precision(self, config, dtype, calibrator=None):
        """The flags of a precision. TF32 is no fp32: it is off."""
        flags = self.trt.BuilderFlag
        config.clear_flag(flags.TF32)
        if not self.strong:  # cuDNN's tactics want all of its libraries; a layer norm alone wants its ops library
            config.set_tactic_sources(config.get_tactic_sources() & ~(1 << int(self.trt.TacticSource.CUDNN)))
        if not self.strong and dtype == "fp16":
            config.set_flag(flags.FP16)
        if not self.strong and dtype == "int8":
            config.set_flag(flags.INT8)
            config.int8_calibrator = calibrator

    def targets(self):
        """The compute capabilities that an engine can be built for by name, as "8.9"; empty: only for the GPU here."""
        known = getattr(self.trt, "ComputeCapability", None) if self.rtx else None
        names = [name for name in getattr(known, "__members__", ()) if name.startswith("SM")]
        return [f"{name[2:-1]}.{name[-1]}" for name in names]

    def set_target(self, config, capability):
        """Builds for a compute capability where the version can."""
        if self.targets():
            config.num_compute_capabilities = 1
            kind = getattr(self.trt.ComputeCapability, "SM" + capability.replace(".", ""))
            config.set_compute_capability(kind, 0)


def installed(name):
    """Is the engine's Python package here?"""
    return find_spec(MODULES[name]) is not None


def driver_lack():
    """Why the NVIDIA driver cannot be used here, or None."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return NO_DRIVER
    code = driver.cuInit(0)
    return None if code == 0 else f"the NVIDIA driver does not start (cuInit failed with error {code})"
