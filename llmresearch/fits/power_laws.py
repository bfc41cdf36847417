"""Scaling laws that can say no: an exponent beside everything that could make it an accident."""

from dataclasses import dataclass, field, replace
import math

import numpy as np
from scipy import optimize, special, stats

from ..intervals import NAN
from . import shown
from .shapes import EXACT, laws, line, points

LEAST_SIZES = 4           # below: no exponent
LAW_SIZES = 8             # below: an exponent, but no law
BETTER = 6.0              # AICc by which another law must be better to reject: 20 to 1
BETTER_OVERHEAD = 2.0     # the same for overhead + work, which a law with an exponent clearly below 1 cannot imitate


class Bounded(float):
    """A float that carries its interval: `value`, `low`, `high` and `n`."""

    def __new__(cls, value, low=NAN, high=NAN, n=0):
        self = super().__new__(cls, value)
        self.value, self.low, self.high, self.n = float(value), float(low), float(high), n
        return self

    def __getnewargs__(self):
        return self.value, self.low, self.high, self.n

    def __repr__(self):
        return f"{self.value:.6g} [{self.low:.6g}, {self.high:.6g}]"


@dataclass(frozen=True, repr=False)
class PowerLaw(shown.Carded):
    """y = scale x^exponent over `range`, with what supports it and what speaks against it.

    `exponent` and `scale` are floats with `.low` and `.high`. `n` counts distinct sizes; `leverage`, `cook` and `loo`
    (the exponent without this point) have one value per point of `x`. `curvature_p`: chance of this much bend in
    log-log if the law held. `theil_sen`, `nls`: the exponent by other estimators. `aicc`: each law's, by name.
    verdict: supported, rejected, carried by one point, too few sizes, undecided; `method` gives the reason.
    """

    exponent: Bounded
    scale: Bounded
    r2: float
    n: int
    x: np.ndarray = field(repr=False)
    leverage: np.ndarray = field(repr=False)
    cook: np.ndarray = field(repr=False)
    loo: np.ndarray = field(repr=False)
    curvature_p: float
    theil_sen: float
    nls: float
    aicc: dict
    range: tuple
    verdict: str
    method: str
    residual_sd: float = NAN
    scales: dict = field(default_factory=dict, repr=False)
    within: float = NAN       # sum of squares of log x about its mean
    level: float = 0.95

    def _card(self):
        return shown.power_law(self)

    def predict(self, x):
        """scale x^exponent, in the unit of y; nan where there is no exponent."""
        x = np.asarray(x, dtype=float)
        with np.errstate(invalid="ignore", divide="ignore"):
            y = np.where(x > 0, float(self.scale) * np.power(x, float(self.exponent)), NAN)
        return float(y) if y.ndim == 0 else y

    def amplitude(self, reference):
        """A0 of y = A0 (x / reference)^exponent: the fitted value at the reference size."""
        return self.predict(reference)

    def interval(self, x):
        """(low, high) between which a new point at `x` is expected at `level`."""
        u = np.log(np.asarray(x, dtype=float))
        center = np.mean(np.log(self.x))
        error = self.residual_sd * np.sqrt(1 + 1 / len(self.x) + (u - center) ** 2 / self.within)
        half = special.stdtrit(len(self.x) - 1 - max(1, len(self.scales)), (1 + self.level) / 2) * error
        return self.predict(x) * np.exp(-half), self.predict(x) * np.exp(half)

    def extrapolates(self, x):
        """The factor by which `x` lies outside the fitted range; 1 inside it."""
        x = np.asarray(x, dtype=float)
        factor = np.maximum(1, np.maximum(self.range[0] / x, x / self.range[1]))
        return float(factor) if factor.ndim == 0 else factor


def power_law(x, y, groups=None, level=0.95):
    """y = scale x^exponent by least squares in logarithms, as a PowerLaw with its diagnostics and verdict.

    The interval is Student's t with (points - 2) degrees of freedom, where repeated values at one size count as one
    point (their mean logarithm): repeating a size tells nothing about other sizes. `groups` labels points that share
    a factor: a session over all sizes is averaged out; families with sizes of their own get a scale each (`scales`)
    and one common exponent. Fewer than 4 sizes: nan; 4 to 7: verdict 'too few sizes'.
    """
    x, y, reason = points(x, y)
    sizes = np.unique(x).size
    if reason or sizes < LEAST_SIZES:
        verdict = "undecided" if reason else "too few sizes"
        return _no_law(x, sizes, verdict, reason or f"{sizes} distinct sizes; an exponent needs {LEAST_SIZES}")
    x, y, families, names = _one_point_per_size(x, y, groups)
    u, w = _within(np.log(x), families), _within(np.log(y), families)
    if np.ptp(w) < EXACT:
        return _no_law(x, sizes, "undecided", "all values are equal: no scaling to be seen")
    law = _fitted(x, y, u, w, families, level)
    scales = _scales(x, y, families, names, float(law.exponent))
    law = replace(law, n=sizes, scales=scales, aicc=_scores(x, _levelled(y, families)))
    return _judged(law, u, w, families, level)


def _no_law(x, sizes, verdict, reason):
    empty = np.full(len(x), NAN)
    extent = (float(x.min()), float(x.max())) if len(x) else (NAN, NAN)
    return PowerLaw(Bounded(NAN, n=sizes), Bounded(NAN, n=sizes), NAN, sizes, x, empty, empty, empty, NAN, NAN, NAN, {},
                    extent, verdict, reason)


def _one_point_per_size(x, y, groups):
    """Mean logarithms per distinct (family, size): (x, y, family codes, family names).

    Groups that all have the same sizes are repetitions, not families: they are averaged.
    """
    labels = np.zeros(len(x), int) if groups is None else np.asarray(groups).ravel()
    names, codes = np.unique(labels, return_inverse=True)
    if len({tuple(np.unique(x[codes == k])) for k in range(len(names))}) == 1:
        names, codes = names[:1], np.zeros(len(x), int)
    keys, where = np.unique(np.column_stack([codes, x]), axis=0, return_inverse=True)
    where = where.ravel()
    logs = np.bincount(where, np.log(y)) / np.bincount(where)
    order = np.argsort(keys[:, 1], kind="stable")
    return keys[order, 1], np.exp(logs[order]), keys[order, 0].astype(int), list(names)


def _within(v, families):
    """`v` less the mean of its family."""
    return v - (np.bincount(families, v) / np.bincount(families))[families]


def _levelled(y, families):
    """y with the families' geometric means made equal."""
    logs = np.log(y)
    return np.exp(_within(logs, families) + logs.mean())


def _fitted(x, y, u, w, families, level):
    """The law with its estimators and influence measures, not yet judged."""
    count, df = len(x), len(x) - 1 - len(np.unique(families))
    within = (u**2).sum()
    slope = float((u * w).sum() / within)
    residuals = w - slope * u
    sd = math.sqrt((residuals**2).sum() / df) if df else NAN
    half = float(special.stdtrit(df, (1 + level) / 2)) if df else NAN
    intercept, center = np.log(y).mean() - slope * np.log(x).mean(), np.log(x).mean()
    error = sd * math.sqrt(1 / count + center**2 / within)
    leverage = 1 / np.bincount(families)[families] + u**2 / within
    exponent = Bounded(slope, slope - half * sd / math.sqrt(within), slope + half * sd / math.sqrt(within), count)
    scale = Bounded(math.exp(intercept), _exp(intercept - half * error), _exp(intercept + half * error), count)
    return PowerLaw(
        exponent, scale, 1 - (residuals**2).sum() / (w**2).sum(), count, x, leverage, _cook(residuals, leverage, sd),
        _leave_one_out(u, w, families), _curvature(x, w, u, families), float(stats.theilslopes(w, u)[0]),
        _nls(x, _levelled(y, families)), {}, (float(x.min()), float(x.max())), "", "", sd, within=within, level=level)


def _exp(v):
    return math.exp(v) if v < 700 else math.inf


def _cook(residuals, leverage, sd):
    """Cook's distance of each point: how far the fit moves without it."""
    if not sd > EXACT:
        return np.zeros(len(residuals))
    room = np.maximum(1 - leverage, 1e-12)
    return residuals**2 / (2 * sd**2) * leverage / room**2


def _leave_one_out(u, w, families):
    """The exponent without each point."""
    out = np.empty(len(u))
    for i in range(len(u)):
        keep = np.arange(len(u)) != i
        left = np.unique(families[keep], return_inverse=True)[1]
        uu, ww = _within(u[keep], left), _within(w[keep], left)
        spread = (uu**2).sum()
        out[i] = (uu * ww).sum() / spread if spread > 1e-12 else NAN
    return out


def _curvature(x, w, u, families):
    """p of the quadratic term that is added to the line in log-log; nan without a degree of freedom."""
    df = len(x) - 2 - len(np.unique(families))
    if df < 1:
        return NAN
    bend = _within(np.log(x / np.exp(np.log(x).mean())) ** 2, families)
    rows = np.column_stack([u, bend])
    found, *_ = np.linalg.lstsq(rows, w, rcond=None)
    variance = ((w - rows @ found) ** 2).sum() / df
    if variance < EXACT**2:
        return 1.0 if np.abs(found[1] * bend).max() < 10 * EXACT else 0.0
    error = math.sqrt(variance * np.linalg.inv(rows.T @ rows)[1, 1])
    return float(2 * special.stdtr(df, -abs(found[1]) / error))


def _nls(x, y):
    """The exponent by non-linear least squares of y itself (scipy's curve_fit): dominated by the largest values."""
    intercept, slope = line(np.log(x), np.log(y))
    unit, top = math.exp(np.log(x).mean()), y.max()
    try:
        found, _ = optimize.curve_fit(lambda v, a, k: a * np.power(v, k), x / unit, y / top,
                                      p0=[math.exp(intercept) * unit**slope / top, slope])
    except (RuntimeError, optimize.OptimizeWarning):
        return NAN
    return float(found[1])


def _scales(x, y, families, names, exponent):
    logs = np.log(y) - exponent * np.log(x)
    return {str(names[k]): math.exp(logs[families == k].mean()) for k in np.unique(families)}


def _scores(x, y):
    return {law.name: law.aicc for law in laws(x, y)}


def _judged(law, u, w, families, level):
    """The law with its verdict and the reason."""
    if law.n < LAW_SIZES:
        return replace(law, verdict="too few sizes", method=f"{law.n} distinct sizes; a law needs {LAW_SIZES}")
    against, rival, behind = _objection(law, law.x, w, u, families, level)
    carrier = _carrier(law, u, w, families, level)
    if against and not (carrier is not None and _rests_on(law, carrier, w, families, level)):
        return replace(law, verdict="rejected", method=against)
    if law.exponent.low <= 0 <= law.exponent.high and not against:
        return replace(law, verdict="undecided", method="the exponent's interval holds 0: no scaling to be seen")
    if carrier is not None:
        reason = f"without the point at {law.x[carrier]:.4g} the exponent is {law.loo[carrier]:.3g}, or no longer sure"
        return replace(law, verdict="carried by one point", method=reason)
    if behind > 2:
        return replace(law, verdict="undecided", method=f"{rival} fits better by {behind:.1f} in AICc")
    return replace(law, verdict="supported", method=f"straight in log-log over {law.n} sizes, AICc {-behind:+.1f} "
                                                    f"ahead of {rival}")


def _objection(law, x, w, u, families, level):
    """(what rejects the law, or ''; the best other law; by how much its AICc is better)."""
    scores = law.aicc if len(x) == len(law.x) else _scores(x, np.exp(w))
    others = {name: score for name, score in scores.items() if name != "power" and math.isfinite(score)}
    rival = min(others, key=others.get)
    behind, bent = scores["power"] - others[rival], _curvature(x, w, u, families)
    if bent < 1 - level or behind > _enough(rival, law):
        return f"log-log is bent (p {bent:.2g}); {rival} has an AICc {behind:+.1f} better", rival, behind
    return "", rival, behind


def _rests_on(law, point, w, families, level):
    """Whether a rejection rests on one point too: it has more than half the leverage, and without it nothing objects."""
    if law.leverage[point] <= 0.5:
        return False
    keep = np.arange(len(w)) != point
    left = np.unique(families[keep], return_inverse=True)[1]
    x = law.x[keep]
    return not _objection(law, x, _within(w[keep], left), _within(np.log(x), left), left, level)[0]


def _enough(rival, law):
    """The lead in AICc at which `rival` rejects the law."""
    return BETTER_OVERHEAD if rival == "overhead + work" and law.exponent.high < 0.9 else BETTER


def _carrier(law, u, w, families, level):
    """The point without which the exponent leaves its interval, or its own interval holds 0; None if there is none."""
    if law.residual_sd < EXACT:
        return None
    gone = ~((law.loo >= law.exponent.low) & (law.loo <= law.exponent.high))
    for i in range(len(u)):
        keep = np.arange(len(u)) != i
        left = np.unique(families[keep], return_inverse=True)[1]
        uu, ww = _within(u[keep], left), _within(w[keep], left)
        df = len(uu) - 1 - (left.max() + 1)
        error = math.sqrt(((ww - law.loo[i] * uu) ** 2).sum() / df / (uu**2).sum()) if df > 0 else math.inf
        gone[i] |= abs(law.loo[i]) < special.stdtrit(max(df, 1), (1 + level) / 2) * error
    return int(np.argmax(np.where(gone, law.cook, -1))) if gone.any() else None
