"""Three spellings of one decoder: today's ONNX with a cache written in place, and the plain operators of opset 17.

All take the same inputs. `cache_positions` [batch, slots] is the mask in compact form: it says which
position each slot of the cache holds, and a query at position p attends the slots with a position ≤ p (and >
p - window in a sliding layer); a slot that holds nothing says EMPTY. So no form computes a range, and
every integer may be int32.
"""

import numpy as np

EMPTY = 2**30  # in `cache_positions`: no query ever stands so far


class InPlace:
    """Opset 24: TensorScatter writes new keys and values into the cache, Attention reads all of it.

    past and present have one shape [batch, kv heads, slots, width] and may be one buffer: an engine that is
    given the same memory for both copies nothing. A token's slot is its position.
    """

    name, opset = "in-place", 24

    def __init__(self, graph, architecture, dtype):
        self.g, self.a, self.dtype = graph, architecture, dtype

    def layer_norm(self, x, weight, bias):
        return self.g("LayerNormalization", x, weight, bias, epsilon=self.a.epsilon)

    def rms_norm(self, x, weight, dtype):
        return self.g("RMSNormalization", x, weight, epsilon=self.a.epsilon)

    def gelu(self, x):
        return self.g("Gelu", x, approximate="tanh")

    def prepare(self, positions, slots):
        """What all layers share: masks (true: attend) per kind of layer, and where new rows go."""
        g = self.g
        query = g("Unsqueeze", positions, g.constant([1, 3], np.int64))
        key = g("Unsqueeze", slots, g.constant([1, 2], np.int64))
        self.masks = {"full": g("LessOrEqual", key, query)}
        if "sliding" in self.a.kinds:
            oldest = g("Sub", query, g.constant(self.a.window, np.int32))
            self.masks["sliding"] = g("And", self.masks["full"], g("Greater", key, oldest))
        first = g("Gather", positions, g.constant(0, np.int64), axis=1)
        self.first = g("Cast", first, to=7)  # int64, as TensorScatter wants it

    def waves(self, angles):
        """(cos, sin) [batch, token, width / 2] of the angles, in the graph's type."""
        return self.g("Cos", angles), self.g("Sin", angles)

    def rotate(self, x, waves):
        return self.g("RotaryEmbedding", x, *waves)

    def cached(self, past, new):
        return self.g("TensorScatter", past, new, self.first, axis=2)

    def attend(self, q, k, v, kind):
        """[batch, heads, token, width] of softmax(scale·q·kᵀ under the mask)·v, query heads sharing key heads."""
        return self.g("Attention", q, k, v, self.masks[kind], scale=self.a.scale)


class Growing:
    """Opset 17, with operators that TensorRT 8.6 knows: past [batch, kv heads, past, width], present is longer.

    present = past followed by the new rows.
    """

    name, opset = "growing", 17

    def __init__(self, graph, architecture, dtype):
        self.g, self.a, self.dtype = graph, architecture, dtype

    def layer_norm(self, x, weight, bias):
        return self.g("LayerNormalization", x, weight, bias, epsilon=self.a.epsilon)

    def rms_norm(self, x, weight, dtype):
        g = self.g
        mean = g("ReduceMean", g("Mul", x, x), axes=[-1], keepdims=1)
        root = g("Sqrt", g("Add", mean, g.constant(self.a.epsilon, dtype)))
        return g("Mul", g("Div", x, root), weight)

    def gelu(self, x):
        """x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2: the form that GPT-2 and Gemma were trained with."""
        g = self.g
        cube = g("Mul", g("Mul", x, x), g("Mul", x, g.constant(0.044715, self.dtype)))
        inner = g("Mul", g("Add", x, cube), g.constant((2 / np.pi) ** 0.5, self.dtype))
        outer = g("Add", g("Tanh", inner), g.constant(1.0, self.dtype))
        return g("Mul", g("Mul", x, g.constant(0.5, self.dtype)), outer)

    def prepare(self, positions, slots):
        """What all layers share: per kind of layer what is added to the scores, 0 or a large negative number."""
        g = self.g
        query = g("Unsqueeze", positions, g.constant([1, 3], np.int64))
        key = g("Unsqueeze", slots, g.constant([1, 2], np.int64))
        self.masks = {"full": self._added(g("Greater", key, query))}
        if "sliding" in self.a.kinds:
            newest_lost = g("Sub", query, g.constant(self.a.window - 1, np.int32))
            self.masks["sliding"] = g("Add", self.masks["full"], self._added(g("Less", key, newest_lost)))

    def _added(self, hidden):
        never = -30000.0 if self.dtype == np.float16 else -1e30
        return self.g("Where", hidden, self.g.constant(never, self.dtype), self.g.constant(0.0, self.dtype))

    def waves(self, angles):
        """(cos, sin) [batch, 1, token, width] of the angles, each twice, in the graph's type."""
        both = self.g("Unsqueeze", self.g("Concat", angles, angles, axis=-1), self.g.constant([1], np.int64))
        return self.g("Cos", both), self.g("Sin", both)

    def rotate(self, x, waves):
        g, (cos, sin) = self.g, waves
        left, right = g("Split", x, outputs=2, axis=-1)
        turned = g("Concat", g("Neg", right), left, axis=-1)
        return g("Add", g("Mul", x, cos), g("Mul", turned, sin))

    def cached(self, past, new):
        return self.g("Concat", past, new, axis=2)

    def attend(self, q, k, v, kind):
        """As `InPlace.attend`, in four axes: with a fifth TensorRT 8.6 gave rows 3 and 4 of a batch of four wrong scores (one H200, fp16)."""
        g, a = self.g, self.a
        q = self._seen(g("Mul", q, g.constant(a.scale, self.dtype)), a.kv_heads, a.head_width)
        scores = self._seen(g("MatMul", q, g("Transpose", k, perm=[0, 1, 3, 2])), a.heads, 0)
        weights = g("Softmax", g("Add", scores, self.masks[kind]), axis=-1)
        return self._seen(g("MatMul", self._seen(weights, a.kv_heads, 0), v), a.heads, a.head_width)

    def _seen(self, x, heads, width):
        """x [batch, heads, tokens, width] seen as so many heads: query heads that share a key head are rows of it; width 0 stays."""
        if self.a.heads == self.a.kv_heads:
            return x
        return self.g("Reshape", x, self.g.constant([0, heads, -1, width], np.int64))


class Slots(Growing):
    """As Growing, but past and present have one shape [batch, kv heads, slots, width]: a step's shapes never change.

    So an engine can record a step once and replay it (a CUDA graph). A token's slot is its position; present is
    past with the new rows in their slots, and new rows stand at positions without a gap. Every slot is copied: use
    two buffers in turns.
    """

    name, opset = "slots", 17

    def prepare(self, positions, slots):
        """What all layers share: the masks, which slots are new, and from which new row each of them comes."""
        super().prepare(positions, slots)
        g = self.g
        order = g("Gather", slots, g.constant(0, np.int64), axis=0)  # rows of a batch have the same positions
        places = g("Gather", positions, g.constant(0, np.int64), axis=0)
        first = g("Gather", places, g.constant([0], np.int64), axis=0)
        row = g("Sub", order, first)
        count = g("ReduceMax", g("Sub", places, first), axes=[0], keepdims=1)
        inside = g("And", g("Greater", row, g.constant(-1, np.int32)), g("Not", g("Greater", row, count)))
        self.rows = g("Where", inside, row, g.constant(0, np.int32))
        self.new = g("Unsqueeze", inside, g.constant([0, 1, 3], np.int64))

    def cached(self, past, new):
        return self.g("Where", self.new, self.g("Gather", new, self.rows, axis=2), past)


FORMS = {form.name: form for form in (InPlace, Growing, Slots)}
