"""The range of the activations that go into each matrix, found on text that no model is judged on."""

import hashlib
import json
import tempfile
from pathlib import Path

import numpy as np

from ..models.artifacts import cache_folder, describe
from ..models.identity import prompt_ids
from ..models.token_ids import seeded_ids
from ..texts import read_text
from .architecture import ExportError
from .variant import Variant

LENGTH, WINDOWS = 128, 8  # tokens of a window, and how many windows
DEFAULT_SEED = 0


def ranges(folder, architecture, variant):
    """({matrix: (lowest, highest)}, facts): measured once per model, data and seed, then read from the cache."""
    ids, data = calibration_ids(folder, architecture.vocab, variant.seed or DEFAULT_SEED)
    digest = hashlib.sha256(json.dumps(ids).encode()).hexdigest()
    facts = {
        "data": data,
        "ids_sha256": digest,
        "seed": variant.seed or DEFAULT_SEED,
        "windows": len(ids),
        "length": LENGTH,
    }
    key = hashlib.sha256(json.dumps([describe(folder).content_sha256, facts]).encode()).hexdigest()[:24]
    note = cache_folder() / "calibration" / f"{key}.json"
    if note.is_file():
        return json.loads(note.read_text())["ranges"], facts | {"key": key, "from_cache": True}
    found = _observed(folder, architecture, ids)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps(facts | {"ranges": found}))
    return found, facts | {"key": key, "from_cache": False}


def calibration_ids(folder, vocab, seed):
    """(ids[window][token], their origin): windows of the calibration text in a seeded order, or seeded ids."""
    if not (Path(folder) / "tokenizer.json").is_file():
        return [seeded_ids(vocab, LENGTH, seed, 10_000 + index) for index in range(WINDOWS)], "seeded ids"
    ids = prompt_ids(folder, read_text("calibration"))
    starts = np.linspace(0, max(len(ids) - LENGTH, 0), WINDOWS).astype(int)
    order = np.random.Generator(np.random.PCG64(seed)).permutation(WINDOWS)
    return [ids[starts[i] : starts[i] + LENGTH] for i in order], "calibration text"


def _observed(folder, architecture, windows):
    """{matrix: [lowest, highest]} over all windows, from the fp32 graph with two more outputs."""
    from .build import write  # here: build imports this module

    with tempfile.TemporaryDirectory(dir=_room()) as place:
        path = write(folder, Path(place), architecture, Variant(), observe=True)
        session, names = _session(path)
        lows, highs = zip(*(_run(session, architecture, ids) for ids in windows))
    return {name: [float(low), float(high)]
            for name, low, high in zip(names, np.min(lows, axis=0), np.max(highs, axis=0))}  # fmt: skip


def _room():
    """A folder on the cache's disk: the graph of a large model does not fit everywhere."""
    place = cache_folder()
    place.mkdir(parents=True, exist_ok=True)
    return place


def _session(path):
    try:
        import onnxruntime
    except ImportError as error:
        raise ExportError(
            f"export: calibrating needs onnxruntime ({error}). Install it: pip install onnxruntime."
        ) from error
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session, json.loads(session.get_modelmeta().custom_metadata_map["observed"])


def _run(session, a, ids):
    count = len(ids)
    empty = np.zeros((1, a.kv_heads, count, a.head_width), np.float32)
    feeds = {"input_ids": np.array([ids], np.int32), "position_ids": np.arange(count, dtype=np.int32)[None],
             "cache_positions": np.arange(count, dtype=np.int32)[None],
             "logits_at": np.arange(count, dtype=np.int32)}  # fmt: skip
    feeds |= {
        f"past_key_values.{layer}.{part}": empty for layer in range(a.layers) for part in ("key", "value")
    }
    return session.run(["lows", "highs"], feeds)
