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


def opened(path, threads):
    ort.set_default_logger_severity(3)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def put(array):
    return ort.OrtValue.ortvalue_from_numpy(array)


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
    session, ids = opened(path, asked["threads"]), np.array(asked["ids"], np.int32)
    prompt, slots = ids.shape[1], ids.shape[1] + asked["new"]
    one, place, whole = np.zeros((1, 1), np.int32), np.zeros((1, 1), np.int32), np.zeros_like(ids)
    shape = (1, asked["kv_heads"], slots, asked["head_width"])
    cache = {f"{layer}.{part}": put(np.zeros(shape, np.float32))
             for layer in range(asked["layers"]) for part in ("key", "value")}  # fmt: skip
    shared = {"cache_positions": put(np.arange(slots, dtype=np.int32)[None])}
    next_id, next_place = put(one), put(place)
    outputs = {"next_ids": next_id, "next_positions": next_place}
    prefill = {"input_ids": put(whole), "position_ids": put(np.arange(prompt, dtype=np.int32)[None]),
               "logits_at": put(np.array([prompt - 1], np.int32))} | shared  # fmt: skip
    step = {"input_ids": next_id, "position_ids": next_place, "logits_at": put(np.array([0], np.int32))} | shared
    first, again = bound(session, prefill, outputs, cache), bound(session, step, outputs, cache)
    return timed(session.run_with_iobinding, first, again, whole, ids, one, asked)


def timed(run, first, again, whole, ids, one, asked):
    clock, found = time.perf_counter, {"prefill": [], "decode": []}
    for _ in range(asked["calls"]):
        start = clock()
        whole[...] = ids
        run(first)
        one.tolist()
        found["prefill"].append(clock() - start)
    for _ in range(asked["calls"]):
        whole[...] = ids
        run(first)
        start = clock()
        for _ in range(asked["new"]):
            run(again)
            one.tolist()
        found["decode"].append(clock() - start)
    return found


if __name__ == "__main__":
    print(json.dumps(loops(sys.argv[1], json.loads(sys.argv[2]))))
