"""Throughputs and latencies: §4, §6.2, §12.3, Appendix A, the 5 M, 11 M and 45 M tables, and version 2's §4."""

import math

import pandas as pd

from ..findings import Finding, compare, number
from ..tables import published
from .runs import BASELINE, DEEP, FIVE_M, FIX, LATENCY, SCENARIOS, THROUGHPUT, mean, select


def overall(runs):
    """§4: every overall mean against the runs, and every percentage against the printed means."""
    rows, found = published("tr118_overall_throughput"), []
    for row in rows.to_dict("records"):
        if not row["throughput_mean_tok_s"]:
            continue
        name = f"{row['model']} {row['mode']} {row['backend']}"
        ours = mean(runs, campaign=DEEP, model=row["model"], mode=row["mode"], backend=row["backend"])
        found.append(compare("tr118_overall_throughput", f"{name}: overall tok/s", row["throughput_mean_tok_s"],
                             ours, f"mean of the runs' rates in {DEEP}", row["source"], measured=True))
        if row["vs_baseline_pct"]:
            found.append(_against_baseline(rows, row, name))
    return found


def _against_baseline(rows, row, name):
    same = rows[(rows["model"] == row["model"]) & (rows["mode"] == row["mode"]) & (rows["backend"] == BASELINE)]
    base = float(same["throughput_mean_tok_s"].iloc[0])
    ours = 100 * (float(row["throughput_mean_tok_s"]) / base - 1)
    return compare("tr118_overall_throughput", f"{name}: % against PyTorch", row["vs_baseline_pct"], ours,
                   f"{row['throughput_mean_tok_s']} / {base:g} - 1, printed figures", row["source"])


def appendix_a(runs):
    """A.1 and A.2: throughput by scenario; A.1 prints the right numbers under the wrong scenarios."""
    found = []
    for row in published("tr118_a1_a2_scenario_throughput").to_dict("records"):
        ours = mean(runs, campaign=DEEP, model=row["model"], mode="prefill", backend=row["backend"],
                    scenario=row["scenario"])
        found.append(_scenario(runs, row, ours))
    return found


def _scenario(runs, row, ours):
    table, claim = "tr118_a1_a2_scenario_throughput", f"{row['model']} {row['backend']} {row['scenario']}: tok/s"
    printed, how = row["throughput_tok_s"], f"mean over 5 repetitions in {DEEP}"
    if runs is None or not (math.isnan(ours) or math.isnan(number(printed))):
        found = compare(table, claim, printed, ours, how, row["source"], measured=True)
        return found if found.verdict != "refuted" else _misplaced(runs, row, found)
    if math.isnan(ours) and math.isnan(number(printed)):
        return Finding(table, claim, printed or "nothing", "nothing", "reproduced", f"no run succeeded in {DEEP}",
                       row["source"])
    return Finding(table, claim, printed or "nothing", "nothing", "refuted",
                   f"no run of this scenario succeeded in {DEEP}", row["source"])


def _misplaced(runs, row, found):
    here = select(runs, campaign=DEEP, model=row["model"], mode="prefill", backend=row["backend"])
    means = here.groupby("scenario")[THROUGHPUT].mean()
    belongs = [scenario for scenario, value in means.items() if abs(value - number(row["throughput_tok_s"])) <= 0.5]
    where = f"; the printed number is that of {belongs[0]}" if belongs else ""
    return Finding(found.table, found.claim, found.published, found.ours, "refuted", found.how + where, found.source)


def version_2(runs):
    """Version 2's §4: latency and throughput by scenario; it shows the later gpt2 run, not version 2.2's."""
    rows = published("tr118_v2_scenario_latency_throughput")
    prefill = {(r["model"], r["metric"], r["backend"], r["scenario"]): r["value"]
               for r in rows.to_dict("records") if r["mode"] == "prefill"}
    return [_version_2_row(runs, row, prefill) for row in rows.to_dict("records") if row["value"] != "degraded"
            and row["value"]]


def _version_2_row(runs, row, prefill):
    table, column = "tr118_v2_scenario_latency_throughput", LATENCY if row["metric"] == "latency_ms" else THROUGHPUT
    unit = "ms" if column == LATENCY else "tok/s"
    claim = f"v2 {row['model']} {row['mode']} {row['backend']} {row['scenario']}: {unit}"
    where = dict(model=row["model"], mode=row["mode"], backend=row["backend"],
                 campaign=FIX if row["model"] == "gpt2" else DEEP)
    if row["scenario"] != "OVERALL":
        where["scenario"] = row["scenario"]
    ours = mean(runs, column, **where)
    twin = prefill.get((row["model"], row["metric"], row["backend"], row["scenario"]))
    if row["mode"] == "generate" and twin == row["value"]:
        return _copied(table, claim, row, ours, runs)
    return compare(table, claim, row["value"], ours, f"mean in {where['campaign']}", row["source"], measured=True)


def _copied(table, claim, row, ours, runs):
    how = "the same digits stand in the prefill table"
    if runs is not None:
        how += ("; no generate run of this backend succeeded" if math.isnan(ours)
                else f"; mean of the generate runs in {FIX}")
    shown = "nothing" if math.isnan(ours) else f"{ours:.2f}"
    return Finding(table, claim, row["value"], shown, "inconsistent" if runs is None else "refuted", how,
                   row["source"])


def eleven_m(runs):
    """Version 2.1's §13.4: the 11.18 M model that is called gpt2-1m."""
    rows, found = published("tr118_11m"), []
    for row in rows.to_dict("records"):
        if math.isnan(number(row["throughput_tok_s"])):
            found.append(_timeouts(runs, row))
            continue
        claim = f"11 M {row['mode']} {row['backend']}"
        ours = mean(runs, model="gpt2-1m", mode=row["mode"], backend=row["backend"])
        found.append(compare("tr118_11m", f"{claim}: tok/s", row["throughput_tok_s"], ours,
                             "mean of the runs' rates in tr118v2/20251213_153314_gpt2_11m", row["source"], True))
        if row["vs_pytorch"] != "Baseline":
            found.append(_percent("tr118_11m", claim, row, rows[rows["mode"] == row["mode"]]))
    return found


def _percent(table, claim, row, rows):
    base = float(rows.loc[rows["backend"] == BASELINE, "throughput_tok_s"].iloc[0])
    ours = 100 * (float(row["throughput_tok_s"]) / base - 1)
    return compare(table, f"{claim}: % against PyTorch", row["vs_pytorch"].partition("%")[0], ours,
                   f"{row['throughput_tok_s']} / {base:g} - 1, printed figures", row["source"])


def _timeouts(runs, row):
    table, claim = "tr118_11m", "11 M generate TensorRT: all runs timed out"
    if runs is None:
        return Finding(table, claim, row["vs_pytorch"], "nothing", "not checkable", "needs the raw runs",
                       row["source"])
    failed = runs[(runs["model"] == "gpt2-1m") & ~runs["ok"]]
    timed_out = failed["error"].str.contains("time", case=False).sum()
    return Finding(table, claim, row["vs_pytorch"],
                   f"{timed_out} of {len(failed)} failed runs name a time-out", "refuted",
                   f"every error reads: {failed['error'].iloc[0]}", row["source"])


def forty_five_m(runs):
    """Version 2.1's addendum A.3: four throughputs of the 45 M model, and one percentage."""
    names, found = {"ONNX Runtime CPU": "onnxruntime-cpu", "PyTorch GPU": BASELINE}, []
    rows = published("tr118_45m").to_dict("records")
    for row in rows:
        ours = mean(runs, model="gpt2-45m", mode="prefill", backend=names[row["backend"]], scenario=row["scenario"])
        found.append(compare("tr118_45m", f"45 M {row['backend']} {row['scenario']}: tok/s", row["throughput_tok_s"],
                             ours, "mean over 5 repetitions in validation_45m", row["source"], measured=True))
    value = {(row["scenario"], row["backend"]): float(row["throughput_tok_s"]) for row in rows}
    ours = 100 * (value["batch_medium", "ONNX Runtime CPU"] / value["batch_medium", "PyTorch GPU"] - 1)
    return [*found, compare("tr118_45m", "45 M batch_medium: ONNX-CPU against PyTorch, %", "16", ours,
                            "6928 / 5978 - 1, printed figures", rows[2]["source"])]


def heatmap():
    """§12.3: the factor between tiny-gpt2 and gpt2, from the printed throughputs."""
    found = []
    for row in published("tr118_scaling_heatmap").to_dict("records"):
        tiny, large = float(row["tiny_throughput"]), float(row["gpt2_throughput"])
        factor = row["scaling_factor"].removeprefix("x").partition(" ")[0]
        found.append(compare("tr118_scaling_heatmap", f"{row['backend']}: factor between the sizes", factor,
                             max(tiny, large) / min(tiny, large), f"{tiny:g} and {large:g}, printed figures",
                             row["source"]))
    return found


def five_m(runs):
    """The automatic 5 M report: means of latency and throughput, with t intervals over 30 pooled runs."""
    found = []
    for row in published("tr118_5m_auto_report").to_dict("records"):
        here = select(runs, model="gpt2-5m", mode=row["mode"], backend=row["backend"])
        here = None if here is None else here[here["file"].str.endswith(FIVE_M)]
        count = float("nan") if here is None else float(len(here))
        found.append(compare("tr118_5m_auto_report", f"5 M {row['mode']} {row['backend']}: successful runs",
                             row["n_ok"], count, f"counted in file {FIVE_M}", row["source"], measured=True))
        for printed, column, unit in (("lat_mean_ms", LATENCY, "ms"), ("thr_mean_tok_s", THROUGHPUT, "tok/s")):
            if row[printed] == "N/A":
                continue
            ours = float("nan") if here is None else float(here[column].mean())
            found.append(compare("tr118_5m_auto_report", f"5 M {row['mode']} {row['backend']}: {unit}", row[printed],
                                 ours, f"mean of 30 runs in file {FIVE_M}", row["source"], measured=True))
    return found


def definition(runs):
    """What the overall figure means: an arithmetic mean of rates over unlike scenarios decides who wins."""
    table, source = "tr118_overall_throughput", "Technical_Report_118_v2.2.md §4.3"
    claim = "gpt2 prefill: ONNX-CPU is slower than PyTorch (-32 %), however scenarios are weighted"
    if runs is None:
        return [Finding(table, claim, "-32", "nothing", "not checkable", "needs the raw runs", source)]
    rates = aggregates(runs, "gpt2", DEEP).set_index("backend")
    cpu, torch = rates.loc["onnxruntime-cpu"], rates.loc[BASELINE]
    ours = ", ".join(f"{name} {100 * (cpu[name] / torch[name] - 1):+.0f} %" for name in rates.columns)
    return [Finding(table, claim, "-32", ours, "not checkable",
                    "the sign depends on the definition, and no weights of the scenarios are given", source)]


def aggregates(runs, model, campaign):
    """Prefill throughput by backend under three definitions, in padded tokens a second; all scenarios must be there.

    `mean of rates` is what the report prints; `tokens over time` is what somebody waits for who sends all six
    scenarios equally often; `geometric mean` weighs each scenario's ratio alike.
    """
    here = select(runs, model=model, campaign=campaign, mode="prefill")
    here = here.assign(tokens=here["batch"] * here["seq_len"], log=here[THROUGHPUT].map(math.log))
    groups = here.groupby("backend")
    whole = groups["scenario"].nunique() == len(SCENARIOS)
    table = pd.DataFrame({
        "mean of rates": groups[THROUGHPUT].mean(),
        "tokens over time": 1000 * groups["tokens"].sum() / groups[LATENCY].sum(),
        "geometric mean": groups["log"].mean().map(math.exp)})
    return table[whole].reset_index()
