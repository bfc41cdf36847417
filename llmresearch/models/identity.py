"""Is a model what its name claims? Declared against measured, before anything is timed."""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from .artifacts import describe, remembered
from ..records import LlmResearchError
from .zoo import ModelDamaged, ModelError, resolve

PROBE = "The capital of France is Paris; π ≈ 3.14159,\n\tdéjà vu: 東京 👍  don't"


class ModelMismatch(LlmResearchError):
    """A model that is not what its name claims; the message has both figures."""


@dataclass(frozen=True)
class Identity:
    """What a model is, as measured, and which declared facts were compared with it. None: the files do not say."""

    name: str
    path: str
    params_declared: int | None
    params_measured: int | None
    vocab: int | None
    layers: int | None
    hidden: int | None
    bytes: int
    content_sha256: str
    source_sha256: str | None
    tokenizer_sha256: str | None  # of the ids of a probe text; None where there is no tokeniser
    weights: str  # trained | random | unknown
    quantisation: str | None
    checked: tuple  # names of the facts that were declared, and agreed


def check(model, path):
    """Identity of the files at `path` (a folder or a GGUF file), where they are what `model` declares.

    `model` is a name or a mapping, as for `models.folder`. Raises ModelMismatch with both figures of every
    fact that disagrees: parameters, vocabulary, layers, width, bytes, content hash, GGUF type, token ids of
    known texts.
    """
    declared, measured = resolve(model), describe(path)
    facts = _facts(declared, measured) + _token_facts(declared, Path(path))
    wrong = [
        f"{fact}: declared {_shown(said)}, measured {_shown(found)}"
        for fact, said, found in facts
        if said != found
    ]
    if wrong:
        raise ModelMismatch(
            f"{declared.name}: {path} is not what the name claims ({'; '.join(wrong)}). "
            "Name the model for what it is, or point to the right files."
        )
    return Identity(
        name=declared.name, path=str(path), params_declared=declared.params, params_measured=measured.params_measured,
        vocab=measured.vocab, layers=measured.layers, hidden=measured.hidden, bytes=measured.bytes,
        content_sha256=measured.content_sha256, source_sha256=measured.source_sha256,
        tokenizer_sha256=tokenizer_hash(path), weights=_weights(declared, measured),
        quantisation=measured.quantisation, checked=tuple(fact for fact, _, _ in facts),
    )  # fmt: skip


def _facts(declared, measured):
    """(fact, declared, measured) for everything that was declared about such files."""
    pairs = [
        ("parameters", declared.params, measured.params_measured),
        ("vocabulary", declared.vocab, measured.vocab),
        ("layers", declared.layers, measured.layers),
        ("width", declared.hidden, measured.hidden),
        ("heads", declared.heads, measured.heads),
    ]
    if measured.path.endswith(".gguf"):
        pairs += [
            ("bytes", declared.gguf_bytes, measured.bytes),
            ("quantisation", declared.quantisation, measured.quantisation),
            ("sha256", declared.gguf_sha256, measured.content_sha256),
        ]
    else:
        pairs += [
            ("bytes of tensors", declared.bytes, measured.bytes),
            ("sha256 of tensors", declared.content_sha256, measured.content_sha256),
        ]
        if measured.source_sha256 is not None:
            pairs.append(("sha256 of the source", declared.gguf_sha256, measured.source_sha256))
    return [(fact, said, found) for fact, said, found in pairs if said is not None]


def _token_facts(declared, path):
    """(fact, declared, measured) for each text whose token ids, or their number, were declared."""
    if path.suffix == ".gguf" or not declared.tokens:
        return []
    facts = []
    for text, said in declared.tokens.items():
        ids = prompt_ids(path, text) if (path / "tokenizer.json").is_file() else None
        count = isinstance(said, int)
        facts.append(
            (f"tokens of {text!r}", said if count else list(said), len(ids) if count and ids else ids)
        )
    return facts


def _weights(declared, measured):
    return declared.weights if declared.weights != "unknown" else measured.weights


def _shown(value):
    if isinstance(value, list):
        return f"{len(value)} ids {value if len(value) <= 12 else [*value[:12], '…']}"
    if isinstance(value, int):
        return f"{value:,}"
    return "nothing" if value is None else str(value)


def prompt_ids(folder, text):
    """list[int]: the token ids of `text`, with the special tokens that the folder's tokeniser adds."""
    path = Path(folder) / "tokenizer.json"
    if not path.is_file():
        raise ModelError(
            f"{folder}: has no tokenizer.json, so texts cannot be encoded. Use prompt_tokens: N instead."
        )
    return json.loads(remembered([path], lambda: json.dumps(_encode(path, text)), what=f"ids of {text}"))


def text_of(folder, ids):
    """str: what token ids say, without special tokens, by the folder's own tokeniser; None without a tokenizer.json."""
    path = Path(folder) / "tokenizer.json"
    return _loaded(path).decode(list(ids), skip_special_tokens=True) if path.is_file() else None


def tokenizer_hash(folder):
    """str: the sha256 of the ids of a probe text; None without a tokenizer.json."""
    if not (Path(folder) / "tokenizer.json").is_file():
        return None
    return hashlib.sha256(json.dumps(prompt_ids(folder, PROBE)).encode()).hexdigest()


def _encode(path, text):
    return _loaded(path).encode(text).ids


def _loaded(path):
    stat = path.stat()
    return _tokenizer(str(path), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4)
def _tokenizer(path, size, changed):
    from tokenizers import Tokenizer

    text = Path(path).read_text(encoding="utf-8")
    try:
        json.loads(text)
    except ValueError as error:
        raise ModelDamaged(
            f"{path}: is cut short or no JSON ({error}). Fetch or prepare the model again."
        ) from error
    return Tokenizer.from_str(text)
