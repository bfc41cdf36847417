"""What a model's files hold, read from their headers: no engine, no torch, nothing that could run code."""

import hashlib
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

from . import gguf_header
from .zoo import ModelDamaged, ModelError

SIDECAR = "llmresearch.json"  # in a folder that was prepared here: what its weights are, and from where
EMBEDDINGS = (
    "wte.weight",
    "embed_tokens.weight",
    "word_embeddings.weight",
    "embed_in.weight",
    "tok_embeddings.weight",
)
OUTPUTS = ("lm_head.weight", "embed_out.weight", "output.weight")
BLOCK = 1 << 22
WIDTHS = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}  # bytes


@dataclass(frozen=True)
class Description:
    """What a model's files hold. None: the files do not say."""

    path: str
    params_measured: int | None  # every weight once, tied embeddings once, no buffers
    vocab: int | None  # rows of the embedding table
    layers: int | None
    hidden: int | None
    heads: int | None
    bytes: int  # of the tensors (of the file, for GGUF)
    dtypes: dict  # type: how many elements
    content_sha256: str  # of the tensors (of the file, for GGUF)
    weights: str  # trained | random | unknown
    quantisation: str | None  # a GGUF file's type, or a configuration's quantisation method
    source_sha256: str | None  # of the file that the folder was converted from


def cache_folder():
    """Path: where prepared models and remembered hashes lie; LLMRESEARCH_CACHE moves it."""
    return Path(os.environ.get("LLMRESEARCH_CACHE") or Path.home() / ".cache" / "llmresearch" / "models")


def describe(path):
    """Description of a model folder or a GGUF file, from headers alone; the hash is remembered while the files stay.

    Raises ModelError for files that are missing, cut short, pickled or not what they seem.
    """
    path = Path(path)
    return _describe_gguf(path) if path.suffix == ".gguf" else _describe_folder(path)


def _describe_folder(folder):
    config = read_config(folder)
    inner = config.get("text_config") or config
    tensors = read_tensors(folder)
    dtypes = {}
    for tensor in tensors.values():
        dtypes[tensor["dtype"]] = dtypes.get(tensor["dtype"], 0) + math.prod(tensor["shape"])
    quantisation = (config.get("quantization_config") or {}).get("quant_method")
    sidecar = read_sidecar(folder)
    return Description(
        path=str(folder),
        params_measured=None if quantisation else _count(tensors, config),
        vocab=_rows(tensors),
        layers=inner.get("num_hidden_layers", inner.get("n_layer")),
        hidden=inner.get("hidden_size", inner.get("n_embd")),
        heads=inner.get("num_attention_heads", inner.get("n_head")),
        bytes=sum(t["end"] - t["start"] for t in tensors.values()),
        dtypes=dtypes,
        content_sha256=remembered(weight_files(folder), lambda: _content_hash(tensors)),
        weights=sidecar.get("weights", "unknown"),
        quantisation=quantisation,
        source_sha256=sidecar.get("source_sha256"),
    )


def _describe_gguf(path):
    header = gguf_header.read(path)
    return Description(
        path=str(path), params_measured=header.params, vocab=header.vocab, layers=header.layers, hidden=header.hidden,
        heads=header.heads, bytes=path.stat().st_size, dtypes=header.dtypes,
        content_sha256=remembered([path], lambda: file_hash(path)), weights="unknown",
        quantisation=header.quantisation, source_sha256=None,
    )  # fmt: skip


def read_config(folder):
    """dict: a folder's config.json."""
    path = Path(folder) / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read ({error.strerror}). A model folder holds config.json and model.safetensors."
        ) from error
    except ValueError as error:
        raise ModelError(f"{path}: is not JSON. Fetch the model's configuration again.") from error
    if not isinstance(config, dict):
        raise ModelError(
            f"{path}: holds a {type(config).__name__}, not a mapping. Fetch the configuration again."
        )
    return config


def read_sidecar(folder):
    """dict: what was noted when the folder was prepared; empty for a folder that comes from elsewhere."""
    path = Path(folder) / SIDECAR
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def weight_files(folder):
    """list[Path]: the folder's safetensors files, sorted; refuses a folder that has only pickles."""
    found = sorted(Path(folder).glob("*.safetensors"))
    if found:
        return found
    pickles = sorted(p.name for kind in ("*.bin", "*.pt", "*.pth", "*.pkl") for p in Path(folder).glob(kind))
    if pickles:
        raise ModelError(
            f"{folder}: holds its weights only as a pickle ({pickles[0]}), which can run code when it is read. "
            "Save the model with safetensors and point here again."
        )
    raise ModelError(
        f"{folder}: holds no safetensors file. A model folder holds config.json and model.safetensors."
    )


def read_tensors(folder):
    """{name: {dtype, shape, file, start, end}} over a folder's safetensors files; start and end in bytes."""
    tensors = {}
    for path in weight_files(folder):
        for name, entry in _safetensors_header(path).items():
            if name in tensors:
                raise ModelError(
                    f"{path}: the tensor {name} is also in another file. Keep one copy of the weights."
                )
            tensors[name] = entry
    return tensors


def _safetensors_header(path):
    """The file's index. Format: 8 bytes with the header's length, a JSON header, then the tensors' bytes."""
    size = path.stat().st_size
    cut = f"{path}: is cut short or damaged (%s). Fetch or prepare the model again."
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise ModelDamaged(cut % f"{size} bytes, too few for its own index")
        try:
            header = json.loads(file.read(length))
            header.pop("__metadata__", None)
            entries = {name: _entry(path, 8 + length, value) for name, value in header.items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ModelDamaged(cut % "its index cannot be read") from error
    needed = max((entry["end"] for entry in entries.values()), default=8 + length)
    if needed != size:
        raise ModelDamaged(cut % f"{size:,} bytes, and its index needs {needed:,}")
    return entries


def _entry(path, base, value):
    start, end = value["data_offsets"]
    if not all(isinstance(size, int) and size >= 0 for size in (start, end, *value["shape"])):
        raise ValueError("an offset or a size is no whole number")
    width = WIDTHS.get(value["dtype"])
    if end < start or width and end - start != math.prod(value["shape"]) * width:
        raise ValueError("a tensor has more or fewer bytes than its shape")
    return {"dtype": value["dtype"], "shape": tuple(value["shape"]), "file": path,
            "start": base + start, "end": base + end}  # fmt: skip


def _count(tensors, config):
    """Every weight once. Old GPT-2 checkpoints also hold causal masks (…attn.bias, four-dimensional): no weights."""
    inner = config.get("text_config") or {}
    tied = config.get("tie_word_embeddings", inner.get("tie_word_embeddings", True))
    rows = _rows(tensors)
    total = 0
    for name, tensor in tensors.items():
        mask = name.endswith(".bias") and len(tensor["shape"]) != 1
        buffer = mask or name.endswith(("inv_freq", "masked_bias"))
        copy = tied and rows is not None and name.endswith(OUTPUTS) and tensor["shape"][0] == rows
        total += 0 if buffer or copy else math.prod(tensor["shape"])
    return total


def _rows(tensors):
    found = [
        t["shape"][0] for name, t in tensors.items() if name.endswith(EMBEDDINGS) and len(t["shape"]) == 2
    ]
    return max(found, default=None)


def _content_hash(tensors):
    """sha256 over name, type, shape and bytes of each tensor, in the order of names; files do not matter."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(json.dumps([name, tensor["dtype"], tensor["shape"]]).encode())
        _feed(digest, tensor["file"], tensor["start"], tensor["end"])
    return digest.hexdigest()


def file_hash(path):
    """str: the sha256 of a whole file."""
    digest = hashlib.sha256()
    _feed(digest, path, 0, Path(path).stat().st_size)
    return digest.hexdigest()


def _feed(digest, path, start, end):
    with Path(path).open("rb") as file:
        file.seek(start)
        while start < end:
            block = file.read(min(BLOCK, end - start))
            if not block:
                raise ModelError(f"{path}: became shorter while it was read. Prepare the model again.")
            digest.update(block)
            start += len(block)


def remembered(files, compute, what="content"):
    """str: `compute()`, or what it gave for `what` when these files had the same sizes and times of change.

    The note lies in the cache folder, never beside files of others; without a writable cache it is computed
    each time. A change of any kind moves a file's change time (ctime), which a program cannot set back.
    """
    files = [Path(file).resolve() for file in files]
    stamp = [[file.name, s.st_size, s.st_mtime_ns, s.st_ctime_ns] for file in files for s in [file.stat()]]
    key = hashlib.sha256("\n".join([what, *map(str, files)]).encode()).hexdigest()[:24]
    note = cache_folder() / "notes" / f"{key}.json"
    known = _note(note)
    if known.get("stamp") == stamp and isinstance(known.get("value"), str):
        return known["value"]
    value = compute()
    _write_note(note, {"what": what, "stamp": stamp, "value": value, "files": [str(file) for file in files]})
    return value


def _note(path):
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def _write_note(path, value):
    """Written beside and renamed, so that no reader sees half of it."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps(value))
        beside.replace(path)
    except OSError:
        return
