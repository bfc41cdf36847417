"""Seconds and joules to dollars, kWh and grams; rent and own apart."""

import math

import numpy as np
import pytest

import llmresearch as lr
from llmresearch.cost import Cost, CostError, Usd, added
from llmresearch.fits.payback import UnitError
from llmresearch.intervals import Estimate
from llmresearch.spending import ApiPrice, against_api, pays_after, tco

RATE = Estimate(1000.0, 800.0, 1250.0, 3, "session", "t of 3")
MACHINE = lr.Own(purchase_usd=35_064.0, life_years=4, busy_share=0.5, usd_per_kwh=0.2, idle_w=100.0)


def test_a_thousand_tokens_a_second_at_3_dollars_60_an_hour_cost_a_dollar_a_million():
    assert lr.cost_per_million_tokens(1000, 3.6) == pytest.approx(1.0)
    assert lr.cost_per_million_tokens("1000 token/s", "3.6 USD/hour") == pytest.approx(1.0)
    assert lr.cost_per_million_tokens("60000 token/minute", "0.001 USD/s") == pytest.approx(1.0)


def test_the_published_cell_of_73_44_tokens_a_second_at_1_006_an_hour_is_3_805():
    assert lr.cost_per_million_tokens(73.44, 1.006) == pytest.approx(3.805, abs=5e-4)


def test_a_faster_engine_is_a_cheaper_one_so_the_interval_turns_over():
    cost = lr.cost_per_million_tokens(RATE, lr.Rent(3.6))
    assert (cost.value, cost.low, cost.high) == pytest.approx((1.0, 0.8, 1.25))
    assert (cost.n, cost.unit_of_replication, cost.kind) == (3, "session", "rent")


def test_an_array_gives_an_array_and_what_is_unknown_stays_unknown():
    found = lr.cost_per_million_tokens(np.array([1000.0, 500.0, np.nan, 0.0]), 3.6)
    assert found == pytest.approx([1.0, 2.0, math.nan, math.inf], nan_ok=True)
    assert math.isnan(lr.cost_per_million_tokens(math.nan, 3.6))


def test_an_interval_that_reaches_a_rate_of_zero_has_no_upper_end():
    assert lr.cost_per_million_tokens(Estimate(10.0, 0.0, 20.0, 3), 3.6).high == math.inf


@pytest.mark.parametrize("rate, price", [
    (-1.0, 3.6), (np.array([1.0, -1.0]), 3.6), (1000, -3.6), (1000, math.nan), (1000, "3.6 USD"), (1000, "3.6 W"),
    ("1000 token", 3.6), (1000, "3.6 USD/kWh"), (1000, None),
])  # fmt: skip
def test_a_price_or_a_rate_of_the_wrong_dimension_is_refused(rate, price):
    with pytest.raises((CostError, UnitError)):
        lr.cost_per_million_tokens(rate, price)


def test_an_owned_machine_costs_its_purchase_and_its_idle_hours_and_the_energy_of_the_work():
    # 35,064 USD / 35,064 h = 1 USD; 0.1 kW · 0.2 = 0.02 USD; half of the hours work: 2.04 USD per hour of work.
    assert MACHINE.usd_per_hour == pytest.approx(1.02)
    assert MACHINE.usd_per_busy_hour == pytest.approx(2.04)
    # 1e6 tokens at 1000 a second: 2.04 / 3.6; 0.36 J a token: 0.1 kWh, 0.02 USD.
    assert lr.cost_per_million_tokens(1000, MACHINE, joules_per_token=0.36) == pytest.approx(2.04 / 3.6 + 0.02)


def test_owning_with_an_unknown_energy_is_unknown_and_with_none_is_refused():
    unknown = Estimate(math.nan, math.nan, math.nan, 0, "session", "no counter")
    assert math.isnan(lr.cost_per_million_tokens(RATE, MACHINE, unknown).value)
    assert "no counter" in lr.cost_per_million_tokens(RATE, MACHINE, unknown).method
    with pytest.raises(CostError, match="energy per token above idle is missing"):
        lr.cost_per_million_tokens(RATE, MACHINE)


def test_the_errors_of_time_and_energy_of_an_owned_machine_add_in_quadrature():
    energy = Estimate(36.0, 0.0, 72.0, 3, "session", "counter")        # 1e6 of them: 10 kWh, 2 USD, give or take 2
    cost = lr.cost_per_million_tokens(RATE, MACHINE, energy)
    time = 2.04 / 3.6
    assert cost.value == pytest.approx(time + 2.0)
    assert cost.high == pytest.approx(cost.value + math.hypot(time * 0.25, 2.0))
    assert cost.low == pytest.approx(cost.value - math.hypot(time * 0.2, 2.0))


def test_rent_and_own_cannot_be_added():
    rent, own = lr.cost_per_million_tokens(1000, 3.6), lr.cost_per_million_tokens(1000, MACHINE, 0.0)
    with pytest.raises(CostError, match="rent and own cannot be added"):
        rent + own
    with pytest.raises(CostError):
        sum([rent, own])
    with pytest.raises(CostError):
        lr.cost_per_million_tokens(RATE, 3.6) + lr.cost_per_million_tokens(RATE, MACHINE, 0.0)
    assert sum([rent, rent]) == 2.0 and sum([rent, rent]).kind == "rent"


def test_costs_of_one_kind_add_with_their_intervals():
    both = Cost(1.0, 0.5, 2.0, 3) + Cost(2.0, 1.0, 3.0, 5)
    assert (both.value, both.low, both.high, both.n, both.kind) == (3.0, 1.5, 5.0, 3, "rent")
    assert Usd(1.0, "own") + Usd(2.0, "own") == 3.0


@pytest.mark.parametrize("share, years", [(0.0, 4), (1.1, 4), (0.5, 0)])
def test_a_machine_that_never_works_has_no_cost_per_token(share, years):
    with pytest.raises(CostError, match="no time at work"):
        lr.Own(1000.0, years, share, 0.2, 100.0)


def test_3_6_megajoules_are_a_kilowatt_hour():
    assert lr.kwh(3.6e6) == pytest.approx(1.0)
    assert lr.gco2e(3.6e6, 500) == pytest.approx(500.0)
    assert lr.energy_usd(7.2e6, "0.2 USD/kWh") == pytest.approx(0.4)
    assert lr.kwh(Estimate(3.6e6, 1.8e6, 7.2e6, 1)).high == pytest.approx(2.0)


def test_a_mix_costs_what_its_prompt_and_its_answer_take():
    # 256 tokens at 1024 a second: 0.25 s; 128 at 64: 2 s; 384 in 2.25 s.
    assert lr.mixed_rate(1024.0, 64.0, lr.Mix(256, 128)) == pytest.approx(384 / 2.25)
    assert lr.mixed_rate(1024.0, 64.0, lr.Mix(1, 0)) == 1024.0
    assert lr.mixed_rate(math.nan, 64.0, lr.Mix(0, 1)) == 64.0


def test_a_mix_is_nearer_to_its_slower_phase_than_the_mean_of_both_rates():
    assert lr.mixed_rate(1000.0, 10.0, lr.Mix(1, 1)) == pytest.approx(2 / (1 / 1000 + 1 / 10))


def test_the_interval_of_a_mix_covers_what_simulated_phases_give():
    rng = np.random.default_rng(3)
    prefill, decode = (np.exp(rng.normal(np.log(m), s, 40_000)) for m, s in ((1000.0, 0.02), (50.0, 0.05)))
    truth = np.quantile([3 / (2 / p + 1 / d) for p, d in zip(prefill[:4000], decode[:4000])], [0.025, 0.975])
    ends = [Estimate(m, m * math.exp(-1.96 * s), m * math.exp(1.96 * s), 3) for m, s in ((1000.0, 0.02), (50.0, 0.05))]
    mixed = lr.mixed_rate(*ends, lr.Mix(2, 1))
    assert [mixed.low, mixed.high] == pytest.approx(truth, rel=0.01)


def test_a_mix_of_no_tokens_is_refused():
    with pytest.raises(CostError, match="no tokens at all"):
        lr.Mix(0, 0)


def test_a_dollar_buys_a_million_tokens_at_a_dollar_a_million():
    found = lr.tokens_per_dollar(lr.cost_per_million_tokens(RATE, 3.6))
    assert (found.value, found.low, found.high) == pytest.approx((1e6, 0.8e6, 1.25e6))


def test_added_keeps_what_is_unknown_unknown():
    assert math.isnan(added(Estimate(1.0, 0.9, 1.1, 3), math.nan).value)


def test_a_billion_tokens_a_month_on_demand_are_paid_by_the_hour_used():
    found = tco(1e9, 12, RATE, 3.6)      # 12e9 tokens, a dollar a million
    assert (found.usd.value, found.usd.low, found.usd.high) == pytest.approx((12_000.0, 9_600.0, 15_000.0))
    assert (found.machines, found.kind) == (1, "rent")
    assert found.busy_share == pytest.approx(1e6 / 3600 / 730.5)


def test_a_reserved_machine_is_paid_for_every_hour_of_whole_machines():
    found = tco(1e9, 12, 1000, lr.Rent(1.0, tier="reserved_1y"))
    assert found.usd.value == pytest.approx(12 * 730.5)
    assert tco(3e9, 12, 1000, lr.Rent(1.0, tier="reserved_1y")).machines == 2


def test_a_reserved_machine_more_at_the_end_of_the_rates_interval_is_in_the_dollars():
    wide = Estimate(1000.0, 300.0, 1100.0, 3, "session", "t")
    found = tco(2e9, 12, wide, lr.Rent(1.0, tier="reserved_1y"))
    assert (found.machines, found.usd.low, found.usd.value, found.usd.high) == (1, 8766, 8766, 3 * 8766)
    own = tco(2e9, 12, wide, MACHINE, joules_per_token=0.36).usd
    assert own.high > 2 * own.value and own.low == pytest.approx(own.value)


def test_to_own_is_paid_at_all_hours_and_for_the_energy_of_the_work():
    found = tco(1e9, 12, 1000, MACHINE, joules_per_token=0.36)
    assert found.usd.value == pytest.approx(12 * 730.5 * 1.02 + 12_000 * 0.02)
    assert found.usd.kind == "own"


def test_an_unknown_rate_has_an_unknown_total():
    assert math.isnan(tco(1e9, 12, Estimate(math.nan, math.nan, math.nan, 0), 3.6).usd.value)


def test_a_build_of_10_dollars_pays_after_the_tokens_that_save_10_dollars():
    found = pays_after(10.0, Cost(3.0, 2.5, 3.5, 3), Cost(1.0, 1.0, 1.0, 3))
    assert found.verdict == "pays"
    assert (found.tokens.value, found.tokens.low, found.tokens.high) == pytest.approx((5e6, 4e6, 10e6 / 1.5))


@pytest.mark.parametrize("baseline, candidate, verdict", [
    (Cost(1.0, 0.9, 1.1, 3), Cost(2.0, 1.9, 2.1, 3), "never"), (Cost(2.0, 1.0, 3.0, 3), Cost(1.9, 1.0, 3.0, 3), "undecided"),
    (Cost(2.0, math.nan, math.nan, 1), Cost(1.0, 1.0, 1.0, 3), "undecided"), (Cost(math.nan, math.nan, math.nan, 0), 1.0, "undecided"),
])  # fmt: skip
def test_what_costs_more_never_pays_and_overlapping_costs_decide_nothing(baseline, candidate, verdict):
    assert pays_after(10.0, baseline, candidate).verdict == verdict


def test_a_rented_baseline_is_not_set_against_an_owned_candidate_in_one_sum():
    with pytest.raises(CostError, match="own and rent"):
        pays_after(10.0, Cost(3.0, 2.5, 3.5, 3), Cost(1.0, 1.0, 1.0, 3, kind="own"))


def test_an_api_is_beaten_from_the_volume_whose_bill_is_a_month_of_the_machine():
    # 2/3 at 0.3 and 1/3 at 1.2: 0.6 a million; 730.5 USD a month: 1.2175e9 tokens, 0.463 of what the machine can make.
    found = against_api(ApiPrice(0.3, 1.2), lr.Mix(256, 128), RATE, 1.0)
    assert found.api_usd_per_million == pytest.approx(0.6)
    assert found.tokens_per_month == pytest.approx(1.2175e9)
    assert found.busy_share.value == pytest.approx(0.46296, abs=1e-5)
    assert found.verdict == "cheaper from there"


@pytest.mark.parametrize("usd_per_hour, verdict", [(5.0, "never"), (2.2, "undecided"), (0.1, "cheaper from there")])
def test_a_machine_that_cannot_make_enough_tokens_never_beats_the_api(usd_per_hour, verdict):
    assert against_api(ApiPrice(0.3, 1.2), lr.Mix(256, 128), RATE, usd_per_hour).verdict == verdict


def test_energy_of_an_owned_machine_that_costs_more_than_the_api_never_pays():
    found = against_api(ApiPrice(0.01, 0.01), lr.Mix(1, 1), RATE, MACHINE, joules_per_token=3.6)
    assert found.verdict == "never" and found.tokens_per_month == math.inf
