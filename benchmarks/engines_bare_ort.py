"""The shortest honest loop over ONNX Runtime: buffers bound once, a step is one call and one id read.

    python benchmarks/engines_bare_ort.py MODEL.onnx '{"ids": [[…]], "new": 32, "calls": 7, "threads": 2, …}'

Prints the seconds of every prefill and every run of decode steps as JSON. `benchmarks/engines.py native` starts it
beside the harness, on the same file.
"""

import json
import sys
import time

import numpy as np
import onnxruntime as ort


GRAPHED = ("CUDAExecutionProvider", {"enable_cuda_graph": "1", "use_tf32": "0"})


def opened(path, threads, device):
    ort.set_default_logger_severity(3)
    if device == "cuda":
        ort.preload_dlls()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(path, options, providers=[GRAPHED] if device == "cuda" else ["CPUExecutionProvider"])


def run_options(device, graph):
    """A step is recorded as a graph of its own on a GPU; the prompt is not."""
    found = ort.RunOptions()
    if device == "cuda":
        found.add_run_config_entry("gpu_graph_id", graph)
    return found


def bound(session, inputs, outputs, cache):
    """One I/O binding: the cache is input and output in the same memory."""
    io = session.io_binding()
    for name, value in inputs.items():
        io.bind_ortvalue_input(name, value)
    for name, value in outputs.items():
        io.bind_ortvalue_output(name, value)
    for name, value in cache.items():
        io.bind_ortvalue_input(f"past_key_values.{name}", value)
        io.bind_ortvalue_output(f"present.{name}", value)
    return io


def loops(path, asked):
    """({phase: seconds of each call}) of a bare loop over the graph at `path`."""
    device = asked["device"]
    session, ids = opened(path, asked["threads"], device), np.array(asked["ids"], np.int32)
    prompt, slots = ids.shape[1], ids.shape[1] + asked["new"]
    one, whole = np.zeros((1, 1), np.int32), np.zeros_like(ids)

    def put(array):
        return ort.OrtValue.ortvalue_from_numpy(array, device, 0)

    shape = (1, asked["kv_heads"], slots, asked["head_width"])
    kind = np.float16 if asked["variant"]["dtype"] == "fp16" else np.float32
    cache = {f"{layer}.{part}": put(np.zeros(shape, kind)) for layer in range(asked["layers"]) for part in ("key", "value")}
    shared = {"cache_positions": put(np.arange(slots, dtype=np.int32)[None])}
    next_id, next_place, prompt_ids = put(one), put(np.zeros((1, 1), np.int32)), put(whole)
    outputs = {"next_ids": next_id, "next_positions": next_place}
    prefill = {"input_ids": prompt_ids, "position_ids": put(np.arange(prompt, dtype=np.int32)[None]),
               "logits_at": put(np.array([prompt - 1], np.int32))} | shared  # fmt: skip
    step = {"input_ids": next_id, "position_ids": next_place, "logits_at": put(np.array([0], np.int32))} | shared
    first, again = bound(session, prefill, outputs, cache), bound(session, step, outputs, cache)
    plain, graphed = run_options(device, "-1"), run_options(device, "1")

    def begin():
        prompt_ids.update_inplace(ids) if device == "cuda" else whole.__setitem__(..., ids)
        session.run_with_iobinding(first, plain)
        return next_id.numpy().tolist() if device == "cuda" else one.tolist()

    def more():
        session.run_with_iobinding(again, graphed)
        return next_id.numpy().tolist() if device == "cuda" else one.tolist()

    return timed(begin, more, asked)


def timed(begin, more, asked):
    """{phase: seconds of each call}: a prompt, and all its steps."""
    clock, found = time.perf_counter, {"prefill": [], "decode": []}
    begin()
    for _ in range(3):
        more()  # the step's graph is recorded before anything is timed, as in the harness: prompts may take longer after it
    for _ in range(asked["calls"]):
        start = clock()
        begin()
        found["prefill"].append(clock() - start)
    for _ in range(asked["calls"]):
        begin()
        start = clock()
        for _ in range(asked["new"]):
            more()
        found["decode"].append(clock() - start)
    return found


if __name__ == "__main__":
    print(json.dumps(loops(sys.argv[1], json.loads(sys.argv[2]))))
