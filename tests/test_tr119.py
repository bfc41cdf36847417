"""TR119's tables on a device of known speed and power, and its page where nothing could be measured."""

import math

import numpy as np
import pandas as pd
import pytest

import llmresearch as lr
from llmresearch import economy, joules, prices, ranks
from llmresearch.intervals import Estimate
from llmresearch.reporting.claims import claim

# 10 million parameters: a forward of n tokens takes 0.4 ms + n · 0.2 ms. Prefill of 16: 3.6 ms; 8 steps: 4.8 ms.
PREFILL, DECODE = 16 / 3.6e-3, 8 / 4.8e-3
ENGINES = [
    {"name": "fake", "label": "a", "noise": 0.001, "power_w": 300.0, "idle_w": 60.0},
    {"name": "fake", "label": "b", "noise": 0.001, "slowdown": 2.0, "power_w": 160.0, "idle_w": 60.0},
    {"name": "fake", "label": "c", "noise": 0.001, "slowdown": 2.0},
]
PARAMS = {"study": "tr119", "models": ["fake-10m"], "sessions": 3, "repetitions": 5, "warmup": 1, "backends": ENGINES,
          "energy_window_s": 1.5}  # fmt: skip
A, B, C = (f"fake:{x} cpu fp32" for x in "abc")
MIX = lr.Mix(16, 8)


@pytest.fixture(scope="module")
def frame(tmp_path_factory):
    raw = tmp_path_factory.mktemp("raw") / "raw.jsonl"
    return lr.read(lr.measure(lr.plan(PARAMS), raw, progress=False))


def row(table, engine, **where):
    found = table[table["engine"] == engine]
    for name, value in where.items():
        found = found[found[name] == value]
    return found.iloc[0]


def test_a_phase_costs_its_seconds_at_the_price(frame):
    found = row(economy.by_phase(frame, 3.6), A, phase="decode")
    assert found["tokens_per_s"].value == pytest.approx(DECODE, rel=0.002)
    assert found["usd_per_million"].value == pytest.approx(1000 / DECODE, rel=0.002)
    assert found["usd_per_million"].low <= 1000 / found["tokens_per_s"].value <= found["usd_per_million"].high
    assert (found["calls"], found["sessions"]) == (15, 3)


def test_a_mix_has_one_price_between_those_of_its_phases(frame):
    found = row(economy.of_mix(frame, MIX, 3.6), A)
    truth = 24 / (16 / PREFILL + 8 / DECODE)
    assert found["tokens_per_s"].value == pytest.approx(truth, rel=0.002)
    assert found["usd_per_million"].value == pytest.approx(1000 / truth, rel=0.002)
    assert found["tokens_per_dollar"].value == pytest.approx(1000 * truth, rel=0.002)
    assert found["tokens_per_dollar"].low < 1000 * truth < found["tokens_per_dollar"].high
    assert found["usd_per_1000_requests"].value == pytest.approx(24 / truth, rel=0.002)
    assert found["usd_per_1000_requests"].kind == "rent"
    assert found["usd_per_million"].unit_of_replication == "session"


def test_a_call_without_seconds_leaves_its_session_without_a_price_and_makes_nothing_cheap(frame):
    broken = frame.copy()
    first = broken.index[(broken["kind"] == "sample") & (broken["session"] == 1)][0]
    broken.loc[first, "seconds"] = math.nan
    before, after = (economy.sessions_of_mix(each, MIX) for each in (frame, broken))
    assert len(after) == len(before) - 1
    assert set(after["tokens_per_s"]) <= set(before["tokens_per_s"])


def test_a_mix_of_one_phase_is_that_phase(frame):
    of_prompts = row(economy.of_mix(frame, lr.Mix(1, 0), 3.6), A)["tokens_per_s"]
    assert of_prompts.value == pytest.approx(PREFILL, rel=0.002)


def test_the_phases_of_a_request_add_up_to_it(frame):
    assert economy.foretold(frame)["ratio"].tolist() == pytest.approx([1.0] * 3, rel=0.005)


def test_the_faster_engine_wins_and_two_alike_behind_it_are_dearer(frame):
    found = economy.ranking(economy.sessions_of_mix(frame, MIX))
    assert found.iloc[0][["engine", "verdict", "first_in"]].tolist() == [A, "winner", 3]
    assert found["verdict"].tolist()[1:] == ["dearer", "dearer"]
    assert found.iloc[1]["ratio_to_best"].value == pytest.approx(2.0, rel=0.01)


def test_in_short_a_winner_is_named_with_its_price(frame):
    mixed, sessions = economy.of_mix(frame, MIX, 3.6), economy.sessions_of_mix(frame, MIX)
    said = economy.in_short(mixed, economy.ranking(sessions), lambda cost, label: f"{cost.value:.2f} ({label})")
    price = f"{1000 / found_rate(frame):.2f} (derived)"
    words = "**fake:a cpu fp32** is surely the cheapest. Its US dollars per million tokens of the mix"
    assert said == f"- fake-10m, {mixed['scenario'].iloc[0]}: {words}: {price}.\n"
    nothing = economy.in_short(mixed[:0], economy.ranking(sessions[:0]), None)
    assert nothing == "Nothing was measured in every phase of the mix, so nothing has a price.\n"


def test_memory_and_operations_follow_the_rate(frame):
    found = row(economy.efficiency(frame), A, phase="decode")
    assert found["gflop_per_s"].value == pytest.approx(2 * 10e6 * DECODE / 1e9, rel=0.002)
    held = found["gpu_memory_bytes"] if found["gpu_memory_bytes"] > 0 else found["peak_rss_bytes"]
    assert found["tokens_per_s_and_gib"].value == pytest.approx(DECODE / (held / 2**30), rel=0.002)
    assert found["tokens_per_s"].low < DECODE < found["tokens_per_s"].high


def of_sessions(**costs):
    """A table of tokens per second by session: one list per engine."""
    rows = [{"model": "m", "scenario": "s", "session": i, "engine": name, "tokens_per_s": value}
            for name, values in costs.items() for i, value in enumerate(values)]  # fmt: skip
    return pd.DataFrame(rows)


def test_sessions_that_disagree_have_no_winner_and_it_is_said_who_came_first_how_often():
    found = economy.ranking(of_sessions(a=[100.0, 90.0, 110.0], b=[95.0, 100.0, 99.0])).set_index("engine")
    assert set(found["verdict"]) == {"no winner", "not told apart"}
    assert found["first_in"].to_dict() == {"a": 2, "b": 1}
    assert ranks.agreement(found.reset_index()) == "- m, s: **the sessions disagree**: of 3, a came first in 2, b came first in 1.\n"
    beside = pd.concat([found.reset_index(), pd.DataFrame([{"model": "m", "scenario": "s", "engine": "refused"}])])
    assert ranks.agreement(beside) == ranks.agreement(found.reset_index())


@pytest.mark.parametrize("costs, said", [
    ({"a": [100.0, 90.0], "b": [95.0, 80.0]}, "each of 2 sessions puts a first."),
    ({"a": [100.0], "b": [50.0]}, "1 session has all engines, so nothing can agree or disagree."),
    ({"a": [100.0, 101.0]}, "only a could be ranked."),
])  # fmt: skip
def test_agreement_is_said_in_words(costs, said):
    assert ranks.agreement(economy.ranking(of_sessions(**costs))) == f"- m, s: {said}\n"


def test_one_session_has_no_winner_and_one_engine_no_rival():
    assert economy.ranking(of_sessions(a=[100.0], b=[50.0]))["verdict"].tolist() == ["no winner", "not told apart"]
    assert economy.ranking(of_sessions(a=[100.0, 101.0]))["verdict"].tolist() == ["only one"]


def test_equal_engines_are_seldom_told_apart_in_simulated_sessions():
    rng = np.random.default_rng(5)
    wrong = 0
    for _ in range(300):
        speeds = {name: np.exp(rng.normal(0, 0.05, 3)) for name in "abc"}
        wrong += economy.ranking(of_sessions(**speeds))["verdict"].isin(["winner"]).any()
    assert wrong <= 15       # 5 % of 300


def test_joules_per_token_are_the_power_above_idle_over_the_rate(frame):
    found = row(joules.per_token(frame), A, phase="decode")
    assert found["joules_per_token"].value == pytest.approx(240.0 / DECODE, rel=0.005)
    assert found["joules_per_token"].low <= 240.0 / DECODE <= found["joules_per_token"].high
    assert (found["watts"], found["idle_w"]) == (pytest.approx(240.0, rel=0.002), pytest.approx(60.0))


def test_with_idle_is_all_that_the_device_drew(frame):
    found = row(economy.energy_table(frame), A, phase="decode")
    assert found["with_idle"].value == pytest.approx(300.0 / DECODE, rel=0.005)
    assert found["with_idle"].low <= 300.0 / DECODE <= found["with_idle"].high
    assert math.isnan(row(economy.energy_table(frame), C, phase="decode")["with_idle"].value)


def test_energy_is_drawn_where_it_is_known(frame):
    found = economy.energy_points(economy.energy_table(frame))
    assert set(found["engine"]) == {A, B} and (found["low"] <= found["value"]).all() and (found["value"] <= found["high"]).all()
    assert economy.energy_points(economy.energy_table(frame[:0])).empty


def test_tokens_per_kwh_have_no_upper_end_where_the_joules_may_be_none(frame):
    found = row(economy.energy_table(frame), A, phase="decode")["tokens_per_kwh"]
    assert found.value == pytest.approx(3.6e6 * DECODE / 240.0, rel=0.005) and found.low < found.value < found.high
    unsure = economy._per_kwh(Estimate(0.04, -0.07, 0.15, 3, "session", "t"))
    assert (unsure.value, unsure.low, unsure.high) == (9e7, 2.4e7, math.inf)
    assert math.isnan(economy._per_kwh(Estimate(-0.01, -0.07, 0.05, 3, "session", "t")).value)


def test_without_a_counter_energy_is_unknown_and_says_why(frame):
    found = row(joules.per_token(frame), C, phase="decode")
    assert math.isnan(found["joules_per_token"].value) and "no power was given" in found["why"]
    assert row(economy.counters(frame), C)["known"] == 0
    said = economy.metered(economy.counters(frame))
    assert said.startswith("The energy is known in 18 of 27 windows: ") and "no power was given" in said
    assert "no power was given" in row(economy.owned(*_owned(frame)), C)["why"]


def _owned(frame):
    own = lr.Own(35_064.0, 4, 0.5, 0.2, 100.0)
    return economy.of_mix(frame, MIX, 1.0), joules.of_mix(frame, MIX), own


def test_the_parts_of_an_owned_million_add_up_to_its_total(frame):
    found = row(economy.owned(*_owned(frame)), A)
    hours = 1e6 / found_rate(frame) / 3600 / 0.5
    energy = 1e6 * 240.0 / found_rate(frame) / 3.6e6 * 0.2
    assert found["purchase"].value == pytest.approx(hours * 1.0, rel=0.005)
    assert found["idle_and_upkeep"].value == pytest.approx(hours * 0.02, rel=0.005)
    assert found["energy_above_idle"].value == pytest.approx(energy, rel=0.01)
    assert found["total"].value == pytest.approx(hours * 1.02 + energy, rel=0.005)
    assert found["total"].kind == "own"


def found_rate(frame):
    return row(economy.of_mix(frame, MIX, 1.0), A)["tokens_per_s"].value


def test_the_slower_engine_may_be_the_more_frugal_one(frame):
    found = economy.ranking(joules.mixed_sessions(frame, MIX), "value", largest=False)
    assert found[["engine", "verdict"]].values.tolist() == [[B, "winner"], [A, "dearer"]]
    assert found.iloc[1]["ratio_to_best"].value == pytest.approx(240 / (100 * 2), rel=0.01)
    assert C not in set(found["engine"])


def test_with_idle_a_slow_engine_pays_for_the_time_that_the_device_waits(frame):
    found = economy.ranking(joules.mixed_sessions(frame, MIX, with_idle=True), "value", largest=False)
    assert found[["engine", "verdict"]].values.tolist() == [[A, "winner"], [B, "dearer"]]
    assert found.iloc[1]["ratio_to_best"].value == pytest.approx(160 * 2 / 300, rel=0.01)


def test_a_meter_that_is_unsure_leaves_the_energy_of_two_engines_undecided():
    table = of_sessions(a=[2.0, 2.01, 1.99], b=[2.3, 2.31, 2.29]).rename(columns={"tokens_per_s": "value"})
    sure = economy.ranking(table.assign(low=table["value"], high=table["value"]), "value", largest=False)
    unsure = economy.ranking(table.assign(low=0.85 * table["value"], high=1.15 * table["value"]), "value", largest=False)
    assert sure["verdict"].tolist() == ["winner", "dearer"]
    assert unsure["verdict"].tolist() == ["no winner", "not told apart"]


def test_samples_that_were_disturbed_are_counted_and_where_none_is_left_the_page_says_so(frame):
    assert economy.left_out(frame).startswith("135 of 135 samples count; left out")
    disturbed = frame.assign(contaminated="other processes used 2.00 of 2 cores")
    assert economy.left_out(disturbed).startswith("**No sample can be used.** 0 of 135")
    assert economy.left_out(frame[:0]) == "No sample was taken."


def test_grams_follow_the_grid(frame):
    found = economy.carbon(joules.of_mix(frame, MIX), prices.examples().grid, joules.of_mix(frame, MIX, with_idle=True))
    default, renewable = (row(found, A, grid=name)["gco2e_per_million"].value for name in ("default", "renewable"))
    assert default == pytest.approx(500 * row(found, A, grid="default")["kwh_per_million"].value)
    assert renewable == pytest.approx(default / 10)
    cheap = row(found, A, grid="renewable")
    assert cheap["electricity_usd"].value == pytest.approx(0.1 * cheap["kwh_per_million"].value)


def test_grams_with_idle_are_those_of_all_that_the_device_drew(frame):
    whole = joules.of_mix(frame, MIX, with_idle=True)
    found = economy.carbon(joules.of_mix(frame, MIX), prices.examples().grid, whole)
    first = row(found, A, grid="default")
    assert first["gco2e_with_idle"].value > first["gco2e_per_million"].value > 0
    joule = next(joule for key, joule in whole.items() if key[0] == A)
    assert first["gco2e_with_idle"].value == pytest.approx(500 * joule.value * 1e6 / 3.6e6)


def test_a_tier_costs_as_its_hours_do(frame):
    found = row(economy.tiers(economy.of_mix(frame, MIX, 1.0), prices.examples()), A, machine="aws_g5_xlarge")
    assert found["spot"].value / found["on_demand"].value == pytest.approx(0.302 / 1.006)
    assert found["spot"].low < found["spot"].value < found["spot"].high


def test_a_request_costs_its_own_seconds(frame):
    found = row(economy.requests(frame, 3.6), A)
    assert found["usd_per_1000"].value == pytest.approx(3.6e-3 + 7 * 0.6e-3, rel=0.005)
    assert math.isnan(found["p95"]) and found["least"] <= found["usd_per_1000"].value <= found["most"]


EVIDENCE = {"counter": {"name": "x", "covers": "y", "period_s": 0.1, "step_j": 0.1, "wraps_at_j": None},
            "idle": {"start": [0.0, 0.0], "end": [2.0, 200.0], "contaminated": None}}  # fmt: skip


def window(**changes):
    record = {"start": [3.0, 200.0], "end": [5.0, 800.0], "contaminated": None, "tokens": 100, "calls_s": 2.0, "preparing_s": 0.0}
    return joules._window({"energy": EVIDENCE | {"decode": record | changes}}, "decode")


def test_idle_joules_are_taken_off_and_the_counters_ends_are_kept():
    found = window()
    assert found["joules_per_token"] == 4.0 and found["low"] < 4.0 < found["high"] and found["why"] is None


def test_preparing_is_taken_off_at_mean_power_and_widens_the_interval_by_all_of_it():
    found, plain = window(calls_s=1.92, preparing_s=0.08), window()
    assert found["joules_per_token"] == pytest.approx(4.0 * 0.96)
    assert found["low"] == pytest.approx(plain["low"] * 0.96 - 0.16) and found["high"] == plain["high"]


@pytest.mark.parametrize("changes, words", [
    ({"calls_s": 1.8, "preparing_s": 0.2}, "preparing took 10% of the window"),
    ({"contaminated": "other processes used 1.00 of 2 cores"}, "ran beside the window"),
    ({"end": [3.5, 300.0]}, "periods of the counter"),
])  # fmt: skip
def test_a_window_that_cannot_tell_is_unknown_with_the_reason(changes, words):
    found = window(**changes)
    assert math.isnan(found["joules_per_token"]) and words in found["why"]


def test_sessions_and_the_counter_both_widen_the_interval():
    narrow = joules.over_sessions([4.0, 4.1, 3.9], [4.0, 4.1, 3.9], [4.0, 4.1, 3.9])
    wide = joules.over_sessions([4.0, 4.1, 3.9], [3.0, 3.1, 2.9], [5.0, 5.1, 4.9])
    assert wide.value == narrow.value
    assert wide.high - wide.value == pytest.approx(math.hypot(narrow.high - narrow.value, 1.0))
    assert joules.over_sessions([math.nan], [math.nan], [math.nan], ["no counter"]).method == "no counter"


def test_a_build_that_saves_nothing_never_pays(frame):
    found = economy.paybacks(frame, economy.of_mix(frame, MIX, 1.0), A, 1.0)
    assert set(found["verdict"]) == {"never"} and math.isinf(found.iloc[0]["tokens"].value)


def test_the_inverse_of_a_ratio_turns_its_interval_over():
    found = ranks.inverse(Estimate(0.5, 0.25, 0.8, 3, "session", "t"))
    assert (found.value, found.low, found.high, found.n) == (2.0, 1.25, 4.0, 3)
    assert math.isnan(ranks.inverse(ranks.NOT_MEASURED).value)


def test_the_baseline_that_was_not_measured_leaves_ratios_unknown(frame):
    found = economy.relative(economy.sessions_of_mix(frame, MIX), "absent cpu fp32")
    assert all(isinstance(r, Estimate) and math.isnan(r.value) for r in found["ratio"])


def test_an_engine_that_was_refused_keeps_its_place_among_the_claims(frame):
    rest = frame[frame["backend"] != "fake:b"]
    refused = frame[frame["backend"] == "fake:b"].assign(status="refused", phase=None, seconds=math.nan)
    both = pd.concat([rest, refused])
    sessions, asked = economy.sessions_of_mix(both, MIX), economy.planned(both)
    found = economy.relative(sessions, A, asked=asked).set_index("engine")["ratio"]
    assert [engine for engine, *_ in asked] == [A, B, C] and list(found.index) == [C, B]
    assert found[C].value == pytest.approx(2.0, rel=0.01) and math.isnan(found[B].value)
    ratios = economy.phase_ratio(both).set_index("engine")["ratio"]
    assert ratios[A].value == pytest.approx(PREFILL / DECODE, rel=0.01) and ratios[B].method == "not measured"


def verdicts(seed, folder):
    """{engine: status} of the claim that A costs at least a fifth more, of one run of the whole plan."""
    engines = [engine | {"session": 0.05} for engine in ENGINES]
    cells = lr.plan(PARAMS | {"backends": engines, "seed": seed, "energy_window_s": None})
    sessions = economy.sessions_of_mix(lr.read(lr.measure(cells, folder / f"{seed}.jsonl", progress=False)), MIX)
    rows = economy.relative(sessions, C).itertuples()
    return {row.engine: claim("id", "text", ranks.inverse(row.ratio), above=1.2).status for row in rows}


def test_three_repeats_give_the_same_verdict_for_every_claim_that_is_decided(tmp_path):
    found = [verdicts(seed, tmp_path) for seed in range(3)]
    for engine, truth in ((A, "supported"), (B, "refuted")):
        said = [statuses[engine] for statuses in found]
        assert set(said) <= {truth, "undecided"} and truth in said
