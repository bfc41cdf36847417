"""What a request takes: processor, memory, GPU; mean and peak, as the engine's own process told."""

import math

import pandas as pd

from ..frames import samples

READINGS = {
    "own_cores": "cores", "rss_bytes": "B", "gpu_utilisation": "share", "gpu_memory_bytes": "B",
    "gpu_temperature_c": "°C", "gpu_power_w": "W",
}  # fmt: skip
"""Columns of a record's telemetry, and their units."""


def resources(frame):
    """One row per engine and model: mean and peak of each reading over all samples, nan where nothing was read.

    Cores are processor seconds of the engine's process per second, memory is its resident set, GPU readings
    are of the whole device. A peak is the largest reading: they are taken between calls, so a higher one
    inside a call is not seen.
    """
    rows = []
    for key, part in samples(frame).groupby(["engine", "model"], observed=True, sort=True):
        row = dict(zip(["engine", "model"], key)) | {"n": len(part)}
        for name in READINGS:
            values = part[name].dropna()
            mean, peak = (values.mean(), values.max()) if len(values) else (math.nan, math.nan)
            row |= {f"{name}_mean": mean, f"{name}_peak": peak}
        rows.append(row)
    names = [f"{name}_{end}" for name in READINGS for end in ("mean", "peak")]
    return pd.DataFrame(rows, columns=["engine", "model", "n", *names])


def unread(table):
    """A sentence on the readings that nobody took here, or ''."""
    if table.empty:
        return "No sample was taken, so nothing was read."
    gone = [name for name in READINGS if table[f"{name}_mean"].isna().all()]
    return f"Unknown here, because no device told it: {', '.join(name.replace('_', ' ') for name in gone)}." if gone else ""
