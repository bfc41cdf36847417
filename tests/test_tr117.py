"""Engines on the same requests: known laws in, verdicts, rankings and files out; and a report without any data."""

import json
import math

import pandas as pd
import pytest

import llmresearch as lr
from llmresearch import peers, quality, ranks
from llmresearch.peers.ranking import _wins
from llmresearch.reporting import render
from llmresearch.reporting.verify import compare, derive

SLOW, FAST, GONE = "fake:slow cpu fp32", "fake cpu fp32", "fake:gone cpu fp32"
PARAMS = {
    "study": "s", "models": ["fake-1m"], "sessions": 3, "repetitions": 4, "warmup": 1, "phases": ["prefill", "e2e"],
    "backends": [{"name": "fake", "label": "slow", "slowdown": 3.0}, {"name": "fake"},
                 {"name": "fake", "label": "gone", "refuse": "is not here."}],
    "scenarios": [{"name": "single", "prompt_tokens": 8, "new_tokens": 4, "prompts": 2},
                  {"name": "batch", "prompt_tokens": 8, "new_tokens": 4, "batch": 4},
                  {"name": "dual", "prompt_tokens": 8, "new_tokens": 4, "concurrency": 2}],
}  # fmt: skip
OVERHEAD, WORK = 400e-6, 1e6 * 2e-11  # seconds a forward, and a token of a model of a million parameters


@pytest.fixture(scope="module")
def frame(tmp_path_factory):
    raw = tmp_path_factory.mktemp("raw") / "raw.jsonl"
    return peers.named(lr.read(lr.measure(lr.plan(PARAMS), raw, progress=False)))


@pytest.fixture(scope="module")
def labelled(frame):
    return peers.labels(frame)


def test_a_first_token_is_the_prefill_and_not_the_whole_request(frame):
    row = peers.requests(frame).set_index(["engine", "scenario"]).loc[(FAST, "single")]
    assert row["ttft"] == pytest.approx(OVERHEAD + 8 * WORK, rel=0.03) and row["ttft_from"] == "e2e"
    assert row["median"] == pytest.approx(4 * OVERHEAD + 11 * WORK, rel=0.03)


def test_calls_without_seconds_have_no_rate(frame):
    lost = frame.assign(seconds=frame["seconds"].where(frame["index"] > 0))
    assert peers.together(lost)["tokens_per_s"].isna().all() and peers.requests(lost)["tokens_per_s"].isna().all()


def test_tokens_per_second_are_all_tokens_over_the_wall(frame):
    table = peers.requests(frame).set_index(["engine", "scenario"])
    for scenario, tokens in (("single", 4), ("batch", 16), ("dual", 8)):
        row = table.loc[(FAST, scenario)]
        assert row["tokens_per_s"] == pytest.approx(tokens / row["median"], rel=0.05)


def test_a_cost_is_the_price_over_the_rate_and_its_interval_is_turned_over(frame):
    row = peers.costs(peers.requests(frame), 3.6).iloc[0]
    assert row["usd_per_million_tokens"] == pytest.approx(1000 / row["tokens_per_s"])
    assert row["usd_per_million_tokens_low"] == pytest.approx(1000 / row["tokens_per_s_high"])


def test_three_times_slower_is_found_as_three_times_slower(frame):
    row = peers.pairs(frame).set_index("phase").loc["e2e"]
    assert (row["a"], row["b"], row["verdict"], row["n"], row["blocks"]) == (FAST, SLOW, "slower", 3, 4)
    assert row["low"] < 3 < row["high"] and row["p_adjusted"] < 0.01 and row["p_games_howell"] < 0.01


def test_the_ratio_to_the_reference_is_nan_with_a_reason_where_an_engine_did_not_run(frame):
    found = peers.versus(frame, SLOW)
    assert found["fake-1m", FAST].value == pytest.approx(1 / 3, rel=0.05)
    assert math.isnan(found["fake-1m", GONE].value) and found["fake-1m", GONE].method


def test_an_engine_is_the_block_s_factor_and_a_single_engine_has_no_analysis(frame):
    assert peers.anovas(frame).set_index("phase").loc["e2e", "p"] < 0.01
    assert peers.anovas(frame[frame["engine"] == FAST])["reason"].iloc[0] == "needs two engines and two sessions"


def test_a_tail_is_refused_below_the_least_number_of_calls(frame):
    row = peers.spreads(frame).iloc[0]
    assert math.isnan(row["p95"]) and "needs 59" in row["p95_why"] and row["median_low"] < row["median"] < row["median_high"]
    said = peers.untold_tails(peers.spreads(frame))
    assert said.startswith("The tail of 6 of 6 rows is unknown; fake cpu fp32, ") and "needs 59" in said


def test_where_no_request_ran_no_tail_could_be_asked_for(frame):
    assert peers.untold_tails(peers.spreads(frame[:0])) == "No tail could be asked for."


def test_a_variance_counts_the_sessions_that_all_engines_measured(frame):
    part = frame[~((frame["engine"] == FAST) & (frame["session"] == 2))]
    assert peers.anovas(part).set_index("phase").loc["e2e", ["engines", "sessions"]].tolist() == [2, 2]


def evidence(backend, label, **found):
    return {"engine": "e", "model": "m", "cell_id": "c", "session": 1, "status": "ok", "backend": backend, "dtype": label,
            "device": "cpu", "evidence": {"dtype": label, "device": "cpu"} | found}  # fmt: skip


@pytest.mark.parametrize(("row", "verdict"), [
    (evidence("hf", "fp16"), "as labelled"),
    (evidence("hf", "fp16", dtype="fp32"), "not as labelled"),
    (evidence("hf-compile", "fp32", compile={"graphs": 2}), "as labelled"),
    (evidence("hf-compile", "fp32", compile={"graphs": 0}), "not as labelled"),
    (evidence("hf-compile", "fp32"), "unknown"),
    (evidence("ort", "int8", quantised={"MatMulInteger": 3}), "as labelled"),
    (evidence("ort", "int8", quantised={}), "not as labelled"),
    (evidence("ort", "int8"), "unknown"),
])  # fmt: skip
def test_a_label_holds_only_where_the_evidence_says_so(row, verdict):
    assert peers.labels(pd.DataFrame([row]))["verdict"].tolist() == [verdict]


def test_only_engines_that_ran_everything_are_ranked(frame, labelled):
    table = peers.ranking(frame, labelled).set_index("engine")
    assert table["rank"].to_dict() == {FAST: 1.0, SLOW: 2.0, GONE: pytest.approx(math.nan, nan_ok=True)}
    assert table.loc[GONE, "status"] == "6 of 6 cells refused" and table.loc[FAST, "wins"] == 1


def test_an_engine_that_is_not_what_its_label_says_is_not_ranked(frame, labelled):
    wrong = labelled.assign(verdict=labelled["verdict"].where(labelled["engine"] != FAST, "not as labelled"))
    table = peers.ranking(frame, wrong).set_index("engine")
    assert table.loc[FAST, "status"] == "label: not as labelled" and table.loc[SLOW, "rank"] == 1


def test_few_calls_carry_no_rank(frame, labelled):
    table = peers.ranking(frame[~(frame["session"] > 1)].query("prompt == 0"), labelled).set_index("engine")
    assert table.loc[FAST, "status"] == "4 undisturbed calls, 7 are needed"


def test_a_rank_says_in_how_many_sessions_it_was_so(frame, labelled):
    table = peers.ranking(frame, labelled).set_index("engine")
    assert table.loc[[FAST, SLOW], ["first_in", "sessions"]].to_numpy().tolist() == [[3, 3], [0, 3]]
    assert math.isnan(table.loc[GONE, "first_in"])
    assert ranks.agreement(table.reset_index()) == f"- fake-1m: each of 3 sessions puts {FAST} first.\n"


def test_an_engine_wins_only_where_the_interval_for_all_pairs_lies_beyond_one():
    table = pd.DataFrame({"a": ["x", "x", "y"], "b": ["y", "z", "z"], "low": [1.01, 0.98, 0.4], "high": [1.2, 1.3, 0.6],
                          "verdict": ["slower", "slower", "faster"]})  # fmt: skip
    assert [_wins(table, name) for name in "xyz"] == [1, 0, 1]


def test_a_sure_lead_is_a_recommendation_with_its_interval(frame, labelled):
    found = peers.recommendations(frame, labelled, quality.fidelity(frame, SLOW)).set_index("goal")
    assert set(found["choice"]) == {FAST} and set(found.index) == {"lowest latency", "best cost", "balanced"}
    assert found.loc["lowest latency", "ratio"].high < 1
    lines = peers.in_short(found.reset_index(), lambda ratio, label: f"{ratio.value:.1f} ({label})").splitlines()
    assert lines[0] == (f"- lowest latency, fake-1m: **{FAST}**, surely faster than every other: "
                        f"time of {FAST} over that of {SLOW}, 0.3 (measured).")  # fmt: skip
    assert lines[1].startswith(f"- best cost, fake-1m: **{FAST}**, surely cheaper than every other: ")
    assert lines[1].endswith(f"cost of {FAST} over that of {SLOW}, 0.3 (derived).")


def test_a_kind_of_scenario_that_one_engine_alone_completed_decides_nothing(frame, labelled):
    broken = (frame["mode"].astype(str) == "dual") & (frame["engine"] == SLOW)
    assert broken.any()
    lost = frame.assign(status=frame["status"].astype(str).mask(broken, "refused"))
    found = peers.recommendations(lost, labelled, quality.fidelity(frame, SLOW)).set_index("goal")
    assert set(found["choice"]) == {FAST}
    left = " (without dual requests, which fewer than two engines completed)"
    assert found["why"].str.endswith(left).to_dict() == {"lowest latency": False, "best cost": True, "balanced": True}


def test_engines_that_are_the_same_have_no_winner(tmp_path):
    twins = [{"name": "fake", "label": word, "session": 0.05} for word in ("a", "b")]
    small = {"backends": twins, "scenarios": PARAMS["scenarios"][:1], "phases": ["e2e"], "seed": 0}
    raw = lr.measure(lr.plan(PARAMS | small), tmp_path / "raw.jsonl", progress=False)
    frame = peers.named(lr.read(raw))
    found = peers.recommendations(frame, peers.labels(frame), quality.fidelity(frame, "fake:a cpu fp32"))
    assert set(found["choice"]) == {"no winner"}


def test_an_engine_that_chooses_otherwise_is_not_balanced(frame, labelled):
    fidelity = quality.fidelity(frame, SLOW)
    fidelity.loc[fidelity["engine"] == FAST, "agreement"] = 0.5
    found = peers.recommendations(frame, labelled, fidelity).set_index("goal").loc["balanced"]
    assert found["choice"] == "no winner" and found["first"] == SLOW and found["engines"] == 1
    assert found["next"] is None
    said = peers.in_short(found.to_frame().T.assign(goal="balanced"), None)
    assert said == "- balanced, fake-1m: **no winner**, fewer than two engines may be ranked.\n"


def test_statistics_have_the_shape_that_readers_expect(frame):
    found = peers.statistics(frame, peers.pairs(frame), peers.anovas(frame))
    assert {"mean", "median", "std", "ci_95", "n", "q25", "q75"} <= set(found["summaries"][0])
    assert {"difference", "percent_change", "p", "p_adjusted", "effect_size", "verdict"} <= set(found["pairwise"][0])
    assert {"F", "p"} <= set(found["anova"][0]) and len(found["summaries"]) == 12


def test_calls_of_one_session_carry_no_interval_on_the_page_or_in_the_files(frame):
    alone = frame[frame["session"] == 1]
    row = peers.requests(alone).iloc[0]
    assert row["median"] > 0 and row["ttft"] > 0
    assert all(math.isnan(row[name]) for name in ("low", "high", "ttft_low", "ttft_high", "tokens_per_s_low"))
    found = peers.statistics(alone, peers.pairs(alone), peers.anovas(alone))["summaries"][0]
    assert all(map(math.isnan, found["ci_95"])) and found["method"].startswith("one session")


def test_a_ratio_to_the_reference_leaves_one_out_exactly_where_holm_decides(frame):
    part = pd.concat([frame, *(frame[frame["engine"] == FAST].assign(backend=f"fake:{k}", engine=f"fake:{k} cpu fp32")
                               for k in range(3))])  # fmt: skip
    found, alone = peers.versus(part, SLOW), peers.versus(frame, SLOW)
    assert "as tested" in found["fake-1m", FAST].method
    assert found["fake-1m", FAST].low < alone["fake-1m", FAST].low < alone["fake-1m", FAST].high < 1


def test_of_the_first_calls_only_those_that_opened_their_process_are_cold_starts(frame):
    calls = peers.opening(frame)
    opened = calls[calls["kind"] == "first"]
    assert (frame["kind"].eq("first") & frame["phase"].eq("e2e")).sum() == 2 * 3 * 4
    assert opened.groupby(["engine", "session"], observed=True).size().tolist() == [1] * 6
    assert (calls["kind"] == "sample").sum() == 2 * 3 * 4 * 4


def test_every_call_and_every_refused_cell_is_a_row_of_the_metrics(frame):
    found = peers.metrics(frame)
    assert len(found) == 3 * (2 * 4 * 2 * 6 + 4)
    assert set(found.loc[found["status"] == "refused", "error"]) == {"is not here."}


def test_what_was_not_read_is_unknown(frame):
    table = peers.resources(frame)
    assert table["own_cores_mean"].notna().all() and table["gpu_power_w_peak"].isna().all()
    assert "gpu power w" in peers.unread(table)
    assert peers.unread(table[:0]) == "No sample was taken, so nothing was read."


SMALL = {"models": ["fake-1m"], "repetitions": 3, "sessions": 3, "scenarios": PARAMS["scenarios"][:1]}


def test_the_report_renders_its_files_and_verify_agrees(tmp_path):
    folder = render.report("tr117", out_folder=tmp_path / "first", overrides=SMALL).folder
    for name in ("statistical_analysis.json", "cost_analysis.json", "env.json", "metrics.csv"):
        assert (folder / name).stat().st_size > 100
    assert json.loads((folder / "cost_analysis.json").read_text())["label"] == "derived"
    derived = derive(folder, tmp_path / "second")
    assert compare(folder, derived) == []
    text = (folder / "cost_analysis.json").read_text()
    (folder / "cost_analysis.json").write_text(text.replace('"usd_per_hour": 1', '"usd_per_hour": 2', 1))
    assert [difference.file for difference in compare(folder, derived)] == ["tr117/cost_analysis.json"]


def test_a_report_whose_cells_were_all_refused_or_failed_renders_and_says_so(tmp_path):
    gone = [{"name": "fake", "label": "reference", "refuse": "is not here."}, {"name": "fake", "fail": "e2e"}]
    done = render.report("tr117", out_folder=tmp_path, overrides=SMALL | {"backends": gone})
    page = done.markdown.read_text()
    for words in ("Nothing was measured", "is not here.", "no winner", "**not measured**", "Nothing could be ranked."):
        assert words in page
    assert json.loads((done.folder / "statistical_analysis.json").read_text())["summaries"] == []
    assert {claim["status"] for claim in json.loads((done.folder / "claims.json").read_text())} == {"not measured"}
