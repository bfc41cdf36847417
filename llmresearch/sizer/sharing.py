"""A question as text that can be passed on: a call to copy, or an address's query, and back."""

import json
from urllib.parse import parse_qsl, urlencode

from . import configs, inputs
from .command import OPTIONS
from .formats import SizerError
from .inputs import DEFAULTS

LARGEST_TEXT = 2 << 20
"""Characters of a pasted config.json at most: those with a long list of layers have some hundred thousand."""
LONGEST_NAME = 4096
"""Characters of a model's name or path at most."""
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


def changed(question):
    """The model and what differs from the defaults of `estimate`, in their order.

    Raises SizerError for a name that `estimate` does not have.
    """
    unknown = sorted(set(question) - set(DEFAULTS))
    if unknown:
        raise SizerError(f"question: unknown argument {unknown[0]!r}. Known: {', '.join(DEFAULTS)}.")
    kept = {name: question[name] for name in DEFAULTS if name in question}
    return {name: value for name, value in kept.items() if name == "model" or value != DEFAULTS[name]}


def as_call(question):
    """The `lr.sizer.estimate(...)` that answers a mapping of arguments, as one line of Python."""
    words = [f"{name}={value!r}" for name, value in changed(question).items() if name != "model"]
    return f"lr.sizer.estimate({', '.join([repr(question.get('model')), *words])})"


def as_query(question):
    """The question as the query of an address, without the "?": "model=llama-3.1-8b&gpu=h100".

    A mapping of a config stands in it as JSON.
    """
    words = {name: _word(value) for name, value in changed(question).items() if value is not None}
    return urlencode(words)


def _word(value):
    return json.dumps(value, sort_keys=True) if isinstance(value, dict) else f"{value}"


def from_query(text):
    """The mapping of arguments that `as_query` wrote; {} for an empty query.

    Raises SizerError for an unknown name, for what is no number where one belongs, and for the path of a
    file: whoever writes an address does not choose what is read from this machine's disk.
    """
    question = {}
    for name, value in parse_qsl(text.removeprefix("?"), keep_blank_values=True):
        if name not in OPTIONS:
            raise SizerError(f"address: unknown name {name!r}. Known: {', '.join(OPTIONS)}.")
        question[name] = _model(value) if name == "model" else read(name, value)
    return question


def _model(text):
    """A registry name or the mapping of a pasted config, never a file."""
    if not text.lstrip().startswith("{") and configs.is_file(text):
        raise SizerError("model: an address may not name a file; give a registry name or paste the config.")
    return read("model", text)


def read(name, text, kind=None):
    """What the text of one argument means: a number, a truth, a mapping, a name; None for an empty one.

    `kind` (int, float, bool or str) is that of the argument of `estimate` unless given. Raises SizerError, its sentence starting with the argument's name.
    """
    text = text.strip()
    if not text:
        return None
    if len(text) > (LARGEST_TEXT if text.startswith("{") else LONGEST_NAME):
        raise SizerError(too_long(name))
    if name == "model":
        return _mapping(text) if text.startswith("{") else text
    if name == "engine_version" and inputs.version(text) != inputs.version(text):
        raise SizerError(f"engine_version: {text!r} is no version; give one such as 0.19.0, or b4000 of llama.cpp.")
    kind = kind or OPTIONS[name][0]
    if kind is bool:
        if text.lower() not in _TRUTH:
            raise SizerError(f"{name}: {text!r} is neither true nor false; give one of them.")
        return _TRUTH[text.lower()]
    return _number(name, text, kind) if kind in (int, float) else text


def too_long(name):
    """The sentence on a text that is longer than anything that belongs there."""
    what = f"no config.json has {LARGEST_TEXT:,} characters and no name {LONGEST_NAME:,}" if name == "model" else "this is no value"
    return f"{name}: too long; {what}. Paste only what belongs here."


def _mapping(text):
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise SizerError(
            f"model: the pasted config is not JSON (line {error.lineno}: {error.msg}); paste the whole file."
        ) from None
    except RecursionError:
        raise SizerError("model: the pasted config is nested too deeply; paste a config.json.") from None
    return found


def _number(name, text, kind):
    try:
        number = float(text)
        return int(number) if kind is int and number == int(number) else number
    except (ValueError, OverflowError):
        raise SizerError(f"{name}: {text!r} is not a number; give one.") from None
