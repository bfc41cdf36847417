"""TR119's tables: what a token costs by engine, phase and mix, who is cheapest, and whether the sessions
agree.
"""

from itertools import product
import math

import numpy as np
import pandas as pd

from . import joules
from .cost import (
    HOUR_S,
    KWH_J,
    MILLION,
    Rent,
    as_price,
    cost_per_million_tokens,
    gco2e,
    kwh,
    of_kind,
    times,
    tokens_per_dollar,
)
from .frames import first_calls, samples, steady
from .intervals import NAN, Estimate
from .joules import CHOICE, named
from .ranks import ranking, relative  # noqa: F401: the tables of a study are found in one place
from .spending import ApiPrice, against_api, pays_after, tco
from .stats.estimates import center_of_sessions, quantile, rate, session_labels

PHASES = ["prefill", "decode"]


def shown(table, *without):
    """The table as a page shows it: without a model or scenario that is the same in all rows, and without
    `without`.
    """
    same = [name for name in ("model", "scenario") if name in table and table[name].nunique() <= 1]
    return table.drop(columns=[name for name in (*same, *without) if name in table])


def left_out(frame):
    """A sentence: how many samples count, and how many do not because something else ran beside them."""
    taken, kept = len(samples(frame)), len(steady(frame))
    words = f"{kept:,} of {taken:,} samples count; {taken - kept:,} were disturbed by what ran beside them and are left out."
    return words if kept or not taken else f"**No sample can be used.** {words} Measure on a quiet machine."


def _used(frame):
    """The calls that count, with `engine` and one label per session."""
    used = named(steady(frame))
    return used.assign(session=session_labels(used))


def by_phase(frame, price):
    """One row per engine, model, scenario and phase: tokens_per_s (total over total, an Estimate over
    sessions) and usd_per_million at a price per hour, with calls and sessions.
    """
    rows = []
    for key, part in _used(frame).groupby([*CHOICE, "phase"], observed=True, sort=True):
        speed = rate(part["tokens"], part["seconds"], part["session"].to_numpy())
        rows.append(dict(zip([*CHOICE, "phase"], key)) | {
            "calls": len(part), "sessions": part["session"].nunique(), "tokens_per_s": speed,
            "usd_per_million": cost_per_million_tokens(speed, price)})  # fmt: skip
    return pd.DataFrame(
        rows, columns=[*CHOICE, "phase", "calls", "sessions", "tokens_per_s", "usd_per_million"]
    )


def sessions_of_mix(frame, mix):
    """One row per engine, model, scenario and session: tokens_per_s of the mix in that session, of its own
    calls.
    """
    used = _used(frame)
    used = used[used["phase"].isin(PHASES)]
    sums = used.groupby([*CHOICE, "session", "phase"], observed=True)[["seconds", "tokens"]].sum()
    wide = (sums["seconds"] / sums["tokens"]).unstack("phase").reindex(columns=PHASES)
    per_token = [mix.of(row.prefill, row.decode) for row in wide.itertuples()]
    return (
        wide.assign(tokens_per_s=1 / np.array(per_token, float)).drop(columns=PHASES).reset_index().dropna()
    )


def of_mix(frame, mix, price):
    """One row per engine, model and scenario: tokens_per_s of the whole mix (an Estimate: Student's t of the
    sessions' logarithms, phases mixed within each session) and ONE usd_per_million; tokens_per_dollar beside
    it.
    """
    rows = []
    for key, part in sessions_of_mix(frame, mix).groupby(CHOICE, observed=True, sort=True):
        speed = center_of_sessions(part["tokens_per_s"])
        cost = cost_per_million_tokens(speed, price)
        rows.append(dict(zip(CHOICE, key)) | {"sessions": len(part), "tokens_per_s": speed, "usd_per_million": cost,
                                              "tokens_per_dollar": tokens_per_dollar(cost.value)})  # fmt: skip
    return pd.DataFrame(
        rows, columns=[*CHOICE, "sessions", "tokens_per_s", "usd_per_million", "tokens_per_dollar"]
    )


def tiers(mixed, prices):
    """The usd_per_million of each choice at each machine of a price file, a column a tier: this machine's
    rate at the other's price, as if every hour paid for were used. `within` is the rate's interval as a share
    of each figure, ±.
    """
    rows = []
    for row, machine in product(mixed.to_dict("records"), prices.rent):
        rents = {rent.tier: rent for rent in prices.rents() if rent.name == machine["name"]}
        costs = {
            tier: cost_per_million_tokens(row["tokens_per_s"].value, rent) for tier, rent in rents.items()
        }
        rows.append(
            {name: row[name] for name in CHOICE}
            | {"machine": machine["name"]}
            | costs
            | {"within": row["tokens_per_s"].relative_half_width}
        )
    return pd.DataFrame(rows, columns=None if rows else [*CHOICE, "machine", "within"])


def owned(mixed, energies, own):
    """What a million tokens of the mix cost on a machine bought: purchase, idle and upkeep, energy above
    idle, total.

    usd columns; `energy` and so `total` are nan where the energy is unknown, and `why` says it.
    """
    rows = []
    for row in mixed.to_dict("records"):
        speed, joule = row["tokens_per_s"], energies.get(tuple(row[name] for name in CHOICE), _no_energy())
        total = cost_per_million_tokens(speed, own, joule)
        hours = times(cost_per_million_tokens(speed, Rent(1.0)), 1 / own.busy_share)
        purchase = own.purchase_usd / (own.life_years * 365.25 * 24)
        rows.append({name: row[name] for name in CHOICE} | {
            "purchase": times(hours, purchase), "idle_and_upkeep": times(hours, own.usd_per_hour - purchase),
            "energy_above_idle": of_kind(times(kwh(joule), MILLION * own.usd_per_kwh), "own"), "total": total,
            "why": None if math.isfinite(joule.value) else joule.method})  # fmt: skip
    return pd.DataFrame(
        rows, columns=[*CHOICE, "purchase", "idle_and_upkeep", "energy_above_idle", "total", "why"]
    )


def _no_energy():
    return Estimate(NAN, NAN, NAN, 0, "session", joules.NOT_ASKED)


def carbon(energies, grids):
    """One row per choice and grid: kWh and grams of CO2 equivalent per million tokens of the mix, or unknown
    and why.
    """
    rows = []
    for (key, joule), grid in product(energies.items(), grids):
        million = times(joule, MILLION)
        rows.append(dict(zip(CHOICE, key)) | {
            "grid": grid["name"], "kwh_per_million": kwh(million), "gco2e_per_million": gco2e(million, grid["gco2e_per_kwh"]),
            "why": None if math.isfinite(joule.value) else joule.method})  # fmt: skip
    return pd.DataFrame(rows, columns=[*CHOICE, "grid", "kwh_per_million", "gco2e_per_million", "why"])


def energy_table(frame):
    """Energy by phase: joules per token above idle with its interval, kWh per million, tokens per kWh, watts,
    why not.
    """
    found = joules.per_token(frame)
    per_kwh = [KWH_J / e.value if e.value > 0 else NAN for e in found["joules_per_token"]]
    found = found.assign(
        kwh_per_million=[kwh(times(e, MILLION)) for e in found["joules_per_token"]], tokens_per_kwh=per_kwh
    )
    return found[
        [*CHOICE, "phase", "sessions", "joules_per_token", "kwh_per_million", "tokens_per_kwh", "watts"]
    ]


def counters(frame):
    """One row per engine: the energy counter and what it covers, idle power in watts, windows taken and
    known, and why the others are unknown (each reason once).
    """
    rows = []
    for name, part in joules.windows(frame).groupby("engine", observed=True, sort=True):
        rows.append({"engine": name, "counter": next(iter(part["counter"].dropna()), "none"), "idle_w": part["idle_w"].median(),
                     "windows": len(part), "known": int(part["joules_per_token"].notna().sum()),
                     "why_unknown": "; ".join(part["why"].dropna().unique()) or None})  # fmt: skip
    return pd.DataFrame(rows, columns=["engine", "counter", "idle_w", "windows", "known", "why_unknown"])


def efficiency(frame):
    """One row per choice and phase: tokens per second, peak memory of process and GPU, tokens per second and
    GiB, and the operations per second that 2 per weight and token come to (derived; attention is not
    counted).
    """
    rows = []
    for key, part in _used(frame).groupby([*CHOICE, "phase"], observed=True, sort=True):
        speed = part["tokens"].sum() / part["seconds"].sum()
        memory = {
            name: part[name].max() if name in part else NAN for name in ("peak_rss_bytes", "gpu_memory_bytes")
        }
        held = memory["gpu_memory_bytes"] if memory["gpu_memory_bytes"] > 0 else memory["peak_rss_bytes"]
        rows.append(dict(zip([*CHOICE, "phase"], key)) | {"tokens_per_s": speed} | memory | {
            "tokens_per_s_and_gib": speed / (held / 2**30), "gflop_per_s": 2 * float(part["params_measured"].iloc[0] or NAN) * speed / 1e9})  # fmt: skip
    return pd.DataFrame(rows, columns=None if rows else [*CHOICE, "phase", "tokens_per_s"])


def requests(frame, price):
    """The cost of the requests that were measured whole (phase e2e): per choice, USD per thousand requests at
    the median (with its interval), p95 where there are enough of them, least and most.
    """
    used, rows = _used(frame), []
    each = as_price(price).usd_per_hour / HOUR_S * 1000
    for key, part in used[used["phase"] == "e2e"].groupby(
        [*CHOICE, "prompt_tokens", "new_tokens", "batch"], observed=True, sort=True
    ):
        usd = part["seconds"] * each / (part["batch"].astype(float) * part["concurrency"].astype(float))
        sessions = part["session"].to_numpy()
        middle, tail = (quantile(usd.to_numpy(), q, sessions) for q in (0.5, 0.95))
        rows.append(dict(zip([*CHOICE, "prompt_tokens", "new_tokens", "batch"], key)) | {
            "n": len(part), "usd_per_1000": middle, "p95": tail.value, "least": usd.min(), "most": usd.max()})  # fmt: skip
    return pd.DataFrame(
        rows,
        columns=[
            *CHOICE,
            "prompt_tokens",
            "new_tokens",
            "batch",
            "n",
            "usd_per_1000",
            "p95",
            "least",
            "most",
        ],
    )


def foretold(frame):
    """Does the mix add up? Per choice: seconds of a request from its phases (prefill, and all steps but one)
    beside the requests measured whole, and the ratio of both.
    """
    seconds = (
        _used(frame)
        .groupby([*CHOICE, "new_tokens", "phase"], observed=True)["seconds"]
        .median()
        .unstack("phase")
    )
    seconds = seconds.reindex(columns=[*PHASES, "e2e"]).reset_index()
    share = 1 - 1 / seconds["new_tokens"].astype(float)
    sums = seconds["prefill"] + seconds["decode"] * share
    return seconds[CHOICE].assign(
        from_phases=sums, measured_whole=seconds["e2e"], ratio=sums / seconds["e2e"]
    )


def totals(mixed, energies, tokens_per_month, months, prices):
    """The total cost of a volume, one row per choice and price (Rent or Own): machines, share at work, kind,
    USD.
    """
    rows = []
    for row, price in product(mixed.to_dict("records"), prices):
        joule = energies.get(tuple(row[name] for name in CHOICE), _no_energy())
        found = tco(tokens_per_month, months, row["tokens_per_s"], price, joule)
        rows.append({name: row[name] for name in CHOICE} | {
            "kind": found.kind, "price": price.name, "tier": getattr(price, "tier", "owned"), "machines": found.machines,
            "busy_share": found.busy_share, "usd": found.usd})  # fmt: skip
    return pd.DataFrame(rows, columns=[*CHOICE, "kind", "price", "tier", "machines", "busy_share", "usd"])


def start_seconds(frame):
    """{(engine, model, scenario): seconds of the first calls beyond steady ones, all phases}: compiling,
    loading kernels.
    """
    keys = [*CHOICE, "phase"]
    cold = named(first_calls(frame)).groupby(keys, observed=True)["seconds"].median()
    warm = _used(frame).groupby(keys, observed=True)["seconds"].median()
    extra = (cold - warm).dropna().clip(lower=0)
    return extra.groupby(CHOICE, observed=True).sum().to_dict()


def paybacks(frame, mixed, baseline, price):
    """From how many tokens on a candidate's slower start has paid for itself, rented at one price: per
    candidate start_s (beyond the baseline's), tokens (an Estimate; inf: never) and the verdict pays, never or
    undecided.
    """
    starts, rows = start_seconds(frame), []
    for _, part in mixed.groupby(["model", "scenario"], observed=True, sort=True):
        costs = {row["engine"]: row for row in part.to_dict("records")}
        for name, row in costs.items():
            if name == baseline or baseline not in costs:
                continue
            here, there = (
                starts.get((engine, row["model"], row["scenario"]), NAN) for engine in (name, baseline)
            )
            extra = max(here - there, 0.0)
            found = pays_after(
                extra * as_price(price).usd_per_hour / HOUR_S,
                costs[baseline]["usd_per_million"],
                row["usd_per_million"],
            )
            rows.append({key: row[key] for key in CHOICE} | {"baseline": baseline, "start_s": extra, "tokens": found.tokens,
                                                            "verdict": found.verdict})  # fmt: skip
    return pd.DataFrame(rows, columns=[*CHOICE, "baseline", "start_s", "tokens", "verdict"])


def apis(mixed, mix, price, offers):
    """Each choice, rented for every hour, against each API: from how many tokens a month on it is the cheaper
    one.
    """
    rows = []
    for row, offer in product(mixed.to_dict("records"), offers):
        found = against_api(offer, mix, row["tokens_per_s"], price)
        rows.append({name: row[name] for name in CHOICE} | {"api": offer.name} | vars(found))
    return pd.DataFrame(
        rows, columns=[*CHOICE, "api", "api_usd_per_million", "tokens_per_month", "busy_share", "verdict"]
    )


def offer(values):
    """[ApiPrice] of a notebook's parameter {"input": …, "output": …} (USD per million tokens); [] of None."""
    return [ApiPrice(values["input"], values["output"], values.get("name", "own offer"))] if values else []


def phase_ratio(frame):
    """One row per choice: what a generated token costs over a prompt token, an Estimate paired by session."""
    used, rows = _used(frame), []
    used = used[used["phase"].isin(PHASES)]
    sums = used.groupby([*CHOICE, "session", "phase"], observed=True)[["seconds", "tokens"]].sum()
    wide = (sums["seconds"] / sums["tokens"]).unstack("phase").reindex(columns=PHASES).dropna()
    for key, part in wide.groupby(CHOICE, observed=True, sort=True):
        rows.append(dict(zip(CHOICE, key)) | {"ratio": center_of_sessions(part["decode"] / part["prefill"])})
    return pd.DataFrame(rows, columns=[*CHOICE, "ratio"])
