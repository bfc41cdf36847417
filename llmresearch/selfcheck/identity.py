"""A1: is a model that is not what its name says always caught, and one that is never accused?

Five mutants of small copies: a test fixture as gpt2, a tokeniser that was changed, one tensor times 1.001, a quantised
file under the name of an exact one, a padded vocabulary. And honest copies, each beside another file of no importance.
"""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np

from .. import models
from ..models import ModelMismatch

TEXT = "The capital of France is"
MODEL = "tiny-gpt2"
LAYER, EMBEDDING = "transformer.h.0.mlp.c_fc.weight", "transformer.wte.weight"


def run(copies=100):
    """The check's result: mutants caught of five, with what was said of each, and false alarms among honest copies."""
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        true = shutil.copytree(models.folder(MODEL), place / "true")
        _tokeniser(true, words=True)
        said = {name: _accused(*mutant(true, place / name.replace(" ", "-"))) for name, mutant in MUTANTS.items()}
        alarms = sum(_accused(_spec(), _honest(true, place / "honest", i)) is not None for i in range(copies))
    missed = [name for name, words in said.items() if words is None]
    return {"name": "identity", "passed": not missed and alarms == 0, "mutants": len(said), "caught": len(said) - len(missed),
            "false_alarms": alarms, "copies": copies, "said": said, "why": f"not caught: {', '.join(missed)}" if missed else None}  # fmt: skip


def _accused(spec, path):
    """What the identity check says against these files; None where it accepts them."""
    try:
        models.check(spec, path)
    except ModelMismatch as error:
        return str(error).partition(" is not what the name claims ")[2]
    return None


def _spec(name=MODEL):
    return {"name": name, "tokens": {TEXT: [0, 1, 2, 3, 4]}}


def _honest(true, place, i):
    """The folder, copied once, with another note beside the weights each time."""
    if not place.is_dir():
        shutil.copytree(true, place)
    (place / "README.md").write_text(f"copy {i}")
    return place


def _tokeniser(folder, words):
    """Write a tokeniser of whole words, or of characters where `words` is false."""
    from tokenizers import Tokenizer, pre_tokenizers
    from tokenizers import models as kinds

    pieces = TEXT.split() if words else sorted(set(TEXT))
    tokeniser = Tokenizer(kinds.WordLevel({piece: i for i, piece in enumerate([*pieces, "?"])}, unk_token="?"))
    tokeniser.pre_tokenizer = pre_tokenizers.Whitespace() if words else pre_tokenizers.Split("", "isolated")
    tokeniser.save(str(folder / "tokenizer.json"))


def _fixture_as_gpt2(true, place):
    return "gpt2", shutil.copytree(true, place)


def _other_tokeniser(true, place):
    shutil.copytree(true, place)
    _tokeniser(place, words=False)
    return _spec(), place


def _changed(true, place, name, change):
    """A copy of which one tensor went through `change`."""
    from safetensors.numpy import load_file, save_file

    shutil.copytree(true, place)
    weights = load_file(place / "model.safetensors")
    weights[name] = np.ascontiguousarray(change(weights[name]))
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
    return _spec(), place


def _scaled(true, place):
    return _changed(true, place, LAYER, lambda tensor: tensor * np.float32(1.001))


def _padded(true, place):
    _changed(true, place, EMBEDDING, lambda table: np.pad(table, ((0, -len(table) % 64), (0, 0))))
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps(config | {"vocab_size": config["vocab_size"] + -config["vocab_size"] % 64}))
    return _spec(), place


def _renamed(true, place):
    """A GGUF file whose large tensor has four bits a weight, called model-F32.gguf."""
    import gguf

    place.mkdir()
    path, kind = place / "model-F32.gguf", gguf.GGMLQuantizationType.Q4_0
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_embedding_length(32)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    writer.add_tensor("token_embd.weight", gguf.quants.quantize(np.ones((64, 32), np.float32), kind), raw_dtype=kind)
    writer.add_tensor("output_norm.weight", np.ones(32, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return {"name": "m", "gguf": str(path), "params": 2080, "quantisation": "F32"}, path


MUTANTS = {
    "test fixture as gpt2": _fixture_as_gpt2, "tokeniser changed": _other_tokeniser, "one tensor times 1.001": _scaled,
    "Q4 file renamed F32": _renamed, "vocabulary padded": _padded,
}  # fmt: skip
