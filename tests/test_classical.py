import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from llmresearch.stats import classical, effects
from llmresearch.stats.corrections import adjust, benjamini_hochberg, holm
from llmresearch.records import LlmResearchError

A = [5.1, 4.9, 5.6, 5.8, 5.0, 5.3, 5.5]
B = [5.9, 6.1, 5.7, 6.4, 6.0, 5.8, 6.6, 6.2]
C = [5.4, 7.0, 6.5, 4.2, 6.8]


def test_welch_agrees_with_scipy_and_gives_the_difference():
    found = classical.welch(A, B)
    theirs = stats.ttest_ind(A, B, equal_var=False)
    interval = theirs.confidence_interval()
    assert (found.statistic, found.p, found.df) == pytest.approx((theirs.statistic, theirs.pvalue, theirs.df))
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.value == pytest.approx(np.mean(A) - np.mean(B))


def test_a_published_t_test_follows_from_its_summary():
    found = classical.ttest_from_summary(7, np.mean(A), np.std(A, ddof=1), 8, np.mean(B), np.std(B, ddof=1))
    raw = classical.welch(A, B)
    assert (found.statistic, found.p, found.df) == pytest.approx((raw.statistic, raw.p, raw.df))
    assert (found.low, found.high) == pytest.approx((raw.low, raw.high))
    statistic, p = classical.ttest_from_summary(7, 5.3, 0.3, 8, 6.1, 0.3, equal_var=True)
    assert statistic == pytest.approx(-0.8 / (0.3 * (1 / 7 + 1 / 8) ** 0.5))
    assert p == pytest.approx(2 * stats.t.sf(-statistic, 13))


def test_a_published_anova_follows_from_its_summary():
    groups = [A, B, C]
    found = classical.anova_from_summary([7, 8, 5], [np.mean(g) for g in groups], [np.std(g, ddof=1) for g in groups])
    theirs = stats.f_oneway(*groups)
    assert (found.statistic, found.pvalue) == pytest.approx((theirs.statistic, theirs.pvalue))
    assert found.df == (2, 17)


def test_anova_of_samples_is_welchs_unless_asked_otherwise():
    assert classical.anova([A, B, C]).p == pytest.approx(stats.f_oneway(A, B, C, equal_var=False).pvalue)
    assert classical.anova({"a": A, "b": B}, equal_var=True).p == pytest.approx(stats.ttest_ind(A, B).pvalue)


def test_games_howell_compares_every_pair():
    table = classical.games_howell({"hf": A, "ort": B, "trt": C})
    assert table[["a", "b"]].to_numpy().tolist() == [["hf", "ort"], ["hf", "trt"], ["ort", "trt"]]
    assert table["difference"][0] == pytest.approx(np.mean(A) - np.mean(B))
    assert table["p"][0] < 0.01 < table["p"][2]


def test_permutations_of_few_values_are_all_taken():
    found = classical.permutation([1, 2, 3], [4, 5, 6], lambda x, y, axis: x.mean(axis) - y.mean(axis))
    assert found.p == pytest.approx(2 / 20)
    assert classical.permutation([1, 2, 3], [4, 5, 6]).value == -3


def test_mann_whitney_gives_the_chance_of_the_larger():
    found = classical.mann_whitney([1, 2, 3, 7], [4, 5, 6, 8])
    assert found.value == 3 / 16
    assert found.p == pytest.approx(stats.mannwhitneyu([1, 2, 3, 7], [4, 5, 6, 8]).pvalue)


def test_equivalence_needs_both_one_sided_tests():
    near = [10.0, 10.1, 9.9, 10.05, 9.95]
    assert classical.tost(near, [v + 0.02 for v in near], 0.5).p < 0.01
    assert classical.tost(near, [v + 0.5 for v in near], 0.5).p == pytest.approx(0.5)
    found = classical.tost(A, B, 1.0)
    error = (stats.ttest_ind(A, B, equal_var=False).confidence_interval(0.9).high - (np.mean(A) - np.mean(B)))
    error /= stats.t.ppf(0.95, found.df)
    assert found.p == pytest.approx(stats.t.cdf((abs(np.mean(A) - np.mean(B)) - 1) / error, found.df))


def block_frame():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"backend": ["hf", "ort", "trt"] * 12, "session": np.repeat(range(6), 6)})
    frame["seconds"] = 1 + 0.1 * (frame["backend"] == "ort") + 0.5 * rng.standard_normal(6)[frame["session"]]
    frame["seconds"] += 0.05 * rng.standard_normal(36)
    return frame


def test_blocking_finds_what_the_blocks_hide():
    table = classical.anova_blocked(block_frame(), "seconds", "backend", "session")
    assert table.loc["backend", "p"] < 1e-4
    pooled = classical.anova([g["seconds"].to_numpy() for _, g in block_frame().groupby("backend")])
    assert pooled.p > 0.05


def test_two_factors_with_replicates_have_an_interaction():
    table = classical.anova_two_way(block_frame(), "seconds", "backend", "session")
    assert list(table.index) == ["backend", "session", "backend:session", "Residual"]
    assert table["df"].tolist() == [2, 5, 10, 18]


def test_the_mixed_model_estimates_against_the_baseline_with_sessions_at_random():
    table = classical.mixed_model(block_frame(), "seconds", "backend", "session", baseline="hf")
    assert table.index.tolist() == ["ort", "trt"]
    assert table.loc["ort", "low"] < 0.1 < table.loc["ort", "high"]
    assert table.attrs["group_sd"] > 4 * table.attrs["residual_sd"]


@pytest.mark.parametrize("method, theirs", [("holm", "holm"), ("bonferroni", "bonferroni"), ("bh", "fdr_bh")])
def test_corrections_agree_with_statsmodels(method, theirs):
    p = np.array([0.01, 0.04, 0.03, 0.005, 0.8, 0.03])
    assert adjust(p, method) == pytest.approx(multipletests(p, method=theirs)[1])


def test_what_was_not_tested_does_not_count_in_the_family():
    assert holm([0.02, np.nan, 0.03]) == pytest.approx([0.04, np.nan, 0.04], nan_ok=True)
    assert benjamini_hochberg([0.02, np.nan, 0.03]) == pytest.approx([0.03, np.nan, 0.03], nan_ok=True)
    with pytest.raises(LlmResearchError, match="no p-value"):
        holm([0.1, 1.2])


def test_effects_stand_with_their_intervals():
    d = effects.cohens_d(A, B)
    pooled = ((6 * np.var(A, ddof=1) + 7 * np.var(B, ddof=1)) / 13) ** 0.5
    assert d.value == pytest.approx((np.mean(A) - np.mean(B)) / pooled)
    scale = (1 / 7 + 1 / 8) ** 0.5
    assert stats.nct.cdf(d.value / scale, 13, d.low / scale) == pytest.approx(0.975, abs=1e-6)
    assert stats.nct.cdf(d.value / scale, 13, d.high / scale) == pytest.approx(0.025, abs=1e-6)
    assert effects.hedges_g(A, B).value / d.value == pytest.approx(1 - 3 / (4 * 13 - 1), abs=1e-3)


def test_cliffs_delta_counts_pairs_and_covers_the_truth():
    e = effects.cliffs_delta([1, 2, 3, 7], [4, 5, 6, 8])
    assert e.value == 3 / 16 * 2 - 1
    assert -1 <= e.low < e.value < e.high <= 1
    rng = np.random.default_rng(0)
    truth = 2 * stats.norm.cdf(0.5 / 2**0.5) - 1
    found = [effects.cliffs_delta(rng.normal(0.5, 1, 20), rng.normal(0, 1, 25)) for _ in range(400)]
    assert 0.93 <= np.mean([e.low <= truth <= e.high for e in found]) <= 0.98


BROKEN = [([1.0], [2.0]), ([], [1.0, 2.0]), ([1.0, 1.0], [2.0, 2.0]), ([1.0, np.nan, 2.0], [1.0, 2.0]),
          ([1.0, np.inf, 2.0], [1.0, 2.0])]


@pytest.mark.parametrize("a, b", BROKEN)
@pytest.mark.parametrize("test", [classical.welch, classical.permutation, classical.paired,
                                  lambda a, b: classical.tost(a, b, 1.0), lambda a, b: classical.anova([a, b])])
def test_broken_samples_have_no_p_value_and_a_reason(test, a, b):
    found = test(a, b)
    assert np.isnan(found.p)
    assert found.method


@pytest.mark.parametrize("a, b", BROKEN)
@pytest.mark.parametrize("effect", [effects.cohens_d, effects.hedges_g, effects.cliffs_delta])
def test_broken_samples_have_no_effect_interval_and_a_reason(effect, a, b):
    e = effect(a, b)
    assert np.isnan([e.low, e.high]).all()
    assert e.method


@pytest.mark.parametrize("n, mean, sd, reason", [
    ([30], [1], [1], "one group"), ([30, 1], [1, 2], [1, 1], "too few"), ([30, 30], [1, 2], [0, 0], "no spread"),
    ([30, 30], [1, np.nan], [1, 1], "nan"), ([30, 30], [1, 2], [1, -1], "negative"), ([30, 30], [1, 2, 3], [1, 1], "unequal")])
def test_a_broken_summary_is_refused(n, mean, sd, reason):
    found = classical.anova_from_summary(n, mean, sd)
    assert np.isnan(found.p)
    assert reason in found.method


def test_broken_frames_are_refused():
    frame = block_frame()
    for broken, reason in ((frame.assign(seconds=1.0), "no spread"), (frame.assign(backend="hf"), "one group"),
                           (frame.assign(seconds=np.nan), "nan"), (frame.iloc[:2], "one")):
        for table in (classical.anova_blocked(broken, "seconds", "backend", "session"),
                      classical.mixed_model(broken, "seconds", "backend", "session")):
            assert table["p"].isna().all()
            assert table.attrs["reason"]
    assert "not measured" in classical.anova_blocked(frame.iloc[1:].drop_duplicates(["backend", "session"]).iloc[1:], "seconds",
                                                     "backend", "session").attrs["reason"]
