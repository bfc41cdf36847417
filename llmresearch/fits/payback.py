"""When a faster engine has made up the time its build took, with the units checked."""

from dataclasses import dataclass
from functools import lru_cache
import math
import numbers

import pint

from . import shown
from ..records import LlmResearchError

SECONDS, RATE = "second", "token / second"


class UnitError(LlmResearchError, ValueError, TypeError):
    """A quantity of the wrong dimension, or one that is no finite number."""


@lru_cache(maxsize=1)
def units():
    """The pint registry of this package: SI, `token` and `USD`."""
    registry = pint.UnitRegistry()
    registry.define("token = [token] = tok = tokens")
    registry.define("USD = [currency] = usd")
    return registry


@dataclass(frozen=True, repr=False)
class BreakEven(shown.Carded):
    """`seconds` after the build until the candidate has caught up, `tokens` made by then since the build began.

    `never` where the candidate is not faster; seconds and tokens are then infinite.
    """

    seconds: float
    tokens: float
    never: bool
    method: str = "tokens = build x a x b / (b - a); the baseline works while the candidate is built"

    def _card(self):
        return shown.break_even(self)


def break_even(build_seconds, baseline_tokens_per_s, candidate_tokens_per_s):
    """When building pays, as a BreakEven; numbers in seconds and tokens per second, or pint quantities, or text with
    a unit ('4 min', '2121 token/s').

    At time s after the build the baseline would have made a (build + s) tokens and the candidate b s, so
    s = build a / (b - a). A wrong unit, a negative or infinite number: UnitError.
    """
    build = magnitude("build_seconds", build_seconds, SECONDS)
    baseline = magnitude("baseline_tokens_per_s", baseline_tokens_per_s, RATE)
    candidate = magnitude("candidate_tokens_per_s", candidate_tokens_per_s, RATE)
    if candidate <= baseline:
        return BreakEven(math.inf, math.inf, True, "never: the candidate is not faster than the baseline")
    seconds = build * baseline / (candidate - baseline)
    return BreakEven(seconds, seconds * candidate, False)


def magnitude(name, value, unit):
    """The number of `unit`s in `value`, which is a number (taken to be in it), text with a unit, or a quantity."""
    try:
        number = _number(name, value, unit)
    except pint.DimensionalityError as error:
        raise UnitError(f"{name}: {value} is not in {unit} ({error}). Give it in {unit}.") from error
    except (pint.UndefinedUnitError, pint.errors.DefinitionSyntaxError) as error:
        raise UnitError(f"{name}: {value!r} has no unit that is known ({error}). Give it in {unit}.") from error
    if not math.isfinite(number) or number < 0:
        raise UnitError(f"{name}: {value} is not a number from zero up. Give a measured value in {unit}.")
    return number


def _number(name, value, unit):
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, str):
        value = units().Quantity(value)
    elif not hasattr(value, "units"):
        raise UnitError(f"{name}: {value!r} is neither a number nor a quantity. Give it in {unit}.")
    own = units().Quantity(float(value.magnitude), _words(value))
    return own.to(unit).magnitude


def _words(quantity):
    """The quantity's units in words that any registry reads."""
    return " * ".join(f"{name} ** {power}" for name, power in dict(quantity._units).items()) or "dimensionless"
