"""A6: does the energy over a window hold the truth, and is it refused where the counter cannot tell?

A simulated counter of known power updates every so often, rounds down to its step and begins again at its wrap. Windows
begin anywhere in its period.
"""

import math

import numpy as np

from .. import energy

PERIOD_S, STEP_J, WRAP_J = 0.1, 0.001, 5000.0
IDLE_W, BUSY_W = 70.0, 430.0
COVERED = 0.95


class SimulatedCounter:
    """A counter whose power is known: `power_w` since time 0, and `reading(t)` in joules."""

    def __init__(self, power_w, period_s=PERIOD_S, step_j=STEP_J, wraps_at_j=WRAP_J, offset_j=0.0):
        self.power_w, self.period_s, self.step_j = power_w, period_s, step_j
        self.wraps_at_j, self.offset_j = wraps_at_j, offset_j

    def reading(self, t):
        """What the counter shows at `t` seconds: until its last update, rounded down, modulo its wrap."""
        joules = self.offset_j + self.power_w * math.floor(t / self.period_s) * self.period_s
        return math.floor(joules / self.step_j) * self.step_j % self.wraps_at_j


def run(windows=400, seed=1):
    """The check's result: resolution found, share of windows that hold the truth (some across the wrap), refusals."""
    rng = np.random.default_rng(seed)
    found = _resolution(SimulatedCounter(BUSY_W))
    right = found is not None and PERIOD_S <= found.period_s <= 1.1 * PERIOD_S and found.step_j <= BUSY_W * PERIOD_S
    rows = np.array([_window(found, rng) for _ in range(windows)]) if right else np.zeros((1, 4))
    (held, net_held, crossed), width = rows[:, :3].mean(axis=0), float(rows[:, 3].max())
    refused = _refusals(found) if right else {"resolution": False}
    passed = right and held >= COVERED and net_held >= COVERED and crossed > 0 and all(refused.values())
    return {"name": "energy", "passed": bool(passed), "period_s": found.period_s if found else None, "windows_held": float(held),
            "above_idle_held": float(net_held), "crossed_the_wrap": float(crossed), "widest_error_share": width,
            "windows": windows, "refused": refused}  # fmt: skip


def _resolution(counter):
    times = np.arange(0.0, 2.0, 0.002)
    return energy.resolution(times, [counter.reading(t) for t in times], WRAP_J)


def _window(found, rng):
    """(does the window hold the truth, does it without idle, did it cross the wrap, half its width as a share)."""
    seconds, start = rng.uniform(1.2, 8.0), rng.uniform(0, 20)
    busy, idle = (SimulatedCounter(watts, offset_j=rng.uniform(0, WRAP_J)) for watts in (BUSY_W, IDLE_W))
    used, quiet = (_between(found, counter, start, seconds) for counter in (busy, idle))
    net = energy.above_idle(used, quiet)
    truth, net_truth = BUSY_W * seconds, (BUSY_W - IDLE_W) * seconds
    crossed = busy.reading(start + seconds) < busy.reading(start)
    return (used.low <= truth <= used.high, net.low <= net_truth <= net.high, crossed, (used.high - used.low) / 2 / truth)


def _between(found, counter, start, seconds):
    return energy.window(found, *((t, counter.reading(t)) for t in (start, start + seconds)))


def _refusals(found):
    """{what must be refused: was it}: with a reason, and nan for joules."""
    plain = energy.Counter(found.period_s, found.step_j)
    cases = {
        "short window": energy.window(found, (0.0, 0.0), (9.9 * found.period_s, 100.0)),
        "no counter": energy.window(None, (0.0, None), (5.0, None)),
        "fall without a wrap": energy.window(plain, (0.0, 4900.0), (5.0, 20.0)),
        "unknown idle": energy.above_idle(energy.Energy(100.0, 90.0, 110.0, 5.0), energy.unknown(5.0, "no counter")),
    }
    still = energy.resolution(np.arange(100) / 100, np.full(100, 7.0))
    return {name: math.isnan(e.joules) and bool(e.reason) for name, e in cases.items()} | {"counter that stands": still is None}
