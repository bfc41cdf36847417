"""Failure classes: §7.1 against what the 1,190 error strings say."""

import pandas as pd

from ...failures import classify_failure, failure_table
from ..findings import Finding, compare
from ..tables import published
from .runs import DEEP

CAUSE = {"profile_mismatch": "profile or shape mismatch"}


def classes(runs):
    """§7.1: the number of failures of each backend and mode, and whether their errors say what the table says."""
    found = []
    for row in published("tr118_failure_classification").to_dict("records"):
        name, table = f"{row['backend']} {row['mode']}", "tr118_failure_classification"
        here = None if runs is None else runs[
            (runs["campaign"] == DEEP) & (runs["backend"] == row["backend"]) & (runs["mode"] == row["mode"])
            & ~runs["ok"]]
        ours = float("nan") if here is None else float(len(here))
        found += [compare(table, f"{name}: failed runs", row["count_both_models"], ours, f"counted in {DEEP}",
                          row["source"], measured=True), _class(table, name, row, here)]
    return found


def _class(table, name, row, failed):
    claim = f"{name}: all fail by {row['failure_type'].replace('_', ' ')}"
    if failed is None:
        return Finding(table, claim, row["failure_type"], "nothing", "not checkable", "needs the raw runs",
                       row["source"])
    counts = failed["error"].map(lambda text: classify_failure(text).cause).value_counts()
    ours = ", ".join(f"{count} {cause}" for cause, count in counts.items())
    verdict = "reproduced" if set(counts.index) == {CAUSE[row["failure_type"]]} else "refuted"
    return Finding(table, claim, row["failure_type"], ours, verdict, "classify_failure on each error string",
                   row["source"])


def by_backend_and_phase(runs):
    """All failed runs of all files, counted by backend, phase, kind and cause, with one error string of each."""
    failed = runs[~runs["ok"]]
    return pd.DataFrame(failure_table(failed[["backend", "mode", "error"]].itertuples(index=False, name=None)))
