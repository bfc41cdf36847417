"""TR118's files for other programs, with every column; and the columns that its page has room for."""

from ..peers.files import rows
from .names import cells_of

INTERVAL = ["speedup", "low", "high", "verdict"]
TIMES = ["seconds", "baseline_seconds", "n", "n_needed"]
PAGE = {
    "failures": ["engine", "phases", "status", "kind", "cause", "cells", "share", "example", "remedy"],
    "artefacts": ["engine", "model", "bits", "implied_bytes", "bytes", "excess", "verdict", "worst_steps",
                  "opset", "method", "export_seconds", "build_seconds"],
    "speedups": ["model", "phase", "engine", *INTERVAL, "p_adjusted", *TIMES],
    "by_scenario": ["model", "phase", "scenario", "engine", *INTERVAL, "p_adjusted", *TIMES],
    "precisions": ["model", "phase", "engine", "evidence", "labelled", *INTERVAL, *TIMES],
    "uncached": ["engine", "model", "scenario", "batch", "generate_seconds", "e2e_seconds", "times",
                 "tokens_again"],
    "quality": ["backend", "model", "pass", "delta_frac", "threshold", "perplexity", "token_count", "windows",
                "error"],
    "crossings": ["engine", "phase", "sizes", "sessions", "slope", "size", "beyond", "verdict",
                  "faster_at_largest"],
    "bounds": ["engine", "phase", "fieller_kind", "fieller_from", "fieller_to", "bootstrap_from",
               "bootstrap_to", "sessions_from", "sessions_to", "without_one_from", "without_one_to"],
    "points": ["engine", "phase", "model", "params_measured", "ratio", "low", "high", "leverage", "cook",
               "crossing_without"],
    "payback": ["engine", "model", "scenario", "phase", "build_seconds", "speedup", "pays_after_s",
                "pays_after_tokens", "verdict"],
    "decisions": ["model", "scenario", "phase", "choice", "next_best", "times_as_fast", "times_as_fast_low",
                  "times_as_fast_high", "not_told_apart", "evidence", "quality", "left_out"],
}  # fmt: skip
"""Columns of each table that stand on the page, by its name; the files have all of them."""
BYTES = ("onnx_bytes", "engine_bytes", "file_bytes")
MADE = ("parameters", *BYTES, "export_seconds", "build_seconds", "opset", "method", "quantised", "sampled",
        "calibration", "onnx_sha256", "data_sha256", "model_sha256", "profiles", "builder")  # fmt: skip


def on_page(table, name):
    """The table with the columns that the page shows of it, in their order."""
    return table[[column for column in PAGE[name] if column in table]]


def statistical_analysis(by_phase, by_scenario, phase):
    """{comparisons, comparisons_by_scenario} of a phase, as TR118's statistical_analysis files name them.

    Rows are those of `speedups`: times as fast as the reference, with interval, p-values and verdict. Both
    engines make the same tokens, so the ratio of their rates is the same number.
    """
    tables = {"comparisons": by_phase, "comparisons_by_scenario": by_scenario}
    return {name: rows(table[table["phase"] == phase]) for name, table in tables.items()}


def export_metadata(frame):
    """One mapping per engine and model with a file of its own: what the engine told of its making."""
    cells = cells_of(frame).drop_duplicates(["engine", "model"], keep="last")
    who = zip(cells["engine"], cells["model"].astype(str), cells["evidence"])
    return [{"engine": engine, "model": model} | _made(evidence) for engine, model, evidence in who
            if any(evidence.get(name) for name in BYTES)]  # fmt: skip


def _made(evidence):
    return {name: evidence[name] for name in MADE if name in evidence}
