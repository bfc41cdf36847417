"""The published figures that ship with the package, and the raw runs where somebody has them."""

from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import pandas as pd

from ..records import LlmResearchError

RAW = "raw_tr118_runs.csv"
MODELS = {"gpt2-11m": "gpt2-1m"}  # the studies call their 11.18 M model gpt2-1m


class PublishedError(LlmResearchError):
    """A published table that is not here or is not what its name says."""


@cache
def _read(name):
    path = files("llmresearch").joinpath("published", f"{name}.csv")
    if not path.is_file():
        known = ", ".join(published_tables())
        raise PublishedError(f"published: no table is called {name!r}. There are: {known}.")
    with path.open(encoding="utf-8") as lines:
        return pd.read_csv(lines, dtype=str, keep_default_na=False)


def published(name):
    """The published table `name` as text, digits as they were printed; each row names its source."""
    return _read(name).copy()


def published_tables(study=""):
    """The names of all published tables, or of one study's ('tr118')."""
    folder = files("llmresearch").joinpath("published")
    names = (path.name.removesuffix(".csv") for path in folder.iterdir() if path.name.endswith(".csv"))
    return sorted(name for name in names if name != "index" and name.startswith(study))


def published_runs(folder):
    """(runs, note): TR118's 5,580 published runs as a table and their hash, or None and why they are not here.

    Added columns: `file`, the run file's name without folder and ending, and `campaign`, the folder it lies in.
    Throughput is in padded tokens a second, latency in milliseconds, as published.
    """
    path = Path(folder) / RAW if folder else None
    if path is None or not path.is_file():
        return None, f"the published raw runs are not here: no {RAW} in {folder or 'any folder that was named'}"
    runs = pd.read_csv(path)
    missing = {"model", "mode", "session", "backend", "scenario", "ok", "lat_mean_ms", "error"} - set(runs)
    if missing:
        raise PublishedError(f"{path}: columns {sorted(missing)} are missing. Use the published {RAW}.")
    parts = runs["session"].str.split("/")
    runs["file"] = parts.str[-1].str.removesuffix(".jsonl").str.removeprefix("bench_")
    runs["campaign"] = parts.str[:-3].str.join("/").where(parts.str.len() > 4, parts.str[:-2].str.join("/"))
    runs["model"] = runs["model"].replace(MODELS)
    digest = sha256(path.read_bytes()).hexdigest()
    return runs, f"{len(runs):,} runs in {RAW}, SHA-256 {digest[:16]}…"
