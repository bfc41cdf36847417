"""What the engines run: files beside parameters times bits, hashes, seconds to make them, and the precision that ran."""

import pandas as pd

from ..frames import proven_dtype
from .names import cells_of

BITS = {"fp32": 32, "bf16": 16, "fp16": 16, "int8": 8, "q8_0": 8, "q4_k_m": 4}
WIDER = {"int8": 5 / 16, "q8_0": 1 / 16, "q4_k_m": 1.0}
"""What formats may add to parameters × bits, as a share: fp32 scales per block of 32 weights, or of 16 in
narrow matrices; norms, biases and a table of positions stay wide; Q4_K_M keeps some matrices in six bits and more."""
GRAPH = 0.01, 400_000
"""Share, and bytes at least, for alignment and the graph itself; the same as the export's own check."""
FILES = ("onnx_bytes", "engine_bytes", "file_bytes")


def artefacts(frame):
    """One row per engine and model with a file of its own: bytes, what parameters × bits imply, and how it was made.

    `excess` is bytes over implied bytes minus one; `verdict` says 'as labelled' where it lies within what the format
    adds, else 'too small' or 'too large'. sampled_weights were read back and compared with the model's own: the largest
    difference was worst_steps steps of the stored type (rounding leaves half of one). Build seconds are those of the
    making, wherever it took place; nan where an older file does not tell.
    """
    rows = []
    for (engine, model), part in cells_of(frame).groupby(["engine", "model"], observed=True, sort=True):
        evidence, dtype = part["evidence"].iloc[-1], str(part["dtype"].iloc[0])
        kind = next((name for name in FILES if evidence.get(name)), None)
        if kind is None:
            continue
        parameters = evidence.get("parameters") or float(part["params_measured"].iloc[-1])
        rows.append({"engine": engine, "model": model} | _file(evidence, kind, parameters, dtype) | _made(evidence))
    return pd.DataFrame(rows, columns=["engine", "model", "parameters", "bits", "implied_bytes", "bytes", "excess", "verdict",
        "onnx_bytes", "engine_bytes", "opset", "method", "sampled_weights", "worst_steps", "export_seconds", "build_seconds",
        "onnx_sha256"])  # fmt: skip


def _file(evidence, kind, parameters, dtype):
    """Size against parameters × bits. An engine file may hold less: it is judged by its weights, so only from above."""
    size, bits = float(evidence[kind]), BITS.get(dtype)
    implied = float(parameters) * bits / 8 if bits and parameters else float("nan")
    most = implied * (1 + WIDER.get(dtype, 0.0) + GRAPH[0]) + GRAPH[1]
    words = "unknown" if implied != implied else "too small" if size < implied else "too large" if size > most else "as labelled"
    return {"parameters": int(parameters or 0), "bits": bits, "implied_bytes": implied, "bytes": size,
            "excess": size / implied - 1, "verdict": words}  # fmt: skip


def _made(evidence):
    sampled = evidence.get("sampled") or {}
    return {name: evidence.get(name) for name in ("onnx_bytes", "engine_bytes", "opset", "method", "export_seconds",
            "build_seconds", "onnx_sha256")} | {"sampled_weights": sampled.get("weights"), "worst_steps": sampled.get("worst_steps")}  # fmt: skip


def build_seconds(evidence):
    """(seconds of export and build together, whether any of them is known)."""
    parts = [evidence.get(name) for name in ("export_seconds", "build_seconds")]
    known = [float(part) for part in parts if part is not None]
    return sum(known), bool(known)


def labels(frame):
    """One row per engine and model: the precision asked for, the one that the engine reports, and what ran beside it."""
    rows = []
    for (engine, model), part in cells_of(frame).groupby(["engine", "model"], observed=True, sort=True):
        evidence, asked = part["evidence"].iloc[-1], str(part["dtype"].iloc[0])
        ran = proven_dtype(evidence)
        rows.append({"engine": engine, "model": model, "asked": asked, "evidence": ran,
                     "agrees": "unknown" if ran is None else "yes" if str(ran).lower() == asked else "no",
                     "quantised_nodes": sum((evidence.get("quantised") or {}).values()) or None,
                     "fell_back": evidence.get("fell_back") or None, "device": evidence.get("device"),
                     "runs_on": ", ".join(evidence.get("providers") or [str(evidence.get("engine", ""))])})  # fmt: skip
    return pd.DataFrame(rows, columns=["engine", "model", "asked", "evidence", "agrees", "quantised_nodes", "fell_back", "device",
                                       "runs_on"])  # fmt: skip
