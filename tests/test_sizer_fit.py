import copy
from dataclasses import replace

import numpy as np
import pytest
import yaml

from llmresearch.sizer import conformal, fit, profiles
from llmresearch.sizer.coefficients import PATH, coefficients


@pytest.fixture(scope="module")
def data():
    return profiles.vllm_profiles()


def test_refitting_reproduces_the_coefficients_of_the_package(tmp_path):
    fit.write(tmp_path / "again.yaml")
    assert yaml.safe_load((tmp_path / "again.yaml").read_text()) == yaml.safe_load(PATH.read_text())


def test_coefficients_carry_the_provenance_of_their_fit():
    found = coefficients()["provenance"]
    assert found["rows"] >= 140
    assert len(found["families"]) >= 20
    assert found["written_by"] == "python -m llmresearch.sizer.fit"


def test_every_profile_names_its_source():
    assert profiles.read_table().source.notna().all()


def test_the_sampler_law_is_recovered_from_a_truth_it_does_not_know(data):
    c = copy.deepcopy(coefficients())
    c["activation"]["sampler"] = {"copies": 2.5, "hidden_copies": 2.0, "compiled_gib": 0.1, "eager_gib": 0.07}
    rows = fit._plain(data)
    truth = fit.predicted(data, c)["activation"]
    measured = data.measured | {"activation": np.where(rows, truth, np.nan)}
    found = fit.fit(replace(data, measured=measured))["activation"]["sampler"]
    assert found["copies"] == pytest.approx(2.5, rel=0.02)
    assert found["hidden_copies"] == pytest.approx(2.0, rel=0.2)


def test_a_family_that_was_measured_often_weighs_no_more():
    weight = fit._family_weights(np.array(["a", "a", "a", "b"]), np.ones(4, bool))
    assert weight.tolist() == [1 / 3, 1 / 3, 1 / 3, 1]


def test_a_fit_without_a_family_does_not_see_it(data):
    granite = data.family == "granite"
    assert fit.fit(data)["non_torch"]["odd_vocabulary_gib"] == pytest.approx(0.21)
    assert fit.fit(data, ~granite)["non_torch"]["odd_vocabulary_gib"] == 0.0


def test_quantiles_of_scores_reach_beyond_the_largest_when_there_are_few():
    low, high = fit._quantiles(np.array([-1.0, 0.0, 2.0]), np.ones(3, bool), np.array(["a", "b", "c"]))
    assert (low, high) == (-1.25, 2.5)


def test_quantiles_of_many_scores_leave_five_percent_on_each_side():
    rng = np.random.default_rng(5)
    values = rng.normal(size=4000)
    low, high = fit._quantiles(values, np.ones(4000, bool), np.arange(4000).astype(str))
    assert (low, high) == pytest.approx((-1.645, 1.645), abs=0.08)


def test_p_fit_is_students_t_with_four_degrees_of_freedom():
    from scipy.stats import t

    for slack in (-3.0, -0.5, 0.0, 0.7, 2.0):
        found = conformal.probability(
            np.array([10e9 + slack * 1e9]), np.array([10e9]), np.array([9e9]), np.array([11e9])
        )
        assert found[0] == pytest.approx(np.clip(t.cdf(slack * 2.1318467863, 4), 0.005, 0.995), abs=1e-6)
