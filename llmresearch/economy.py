"""TR119's tables: what a token costs by engine, phase and mix, who is cheapest, do the sessions agree."""

from itertools import product
import math

import numpy as np
import pandas as pd

from . import joules
from .cost import HOUR_S, KWH_J, MILLION, Rent, as_price, cost_per_million_tokens, gco2e, kwh, of_kind, times
from .cost import energy_usd, tokens_per_dollar
from .frames import first_calls, samples, steady
from .intervals import NAN, Estimate
from .joules import CHOICE, named
from .ranks import NOT_MEASURED, agreement, ranking, relative  # noqa: F401: all tables in one place
from .spending import ApiPrice, against_api, pays_after, tco
from .stats.estimates import center_of_sessions, over_sessions_only, quantile, rate, session_labels

PHASES = ["prefill", "decode"]


def shown(table, *without):
    """The table as a page shows it: without `without`, and without a model or scenario that never changes."""
    same = [name for name in ("model", "scenario") if name in table and table[name].nunique() <= 1]
    return table.drop(columns=[name for name in (*same, *without) if name in table])


def planned(frame):
    """[(engine, model, scenario)] of every cell, those among them that were refused or failed; sorted."""
    return sorted(map(tuple, named(frame)[CHOICE].drop_duplicates().astype(str).to_numpy()))


def left_out(frame):
    """A sentence: how many samples count, and how many do not because something else ran beside them."""
    taken, kept = len(samples(frame)), len(steady(frame))
    if not taken:
        return "No sample was taken."
    gone = f"left out, as something else ran beside them: {taken - kept:,}."
    words = f"{kept:,} of {taken:,} samples count; {gone}"
    return words if kept else f"**No sample can be used.** {words} Measure on a quiet machine."


def _used(frame):
    """The calls that count, with `engine` and one label per session."""
    used = named(steady(frame))
    return used.assign(session=session_labels(used))


def by_phase(frame, price):
    """One row per engine, model, scenario and phase: tokens per second, and USD per million of them.

    tokens_per_s: total over total, an Estimate over sessions; usd_per_million follows; calls and sessions
    beside.
    """
    columns = [*CHOICE, "phase", "calls", "sessions", "tokens_per_s", "usd_per_million"]
    rows = []
    for key, part in _used(frame).groupby([*CHOICE, "phase"], observed=True, sort=True):
        speed = rate(part["tokens"], part["seconds"], part["session"].to_numpy())
        rows.append(dict(zip([*CHOICE, "phase"], key)) | {
            "calls": len(part), "sessions": part["session"].nunique(), "tokens_per_s": speed,
            "usd_per_million": cost_per_million_tokens(speed, price)})  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def sessions_of_mix(frame, mix):
    """One row per engine, model, scenario and session: tokens_per_s of the mix in it, of its own calls."""
    wide = _seconds_per_token(frame)
    per_token = [mix.of(row.prefill, row.decode) for row in wide.itertuples()]
    found = wide.assign(tokens_per_s=1 / np.array(per_token, float))
    return found.drop(columns=PHASES).reset_index().dropna()


def _seconds_per_token(frame):
    """Seconds per token by engine, model, scenario and session, a column per phase; nan where a call has no seconds."""
    used = _used(frame)
    used = used[used["phase"].isin(PHASES)]
    groups = used.groupby([*CHOICE, "session", "phase"], observed=True)
    sums, whole = groups[["seconds", "tokens"]].sum(), groups["seconds"].count() == groups.size()
    return (sums["seconds"] / sums["tokens"]).where(whole).unstack("phase").reindex(columns=PHASES)


def of_mix(frame, mix, price):
    """One row per engine, model and scenario: the whole mix has ONE usd_per_million, an Estimate as all are.

    tokens_per_s: Student's t of the sessions' logarithms, phases mixed within each session.
    usd_per_1000_requests: of requests with as many tokens as the mix has; tokens_per_dollar beside it.
    """
    rows = []
    for key, part in sessions_of_mix(frame, mix).groupby(CHOICE, observed=True, sort=True):
        speed = center_of_sessions(part["tokens_per_s"])
        cost = cost_per_million_tokens(speed, price)
        per_request = of_kind(times(cost, 1000 * mix.tokens / MILLION), cost.kind)
        rows.append(dict(zip(CHOICE, key)) | {
            "sessions": len(part), "tokens_per_s": speed, "usd_per_million": cost,
            "usd_per_1000_requests": per_request, "tokens_per_dollar": tokens_per_dollar(cost)})  # fmt: skip
    return pd.DataFrame(rows, columns=[*CHOICE, "sessions", *OF_MIX])


OF_MIX = ["tokens_per_s", "usd_per_million", "usd_per_1000_requests", "tokens_per_dollar"]


def in_short(mixed, ranked, number):
    """A line per model and scenario: who is cheapest, or that nobody surely is, and at which price.

    `mixed` is what `of_mix` gave, `ranked` what `ranking` made of its sessions; `number` writes an Estimate,
    as a report's own does.
    """
    costs = mixed.set_index(["model", "scenario", "engine"])["usd_per_million"]
    lines = []
    for row in ranked[ranked["rank"] == 1].itertuples():
        cost = costs[row.model, row.scenario, row.engine]
        price = f"Its US dollars per million tokens of the mix: {number(cost, label='derived')}"
        lines.append(f"- {row.model}, {row.scenario}: {FIRST[row.verdict].format(row.engine)}. {price}.\n")
    return "".join(lines) or "Nothing was measured in every phase of the mix, so nothing has a price.\n"


FIRST = {"winner": "**{}** is surely the cheapest", "no winner": "**no winner**, {} is first but not surely",
         "only one": "only {} has a price"}  # fmt: skip
"""The verdict of who comes first in a ranking, as a sentence about that engine."""


def tiers(mixed, prices):
    """The usd_per_million of each choice at each machine of a price file, a column a tier, Estimates.

    It is this machine's rate at the other's price, as if every hour paid for were used.
    """
    rows = []
    for row, machine in product(mixed.to_dict("records"), prices.rent):
        rents = {rent.tier: rent for rent in prices.rents() if rent.name == machine["name"]}
        costs = {tier: cost_per_million_tokens(row["tokens_per_s"], rent) for tier, rent in rents.items()}
        rows.append({name: row[name] for name in CHOICE} | {"machine": machine["name"]} | costs)
    return pd.DataFrame(rows, columns=None if rows else [*CHOICE, "machine"])


def owned(mixed, energies, own):
    """What a million tokens of the mix cost on a machine bought: purchase, idle and upkeep, energy, total.

    In USD; energy_above_idle and so the total are nan where the energy is unknown, and `why` says it.
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
    return pd.DataFrame(rows, columns=[*CHOICE, *PARTS, "total", "why"])


PARTS = ["purchase", "idle_and_upkeep", "energy_above_idle"]


def _no_energy():
    return Estimate(NAN, NAN, NAN, 0, "session", joules.NOT_ASKED)


def carbon(energies, grids, whole):
    """One row per choice and grid, per million tokens: kWh, USD of electricity, grams of CO2 equivalent.

    Of `energies` above idle; gco2e_with_idle is of `whole`, all that the device drew during the calls. Or nan,
    and why.
    """
    rows = []
    for (key, joule), grid in product(energies.items(), grids):
        million, drawn = times(joule, MILLION), times(whole[key], MILLION)
        rows.append(dict(zip(CHOICE, key)) | {
            "grid": grid["name"], "kwh_per_million": kwh(million),
            "electricity_usd": energy_usd(million, grid["usd_per_kwh"]),
            "gco2e_per_million": gco2e(million, grid["gco2e_per_kwh"]),
            "gco2e_with_idle": gco2e(drawn, grid["gco2e_per_kwh"]),
            "why": None if math.isfinite(joule.value) else joule.method})  # fmt: skip
    columns = [*CHOICE, "grid", "kwh_per_million", "electricity_usd", "gco2e_per_million", "gco2e_with_idle", "why"]
    return pd.DataFrame(rows, columns=columns)


def energy_table(frame):
    """Energy by phase: joules per token above idle and with idle, kWh per million, tokens per kWh, watts.

    kWh and tokens per kWh are above idle; tokens per kWh has no upper end where the joules may be none.
    """
    found = joules.per_token(frame)
    each = found["joules_per_token"]
    million, per_kwh = [kwh(times(e, MILLION)) for e in each], [_per_kwh(e) for e in each]
    found = found.assign(kwh_per_million=million, tokens_per_kwh=per_kwh)
    shown = ["joules_per_token", "with_idle", "kwh_per_million", "tokens_per_kwh", "watts"]
    return found[[*CHOICE, "phase", "sessions", *shown]]


def energy_points(table):
    """What a figure draws of `energy_table`: value, low and high of joules per token with idle, where it is known."""
    ends = table["with_idle"].map(lambda e: (e.value, e.low, e.high))
    found = table[[*CHOICE, "phase"]].assign(**{name: ends.str[k] for k, name in enumerate(("value", "low", "high"))})
    return found.dropna(subset="value")


def _per_kwh(joule):
    """Tokens per kWh of an Estimate of joules per token; unknown where that is not above zero."""
    value, low, high = (KWH_J / x if x > 0 else math.inf if x <= 0 else NAN
                        for x in (joule.value, joule.high, joule.low))  # fmt: skip
    ends = (value, low, high) if math.isfinite(value) else (NAN, NAN, NAN)
    return Estimate(*ends, joule.n, joule.unit_of_replication, joule.method)


def counters(frame):
    """One row per engine: its energy counter and what that covers, idle watts, windows taken and known.

    why_unknown: why the other windows are not (each reason once).
    """
    rows = []
    for name, part in joules.windows(frame).groupby("engine", observed=True, sort=True):
        rows.append({"engine": name, "counter": next(iter(part["counter"].dropna()), "none"),
                     "idle_w": part["idle_w"].median(), "windows": len(part),
                     "known": int(part["joules_per_token"].notna().sum()),
                     "why_unknown": "; ".join(part["why"].dropna().unique()) or None})  # fmt: skip
    return pd.DataFrame(rows, columns=["engine", "counter", "idle_w", "windows", "known", "why_unknown"])


def metered(counted):
    """A sentence on a table of `counters`: in how many windows the energy is known, and why not in others."""
    known, taken = int(counted["known"].sum()), int(counted["windows"].sum())
    why = "; ".join(dict.fromkeys(counted["why_unknown"].dropna()))
    words = f"The energy is known in {known:,} of {taken:,} windows"
    return f"{words}: {why}." if why else f"{words}."


def efficiency(frame):
    """One row per choice and phase: tokens per second, peak memory of process and GPU, and what they come to.

    tokens_per_s_and_gib: of the GPU's memory where there is one, else the process's. gflop_per_s: 2
    operations per weight and token (derived; attention is not counted). Both are Estimates, as the rate is.
    """
    rows = []
    for key, part in _used(frame).groupby([*CHOICE, "phase"], observed=True, sort=True):
        speed = rate(part["tokens"], part["seconds"], part["session"].to_numpy())
        memory = {name: part[name].max() if name in part else NAN for name in MEMORY}
        held = next((memory[name] for name in MEMORY if memory[name] > 0), NAN)
        weights = float(part["params_measured"].iloc[0] or NAN)
        ratios = {"tokens_per_s_and_gib": 2**30 / held, "gflop_per_s": 2 * weights / 1e9}
        found = {"tokens_per_s": speed} | memory | {name: times(speed, of) for name, of in ratios.items()}
        rows.append(dict(zip([*CHOICE, "phase"], key)) | found)
    return pd.DataFrame(rows, columns=None if rows else [*CHOICE, "phase", "tokens_per_s"])


MEMORY = ("gpu_memory_bytes", "peak_rss_bytes")


def requests(frame, price):
    """The cost of the requests that were measured whole (phase e2e): per choice, USD per thousand requests.

    At the median (with its interval over sessions), at p95 where there are enough of them, least and most.
    """
    keys, rows = [*CHOICE, "prompt_tokens", "new_tokens", "batch"], []
    used = _used(frame)
    each = as_price(price).usd_per_hour / HOUR_S * 1000
    for key, part in used[used["phase"] == "e2e"].groupby(keys, observed=True, sort=True):
        usd = part["seconds"] * each / (part["batch"].astype(float) * part["concurrency"].astype(float))
        sessions = part["session"].to_numpy()
        middle, tail = (quantile(usd.to_numpy(), q, sessions) for q in (0.5, 0.95))
        found = {"usd_per_1000": over_sessions_only(middle), "p95": tail.value, "least": usd.min(), "most": usd.max()}
        rows.append(dict(zip(keys, key)) | {"n": len(part)} | found)
    return pd.DataFrame(rows, columns=[*keys, "n", "usd_per_1000", "p95", "least", "most"])


def foretold(frame):
    """Does the mix add up? Per choice: seconds of a request from its phases, measured whole, and their ratio.

    From its phases: prefill, which makes the first token, and all decode steps but one.
    """
    seconds = _used(frame).groupby([*CHOICE, "new_tokens", "phase"], observed=True)["seconds"].median()
    seconds = seconds.unstack("phase").reindex(columns=[*PHASES, "e2e"]).reset_index()
    share = 1 - 1 / seconds["new_tokens"].astype(float)
    sums, whole = seconds["prefill"] + seconds["decode"] * share, seconds["e2e"]
    return seconds[CHOICE].assign(from_phases=sums, measured_whole=whole, ratio=sums / whole)


def totals(mixed, energies, tokens_per_month, months, prices):
    """The total cost of a volume, one row per choice and price (Rent or Own): machines, busy share, USD."""
    rows = []
    for row, price in product(mixed.to_dict("records"), prices):
        joule = energies.get(tuple(row[name] for name in CHOICE), _no_energy())
        found = tco(tokens_per_month, months, row["tokens_per_s"], price, joule)
        rows.append({name: row[name] for name in CHOICE} | {
            "kind": found.kind, "price": price.name, "tier": getattr(price, "tier", "owned"),
            "machines": found.machines, "busy_share": found.busy_share, "usd": found.usd})  # fmt: skip
    return pd.DataFrame(rows, columns=[*CHOICE, "kind", "price", "tier", "machines", "busy_share", "usd"])


def start_seconds(frame):
    """{(engine, model, scenario): seconds of the first calls beyond steady ones, over all phases}."""
    keys = [*CHOICE, "phase"]
    cold = named(first_calls(frame)).groupby(keys, observed=True)["seconds"].median()
    warm = _used(frame).groupby(keys, observed=True)["seconds"].median()
    extra = (cold - warm).dropna().clip(lower=0)
    return extra.groupby(CHOICE, observed=True).sum().to_dict()


def paybacks(frame, mixed, baseline, price):
    """From how many tokens on a candidate's slower start has paid for itself, both rented at one price.

    Per candidate: slower_start in seconds (beyond the baseline's), tokens (an Estimate; inf: never), and the
    verdict pays, never or undecided.
    """
    starts, rows = start_seconds(frame), []
    per_second = as_price(price).usd_per_hour / HOUR_S
    for where, part in mixed.groupby(["model", "scenario"], observed=True, sort=True):
        costs = dict(zip(part["engine"], part["usd_per_million"]))
        for name in [name for name in costs if name != baseline and baseline in costs]:
            here, there = (starts.get((engine, *where), NAN) for engine in (name, baseline))
            extra = max(here - there, 0.0)
            found = pays_after(extra * per_second, costs[baseline], costs[name])
            row = {"baseline": baseline, "slower_start": extra} | vars(found)
            rows.append(dict(zip(CHOICE, (name, *where))) | row)
    return pd.DataFrame(rows, columns=[*CHOICE, "baseline", "slower_start", "tokens", "verdict"])


def apis(mixed, mix, price, offers):
    """Each choice, rented for every hour, against each API: from how many tokens a month on it is cheaper."""
    columns = [*CHOICE, "api", "api_usd_per_million", "tokens_per_month", "busy_share", "verdict"]
    rows = []
    for row, offer in product(mixed.to_dict("records"), offers):
        found = against_api(offer, mix, row["tokens_per_s"], price)
        rows.append({name: row[name] for name in CHOICE} | {"api": offer.name} | vars(found))
    return pd.DataFrame(rows, columns=columns)


def offer(values):
    """[ApiPrice] of a notebook's parameter {"input": …, "output": …} (USD per million tokens); [] of None."""
    return [ApiPrice(values["input"], values["output"], values.get("name", "own offer"))] if values else []


def phase_ratio(frame):
    """One row per planned choice: what a generated token costs over a prompt token, paired by session."""
    whole = _seconds_per_token(frame).dropna()
    parts = {key: part for key, part in whole.groupby(CHOICE, observed=True, sort=True)}
    found = {key: center_of_sessions(part["decode"] / part["prefill"]) for key, part in parts.items()}
    rows = [(*key, found.get(key, NOT_MEASURED)) for key in planned(frame)]
    return pd.DataFrame(rows, columns=[*CHOICE, "ratio"])
