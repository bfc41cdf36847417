"""Published claims beside what their own figures and raw runs give: a room per study, a finding per claim."""

from .findings import VERDICTS, Finding, compare, judge, ledger, overview, wrong
from .tables import published, published_runs, published_tables

__all__ = ["VERDICTS", "Finding", "compare", "judge", "ledger", "overview", "published", "published_runs",
           "published_tables", "wrong"]
