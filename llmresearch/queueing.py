"""How many requests an hour one engine can take before its users wait too long: a queue, not perfect packing.

Requests that arrive at random (Poisson) and are served one after the other form an M/G/1 queue. Their mean waiting time is

    W = rate · E[S²] / (2 · (1 − utilisation)),   utilisation = rate · E[S]      (Pollaczek 1930, Khinchine 1932)

with S the measured time of a whole request, its spread included. The first token comes after the wait and the prefill.
"""

import numpy as np
import pandas as pd

from .frames import steady
from .records import LlmResearchError
from .stats.estimates import center_of_sessions

BY = ["backend", "device", "dtype", "model", "scenario"]
UTILISATIONS = (0.5, 0.7, 0.9)


class NoService(LlmResearchError):
    """Service times or rates of which no queue can be made."""


def waiting(service, rate):
    """Mean seconds that a request waits before it is served; inf where the queue grows without end.

    `service`: measured seconds of requests; `rate`: arrivals per second.
    """
    service = np.asarray(service, dtype=float)
    if not service.size or not (service > 0).all() or rate < 0:
        raise NoService("queueing: service times must be seconds above 0, and the rate 0 or more. Check the unit.")
    busy = rate * service.mean()
    return float(rate * (service**2).mean() / (2 * (1 - busy))) if busy < 1 else np.inf


def largest_rate(service, wait_s):
    """Arrivals per second at which the mean wait is `wait_s`; 0 where even an idle engine is too late (wait_s <= 0).

    W solved for the rate: 2w / (E[S²] + 2w·E[S]).
    """
    service = np.asarray(service, dtype=float)
    if wait_s <= 0:
        return 0.0
    return float(2 * wait_s / ((service**2).mean() + 2 * wait_s * service.mean()))


def capacity(frame, ttft_s):
    """One row per engine, model and scenario: what one engine can take with a mean time to the first token of `ttft_s`.

    Columns: service_s, prefill_s (means of steady calls), spread (variance of S over its squared mean), largest_rate
    (arrivals per second, an Estimate over sessions), utilisation at it, and saturated_rate (1 / E[S]: perfect packing,
    where waiting has no end). Rows without both `prefill` and `e2e` are left out.
    """
    rows = []
    for key, part in steady(frame).groupby(BY, observed=True, sort=True):
        sessions = [_session(one, ttft_s) for _, one in part.groupby("session")]
        sessions = pd.DataFrame([s for s in sessions if s])
        if len(sessions):
            rate = center_of_sessions(sessions["rate"])
            rows.append(dict(zip(BY, key)) | {
                "service_s": sessions["service_s"].mean(), "prefill_s": sessions["prefill_s"].mean(),
                "spread": sessions["spread"].mean(), "largest_rate": rate,
                "utilisation": rate.value * sessions["service_s"].mean(),
                "saturated_rate": 1 / sessions["service_s"].mean(), "sessions": len(sessions),
            })  # fmt: skip
    return pd.DataFrame(rows)


def _session(part, ttft_s):
    """What one process says: moments of its requests and the rate it can take; None without requests or prefills."""
    service = part.loc[part["phase"] == "e2e", "seconds"].to_numpy()
    prefill = part.loc[part["phase"] == "prefill", "seconds"]
    if not len(service) or prefill.empty:
        return None
    return {"service_s": service.mean(), "prefill_s": prefill.mean(), "spread": service.var() / service.mean() ** 2,
            "rate": largest_rate(service, ttft_s - prefill.mean())}  # fmt: skip


def waits(frame, utilisations=UTILISATIONS):
    """One row per engine, model, scenario and utilisation: mean wait and mean time to the first token, in seconds."""
    rows = []
    used = steady(frame)
    for key, part in used.groupby(BY, observed=True, sort=True):
        service = part.loc[part["phase"] == "e2e", "seconds"].to_numpy()
        prefill = part.loc[part["phase"] == "prefill", "seconds"]
        for busy in utilisations if len(service) and len(prefill) else ():
            rate = busy / service.mean()
            wait = waiting(service, rate)
            rows.append(dict(zip(BY, key)) | {"utilisation": busy, "rate": rate, "wait_s": wait, "ttft_s": wait + prefill.mean()})
    return pd.DataFrame(rows)
