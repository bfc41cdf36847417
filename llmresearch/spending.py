"""What a volume of tokens costs over months, from when on a choice pays, an engine against an API's price."""

from dataclasses import dataclass
import math

from .cost import HOUR_S, MILLION, YEAR_H, Cost, CostError, added, as_price, energy_usd, of_kind, times
from .fits.payback import magnitude
from .intervals import NAN, Estimate

MONTH_H = YEAR_H / 12


@dataclass(frozen=True)
class Tco:
    """Dollars for `tokens` over `months`: `usd` (a Cost), on `machines` at work `busy_share` of the time.

    `machines` and `busy_share` are nan where the rate is not known.
    """

    usd: Cost
    tokens: float
    months: float
    machines: float
    busy_share: float
    kind: str


def tco(tokens_per_month, months, tokens_per_s, price, joules_per_token=None):
    """The Tco of a steady volume: hours used (on demand, spot), or all hours of whole machines.

    Owning is purchase over life, idle power and upkeep for every hour of whole machines, and the energy
    above idle per token. What `busy_share` a price assumes does not matter here: it follows from the volume.
    The interval is the rate's; `machines` is their number at the rate's value, and where the ends of its
    interval ask for more or fewer, what those cost is in the interval of the dollars.
    """
    price, rate = as_price(price), _estimate(tokens_per_s)
    months = magnitude("months", months, "dimensionless")
    tokens = magnitude("tokens_per_month", tokens_per_month, "token") * months
    if not rate.value > 0:
        return Tco(of_kind(times(rate, NAN), price.kind), tokens, months, NAN, NAN, price.kind)
    hours = Estimate(*(tokens / x / HOUR_S if x > 0 else math.inf for x in (rate.value, rate.high, rate.low)),
                     rate.n, rate.unit_of_replication, rate.method)  # fmt: skip
    there = _whole_machines(hours, months * MONTH_H)
    if price.kind == "rent":
        usd = times(there if price.for_every_hour else hours, price.usd_per_hour)
    else:
        energy = energy_usd(times(_known(joules_per_token), tokens), price.usd_per_kwh)
        usd = added(times(there, price.usd_per_hour), energy)
    machines = round(there.value / (months * MONTH_H))
    return Tco(of_kind(_estimate(usd), price.kind), tokens, months, machines, hours.value / there.value, price.kind)


def _whole_machines(hours, term):
    """The hours of all machines that so many hours of work need over a term of hours, as an Estimate of whole machines."""
    value, low, high = (max(1, math.ceil(h / term - 1e-9)) * term if math.isfinite(h) else h
                        for h in (hours.value, hours.low, hours.high))  # fmt: skip
    if low == value == high or math.isnan(low):
        return _estimate(value)
    return Estimate(value, low, high, hours.n, hours.unit_of_replication, f"{hours.method}; whole machines")


def _estimate(value):
    """An Estimate as it is; a number as one that is exact."""
    exact = (value, value, value, 0, "", "exact arithmetic")
    return value if isinstance(value, Estimate) else Estimate(*exact)


def _known(joules_per_token):
    if joules_per_token is None:
        raise CostError("joules_per_token: missing, and to own takes energy. "
                        "Measure it with energy_window_s, or give it.")  # fmt: skip
    return joules_per_token


@dataclass(frozen=True)
class Payback:
    """`tokens` (an Estimate) from which on the candidate is the cheaper one; inf where it never is.

    verdict: pays, never, or undecided, where the intervals leave open which of both is cheaper per token.
    """

    tokens: Estimate
    verdict: str


def pays_after(fixed_usd, baseline_usd_per_million, candidate_usd_per_million):
    """The Payback of `fixed_usd` spent once (a build, a set-up) for a candidate that costs less per token.

    fixed / (baseline - candidate) · 1e6. Costs of two kinds are refused. The interval is that of the
    difference, its half-widths added in quadrature; where it holds zero the answer is undecided.
    """
    baseline, candidate = baseline_usd_per_million, candidate_usd_per_million
    _one_kind(fixed_usd, baseline, candidate)
    a, b, fixed = _estimate(baseline), _estimate(candidate), float(magnitude("fixed_usd", fixed_usd, "USD"))
    saved = added(a, times(Estimate(b.value, b.high, b.low, b.n, b.unit_of_replication, b.method), -1.0))
    ends = (fixed / x * MILLION if x > 0 else math.inf for x in (saved.value, saved.high, saved.low))
    found = Estimate(*ends, saved.n, saved.unit_of_replication, saved.method)
    if math.isnan(saved.value):
        return Payback(Estimate(NAN, NAN, NAN, saved.n, saved.unit_of_replication, saved.method), "undecided")
    return Payback(found, "pays" if saved.low > 0 else "never" if saved.high <= 0 else "undecided")


def _one_kind(*costs):
    kinds = {cost.kind for cost in costs if hasattr(cost, "kind")}
    if len(kinds) > 1:
        both = " and ".join(sorted(kinds))
        raise CostError(f"cost: {both} cannot be compared in one sum. Compare rent with rent.")


@dataclass(frozen=True)
class ApiPrice:
    """What a provider asks per million input tokens and per million output tokens, in US dollars."""

    usd_per_million_input: float
    usd_per_million_output: float
    name: str = "API"

    def __post_init__(self):
        for name in ("usd_per_million_input", "usd_per_million_output"):
            magnitude(name, getattr(self, name), "USD")

    def per_million(self, mix):
        """US dollars per million tokens of the mix."""
        return mix.of(self.usd_per_million_input, self.usd_per_million_output)


@dataclass(frozen=True)
class AgainstApi:
    """A machine kept for every hour, against an API: from which volume on it is the cheaper one.

    `tokens_per_month` (exact: both bills are prices), the `busy_share` of one machine that makes them (an
    Estimate, by its rate), and the verdict: cheaper from there, never (one machine cannot make as many), or
    undecided.
    """

    api_usd_per_million: float
    tokens_per_month: float
    busy_share: Estimate
    verdict: str


def against_api(api, mix, tokens_per_s, price, joules_per_token=None):
    """The AgainstApi of one machine that makes `tokens_per_s` of the mix and is paid at all hours.

    Break-even: USD of a month / (API's USD per token - energy above idle per token, when owned).
    """
    price, rate = as_price(price), _estimate(tokens_per_s)
    api_usd, energy = api.per_million(mix), 0.0
    if price.kind == "own":
        energy = _estimate(energy_usd(times(_known(joules_per_token), MILLION), price.usd_per_kwh)).value
    saved = api_usd - energy
    tokens = saved if math.isnan(saved) else math.inf
    if saved > 0:
        tokens = price.usd_per_hour * MONTH_H / saved * MILLION
    ends = (_share(tokens, x) for x in (rate.value, rate.high, rate.low))
    share = Estimate(*ends, rate.n, rate.unit_of_replication, rate.method)
    return AgainstApi(api_usd, tokens, share, _reached(share))


def _share(tokens, rate):
    """The share of a month's hours in which a machine of that rate makes so many tokens."""
    return tokens / (rate * MONTH_H * HOUR_S) if rate > 0 else NAN if math.isnan(rate) else math.inf


def _reached(share):
    if math.isnan(share.value):
        return "not measured"
    if math.isnan(share.low) or math.isnan(share.high):
        return "undecided"
    return "cheaper from there" if share.high <= 1 else "never" if share.low > 1 else "undecided"
