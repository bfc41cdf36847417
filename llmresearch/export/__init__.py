"""Causal language models as ONNX with a KV cache: built from safetensors, checked, and kept by content.

`artifact(folder, Variant(…))` is all that an engine needs; it needs no onnx itself: building runs in a
process of its own.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ..models.artifacts import cache_folder, file_hash, remembered
from .architecture import ExportError
from .variant import DATA, FACTS, MODEL, Variant, source_sha256

__all__ = ["DATA", "FACTS", "MODEL", "ExportError", "Variant", "artifact", "cached", "facts", "source_sha256"]

TIMEOUT_S = 1800
STACK = ("PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH")  # an engine's own: wrong for another interpreter


def artifact(folder, variant=Variant(), python=None):
    """Path of the exported model.onnx; made once per content of the weights and variant.

    `python` is the interpreter that has onnx: without it LLMRESEARCH_PYTHON, which a worker has from the process
    that started it, or else this one. Raises ExportError for a model that is not supported or cannot be built, in
    one sentence.
    """
    place = cached(folder, variant)
    if not (place / FACTS).is_file():
        _make(folder, place, variant, python or os.environ.get("LLMRESEARCH_PYTHON") or sys.executable)
    facts(place)
    return place / MODEL


def cached(folder, variant):
    """Path of the folder where this export lies, or would lie."""
    return cache_folder() / "onnx" / variant.key(source_sha256(folder))


def facts(place):
    """dict: what was checked when the export was made; ExportError where its files are not whole."""
    place = Path(place)
    place = place.parent if place.suffix == ".onnx" else place
    try:
        found = json.loads((place / FACTS).read_text())
        size = (place / MODEL).stat().st_size + (place / DATA).stat().st_size
        wanted, digests = found["bytes"], {MODEL: found["sha256"], DATA: found["data_sha256"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExportError(f"{place}: is no complete export ({error}). Name a model.onnx that was exported here; a folder "
                          "of the cache is made again once it is deleted.") from error  # fmt: skip
    if size != wanted or any(_digest(place / name) != digest for name, digest in digests.items()):
        raise ExportError(f"{place}: {size:,} bytes, {wanted:,} when it was made: a file is truncated or changed. "
                          "Delete the folder, and it is made again.")  # fmt: skip
    return found


def _digest(path):
    return remembered([path], lambda: file_hash(path))


def _make(folder, place, variant, python):
    place.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    try:
        _run(
            [python, "-m", __name__, str(Path(folder).resolve()), str(made), json.dumps(vars(variant))],
            folder,
        )
        made.chmod(0o755)
        try:
            made.rename(place)
        except OSError:
            if not place.is_dir():
                raise
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _run(command, folder):
    home = Path(__file__).resolve().parents[2]
    foreign = STACK if command[0] != sys.executable else ()
    surroundings = {name: value for name, value in os.environ.items() if name not in foreign}
    try:
        done = subprocess.run(
            command, cwd=home, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env=surroundings
        )
    except subprocess.TimeoutExpired as error:
        raise ExportError(
            f"{folder}: was not exported within {TIMEOUT_S} s. Export it where there is time."
        ) from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [""])[-1].removeprefix("ExportError: ")
        if done.returncode < 0 or not last:
            how = "was killed" if done.returncode < 0 else "ended without a word"
            raise ExportError(f"{folder}: the export {how} (exit code {done.returncode}). Look at this machine's memory, "
                              "or export a smaller model.")  # fmt: skip
        raise ExportError(last)
