"""The measured profiles that the fits and intervals rest on: small tables, each row with its source."""

import functools
from dataclasses import dataclass

import numpy as np
import pandas as pd

from . import inputs
from .formats import GIB
from .specs import HERE, find_model

TABLES = ("profiles.csv",)
MEASURED = ("weights", "activation", "non_torch", "cuda_graphs", "kv_pool")


@dataclass(frozen=True)
class Profiles:
    """Measured rows beside the same questions as arrays; `measured` in bytes, nan where a log did not say."""

    rows: pd.DataFrame
    asked: inputs.Asked
    measured: dict
    family: np.ndarray

    def __len__(self):
        return len(self.rows)


def read_table(path=None):
    """The table of measured profiles as it lies in sizer/data/, sizes in GiB."""
    return pd.read_csv(path or HERE / "data" / "profiles.csv")


@functools.cache
def vllm_profiles():
    """The Profiles of vLLM, those that a question can be made of."""
    rows = read_table()
    return profiles(rows[rows.engine == "vLLM"])


def profiles(rows):
    """The Profiles of a table like sizer/data/profiles.csv, without rows that cannot be asked."""
    rows = rows.reset_index(drop=True)
    asked = inputs.ask(
        {name: rows.get(name, default) for name, default in inputs.DEFAULTS.items()}, len(rows)
    )
    answerable = np.equal(asked.reasons, None)
    if not answerable.all():
        return profiles(rows[answerable])
    measured = {name: rows[f"{name}_gib"].to_numpy(float) * GIB for name in MEASURED}
    measured["non_kv"] = measured["weights"] + measured["activation"] + measured["non_torch"]
    family = np.array([find_model(name).family for name in rows.model])
    return Profiles(rows, asked, measured, family)
