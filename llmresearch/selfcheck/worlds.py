"""Simulated machines: the kinds of noise that timed calls are known to have, with a truth that is known."""

import numpy as np
import pandas as pd
from scipy.signal import lfilter

SPREAD = 0.05             # standard deviation of log seconds between calls
WORLDS = {                # name: (kind of noise, its parameter, offset of a process in units of SPREAD)
    "iid normal": ("normal", 0, 0), "iid skewed": ("skewed", 0, 0), "bimodal": ("bimodal", 0, 0),
    "5 % stalls": ("stalls", 0.05, 0), "AR(1) 0.6": ("ar", 0.6, 0), "AR(1) 0.9": ("ar", 0.9, 0),
    "drift 1 %": ("drift", 0.01, 0), "drift 3 %": ("drift", 0.03, 0), "process offset 0.25x": ("normal", 0, 0.25),
    "process offset 1x": ("skewed", 0, 1), "process offset 2x": ("stalls", 0.05, 2),
}  # fmt: skip
INDEPENDENT = ("iid normal", "iid skewed", "bimodal", "5 % stalls")


def noise(rng, kind, parameter, shape):
    """Log seconds of calls whose true median is 0, the last axis in order of time."""
    z = rng.standard_normal(shape)
    if kind == "skewed":
        return np.log1p(0.08 * (np.exp(0.8 * z) - 1))
    if kind == "bimodal":
        return _bimodal(rng, z)
    if kind == "stalls":
        stalled = rng.random(shape) < parameter
        fast = SPREAD * (z - STALLED_MEDIAN)
        return np.where(stalled, fast + np.log(1.5 + 8 * rng.random(shape)), fast)
    if kind == "ar":
        return SPREAD * _autocorrelated(rng, parameter, shape)
    return SPREAD * z


STALLED_MEDIAN = 0.0660   # z with 95 % x P(Z < z) = 50 %: the median of calls of which 5 % stall


def _bimodal(rng, z):
    """Seven in ten calls at one clock rate, three at another 10 % slower, less their common median."""
    slow = rng.random(z.shape) < 0.3
    return np.where(slow, 0.1, 0.0) + 0.01 * z - 0.0056595


def _autocorrelated(rng, rho, shape, before=100):
    """A stationary first-order series of variance 1."""
    e = rng.standard_normal((*shape[:-1], shape[-1] + before))
    return lfilter([np.sqrt(1 - rho**2)], [1, -rho], e, axis=-1)[..., before:]


def log_times(rng, world, shape, interleave=True):
    """Log seconds as an array (studies, sessions, arms, scenarios, calls), all medians 0 before the offsets.

    Each (session, arm) is a process with an offset of its own. Under drift the machine slows steadily over a session;
    the processes of a session run in random order, or always in the order of the arms unless `interleave`.
    """
    kind, parameter, offset = WORLDS[world]
    logs = noise(rng, kind, parameter, shape)
    if offset:
        logs = logs + offset * SPREAD * rng.standard_normal((*shape[:3], 1, 1))
    return logs + parameter * _clock(rng, shape, interleave) if kind == "drift" else logs


def _clock(rng, shape, interleave):
    """When each call runs: -1/2 to 1/2 over a session."""
    studies, sessions, arms, scenarios, calls = shape
    place = np.broadcast_to(np.arange(arms), (studies, sessions, arms))
    if interleave:
        place = rng.permuted(place, axis=-1)
    inside = (np.arange(scenarios)[:, None] * calls + np.arange(calls)) / (scenarios * calls)
    return (place[..., None, None] + inside) / arms - 0.5


def frame(logs, names=("a", "b")):
    """The array of log seconds as a frame with study, session, backend, scenario and seconds."""
    index = np.indices(logs.shape).reshape(5, -1)
    names = pd.Categorical.from_codes(index[2], list(names)[:logs.shape[2]])
    return pd.DataFrame({"study": index[0], "session": index[1], "backend": names, "scenario": index[3],
                         "seconds": np.exp(logs).ravel()})


def allowed(share, trials):
    """The share plus two standard errors: what a method that keeps it may show."""
    return share + 2 * (share * (1 - share) / trials) ** 0.5
