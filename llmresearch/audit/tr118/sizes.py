"""Artefact sizes against parameter counts, build times, precision, and the break-even: §3, §6.2 and §9.2."""

import re

from ...fits.payback import break_even
from ..findings import Finding, compare, number
from ..tables import published
from .runs import DEEP, FIX, SCENARIOS, mean

MIB = 2 ** 20
PARAMETERS = {"tiny-gpt2": 102_714, "gpt2": 124_439_808}
HEAD = {"tiny-gpt2": 50_257 * 2, "gpt2": 50_257 * 768}     # an output head that is stored apart from the embedding
BYTES = {"onnx": 4, "trt_fp32_engine": 4, "trt_fp16_engine": 2, "trt_int8_engine": 1}


def artefacts():
    """§3 and §6.2: sizes and build times against the artefacts' own metadata; sizes against what weights need."""
    found = []
    for row in published("tr118_artifacts").to_dict("records"):
        what = f"{row['model']} {row['artifact'].replace('_', ' ')}, {'MiB' if row['units'] == 'MB' else 's'}"
        found.append(_against_metadata(row, what))
        if row["units"] == "MB":
            found.append(_against_parameters(row, what))
    return [*found, _no_int8()]


def _against_metadata(row, what):
    how = "the artefact's own metadata"
    how += f" ({row['note']})" if row["note"] else ""
    return compare("tr118_artifacts", what, row["published"], number(row["raw_metadata"]), how, row["source"], True)


def least_size(model, artifact):
    """(with a shared, with a separate output head): the MiB that the weights alone need at the artefact's width."""
    width = BYTES[artifact]
    return width * PARAMETERS[model] / MIB, width * (PARAMETERS[model] + HEAD[model]) / MIB


def _against_parameters(row, what):
    shared, separate = least_size(row["model"], row["artifact"])
    printed, weights = number(row["published"]), PARAMETERS[row["model"]] + HEAD[row["model"]]
    how = (f"the weights alone at {BYTES[row['artifact']]} bytes each: {shared:.4g} MiB, or {separate:.4g} with an "
           "output head stored apart")
    return Finding("tr118_artifacts", f"{what}: holds the model's weights", row["published"],
                   f"{printed * MIB / weights:.2f} bytes a weight, the head counted apart",
                   "reproduced" if printed >= shared else "inconsistent", how, row["source"])


def _no_int8():
    rows = published("tr118_artifacts")
    row = rows[(rows["model"] == "gpt2") & (rows["artifact"] == "trt_int8_engine")].iloc[0]
    fp32 = rows[(rows["model"] == "gpt2") & (rows["artifact"] == "trt_fp32_engine")].iloc[0]
    ours = f"no int8 tensor in any engine; {row['raw_metadata']} MiB, and {fp32['raw_metadata']} MiB for fp32"
    return Finding("tr118_artifacts", "gpt2: the engine labelled INT8 computes in int8", "INT8", ours, "refuted",
                   f"the engine inspector's has_int8_tensors is False; int8 weights would need "
                   f"{least_size('gpt2', 'trt_int8_engine')[1]:.0f} MiB", row["source"])


def precision(runs):
    """§6.2: percentages, and whether FP16 is the slowest precision once its engine takes every scenario."""
    rows, found = published("tr118_precision"), []
    metadata = {r["artifact"]: r for r in published("tr118_artifacts").to_dict("records") if r["model"] == "gpt2"}
    for row in rows.to_dict("records"):
        ours, label = 100 * (float(row["throughput_tok_s"]) / 2121 - 1), row["precision"].lower()
        found.append(compare("tr118_precision", f"{row['precision']}: % against PyTorch", row["vs_pytorch"], ours,
                             f"{row['throughput_tok_s']} / 2121 - 1, printed figures", row["source"]))
        for column, artifact, unit in (("build_time", "build", "s"), ("engine_size", "engine", "MiB")):
            raw = metadata[f"trt_{label}_{artifact}"]
            found.append(compare("tr118_precision", f"{row['precision']}: {column.replace('_', ' ')}, {unit}",
                                 row[column], number(raw["raw_metadata"]), f"metadata ({raw['note']})", row["source"],
                                 measured=True))
    return found + _slowest(runs, rows["source"][0])


def _slowest(runs, source):
    claim = "FP16 is the slowest of the three precisions"
    if runs is None:
        return [Finding("tr118_precision", claim, "3851 < 4711 < 6284", "nothing", "not checkable",
                        "needs the raw runs", source)]
    labels = ("tensorrt-fp16", "tensorrt-fp32", "tensorrt-int8")
    later = {b: mean(runs, campaign=FIX, model="gpt2", mode="prefill", backend=b) for b in labels}
    single = {b: sum(mean(runs, campaign=DEEP, model="gpt2", mode="prefill", backend=b, scenario=s)
                     for s in SCENARIOS[:4]) / 4 for b in labels}
    ours = "rebuilt: " + ", ".join(f"{b[9:]} {later[b]:,.0f}" for b in labels)
    ours += "; same run, single scenarios only: " + ", ".join(f"{b[9:]} {single[b]:,.0f}" for b in labels)
    how = f"overall tok/s in {FIX}, where all scenarios ran; in {DEEP} FP16 lacks both batch scenarios"
    return [Finding("tr118_precision", claim, "3851 < 4711 < 6284", ours, "refuted", how, source)]


def builds_of_fix():
    """Seconds of each gpt2 engine's build in the later run, from the metadata that the artefact table cites."""
    rows = published("tr118_artifacts")
    rows = rows[(rows["model"] == "gpt2") & rows["artifact"].str.endswith("_build")]
    found = {}
    for row in rows.to_dict("records"):
        later = re.search(r"fix run ([\d.]+)", row["note"])
        label = row["artifact"].removeprefix("trt_").removesuffix("_build")
        found[f"tensorrt-{label}"] = number(later[1] if later else row["raw_metadata"])
    return found


def amortisation():
    """§9.2: the break-even of the INT8 engine, from the printed figures and from the build's own metadata."""
    rows = {r["quantity"]: r for r in published("tr118_amortization").to_dict("records")}
    build, a, b = (float(rows[name]["value"]) for name in ("build_s", "baseline_tok_s", "candidate_tok_s"))
    paid = break_even(build, a, b)
    seconds, tokens = paid.seconds, paid.tokens
    formula = f"{build:g} · {a:g} · {b:g} / ({b:g} - {a:g})"
    checks = (
        ("speedup_x", b / a, f"{b:g} / {a:g}"), ("cost_reduction_pct", 100 * (1 - a / b), "1 - 1/speed-up"),
        ("recover_s", seconds, f"{build:g} · {a:g} / ({b:g} - {a:g})"),
        ("recover_tokens", seconds * a, "those seconds at the baseline's rate"), ("total_tokens", tokens, formula),
        ("total_tokens_v2.1", tokens, formula))
    found = [compare("tr118_amortization", name.replace("_", " "), rows[name]["value"].removesuffix(".0"), ours, how,
                     rows[name]["source"]) for name, ours, how in checks]
    return found + _inputs(rows, a, b)


def _inputs(rows, a, b):
    metadata = published("tr118_artifacts")
    built = number(metadata.loc[(metadata["model"] == "gpt2") & (metadata["artifact"] == "trt_int8_build"),
                                "raw_metadata"].iloc[0])
    paid = break_even(built, a, b)
    row = rows["build_s"]
    return [
        compare("tr118_amortization", "build, s", row["value"].removesuffix(".0"), built,
                "the engine's own build metadata", row["source"], measured=True),
        Finding("tr118_amortization", "total tokens until the build has paid", rows["total_tokens"]["value"],
                f"{paid.tokens:,.0f}", "refuted", f"with the build time of the metadata, {built:g} s: "
                f"{paid.seconds:.1f} s after it; tokens are padded ones, and the engine is not int8",
                rows["total_tokens"]["source"])]
