"""TR118's sections 2.1, 4, 5, 7, 8, 9.2, 13 and 15.3 again, generated from its published data."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ...fits import payback
from ...fits.crossovers import crossover as crossing
from ...fits.power_laws import power_law
from ...perplexities import gate, perplexity
from ..findings import number
from ..tables import published
from . import crossings, failing, sizes, throughputs
from .quality import PRECISION, VOCABULARY
from .runs import BASELINE, DEEP, FIX, LATENCY, NEW_TOKENS, SCENARIOS, TOKENS

WITHOUT = "The published raw runs are not here: this section cannot be generated."
NO_INTERVAL = ("The unit of replication is the run file (one process on one day); with fewer than six of them a "
               "median has no 95 % interval, so none is shown.")


@dataclass(frozen=True)
class Section:
    """A corrected section: its number and title, what it says in one sentence, and (table, caption) pairs."""

    number: str
    title: str
    says: str
    tables: tuple = ()


def corrected(runs):
    """The corrected sections, in order, as a list of `Section`; those that need runs say so where runs is None."""
    return [matrix(runs), results(runs), crossover(runs), failures(runs), quality(), break_even(runs), history(runs),
            degradation(runs)]


def matrix(runs):
    """§2.1: which runs there are, by model, mode and file, and what a call really handles."""
    calls = pd.DataFrame([
        {"scenario": name, "batch": batch, "prompt tokens": batch * sum(prompts) / 2,
         "with padding": batch * padded, "generated": batch * NEW_TOKENS}
        for name, (prompts, padded, batch) in TOKENS.items()])
    tables = [(calls, "Tokens of one call: the two prompts' mean, what throughput counts, and what is generated.")]
    if runs is None:
        return Section("2.1", "Matrix and counts", WITHOUT, tuple(tables))
    groups = runs.groupby(["params", "model", "mode"])
    table = groups.agg(files=("session", "nunique"), runs=("ok", "size"), ok=("ok", "sum")).reset_index()
    table["failed"] = table["runs"] - table["ok"]
    says = (f"{runs['session'].nunique()} files of 6 backends × 6 scenarios × 5 repetitions hold {len(runs):,} runs; "
            f"{int((~runs['ok']).sum()):,} failed. The two models of version 2.2 account for "
            f"{int((runs['campaign'] == DEEP).sum())} of them.")
    tables.append((table, "Published runs by model and mode: files, runs, successes, failures."))
    return Section("2.1", "Matrix and counts", says, tuple(tables))


def results(runs):
    """§4: prefill and generate of both models, from all of their files, paired with PyTorch by scenario."""
    if runs is None:
        return Section("4", "Results", WITHOUT)
    tables = []
    for model, campaign, name in (("tiny-gpt2", DEEP, "the deep run"), ("gpt2", DEEP, "the deep run"),
                                  ("gpt2", FIX, "the run after the engines were rebuilt")):
        for mode in ("prefill", "generate"):
            caption = (f"{model}, {mode}, {name}: rate over all six scenarios, and the ratio to PyTorch as the "
                       "geometric mean over scenarios of ratios of medians (5 runs each).")
            tables.append((_result(runs, model, campaign, mode), caption))
    says = ("Rates are tokens over time: padded prompt tokens in prefill, generated tokens in generate. A backend "
            f"that failed in a scenario has no overall figure. {NO_INTERVAL}")
    return Section("4", "Results", says, tuple(tables))


def _result(runs, model, campaign, mode):
    here = runs[(runs["model"] == model) & (runs["campaign"] == campaign) & (runs["mode"] == mode)]
    ok = here[here["ok"]]
    work = {s: batch * (padded if mode == "prefill" else NEW_TOKENS) for s, (_, padded, batch) in TOKENS.items()}
    medians = ok.groupby(["backend", "scenario"])[LATENCY].median().unstack().reindex(columns=list(SCENARIOS))
    base, rows = medians.loc[BASELINE], []
    for backend, group in here.groupby("backend"):
        times, good = medians.reindex([backend]).iloc[0], group[group["ok"]]
        whole = times.notna().all()
        rate = 1000 * good["scenario"].map(work).sum() / good[LATENCY].sum() if whole else np.nan
        rows.append({
            "backend": backend, "ok": int(group["ok"].sum()), "of": len(group), "scenarios": int(times.notna().sum()),
            "tokens_per_s": rate, "times PyTorch": float(np.exp(np.log(base / times).mean())) if whole else np.nan,
            "fastest in": int((medians.idxmin() == backend).sum())})
    return pd.DataFrame(rows).sort_values("tokens_per_s", ascending=False, ignore_index=True)


def size_ratios(runs):
    """ONNX-CPU / PyTorch by size: geometric mean over scenarios of ratios of medians, then over the size's files.

    `low` and `high` are the least and the greatest file of a size: a range, no interval.
    """
    ratios = crossings.log_ratios(runs).groupby(["params", "model", "file"])["log_ratio"].mean()
    groups = ratios.groupby(level=["params", "model"])
    table = np.exp(groups.agg(["mean", "min", "max"])).set_axis(["ratio", "low", "high"], axis=1)
    return table.assign(files=groups.size()).reset_index()


def crossover(runs):
    """§5: the ratio at nine sizes, the power law with its diagnostics, and the crossover by scenario."""
    if runs is None:
        return Section("5", "Crossover", WITHOUT)
    table = size_ratios(runs)
    law, found = power_law(table["params"], table["ratio"]), crossing(table["params"], table["ratio"])
    scenarios = crossings.by_scenario(runs)
    points, apart = scenarios["crossover, millions"], crossings.apart(scenarios)
    says = (f"The ratio falls as parameters^{float(law.exponent):.2f} and is 1 at {_millions(found.value)} million "
            f"parameters, bootstrap {_between(found.bootstrap)}, Fieller {_between(found.fieller)}: {found.verdict}. "
            f"As a law it is {law.verdict}. Scenarios cross between {points.min():.0f} and {points.max():.0f} million"
            + (": two intervals do not touch, so one crossover does not serve them all." if apart else "."))
    diagnosed = table.rename(columns={"low": "least file", "high": "greatest file"}).assign(
        leverage=np.asarray(law.leverage), **{"crossover without it, millions": found.loo / 1e6})
    return Section("5", "Crossover", says, (
        (diagnosed, "ONNX-CPU / PyTorch at prefill by size: geometric mean, least and greatest of its files; "
                    "leverage in the power law, and the crossover without the size."),
        (scenarios, "The size at which ONNX-CPU and PyTorch are equally fast, by scenario: 95 % interval by bootstrap "
                    "over the nine sizes (BCa).")))


def _millions(value):
    return f"{value / 1e6:.0f}"


def _between(interval):
    return f"{_millions(interval.low)} to {_millions(interval.high)}" if interval.finite else interval.kind


def failures(runs):
    """§7: failed runs by backend, phase and cause, from the error strings."""
    if runs is None:
        return Section("7", "Failures", WITHOUT)
    table = failing.by_backend_and_phase(runs)
    counts = table.groupby("cause")["n"].sum().sort_values(ascending=False)
    late = int(table.loc[table["kind"] == "timeout", "n"].sum())
    says = (f"Of {int(counts.sum()):,} failed runs, "
            + " and ".join(f"{n:,} are of {cause}" for cause, n in counts.items())
            + f"; {late} timed out. The invalid arguments were raised while inputs were copied to the device, before "
            "an engine ran.")
    caption = "Failed runs of all files by backend, phase, kind and cause, with one error of each."
    return Section("7", "Failures", says, ((table, caption),))


def quality():
    """§8: perplexities from their sums, and gates of the configuration; refused for the untrained model."""
    inputs = published("tr118_perplexity_inputs")
    nll = {m: number(inputs.loc[(inputs["model"] == m) & (inputs["quantity"] == "nll_sum"), "value"].iloc[0])
           for m in ("gpt2", "tiny-gpt2")}
    tokens = number(inputs.loc[inputs["quantity"] == "token_count", "value"].iloc[0])
    base = {model: perplexity(value, tokens) for model, value in nll.items()}
    rows = []
    for row in published("tr118_perplexity").to_dict("records"):
        if row["backend"] == BASELINE:
            continue
        found = gate(number(row["perplexity"]), base[row["model"]], PRECISION[row["backend"]], VOCABULARY)
        rows.append({"model": row["model"], "backend": row["backend"], "perplexity": number(row["perplexity"]),
                     "gate": found.verdict, "reason": found.reason})
    says = (f"gpt2 in PyTorch has perplexity {base['gpt2']:.3f} from its sums; tiny-gpt2, "
            f"{base['tiny-gpt2']:,.0f}, is untrained, and says nothing about any engine. No TensorRT "
            "engine holds an int8 tensor, so its int8 row says nothing about int8; its fp16 engine has no figure.")
    return Section("8", "Perplexity", says, (
        (pd.DataFrame(rows), "Gates of the configuration: 0.1 % fp32, 0.5 % fp16, 2 % int8, against PyTorch."),))


def break_even(runs):
    """§9.2: when each gpt2 engine has made up its own build, from build metadata and tokens over time."""
    if runs is None:
        return Section("9.2", "Break-even", WITHOUT)
    rates = throughputs.aggregates(runs, "gpt2", FIX).set_index("backend")["tokens over time"]
    rows = []
    for backend, built in sizes.builds_of_fix().items():
        found = payback.break_even(built, rates[BASELINE], rates[backend])
        rows.append({"engine": backend, "build, s": built, "tokens_per_s": rates[backend],
                     "PyTorch": rates[BASELINE], "after the build, s": found.seconds, "tokens by then": found.tokens})
    says = ("Builds and rates of the same run, in which every engine took every scenario; padded prompt tokens, one "
            "file, so without intervals. The engine labelled int8 holds no int8 tensor.")
    caption = "Time and tokens until each engine has made up its build; tokens = build · a · b / (b - a)."
    return Section("9.2", "Break-even", says, ((pd.DataFrame(rows), caption),))


def history(runs):
    """§13: what was claimed of the crossover, in order, and which file each point was taken from."""
    tables = [(pd.DataFrame(crossings.history()), "Every claimed crossover beside what its own method and data give, "
               "in millions of parameters unless it has all digits.")]
    rests = ""
    if runs is not None:
        rows = [{"model": model, "file": file, "ratio": ratio} for model in published(crossings.POINTS)["model"]
                for file, ratio in crossings.file_ratios(runs, model).items()]
        tables.append((pd.DataFrame(rows), "ONNX-CPU / PyTorch, overall prefill means, in each published file."))
        several = pd.DataFrame(rows).groupby("model").size().gt(1).sum()
        rests = f" At {several} of 9 sizes, version 2.2 uses one file of several, by no published rule."
    wrong = [f.claim.partition(":")[0] for f in crossings.claims()
             if f.verdict == "inconsistent" and "crossover" in f.claim.partition("): ")[2]]
    says = (f"The crossover was claimed at {', then '.join(crossings.claimed())} million parameters. Not from "
            f"their own points: {'; '.join(dict.fromkeys(wrong))}.{rests}")
    return Section("13", "Crossover, in depth", says, tuple(tables))


def degradation(runs):
    """§15.3: successes by backend and mode, of version 2.2's two models and of all files."""
    if runs is None:
        return Section("15.3", "Degradation", WITHOUT)
    tables = []
    for here, name in ((runs[runs["campaign"] == DEEP], "version 2.2's two models"), (runs, "all files")):
        counts = here.groupby(["backend", "mode"])["ok"].agg(["sum", "size"]).unstack()
        rows = [{"backend": b, "prefill ok": c["sum", "prefill"], "of": c["size", "prefill"],
                 "generate ok": c["sum", "generate"], "of ": c["size", "generate"],
                 "degraded": c["size"].sum() - c["sum"].sum()} for b, c in counts.iterrows()]
        tables.append((pd.DataFrame(rows), f"Successful runs by backend and mode: {name}."))
    deep = runs[runs["campaign"] == DEEP]
    printed = sum(int(text.partition(" ")[0].split("/")[1])
                  for text in published("tr118_degradation_v2_1")["overall_success"])
    says = (f"{int((~deep['ok']).sum())} of {len(deep)} runs degraded ({(~deep['ok']).mean():.1%}); version 2.1 "
            f"counted {printed:,} runs.")
    return Section("15.3", "Degradation", says, tuple(tables))
