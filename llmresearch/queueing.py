"""How many requests an hour one engine can take before its users wait too long: a queue, not perfect packing.

Requests that arrive at random (Poisson) and are served one after the other form an M/G/1 queue. Their mean
waiting time is

    W = rate · E[S²] / (2 · (1 − utilisation)),   utilisation = rate · E[S]      (Pollaczek 1930, Khinchine 1932)

with S the measured time of a whole request, its spread included. The first token comes after the wait and the
prefill.
"""

import numpy as np
import pandas as pd

from .frames import steady
from .records import LlmResearchError
from .stats.estimates import center_of_sessions

BY = ["backend", "device", "dtype", "model", "scenario"]
UTILISATIONS = (0.5, 0.7, 0.9)
GRID = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95)  # for a curve


class NoService(LlmResearchError):
    """Service times or rates of which no queue can be made."""


def waiting(service, rate, spread=None):
    """Mean seconds that a request waits before it is served; inf where the queue grows without end.

    `service`: measured seconds of requests; `rate`: arrivals per second; `spread`: as in `capacity`.
    """
    mean, square = _moments(service, spread)
    if not rate >= 0:
        raise NoService(f"queueing: {rate} arrivals per second. The rate must be 0 or more.")
    busy = rate * mean
    return float(rate * square / (2 * (1 - busy))) if busy < 1 else np.inf


def _moments(service, spread):
    """(E[S], E[S²]) of measured seconds; the second by `spread` where it is given."""
    service = np.asarray(service, dtype=float)
    if not service.size or not (service > 0).all():
        raise NoService("queueing: service times must be seconds above 0. Check the unit.")
    if spread is not None and not spread >= 0:
        raise NoService(f"queueing: spread {spread}. A variance over a squared mean is 0 or more, or None.")
    mean = service.mean()
    return mean, (service**2).mean() if spread is None else mean**2 * (1 + spread)


def largest_rate(service, wait_s, spread=None):
    """Arrivals per second at which the mean wait is `wait_s`; 0 where even an idle engine is too late (wait_s
    <= 0). `spread`: as in `capacity`.

    W solved for the rate: 2w / (E[S²] + 2w·E[S]).
    """
    mean, square = _moments(service, spread)
    if wait_s <= 0:
        return 0.0
    return float(2 * wait_s / (square + 2 * wait_s * mean))


def capacity(frame, ttft_s, demand_per_s=None, spread=None):
    """One row per engine, model and scenario: what one engine can take with a mean time to the first token of
    `ttft_s`.

    Columns: service_s, prefill_s (means of steady calls), spread (variance of S over its squared mean),
    largest_rate (arrivals per second, an Estimate over sessions), utilisation at it, and saturated_rate (1 /
    E[S]: perfect packing, where waiting has no end). With `demand_per_s` requests per second, spread at
    random over equal engines: engines, and engines_at_most (at the low edge of the rate), beside packed,
    which perfect packing would need; nan where no number of engines meets the goal. Rows without both
    `prefill` and `e2e` are left out. Measured requests are all alike: `spread` is how unlike a user's are,
    the variance of their service times over the squared mean (0 alike, 1 exponential); None: as measured.
    """
    rows = []
    for who, part in _by_size(frame):
        sessions = [_session(one, ttft_s, spread) for _, one in part.groupby("session")]
        sessions = pd.DataFrame([s for s in sessions if s])
        if len(sessions):
            rate = center_of_sessions(sessions["rate"])
            rows.append(who | {
                "service_s": sessions["service_s"].mean(), "prefill_s": sessions["prefill_s"].mean(),
                "spread": sessions["spread"].mean(), "largest_rate": rate,
                "utilisation": rate.value * sessions["service_s"].mean(),
                "saturated_rate": 1 / sessions["service_s"].mean(), "sessions": len(sessions),
            } | _engines(demand_per_s, rate, sessions["service_s"].mean()))  # fmt: skip
    return pd.DataFrame(rows)


def _by_size(frame):
    """(names, steady calls) of each engine, model and scenario; an engine's models by size where the frame
    tells it.
    """
    size = [name for name in ("params_measured",) if name in frame]
    order = [*BY[:3], *size, *BY[3:]]
    for key, part in steady(frame).groupby(order, observed=True, sort=True, dropna=False):
        who = dict(zip(order, key))
        yield {name: who[name] for name in BY}, part


def _engines(demand, rate, service_s):
    """How many engines serve `demand` requests a second; nothing where no demand is given."""
    if demand is None:
        return {}
    at = [np.ceil(demand / one) if one > 0 else np.nan for one in (rate.value, rate.low)]
    return {"engines": at[0], "engines_at_most": at[1], "packed": np.ceil(demand * service_s)}


def _session(part, ttft_s, spread):
    """What one process says: moments of its requests and the rate it can take; None without requests or
    prefills.
    """
    times = _times(part)
    if times is None:
        return None
    service, prefill_s = times
    return {"service_s": service.mean(), "prefill_s": prefill_s,
            "spread": service.var() / service.mean() ** 2 if spread is None else spread,
            "rate": largest_rate(service, ttft_s - prefill_s, spread)}  # fmt: skip


def waits(frame, utilisations=UTILISATIONS, spread=None):
    """One row per engine, model, scenario and utilisation: rate (arrivals per second) and wait_s, means over
    sessions, and ttft_s, the mean time to the first token, an Estimate over sessions. Times in seconds;
    `spread` as in `capacity`.
    """
    rows = []
    for who, part in _by_size(frame):
        who |= {"params_measured": part["params_measured"].iloc[0]} if "params_measured" in part else {}
        sessions = [one for one in (_times(one) for _, one in part.groupby("session")) if one]
        for busy in utilisations if sessions else ():
            found = pd.DataFrame([_wait(*one, busy, spread) for one in sessions])
            rows.append(who | {"utilisation": busy, "rate": found["rate"].mean(),
                        "wait_s": found["wait_s"].mean(),
                        "ttft_s": center_of_sessions(found["ttft_s"])})  # fmt: skip
    return pd.DataFrame(rows)


def _times(part):
    """(seconds of whole requests, mean seconds of a prefill) of one process; None without one of them."""
    service = part.loc[part["phase"] == "e2e", "seconds"].to_numpy()
    prefill = part.loc[part["phase"] == "prefill", "seconds"]
    return (service, prefill.mean()) if len(service) and len(prefill) else None


def _wait(service, prefill_s, busy, spread):
    rate = busy / service.mean()
    wait = waiting(service, rate, spread)
    return {"rate": rate, "wait_s": wait, "ttft_s": wait + prefill_s}
