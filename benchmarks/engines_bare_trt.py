"""The shortest honest loop over a TensorRT engine of a GPT-2: buffers set once, a step is one graph and one id read.

    trt-python benchmarks/engines_bare_trt.py ENGINE '{"ids": [[…]], "new": 32, "calls": 7, "layers": 12, …}'

Prints the seconds of every prefill and every run of decode steps as JSON. `benchmarks/engines.py native` starts it
beside the harness, on the same engine: two caches in turns, profile 0 for prompts and 1 for steps.
"""

import ctypes
import json
import sys
import time
from pathlib import Path

import numpy as np
import pycuda.driver as cuda
import tensorrt as trt

KINDS = {trt.DataType.FLOAT: np.float32, trt.DataType.HALF: np.float16, trt.DataType.INT32: np.int32}


class Loop:
    """Engine, memory and three recorded graphs: the prompt into cache 1, a step from 1 to 0, a step from 0 to 1."""

    def __init__(self, path, asked):
        self.driver, self.stream = ctypes.CDLL("libcuda.so.1"), cuda.Stream()
        self.log = trt.Logger(trt.Logger.ERROR)
        self.runtime = trt.Runtime(self.log)  # lives as long as the engine
        self.engine = self.runtime.deserialize_cuda_engine(Path(path).read_bytes())
        ids = np.array(asked["ids"], np.int32)
        self.prompt, slots = ids.shape[1], max(ids.shape[1] + asked["new"], asked["slots"])
        self.whole = cuda.pagelocked_empty(ids.shape, np.int32)
        self.one = cuda.pagelocked_empty((1, 1), np.int32)
        self.shape = (1, asked["kv_heads"], slots, asked["head_width"])
        places, order = np.arange(self.prompt, dtype=np.int32)[None], np.arange(slots, dtype=np.int32)[None]
        self.order, self.many = (order.shape, put(order)), (ids.shape, put(ids))
        self.places, self.last = (ids.shape, put(places)), ((1,), put(np.array([self.prompt - 1], np.int32)))
        self.zero, self.logits = ((1,), put(np.zeros(1, np.int32))), cuda.mem_alloc(4 * asked["vocab"])
        self.sides = [self.side() for _ in range(2)]
        self.contexts = [self.context(0), self.context(1)]  # kept: their memory is what the graphs work in
        self.first = self.recorded(self.contexts[0], None, self.sides[1])
        self.steps = {side: self.recorded(self.contexts[1], self.sides[side], self.sides[1 - side]) for side in (1, 0)}

    def side(self):
        """{name: memory} of an id, a position and a cache."""
        kind = np.dtype(KINDS[self.engine.get_tensor_dtype("past_key_values.0.key")])
        names = [self.engine.get_tensor_name(i) for i in range(self.engine.num_io_tensors)]
        caches = {name: put(np.zeros(self.shape, kind)) for name in names if name.startswith("past_key_values.")}
        return caches | {name: put(np.zeros((1, 1), np.int32)) for name in ("id", "place")}

    def context(self, profile):
        found = self.engine.create_execution_context()
        found.set_optimization_profile_async(profile, self.stream.handle)
        self.stream.synchronize()
        return found

    def recorded(self, context, old, new):
        """A graph of one call: from `old` (None: the prompt, over an empty cache) to `new`, its id on the way to the host."""
        source = old or self.sides[0]
        inputs = {"input_ids": ((1, 1), source["id"]) if old else self.many, "cache_positions": self.order,
                  "position_ids": ((1, 1), source["place"]) if old else self.places,
                  "logits_at": self.zero if old else self.last}  # fmt: skip
        outputs = {"next_ids": new["id"], "next_positions": new["place"], "logits": self.logits}
        for name in source:
            if name.startswith("past_key_values."):
                inputs[name] = (self.shape, source[name])
                outputs[name.replace("past_key_values", "present")] = new[name]
        for name, (shape, memory) in inputs.items():
            context.set_input_shape(name, shape)
            context.set_tensor_address(name, int(memory))
        for name, memory in outputs.items():
            context.set_tensor_address(name, int(memory))

        def work():
            if not old:
                cuda.memcpy_htod_async(self.many[1], self.whole, self.stream)
            assert context.execute_async_v3(self.stream.handle)
            cuda.memcpy_dtoh_async(self.one, new["id"], self.stream)

        work()
        self.stream.synchronize()
        return self.graph(work)

    def graph(self, work):
        handle, graph, made = ctypes.c_void_p(self.stream.handle), ctypes.c_void_p(), ctypes.c_void_p()
        assert self.driver.cuStreamBeginCapture_v2(handle, 1) == 0
        work()
        assert self.driver.cuStreamEndCapture(handle, ctypes.byref(graph)) == 0
        assert self.driver.cuGraphInstantiateWithFlags(ctypes.byref(made), graph, ctypes.c_ulonglong(0)) == 0
        return lambda: self.driver.cuGraphLaunch(made, handle)

    def begin(self, ids):
        self.whole[...] = ids
        self.first()
        self.stream.synchronize()
        return self.one.tolist()

    def more(self, count):
        for index in range(count):
            self.steps[1 - index % 2]()
            self.stream.synchronize()
            self.one.tolist()


def put(array):
    memory = cuda.mem_alloc(array.nbytes)
    cuda.memcpy_htod(memory, np.ascontiguousarray(array))
    return memory


def timed(loop, asked):
    """{phase: seconds of each call}: a prompt, and all its steps."""
    clock, found = time.perf_counter, {"prefill": [], "decode": []}
    for _ in range(asked["calls"]):
        start = clock()
        loop.begin(asked["ids"])
        found["prefill"].append(clock() - start)
    for _ in range(asked["calls"]):
        loop.begin(asked["ids"])
        start = clock()
        loop.more(asked["new"])
        found["decode"].append(clock() - start)
    return found


if __name__ == "__main__":
    import pycuda.autoprimaryctx  # noqa: F401  (the context that TensorRT uses too)

    given = json.loads(sys.argv[2])
    print(json.dumps(timed(Loop(sys.argv[1], {"slots": 64} | given), given)))
