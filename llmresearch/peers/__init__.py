"""The door to the comparison of engines on the same requests: tables, verdicts, recommendations, files."""

from .files import cost_analysis, metrics, rows, statistics
from .labels import labels
from .pairs import anovas, pairs, spreads, untold_tails, versus
from .ranking import in_short, ranking, recommendations
from .requests import costs, named, opening, requests, together
from .resources import resources, unread

__all__ = [
    "anovas", "cost_analysis", "costs", "in_short", "labels", "metrics", "named", "opening", "pairs", "ranking", "recommendations",
    "requests", "resources", "rows", "spreads", "statistics", "together", "unread", "untold_tails", "versus",
]  # fmt: skip
