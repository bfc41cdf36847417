"""A TensorRT engine at work: two sets of buffers in turns, and one context and recorded graph for each direction.

A call reads its cache, ids and positions on one side and writes them on the other, so no input is an output. `whole` takes
many tokens at once, `step` one: the id that the other side was left with. Both end by copying the next ids into
pinned memory of the host, inside the graph. A context that is given other shapes may change what its graph
reads, so a graph never outlives the shapes of its context.
"""

import json

import numpy as np

from .trt_build import WORDS, EngineError, listener

WHOLE, STEP = 0, 1  # the engine's profiles, in the order in which they are built
NARROW = ("fp8", "int8", "fp16", "bf16", "fp32")  # a layer counts as the narrowest type that goes into or out of it


def opened(api, path):
    """(engine, runtime) of a file of the kept engines; EngineError in the runtime's words where it is refused."""
    log = listener(api.trt)
    runtime = api.trt.Runtime(log)
    engine = runtime.deserialize_cuda_engine(path.read_bytes())
    if engine is None:
        raise EngineError(f"{path}: could not deserialize the engine with {api.name} {api.version}: "
                          f"{log.errors[0] if log.errors else 'no reason given'}. Delete its folder, and it is built again.")  # fmt: skip
    return engine, runtime


def inspected(api, engine, context):
    """{type: layers} as the engine's inspector tells; a layer that only copies counts as `copy`, one without types as `unsaid`.

    `context` has run: a layer whose shapes may vary has no types before. Layers are asked one by one, with the
    context and then without it: 8.6 on one H200 said nothing at all of a whole engine whose context had run.
    """
    knowing, plain = (engine.create_engine_inspector() for _ in range(2))
    knowing.execution_context, form, found = context, api.trt.LayerInformationFormat.JSON, {}
    for index in range(engine.num_layers):
        words = (_narrowest(inspector.get_layer_information(index, form)) for inspector in (knowing, plain))
        word = next((word for word in words if word != "unsaid"), "unsaid")
        found[word] = found.get(word, 0) + 1
    return found


def _unnamed(tensors):
    """What is told of tensors but their names: a name may say anything."""
    if isinstance(tensors, list):
        return [_unnamed(tensor) for tensor in tensors]
    return {key: value for key, value in tensors.items() if key != "Name"} if isinstance(tensors, dict) else tensors


def _narrowest(text):
    """The narrowest floating or 8-bit type of a layer's tensors and weights, from what the inspector tells of it."""
    try:
        layer = json.loads(text)
    except ValueError:
        return "unsaid"
    if not isinstance(layer, dict):
        return "unsaid"
    if layer.get("LayerType") == "Reformat":
        return "copy"
    words = json.dumps([_unnamed(layer.get(key)) for key in ("Inputs", "Outputs", "Weights", "Bias")]).upper()
    spelt = {name for name in NARROW if name.upper() in words}
    spelt |= {short for long, short in WORDS.items() if f'"{long}"' in words}
    return next((name for name in NARROW if name in spelt), "other" if "INT32" in words or "BOOL" in words else "unsaid")


class Side:
    """What a call leaves for the next one: ids, positions and the cache."""

    def __init__(self, device, facts, batch, slots, cache):
        self.ids, self.positions = (device.array((batch, 1), np.int32) for _ in range(2))
        shape = (batch, facts["kv_heads"], slots, facts["head_width"])
        self.cache = {f"{layer}.{part}": device.array(shape, cache)
                      for layer in range(facts["layers"]) for part in ("key", "value")}  # fmt: skip


class Buffers:
    """All memory for a batch of so many slots, the contexts over it, and the graphs.

    `lends`: may several contexts have one profile? TensorRT 8.6 says no, and there both directions share a context.
    """

    def __init__(self, engine, device, facts, batch, slots, graphs=True, lends=True):
        self.device, self.facts, self.batch, self.slots = device, facts, batch, slots
        self.many, step = (_context(engine, profile, device) for profile in (WHOLE, STEP))
        self.one = [step, _context(engine, STEP, device) if lends else step]  # by the side that it reads
        cache = np.float16 if facts["variant"]["dtype"] == "fp16" else np.float32
        self.sides = [Side(device, facts, batch, slots, cache) for _ in range(2)]
        self.order = device.filled(np.tile(np.arange(slots, dtype=np.int32), (batch, 1)))
        self.first_row = device.filled(np.zeros(1, np.int32))
        self.answer = device.pinned((batch, 1), np.int32)
        self.one_logit = device.array((batch, 1, facts["vocab"]), np.float32)
        self.wholes, self.graphs, self.bound, self.last = {}, {}, {}, None
        self.now = 0  # the side that holds what is newest
        self._bind_step(0)
        if graphs:
            self._record_steps()

    def _record_steps(self):
        """A graph for each direction, recorded after a plain run: the first run may allocate, which no graph can hold."""
        for side in (0, 1):
            self._bind_step(side)
            self._step(side)
            self.device.wait()
            self.graphs[side] = self.device.graph(lambda side=side: self._step(side))

    def _bind_step(self, side):
        inputs, outputs = self.sides[side], self.sides[1 - side]
        tensors = {"input_ids": inputs.ids, "position_ids": inputs.positions, "logits_at": self.first_row,
                   "next_ids": outputs.ids, "logits": self.one_logit}  # fmt: skip
        self._bind(self.one[side], side, tensors, side, {"input_ids": (self.batch, 1), "logits_at": (1,)})

    def _bind(self, context, key, tensors, side, shapes):
        """Gives a context its addresses and shapes, where they are not the ones it has."""
        if self.bound.get(id(context)) == key:
            return
        inputs, outputs = self.sides[side], self.sides[1 - side]
        tensors = tensors | {"cache_positions": self.order, "next_positions": outputs.positions}
        shapes = shapes | {"position_ids": shapes["input_ids"], "cache_positions": self.order.shape}
        for name, old in inputs.cache.items():
            tensors[f"past_key_values.{name}"], tensors[f"present.{name}"] = old, outputs.cache[name]
            shapes[f"past_key_values.{name}"] = old.shape
        for name, shape in shapes.items():
            if not context.set_input_shape(name, shape):
                raise EngineError(
                    f"trt: set_input_shape failed for {name} {shape}: no profile covers it. Build with one that does."
                )
        for name, array in tensors.items():
            context.set_tensor_address(name, array.address)
        self.bound[id(context)] = key

    def _step(self, side):
        """One token's work on the stream: the engine, and the id on its way to the host."""
        self._run(self.one[side])
        self.sides[1 - side].ids.into(self.answer)

    def _run(self, context):
        if not context.execute_async_v3(self.device.stream.handle):
            raise EngineError("trt: execution failed: enqueue was refused. Look at the shapes and at the GPU's memory.")

    def step(self):
        """One cached step from the newest side; the next id [batch, 1] is in `answer` when it returns."""
        side = self.now
        if self.graphs:
            self.graphs[side].launch()
        else:
            self._bind_step(side)
            self._step(side)
        self.now = 1 - side
        self.device.wait()

    def restart(self, ids, position, side=None):
        """The next step takes these ids [batch, 1] at this position; the cache is that of `side`, or the newest."""
        self.now = self.now if side is None else side
        self.sides[self.now].ids.write(ids)
        self.sides[self.now].positions.write(np.full((self.batch, 1), position, np.int32))

    def whole(self, ids, rows=1, start=0):
        """The next ids [batch, rows] of many tokens at once; at `start` 0 whatever the cache held is out of sight.

        They always go from side 0 to side 1 where they start anew, so that a prompt is one binding, and one graph.
        """
        side = 0 if start == 0 else self.now
        found = self.last = self._whole(ids.shape[1], rows, start, side)
        found.host[...] = ids
        if found.graph:
            found.graph.launch()
        else:
            self._put(found)
        self.now = 1 - side
        self.device.wait()
        return found.answer

    def record(self, tokens):
        """Untimed: a graph for prompts of this length."""
        found = self._whole(tokens, 1, 0, 0)
        if self.graphs and not found.graph:
            found.host[...] = 0
            self._put(found)
            self.device.wait()
            found.graph = self.device.graph(lambda: self._put(found))

    def _whole(self, tokens, rows, start, side):
        key = (tokens, rows, start, side)
        if key not in self.wholes:
            self._forget_wholes()
            self.wholes[key] = Whole(self, *key)
        return self.wholes[key]

    def _forget_wholes(self):
        """Lets go of the shape of `whole` before this one, and of its graph."""
        for whole in self.wholes.values():
            if whole.graph:
                whole.graph.close()
        self.wholes = {}

    def _put(self, found):
        """The work of many tokens on the stream."""
        shapes = {"input_ids": found.ids.shape, "logits_at": found.at.shape}
        self._bind(self.many, found.key, found.tensors, found.side, shapes)
        found.ids.write(found.host)
        self._run(self.many)
        found.next.into(found.answer)

    def logits(self):
        """Logits [vocab] of the first row after a step, on the host."""
        return self.one_logit.read()[0, 0]

    def whole_logits(self):
        """Logits [rows, vocab] of the first row of the last `whole`, on the host."""
        return self.last.logits.read()[0]

    @property
    def cache_bytes(self):
        return sum(array.bytes for side in self.sides for array in side.cache.values())

    def close(self):
        """Lets go of graphs, contexts and memory."""
        self._forget_wholes()
        for graph in self.graphs.values():
            graph.close()
        self.graphs, self.many, self.one, self.sides = {}, None, [], []


class Whole:
    """The arrays of one shape of `whole`."""

    def __init__(self, buffers, tokens, rows, start, side):
        device, batch = buffers.device, buffers.batch
        self.key, self.side, self.graph = (tokens, rows, start, side), side, None
        places = np.arange(start, start + tokens, dtype=np.int32)
        self.host = device.pinned((batch, tokens), np.int32)
        self.answer = device.pinned((batch, rows), np.int32)
        self.ids, self.places = device.array((batch, tokens), np.int32), device.filled(np.tile(places, (batch, 1)))
        self.at = device.filled(np.arange(tokens - rows, tokens, dtype=np.int32))
        self.logits = device.array((batch, rows, buffers.facts["vocab"]), np.float32)
        self.next = buffers.sides[1 - side].ids if rows == 1 else device.array((batch, rows), np.int32)
        self.tensors = {"input_ids": self.ids, "position_ids": self.places, "logits_at": self.at,
                        "next_ids": self.next, "logits": self.logits}  # fmt: skip


def _context(engine, profile, device):
    context = engine.create_execution_context()
    if context is None:
        raise EngineError("trt: out of memory: the engine gave no execution context. Use a smaller batch or fewer slots.")
    if not context.set_optimization_profile_async(profile, device.stream.handle):
        raise EngineError(f"trt: optimization profile {profile} was refused. Delete the engine's folder, and it is built again.")
    device.wait()
    return context
