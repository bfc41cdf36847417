"""Samples that no device can have taken are found, and honest ones pass."""

import numpy as np
import pandas as pd
import pytest

from llmresearch.plausibility import ImpossibleSamples, bounds, impossible, refuse_impossible


def calls(**columns):
    base = {"backend": "b", "model": "m", "dtype": "fp32", "phase": "decode", "batch": 1, "prompt_tokens": 10, "tokens": 1,
            "params_declared": 1e9, "seconds": [1.0]}
    return pd.DataFrame(base | columns)


def bound(column="bound_s", bandwidth=1e9, flops=1e12, cache_bytes=0, embeddings=None, **columns):
    return bounds(calls(**columns), bandwidth, flops, cache_bytes, embeddings)[column].tolist()


def test_a_decode_step_reads_every_weight_once():
    assert bound() == [4.0]
    assert bound(dtype="bf16", tokens=8) == [16.0]


def test_a_batch_reads_the_weights_once_for_all():
    assert bound(batch=4, tokens=8) == [8.0]


def test_prefill_reads_once_and_computes_for_each_token_what_all_tokens_pass():
    columns = {"phase": "prefill", "prompt_tokens": 100, "tokens": 100}
    assert bound("by_bytes_s", **columns) == [4.0]
    # 2 × (0.4e9 × 100 + 0.6e9) / 1e9: the output embedding may be applied to the last token only
    assert bound("by_flops_s", flops=1e9, embeddings={"m": 6e8}, **columns) == [81.2]
    assert bound("by_flops_s", flops=1e9, **columns) == [2.0]


def test_without_a_cache_every_token_reads_and_computes_the_whole_prefix():
    columns = {"phase": "generate", "prompt_tokens": 10, "tokens": 3, "embeddings": {"m": 0}}
    assert bound("by_bytes_s", **columns) == [12.0]
    assert bound("by_flops_s", flops=1e9, **columns) == [2 * (10 + 11 + 12)]


def test_a_whole_request_is_a_prefill_and_the_further_steps():
    columns = {"phase": "e2e", "prompt_tokens": 10, "tokens": 3, "embeddings": {"m": 0}}
    assert bound("by_bytes_s", **columns) == [12.0]
    assert bound("by_flops_s", flops=1e9, **columns) == [2 * (10 + 2)]


def test_what_fits_the_cache_is_not_judged_by_its_bytes():
    assert np.isnan(bound("by_bytes_s", cache_bytes=4e9)).all()
    assert bound("by_bytes_s", cache_bytes=3e9) == [1.0]


def test_the_measured_count_goes_before_the_declared_one_and_active_experts_before_both():
    assert bound(params_measured=2e9) == [8.0]
    assert bound(params_measured=[np.nan]) == [4.0]
    assert bound(params_measured=2e9, params_active=5e8) == [2.0]


def test_nothing_is_said_of_an_unknown_size_dtype_or_phase():
    assert np.isnan(bound(params_declared=np.nan)).all()
    assert np.isnan(bound(dtype="fp4", flops={"fp32": 1e12})).all()
    assert np.isnan(bound(phase=None, tokens=np.nan)).all()


def test_a_dtype_without_a_peak_is_judged_by_its_bytes_alone():
    assert bound(dtype="int8", flops={"fp32": 1.0}) == [1.0]


def test_a_sample_beyond_the_bound_by_more_than_the_room_is_flagged_with_both_times():
    found = impossible(calls(seconds=[3.3, 3.1, 40.0]), 1e9, 1e12)
    assert found["seconds"].tolist() == [3.1]
    assert found["why"].tolist() == ["3.1e+03 ms, and reading its weights takes 4e+03 ms at least on this device"]


def test_impossible_samples_are_refused_in_one_sentence():
    refuse_impossible(calls(seconds=[4.0]), 1e9, 1e12)
    with pytest.raises(ImpossibleSamples, match="1 of 2 calls are faster than the device can be; the worst: m, b, decode"):
        refuse_impossible(calls(seconds=[0.1, 5.0]), 1e9, 1e12)
