"""The engine side of ort.py: opening a session, its memory, and what it says about itself."""

import itertools
import json
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ..export import Variant, source_sha256
from ..export.variant import METHODS
from ..records import LlmResearchError
from ..timing import available_cores

DTYPES = {"cpu": ("fp32", "int8"), "cuda": ("fp32", "fp16", "int8")}
WHY = {("cpu", "fp16"): "computes fp16 in fp32 on a processor, with casts in between"}
ON_CUDA = ("blocks",)  # ways to 8 bits whose operator has a CUDA kernel; the others are the processor's
MOVES = ("MemcpyToHost", "MemcpyFromHost")
INTEGER = (
    "DynamicQuantizeMatMul",
    "MatMulIntegerToFloat",
    "MatMulInteger",
    "QLinearMatMul",
    "QGemm",
    "MatMulNBits",
)
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
QUIET = 3  # log severity: errors only
_graph_ids = itertools.count(1)


class OrtError(LlmResearchError):
    """A request that the session cannot take, or a session that is not what was asked for."""


def refusal(cell, name, options):
    """The reason why this machine cannot measure the cell with ONNX Runtime, or None."""
    unknown = sorted(set(cell.options) - set(options))
    if unknown:
        return f"{name}: unknown option {unknown[0]!r}. Known options: {', '.join(options)}."
    if cell.dtype not in DTYPES[cell.device]:
        why = WHY.get((cell.device, cell.dtype), f"has no {cell.dtype} kernels for what it would need")
        return (
            f"{name}: ONNX Runtime {why}. On {cell.device} it measures {' and '.join(DTYPES[cell.device])}."
        )
    if not isinstance(cell.options.get("onnx", ""), str):
        return f"{name}: onnx: {cell.options['onnx']!r} is no path. Name the model.onnx of an export."
    method = cell.options.get("method", METHODS[0])
    if method not in METHODS:
        return f"{name}: method {method!r} is none of {', '.join(METHODS)}."
    if cell.device == "cuda" and cell.dtype == "int8" and method not in ON_CUDA:
        return (
            f"{name}: ONNX Runtime would run 8-bit matrices of method {method} on the processor. "
            f"On cuda it measures {' and '.join(ON_CUDA)}."
        )
    if find_spec("onnxruntime") is None:
        package = "onnxruntime-gpu" if cell.device == "cuda" else "onnxruntime"
        return f"{name}: needs onnxruntime, not installed here: pip install {package}."
    return _refuses_device(cell, name)


def _refuses_device(cell, name):
    if cell.device != "cuda":
        return None
    import onnxruntime

    if PROVIDERS["cuda"] in onnxruntime.get_available_providers():
        return None
    return f"{name}: needs a CUDA device; this onnxruntime was built without CUDA. Install onnxruntime-gpu."


def same_model(path, facts, folder):
    """Nothing, or an OrtError where the file was exported from another model than the one in `folder`."""
    here = source_sha256(folder)
    if facts["source_sha256"] != here:
        raise OrtError(
            f"{path}: sha256 mismatch: it was exported from a model of {facts['source_sha256'][:12]}…, and the one here is "
            f"{here[:12]}… (weights and configuration). Export this model, or leave out the option onnx."
        )


def as_asked(path, facts, cell):
    """Nothing, or an OrtError where the file has another precision or cache than the cell and this backend take."""
    found = facts["variant"]
    if (found["dtype"], found["form"]) != (cell.dtype, Variant.form):
        raise OrtError(
            f"{path}: invalid output: it is {found['dtype']} with a cache of form {found['form']}, and the cell wants "
            f"{cell.dtype}, form {Variant.form}. Name another file, or leave out the option onnx."
        )


def opened(path, cell, profile=None):
    """(session, {"step", "whole"} run options) of an ONNX file on the cell's device; OrtError where it cannot be."""
    import onnxruntime as ort

    ort.set_default_logger_severity(QUIET)
    if cell.device == "cuda":
        ort.preload_dlls(msvc=False)  # CUDA's and cuDNN's libraries from their packages, where those are installed
    options = ort.SessionOptions()
    options.intra_op_num_threads = cell.threads or available_cores()
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    graphs = graphed(cell) and not profile
    try:
        session = ort.InferenceSession(str(path), options, providers=_providers(cell.device, graphs))
    except _failures() as error:
        raise OrtError(
            f"{path}: ONNX Runtime {ort.__version__} cannot load it ({_first_line(error)})."
        ) from error
    session.disable_fallback()
    _really_on(session, cell.device)
    whole = ort.RunOptions()
    if graphs:
        whole.add_run_config_entry("gpu_graph_id", "-1")
    return session, {"whole": whole, "step": ort.RunOptions() if graphs else None}


def graphed(cell):
    """Does a step replay a CUDA graph? Not with several requests at once: another thread's work spoils a recording."""
    return cell.device == "cuda" and cell.concurrency == 1 and cell.options.get("cuda_graph", True)


def _providers(device, graphs):
    if device == "cpu":
        return [PROVIDERS["cpu"]]
    return [
        (PROVIDERS["cuda"], {"enable_cuda_graph": "1" if graphs else "0", "use_tf32": "0"}),
        PROVIDERS["cpu"],
    ]


def _failures():
    """The exceptions that ONNX Runtime raises for a file it cannot load; they have no common base."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = (
        "Fail",
        "InvalidArgument",
        "InvalidGraph",
        "InvalidProtobuf",
        "NoSuchFile",
        "NotImplemented",
        "RuntimeException",
    )
    return tuple(getattr(state, name) for name in names)


def _first_line(error):
    return str(error).strip().splitlines()[0]


def _really_on(session, device):
    if PROVIDERS[device] not in session.get_providers():
        raise OrtError(
            f"ort: asked for {PROVIDERS[device]} and got {session.get_providers()}: its CUDA or cuDNN library was not found. "
            "Put both on the library path, in the versions that this onnxruntime names."
        )


class Array:
    """One tensor that stays where it is; `write` and `read` move it between host and device, on a processor without a copy."""

    def __init__(self, shape, dtype, device):
        import onnxruntime as ort

        self.shape = tuple(shape)
        if device == "cpu":
            self.host = np.zeros(shape, dtype)
            self.value = ort.OrtValue.ortvalue_from_numpy(self.host)
        else:
            self.host = None
            self.value = ort.OrtValue.ortvalue_from_numpy(np.zeros(shape, dtype), "cuda", 0)

    def write(self, values):
        if values.shape != self.shape:
            raise OrtError(
                f"ort: a shape of {values.shape} where {self.shape} is bound. Start the cell with this shape."
            )
        if self.host is None:
            self.value.update_inplace(np.ascontiguousarray(values))
        else:
            self.host[...] = values

    def read(self):
        return self.value.numpy() if self.host is None else self.host


class Bound:
    """A binding of the session with the arrays that belong to it alone."""

    def __init__(self, io, ids, places, answer, logits):
        self.io, self.ids, self.places, self.answer, self.logits = io, ids, places, answer, logits


class Buffers:
    """All memory for a batch: the cache, the step's id and position, and the bindings over them."""

    def __init__(self, session, facts, device, batch, slots):
        self.session, self.facts, self.device = session, facts, device
        self.batch, self.slots, self.graph_id = batch, slots, next(_graph_ids)
        cache = np.float16 if facts["variant"]["dtype"] == "fp16" else np.float32
        shape = (batch, facts["kv_heads"], slots, facts["head_width"])
        self.cache = {
            f"{layer}.{part}": Array(shape, cache, device)
            for layer in range(facts["layers"])
            for part in ("key", "value")
        }
        self.ids, self.positions = (Array((batch, 1), np.int32, device) for _ in range(2))
        self.order = self._filled(np.tile(np.arange(slots, dtype=np.int32), (batch, 1)))

    def _filled(self, values):
        found = Array(values.shape, values.dtype, self.device)
        found.write(values)
        return found

    def binding(self, tokens, rows, logits=False, step=False):
        """A Bound for `tokens` at a time that answers for the last `rows` of them, with logits where they are wanted.

        A `step` has its own outputs as next inputs. Others run from an empty cache, and their answer goes to
        the step's inputs where it is one id.
        """
        io = self.session.io_binding()
        ids = self.ids if step else Array((self.batch, tokens), np.int32, self.device)
        places = (
            self.positions
            if step
            else self._filled(np.tile(np.arange(tokens, dtype=np.int32), (self.batch, 1)))
        )
        answer = self.ids if rows == 1 else Array((self.batch, rows), np.int32, self.device)
        scores = Array((self.batch, rows, self.facts["vocab"]), np.float32, self.device) if logits else None
        inputs = {"input_ids": ids, "position_ids": places, "cache_positions": self.order,
                  "logits_at": self._filled(np.arange(tokens - rows, tokens, dtype=np.int32))}  # fmt: skip
        outputs = {"next_ids": answer, "next_positions": self.positions} | (
            {"logits": scores} if logits else {}
        )
        for key, array in self.cache.items():
            inputs[f"past_key_values.{key}"] = outputs[f"present.{key}"] = array
        for name, array in inputs.items():
            io.bind_ortvalue_input(name, array.value)
        for name, array in outputs.items():
            io.bind_ortvalue_output(name, array.value)
        return Bound(io, ids, places, answer, scores)


def kernels(path, cell, facts):
    """{provider: {operator: count}} of the nodes that ran in one step, from the engine's profile of a session like ours.

    A session profiles from its start or never, and profiling costs time in every call: so this is a session
    of its own.
    """
    with tempfile.TemporaryDirectory() as folder:
        session, options = opened(path, cell, Path(folder) / "profile")
        session.run_with_iobinding(
            Buffers(session, facts, cell.device, 1, 8).binding(1, 1, step=True).io, options["whole"]
        )
        events = json.loads(Path(session.end_profiling()).read_text())
    found = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            counts = found.setdefault(event["args"]["provider"], {})
            counts[event["args"]["op_name"]] = counts.get(event["args"]["op_name"], 0) + 1
    return found


def evidence(session, path, facts, ran, cell, buffers):
    """What really ran; OrtError where an int8 cell has no integer kernel."""
    import onnxruntime as ort

    on_device = ran.get(PROVIDERS[cell.device], {})
    integer = {op: n for op, n in on_device.items() if op in INTEGER}
    if cell.dtype == "int8" and not integer:
        raise OrtError(
            f"{path}: no int8 layers ran on {cell.device}, only {sorted(set().union(*ran.values()))}. "
            "Do not trust its label."
        )
    elements = facts["initializer_elements"]
    kept = {"FLOAT": "fp32", "FLOAT16": "fp16", "INT8": "int8", "UINT8": "int8"}
    held = max(kept, key=lambda name: elements.get(name, 0))
    elsewhere = {
        op: n
        for provider, counts in ran.items()
        if provider != PROVIDERS[cell.device]
        for op, n in counts.items()
    }
    pairs = [] if buffers is None else buffers.cache.values()
    return {
        "engine": "onnxruntime", "onnxruntime": ort.__version__, "dtype": kept[held], "device": cell.device,
        "providers": session.get_providers(), "assigned": _assigned(session), "ran": ran, "fell_back": elsewhere,
        "copies_to_or_from_host": sum(n for counts in ran.values() for op, n in counts.items() if op in MOVES),
        "quantised": integer, "method": facts["variant"]["method"], "weights": elements, "parameters": facts["params"],
        "opset": facts["opset"], "onnx_bytes": facts["bytes"], "export_seconds": facts.get("export_seconds"),
        "sampled": facts.get("sampled"), "onnx_sha256": facts["sha256"],
        "data_sha256": facts["data_sha256"], "model_sha256": session.get_modelmeta().custom_metadata_map.get("model_sha256"),
        "calibration": facts["calibration"], "threads": session.get_session_options().intra_op_num_threads,
        "cache": "one buffer in and out, written in place", "cache_bytes": sum(a.value.tensor_size_in_bytes() for a in pairs),
        "cuda_graph": graphed(cell),
    }  # fmt: skip


def _assigned(session):
    """{provider: nodes} as the session assigned them."""
    found = {}
    for part in session.get_provider_graph_assignment_info():
        found[part.ep_name] = found.get(part.ep_name, 0) + len(part.get_nodes())
    return found
