"""A raw file of memory profiles → rows like those of sizer/data/profiles.csv, the prediction beside each measurement."""

import numpy as np
import pandas as pd

from .. import frames
from .estimating import estimate
from .formats import GIB, SizerError
from .logs import parse_log

COMPONENTS = ("weights", "activation", "non_torch", "cuda_graphs", "kv_pool")
ENGINES = {"vllm": "vLLM", "hf": "transformers", "llamacpp": "llama.cpp"}
FORMATS = {"gptq_marlin": "gptq", "auto_gptq": "gptq", "awq_marlin": "awq", "auto_awq": "awq"}  # names of vLLM's kernels
SETTINGS = ("max_num_seqs", "max_num_batched_tokens", "max_model_len", "gpu_memory_utilization", "enforce_eager")


def profile_rows(raw):
    """One row per cell of a profile study: the columns of sizer/data/profiles.csv in GiB, then status and cause,
    NVML's readings, and <component>_predicted, _low, _high of this sizer; nan where nothing was measured.

    `fits` is no where the engine said that its memory does not suffice, unknown where it failed otherwise.
    """
    calls = frames.read(raw)
    rows = []
    for _, cell in calls.groupby(["cell_id", "session"], sort=False):
        row = _measured(cell.iloc[0], cell)
        rows.append(row | _predicted(row))
    return pd.DataFrame(rows)


def errors(rows):
    """Long rows (model, backend, component, measured, predicted, low, high in GiB, error_percent), nothing averaged.

    A component that was measured as nothing has no percentage.
    """
    parts = []
    for name in (*COMPONENTS, "non_kv"):
        part = rows[["model", "backend"]].assign(component=name, measured=rows[f"{name}_gib"])
        for bound in ("predicted", "low", "high"):
            part[bound] = rows.get(f"{name}_{bound}", np.nan)
        parts.append(part)
    found = pd.concat(parts, ignore_index=True)
    found = found[found.measured.notna() & found.predicted.notna()]
    share = found.predicted / found.measured.where(found.measured != 0) - 1
    return found.assign(error_percent=100 * share)


def _measured(cell, calls):
    """What one cell's record says: settings, the log's components, NVML, status."""
    evidence = cell.evidence if isinstance(cell.evidence, dict) else {}
    asked, resolved = evidence.get("arguments") or {}, evidence.get("resolved") or {}
    settings = {name: resolved.get(name, asked.get(name)) for name in SETTINGS}
    log = _parsed(evidence.get("log"))
    failure = cell.failure if isinstance(cell.failure, dict) else {}
    return {
        "row_id": cell.cell_id, "model": evidence.get("architecture", cell.model), "backend": cell.backend,
        "weight_format": _format(cell, evidence, resolved), "kv_dtype": _kv(resolved.get("kv_cache_dtype")),
        "engine": ENGINES.get(cell.backend.partition(":")[0], cell.backend),
        "engine_version": _version(evidence, log), "tp": asked.get("tensor_parallel_size", 1),
        "pp": asked.get("pipeline_parallel_size", 1),
    } | settings | {
        "gpu": evidence.get("device_name"), "gpu_memory_gib": log.get("total_bytes", np.nan) / GIB,
    } | _sizes(log, settings) | {
        "total_gib": _total(evidence, calls), "before_gib": _gib((evidence.get("memory") or {}).get("before_bytes")),
        "fits": {"ok": "yes", "failed": "no" if failure.get("cause") == "out of memory" else "unknown"}.get(cell.status, "unknown"),
        "status": cell.status, "cause": failure.get("cause"), "remedy": failure.get("remedy"), "reason": cell.reason,
        "config": evidence.get("config"), "source": f"measured, run {cell.run_id}",
    }  # fmt: skip


def _parsed(lines):
    """What the log's lines say, {} where they say nothing of memory."""
    try:
        return parse_log("\n".join(lines)) if lines else {}
    except SizerError:
        return {}


def _sizes(log, settings):
    found = {f"{name}_gib": log.get(f"{name}_bytes", np.nan) / GIB for name in COMPONENTS}
    if settings["enforce_eager"] and log:
        found["cuda_graphs_gib"] = 0.0
    found["non_kv_gib"] = found["weights_gib"] + found["activation_gib"] + found["non_torch_gib"]
    return found | {
        "kv_pool_tokens": log.get("kv_pool_tokens", np.nan), "kv_bytes_per_token": log.get("kv_per_token_bytes", np.nan),
    }


def _format(cell, evidence, resolved):
    """The weights' format as the engine resolved it, else as the config says, else the cell's own."""
    quantised = ((evidence.get("config") or {}).get("quantization_config") or {}).get("quant_method")
    found = resolved.get("quantization") or quantised or cell["dtype"]  # `.dtype` is the row's own
    return FORMATS.get(found, found)


def _kv(name):
    return {None: "auto", "float16": "auto", "bfloat16": "auto"}.get(name, name)


def _version(evidence, log):
    return evidence.get("version") or evidence.get("transformers") or evidence.get("llama_cpp_python") or log.get("engine_version")


def _total(evidence, calls):
    """The most GiB that NVML saw in use, at start-up or after a call; nan without a GPU."""
    telemetry = calls["gpu_memory_bytes"].max() if "gpu_memory_bytes" in calls else np.nan
    peaks = [(evidence.get("memory") or {}).get("peak_bytes"), telemetry]
    return max((_gib(peak) for peak in peaks if peak is not None and peak == peak), default=np.nan)


def _gib(size):
    return np.nan if size is None else size / GIB


def _predicted(row):
    """<component>_predicted, _low, _high in GiB and p_fit; {"unpredicted": the sizer's sentence} where it has no answer."""
    if row["gpu_memory_gib"] != row["gpu_memory_gib"] or row["engine"] != "vLLM":
        return {"unpredicted": "the record does not say how much memory the GPU has, or the engine reserves none"}
    names = ("weight_format", "kv_dtype", "engine_version", "tp", "pp", "gpu_memory_gib", *SETTINGS)
    question = {name: row[name] for name in names if row[name] is not None}
    try:
        answer = estimate(row["model"], gpu=row["gpu"] or "h200", **question)
    except SizerError as error:
        return {"unpredicted": str(error)}
    return _bounds(answer) | {"p_fit": answer.p_fit}


def _bounds(answer):
    parts = {name: getattr(answer, name) for name in COMPONENTS}
    found = {
        f"{name}_{word}": value / GIB for name, part in parts.items()
        for word, value in (("predicted", part.value), ("low", part.low), ("high", part.high))
    }  # fmt: skip
    found["non_kv_predicted"] = sum(found[f"{name}_predicted"] for name in ("weights", "activation", "non_torch"))
    return found
