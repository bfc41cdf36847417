"""The door to the scores of answers: text against text, and what they say about engines."""

from .answers import MEANINGLESS, answers, continuation
from .scores import METRICS, missing, score
from .tables import against_continuations, against_reference, fidelity, means, why_unknown, with_intervals, words

__all__ = [
    "MEANINGLESS", "METRICS", "against_continuations", "against_reference", "answers", "continuation",
    "fidelity", "means", "missing", "score", "why_unknown", "with_intervals", "words",
]  # fmt: skip
