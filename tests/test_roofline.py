"""The ceilings of this device: a buffer that was never written must not pass for memory."""

import pytest

from llmresearch import roofline
from llmresearch.selfcheck import roofline as check


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(roofline, "LEAST_BUFFER", 16 << 20)
    monkeypatch.setattr(roofline, "BEYOND_CACHE", 0)
    monkeypatch.setattr(roofline, "GEMM", 256)


def test_ceilings_have_bandwidth_peak_and_cache(small):
    found = roofline.measure("cpu", repeats=1)
    assert found["bytes_per_s"] == max(found["read_bytes_per_s"], found["copy_bytes_per_s"])
    assert found["bytes_per_s"] > 1e8 and found["flops_per_s"]["fp32"] > 1e8
    assert found["resident_share"] > 0.9 and found["cache_bytes"] >= 0


def test_a_buffer_that_did_not_become_memory_is_refused(monkeypatch):
    monkeypatch.setattr(roofline, "_resident", lambda: 0.0)
    with pytest.raises(roofline.CeilingNotMeasured, match="0% of a written buffer of 1 MiB is real memory"):
        roofline.touched(1 << 20)


def test_an_unknown_device_is_refused():
    with pytest.raises(roofline.CeilingNotMeasured, match="device 'tpu' is not known. Devices: cpu, cuda"):
        roofline.measure("tpu")


def test_the_fastest_call_counts_and_the_first_does_not(monkeypatch):
    ticks = iter([0.0, 3.0, 3.0, 5.0, 5.0, 9.0])
    monkeypatch.setattr(roofline.time, "perf_counter", lambda: next(ticks))
    calls = []
    assert roofline.fastest(lambda: calls.append(1), 3) == 2.0 and len(calls) == 4


CEILINGS = {"bytes_per_s": 4e10, "flops_per_s": {"fp32": 1e11}, "cache_bytes": 32 << 20}


def test_the_replay_of_a_fixture_that_was_called_gpt2_is_refused_and_real_runs_pass():
    found = check.run(ceilings=CEILINGS)
    assert found["passed"] and found["replay_refused"]
    assert found["replay"] == {"test fixture as 124 M": 1.0, "test fixture as itself": 0.0, "real model as 124 M": 0.0}
    assert (found["caught"], found["false_flags"]) == (1.0, 0.0)


def test_a_judge_without_bounds_fails_the_check(monkeypatch):
    monkeypatch.setattr(check, "impossible", lambda frame, **limits: frame.head(0))
    assert not check.run(ceilings=CEILINGS)["passed"]


def test_a_probe_in_a_process_of_its_own_gives_the_same_facts(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = roofline.apart("cpu")
    assert found["device"] == "cpu" and found["bytes_per_s"] > 1e8 and found["flops_per_s"]["fp32"] > 1e8


def test_a_device_that_is_not_there_leaves_its_sentence_instead_of_a_ceiling():
    found = roofline.apart("tpu")
    assert found == {"device": "tpu", "refused": "roofline: device 'tpu' is not known. Devices: cpu, cuda."}


def test_an_interpreter_that_is_not_there_leaves_its_sentence():
    assert "the probe did not run" in roofline.apart("cpu", "/nowhere/python")["refused"]
