"""A model folder in, an ONNX folder out: model.onnx, its weights beside it, and what was checked (export.json).

Runs as a process of its own (`python -m llmresearch.export FOLDER PLACE OPTIONS`): the caller needs no onnx.
"""

import json
import time
from pathlib import Path

import numpy as np
import onnx

from ..models.artifacts import describe
from . import calibration
from .architecture import ExportError, read_architecture
from .comparing import compared
from .decoder import Decoder
from .forms import FORMS
from .graph import Graph, sha256
from .layers import Blocks8, Dynamic8, Observed, Plain, Static8
from .variant import DATA, FACTS, MODEL, source_sha256
from .weights import Weights

BITS = {"fp32": 32, "fp16": 16, "int8": 8}
SLACK, SLACK_BYTES = 0.01, 400_000  # of the size, and at least: alignment and the graph itself


def build(folder, place, variant):
    """dict of facts, also written to `place`: the graph of `folder` in the variant, checked."""
    place, began = Path(place), time.perf_counter()
    architecture = read_architecture(folder)
    measured = describe(folder)
    ranges = calibrated = None
    if variant.method == "static":
        ranges, calibrated = calibration.ranges(folder, architecture, variant)
    sources = {"model_sha256": measured.content_sha256, "source_sha256": source_sha256(folder)}
    notes = sources | {k: str(v) for k, v in vars(variant).items() if v is not None}
    path = write(folder, place, architecture, variant, ranges, notes)
    seconds = time.perf_counter() - began
    facts = {**sources, "params": measured.params_measured, "variant": vars(variant),
             "calibration": calibrated, "family": architecture.family, "layers": architecture.layers,
             "kv_heads": architecture.kv_heads, "head_width": architecture.head_width, "vocab": architecture.vocab,
             "positions": architecture.positions, "learned_positions": architecture.family == "gpt2",
             "onnx": onnx.__version__, "export_seconds": seconds}  # fmt: skip
    facts |= checked(path, facts) | {"sampled": compared(path, folder, architecture.family)}
    (place / FACTS).write_text(json.dumps(facts, indent=1) + "\n")
    return facts


def write(folder, place, architecture, variant, ranges=None, notes=None, observe=False):
    """Path of the graph; with `observe` it also gives the range of what goes into each matrix."""
    form = FORMS[variant.form]
    dtype = np.dtype(np.float16 if variant.dtype == "fp16" else np.float32)
    with Graph(form.opset, place, DATA) as graph:
        layers = Observed(graph, dtype) if observe else _layers(graph, dtype, variant, ranges)
        Decoder(architecture, Weights(folder), graph, form(graph, architecture, dtype), layers, dtype).build()
        if observe:
            layers.finish()
            notes = {"observed": json.dumps(layers.names)}
        return graph.save(MODEL, notes)


def _layers(graph, dtype, variant, ranges):
    if variant.method == "blocks":
        return Blocks8(graph, dtype)
    if variant.method == "dynamic":
        return Dynamic8(graph, dtype)
    if variant.method == "static":
        return Static8(graph, dtype, ranges, symmetric=variant.form != "in-place")
    return Plain(graph, dtype)


def checked(path, facts):
    """What the written files are, read back; ExportError where they are not what was asked for."""
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(path, load_external_data=False)
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    wanted = FORMS[facts["variant"]["form"]].opset
    if opset != wanted:
        raise ExportError(
            f"{path}: has opset {opset}, not {wanted}. Another exporter changed it: export it again."
        )
    size = path.stat().st_size + path.with_name(DATA).stat().st_size
    implied = facts["params"] * BITS[facts["variant"]["dtype"]] // 8
    most = implied * (1 + SLACK) + SLACK_BYTES + _kept_wide(model, facts)
    if not implied <= size <= most:
        raise ExportError(f"{path}: {size:,} bytes, and {facts['params']:,} parameters of "
                          f"{facts['variant']['dtype']} imply {implied:,} to {most:,.0f}. Weights are missing or stored twice.")  # fmt: skip
    types = _types(model)
    return {"opset": opset, "ir_version": model.ir_version, "nodes": len(model.graph.node), "bytes": size,
            "implied_bytes": implied, "initializer_elements": types, "checker": "passed", "sha256": sha256(path),
            "data_sha256": sha256(path.with_name(DATA))}  # fmt: skip


def _types(model):
    """{type: elements} over the stored weights."""
    found = {}
    for tensor in model.graph.initializer:
        name = onnx.TensorProto.DataType.Name(tensor.data_type)
        found[name] = found.get(name, 0) + int(np.prod(tensor.dims))
    return found


def _kept_wide(model, facts):
    """Bytes of what stays in floating point beside integer matrices: norms, biases, scales, the table of positions."""
    if facts["variant"]["dtype"] == "fp32":
        return 0
    return 4 * _types(model).get("FLOAT", 0)
