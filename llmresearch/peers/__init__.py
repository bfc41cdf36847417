"""The door to the comparison of engines on the same requests: tables, verdicts, recommendations, files."""

from .files import cost_analysis, metrics, statistics
from .labels import labels
from .pairs import anovas, pairs, spreads, versus
from .ranking import ranking, recommendations
from .requests import costs, named, requests, together
from .resources import resources, unread

__all__ = [
    "anovas", "cost_analysis", "costs", "labels", "metrics", "named", "pairs", "ranking", "recommendations",
    "requests", "resources", "spreads", "statistics", "together", "unread", "versus",
]  # fmt: skip
