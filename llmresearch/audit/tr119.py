"""TR119, audited: every cost, energy, carbon and TCO figure from its throughput, power and prices."""

import math
from functools import cache, partial
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from .findings import Finding, compare
from .tables import published

MILLION, HOUR, KWH = 1e6, 3600.0, 3.6e6
FORMULA = "1e6 tokens / throughput = seconds; · price / 3600, and · watts / 3.6e6 · USD per kWh"


def audit():
    """All findings on TR119's published tables; they hold their own inputs, so no raw runs are needed."""
    return (cells() + tiers() + clouds() + carbon() + means() + breakdown() + requests() + tco() + matrix() + tests()
            + meters() + prices() + latencies())


@cache
def price(key, provider="aws_g5_xlarge"):
    """A published input by its key: USD an hour of a provider, or an energy, mix or TCO input of 'default'."""
    rows = published("tr119_pricing_inputs")
    return float(rows.loc[(rows["provider"] == provider) & (rows["key"] == key), "value"].iloc[0])


def per_million(tokens_per_s, watts, usd_per_hour, usd_per_kwh):
    """(hours, infrastructure USD, kWh, energy USD) of a million tokens at a rate, a power and two prices."""
    seconds = MILLION / tokens_per_s
    kwh = watts * seconds / KWH
    return seconds / HOUR, seconds / HOUR * usd_per_hour, kwh, kwh * usd_per_kwh


def _cells():
    rows = published("tr119_cost_scenario")
    for column in ("throughput_mean_tok_s", "power_mean_w", "total_cost_usd_per_1m_tok"):
        rows[column] = rows[column].astype(float)
    return rows


@cache
def _by_cell():
    return {(r["backend"], r["mode"], r["scenario"]): r for r in published("tr119_cost_scenario").to_dict("records")}


def _own(row, hour="on_demand", provider="aws_g5_xlarge"):
    usd = 0.0 if hour == "on_prem" else price(hour, provider)
    rate, watts = float(row["throughput_mean_tok_s"]), float(row["power_mean_w"])
    return per_million(rate, watts, usd, price("electricity", "default"))


def _total(row, hour="on_demand", provider="aws_g5_xlarge"):
    _, infra, _, energy = _own(row, hour, provider)
    return infra + energy


def cells():
    """§4: hours, infrastructure, energy and total of every backend, mode and scenario."""
    found = []
    for row in published("tr119_cost_scenario").to_dict("records"):
        hours, infra, _, energy = _own(row)
        for column, ours in (("gpu_hours_per_1m_tok", hours), ("infra_cost_usd_per_1m_tok", infra),
                             ("energy_cost_usd_per_1m_tok", energy), ("total_cost_usd_per_1m_tok", infra + energy)):
            found.append(compare("tr119_cost_scenario", f"{_name(row)}: {column}", row[column], ours, FORMULA,
                                 row["source"]))
    return found


def _name(row):
    return " ".join(row[key] for key in ("backend", "mode", "scenario") if key in row)


def tiers():
    """§4: the same cells at every tier's hourly price; on-premises hours are priced at nothing."""
    inputs = _by_cell()
    keys = {"on_demand_usd": "on_demand", "spot_usd": "spot", "reserved_usd": "reserved_1yr", "on_prem_usd": "on_prem",
            "reserved_1yr_usd": "reserved_1yr", "reserved_3yr_usd": "reserved_3yr"}
    found = []
    for row in published("tr119_pricing_tiers").to_dict("records"):
        cell = inputs[row["backend"], row["mode"], row["scenario"]]
        for column, key in keys.items():
            found.append(compare("tr119_pricing_tiers", f"{_name(row)}: {column}", row[column], _total(cell, key),
                                 FORMULA, row["source"]))
    return found


def _mean_over_scenarios(backend, mode, value):
    cells = [row for key, row in _by_cell().items() if key[:2] == (backend, mode)]
    return float(np.mean([value(row) for row in cells]))


def clouds():
    """§4: means over scenarios at three providers' prices."""
    found = []
    for row in published("tr119_cloud_compare").to_dict("records"):
        for column, key in (("on_demand_usd", "on_demand"), ("spot_usd", "spot"), ("reserved_usd", "reserved_1yr")):
            total = partial(_total, hour=key, provider=row["provider"])
            ours = _mean_over_scenarios(row["backend"], row["mode"], total)
            found.append(compare("tr119_cloud_compare", f"{row['provider']} {_name(row)}: {column}", row[column], ours,
                                 f"mean over 5 scenarios of: {FORMULA}", row["source"]))
    return found


def carbon():
    """§4: kWh and grams of every cell."""
    inputs = _by_cell()
    grams, found = price("carbon_intensity", "default"), []
    for row in published("tr119_carbon_scenario").to_dict("records"):
        kwh = _own(inputs[row["backend"], row["mode"], row["scenario"]])[2]
        for column, ours in (("energy_kwh_per_1m_tok", kwh), ("carbon_gco2e_per_1m_tok", kwh * grams)):
            found.append(compare("tr119_carbon_scenario", f"{_name(row)}: {column}", row[column], ours,
                                 "watts · seconds / 3.6e6; · g per kWh", row["source"]))
    return found


def means():
    """§4: means over scenarios of cost, energy and carbon."""
    found = []
    for row in published("tr119_cost_energy_mean").to_dict("records"):
        own = {column: _mean_over_scenarios(row["backend"], row["mode"], value) for column, value in (
            ("total_cost_usd_per_1m_tok", _total),
            ("energy_cost_usd_per_1m_tok", lambda c: _own(c)[3]), ("energy_kwh_per_1m_tok", lambda c: _own(c)[2]),
            ("carbon_gco2e_per_1m_tok", lambda c: _own(c)[2] * price("carbon_intensity", "default")))}
        found += [compare("tr119_cost_energy_mean", f"{_name(row)}: {column}", row[column], ours,
                          "mean over 5 scenarios", row["source"]) for column, ours in own.items()]
    return found


def _both_modes(backend, part):
    return float(np.mean([_mean_over_scenarios(backend, mode, part) for mode in ("prefill", "generate")]))


def breakdown():
    """§4: infrastructure and energy, prefill and generate averaged without weights."""
    found = []
    for row in published("tr119_cost_breakdown").to_dict("records"):
        infra = _both_modes(row["backend"], lambda c: _own(c)[1])
        energy = _both_modes(row["backend"], lambda c: _own(c)[3])
        own = {"infra_usd_per_1m": infra, "energy_usd_per_1m": energy, "total_usd_per_1m": infra + energy,
               "infra_pct": 100 * infra / (infra + energy), "energy_pct": 100 * energy / (infra + energy)}
        found += [compare("tr119_cost_breakdown", f"{row['backend']}: {column}", row[column], ours,
                          "mean of the prefill and the generate mean, as if both had as many tokens", row["source"])
                  for column, ours in own.items()]
    return found


def requests():
    """§4: a request of 256 + 128 tokens, from mean throughputs and mean powers."""
    rows = {(r["backend"], r["mode"]): r for r in published("tr119_latency_throughput_mean").to_dict("records")}
    prompt, new = price("prompt_tokens", "default"), price("generate_tokens", "default")
    found = []
    for row in published("tr119_request_cost").to_dict("records"):
        first, second = rows[row["backend"], "prefill"], rows[row["backend"], "generate"]
        times = prompt / float(first["throughput_mean_tok_s"]), new / float(second["throughput_mean_tok_s"])
        kwh = sum(float(r["power_mean_w"]) * t for r, t in zip((first, second), times)) / KWH
        usd = sum(times) * price("on_demand") / HOUR + kwh * price("electricity", "default")
        own = {"time_prefill_s": times[0], "time_generate_s": times[1], "energy_kwh_per_request": kwh,
               "total_cost_usd_per_request": usd}
        found += [compare("tr119_request_cost", f"{row['backend']}: {column}", row[column], ours,
                          f"{prompt:g} + {new:g} tokens at the mean throughputs and powers", row["source"])
                  for column, ours in own.items()]
    return found


def tco():
    """§4: twelve months of a billion tokens each."""
    months, volume = price("months", "default"), price("tokens_per_month", "default")
    found = []
    for row in published("tr119_tco").to_dict("records"):
        million = _both_modes(row["backend"], _total)
        monthly = million * volume / MILLION
        own = {"cost_per_1m_tokens_usd": million, "cost_per_month_usd": monthly, "total_cost_usd": months * monthly}
        found += [compare("tr119_tco", f"{row['backend']}: {column}", row[column], ours,
                          "USD per million (prefill and generate averaged) · volume · months", row["source"])
                  for column, ours in own.items()]
    return found


def matrix():
    """§6.3: the ratio generate / prefill from the same row."""
    return [compare("tr119_decision_matrix", f"{row['backend']}: generate / prefill", row["generate_prefill"],
                    float(row["generate_usd_per_1m"]) / float(row["prefill_usd_per_1m"]), "printed figures",
                    row["source"])
            for row in published("tr119_decision_matrix").to_dict("records")]


def tests():
    """§5: ANOVA and t-tests on five scenario means per backend, by the report's own recipe."""
    found, rows = [], _cells()
    for row in published("tr119_tests").to_dict("records"):
        here = rows[rows["mode"] == row["mode"]]
        found += _anova(row, here) if row["F"] else _pair(row, here)
    return found


def _anova(row, here):
    test = stats.f_oneway(*(g["total_cost_usd_per_1m_tok"] for _, g in here.groupby("backend")))
    how = "one-way ANOVA on 5 scenario means of 5 backends; scenarios are taken as replications"
    return [compare("tr119_tests", f"{row['mode']}: {name}", row[name], float(ours), how, row["source"])
            for name, ours in (("F", test.statistic), ("p", test.pvalue))]


def _pair(row, here):
    a, b = (here.loc[here["backend"] == row[name], "total_cost_usd_per_1m_tok"].to_numpy() for name in ("a", "b"))
    difference = b.mean() - a.mean()
    d = difference / math.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
    own = {"mean_diff": difference, "p": stats.ttest_ind(a, b).pvalue, "cohens_d": d}
    return [compare("tr119_tests", f"{row['mode']} {row['a']} against {row['b']}: {name}", row[name], float(ours),
                    "unpaired t on 5 scenario means each, uncorrected", row["source"]) for name, ours in own.items()]


def blocked(mode):
    """Every pair of backends compared as it should have been: paired by scenario, on log cost, Holm-corrected.

    Columns: a, b, ratio of costs (geometric mean over 5 scenarios), p, p_adjusted. Each scenario has one mean of
    one session, so this speaks of these five scenarios, not of other days.
    """
    cells = _cells().query("mode == @mode")
    cost = cells.pivot(index="scenario", columns="backend", values="total_cost_usd_per_1m_tok")
    logs, rows = np.log(cost), []
    for a, b in combinations(logs.columns, 2):
        rows.append({"a": a, "b": b, "ratio": float(np.exp((logs[b] - logs[a]).mean())),
                     "p": float(stats.ttest_rel(logs[b], logs[a]).pvalue)})
    table = pd.DataFrame(rows)
    return table.assign(p_adjusted=multipletests(table["p"], method="holm")[1])


def meters():
    """§4: power in the telemetry table is the GPU's for every backend; costs use the CPU's for CPU backends."""
    costs = _by_cell()
    found = []
    for row in published("tr119_latency_throughput_scenario").to_dict("records"):
        used = costs[row["backend"], row["mode"], row["scenario"]]["power_mean_w"]
        found.append(compare("tr119_latency_throughput_scenario", f"{_name(row)}: power, W", row["power_mean_w"],
                             float(used), "power in the cost table of the same report; that of CPU backends is the CPU package's",
                             row["source"]))
    return found


def latencies():
    """§4: means over scenarios of latency, throughput and power, and tokens = latency · throughput."""
    rows = published("tr119_latency_throughput_scenario")
    costs, found = _cells().groupby(["backend", "mode"])["power_mean_w"].mean(), []
    for row in published("tr119_latency_throughput_mean").to_dict("records"):
        here = rows[(rows["backend"] == row["backend"]) & (rows["mode"] == row["mode"])]
        own = {column: float(here[column].astype(float).mean()) for column in ("lat_mean_ms", "throughput_mean_tok_s")}
        own["power_mean_w"] = float(costs[row["backend"], row["mode"]])
        found += [compare("tr119_latency_throughput_mean", f"{_name(row)}: {column}", row[column], ours,
                          "mean over 5 scenarios", row["source"]) for column, ours in own.items()]
    return found


def prices():
    """§2: prices whose source and date are not given, and an owned machine whose hours cost nothing."""
    rows = published("tr119_pricing_inputs")
    found = [Finding("tr119_pricing_inputs", f"{r['provider']} {r['key']}, {r['units']}", r["value"], "nothing",
                     "not checkable", "no source and no date are given", r["source"])
             for r in rows.to_dict("records") if r["group"] == "hourly_price"]
    return [*found, Finding("tr119_pricing_tiers", "an hour on one's own machine, USD", "0.0",
                            "purchase, idle power and space are left out", "inconsistent",
                            "on_prem_usd equals the energy cost alone; amortised price of the machine is not zero",
                            published("tr119_pricing_tiers")["source"][0])]
