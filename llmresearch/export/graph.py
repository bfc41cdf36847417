"""An ONNX graph that grows node by node; its weights go straight to a file beside it, so none is held twice."""

import hashlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ALIGNED = 4096  # bytes: ONNX Runtime can map weights into memory that begin at a page
INLINE = 1024  # bytes: smaller tensors stand in the graph itself
IR_VERSIONS = {17: 8, 24: 13}  # the oldest intermediate representation that each opset is defined for
_TYPES = {np.dtype("float32"): TensorProto.FLOAT, np.dtype("float16"): TensorProto.FLOAT16,
          np.dtype("int8"): TensorProto.INT8, np.dtype("uint8"): TensorProto.UINT8,
          np.dtype("int32"): TensorProto.INT32, np.dtype("int64"): TensorProto.INT64,
          np.dtype("bool"): TensorProto.BOOL}  # fmt: skip


class Graph:
    """`graph("Add", a, b)` adds a node and gives its output's name; `weight` and `constant` name tensors.

    A context manager: its data file is open inside.
    """

    def __init__(self, opset, folder, data_name):
        self.opset = opset
        self.folder, self.data_name = folder, data_name
        self.nodes, self.inputs, self.outputs = [], [], []
        self.initializers, self.known = [], {}
        self.data = open(folder / data_name, "wb")
        self.scope = ""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.data.close()

    def __call__(self, kind, *inputs, outputs=1, **attributes):
        base = f"{self.scope}{kind}_{len(self.nodes)}"
        names = [base] if outputs == 1 else [f"{base}.{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=base, **attributes))
        return names[0] if outputs == 1 else names

    def input(self, name, dtype, shape):
        self.inputs.append(helper.make_tensor_value_info(name, _TYPES[np.dtype(dtype)], shape))
        return name

    def output(self, source, name, dtype, shape):
        """Gives the tensor `source` the public name `name`: the node that makes it is renamed, nothing is copied."""
        for node in self.nodes:
            for list_of_names in (node.input, node.output):
                for place, found in enumerate(list_of_names):
                    if found == source:
                        list_of_names[place] = name
        self.outputs.append(helper.make_tensor_value_info(name, _TYPES[np.dtype(dtype)], shape))
        return name

    def constant(self, value, dtype):
        """The name of a small tensor; equal ones are kept once."""
        array = np.asarray(value, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.known:
            self.known[key] = self.weight(f"constant_{len(self.known)}", array)
        return self.known[key]

    def weight(self, name, array):
        """The name of an initializer; large ones go to the data file."""
        array = np.asarray(array, order="C")
        if array.nbytes < INLINE:
            self.initializers.append(numpy_helper.from_array(array, name))
            return name
        self.data.write(b"\0" * (-self.data.tell() % ALIGNED))
        tensor = TensorProto(name=name, data_type=_TYPES[array.dtype], dims=array.shape)
        tensor.data_location = TensorProto.EXTERNAL
        place = (("location", self.data_name), ("offset", self.data.tell()), ("length", array.nbytes))
        for key, value in place:
            tensor.external_data.add(key=key, value=str(value))
        self.data.write(array.data)
        self.initializers.append(tensor)
        return name

    def save(self, name, notes):
        """Path of the graph, written into the folder as `name`."""
        graph = helper.make_graph(self.nodes, "decoder", self.inputs, self.outputs, self.initializers)
        extra = sorted({node.domain for node in self.nodes} - {""})
        opsets = [helper.make_opsetid("", self.opset), *(helper.make_opsetid(domain, 1) for domain in extra)]
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSIONS[self.opset], producer_name="llmresearch"
        )  # fmt: skip
        helper.set_model_props(model, notes)
        path = self.folder / name
        onnx.save(model, path)
        return path


def sha256(path):
    """str: the hash of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
