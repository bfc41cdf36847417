"""Sentences with a line and an interval, and the label that says where a number comes from."""

from dataclasses import asdict, dataclass
import math

from ..intervals import Estimate
from ..records import LlmResearchError

LABELS = ("measured", "derived", "fitted", "extrapolated", "cited", "unknown")
"""From the strongest to the weakest: what a number rests on."""
STATUSES = ("supported", "refuted", "undecided", "not measured")


class ReportError(LlmResearchError):
    """A report that was asked for something it cannot show."""


@dataclass(frozen=True, repr=False)
class Claim:
    """A sentence, the line drawn for it before measuring, and what the interval says of it."""

    id: str
    text: str
    status: str
    value: float
    low: float
    high: float
    n: int
    above: float | None
    below: float | None
    label: str
    method: str
    unit: str = ""

    def __repr__(self):
        from .page import line, reading

        return f"{self.status}: {self.text} {reading(self)}, {line(self)} ({self.label})"

    def _repr_html_(self):
        from .cards import badge, escape

        return f"{badge(self.status)} {escape(repr(self).removeprefix(self.status + ': '))}"

    def asdict(self):
        """The claim as claims.json holds it, every column."""
        return asdict(self)


def weakest(*labels):
    """The label of a combination: that of its weakest part; unknown wins, and nothing at all is unknown."""
    for label in labels:
        check_label(label)
    return max(labels, key=LABELS.index, default="unknown")


def check_label(label):
    """Nothing; raises ReportError where `label` is not in the closed list."""
    if label not in LABELS:
        raise ReportError(f"label: {label!r} is not known. Labels: {', '.join(LABELS)}.")


def claim(id, text, estimate, above=None, below=None, label="measured", unit=""):
    """The Claim that `estimate` lies above, below, or (both lines given) between them.

    `estimate` is an Estimate, anything with value, low, high; or a number, which decides a claim only where
    it is exact arithmetic (label="derived"): a bare measurement has no interval, and decides nothing.
    """
    check_label(label)
    if above is None and below is None:
        raise ReportError(f"claim {id!r}: no line. Give above=, below= or both, drawn before measuring.")
    found = as_estimate(estimate, label)
    status = (
        "not measured" if label == "unknown" else verdict(found.value, found.low, found.high, above, below)
    )
    return Claim(
        id, text, status, found.value, found.low, found.high, found.n, above, below, label, found.method, unit
    )


def verdict(value, low, high, above=None, below=None):
    """supported where the whole interval is beyond the line, refuted where none of it is, else undecided.

    A nan value is "not measured"; a value without an interval is "undecided". An interval that ends on the
    line lies on its wrong side: 1.0 is not above 1.
    """
    if value is None or math.isnan(value):
        return "not measured"
    if math.isnan(low) or math.isnan(high):
        return "undecided"
    if (above is not None and high <= above) or (below is not None and low >= below):
        return "refuted"
    return "supported" if (above is None or low > above) and (below is None or high < below) else "undecided"


def as_estimate(thing, label="measured"):
    """`thing` as an Estimate: itself, its value, low and high, or a number (exact if derived)."""
    if isinstance(thing, Estimate):
        return thing
    if all(hasattr(thing, name) for name in ("value", "low", "high")):
        n, method = getattr(thing, "n", 0), getattr(thing, "method", "")
        return Estimate(_float(thing.value), _float(thing.low), _float(thing.high), n, method=method)
    try:
        value = _float(thing)
    except (TypeError, ValueError) as error:
        raise ReportError(
            f"estimate: a {type(thing).__name__} has no value, low and high. Give an Estimate or a number."
        ) from error
    edge = value if label == "derived" else math.nan
    return Estimate(value, edge, edge, 1, method="exact arithmetic" if label == "derived" else "no interval")


def _float(value):
    return math.nan if value is None else float(value)
