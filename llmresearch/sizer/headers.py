"""What a weight file says of itself before its weights: the headers of safetensors and GGUF."""

import json
import struct
from math import prod

from .formats import GGUF_BITS, SizerError

# Numbers of ggml's tensor types (enum ggml_type in ggml.h).
GGML_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 10: "Q2_K", 11: "Q3_K",
    12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL",
    21: "IQ3_S",
    22: "IQ2_S", 23: "IQ4_XS", 29: "IQ1_M", 30: "BF16", 39: "MXFP4",
}  # fmt: skip
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


def safetensors_tensors(path):
    """{tensor name: (dtype, number of values)} of a safetensors file, from its header alone."""
    with open(path, "rb") as stream:
        head = stream.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        if not 0 < length < 2**30:
            raise SizerError(f"model: {path} has no safetensors header; give a complete .safetensors file.")
        try:
            header = json.loads(stream.read(length))
        except ValueError as error:
            raise SizerError(
                f"model: the header of {path} cannot be read ({error}); download it again."
            ) from error
    return {
        name: (row["dtype"], prod(row["shape"])) for name, row in header.items() if name != "__metadata__"
    }


def gguf_header(path):
    """(metadata, {tensor name: bytes}) of a GGUF file of version 2 or 3, from its header alone.

    Arrays are given as their length. A tensor of a type that is not known here counts as nan bytes.
    """
    with open(path, "rb") as stream:
        if stream.read(4) != b"GGUF":
            raise SizerError(f"model: {path} is not a GGUF file; give one, a config.json or a registry name.")
        try:
            _, tensors, pairs = struct.unpack("<IQQ", stream.read(20))
            metadata = dict(_pair(stream) for _ in range(pairs))
            return metadata, dict(_tensor(stream) for _ in range(tensors))
        except (struct.error, KeyError) as error:
            raise SizerError(
                f"model: the header of {path} is cut short or damaged; download it again."
            ) from error


def _pair(stream):
    key = _string(stream)
    return key, _value(stream, struct.unpack("<I", stream.read(4))[0])


def _string(stream):
    return stream.read(struct.unpack("<Q", stream.read(8))[0]).decode("utf-8", "replace")


def _value(stream, kind):
    if kind == _STRING:
        return _string(stream)
    if kind == _ARRAY:
        return _skipped_array(stream)
    form = "<" + _SCALARS[kind]
    return struct.unpack(form, stream.read(struct.calcsize(form)))[0]


def _skipped_array(stream):
    inner, length = struct.unpack("<IQ", stream.read(12))
    if inner == _STRING:
        for _ in range(length):
            stream.seek(struct.unpack("<Q", stream.read(8))[0], 1)
    else:
        stream.seek(struct.calcsize("<" + _SCALARS[inner]) * length, 1)
    return length


def _tensor(stream):
    name = _string(stream)
    (dimensions,) = struct.unpack("<I", stream.read(4))
    shape = struct.unpack(f"<{dimensions}Q", stream.read(8 * dimensions))
    kind, _ = struct.unpack("<IQ", stream.read(12))
    return name, prod(shape) * GGUF_BITS.get(GGML_TYPES.get(kind), float("nan")) / 8
