"""Intervals, t-tests and effect sizes: §15.1, §15.2, B.1, B.2, and the automatic 5 M report's tests."""

import math

from scipy import stats

from ..findings import Finding, compare, number
from ..tables import published
from .runs import BASELINE, DEEP, FIVE_M, LATENCY, THROUGHPUT, select

NAMES = {"PyTorch": BASELINE, "TRT INT8": "tensorrt-int8", "TRT FP32": "tensorrt-fp32", "TRT FP16": "tensorrt-fp16",
         "ORT GPU": "onnxruntime-gpu", "ORT CPU": "onnxruntime-cpu"}
STUDY_N = 30    # runs that the report pools for each backend: 6 scenarios × 5 repetitions


def _pooled(runs, model, backend):
    return None if runs is None else select(
        runs, campaign=DEEP, model=model, mode="prefill", backend=backend)[THROUGHPUT].to_numpy()


def t_interval(x, level=0.95):
    """(mean, half width) of Student's t interval over the values, which it takes for independent."""
    return float(x.mean()), float(stats.t.ppf((1 + level) / 2, len(x) - 1) * x.std(ddof=1) / math.sqrt(len(x)))


def cohen_d(a, b):
    """The difference of two means over their pooled standard deviation."""
    pooled = ((len(a) - 1) * a.var(ddof=1) + (len(b) - 1) * b.var(ddof=1)) / (len(a) + len(b) - 2)
    return float((a.mean() - b.mean()) / math.sqrt(pooled))


def implied_n(sd, half):
    """The whole n for which a 95 % t interval of half width `half` follows from standard deviation `sd`; or nan."""
    gap, n = min((abs(stats.t.ppf(0.975, n - 1) * sd / math.sqrt(n) - half) / half, n) for n in range(2, 200))
    return float(n) if gap < 0.02 else math.nan


def intervals(runs):
    """B.1 and §15.2: half widths against the runs, standard deviations, and the n that both imply."""
    found = []
    for row in published("tr118_ci_claims").to_dict("records"):
        low, high = float(row["95pct_ci_lower"]), float(row["95pct_ci_upper"])
        name, x = f"{row['model']} {row['backend']}", _pooled(runs, row["model"], row["backend"])
        mean, half = t_interval(x) if x is not None else (math.nan, math.nan)
        how = f"t interval over {0 if x is None else len(x)} pooled runs in {DEEP}"
        found.append(compare("tr118_ci_claims", f"{name}: mean, tok/s", row["mean_tok_s"],
                             _printed_mean(row["model"], row["backend"]), "printed in §4", row["source"]))
        found.append(compare("tr118_ci_claims", f"{name}: half width of the 95 % interval", f"{(high - low) / 2:g}",
                             half, how, row["source"], measured=True))
        found += _deviation(row, name, x, (high - low) / 2) if row["std_dev"] else _range(row, name, low, high)
    return found


def _deviation(row, name, x, half):
    sd = math.nan if x is None else float(x.std(ddof=1))
    n = implied_n(float(row["std_dev"]), half)
    shown = "no n at all" if math.isnan(n) else f"n = {n:.0f}"
    how = "the n at which t(n - 1) · sd / √n is the printed half width, within 2 %"
    return [
        compare("tr118_ci_claims", f"{name}: standard deviation", row["std_dev"], sd,
                f"of the pooled runs in {DEEP}", row["source"], measured=True),
        Finding("tr118_ci_claims", f"{name}: interval follows from its standard deviation", f"n = {STUDY_N}", shown,
                "reproduced" if n == STUDY_N else "inconsistent", how, row["source"]),
    ]


def _range(row, name, low, high):
    width, share = row["ci_range"].split(" ", 1)
    middle = float(row["mean_tok_s"])
    return [
        compare("tr118_ci_claims", f"{name}: printed range", width, (high - low) / 2,
                "(upper - lower) / 2, printed figures", row["source"]),
        compare("tr118_ci_claims", f"{name}: printed range, % of the mean", share.strip("()%"),
                100 * (high - low) / 2 / middle, "half width / mean, printed figures", row["source"]),
    ]


def t_tests(runs):
    """§15.1: each statistic, p value and effect size against the runs, and against one another."""
    found = []
    for row in published("tr118_ttest_claims").to_dict("records"):
        first, second = (NAMES[name] for name in row["comparison"].split(" vs "))
        a, b = _pooled(runs, row["model"], second), _pooled(runs, row["model"], first)
        if a is None:
            t, d, how = math.nan, math.nan, "needs the raw runs"
        else:
            t, d = float(stats.ttest_ind(a, b).statistic), cohen_d(b, a)
            how = f"equal-variance t of {len(a)} against {len(b)} pooled runs in {DEEP}"
            how += "" if len(a) == len(b) else "; FP16's lack both batch scenarios"
        found += [
            *(compare("tr118_ttest_claims", f"{row['comparison']}: {name}", row[column], ours, how, row["source"], True)
              for name, column, ours in (("t", "t_statistic", t), ("d", "effect_size_d", d))),
            _p_of_t(row), _d_of_t(row), _verdict(row, a, b)]
    return [*found, _signs()]


def _signs():
    rows = published("tr118_ttest_claims").to_dict("records")
    same = sum(number(row["t_statistic"]) * number(row["effect_size_d"]) > 0 for row in rows)
    return Finding("tr118_ttest_claims", "t and d of a row have the same sign, or always opposite ones",
                   f"{len(rows)} rows", f"the same in {same}, opposite in {len(rows) - same}",
                   "reproduced" if same in (0, len(rows)) else "inconsistent", "signs of the printed figures",
                   rows[0]["source"])


def _p_of_t(row):
    t, df = abs(float(row["t_statistic"])), 2 * STUDY_N - 2
    ours, printed = float(2 * stats.t.sf(t, df)), row["p_value"]
    how = f"two-sided p of the printed t with {df} degrees of freedom"
    claim = f"{row['comparison']}: p follows from t"
    if printed.startswith("<"):
        verdict = "reproduced" if ours < number(printed) else "inconsistent"
        return Finding("tr118_ttest_claims", claim, printed, f"{ours:.3g}", verdict, how, row["source"])
    return compare("tr118_ttest_claims", claim, printed, ours, how, row["source"])


def _d_of_t(row):
    ours = abs(float(row["t_statistic"])) * math.sqrt(2 / STUDY_N)
    how = f"|d| = |t| · √(2/n) for two groups of {STUDY_N}, from the printed t"
    return compare("tr118_ttest_claims", f"{row['comparison']}: size of d follows from t",
                   row["effect_size_d"].lstrip("+-"), ours, how, row["source"])


def _verdict(row, a, b):
    claim = f"{row['comparison']}: significant"
    if a is None:
        return Finding("tr118_ttest_claims", claim, row["significant"], "nothing", "not checkable",
                       "needs the raw runs", row["source"])
    p = float(stats.ttest_ind(a, b).pvalue)
    verdict = "reproduced" if row["significant"].startswith("Yes") == (p < 0.05) else "refuted"
    return Finding("tr118_ttest_claims", claim, row["significant"], f"p = {p:.2g}", verdict,
                   "the report's own recipe (pooled, unpaired, uncorrected) on its own runs", row["source"])


def effect_sizes(runs):
    """B.2: mean differences against the printed means, and Cohen's d against the runs and against B.1."""
    found = []
    for row in published("tr118_effect_size_claims").to_dict("records"):
        a, b = _pooled(runs, row["model"], row["backend"]), _pooled(runs, row["model"], BASELINE)
        ours = math.nan if a is None else cohen_d(a, b)
        difference = _printed_mean(row["model"], row["backend"]) - _printed_mean(row["model"], BASELINE)
        name, table = f"{row['backend']} against PyTorch", "tr118_effect_size_claims"
        found += [
            compare(table, f"{name}: difference of means", row["mean_difference"], difference,
                    "printed means of §4.3", row["source"]),
            compare(table, f"{name}: Cohen's d", row["cohens_d"], ours, f"pooled runs in {DEEP}", row["source"], True),
            *_d_from_b1(row, name, difference)]
    return found


def _printed_mean(model, backend):
    rows = published("tr118_overall_throughput")
    here = rows[(rows["model"] == model) & (rows["backend"] == backend) & (rows["mode"] == "prefill")]
    return float(here["throughput_mean_tok_s"].iloc[0])


def _d_from_b1(row, name, difference):
    rows = published("tr118_ci_claims")
    sd = {r["backend"]: r["std_dev"] for r in rows.to_dict("records") if r["model"] == row["model"] and r["std_dev"]}
    if row["backend"] not in sd:
        return []
    pooled = math.sqrt((float(sd[row["backend"]]) ** 2 + float(sd[BASELINE]) ** 2) / 2)
    how = f"difference / {pooled:.0f}, the pooled standard deviation that B.1 prints"
    return [compare("tr118_effect_size_claims", f"{name}: d follows from B.1", row["cohens_d"], difference / pooled,
                    how, row["source"])]


def five_m_tests(runs):
    """The automatic 5 M report: intervals, changes, p values and effect sizes against its file of runs."""
    return _five_m_intervals(runs) + [f for row in published("tr118_5m_tests").to_dict("records")
                                      for f in _five_m_test(runs, row)]


def _five_m(runs, mode, backend, column):
    if runs is None:
        return None
    here = select(runs, model="gpt2-5m", mode=mode, backend=backend)
    return here.loc[here["file"].str.endswith(FIVE_M), column].to_numpy()


def _five_m_intervals(runs):
    found = []
    for row in published("tr118_5m_auto_report").to_dict("records"):
        for printed, column in (("lat_ci95", LATENCY), ("thr_ci95", THROUGHPUT)):
            if row[printed] == "N/A":
                continue
            x = _five_m(runs, row["mode"], row["backend"], column)
            mean, half = t_interval(x) if x is not None else (math.nan, math.nan)
            ends = zip(row[printed].strip("[]").split(", "), (mean - half, mean + half), ("low", "high"))
            for text, ours, end in ends:
                found.append(compare("tr118_5m_auto_report", f"5 M {row['mode']} {row['backend']}: {printed} {end}",
                                     text, ours, f"t interval over 30 pooled runs in file {FIVE_M}", row["source"],
                                     measured=True))
    return found


def _five_m_test(runs, row):
    a, b = (_five_m(runs, row["mode"], row[name], LATENCY) for name in ("candidate", "baseline"))
    change = d = p = math.nan
    if a is not None:
        change, d, p = 100 * (a.mean() / b.mean() - 1), cohen_d(a, b), float(stats.ttest_ind(a, b).pvalue)
    name = f"5 M {row['mode']} {row['candidate']}"
    how = f"30 against 30 pooled runs in file {FIVE_M}, equal variances"
    return [compare("tr118_5m_tests", f"{name}: {what}", row[column], ours, how, row["source"], measured=True)
            for what, column, ours in (("change of latency, %", "pct_change", change), ("p", "p_value", p),
                                       ("Cohen's d", "cohens_d", d))]
