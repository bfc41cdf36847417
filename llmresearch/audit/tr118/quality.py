"""Perplexities: §8.1, §8.2 and Appendix C, from sums, from log-probabilities, and against the vocabulary."""

import math

from ...perplexities import GATES, gate, looks_untrained, perplexity
from ..findings import Finding, compare, number
from ..tables import published

VOCABULARY = 50257      # GPT-2's, of all nine models
PRECISION = {"onnxruntime-cpu": "fp32", "onnxruntime-gpu": "fp32", "tensorrt-fp32": "fp32", "tensorrt-int8": "int8",
             "tensorrt-fp16": "fp16"}


def sums():
    """§8: the two baselines' perplexities from their summed negative log-likelihoods."""
    rows, found = published("tr118_perplexity_inputs"), []
    for model in ("gpt2", "tiny-gpt2"):
        value = {r["quantity"]: r for r in rows.to_dict("records") if r["model"] == model}
        nll, tokens = float(value["nll_sum"]["value"]), float(value["token_count"]["value"])
        found.append(compare("tr118_perplexity_inputs", f"{model}: perplexity", value["perplexity"]["value"],
                             perplexity(nll, tokens), f"exp({nll:.3f} / {tokens:.0f})", value["perplexity"]["source"]))
    ratio = value["ratio_to_uniform_50257"]
    return [*found, compare("tr118_perplexity_inputs", "tiny-gpt2: perplexity / vocabulary", ratio["value"],
                            perplexity(nll, tokens) / VOCABULARY, "the same perplexity / 50,257", ratio["source"])]


def gates():
    """§8.1 and §8.2: does each engine pass the gate that was configured; is the model one that can be judged?"""
    rows, found = published("tr118_perplexity").to_dict("records"), []
    base = {r["model"]: number(r["perplexity"]) for r in rows if r["backend"] == "transformers-gpu-compile"}
    for row in rows:
        if row["backend"] == "transformers-gpu-compile":
            continue
        ours = gate(number(row["perplexity"]), base[row["model"]], PRECISION[row["backend"]], VOCABULARY)
        printed = row["pass"] or row["status"]
        passes = printed in ("OK", "Excellent")
        verdict = "reproduced" if (ours.verdict == "pass") == passes else "inconsistent"
        if row["delta_vs_baseline"] not in ("", "Baseline", "N/A"):
            ours_pct = 100 * abs(number(row["perplexity"]) / base[row["model"]] - 1)
            found.append(_within(row, "delta_vs_baseline", ours_pct, 0.1 / base[row["model"]],
                                 "printed perplexities, each rounded to 0.001, in %", "tr118_perplexity"))
        found.append(Finding("tr118_perplexity", f"{row['model']} {row['backend']}: keeps its quality", printed,
                             f"{ours.verdict}: {ours.reason}", verdict,
                             "gates of the configuration: 0.1 % fp32, 0.5 % fp16, 2 % int8", row["source"]))
    return [*found, _untrained(base["tiny-gpt2"], rows[0]["source"])]


def _untrained(value, source):
    return Finding("tr118_perplexity", "tiny-gpt2: its perplexities show that quality is kept", "OK, 0.000 % delta",
                   looks_untrained(value, VOCABULARY), "refuted",
                   "a model that guesses evenly among V tokens has perplexity V; no engine can make it worse", source)


def log_probabilities():
    """C.1: perplexity from the printed mean log-probability of the same row."""
    table = "tr118_perplexity_logprob_appendix_c"
    return [compare(table, f"{row['backend']}: perplexity follows from log-probability",
                    row["perplexity"], math.exp(-float(row["mean_log_prob"])), f"exp(-({row['mean_log_prob']}))",
                    row["source"], slack=5e-5)
            for row in published(table).to_dict("records")]


def deltas():
    """C.2: differences against the perplexities of §8.2, and the thresholds against the configured ones."""
    rows = published("tr118_perplexity").to_dict("records")
    value = {r["backend"]: float(r["perplexity"]) for r in rows if r["model"] == "gpt2" and number(r["perplexity"])}
    base, found = value["transformers-gpu-compile"], []
    for row in published("tr118_perplexity_delta").to_dict("records"):
        ours, table = value[row["backend"]] - base, "tr118_perplexity_delta"
        found += [
            _within(row, "delta_perplexity", ours, 0.001, f"{value[row['backend']]} - {base}, each rounded to 0.001"),
            _within(row, "delta_pct", 100 * abs(ours) / base, 0.1 / base, "the same difference / baseline, size only"),
            compare(table, f"{row['backend']}: threshold, %", row["pass_threshold"],
                    100 * GATES[PRECISION[row["backend"]]], "the gate that was configured", row["source"])]
    return found


def _within(row, column, ours, room, how, table="tr118_perplexity_delta"):
    """A difference of two rounded figures is known to ± one unit of theirs: agreement within that is 'reproduced'."""
    printed = row[column]
    verdict = "reproduced" if abs(number(printed) - ours) <= room + 1e-9 else "inconsistent"
    return Finding(table, f"{row['backend']}: {column}", printed, f"{ours:.4f}", verdict, how,
                   row["source"])


def same_weights():
    """§8.2: against the same weights in another engine, an unquantised engine should agree to 1e-4."""
    rows = [r for r in published("tr118_perplexity").to_dict("records") if r["model"] == "gpt2"]
    base = float(rows[0]["perplexity"])
    found = []
    for row in rows[1:]:
        if PRECISION[row["backend"]] != "fp32":
            continue
        ours = gate(number(row["perplexity"]), base, "same weights", VOCABULARY)
        found.append(Finding("tr118_perplexity", f"gpt2 {row['backend']}: the same numbers as PyTorch in fp32",
                             row["status"], ours.reason, "reproduced" if ours.verdict == "pass" else "inconsistent",
                             "two engines with the same fp32 weights agree to 1e-4; a larger change speaks of another "
                             "precision, such as TF32", row["source"]))
    return found
