"""Files of other harnesses: samples kept, statistics computed again, known defects named, and nothing made
up.
"""

import json

import pytest

from llmresearch import importers
from llmresearch.frames import read, samples, steady
from llmresearch.importers import ImportProblem, llama_bench, optimum


def saved(tmp_path, data, name="result.json"):
    path = tmp_path / name
    text = "\n".join(map(json.dumps, data)) if name.endswith("l") else json.dumps(data)
    path.write_text(text)
    return path


def names(found):
    return {defect.name for defect in found.defects}


# Five repetitions, mean 2.716 s: 5 × mean² is just below 2 × 2^64, and the sum of squares just above.
SLOW = [2_566_000_000, 2_616_000_000, 2_716_000_000, 2_816_000_000, 2_866_000_000]


def llama_test(samples, stddev, n_prompt=64, n_gen=0, **more):
    rates = [(n_prompt + n_gen) / ns * 1e9 for ns in samples]
    return {
        "build_commit": "0c1e570",
        "build_number": 1,
        "model_type": "gemma3 270M all F32",
        "n_prompt": n_prompt,
        "n_gen": n_gen,
        "n_depth": 0,
        "avg_ns": sum(samples) // len(samples),
        "stddev_ns": stddev,
        "avg_ts": sum(rates) / len(rates),
        "samples_ns": samples,
        "samples_ts": rates,
    } | more


def test_llama_benchs_wrapped_standard_deviation_is_reproduced_and_named(tmp_path):
    reported = llama_bench.wrapped(SLOW)
    assert reported == 3_721_734_549
    found = importers.load(saved(tmp_path, [llama_test(SLOW, reported, n_prompt=2048)]))
    assert "uint64 stddev" in names(found)
    shown = next(d for d in found.defects if d.name == "uint64 stddev").shown
    assert (
        shown == "3,721,734,549 ns reported, which arithmetic modulo 2^64 gives too; 127,475,488 ns from the "
        "samples"
    )
    table = found.table().set_index("what")
    assert not table.loc["stddev_ns, pp2048, gemma3 270M all F32", "agrees"]
    assert table.loc["avg_ns, pp2048, gemma3 270M all F32", "agrees"]


def test_a_sound_file_of_llama_bench_has_no_defect(tmp_path):
    found = importers.load(saved(tmp_path, [llama_test([67_376_751, 66_127_448, 66_303_621], 676_289)]))
    assert found.defects == ()
    assert found.version == "0c1e570 (build 1)"


def test_a_mean_of_rates_is_told_from_the_rate(tmp_path):
    found = importers.load(saved(tmp_path, [llama_test([10_000_000, 30_000_000], 14_142_135)]))
    defect = next(d for d in found.defects if d.name == "mean of rates")
    assert defect.shown == "4267 tokens/s reported; 3200 over the total time"
    assert "tokens over total time is the rate" in defect.meaning


def test_llama_benchs_tests_become_phases_and_records(tmp_path):
    tests = [llama_test([1_000_000_000] * 3, 0), llama_test([320_000_000] * 3, 0, n_prompt=0, n_gen=32)]
    frame = read(importers.load(saved(tmp_path, tests)).write(tmp_path / "raw.jsonl"))
    decode = frame[frame["phase"] == "decode"]
    assert list(frame["phase"]) == ["prefill"] * 3 + ["decode"] * 3
    assert set(decode["tokens"]) == {32}
    assert set(decode["seconds"]) == {0.32}
    assert len(steady(frame)) == 6


def test_an_imported_file_is_never_written_over(tmp_path):
    found = importers.load(saved(tmp_path, [llama_test([1, 2, 3], 1)]))
    found.write(tmp_path / "raw.jsonl")
    with pytest.raises(ImportProblem, match="exists"):
        found.write(tmp_path / "raw.jsonl")


def per_token(generations, steps, gap=0.15):
    """Token seconds as optimum-benchmark lists them: 1 ms each, and `gap` between two generations."""
    events, out, now = [], [], 0.0
    for _ in range(generations):
        now += gap
        for step in range(steps):
            now += 0.001 * (step > 0)
            events.append(now)
        out += [b - a for a, b in zip(events, events[1:])]
    return out


def latency(values):
    mean = sum(values) / len(values)
    return {
        "unit": "s",
        "values": values,
        "count": len(values),
        "mean": mean,
        "p99": max(values),
        "stdev": 0.0,
    }


def optimum_report(generations=20, steps=32):
    generate = [0.1058] * generations
    return {
        "config": {
            "name": "g",
            "backend": {"name": "pytorch", "model": "gemma", "device": "cpu", "torch_dtype": "float32"},
            "scenario": {
                "input_shapes": {"batch_size": 1, "sequence_length": 64},
                "generate_kwargs": {"max_new_tokens": steps},
            },
            "environment": {"optimum_benchmark_version": "0.6.0"},
        },
        "report": {
            "load_model": {"latency": latency([1.0]), "throughput": None},
            "first_generate": {"latency": latency([0.2])},
            "generate": {
                "latency": latency(generate),
                "throughput": {"unit": "samples/s", "value": (steps - 1) / 0.1058},
            },
            "prefill": {
                "latency": latency([0.01] * generations),
                "throughput": {"unit": "samples/s", "value": 100.0},
            },
            "decode": {
                "latency": latency([0.031] * generations),
                "throughput": {"unit": "tokens/s", "value": 1000.0},
            },
            "per_token": {"latency": latency(per_token(generations, steps)), "throughput": None},
        },
    }


def test_optimum_benchmarks_repeated_tokens_are_taken_out(tmp_path):
    found = importers.load(saved(tmp_path, optimum_report()))
    defect = next(d for d in found.defects if d.name == "duplicated tokens")
    assert defect.shown.startswith("6,700 values, 620 tokens")
    decode = next(s for s in found.series if s.phase == "decode")
    assert len(decode.token_seconds) == 20
    assert all(gap == pytest.approx(0.001) for tokens in decode.token_seconds for gap in tokens)


def test_a_list_without_repeats_is_left_as_it_is():
    assert optimum.undo([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 2) == (0, [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    assert optimum.undo([0.1, 0.2, 0.3], 2) == (0, [])
    assert optimum.undo([], 0) == (0, [])


def test_optimum_benchmarks_rate_in_the_wrong_unit_is_named(tmp_path):
    found = importers.load(saved(tmp_path, optimum_report()))
    defect = next(d for d in found.defects if d.name == "throughput unit")
    assert defect.shown == "293 samples/s reported; 9.452 true"
    assert "first is second" in names(found)
    assert "few for a tail" in names(found)
    assert found.version == "0.6.0"


def test_a_sound_report_of_optimum_benchmark_has_neither_defect(tmp_path):
    data = optimum_report()
    data["report"]["generate"]["throughput"]["value"] = 1 / 0.1058
    data["report"]["per_token"]["latency"] = latency([0.001] * 620)
    assert not names(importers.load(saved(tmp_path, data))) & {"throughput unit", "duplicated tokens"}


def test_vllms_latencies_are_kept_and_computed_again(tmp_path):
    data = {"avg_latency": 0.5, "latencies": [0.1, 0.2, 0.3], "percentiles": {"50": 0.2, "99": 0.298}}
    found = importers.load(saved(tmp_path, data))
    assert [s.seconds for s in found.series] == [(0.1, 0.2, 0.3)]
    assert list(found.table()["agrees"]) == [False, True, True]
    assert [d.shown for d in found.defects] == ["p99 of 3 samples; 299 bound it at 95 %"]


def test_vllms_server_run_gives_first_tokens_and_gaps_and_its_cold_start(tmp_path):
    data = {
        "backend": "vllm",
        "model_id": "m",
        "completed": 2,
        "duration": 4.0,
        "request_throughput": 0.5,
        "request_rate": "inf",
        "ttfts": [0.1, 0.2, 9.0],
        "itls": [[0.01, 0.03], [0.02], []],
        "input_lens": [10, 20, 30],
        "output_lens": [3, 2, 0],
        "errors": ["", "", "reset"],
        "mean_ttft_ms": 150.0,
        "mean_itl_ms": 20.0,
        "p99_ttft_ms": 199.0,
    }
    found = importers.load(saved(tmp_path, data))
    by_phase = {s.phase: s for s in found.series}
    assert by_phase["prefill"].seconds == (0.1, 0.2)
    assert by_phase["decode"].token_seconds == ((0.01, 0.03), (0.02,))
    assert by_phase["e2e"].seconds == pytest.approx((0.14, 0.22))
    assert found.table()["agrees"].all()
    assert {"no warm-up", "few for a tail"} <= names(found)


def test_a_server_run_without_details_gives_no_samples_and_cannot_be_written(tmp_path):
    found = importers.load(saved(tmp_path, {"completed": 9, "request_throughput": 1.0, "mean_ttft_ms": 5.0}))
    assert names(found) == {"no samples"}
    with pytest.raises(ImportProblem, match="has no samples"):
        found.write(tmp_path / "raw.jsonl")


def serve_run(**more):
    """Three requests of a server run: three tokens, one token, and one that failed."""
    return {
        "completed": 2, "duration": 4.0, "request_throughput": 0.5, "ttfts": [0.1, 0.2, 0.0], "itls": [[0.01, 0.03], [], []],
        "input_lens": [10, 20, 30], "output_lens": [3, 1, 0], "num_warmups": 2,
    } | more  # fmt: skip


def test_a_request_of_one_token_has_no_decode_and_a_failed_one_is_no_sample(tmp_path):
    found = importers.load(saved(tmp_path, serve_run()))
    assert {s.phase: (s.seconds, s.tokens) for s in found.series} == {
        "prefill": ((0.1, 0.2), (10, 20)), "decode": ((0.04,), (2,)), "e2e": (pytest.approx((0.14, 0.2)), (3, 1)),
    }  # fmt: skip


@pytest.mark.parametrize("key, value", [
    ("std_ttft_ms", 50.0), ("p25_ttft_ms", 125.0), ("mean_tpot_ms", 20.0), ("p99.9_itl_ms", 29.98), ("median_e2el_ms", 170.0),
    ("output_throughput", 1.0), ("total_token_throughput", 8.5),
])  # fmt: skip
def test_every_statistic_of_a_server_run_is_computed_again(tmp_path, key, value):
    for said, agrees in ((value, True), (value * 1.1, False)):
        table = importers.load(saved(tmp_path, serve_run(**{key: said}))).table().set_index("what")
        assert table.loc[key.removesuffix("_ms"), "agrees"] == agrees


def test_a_latency_file_without_percentiles_keeps_its_samples(tmp_path):
    found = importers.load(saved(tmp_path, {"avg_latency": 0.2, "latencies": [0.1, 0.2, 0.3]}))
    assert found.series[0].seconds == (0.1, 0.2, 0.3) and found.table()["agrees"].all()
    none = importers.load(saved(tmp_path, {"avg_latency": 0.2, "latencies": []}))
    assert names(none) == {"no samples"}


def guide_report():
    requests = [
        {
            "request_latency": s,
            "time_to_first_token_ms": 100.0,
            "inter_token_latency_ms": 10.0,
            "output_tokens": 11,
            "prompt_tokens": 64,
        }
        for s in (0.2, 0.3)
    ]
    summary = {
        "mean": 0.25,
        "median": 0.25,
        "std_dev": 0.05,
        "count": 40,
        "percentiles": {"p99": 0.3},
        "mean_ci": {"lower": 0.2, "upper": 0.3},
    }
    metrics = {"request_latency": {"successful": summary}}
    return {
        "metadata": {"guidellm_version": "0.8.1"},
        "benchmarks": [{"requests": {"successful": requests}, "metrics": metrics}],
    }


def test_guidellms_intervals_are_named_for_what_they_assume(tmp_path):
    found = importers.load(saved(tmp_path, guide_report()))
    assert names(found) == {"iid intervals", "not all kept", "few for a tail"}
    assert {s.phase: s.seconds for s in found.series} == {
        "e2e": (0.2, 0.3),
        "prefill": (0.1, 0.1),
        "decode": (0.1, 0.1),
    }
    assert found.table()["agrees"].all()


def test_a_request_without_a_time_or_a_count_gives_no_made_up_one(tmp_path):
    data = guide_report()
    first, second = data["benchmarks"][0]["requests"]["successful"]
    first["request_latency"], second["output_tokens"] = None, None
    found = {s.phase: (s.seconds, s.tokens) for s in importers.load(saved(tmp_path, data)).series}
    assert found == {"e2e": ((0.3,), (None,)), "prefill": ((0.1, 0.1), (64, 64)), "decode": ((0.1,), (10,))}


@pytest.mark.parametrize("unit, run, shown", [
    ("byte", {"values": [1, 2]}, "1 runs in byte, 1 with values"),
    ("second", {"warmups": [[1, 0.5]]}, "1 runs in second, 0 with values"),
])  # fmt: skip
def test_a_pyperf_benchmark_without_seconds_says_that_it_has_no_samples(tmp_path, unit, run, shown):
    found = importers.load(saved(tmp_path, {"metadata": {"unit": unit}, "benchmarks": [{"runs": [run]}]}))
    assert [(d.name, d.shown) for d in found.defects] == [("no samples", shown)] and not found.series


def test_pyperfs_processes_become_sessions_and_warm_ups_stay_warm_ups(tmp_path):
    runs = [
        {"metadata": {}, "warmups": [[1, 0.5]], "values": [0.10, 0.12]},
        {"warmups": [[1, 0.4]], "values": [0.20, 0.22]},
        {"warmups": [[1, 0.3]]},
    ]
    data = {"version": "1.0", "metadata": {"name": "step", "unit": "second"}, "benchmarks": [{"runs": runs}]}
    found = importers.load(saved(tmp_path, data))
    frame = read(found.write(tmp_path / "raw.jsonl"))
    assert sorted(frame["session"].unique()) == [1, 2]
    assert list(samples(frame)["seconds"]) == [0.10, 0.12, 0.20, 0.22]
    assert names(found) == {"pooled processes"}


def test_aiperfs_records_keep_their_units_and_leave_failed_requests_out(tmp_path):
    good = {
        "metadata": {},
        "metrics": {
            "request_latency": {"value": 250.0, "unit": "ms"},
            "time_to_first_token": {"value": 100.0, "unit": "ms"},
            "input_sequence_length": {"value": 64, "unit": "tokens"},
            "output_sequence_length": {"value": 8, "unit": "tokens"},
        },
        "error": None,
    }
    warm = good | {"metadata": {"benchmark_phase": "warmup"}}
    failed = {"metadata": {}, "metrics": {}, "error": {"message": "reset"}}
    found = importers.load(saved(tmp_path, [warm, good, failed], "profile_export.jsonl"))
    assert {s.phase: (s.seconds, s.tokens) for s in found.series} == {
        "prefill": ((0.1,), (64,)),
        "e2e": ((0.25,), (8,)),
    }


def aiperf_line(**metrics):
    return {"metadata": {}, "metrics": {name: {"value": value, "unit": "ms"} for name, value in metrics.items()}}


def test_one_aiperf_request_without_a_first_token_costs_no_other_its_own(tmp_path):
    lines = [aiperf_line(request_latency=250, time_to_first_token=100), aiperf_line(request_latency=50)]
    found = importers.load(saved(tmp_path, lines, "profile_export.jsonl"))
    assert {s.phase: (s.seconds, s.tokens) for s in found.series} == {
        "prefill": ((0.1,), (None,)), "e2e": ((0.25, 0.05), (None, None)),
    }  # fmt: skip


@pytest.mark.parametrize("line, tool", [
    (aiperf_line(request_latency=250), "AIPerf"), (llama_test([67_376_751, 66_127_448], 883_000), "llama-bench"),
])  # fmt: skip
def test_a_file_of_one_line_is_read_as_one_of_many(tmp_path, line, tool):
    found = importers.load(saved(tmp_path, [line], "one.jsonl"))
    assert found.tool == tool and len(found.series) == 1
    assert len(read(found.write(str(tmp_path / "raw.jsonl")))) == len(found.series[0].seconds)


def test_an_ollama_answer_from_the_cache_gives_no_prefill(tmp_path):
    whole = {
        "model": "m",
        "done": True,
        "prompt_eval_count": 26,
        "prompt_eval_duration": 130_000_000,
        "eval_count": 8,
        "eval_duration": 80_000_000,
    }
    cached = {key: value for key, value in whole.items() if not key.startswith("prompt")}
    found = importers.load(saved(tmp_path, [whole, cached], "answers.jsonl"))
    assert [(d.name, d.shown) for d in found.defects] == [("missing prompt count", "1 of 2 answers")]
    assert {s.phase: s.seconds for s in found.series} == {
        "prefill": (0.13,),
        "decode": pytest.approx((0.08, 0.08)),
    }


@pytest.mark.parametrize(
    "text, words",
    [
        ("{", "is not JSON"),
        ('{"a": 1}', "no known tool wrote this"),
        ("[]", "no known tool"),
        ("[" * 100_000, "is not JSON"),
        ('[{"n_prompt": 1, "n_gen": 0, "avg_ns": 0, "samples_ns": [0, 0]}]', "ZeroDivisionError"),
        (
            '[{"n_prompt": 1, "n_gen": 0, "avg_ns": 1, "samples_ns": ["x"]}]',
            "looks like a file of llama-bench",
        ),
    ],
)
def test_what_is_no_result_file_is_refused_in_one_sentence(tmp_path, text, words):
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(ImportProblem, match=words):
        importers.load(path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ImportProblem, match="cannot be read"):
        importers.load(tmp_path / "none.json")
