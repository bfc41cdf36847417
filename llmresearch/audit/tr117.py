"""TR117, audited: run counts, shares, tests from their own effect sizes, and the means behind the paradox."""

import math

import pandas as pd
from scipy import stats

from .findings import Finding, compare
from .tables import published

RUNS = {"transformers-cpu": 287, "ollama": 1365}    # others 273: 13 prompts × 7 repetitions × 3 labels (cpu + 14)
HF_RUNS = 273
BACKENDS = 5    # that the ANOVA compares: those with successful runs


def audit(cold_start=None):
    """All findings on TR117's published tables; `cold_start` is what `read_cold_start` gave."""
    return counts() + shares() + tests() + trimmed() + cold(cold_start) + scenarios(cold_start)


def _items():
    return {row["item"]: row for row in published("tr117_status_and_skew").to_dict("records")}


def counts():
    """§3.2: totals and percentages from the counts, and what 'hard errors: 0' leaves out."""
    rows, table = _items(), "tr117_status_and_skew"
    total, ok, degraded = (float(rows[name]["value"]) for name in ("total_runs", "ok_runs", "degraded_runs"))
    checks = (("total_runs", ok + degraded, "successful + degraded"),
              ("ok_pct", 100 * ok / total, f"{ok:.0f} / {total:.0f}"),
              ("degraded_pct", 100 * degraded / total, f"{degraded:.0f} / {total:.0f}"),
              ("degraded_runs", 2.0 * HF_RUNS, "all of ONNX Runtime and TensorRT, 273 each"))
    found = [compare(table, name.replace("_", " "), _whole(rows[name]), ours, how, rows[name]["source"])
             for name, ours, how in checks]
    return [*found, Finding(table, "no hard errors", "0", f"{degraded:.0f} runs whose backend could not load its model",
                            "inconsistent", "a missing engine fails again each time: it is a hard failure",
                            rows["hard_errors"]["source"])]


def _whole(row):
    return row["value"].removesuffix(".0")


def shares():
    """§7.3: the share of each model in all runs, the parameters of tiny-gpt2, and the price of a GPU hour."""
    rows, table = _items(), "tr117_status_and_skew"
    total = float(rows["total_runs"]["value"])
    runs = {"skew_tiny_gpt2_pct": total - RUNS["ollama"], "skew_gemma3_pct": 3 * HF_RUNS,
            "skew_qwen2_5_pct": HF_RUNS, "skew_llama3_1_pct": HF_RUNS}
    found = [_share(rows[name], 100 * count / total, f"{count:.0f} of {total:.0f} runs, failed ones too")
             for name, count in runs.items()]
    source = rows["tiny_gpt2_params_stated"]["source"].partition(" (")[0]
    price = rows["gpu_price_usd_per_hour"]
    return [
        *found,
        Finding(table, "tiny-gpt2: parameters", "124,000,000", "102,714", "refuted",
                "parameters of sshleifer/tiny-gpt2; 124 M is gpt2", source),
        Finding(table, "price of a GPU hour, AWS g5.xlarge, USD", price["value"], "1.006", "inconsistent",
                "TR119's price for the same instance; 0.035 is half a CPU and 2 GB of memory, without any GPU",
                price["source"].partition(" (")[0])]


def _share(row, ours, how):
    """A share that was printed to the nearest five per cent."""
    found = compare("tr117_status_and_skew", row["item"].replace("_", " "), _whole(row), ours, how, row["source"])
    if found.verdict == "reproduced" or abs(float(row["value"]) - ours) > 2.5:
        return found
    return Finding(found.table, found.claim, found.published, found.ours, "rounded", f"{how}; to the nearest five",
                   row["source"].partition(" (")[0])


def tests():
    """§5: p from F, and each t-test's p from its own effect size and run counts."""
    found = []
    for row in published("tr117_tests").to_dict("records"):
        found.append(_anova(row) if row["statistic"] == "F" else _p_of_d(row))
        if (row["a"], row["b"]) == ("transformers-gpu-compile", "transformers-gpu"):
            found.append(_difference(row))
        if row["statistic"] == "t":
            found.append(Finding("tr117_tests", f"{row['a']} against {row['b']}: a paired test", "paired", "unpaired",
                                 "refuted", "the code calls scipy's ttest_ind with equal variances", row["source"]))
    return found


def _difference(row):
    means = {r["label"]: float(r["mean_ms"]) for r in published("tr117_tail_from_tr120").to_dict("records")}
    return compare("tr117_tests", f"{row['a']} against {row['b']}: difference of means, ms", row["mean_diff_ms"],
                   means[row["a"]] - means[row["b"]], "means that TR120 prints of the same runs", row["source"])


def _anova(row):
    n = 287 + 3 * HF_RUNS + RUNS["ollama"]
    p = float(stats.f.sf(float(row["statistic_value"]), BACKENDS - 1, n - BACKENDS))
    how = f"upper tail of F({BACKENDS - 1}, {n - BACKENDS}) at {row['statistic_value']}; runs taken as independent"
    return _bound(row, "one-way ANOVA: p follows from F", p, how)


def _p_of_d(row):
    n, m = (RUNS.get(row[name], HF_RUNS) for name in ("a", "b"))
    t = float(row["cohens_d"]) / math.sqrt(1 / n + 1 / m)
    p = float(2 * stats.t.sf(abs(t), n + m - 2))
    how = f"t = d / √(1/{n} + 1/{m}) = {t:.2f}, {n + m - 2} degrees of freedom"
    return _bound(row, f"{row['a']} against {row['b']}: p follows from d", p, how)


def _bound(row, claim, p, how):
    printed = row["p_text"]
    if printed.startswith("<"):
        verdict = "reproduced" if p < float(row["p_upper"]) else "inconsistent"
        return Finding("tr117_tests", claim, printed, f"{p:.3g}", verdict, how, row["source"])
    room = _p_room(row, p)
    return Finding("tr117_tests", claim, printed, f"{p:.3g}", "reproduced" if room else "inconsistent", how,
                   row["source"])


def _p_room(row, p):
    """Whether the printed p lies between those of d ± half its last place."""
    n, m = (RUNS.get(row[name], HF_RUNS) for name in ("a", "b"))
    scale = math.sqrt(1 / n + 1 / m)
    ends = [2 * stats.t.sf((float(row["cohens_d"]) + step) / scale, n + m - 2) for step in (-0.05, 0.05)]
    return min(ends) <= float(row["p_upper"]) <= max(ends)


def trimmed():
    """TR120 §4.3: the mean without its largest value, from the mean, the maximum and the number of runs."""
    largest = {row["label"]: float(row["max_ms"]) for row in published("tr117_tail_from_tr120").to_dict("records")}
    found = []
    for row in published("tr117_trimmed_from_tr120").to_dict("records"):
        ours = (HF_RUNS * float(row["mean_ms"]) - largest[row["label"]]) / (HF_RUNS - 1)
        found.append(compare("tr117_trimmed_from_tr120", f"{row['label']}: mean without the largest, ms",
                             row["mean_excluding_max_ms"], ours, f"({HF_RUNS} · mean - max) / {HF_RUNS - 1}",
                             row["source"]))
    return found + _ranking()


def _ranking():
    rows = {row["label"]: row for row in published("tr117_trimmed_from_tr120").to_dict("records")}
    eager, compiled = rows["transformers-gpu"], rows["transformers-gpu-compile"]
    gap = [float(eager[c]) - float(compiled[c]) for c in ("mean_ms", "mean_excluding_top_5_ms", "median_ms")]
    return [Finding("tr117_trimmed_from_tr120", "-compile is faster on the mean", f"by {gap[0]:.2f} ms",
                    f"by {gap[1]:.2f} ms without the five largest, by {gap[2]:.2f} ms at the median", "inconsistent",
                    "printed figures: five of 273 runs make the ranking", eager["source"])]


def cold(files):
    """TR120 §4.4: means with and without each file's first sample, from the 42 files."""
    found = []
    for row in published("tr117_coldstart_from_tr120").to_dict("records"):
        whole = rest = math.nan
        if files is not None:
            here = files[files["backend"] == row["label"]]
            n = here["n_samples"]
            whole = float((here["mean_ms"] * n).sum() / n.sum())
            rest = float((here["mean_excl_first_ms"] * (n - 1)).sum() / (n - 1).sum())
        for column, ours in (("mean_ms", whole), ("mean_excluding_first_sample_per_run_file_ms", rest)):
            found.append(compare("tr117_coldstart_from_tr120", f"{row['label']}: {column.replace('_', ' ')}",
                                 row[column], ours, "weighted by samples over 21 files" if files is not None
                                 else "needs the raw files", row["source"], measured=True))
    return found


def scenarios(files):
    """TR120 §4.2: the largest latency of each scenario and label, from the 42 files."""
    found = []
    for row in published("tr117_scenario_tail_from_tr120").to_dict("records"):
        for label in ("transformers-gpu", "transformers-gpu-compile"):
            ours, how = math.nan, "needs the raw files"
            if files is not None:
                here = files[(files["backend"] == label) & (files["scenario"] == row["scenario"])]
                ours, how = float(here["max_ms"].max()), f"largest of {len(here)} files"
            column = f"{label.replace('-', '_')}_max_ms"
            found.append(compare("tr117_scenario_tail_from_tr120", f"{label} {row['scenario']}: largest, ms",
                                 row[column], ours, how, row["source"], measured=True))
    return found


def read_cold_start(folder):
    """The published table of TR117's first samples by file, or None where the folder does not have it."""
    from pathlib import Path

    path = Path(folder) / "raw_tr117_cold_start_by_file.csv" if folder else None
    return pd.read_csv(path) if path is not None and path.is_file() else None
