"""One function per kind of figure: data frame in, matplotlib Figure out; nothing is drawn on a screen."""

from .backends import latency_by_backend
from .costs import cost_throughput, memory_components, roofline_share
from .limits import decode_fraction, roofline, waiting
from .ratios import ratio_forest
from .shares import outcomes, shares
from .sizes import crossover, scaling
from .style import nothing
from .times import cold_start, decode_length, latency_distributions, phase_stack

__all__ = [
    "cold_start", "cost_throughput", "crossover", "decode_fraction", "decode_length", "latency_by_backend", "latency_distributions",
    "memory_components", "nothing", "outcomes", "phase_stack", "ratio_forest", "roofline", "roofline_share", "scaling",
    "shares", "waiting",
]  # fmt: skip
