"""TR118's claims: the sentences, the lines drawn before measuring, and the estimates of the tables that carry them."""

from math import isnan

from ..intervals import Estimate, refused
from .names import engine_of

JUDGED = ("pass", "fail", "undecided")
"""Verdicts of a gate that could judge."""


def _id(*words):
    return "_".join(words).replace(" ", "_").replace(":", "_").replace(".", "_")


def speed(report, table, reference, cells=()):
    """A claim per engine, model and phase: it is faster than the reference; the line is a speed-up of one.

    `table` is that of `as_tested`, whose intervals agree with the verdicts of the corrected table. `cells` are those
    planned: what was refused or failed keeps its place among the claims, as not measured.
    """
    found = {(row.engine, str(row.model), str(row.phase)): Estimate(row.speedup, row.low, row.high, row.n, "session", row.method)
             for row in table.itertuples()}  # fmt: skip
    asked = {(engine_of(cell), cell.model, phase) for cell in cells for phase in cell.phases}
    gone = refused(f"{reference} or the engine was not measured", unit="session")
    for engine, model, phase in [*found, *sorted(asked - set(found))]:
        if engine != reference:
            report.claim(_id("faster", engine, model, phase),
                         f"{engine} is faster than {reference}: {phase} of {model} (ratio of medians, over its scenarios).",
                         found.get((engine, model, phase), gone), above=1)  # fmt: skip


def cache(report, table):
    """A claim per engine and model: without a cache the longest request takes longer than with one."""
    for (engine, model), part in table.groupby(["engine", "model"], sort=True):
        row = part.loc[(part["prompt_tokens"] + part["new_tokens"]).idxmax()]
        report.claim(_id("uncached", engine, model),
                     f"Without a KV cache the same answer takes longer: {engine}, {model}, scenario {row['scenario']} (ratio of medians).",
                     row["times"], above=1)  # fmt: skip


def quality(report, table, reference):
    """A claim per engine whose gate could judge: its perplexity stays within the limit of its precision."""
    for row in table[table["pass"].isin(JUDGED)].itertuples():
        report.claim(_id("quality", row.backend, row.model),
                     f"{row.backend} keeps the perplexity of {reference} on {row.model} (relative change).",
                     row.delta_frac, above=-row.threshold, below=row.threshold)  # fmt: skip


def gates(report, table):
    """A sentence per gate that could judge: the change, how wide its interval is, the limit, the verdict."""
    judged = table[table["pass"].isin(JUDGED)]
    for row in judged.to_dict("records"):
        _gate(report, row, _id("gate", row["backend"], row["model"]))
    if "undecided" in set(judged["pass"]):
        report.say("A gate that is undecided is no pass: an engine under it is not chosen below. "
                   "More scored tokens narrow its interval.")  # fmt: skip
    if judged.empty:
        report.say("**No gate judged anything:** no engine beside the reference scored a trained model here.")


def _gate(report, row, name):
    shift = row["delta_frac"]
    nan, unit = float("nan"), shift.unit_of_replication
    width = Estimate(shift.high - shift.low, nan, nan, shift.n, unit, "upper end less lower end")
    room = report.number(2 * row["threshold"], name=f"{name}_room", label="derived")
    wide = report.number(width, name=f"{name}_width", label="derived")
    report.say(f"Gate of {row['backend']} on {row['model']}: change {report.number(shift, name=name)}, "
               f"an interval as wide as {wide}; the limit leaves {room} between its two sides. "
               f"Verdict: **{row['pass']}**.")  # fmt: skip


def answers(report, table):
    """A claim per engine that also answered without a cache: with one it gives the same tokens, in every scenario."""
    for engine, part in table.dropna(subset="as_uncached").groupby("engine", sort=True):
        report.claim(_id("answers", engine),
                     f"With a cache {engine} gives the tokens that it gives without one (least share of a scenario's tokens).",
                     _worst((part["as_uncached"] / part["tokens"]).min(), part, "scenario"), above=1 - 1e-9, label="derived")  # fmt: skip


def files(report, table):
    """Two claims per engine with files: none holds other weights, none is smaller than its label allows."""
    for engine, part in table.dropna(subset="worst_steps").groupby("engine", sort=True):
        report.claim(_id("weights", engine),
                     f"The sampled weights in every file of {engine} are the model's own, rounded to its type (largest difference, steps).",
                     _worst(part["worst_steps"].astype(float).max(), part), below=0.5 + 1e-3, label="derived")  # fmt: skip
    for engine, part in table[table["verdict"] != "unknown"].groupby("engine", sort=True):
        report.claim(_id("size", engine),
                     f"No file of {engine} is smaller than its parameters times their bits (least excess, share).",
                     _worst(part["excess"].min(), part), above=-1e-9, label="derived")  # fmt: skip


def _worst(value, part, unit="file"):
    return Estimate(value, value, value, len(part), unit, f"exact arithmetic, the worst of {len(part)} {unit}s")


def crossing(report, table, reference):
    """A claim per engine, scenario and phase with a crossing: it lies within the measured sizes."""
    for row in table.itertuples():
        if isnan(row.size.value):
            continue
        far = "" if isnan(row.beyond) else f"; extrapolated {row.beyond:,.3g} times beyond them"
        report.claim(_id("crossing", row.engine, row.scenario, row.phase),
                     f"{row.engine} and {reference} are equally fast within the measured sizes: {row.phase}, {row.scenario} (parameters{far}).",
                     row.size, above=row.smallest, below=row.largest, label="extrapolated" if far else "fitted")  # fmt: skip


def payback(report, table, tokens):
    """A claim per engine and model: in its slowest phase to pay, the build has paid within so many tokens.

    What is not known counts as the slowest, so that an engine whose payback is open in one phase claims nothing.
    """
    for (engine, model), part in table.groupby(["engine", "model"], sort=True):
        cached = part[part["phase"] != "generate"]
        values = [found.value for found in cached["pays_after_tokens"]]
        if not values:
            continue
        row = cached.iloc[max(range(len(values)), key=lambda place: (isnan(values[place]), values[place]))]
        report.claim(_id("pays", engine, model),
                     f"Making the file of {engine} for {model} has paid within the tokens asked for, even in {row['phase']}, {row['scenario']} (tokens).",
                     row["pays_after_tokens"], below=tokens, label="derived")  # fmt: skip
