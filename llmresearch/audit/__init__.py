"""Published claims against what their own figures and raw runs give: one room per study, one finding per claim."""

from .findings import VERDICTS, Finding, compare, judge, ledger, overview
from .tables import published, published_runs, published_tables

__all__ = ["VERDICTS", "Finding", "compare", "judge", "ledger", "overview", "published", "published_runs",
           "published_tables"]
