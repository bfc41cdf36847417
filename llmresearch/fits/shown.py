"""Laws, crossings and pay-back for people: (title, verdict, rows, note) of a card, as text and as HTML."""

import math

import numpy as np

from ..reporting import cards, display


class Carded:
    """A result that shows itself as a card; `_card` gives (title, verdict, rows, note)."""

    def __repr__(self):
        return cards.text(*self._card())

    def _repr_html_(self):
        return cards.html(*self._card())


def power_law(law):
    """The card of a PowerLaw: exponent and scale with intervals, what they rest on, and the rivals."""
    left = law.loo[np.isfinite(law.loo)]
    rows = [
        ("exponent", _bounded(law.exponent)),
        ("scale", _bounded(law.scale)),
        ("R²", display.number(law.r2)),
        ("sizes", f"{law.n}, from {law.range[0]:.4g} to {law.range[1]:.4g}"),
        ("exponent without one point", f"{left.min():.3g} to {left.max():.3g}" if left.size else display.MISSING),
        ("Theil-Sen, least squares of y", f"{display.number(law.theil_sen, 3)}, {display.number(law.nls, 3)}"),
        ("largest leverage", display.number(law.leverage.max(initial=0.0)) if left.size else display.MISSING),
        ("p of a bend in log-log", display.chance(law.curvature_p)),
        ("AICc", ", ".join(f"{name} {score:.1f}" for name, score in law.aicc.items()) or display.MISSING),
    ]
    return "Power law y = scale · x^exponent", law.verdict, rows, law.method


def crossover(found):
    """The card of a Crossover: the size, its intervals by two methods, and where single points would put it."""
    left = found.loo[np.isfinite(found.loo)]
    rows = [
        ("ratio is one at", f"{found.value:.4g}"),
        ("bootstrap (BCa)", _interval(found.bootstrap)),
        ("Fieller", _interval(found.fieller)),
        ("without one point", f"{left.min():.4g} to {left.max():.4g}" if left.size else display.MISSING),
        ("sizes", str(found.n)),
    ]
    return "Crossover", found.verdict, rows, found.method


def break_even(found):
    """The card of a BreakEven: seconds after the build, and tokens by then."""
    seconds = display.estimate(found.seconds, unit="s") if math.isfinite(found.seconds) else "never"
    tokens = f"{found.tokens:,.0f}" if math.isfinite(found.tokens) else "never"
    return "Break-even", "", [("after the build", seconds), ("tokens by then", tokens)], found.method


def _bounded(number):
    """'0.81 [0.75, 0.87]' of a Bounded, four significant digits."""
    if math.isnan(number):
        return display.MISSING
    return f"{number:.4g}" + (f" [{number.low:.4g}, {number.high:.4g}]" if math.isfinite(number.low) else "")


def _interval(found):
    """An interval's ends, or its kind where it has not two."""
    if found.kind == "empty":
        return f"none: {found.method}"
    ends = f"{found.low:.4g} to {found.high:.4g}"
    return ends if found.finite else f"{found.kind} ({ends})" if found.kind == "outside" else found.kind
