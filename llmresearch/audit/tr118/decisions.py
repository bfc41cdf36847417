"""The decision matrices of §9.1 and §16.2: against each other, and against the runs of all six backends."""

import numpy as np

from ..findings import Finding
from ..tables import published
from .runs import BASELINE, SCENARIOS, THROUGHPUT, select

LARGEST = 124_439_808
MARGIN = 1.1    # a recommendation counts as beaten where another backend is a tenth faster in every file of a size
BANDS_9_1 = {"< 1M params": (0, 1e6), "1M - 10M params": (1e6, 1e7), "10M - 1B params": (1e7, 1e9),
             "1B - 7B params": (1e9, 7e9), "> 7B params": (7e9, np.inf)}
BANDS_16_2 = {"< 50M": (0, 5e7), "50M-75M": (5e7, 7.5e7), "> 75M": (7.5e7, np.inf)}
BACKEND = {"ONNX CPU": ("onnxruntime-cpu",), "ONNX GPU": ("onnxruntime-gpu",), "TRT FP16": ("tensorrt-fp16",),
           "TRT INT8": ("tensorrt-int8",), "TensorRT FP16/INT8": ("tensorrt-fp16", "tensorrt-int8")}


def contradictions():
    """Each pair of overlapping bands of the two matrices whose recommendations share no backend."""
    found = []
    for one in published("tr118_decision_matrix_9_1").to_dict("records"):
        for two in published("tr118_decision_matrix_16_2").to_dict("records"):
            low = max(BANDS_9_1[one["model_size"]][0], BANDS_16_2[two["model_size"]][0])
            high = min(BANDS_9_1[one["model_size"]][1], BANDS_16_2[two["model_size"]][1])
            if low < high and two["recommended_backend"] in BACKEND:
                found.append(_pair(one, two, low, high))
    return found


def _pair(one, two, low, high):
    both = set(BACKEND[one["recommended"]]) & set(BACKEND[two["recommended_backend"]])
    upper = "up" if np.isinf(high) else f"{high / 1e6:g} M"
    return Finding("tr118_decision_matrix_9_1", f"{low / 1e6:g} M to {upper}: §9.1 and §16.2 recommend the same",
                   f"§9.1: {one['recommended']}", f"§16.2: {two['recommended_backend']}",
                   "reproduced" if both else "inconsistent", "rows of the two matrices whose sizes overlap",
                   f"{one['source']}; {two['source']}")


def speeds_of_files(runs):
    """Prefill speed of each backend (columns) in each size and file (rows): geometric mean of scenarios' medians.

    In padded tokens a second; nan for a backend that did not run every scenario of the file. TensorRT's time
    leaves out the copy of its input, ONNX Runtime's does not.
    """
    medians = select(runs, mode="prefill").groupby(["params", "model", "file", "backend", "scenario"])[THROUGHPUT]
    logs = np.log(medians.median()).groupby(level=[0, 1, 2, 3]).agg(["mean", "count"])
    return np.exp(logs.loc[logs["count"] == len(SCENARIOS), "mean"]).unstack()


def fastest(runs):
    """The prefill speed of each backend by size, geometric mean over its files, and the fastest one's name."""
    speeds = np.exp(np.log(speeds_of_files(runs)).groupby(level=["params", "model"]).mean())
    table = speeds.round(0).assign(fastest=speeds.idxmax(axis=1)).reset_index()
    return table.rename_axis(columns=None)


def against_runs(runs):
    """Each recommendation against the fastest backend of the sizes in its band that were measured."""
    rows = [("tr118_decision_matrix_9_1", r["model_size"], BANDS_9_1, r["recommended"], r["source"])
            for r in published("tr118_decision_matrix_9_1").to_dict("records")]
    rows += [("tr118_decision_matrix_16_2", r["model_size"], BANDS_16_2, r["recommended_backend"], r["source"])
             for r in published("tr118_decision_matrix_16_2").to_dict("records")
             if r["recommended_backend"] in BACKEND]
    speeds = None if runs is None else speeds_of_files(runs)
    return [_recommendation(speeds, *row) for row in rows]


def speed_ups(runs):
    """§9.1: the recommended backend's speed over PyTorch, overall means of each file, against the printed range."""
    found = []
    for row in published("tr118_decision_matrix_9_1").to_dict("records"):
        low, high = BANDS_9_1[row["model_size"]]
        claim, (least, most) = f"{row['model_size']}: speed-up of {row['recommended']}", _range(row["speedup"])
        if runs is None or low > LARGEST:
            how = "needs the raw runs" if runs is None else f"nothing above {LARGEST:,} parameters was measured"
            found.append(Finding("tr118_decision_matrix_9_1", claim, row["speedup"], "nothing", "not checkable", how,
                                 row["source"]))
            continue
        ratios = _over_pytorch(runs, BACKEND[row["recommended"]][0], low, high)
        inside = sum(least <= ratio <= most for ratio in ratios)
        ours = f"{ratios.min():.2f} to {ratios.max():.2f}"
        how = f"overall means over PyTorch's, the report's baseline; {inside} of {len(ratios)} files are in the range"
        found.append(Finding("tr118_decision_matrix_9_1", claim, row["speedup"], ours,
                             "reproduced" if inside == len(ratios) else "refuted", how, row["source"]))
    return found


def _range(text):
    least, _, most = text.removesuffix("x").partition("-")
    return float(least), float(most)


def _over_pytorch(runs, backend, low, high):
    means = select(runs, mode="prefill").groupby(["params", "file", "backend"])[THROUGHPUT].mean().unstack()
    means = means[(means.index.get_level_values("params") >= low) & (means.index.get_level_values("params") < high)]
    return means[backend] / means[BASELINE]


def _recommendation(speeds, table, size, bands, backend, source):
    claim, (low, high) = f"{size}: {backend} is the one to use", bands[size]
    if speeds is None or low > LARGEST:
        how = "needs the raw runs" if speeds is None else f"nothing above {LARGEST:,} parameters was measured"
        return Finding(table, claim, backend, "nothing", "not checkable", how, source)
    behind = _behind(speeds, BACKEND[backend])
    behind = behind[(behind.index >= low) & (behind.index < high)]
    ours = ", ".join(f"{params / 1e6:.3g} M: {factor:.2f}" for params, factor in behind.items())
    how = (f"times that the fastest backend is faster, in the file of each size that is kindest to it; beaten where "
           f"above {MARGIN:g}")
    return Finding(table, claim, backend, ours, "refuted" if (behind > MARGIN).any() else "reproduced", how, source)


def _behind(speeds, backends):
    """How many times the fastest backend is faster than the best of `backends`, least over each size's files."""
    best = speeds[[name for name in backends if name in speeds]].max(axis=1)
    return (speeds.max(axis=1) / best).groupby(level="params").min()
