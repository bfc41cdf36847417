"""A GGUF file in the precision that a cell asks for: the model's own where it has it, else made once and
kept.

llama.cpp's own quantiser makes it, de-quantising first where that is needed: F32, Q8_0 and Q4_K_M of one
model are then the same weights, at the precision of their source at best. A folder without a GGUF (the seeded
GPT-2s) is written as F32 first. Nothing here needs more than numpy; writing the F32 file of a folder needs
the package `gguf`.
"""

import json
import os
import re
from pathlib import Path

import numpy as np

from ..models.artifacts import (
    cache_folder, describe, file_hash, read_config, read_sidecar, read_tensors, remembered,
)  # fmt: skip
from ..models.zoo import ModelError
from .gguf_compare import compared

# dtype of a cell: the file's word for itself, and llama_ftype (llama.h)
PRECISIONS = {
    "fp32": ("F32", 0),
    "fp16": ("F16", 1),
    "bf16": ("BF16", 32),
    "q8_0": ("Q8_0", 7),
    "q4_k_m": ("Q4_K_M", 15),
}


def file_for(cell, folder, quantise):
    """(Path, made from): the GGUF file to load, and the name of the file it was made from, None where it is
    the source.

    `quantise(source, target, llama_ftype)` writes a file. Raises ModelError where the model cannot be had as
    GGUF, or where a file in the cache is not what was written there.
    """
    label, kind = PRECISIONS[cell.dtype]
    source = _own(cell, folder) or _written(folder)
    if describe(source).quantisation == label:
        return source, None
    sha = _sha(source)
    target = cache_folder() / f"{_stem(source, sha)}-{label}.gguf"
    if not target.is_file():
        _make(
            target, lambda path: quantise(source, path, kind), {"source": source.name, "source_sha256": sha},
            lambda path: compared(path, source),
        )  # fmt: skip
    return _unchanged(target, sha), source.name


def sampled(path):
    """What `gguf_compare.compared` found when the file was made here; None for one that came so."""
    try:
        return json.loads(_notes(path).read_text()).get("sampled")
    except (OSError, ValueError, AttributeError):
        return None


def _own(cell, folder):
    """The GGUF file that the model came with; None for a folder that has none."""
    notes = read_sidecar(folder)
    named = [(cell.source or {}).get("gguf"), cell.model if cell.model.endswith(".gguf") else None]
    beside = Path(folder).parent / notes["source"] if notes.get("source") else None
    for path in [Path(name).expanduser() for name in named if name] + ([beside] if beside else []):
        if path.is_file():
            return _of_folder(path, notes)
    return None


def _of_folder(path, notes):
    said = notes.get("source_sha256")
    if said and _sha(path) != said:
        raise ModelError(
            f"{path}: is not the file that the model's folder was made from. Delete the folder, or restore "
            "it."
        )
    return path


def _stem(source, sha):
    return source.stem if sha[:12] in source.stem else f"{source.stem.removesuffix('-F32')}-{sha[:12]}"


def _sha(path):
    return remembered([path], lambda: file_hash(path))


def _make(target, write, notes, compare=lambda path: None):
    """Writes beside the target and renames: a file of that name is whole, its hash in the notes."""
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write(beside)
        notes = {"sha256": file_hash(beside), "sampled": compare(beside)} | notes
        _notes(target).write_text(json.dumps(notes, indent=1) + "\n")
        beside.replace(target)
    except OSError as error:
        raise ModelError(
            f"{target}: cannot be written ({error.strerror or error}). Free some space, or set "
            "LLMRESEARCH_CACHE to a "
            "folder that may be written."
        ) from error
    finally:
        beside.unlink(missing_ok=True)


def _notes(target):
    return target.with_suffix(".json")


def _unchanged(target, source_sha):
    try:
        notes = json.loads(_notes(target).read_text())
    except (OSError, ValueError):
        notes = {}
    if notes.get("source_sha256") != source_sha or notes.get("sha256") != _sha(target):
        raise ModelError(f"{target}: changed since it was made. Delete it, and it is made again.")
    return target


def _written(folder):
    """The F32 GGUF of a GPT-2 folder, written once."""
    found = describe(folder)
    target = cache_folder() / f"{Path(folder).name}-{found.content_sha256[:12]}-F32.gguf"
    if not target.is_file():
        kind = read_config(folder).get("model_type")
        if kind != "gpt2":
            raise ModelError(
                f"{folder}: a {kind} model without a GGUF file, and only GPT-2 folders are converted here. "
                "Convert it "
                "with llama.cpp's convert_hf_to_gguf.py and name the file: {name: …, gguf: FILE}."
            )
        notes = {"source": Path(folder).name, "source_sha256": found.content_sha256}
        _make(target, lambda path: _write_gpt2(folder, path), notes)
    return _unchanged(target, found.content_sha256)


def _write_gpt2(folder, path):
    """F32, without a vocabulary: ids in, ids out. Layout: llama.cpp's gpt2.cpp; Conv1D is transposed."""
    import gguf

    config = read_config(folder)
    writer = gguf.GGUFWriter(path, "gpt2")
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("no_vocab")
    writer.add_context_length(config["n_positions"])
    writer.add_embedding_length(config["n_embd"])
    writer.add_feed_forward_length(config.get("n_inner") or 4 * config["n_embd"])
    writer.add_block_count(config["n_layer"])
    writer.add_head_count(config["n_head"])
    writer.add_layer_norm_eps(config["layer_norm_epsilon"])
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    for name, entry in read_tensors(folder).items():
        ours = gpt2_name(name)
        if ours:
            writer.add_tensor(
                ours, _values(entry, transposed=".h." in f".{name}" and len(entry["shape"]) == 2)
            )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _values(entry, transposed):
    if entry["dtype"] != "F32":
        raise ModelError(
            f"{entry['file']}: holds {entry['dtype']}. Save the model in fp32 to make a GGUF file of it."
        )
    values = np.memmap(entry["file"], np.float32, "r", offset=entry["start"], shape=entry["shape"])
    return np.ascontiguousarray(values.T if transposed else values)


GPT2_NAMES = {
    "wte": "token_embd",
    "wpe": "position_embd",
    "ln_f": "output_norm",
    "ln_1": "attn_norm",
    "ln_2": "ffn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}


def gpt2_name(name):
    """What llama.cpp calls a tensor of a GPT-2 checkpoint: `transformer.h.3.ln_1.bias` →
    `blk.3.attn_norm.bias`.

    None for what is no weight of its own: causal masks, and the output layer that is tied to the embedding.
    """
    part = re.fullmatch(r"(?:transformer\.)?(?:h\.(\d+)\.)?(.+)\.(weight|bias)", name)
    if not part or part[2] not in GPT2_NAMES:
        return None
    layer, what, kind = part.groups()
    return (f"blk.{layer}." if layer else "") + f"{GPT2_NAMES[what]}.{kind}"
