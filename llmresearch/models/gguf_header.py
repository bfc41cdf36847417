"""What a GGUF file says about itself, in a fraction of a second.

The `gguf` package's reader builds an object for each of 262,144 vocabulary entries, 5 to 10 s for one small
file; the header needs none of them. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
(version 2 and 3).
"""

import math
import mmap
import struct
from dataclasses import dataclass, replace

from .zoo import ModelDamaged, ModelError

SCALARS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
STRING, ARRAY = 8, 9
# ggml type: name, elements in a block, bytes of a block (ggml/src/ggml-common.h)
TYPES = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292), 20: ("IQ4_NL", 32, 18),
    23: ("IQ4_XS", 256, 136), 30: ("BF16", 1, 2),
}  # fmt: skip
# general.file_type: what the file as a whole is called (llama.h, llama_ftype)
FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 25: "IQ4_NL", 30: "IQ4_XS",
    32: "BF16",
}  # fmt: skip


@dataclass(frozen=True)
class Header:
    """A GGUF file's own words, and the elements that its tensors hold."""

    params: int
    vocab: int | None
    layers: int | None
    hidden: int | None
    heads: int | None
    quantisation: str | None
    dtypes: dict


@dataclass(frozen=True)
class Tensor:
    """Where a tensor lies: `shape` as the file tells it, the length of a row first; `start` and `bytes` in the file."""

    label: str
    shape: tuple
    start: int
    bytes: int


def read(path):
    """Header of a GGUF file. Raises ModelError where it is no GGUF, damaged, or shorter than its index needs."""
    return _summary(*_indexed(path))


def tensors(path):
    """{name: Tensor} of a GGUF file; raises as `read`."""
    return _indexed(path)[1]


def _indexed(path):
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _header(path, data)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}). Name a GGUF file.") from error
    except (struct.error, KeyError, UnicodeDecodeError, ValueError) as error:
        raise ModelDamaged(
            f"{path}: is no GGUF file, or is cut short inside its index. Fetch it again."
        ) from error


def _header(path, data):
    magic, version, tensors, pairs = struct.unpack_from("<4sIQQ", data, 0)
    if magic != b"GGUF" or version not in (2, 3):
        raise ValueError("not GGUF")
    place, words = 24, {}
    for _ in range(pairs):
        key, place = _string(data, place)
        words[key], place = _value(data, place + 4, struct.unpack_from("<I", data, place)[0])
    found = {}
    for _ in range(tensors):
        name, shape, kind, offset, place = _tensor(data, place)
        label, block, block_bytes = TYPES[kind]
        found[name] = Tensor(label, shape, offset, math.prod(shape) // block * block_bytes)
    alignment = words.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1:
        raise ValueError("no alignment")
    base = -(-place // alignment) * alignment
    needed = base + max((one.start + one.bytes for one in found.values()), default=0)
    if len(data) < needed:
        raise ModelDamaged(
            f"{path}: is cut short ({len(data):,} bytes, and its index needs {needed:,}). Fetch or assemble it again."
        )
    return words, {name: replace(one, start=base + one.start) for name, one in found.items()}


def _summary(words, tensors):
    kind = words.get("general.architecture", "")
    dtypes = {}
    for one in tensors.values():
        dtypes[one.label] = dtypes.get(one.label, 0) + math.prod(one.shape)
    embedding = tensors.get("token_embd.weight")
    return Header(
        params=sum(dtypes.values()),
        vocab=embedding.shape[1] if embedding else None,
        layers=words.get(f"{kind}.block_count"),
        hidden=words.get(f"{kind}.embedding_length"),
        heads=words.get(f"{kind}.attention.head_count"),
        quantisation=FILE_TYPES.get(words.get("general.file_type")),
        dtypes=dtypes,
    )


def _string(data, place):
    length = struct.unpack_from("<Q", data, place)[0]
    if length > len(data) - place:
        raise ValueError("a string longer than the file")
    return data[place + 8 : place + 8 + length].decode(), place + 8 + length


def _value(data, place, kind):
    """(the value, where the next one begins); of an array only its length."""
    if kind == STRING:
        return _string(data, place)
    if kind != ARRAY:
        form = SCALARS[kind]
        return struct.unpack_from(form, data, place)[0], place + struct.calcsize(form)
    inner, count = struct.unpack_from("<IQ", data, place)
    place += 12
    if inner != STRING:
        return count, place + count * struct.calcsize(SCALARS[inner])
    for _ in range(count):
        place += 8 + struct.unpack_from("<Q", data, place)[0]
    return count, place


def _tensor(data, place):
    name, place = _string(data, place)
    dimensions = struct.unpack_from("<I", data, place)[0]
    shape = struct.unpack_from(f"<{dimensions}Q", data, place + 4)
    place += 4 + 8 * dimensions
    kind, offset = struct.unpack_from("<IQ", data, place)
    return name, shape, kind, offset, place + 12
