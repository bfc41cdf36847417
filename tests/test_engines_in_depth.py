"""TR118's tables, on engines with known laws and on hand-made evidence."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import yaml

import llmresearch as lr
from llmresearch import engines_in_depth as depth
from llmresearch.engines_in_depth import claimed
from llmresearch.intervals import Estimate
from llmresearch.perplexities import LEAST_BLOCKS, PER_BLOCK, windows

BASE, FAST = "fake:base cpu fp32", "fake:fast cpu fp32"
PARAMS = {
    "study": "tr118", "models": ["fake-5m"], "sessions": 3, "repetitions": 3, "warmup": 0,
    "backends": [{"name": "fake", "label": "base", "noise": 0.001}, {"name": "fake", "label": "fast", "noise": 0.001, "slowdown": 0.5}],
    "scenarios": [{"name": "one", "prompt_tokens": 10, "new_tokens": 4}, {"name": "four", "prompt_tokens": 10, "new_tokens": 4, "batch": 4}],
    "also": [{"phases": ["generate"]},
             {"phases": ["generate"], "sessions": 1, "backends": [{"name": "fake", "label": "broken", "fail": "generate"}]},
             {"phases": ["prefill"], "sessions": 1, "backends": [{"name": "fake", "label": "absent", "refuse": "fake: not here."}]}],
}  # fmt: skip


@pytest.fixture(scope="module")
def cells():
    return lr.plan(PARAMS)


@pytest.fixture(scope="module")
def frame(cells, tmp_path_factory):
    return lr.read(lr.measure(cells, tmp_path_factory.mktemp("raw") / "raw.jsonl", progress=False))


def with_evidence(frame, engine, **evidence):
    """The frame in which every cell of `engine` says also this of itself."""
    frame = frame.copy()
    mine = depth.with_engine(frame)["engine"] == engine
    frame["evidence"] = [(old or {}) | evidence if hit else old for old, hit in zip(frame["evidence"], mine)]
    return frame


def scored(factor, windows=24):
    """Scores whose summed surprise is `factor` times 30 nats for each window of 10 tokens."""
    return {"scores": [[30 * factor + 0.01 * math.sin(k), 10] for k in range(windows)], "vocabulary": 50_000}


def test_an_engine_that_takes_half_the_time_is_twice_as_fast(frame):
    found = depth.speedups(frame, BASE)
    assert set(found["phase"]) == {"prefill", "decode", "e2e", "generate"} and set(found["verdict"]) == {"faster"}
    assert np.allclose(found["speedup"], 2, rtol=0.005) and (found["low"] < 2.01).all() and (found["blocks"] == 2).all()


def test_without_the_reference_nothing_is_compared(frame):
    assert depth.speedups(frame, "ort cuda fp16").empty
    assert depth.payback(frame, "ort cuda fp16").empty


def test_rates_count_unpadded_tokens_of_their_own_phase(frame):
    found = depth.throughputs(frame).set_index(["engine", "scenario", "phase"])
    rate = found.loc[(BASE, "four", "prefill"), "tokens_per_s"]
    assert rate.value == pytest.approx(40 / (400e-6 + 5e6 * 40 * 2e-11), rel=0.01)
    rate = found.loc[(BASE, "one", "decode"), "tokens_per_s"]
    assert rate.value == pytest.approx(1 / (400e-6 + 5e6 * 2e-11), rel=0.01)


def test_the_latency_summary_counts_what_did_not_run_as_degraded(frame, cells):
    found = depth.latency_summary(frame, cells, "generate").set_index(["engine", "scenario"])
    assert found.loc[(BASE, "one"), ["n_total", "n_ok", "n_degraded", "n"]].tolist() == [9, 9, 0, 9]
    broken = found.loc[("fake:broken cpu fp32", "one")]
    assert broken[["n_total", "n_ok", "n_degraded"]].tolist() == [3, 0, 3] and broken["degraded_rate"] == 1
    assert np.isnan(broken["mean"])


def test_uncached_generation_computes_the_prefix_again(frame):
    found = depth.cached_and_uncached(frame)
    assert set(found["engine"]) == {BASE, FAST}
    assert found["tokens_again"].tolist() == pytest.approx([4 * (10 + 1.5) / 13] * 4)
    assert all(times.low > 1 for times in found["times"])


def test_what_a_missing_cache_costs_has_no_interval_in_one_session(frame):
    found = depth.cached_and_uncached(frame[frame["session"] == 1])["times"]
    assert all(times.value > 0 and math.isnan(times.low) for times in found)


def test_other_ids_without_a_cache_are_seen(frame):
    changed = frame.copy()
    hit = (changed["phase"] == "generate") & (changed["backend"] == "fake:fast")
    changed["output_ids"] = [[[1, 2, 3, 4]] if h else ids for h, ids in zip(hit, changed["output_ids"])]
    assert (depth.answers(frame, BASE)["as_uncached"] == depth.answers(frame, BASE)["tokens"]).all()
    found = depth.answers(changed, BASE).dropna(subset="as_uncached").set_index("engine")
    same = found["as_uncached"] == found["tokens"]
    assert same[BASE].all() and not same[FAST].any()


def test_every_failed_and_refused_cell_is_in_one_class(frame, cells):
    found = depth.failure_classes(frame, cells).set_index("engine")
    assert found["cells"].sum() == (frame["status"] != "ok").sum() == 4
    assert found.loc["fake:broken cpu fp32", ["kind", "cause", "share"]].tolist() == ["hard", "out of memory", 1.0]
    assert found.loc["fake:absent cpu fp32", ["status", "example"]].tolist() == ["refused", "fake: not here."]
    assert "drop the engine" in found.loc["fake:absent cpu fp32", "remedy"]


def test_a_reproducer_plans_the_same_cell(frame, cells):
    for text in depth.failure_classes(frame, cells)["reproducer"]:
        again = lr.plan(json.loads(text))
        assert len(again) == 1 and again[0].cell_id in {c.cell_id for c in cells}


@pytest.mark.parametrize("extra", [{"label": "x"}, {"score": {"text": "seeded"}}, {"text": True}, {"source": True}])
def test_labels_texts_scores_and_sources_are_in_the_reproducer(extra):
    scenario = {"name": "s", "prompts": ["Hello"]} if "text" in extra else {"name": "s", "prompt_tokens": 3, "batch": 2}
    model = {"name": "m-1m", "params": 5} if "source" in extra else "m-1m"
    params = {"backends": [{"name": "fake", "label": extra.get("label"), "noise": 0.5}], "models": [model], "scenarios": [scenario]}
    cell = lr.plan(params | ({"score": extra["score"]} if "score" in extra else {}))[0]
    assert lr.plan(depth.reproducer(cell))[0].cell_id == cell.cell_id


@pytest.mark.parametrize("dtype, size, verdict", [("fp32", 4_010_000, "as labelled"), ("fp32", 3_900_000, "too small"),
                                                  ("fp16", 4_000_000, "too large"), ("int8", 1_130_000, "as labelled")])  # fmt: skip
def test_a_file_holds_its_parameters_times_their_bits(frame, dtype, size, verdict):
    changed = with_evidence(frame.assign(dtype=dtype), f"fake:fast cpu {dtype}", onnx_bytes=size, parameters=1_000_000)
    found = depth.artefacts(changed)
    assert found[["engine", "verdict"]].values.tolist() == [[f"fake:fast cpu {dtype}", verdict]]


def test_engines_without_files_have_no_artefact(frame):
    assert depth.artefacts(frame).empty


def test_a_label_that_the_engine_contradicts_is_no_choice(frame):
    changed = with_evidence(frame, FAST, dtype="fp16")
    assert depth.labels(changed).set_index("engine").loc[FAST, "agrees"] == "no"
    found = depth.decisions(changed, BASE)
    assert set(found["choice"]) == {f"no choice: only {BASE} is left"}
    assert found["left_out"].str.contains("labelled fp32, ran fp16").all()


def test_the_faster_engine_is_chosen_in_every_row_of_one_table(frame):
    found = depth.decisions(frame, BASE)
    assert len(found) == 8 and not found.duplicated(["model", "scenario", "phase"]).any()
    assert set(found["choice"]) == {FAST} and np.allclose(found["times_as_fast"], 2, rtol=0.01)
    assert set(found["quality"]) == {"not judged on this model"}


def test_an_engine_whose_every_call_was_disturbed_is_left_out_by_that_reason(frame):
    disturbed = frame.assign(contaminated=frame["contaminated"].astype(object).where(frame["backend"] != "fake:fast", "a neighbour"))
    found = depth.decisions(disturbed, BASE)
    assert set(found["choice"]) == {f"no choice: only {BASE} is left"}
    assert set(found["left_out"]) == {f"{FAST}: all its calls were disturbed"}


def many_engines(count, base, slower, seed=3, noise=0.06):
    """Rows of one engine as fast as `base` seconds and `count` others that take `slower` times as long, in 3 sessions."""
    chance, rows = np.random.default_rng(seed), []
    for session in (1, 2, 3):
        for k in range(count + 1):
            seconds = base * (slower if k else 1) * math.exp(chance.normal(0, noise))
            rows += [{"backend": f"fake:{k}", "device": "cpu", "dtype": "fp32", "model": "m", "scenario": "s", "phase": "prefill",
                      "cell_id": str(k), "session": session, "status": "ok", "kind": "sample", "index": i, "prompt": 0, "batch": 1,
                      "concurrency": 1, "seconds": seconds, "tokens": 8, "contaminated": None, "evidence": {}} for i in range(3)]  # fmt: skip
    return pd.DataFrame(rows)


def test_a_choice_is_corrected_for_every_question_of_the_table():
    alone = many_engines(1, 1.0, 2.0)
    beside = pd.concat([alone.assign(scenario=f"s{k}") for k in range(20)])
    for reference in ("fake:1 cpu fp32", "ort cuda fp16"):
        assert depth.decisions(alone, reference)["choice"].tolist() == ["fake:0 cpu fp32"]
        found = depth.decisions(beside, reference)
        assert set(found["choice"]) == {"no winner"} and (found["times_as_fast_low"] > 1).all()


def test_decisions_and_the_table_of_scenarios_say_the_same_of_the_reference():
    seen = set()
    for seed, reference in ((0, "fake:3 cpu fp32"), (1, "fake:3 cpu fp32"), (2, "fake:0 cpu fp32")):
        frame = pd.concat([many_engines(3, 1.0, 1.5, seed=10 * seed + k).assign(scenario=f"s{k}") for k in range(4)])
        table = depth.speedups(frame, reference, ["model", "phase", "scenario"]).set_index(["scenario", "engine"])["verdict"]
        for row in depth.decisions(frame, reference).itertuples():
            same = str(row.not_told_apart).split("; ")
            others = [name for name in (f"fake:{k} cpu fp32" for k in range(4)) if name != reference]
            if reference == "fake:0 cpu fp32":
                assert {name for name in others if table[row.scenario, name] == "undecided"} == set(same) & set(others)
            else:
                assert (table[row.scenario, "fake:0 cpu fp32"] == "faster") == (reference not in same)
            seen.add(row.choice)
    assert len(seen) == 2


def test_an_interval_as_tested_holds_one_exactly_where_the_verdict_is_open():
    seen = set()
    for seed in range(8):
        frame = pd.concat([many_engines(2, 1.0, 1.3, seed=10 * seed + k).assign(phase=f"p{k}") for k in range(3)])
        found = depth.as_tested(frame, "fake:2 cpu fp32")
        outside = (found["low"] > 1) | (found["high"] < 1)
        assert (outside == found["verdict"].isin(["faster", "slower"])).all()
        seen |= set(outside)
    assert seen == {True, False}


def test_a_choice_says_which_precision_its_engine_reports(frame):
    silent = frame.assign(evidence=[{**(told or {}), "dtype": None} for told in frame["evidence"]])
    assert set(depth.decisions(frame, BASE)["evidence"]) == {"fp32"}
    found = depth.decisions(silent, BASE)
    assert set(found["choice"]) == {FAST} and set(found["evidence"]) == {"unknown"}


def test_equal_engines_have_no_winner(frame):
    twins = frame[frame["backend"] == "fake:base"]
    twins = pd.concat([twins, twins.assign(backend="fake:twin", cell_id="x" + twins["cell_id"].astype(str))])
    found = depth.decisions(twins, BASE)
    assert set(found["choice"]) == {"no winner"}
    assert found["not_told_apart"].str.contains("fake:twin").all()


def test_one_session_names_no_winner(frame):
    assert set(depth.decisions(frame[frame["session"] == 1], BASE)["choice"]) == {"no winner"}


def test_a_perplexity_within_its_limit_passes_and_beyond_it_fails(frame):
    both = with_evidence(frame, BASE, scored=scored(1.0))
    found = depth.perplexity_results(with_evidence(both, FAST, scored=scored(1.0001)), BASE).set_index("backend")
    assert found.loc[BASE, "pass"] == "reference" and found.loc[FAST, "pass"] == "pass"
    assert found.loc[FAST, "delta_frac"].value == pytest.approx(math.expm1(0.0003), rel=1e-3)
    worse = with_evidence(both, FAST, scored=scored(1.01))
    assert depth.perplexity_results(worse, BASE).set_index("backend").loc[FAST, "pass"] == "fail"
    assert depth.decisions(worse, BASE)["left_out"].str.contains("perplexity gate failed").all()


def test_a_gate_whose_interval_reaches_over_its_limit_is_undecided_and_bars_the_engine(frame, tmp_path):
    wide = scored(1.0)
    wide["scores"] = [[nats + (0.5 if k % 3 else -0.9), tokens] for k, (nats, tokens) in enumerate(wide["scores"])]
    both = with_evidence(with_evidence(frame, BASE, scored=scored(1.0)), FAST, scored=wide)
    table = depth.perplexity_results(both, BASE)
    found = table.set_index("backend").loc[FAST]
    assert found["pass"] == "undecided" and found["delta_frac"].low < -0.001 < 0.001 < found["delta_frac"].high
    assert depth.decisions(both, BASE)["left_out"].str.contains("undecided, which is no pass").all()
    report = lr.Report("tr118", tmp_path)
    claimed.quality(report, table, BASE)
    assert [c["status"] for c in json.loads((tmp_path / "claims.json").read_text())] == ["undecided"]


def test_few_windows_leave_a_gate_undecided(frame):
    both = with_evidence(with_evidence(frame, BASE, scored=scored(1.0, 20)), FAST, scored=scored(1.0001, 20))
    assert depth.perplexity_results(both, BASE).set_index("backend").loc[FAST, "pass"] == "undecided"


def test_a_sentence_tells_how_wide_a_gates_interval_is(frame, tmp_path, monkeypatch):
    both = with_evidence(with_evidence(frame, BASE, scored=scored(1.0)), FAST, scored=scored(1.0001))
    table, said = depth.perplexity_results(both, BASE), []
    report = lr.Report("tr118", tmp_path)
    monkeypatch.setattr(report, "say", said.append)
    claimed.gates(report, table)
    shift = table["delta_frac"].iloc[1]
    numbers = {row["name"]: row["value"] for row in json.loads((tmp_path / "numbers.json").read_text())}
    name = f"gate_{FAST}_fake-5m".replace(" ", "_").replace(":", "_")
    assert numbers[f"{name}_width"] == shift.high - shift.low and numbers[f"{name}_room"] == 0.002
    assert len(said) == 1 and "**pass**" in said[0]
    claimed.gates(report, table.assign(**{"pass": "undecided"}))
    assert "undecided is no pass" in said[-1]
    claimed.gates(report, table.head(0))
    assert "No gate judged anything" in said[-1]


def test_a_model_that_has_learnt_nothing_is_not_judged(frame):
    untrained = scored(3.6)
    both = with_evidence(with_evidence(frame, BASE, scored=untrained), FAST, scored=untrained)
    found = depth.perplexity_results(both, BASE).set_index("backend").loc[FAST]
    assert found["pass"] == "refused" and "random" in found["error"]


def test_an_engine_that_tells_no_probabilities_is_a_row_with_the_reason(frame):
    found = depth.perplexity_results(with_evidence(frame, FAST, scored={"scores": None}), BASE)
    assert found["error"].tolist() == ["this engine tells no probabilities"]


def test_a_build_pays_after_its_seconds_times_one_over_the_speed_up_less_one(frame):
    built = with_evidence(frame, FAST, export_seconds=3.0, build_seconds=7.0)
    found = depth.payback(built, BASE)
    assert set(found["verdict"]) == {"pays"} and set(found["build_seconds"]) == {10.0}
    for row in found.itertuples():
        assert row.pays_after_s.value == pytest.approx(10, rel=0.02)
        assert row.pays_after_s.low < row.pays_after_s.value < row.pays_after_s.high
        assert row.pays_after_tokens.value == pytest.approx(row.pays_after_s.value * row.baseline_tokens_per_s * row.speedup.value)


def test_a_payback_that_is_open_in_one_phase_is_claimed_by_nobody(tmp_path):
    tokens = [Estimate(value, value, value, 3, "session", "t") for value in (10.0, math.nan)]
    for place, order in enumerate((tokens, tokens[::-1])):
        table = pd.DataFrame({"engine": FAST, "model": "m", "phase": ["prefill", "decode"], "scenario": "one", "pays_after_tokens": order})
        claimed.payback(lr.Report("tr118", tmp_path / str(place)), table, 1e6)
        (claim,) = json.loads((tmp_path / str(place) / "claims.json").read_text())
        assert claim["status"] == "not measured"


def test_a_slower_engine_never_pays(frame):
    built = with_evidence(frame, BASE, export_seconds=1.0)
    found = depth.payback(built, FAST)
    assert set(found["verdict"]) == {"never"} and all(row.high == math.inf for row in found["pays_after_s"])


def crossing_points(sizes, sessions=4, crossing=50e6, slope=-0.5, noise=0.02, seed=1):
    """Ratios by size and session that cross one at `crossing`."""
    chance = np.random.default_rng(seed)
    rows = [{"engine": FAST, "scenario": "one", "phase": "prefill", "model": f"m{size:g}", "params_measured": size, "session": session,
             "ratio": (size / crossing) ** slope * math.exp(chance.normal(0, noise))}
            for session in range(sessions) for size in sizes]  # fmt: skip
    return pd.DataFrame(rows)


EIGHT = [1e6, 2e6, 5e6, 1e7, 2e7, 5e7, 1e8, 2e8]


def test_a_known_crossing_is_found_with_an_interval_that_holds_it():
    found = depth.crossings(crossing_points(EIGHT)).iloc[0]
    assert found["verdict"] == "inside" and found["size"].low < 50e6 < found["size"].high
    assert found["size"].low <= found["fieller_from"] and found["size"].high >= found["sessions_to"]
    assert not found["faster_at_largest"]


@pytest.mark.parametrize("sizes, sessions, why", [(EIGHT[:5], 4, "5 sizes; this study asks for 8"), (EIGHT, 1, "one session")])
def test_few_sizes_or_one_session_show_a_crossing_without_an_interval(sizes, sessions, why):
    found = depth.crossings(crossing_points(sizes, sessions)).iloc[0]["size"]
    assert np.isnan(found.low) and found.value > 0 and why in found.method


@pytest.mark.parametrize("crossing, beyond, label", [(50e6, None, "fitted"), (2e9, 10, "extrapolated"), (1e5, 10, "extrapolated")])
def test_a_crossing_beyond_the_measured_sizes_is_extrapolated_and_says_how_far(crossing, beyond, label, tmp_path):
    found = depth.crossings(crossing_points(EIGHT, crossing=crossing, noise=1e-6))
    assert found["beyond"].iloc[0] == pytest.approx(beyond or math.nan, rel=0.01, nan_ok=True)
    claimed.crossing(lr.Report("tr118", tmp_path), found, BASE)
    (claim,) = json.loads((tmp_path / "claims.json").read_text())
    assert claim["label"] == label and ("10 times beyond" in claim["text"]) == bool(beyond)


def test_without_a_slope_there_is_no_finite_interval():
    found = depth.crossings(crossing_points(EIGHT, slope=0.0, seed=2)).iloc[0]
    assert found["verdict"] == "no finite interval" and np.isnan(found["size"].low)


def test_leave_one_out_and_rival_shapes_agree_on_a_straight_line():
    points = depth.size_ratios(crossing_points(EIGHT))
    assert depth.least_squares_table(points)["crossing_without"].between(40e6, 60e6).all()
    shapes = depth.rival_shapes(points)
    assert set(shapes["shape"]) == {"power", "log-quadratic", "piecewise"} and set(shapes["where"]) == {"inside"}
    assert shapes["crossing"].between(40e6, 60e6).all()


def test_too_few_sizes_for_aicc_give_no_weights_and_no_absurd_crossing():
    points = depth.size_ratios(crossing_points(EIGHT[:4], slope=-0.01))
    assert depth.rival_shapes(points)["weight"].isna().all()
    without = depth.least_squares_table(points)["crossing_without"]
    assert ((without <= 1000 * EIGHT[3]) | np.isinf(without)).all()


@pytest.mark.parametrize("name", ["tr118.yaml", "tr118.smoke.yaml"])
def test_the_studys_plans_score_windows_enough_for_an_interval(name):
    plans = yaml.safe_load((lr.root() / "params" / name).read_text())["also"]
    (score,) = [plan["score"] for plan in plans if "score" in plan]
    text = 656  # tokens of the evaluation text, by gemma3's tokeniser
    assert len(windows(min(text, score["tokens"]), score["window"], score["stride"])) >= PER_BLOCK * LEAST_BLOCKS


def test_the_page_shows_columns_that_its_tables_have(frame, cells):
    tables = {"failures": depth.failure_classes(frame, cells), "artefacts": depth.artefacts(frame), "speedups": depth.speedups(frame, BASE),
              "by_scenario": depth.speedups(frame, BASE, ["model", "phase", "scenario"]), "precisions": depth.precisions(frame),
              "uncached": depth.cached_and_uncached(frame), "quality": depth.perplexity_results(frame, BASE),
              "payback": depth.payback(frame, BASE), "decisions": depth.decisions(frame, BASE)}  # fmt: skip
    sizes = crossing_points(EIGHT)
    tables |= dict.fromkeys(("crossings", "bounds"), depth.crossings(sizes)) | {"points": depth.least_squares_table(depth.size_ratios(sizes))}
    assert set(tables) == set(depth.PAGE)
    for name, table in tables.items():
        assert list(depth.on_page(table, name)) == depth.PAGE[name], name


def test_files_hold_every_column_of_one_phase_and_every_artefact_with_its_hashes(frame):
    found = depth.statistical_analysis(depth.speedups(frame, BASE), depth.speedups(frame, BASE, ["model", "phase", "scenario"]), "e2e")
    assert {name: len(part) for name, part in found.items()} == {"comparisons": 1, "comparisons_by_scenario": 2}
    assert found["comparisons"][0]["phase"] == "e2e" and {"p", "p_adjusted", "method"} <= set(found["comparisons"][0])
    built = with_evidence(frame, FAST, onnx_bytes=7, onnx_sha256="ab", export_seconds=1.0)
    assert depth.export_metadata(built) == [{"engine": FAST, "model": "fake-5m", "parameters": 5_000_000, "onnx_bytes": 7,
                                             "export_seconds": 1.0, "onnx_sha256": "ab"}]  # fmt: skip


def test_session_ratios_are_the_reference_over_the_engine(frame):
    found = depth.session_ratios(frame, BASE, ["fake-5m"], ["prefill"])
    assert set(found["engine"]) == {FAST} and len(found) == 6 and np.allclose(found["ratio"], 2, rtol=0.01)


def test_one_bad_file_among_many_refutes_the_claim_of_its_engine(tmp_path):
    table = pd.DataFrame({"engine": [FAST] * 3, "model": list("abc"), "worst_steps": [0.5, 0.7, 0.0], "verdict": "as labelled", "excess": [0.1, 0.2, 0.3]})
    report = lr.Report("tr118", tmp_path)
    claimed.files(report, table)
    found = {c["id"].split("_")[0]: (c["status"], c["value"], c["n"]) for c in json.loads((tmp_path / "claims.json").read_text())}
    assert found == {"weights": ("refuted", 0.7, 3), "size": ("supported", 0.1, 3)}


def test_what_was_planned_and_did_not_run_keeps_its_place_among_the_claims(frame, cells, tmp_path):
    claimed.speed(lr.Report("tr118", tmp_path), depth.as_tested(frame, BASE), BASE, cells)
    found = {c["id"]: c["status"] for c in json.loads((tmp_path / "claims.json").read_text())}
    assert found["faster_fake_fast_cpu_fp32_fake-5m_e2e"] == "supported" and len(found) == 6
    gone = ["faster_fake_absent_cpu_fp32_fake-5m_prefill", "faster_fake_broken_cpu_fp32_fake-5m_generate"]
    assert [found[name] for name in gone] == ["not measured"] * 2


def test_a_page_says_whether_its_reference_was_measured(frame):
    assert depth.compared_with(frame, BASE) == f"The reference, {BASE}, was measured in 3 sessions."
    assert depth.compared_with(frame, "hf cpu fp32").startswith("**hf cpu fp32 was not measured here")


def test_the_gates_and_files_become_claims(frame, tmp_path):
    built = with_evidence(with_evidence(frame, BASE, scored=scored(1.0)), FAST, scored=scored(1.0001), onnx_bytes=20_010_000,
                          parameters=5_000_000, sampled={"weights": 9, "worst_steps": 0.0}, export_seconds=1.0)  # fmt: skip
    report = lr.Report("tr118", tmp_path)
    claimed.quality(report, depth.perplexity_results(built, BASE), BASE)
    claimed.files(report, depth.artefacts(built))
    claimed.payback(report, depth.payback(built, BASE), 1e6)
    found = {c["id"].split("_")[0]: c["status"] for c in json.loads((tmp_path / "claims.json").read_text())}
    assert found == {"quality": "supported", "weights": "supported", "size": "supported", "pays": "supported"}


def test_a_forest_is_drawn_of_seconds_over_the_references():
    table = pd.DataFrame({"speedup": [2.0], "low": [1.0], "high": [4.0]})
    assert depth.as_ratios(table)[["ratio", "low", "high"]].to_numpy().tolist() == [[0.5, 0.25, 1.0]]
    assert depth.as_ratios(table.head(0)).empty
