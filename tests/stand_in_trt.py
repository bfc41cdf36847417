"""A stand-in for TensorRT 10, pycuda and the CUDA driver, backed by ONNX Runtime and host memory. It is none of them.

It keeps to their contracts where a mistake would show on a GPU only: addresses and shapes are those that were set
when work was put on a stream or recorded, a recording runs nothing, a graph replays with the addresses it was
recorded with, shapes outside a profile are refused, and no input may lie where an output is written.
"""

import ctypes
import json
from enum import IntEnum
from types import SimpleNamespace

import numpy as np

__version__ = "10.13.0"
DataType = IntEnum("DataType", "FLOAT HALF INT8 INT32 INT64")
NetworkDefinitionCreationFlag = IntEnum("NetworkDefinitionCreationFlag", "STRONGLY_TYPED", start=1)
BuilderFlag = IntEnum("BuilderFlag", "TF32 FP16 INT8")
ProfilingVerbosity = IntEnum("ProfilingVerbosity", "DETAILED")
LayerInformationFormat = IntEnum("LayerInformationFormat", "JSON")
KINDS = {1: DataType.FLOAT, 10: DataType.HALF, 6: DataType.INT32, 7: DataType.INT64}
streams = {}


class ILogger:
    ERROR, INTERNAL_ERROR, WARNING = 1, 0, 2


class Builder:
    def __init__(self, log):
        self.log = log

    def create_network(self, flags):
        assert flags == 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED
        return Network()

    def create_builder_config(self):
        return Config()

    def create_optimization_profile(self):
        return Profile()

    def build_serialized_network(self, network, config):
        assert BuilderFlag.TF32 in config.cleared and not config.set_flags
        what = {"onnx": network.path, "profiles": [p.shapes for p in config.profiles], "layers": network.kinds}
        return json.dumps(what).encode()


class Network:
    def get_input(self, index):
        return self.inputs[index]

    def get_layer(self, index):
        output = SimpleNamespace(dtype=DataType[self.kinds[index]])
        return SimpleNamespace(num_outputs=1, get_output=lambda _: output)


class OnnxParser:
    num_errors = 0

    def __init__(self, network, log):
        self.network = network

    def parse_from_file(self, path):
        import onnx

        graph, network = onnx.load(path, load_external_data=False).graph, self.network
        network.path = path
        network.inputs = [
            SimpleNamespace(name=x.name, dtype=KINDS[x.type.tensor_type.elem_type],
                            shape=[d.dim_value or -1 for d in x.type.tensor_type.shape.dim]) for x in graph.input
        ]  # fmt: skip
        network.kinds = ["INT8" if node.op_type == "QuantizeLinear" else "FLOAT" for node in graph.node]
        network.num_inputs, network.num_layers = len(network.inputs), len(network.kinds)
        return True


class Config:
    def __init__(self):
        self.cleared, self.set_flags, self.profiles = [], [], []

    def clear_flag(self, flag):
        self.cleared.append(flag)

    def set_flag(self, flag):
        self.set_flags.append(flag)

    def add_optimization_profile(self, profile):
        self.profiles.append(profile)

    def create_timing_cache(self, data):
        return SimpleNamespace(serialize=lambda: data + b"t")

    def set_timing_cache(self, cache, ignore_mismatch):
        self.cache = cache

    def get_timing_cache(self):
        return self.cache


class Profile:
    def __init__(self):
        self.shapes = {}

    def set_shape(self, name, least, best, most):
        assert all(a <= b <= c for a, b, c in zip(least, best, most)), name
        self.shapes[name] = [least, most]


class Runtime:
    def __init__(self, log):
        self.log = log

    def deserialize_cuda_engine(self, data):
        return Engine(json.loads(data)) if data.startswith(b"{") else None


class Engine:
    def __init__(self, what):
        import onnxruntime

        onnxruntime.set_default_logger_severity(3)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.what, self.num_layers = what, len(what["layers"])
        self.session = onnxruntime.InferenceSession(what["onnx"], options, providers=["CPUExecutionProvider"])

    def create_execution_context(self):
        return Context(self)

    def create_engine_inspector(self):
        return Inspector(self.what["layers"])


class Inspector:
    """Names types only where it knows shapes, as 8.6 does."""

    execution_context = None

    def __init__(self, kinds):
        self.kinds = kinds

    def get_layer_information(self, index, form):
        words = {"FLOAT": "Row major linear FP32", "HALF": "Row major linear FP16 format", "INT8": "Int8", "COPY": "Row major linear FP16 format", "SILENT": ""}
        known = self.execution_context is not None and "input_ids" in self.execution_context.shapes
        word = words[self.kinds[index]] if known else "N/A due to dynamic shapes"
        layer = "Reformat" if self.kinds[index] == "COPY" else "Myelin"
        return word and json.dumps({"Name": str(index), "LayerType": layer, "Outputs": [{"Format/Datatype": word}]})


class Context:
    def __init__(self, engine):
        self.engine, self.addresses, self.shapes = engine, {}, {}

    def set_optimization_profile_async(self, index, stream):
        self.profile = self.engine.what["profiles"][index]
        return True

    def set_input_shape(self, name, shape):
        least, most = self.profile[name]
        self.shapes[name] = tuple(shape)
        return len(shape) == len(least) and all(a <= b <= c for a, b, c in zip(least, shape, most))

    def set_tensor_address(self, name, address):
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream):
        addresses, shapes = dict(self.addresses), dict(self.shapes)
        inputs = {addresses[x.name] for x in self.engine.session.get_inputs()}
        assert not inputs & {addresses[x.name] for x in self.engine.session.get_outputs()}, "an input is an output"
        streams[stream].put(lambda: _run(self.engine.session, addresses, shapes))
        return True


def _run(session, addresses, shapes):
    types = {"tensor(float)": np.float32, "tensor(int32)": np.int32, "tensor(float16)": np.float16}
    feeds = {x.name: _at(addresses[x.name], shapes[x.name], types[x.type]).copy() for x in session.get_inputs()}
    for output, value in zip(session.get_outputs(), session.run(None, feeds)):
        ctypes.memmove(addresses[output.name], np.ascontiguousarray(value).ctypes.data, value.nbytes)


def _at(address, shape, dtype):
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_char * count).from_address(address), dtype).reshape(shape)


class Stream:
    """pycuda's stream: work runs when it is waited for, or goes into a recording."""

    def __init__(self):
        self.handle, self.waiting, self.recorded = 4096 + len(streams), [], None
        streams[self.handle] = self

    def put(self, work):
        (self.waiting if self.recorded is None else self.recorded).append(work)

    def synchronize(self):
        assert self.recorded is None, "operation not permitted when stream is capturing"
        waiting, self.waiting = self.waiting, []
        for work in waiting:
            work()


class Memory:
    def __init__(self, count):
        self.data = np.full(count, 255, np.uint8)  # nan, until somebody writes

    def __int__(self):
        return self.data.ctypes.data


class Event:
    def record(self, stream):
        self.recorded = True

    def synchronize(self):
        assert self.recorded

    def time_till(self, other):
        return 2.0


class Chip:
    def __init__(self, index):
        self.held = []

    def name(self):
        return "stand-in"

    def compute_capability(self):
        return 8, 9

    def retain_primary_context(self):
        return SimpleNamespace(push=lambda: None, pop=lambda: None)


def _to_host(host, memory, stream):
    stream.put(lambda: ctypes.memmove(host.ctypes.data, int(memory), host.nbytes))


def _to_device(memory, host, stream):
    stream.put(lambda: ctypes.memmove(int(memory), host.ctypes.data, host.nbytes))


cuda = SimpleNamespace(
    init=lambda: None, Device=Chip, Stream=Stream, Event=Event, mem_alloc=Memory, pagelocked_empty=np.empty,
    memset_d8_async=lambda memory, value, count, stream: stream.put(lambda: memory.data.fill(value)),
    memcpy_htod_async=_to_device, memcpy_dtoh_async=_to_host,
)  # fmt: skip


class Driver:
    """The four calls of libcuda that record and replay."""

    def __init__(self):
        self.graphs, self.launches, self.made = {}, 0, 0

    def cuStreamBeginCapture_v2(self, stream, mode):
        streams[stream.value].recorded = []
        return 0

    def cuStreamEndCapture(self, stream, graph):
        found = streams[stream.value]
        self.made += 1
        graph._obj.value = self.made
        self.graphs[graph._obj.value], found.recorded = found.recorded, None
        return 0

    def cuGraphInstantiateWithFlags(self, made, graph, flags):
        made._obj.value = graph.value
        return 0

    def cuGraphLaunch(self, made, stream):
        self.launches += 1
        for work in self.graphs[made.value]:
            streams[stream.value].put(work)
        return 0

    def cuGraphExecDestroy(self, made):
        del self.graphs[made.value]  # what was recorded holds its context, and that the engine
        return 0

    def cuGraphDestroy(self, graph):
        return 0
