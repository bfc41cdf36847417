"""An ONNX file in, a TensorRT engine out: built once per content, version, GPU, precision and profiles, and kept.

An engine lies in a folder of its own beside what was found when it was built (engine.json). A folder that is
cut short or was made for something else is built again, and says so; a folder that the user names is refused.
"""

import hashlib
import json
import os
import time
from functools import cache
from pathlib import Path

from ..export import facts as export_facts
from ..models.artifacts import cache_folder
from ..records import LlmResearchError

REVISION = 1  # of this file: a change of what it builds makes every kept engine stale
PLAN, FACTS = "engine.plan", "engine.json"
NO_DRIVER = "[checkMacros.cpp::catchCudaError"  # how the message of a missing driver begins
WORDS = {"FLOAT": "fp32", "HALF": "fp16", "INT8": "int8", "INT32": "int32", "INT64": "int64", "BOOL": "bool",
         "BF16": "bf16", "FP8": "fp8", "UINT8": "uint8"}  # fmt: skip


class EngineError(LlmResearchError):
    """An engine that could not be built, or that is not what was asked for."""


def listener(trt):
    """The process's one logger of this TensorRT, its `.errors`, list of str, emptied; it prints nothing."""
    found = _listener(trt)
    found.errors.clear()
    return found


@cache
def _listener(trt):
    """Never let go of: TensorRT keeps the first logger that it is given, beyond the builder's life."""

    class Listener(trt.ILogger):
        def __init__(self):
            trt.ILogger.__init__(self)
            self.errors = []

        def log(self, severity, message):
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.errors.append(" ".join(message.split()))

    return Listener()


def engine(api, onnx, dtype, profiles, gpu, calibrator=None):
    """(Path of the engine, facts): the kept one, or a new one.

    `gpu`: {"name", "capability"} of the device that it is for. `calibrator` gives the calibrator of a version
    that has them, and is called where one builds.
    """
    wanted = identity(api, onnx, dtype, profiles, gpu)
    digest = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:16]
    place = cache_folder() / "engines" / f"{api.name}-{dtype}-{digest}"
    stale = None
    if place.is_dir():
        try:
            return place / PLAN, kept(place, wanted) | {"from_cache": True, "rebuilt_because": None}
        except EngineError as error:
            stale = str(error)
    found = _made(api, onnx, dtype, profiles, gpu, calibrator, place, wanted)
    return place / PLAN, found | {"from_cache": False, "rebuilt_because": stale}


def identity(api, onnx, dtype, profiles, gpu):
    """What an engine depends on, as JSON: an engine that differs in any of it is another one."""
    graph = export_facts(onnx)
    return {"revision": REVISION, "engine": api.name, "version": api.version, "dtype": dtype,
            "onnx_sha256": graph["sha256"], "data_sha256": graph["data_sha256"],
            "gpu": gpu["name"], "capability": gpu["capability"], "profiles": profiles.as_json()}  # fmt: skip


def kept(place, wanted):
    """The facts of an engine's folder; EngineError where it is cut short or not the one that `wanted` describes."""
    place = Path(place)
    try:
        found = json.loads((place / FACTS).read_text())
        data = (place / PLAN).read_bytes()
        identified, size, digest = found["identity"], found["bytes"], found["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineError(f"{place}: is no complete engine ({error}). Delete the folder, and it is built again.") from error
    for name, value in wanted.items():
        if identified.get(name) != value:
            raise EngineError(f"{place}: incompatible version: the engine was built for {name} {identified.get(name)!r}, "
                              f"and this run has {value!r}. Delete its folder, and one is built here.")  # fmt: skip
    if len(data) != size or hashlib.sha256(data).hexdigest() != digest:
        raise EngineError(f"{place}: file is truncated or changed: {len(data):,} bytes, {size:,} when the engine was "
                          "built. Delete the folder, and it is built again.")  # fmt: skip
    return found


def _made(api, onnx, dtype, profiles, gpu, calibrator, place, wanted):
    place.mkdir(parents=True, exist_ok=True)
    (place / FACTS).unlink(missing_ok=True)
    data, found = build(api, onnx, dtype, profiles, gpu["capability"], calibrator and calibrator())
    (place / PLAN).write_bytes(data)
    found |= {"identity": wanted, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (place / FACTS).write_text(json.dumps(found, indent=1) + "\n")
    return found


def build(api, onnx, dtype, profiles, capability, calibrator=None):
    """(bytes of the engine, {"build_seconds", "parsed", …}); EngineError in the builder's own words where it fails."""
    trt, log, began = api.trt, listener(api.trt), time.perf_counter()
    if api.targets() and capability not in api.targets():
        raise EngineError(f"{api.name}: {api.version} does not support compute capability {capability}, only "
                          f"{', '.join(api.targets())}. Use a GPU of that kind, or trt.")  # fmt: skip
    builder = trt.Builder(log)
    network, parser = _parsed(api, builder, onnx, log)  # the weights in the network are the parser's memory
    types = layer_types(network)
    if api.strong and dtype == "int8" and not types.get("int8"):
        raise EngineError(f"{onnx}: no int8 layers in the network, only {sorted(types)}. Export it with method: static.")
    config = _config(api, builder, network, dtype, profiles, capability, calibrator)
    kept_times, times = _timing_cache(api, config, capability)
    data = builder.build_serialized_network(network, config)
    del parser
    if data is None:
        raise EngineError(f"{api.name}: engine could not be built from {Path(onnx).name}: {_first(log)}")
    if kept_times:
        beside = kept_times.with_suffix(f".{os.getpid()}")
        beside.write_bytes(bytes(times.serialize()))
        beside.replace(kept_times)
    data, count = bytes(data), network.num_layers
    del config, times, network, builder  # in this order: the builder owns what the others point to
    return data, {"build_seconds": time.perf_counter() - began, "network_types": types,
                         "network_layers": count, "timing_cache": bool(kept_times)}  # fmt: skip


def _first(log):
    """What went wrong first; that a machine without a GPU has no driver is no reason, where there is another."""
    reasons = [_own(words) for words in log.errors if not words.startswith(NO_DRIVER)]
    return (reasons or log.errors or ["it gave no reason. Look at the GPU's memory."])[0]


def _own(words):
    """A message without the complaint about the absent driver that follows it on a machine without a GPU."""
    return " ".join(words.split()).partition(f" {NO_DRIVER}")[0]


def _parsed(api, builder, onnx, log):
    network = builder.create_network(api.network_flags())
    parser = api.trt.OnnxParser(network, log)
    if not parser.parse_from_file(str(onnx)):
        why = _own(parser.get_error(0).desc()) if parser.num_errors else _first(log)
        raise EngineError(f"{onnx}: failed to parse the ONNX file with {api.name} {api.version}: {why}")
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        if tensor.dtype == getattr(api.trt.DataType, "INT64", None):
            raise EngineError(f"{onnx}: input {tensor.name} is int64. Export it with int32 inputs: none is cast in every call.")
    return network, parser


def layer_types(network):
    """{type of the first output: layers} of a network, as parsed."""
    found = {}
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        if layer.num_outputs:
            word = layer.get_output(0).dtype.name
            found[WORDS.get(word, word.lower())] = found.get(WORDS.get(word, word.lower()), 0) + 1
    return found


def _config(api, builder, network, dtype, profiles, capability, calibrator):
    config = builder.create_builder_config()
    config.profiling_verbosity = api.trt.ProfilingVerbosity.DETAILED
    api.set_precision(config, dtype, calibrator)
    api.set_target(config, capability)
    for name in ("whole", "step"):
        config.add_optimization_profile(_profile(builder, network, profiles.sizes(name)))
    if calibrator is not None:
        config.set_calibration_profile(_profile(builder, network, profiles.sizes("whole")))
    return config


def _profile(builder, network, sizes):
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        profile.set_shape(tensor.name, *shapes(tensor.name, tuple(tensor.shape), sizes))
    return profile


def shapes(name, shape, sizes):
    """[shape at the least, the best, the most] of an input of the export's graph (export/decoder.py)."""
    axes = {"input_ids": ("batch", "token"), "position_ids": ("batch", "token"),
            "cache_positions": ("batch", "slot"), "logits_at": ("row",)}.get(name, ("batch", None, "slot", None))  # fmt: skip
    return [tuple(sizes[axis][i] if axis else shape[place] for place, axis in enumerate(axes)) for i in range(3)]


def _timing_cache(api, config, capability):
    """(Path, cache) of what earlier builds measured with this version on such a GPU, given to the builder.

    Nones where it has no effect. What the builder does not take, damaged or of another GPU, is begun anew.
    """
    if not api.times_tactics:
        return None, None
    path = cache_folder() / "engines" / f"timing-{api.name}-{api.version}-{capability}.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    known = path.read_bytes() if path.is_file() else b""
    times = config.create_timing_cache(known)
    if times is None or config.set_timing_cache(times, False) is False:
        times = config.create_timing_cache(b"")
        config.set_timing_cache(times, False)
    return path, times
