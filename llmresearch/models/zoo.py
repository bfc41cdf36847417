"""Which model a name or a mapping means, and what is declared about it."""

import re
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from ..records import LlmResearchError

ALIASES = {"gpt2-1m": "gpt2-11m"}  # the studies' name for a model of 11.18 M parameters
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


class ModelError(LlmResearchError):
    """A model that is unknown, incomplete, unreadable, or refused because reading it could run code."""


class ModelDamaged(ModelError):
    """A file that is cut short or damaged: the cells of its model fail, and those of other models are measured."""


@dataclass(frozen=True)
class Declared:
    """What is said about a model before anything is measured; None where nothing is said.

    Exactly one of `seeded`, `package`, `gguf`, `hub` and `folder` says where its weights come from.
    """

    name: str
    seeded: bool = False  # drawn from a seed (gpt2_seeded.py)
    package: str | None = None  # a Python package with `assemble(path)` for one GGUF file
    gguf: str | None = None  # a GGUF file
    hub: str | None = None  # owner/name on a model hub
    folder: str | None = None  # a local folder: config.json and safetensors
    revision: str | None = None  # of the hub's repository
    trust_remote_code: bool = False  # lets the model's own Python code run
    weights: str = "unknown"  # trained | random | unknown
    params: int | None = None  # every weight once
    vocab: int | None = None  # rows of the embedding table
    layers: int | None = None
    hidden: int | None = None
    heads: int | None = None
    bytes: int | None = None  # of the tensors
    content_sha256: str | None = None  # of the tensors' names, types, shapes and bytes
    gguf_bytes: int | None = None  # of the whole GGUF file
    gguf_sha256: str | None = None
    quantisation: str | None = None  # the GGUF file's own word for its type: F32, Q4_K_M, …
    tokens: dict | None = None  # a text: its token ids, or how many

    @property
    def origin(self):
        """The name of the field that says where the weights come from."""
        return next(kind for kind in ("seeded", "package", "gguf", "hub", "folder") if getattr(self, kind))


def names():
    """The models that have a name of their own, list[str]; aliases not among them."""
    return list(_zoo())


def resolve(model):
    """Declared: what a name of the zoo, a local folder, a GGUF file, a hub's owner/name or a mapping means.

    Touches no network and reads no weights. Raises ModelError for a name that means nothing.
    """
    if isinstance(model, Declared):
        return model
    if isinstance(model, dict):
        return _mapped(model)
    return _named(str(model))


def _named(name):
    entry = _zoo().get(ALIASES.get(name, name))
    if entry is not None:
        return _declared({"name": name} | entry)
    path = Path(name).expanduser()
    if path.is_dir():
        return _local(name, path)
    if name.endswith(".gguf") and path.is_file():
        return Declared(name=name, gguf=str(path))
    if HUB_ID.fullmatch(name) and not path.is_absolute():
        return Declared(name=name, hub=name)
    close = get_close_matches(name, [*_zoo(), *ALIASES], n=1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    raise ModelError(
        f"models: {name!r} is no known model, folder or GGUF file. {hint}Write a local folder, a hub's owner/name, "
        f"or one of {', '.join([*_zoo(), *ALIASES])}."
    )


def _local(name, path):
    """A folder that is named like a model of the zoo has that model's size, whatever its weights are."""
    entry = _zoo().get(ALIASES.get(path.name, path.name), {})
    facts = {key: entry.get(key) for key in ("params", "vocab", "layers", "hidden")}
    return Declared(name=name, folder=str(path), **facts)


def _mapped(mapping):
    known = [field.name for field in fields(Declared)]
    unknown = [key for key in mapping if key not in known]
    if unknown or not isinstance(mapping.get("name"), str):
        found = f"unknown key {unknown[0]!r}" if unknown else "no name"
        raise ModelError(f"models: {mapping!r}: {found}. Known keys: {', '.join(known)}.")
    sources = [kind for kind in ("package", "gguf", "hub", "folder", "seeded") if mapping.get(kind)]
    if len(sources) > 1:
        raise ModelError(
            f"models: {mapping['name']}: {' and '.join(sources)} given. Name one source of weights."
        )
    entry = _zoo().get(ALIASES.get(mapping["name"], mapping["name"]))
    if entry is None and not sources:
        return _declared(asdict(_named(mapping["name"])) | mapping)
    if sources and entry:
        entry = _expected_elsewhere(entry)
    return _declared((entry or {}) | mapping)


def _expected_elsewhere(entry):
    """What a name of the zoo promises about files that come from elsewhere.

    A trained model's name means these weights; a seeded one's means an architecture, whatever its weights are.
    """
    dropped = {"seeded", "package", "hub", "weights"}
    if entry.get("seeded"):
        dropped |= {"bytes", "content_sha256", "heads"}
    return {key: value for key, value in entry.items() if key not in dropped}


def _declared(facts):
    for key in ("params", "vocab", "layers", "hidden", "heads", "bytes", "gguf_bytes"):
        value = facts.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ModelError(
                f"models: {facts['name']}: {key}: {value!r} is not a whole number from 1 up. Change it."
            )
    if facts.get("weights", "unknown") not in ("trained", "random", "unknown"):
        raise ModelError(
            f"models: {facts['name']}: weights: {facts['weights']!r} is none of trained, random, unknown."
        )
    if facts.get("seeded"):
        facts = facts | {"weights": "random"}
        if not all(facts.get(key) for key in ("layers", "hidden", "heads", "vocab")):
            raise ModelError(f"models: {facts['name']}: seeded weights need layers, hidden, heads and vocab.")
        if facts["hidden"] % facts["heads"]:
            raise ModelError(
                f"models: {facts['name']}: a width of {facts['hidden']} does not divide into {facts['heads']} heads."
            )
    return Declared(**facts)


@cache
def _zoo():
    import yaml  # here and not on top: a worker imports numpy and its engine only

    return yaml.safe_load(Path(__file__).with_name("zoo.yaml").read_text(encoding="utf-8"))
