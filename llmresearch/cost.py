"""Seconds and joules → dollars, kWh and grams. To rent and to own are two kinds of cost, never added.

Rent is a price per hour and nothing else: energy is in it. To own is a purchase spread over a life, what the
machine draws while it waits, and the energy above that which the work takes. Money is in US dollars, rates in
tokens per second.
"""

from dataclasses import dataclass, replace
import math
import numbers

import numpy as np

from .fits.payback import magnitude
from .intervals import NAN, Estimate
from .records import LlmResearchError

MILLION, HOUR_S, KWH_J = 1e6, 3600.0, 3.6e6
YEAR_H = 365.25 * 24
PER_HOUR, PER_KWH, WATTS, PER_TOKEN = "USD / hour", "USD / kilowatt_hour", "watt", "joule / token"
GRAMS_PER_KWH = "gram / kilowatt_hour"


class CostError(LlmResearchError, ValueError, TypeError):
    """A price that is none, or costs of two kinds put together."""


class Usd(float):
    """US dollars that know their kind, `rent` or `own`: a sum of both raises CostError."""

    def __new__(cls, value, kind):
        self = super().__new__(cls, value)
        self.kind = kind
        return self

    def __add__(self, other):
        same_kind(self, other)
        return Usd(float(self) + float(other), self.kind)

    __radd__ = __add__


@dataclass(frozen=True)
class Cost(Estimate):
    """An Estimate in US dollars that knows its kind, `rent` or `own`: a sum of both raises CostError.

    A sum of two of one kind adds their half-widths, as if both were wrong the same way.
    """

    kind: str = "rent"

    def __add__(self, other):
        same_kind(self, other)
        ends = self.value + other.value, self.low + other.low, self.high + other.high
        return Cost(*ends, min(self.n, other.n), self.unit_of_replication, self.method, self.kind)


def same_kind(a, b):
    """Nothing; raises CostError where one cost is rent and the other is not."""
    kinds = [getattr(x, "kind", None) for x in (a, b)]
    if kinds[0] != kinds[1] and not (None in kinds and 0 in (a, b)):
        other = kinds[1] or "a bare number"
        raise CostError(f"cost: {kinds[0]} and {other} cannot be added. Show them in columns apart.")


@dataclass(frozen=True)
class Rent:
    """A machine by the hour: `usd_per_hour` is all there is to pay, energy included.

    `tier`: on_demand and spot are paid for the hours used, reserved ones for every hour of the term.
    """

    usd_per_hour: float
    name: str = "own price"
    tier: str = "on_demand"
    kind = "rent"

    def __post_init__(self):
        object.__setattr__(self, "usd_per_hour", magnitude("usd_per_hour", self.usd_per_hour, PER_HOUR))

    @property
    def for_every_hour(self):
        """Whether hours without work are paid too."""
        return self.tier not in ("on_demand", "spot")


@dataclass(frozen=True)
class Own:
    """A machine bought: `purchase_usd` over `life_years`, at work `busy_share` of its hours, `idle_w` in all.

    The energy above idle comes with the work (joules per token); `upkeep_usd_per_hour` is for space, hands,
    network.
    """

    purchase_usd: float
    life_years: float
    busy_share: float
    usd_per_kwh: float
    idle_w: float
    upkeep_usd_per_hour: float = 0.0
    name: str = "own machine"
    kind = "own"

    def __post_init__(self):
        dimensions = {"purchase_usd": "USD", "life_years": "year", "busy_share": "dimensionless", "usd_per_kwh": PER_KWH,
                      "idle_w": WATTS, "upkeep_usd_per_hour": PER_HOUR}  # fmt: skip
        for name, unit in dimensions.items():
            object.__setattr__(self, name, magnitude(name, getattr(self, name), unit))
        if not 0 < self.busy_share <= 1 or not self.life_years:
            raise CostError(f"{self.name}: busy_share {self.busy_share:g} of {self.life_years:g} years is no time at work. "
                            "Give a share above 0 and up to 1, and a life above 0.")  # fmt: skip

    @property
    def usd_per_hour(self):
        """Dollars per hour of its life, at work or not, without the energy above idle."""
        purchase, idle = self.purchase_usd / (self.life_years * YEAR_H), self.idle_w / 1e3 * self.usd_per_kwh
        return purchase + idle + self.upkeep_usd_per_hour

    @property
    def usd_per_busy_hour(self):
        """Dollars that one hour of work must carry: its own and those of hours in which the machine waits."""
        return self.usd_per_hour / self.busy_share


@dataclass(frozen=True)
class Mix:
    """How many prompt tokens come with how many generated ones; only their ratio counts for a cost per token."""

    prompt_tokens: float
    new_tokens: float

    def __post_init__(self):
        for name in ("prompt_tokens", "new_tokens"):
            magnitude(name, getattr(self, name), "token")
        if not self.tokens:
            raise CostError("mix: no tokens at all. Give prompt_tokens, new_tokens or both above 0.")

    @property
    def tokens(self):
        return self.prompt_tokens + self.new_tokens

    def of(self, prompt, new):
        """The mean of a quantity per prompt token and one per generated token, weighted by the mix."""
        parts = [(self.prompt_tokens, prompt), (self.new_tokens, new)]
        return sum(share * value for share, value in parts if share) / self.tokens


def cost_per_million_tokens(tokens_per_s, price, joules_per_token=None):
    """USD per million tokens at a rate: 1e6 / tokens_per_s / 3600 · USD per hour of work.

    `tokens_per_s`: a number or text with a unit (gives Usd), an array (gives an array), or an Estimate (gives
    a Cost, whose interval is the rate's turned over). `price`: USD per hour, Rent or Own. Own asks for
    `joules_per_token` above idle, a number or an Estimate, which adds its energy; where that is nan the cost
    is unknown, so nan.
    """
    price = as_price(price)
    if price.kind == "rent":
        return of_kind(_per_rate(tokens_per_s, price.usd_per_hour / HOUR_S * MILLION), "rent")
    if joules_per_token is None:
        raise CostError(f"{price.name}: the energy per token above idle is missing. Measure it with energy_window_s, "
                        "give joules_per_token, or show rent only.")  # fmt: skip
    time = _per_rate(tokens_per_s, price.usd_per_busy_hour / HOUR_S * MILLION)
    return of_kind(added(time, energy_usd(times(joules_per_token, MILLION), price.usd_per_kwh)), "own")


def as_price(price):
    """A Rent or Own as it is; a number or a text with a unit as the Rent of so many USD per hour."""
    return price if isinstance(price, (Rent, Own)) else Rent(price)


def of_kind(value, kind):
    """The amount as Usd or Cost of that kind; arrays stay arrays."""
    if isinstance(value, Estimate):
        ends = value.value, value.low, value.high
        return Cost(*ends, value.n, value.unit_of_replication, value.method, kind)
    return Usd(value, kind) if isinstance(value, numbers.Real) else value


def _per_rate(rate, amount):
    """amount / rate; nan stays nan, a rate of zero never gets there (inf), a negative one is refused."""
    if isinstance(rate, Estimate):
        ends = (_per_rate(x, amount) for x in (rate.value, rate.high, rate.low))
        return Estimate(*ends, rate.n, rate.unit_of_replication, rate.method)
    if isinstance(rate, str) or hasattr(rate, "units"):
        rate = magnitude("tokens_per_s", rate, "token / second")
    rates = np.asarray(rate, dtype=float)
    if (rates < 0).any():
        raise CostError(f"tokens_per_s: {rates.min():g} is below zero. Give measured rates.")
    found = np.divide(amount, rates, out=np.full(rates.shape, np.inf), where=rates != 0)
    return found if np.ndim(rate) else float(found)


def times(value, factor):
    """A number, array or Estimate times a number from zero up."""
    if isinstance(value, Estimate):
        ends = value.value * factor, value.low * factor, value.high * factor
        return Estimate(*ends, value.n, value.unit_of_replication, value.method)
    return np.asarray(value, dtype=float) * factor if np.ndim(value) else float(value) * factor


def added(a, b):
    """a + b of numbers or Estimates with independent errors: half-widths add in quadrature."""
    if not isinstance(a, Estimate) and not isinstance(b, Estimate):
        return a + b
    a, b = (x if isinstance(x, Estimate) else Estimate(x, x, x, 0, "", "exact") for x in (a, b))
    value = a.value + b.value
    low = value - math.hypot(a.value - a.low, b.value - b.low)
    high = value + math.hypot(a.high - a.value, b.high - b.value)
    unit = (a if a.n else b).unit_of_replication
    method = "; ".join(dict.fromkeys(m for m in (a.method, b.method) if m != "exact"))
    return Estimate(value, low, high, min((x.n for x in (a, b) if x.n), default=0), unit, method)


def kwh(joules):
    """Kilowatt hours of joules: a number, array or Estimate (3.6e6 J each)."""
    return times(joules, 1 / KWH_J)


def gco2e(joules, grams_per_kwh):
    """Grams of CO2 equivalent of joules at a grid's carbon intensity in g per kWh."""
    return times(kwh(joules), magnitude("grams_per_kwh", grams_per_kwh, GRAMS_PER_KWH))


def energy_usd(joules, usd_per_kwh):
    """Dollars of joules at a price of electricity in USD per kWh."""
    return times(kwh(joules), magnitude("usd_per_kwh", usd_per_kwh, PER_KWH))


def mixed_rate(prefill_tokens_per_s, decode_tokens_per_s, mix):
    """Tokens per second of a whole mix: prompt tokens at the prefill rate, generated ones at the decode rate.

    tokens / (prompt / prefill rate + new / decode rate), the weighted harmonic mean. Of two Estimates the
    interval is the delta method's on seconds per token, taking the phases' errors as independent;
    `economy.mixed` does better, session by session, where the calls themselves are at hand.
    """
    parts = [(mix.prompt_tokens, prefill_tokens_per_s), (mix.new_tokens, decode_tokens_per_s)]
    seconds = [_per_rate(rate, share / mix.tokens) for share, rate in parts if share]
    total = seconds[0] if len(seconds) == 1 else added(*seconds)
    if isinstance(total, Estimate) and not total.low > 0:
        total = replace(total, low=NAN, high=NAN, method=total.method + "; the interval reaches zero")
    return _per_rate(total, 1.0)


def tokens_per_dollar(usd_per_million):
    """Tokens that one dollar buys, of a number, array or Cost per million tokens."""
    return _per_rate(usd_per_million, MILLION)
