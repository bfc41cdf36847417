"""How a weight matrix stands in the graph: as numbers, or as 8-bit integers with a scale per output channel."""

import numpy as np

from .architecture import ExportError

BLOCK, LEAST_BLOCK = 32, 16  # weights that share a scale; the operator takes powers of two from 16
ROUNDED_ACTIVATIONS = 4  # MatMulNBits: activations are rounded to int8 (0 would keep them in fp32)


class Plain:
    """Weights in the graph's own floating-point type."""

    def __init__(self, graph, dtype):
        self.g, self.dtype = graph, dtype

    def array(self, name, values, dtype=None):
        """The name of a floating-point weight; a value that the type cannot hold is refused."""
        with np.errstate(over="ignore"):
            cast = values.astype(dtype or self.dtype)
        if not np.isfinite(cast).all():
            raise ExportError(f"{name}: holds values beyond {cast.dtype}. Export it as fp32.")
        return self.g.weight(name, cast)

    def linear(self, x, name, matrix, bias=None):
        """x·matrix + bias, over the last axis of x."""
        y = self.g("MatMul", x, self.array(f"{name}.weight", matrix))
        return y if bias is None else self.g("Add", y, self.array(f"{name}.bias", bias))

    def table(self, name, values):
        """A table that `rows` looks up and `head` multiplies with: stored once."""
        return self.array(name, values)

    def rows(self, table, ids):
        return self.g("Gather", table, ids, axis=0)

    def head(self, x, table, name):
        """x·tableᵀ: a score for every row of the table."""
        return self.g("MatMul", x, self.g("Transpose", table, perm=[1, 0]))


class Dynamic8(Plain):
    """Weights int8, symmetric, per output channel; activations uint8 with a range found anew in every call."""

    def linear(self, x, name, matrix, bias=None):
        whole, scale = quantised(matrix, axis=0)
        y = self._product(x, name, self.g.weight(f"{name}.weight", whole), scale)
        return y if bias is None else self.g("Add", y, self.array(f"{name}.bias", bias))

    def _product(self, x, name, whole, scale):
        g = self.g
        y, found, zero = g("DynamicQuantizeLinear", x, outputs=3)
        product = g("Cast", g("MatMulInteger", y, whole, zero), to=1)
        return g("Mul", product, g("Mul", found, g.weight(f"{name}.scale", scale)))

    def table(self, name, values):
        whole, scale = quantised(values, axis=1)
        return self.g.weight(name, whole), scale, self.g.weight(f"{name}.row_scale", scale[:, None])

    def rows(self, table, ids):
        whole, _, scale = table
        picked = self.g("Cast", self.g("Gather", whole, ids, axis=0), to=1)
        return self.g("Mul", picked, self.g("Gather", scale, ids, axis=0))

    def head(self, x, table, name):
        whole, scale, _ = table
        return self._product(x, name, self.g("Transpose", whole, perm=[1, 0]), scale)


class Static8(Dynamic8):
    """As Dynamic8, but activations have a range that calibration found: quantise-dequantise pairs that engines fuse.

    `ranges` is {name: (lowest, highest)}. `symmetric` makes activations int8 around zero, as TensorRT wants
    them; else they are uint8, which the processor's dot-product instruction takes.
    """

    def __init__(self, graph, dtype, ranges, symmetric):
        super().__init__(graph, dtype)
        self.ranges, self.symmetric = ranges, symmetric

    def _product(self, x, name, whole, scale):
        return self.g("MatMul", self._rounded(x, name), self._wide(whole, name, scale, axis=1))

    def _wide(self, whole, name, scale, axis):
        zero = self.g.weight(f"{name}.zero", np.zeros(len(scale), np.int8))
        return self.g("DequantizeLinear", whole, self.g.weight(f"{name}.scale", scale), zero, axis=axis)

    def rows(self, table, ids):
        """TensorRT takes integers only where they are dequantised at once; ONNX Runtime would do so for the whole table."""
        if not self.symmetric:
            return super().rows(table, ids)
        whole, scale, _ = table
        return self.g("Gather", self._wide(whole, "rows", scale, axis=0), ids, axis=0)

    def head(self, x, table, name):
        if not self.symmetric:
            return super().head(x, table, name)
        whole, scale, _ = table
        weight = self.g("Transpose", self._wide(whole, name, scale, axis=0), perm=[1, 0])
        return self.g("MatMul", self._rounded(x, name), weight)

    def _rounded(self, x, name):
        step, zero = activation_scale(*self.ranges[name], self.symmetric)
        pair = (
            self.g.constant(step, np.float32),
            self.g.constant(zero, np.int8 if self.symmetric else np.uint8),
        )
        return self.g("DequantizeLinear", self.g("QuantizeLinear", x, *pair), *pair)


class Blocks8(Plain):
    """Weights int8 with a scale per block of 32 along the sum, activations rounded by the kernel in the same blocks.

    ONNX Runtime's own operator for language models (com.microsoft MatMulNBits): one large activation then
    spoils its block and not the whole row. Whole numbers are stored as uint8 around 128.
    """

    def linear(self, x, name, matrix, bias=None):
        whole, scale = self._blocks(name, matrix.T)
        y = self._product(
            x, self.g.weight(f"{name}.weight", whole), self.g.weight(f"{name}.scale", scale), matrix.shape
        )
        return y if bias is None else self.g("Add", y, self.array(f"{name}.bias", bias))

    def _blocks(self, name, values):
        """(uint8 [row, block, size], scale [row, block]) of values [row, column]."""
        rows, columns = values.shape
        if columns % BLOCK and columns % LEAST_BLOCK:
            raise ExportError(
                f"{name}: its width {columns} does not divide into blocks of {LEAST_BLOCK}. Use method dynamic."
            )
        size = LEAST_BLOCK if columns % BLOCK else BLOCK
        whole, scale = quantised(values.reshape(rows, columns // size, size), axis=2)
        return (whole.astype(np.int16) + 128).astype(np.uint8), scale

    def _product(self, x, whole, scale, shape):
        size = LEAST_BLOCK if shape[0] % BLOCK else BLOCK
        return self.g("MatMulNBits", x, whole, scale, K=shape[0], N=shape[1], bits=8, block_size=size,
                      accuracy_level=ROUNDED_ACTIVATIONS, domain="com.microsoft")  # fmt: skip

    def table(self, name, values):
        whole, scale = self._blocks(name, values)
        return self.g.weight(name, whole), self.g.weight(f"{name}.scale", scale), values.shape[::-1]

    def rows(self, table, ids):
        g, (whole, scale, shape) = self.g, table
        centred = g("Sub", g("Cast", g("Gather", whole, ids, axis=0), to=1), g.constant(128.0, np.float32))
        scales = g("Unsqueeze", g("Gather", scale, ids, axis=0), g.constant([3], np.int64))
        return g("Reshape", g("Mul", centred, scales), g.constant([0, 0, shape[0]], np.int64))

    def head(self, x, table, name):
        return self._product(x, *table)


class Observed(Plain):
    """Plain weights, and two more outputs: the lowest and highest value that went into each matrix."""

    def __init__(self, graph, dtype):
        super().__init__(graph, dtype)
        self.names, self.lows, self.highs = [], [], []

    def linear(self, x, name, matrix, bias=None):
        self._observe(x, name)
        return super().linear(x, name, matrix, bias)

    def head(self, x, table, name):
        self._observe(x, name)
        return super().head(x, table, name)

    def _observe(self, x, name):
        one = self.g.constant([1], np.int64)
        self.names.append(name)
        for found, kind in ((self.lows, "ReduceMin"), (self.highs, "ReduceMax")):
            found.append(self.g("Reshape", self.g(kind, x, keepdims=0), one))

    def finish(self):
        for name, found in (("lows", self.lows), ("highs", self.highs)):
            self.g.output(self.g("Concat", *found, axis=0), name, np.float32, [len(found)])


def quantised(values, axis):
    """(int8, scale [channel]): values / scale rounded to -127 … 127; `axis` is the one that is summed over."""
    scale = np.maximum(np.abs(values).max(axis), 1e-12).astype(np.float32) / 127
    whole = np.rint(values / np.expand_dims(scale, axis)).astype(np.int8)
    return whole, scale


def activation_scale(low, high, symmetric):
    """(scale, zero point) that covers low … high and holds 0 exactly: int8 around 0, or uint8 from 0 to 255."""
    low, high = min(low, 0.0), max(high, 0.0)
    if symmetric:
        return max(-low, high, 1e-12) / 127, 0
    step = max(high - low, 1e-12) / 255
    return step, round(-low / step)
