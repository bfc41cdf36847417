"""The laws that compete for the same points: power, overhead + work, log-quadratic, two pieces; judged by AICc."""

from dataclasses import dataclass, field
import math

import numpy as np
import pandas as pd
from scipy import optimize

from ..intervals import NAN
from ..records import LlmResearchError

EXACT = 1e-9              # residuals of log y below this are rounding


@dataclass(frozen=True)
class Law:
    """A fitted law: its parameters by name, the AICc of log y (nan where points are too few), and `predict(x)`."""

    name: str
    parameters: dict
    aicc: float
    n: int
    residuals: np.ndarray = field(repr=False)
    predict: object = field(repr=False)


def points(x, y, what="power_law"):
    """(x, y) as arrays of one length, and the reason why they carry no law ('' where they do)."""
    x, y = (np.asarray(v, dtype=float).ravel() for v in (x, y))
    if x.size != y.size:
        raise LlmResearchError(f"{what}: {x.size} sizes and {y.size} values are no pairs. Give one value for each size.")
    broken = int((~(np.isfinite(x) & np.isfinite(y))).sum())
    if broken:
        return x, y, f"{broken} of {x.size} points are nan or infinite"
    if (x <= 0).any() or (y <= 0).any():
        return x, y, "sizes and values must be positive: a logarithm is taken"
    return x, y, ""


def aicc(residuals, parameters):
    """Akaike's criterion corrected for few points (Hurvich & Tsai 1989), for normal residuals; the noise counts as one
    more parameter. nan where the points do not exceed the parameters by two."""
    n, k = len(residuals), parameters + 1
    if n - k - 1 <= 0:
        return NAN
    mean_square = max(float(np.mean(np.square(residuals))), EXACT**2)
    return n * math.log(mean_square) + 2 * k + 2 * k * (k + 1) / (n - k - 1)


def line(x, y):
    """(intercept, slope) of the least-squares line."""
    xm, ym = x.mean(), y.mean()
    slope = ((x - xm) * (y - ym)).sum() / ((x - xm) ** 2).sum()
    return ym - slope * xm, slope


def power(x, y):
    """y = scale x^exponent as a Law."""
    intercept, slope = line(np.log(x), np.log(y))
    return _law("power", {"scale": math.exp(intercept), "exponent": slope}, 2, x, y,
                lambda v: np.exp(intercept + slope * np.log(v)))


def overhead_work(x, y):
    """y = overhead + work x with both at least 0, as a Law (least squares of log y through scipy's curve_fit)."""
    start = _start(x, y)
    unit = np.array([y.min(), (y / x).min()])            # both parameters near one: no trouble with scales
    def logs(v, overhead, work):
        return np.log(overhead * unit[0] + work * unit[1] * v)
    found, _ = optimize.curve_fit(logs, x, np.log(y), p0=start / unit, bounds=(0, np.inf), method="trf",
                                  x_scale=np.maximum(start / unit, 1e-3))
    overhead, work = found * unit
    return _law("overhead + work", {"overhead": overhead, "work": work}, 2, x, y, lambda v: overhead + work * np.asarray(v))


def _start(x, y):
    """Overhead and work from relative least squares, a little inside their bounds."""
    rows = np.column_stack([1 / y, x / y])
    found, _ = optimize.nnls(rows / np.abs(rows).max(axis=0), np.ones(len(x)))
    found = found / np.abs(rows).max(axis=0)
    return np.maximum(found, 1e-6 * np.array([y.min(), (y / x).min()]))


def log_quadratic(x, y):
    """log y = a + b log x + c (log x)^2 as a Law."""
    center = np.log(x).mean()
    c, b, a = np.polyfit(np.log(x) - center, np.log(y), 2)
    return _law("log-quadratic", {"level": math.exp(a), "slope": b, "curvature": c, "at": math.exp(center)}, 3, x, y,
                lambda v: np.exp(a + b * (np.log(v) - center) + c * (np.log(v) - center) ** 2))


def piecewise(x, y):
    """Two power laws that meet at one of the inner sizes, as a Law."""
    u, w = np.log(x), np.log(y)
    best = None
    for knot in np.unique(u)[1:-1]:
        rows = np.column_stack([np.ones_like(u), u - knot, np.maximum(u - knot, 0)])
        found, *_ = np.linalg.lstsq(rows, w, rcond=None)
        loss = ((w - rows @ found) ** 2).sum()
        if best is None or loss < best[0]:
            best = loss, knot, found
    _, knot, (level, slope, change) = best
    parameters = {"at": math.exp(knot), "level": math.exp(level), "slope": slope, "slope_after": slope + change}
    return _law("piecewise", parameters, 4, x, y, lambda v: np.exp(
        level + slope * (np.log(v) - knot) + change * np.maximum(np.log(v) - knot, 0)))


def _law(name, parameters, count, x, y, predict):
    residuals = np.log(y) - np.log(predict(x))
    parameters = {key: float(value) for key, value in parameters.items()}
    return Law(name, parameters, aicc(residuals, count), len(x), residuals, predict)


def laws(x, y):
    """Every Law that the number of distinct sizes allows (4 at least), best AICc first."""
    x, y, reason = points(x, y, "laws")
    if reason:
        raise LlmResearchError(f"laws: {reason}. Give finite, positive numbers.")
    fitted = [fit(x, y) for fit, least in ((power, 3), (overhead_work, 3), (log_quadratic, 4), (piecewise, 5))
              if np.unique(x).size >= least]
    return sorted(fitted, key=lambda law: (math.isnan(law.aicc), law.aicc))


def compare_laws(x, y):
    """A frame with one row per law: name, aicc, delta to the best, its Akaike weight, and the parameters in words."""
    found = laws(x, y)
    scores = np.array([law.aicc for law in found])
    delta = scores - np.nanmin(scores) if np.isfinite(scores).any() else scores
    weight = np.exp(-np.nan_to_num(delta, nan=np.inf) / 2)
    words = ["; ".join(f"{k} {v:.4g}" for k, v in law.parameters.items()) for law in found]
    return pd.DataFrame({"law": [law.name for law in found], "aicc": scores, "delta": delta,
                         "weight": weight / weight.sum() if weight.sum() else NAN, "parameters": words})
