"""Error text in, a class with its cause and remedy out: failures are data, counted like any other."""

import functools
import re
from collections import Counter
from dataclasses import dataclass

from .failure_rules import CAUSES, RULES, WORDS

KINDS = ("hard", "soft", "timeout", "invalid output", "refused", "contaminated", "unknown")
LONGEST = 200_000  # characters of a log that are searched; the error stands at its end
# A frame of a traceback, with the source lines that it quotes; servers put their own words before each line.
FRAME = re.compile(
    r'^(?P<margin>.*?)File "[^"\n]*", line \d+.*\n(?:(?P=margin)  .*\n)?(?:(?P=margin)[ ~^]+\n)?', re.MULTILINE)
VAGUE = ("unknown", "engine did not start", "server error", "build failure")  # the reason may stand above


@dataclass(frozen=True)
class Failure:
    """What went wrong: `kind` is one of KINDS, `cause` a key of CAUSES, `remedy` a sentence to act on."""

    kind: str
    cause: str
    remedy: str


def failure(cause):
    """The Failure of a known cause: `failure("out of memory").kind == "hard"`; KeyError for another word."""
    kind, remedy = CAUSES[cause]
    return Failure(kind, cause, remedy)


def classify_failure(text):
    """The `Failure` that an error text tells of; its kind is unknown where no rule is found in the text.

    `text` is a message, a traceback or the end of a log; bytes, exceptions and None are taken too. The first
    rule of failure_rules.RULES that is found decides. What follows a traceback's last frame is asked first,
    then all of the text but the source lines it quotes: they name what might have gone wrong, not what did.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    if isinstance(text, BaseException):
        text = f"{type(text).__name__}: {text}"
    return _classify("" if text is None else str(text)[-LONGEST:])


def failure_table(failures):
    """One dict per class: backend, phase, kind, cause, n and one example text, sorted.

    `failures` holds (backend, phase, text) for each failed cell; the sum of n is their number: none is lost.
    """
    counts, examples = Counter(), {}
    for backend, phase, text in failures:
        found = classify_failure(text)
        key = (str(backend), str(phase), found.kind, found.cause)
        counts[key] += 1
        examples.setdefault(key, "" if text is None else str(text))
    names = ("backend", "phase", "kind", "cause")
    return [dict(zip(names, key), n=counts[key], example=examples[key]) for key in sorted(counts)]


@functools.cache
def _patterns():
    flags = re.IGNORECASE | re.MULTILINE
    return [(cause, re.compile(_spelled("|".join(phrases)), flags)) for cause, phrases in RULES]


def _spelled(pattern):
    for word, meaning in WORDS.items():
        pattern = pattern.replace(word, meaning)
    return pattern


@functools.lru_cache(maxsize=4096)
def _classify(text):
    frames = [frame.end() for frame in FRAME.finditer(text)]
    cause = _first(text[frames[-1]:]) if frames else "unknown"
    return failure(_first(FRAME.sub("", text)) if cause in VAGUE else cause)


def _first(text):
    return next((cause for cause, pattern in _patterns() if pattern.search(text)), "unknown")
