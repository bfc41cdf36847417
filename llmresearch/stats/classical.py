"""The textbook tests, as thin calls to scipy and statsmodels that refuse broken data instead of warning about it."""

from dataclasses import dataclass
import math
import warnings

import numpy as np
import pandas as pd
from scipy import special, stats
import statsmodels.formula.api as smf
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.oneway import anova_generic
from statsmodels.tools.sm_exceptions import ConvergenceWarning

from .estimates import welch_interval
from ..intervals import NAN, check_share, observations
from ..records import LlmResearchError


@dataclass(frozen=True)
class Test:
    """A test's statistic, p-value, degrees of freedom and, where it has one, the interval of what it estimates.

    nan where the data cannot carry the test; `method` then says why. Unpacks as `statistic, p`.
    """

    __test__ = False      # for pytest: not a class of tests
    statistic: float
    p: float
    df: float | tuple = NAN
    n: int = 0
    value: float = NAN
    low: float = NAN
    high: float = NAN
    method: str = ""

    @property
    def pvalue(self):
        """`p`, under scipy's name for it."""
        return self.p

    def __iter__(self):
        return iter((self.statistic, self.p))


def _refusal(*samples, least=2, spread=True):
    """Why these samples cannot be tested, or ''."""
    for i, x in enumerate(samples, start=1):
        _, reason = observations(x)
        if not reason and np.size(x) < least:
            reason = f"too few: {np.size(x)} values, at least {least} are needed"
        if reason:
            return f"sample {i}: {reason}"
    if len(samples) > 1 and spread and all(np.ptp(np.asarray(x, float)) == 0 for x in samples):
        return "no spread: all values of each sample are equal"
    return ""


def _no_test(reason, *samples):
    return Test(NAN, NAN, n=sum(np.size(x) for x in samples), method=reason)


def welch(a, b, level=0.95):
    """Welch's t test of mean(a) - mean(b) as a Test, with the difference and its interval. Assumes independent samples."""
    reason = _refusal(a, b)
    if reason:
        return _no_test(reason, a, b)
    a, b = np.asarray(a, float).ravel(), np.asarray(b, float).ravel()
    found = stats.ttest_ind(a, b, equal_var=False)
    low, high = welch_interval(a, b, level)
    return Test(float(found.statistic), float(found.pvalue), float(found.df), a.size + b.size,
                float(a.mean() - b.mean()), float(low), float(high), "Welch t test")


def paired(a, b, level=0.95):
    """The paired t test of mean(a - b) as a Test, with the difference and its interval."""
    if np.size(a) != np.size(b):
        return _no_test(f"unequal: {np.size(a)} and {np.size(b)} values are no pairs", a, b)
    d = np.subtract(np.asarray(a, float).ravel(), np.asarray(b, float).ravel())
    reason = _refusal(d) or ("no spread: all differences are equal" if np.ptp(d) == 0 else "")
    if reason:
        return _no_test(reason, d)
    found = stats.ttest_1samp(d, 0)
    interval = found.confidence_interval(level)
    return Test(float(found.statistic), float(found.pvalue), float(found.df), d.size, float(d.mean()),
                float(interval.low), float(interval.high), "paired t test")


def permutation(a, b, statistic=None, resamples=9999, seed=0):
    """A permutation test of two independent samples as a Test; `statistic(x, y, axis)`, by default the difference of
    medians. Exact where the samples are so small that all permutations can be had."""
    reason = _refusal(a, b)
    if reason:
        return _no_test(reason, a, b)
    a, b = np.asarray(a, float).ravel(), np.asarray(b, float).ravel()
    found = stats.permutation_test((a, b), statistic or _median_difference, n_resamples=resamples, vectorized=True,
                                   rng=np.random.default_rng(seed), batch=max(1, 2_000_000 // (a.size + b.size)))
    return Test(float(found.statistic), float(found.pvalue), n=a.size + b.size, value=float(found.statistic),
                method=f"permutation test, at most {resamples} resamples")


def _median_difference(x, y, axis):
    return np.median(x, axis=axis) - np.median(y, axis=axis)


def mann_whitney(a, b):
    """The Mann–Whitney U test as a Test; `value` is the chance that a value of `a` exceeds one of `b`."""
    reason = _refusal(a, b, spread=False)
    if not reason and np.ptp(np.concatenate([np.ravel(a), np.ravel(b)])) == 0:
        reason = "no spread: all values are equal"
    if reason:
        return _no_test(reason, a, b)
    found = stats.mannwhitneyu(np.ravel(a), np.ravel(b))
    share = float(found.statistic) / (np.size(a) * np.size(b))
    return Test(float(found.statistic), float(found.pvalue), n=np.size(a) + np.size(b), value=share,
                method="Mann–Whitney U")


def _named(groups):
    """(names, arrays) of a mapping or a list of samples."""
    if hasattr(groups, "items"):
        return list(groups.keys()), [np.asarray(g, float).ravel() for g in groups.values()]
    return list(range(len(groups))), [np.asarray(g, float).ravel() for g in groups]


def games_howell(groups, level=0.95):
    """A frame with every pair of groups: a, b, difference, low, high, p (simultaneous; unequal variances and sizes).

    `groups`: a mapping of name to sample, or a list of samples. The family is all pairs. Broken data: nan and `method`.
    """
    names, samples = _named(groups)
    pairs = [(i, j) for i in range(len(names)) for j in range(i + 1, len(names))]
    reason = "one group: nothing to compare" if len(names) < 2 else _refusal(*samples)
    if not reason and any(np.ptp(s) == 0 for s in samples):
        reason = "no spread: a group's values are all equal"
    if reason:
        rows = [(names[i], names[j], *[NAN] * 4, reason) for i, j in pairs]
        return pd.DataFrame(rows, columns=["a", "b", "difference", "low", "high", "p", "method"])
    found = stats.tukey_hsd(*samples, equal_var=False)
    interval = found.confidence_interval(level)
    rows = [(names[i], names[j], found.statistic[i, j], interval.low[i, j], interval.high[i, j], found.pvalue[i, j],
             "Games–Howell") for i, j in pairs]
    return pd.DataFrame(rows, columns=["a", "b", "difference", "low", "high", "p", "method"])


def anova(groups, equal_var=False):
    """One-way analysis of variance as a Test: Welch's by default, the classical F where `equal_var`.

    `groups`: a mapping of name to sample, or a list of samples.
    """
    _, samples = _named(groups)
    reason = "one group: nothing to compare" if len(samples) < 2 else _refusal(*samples)
    if not reason and not equal_var and any(np.ptp(s) == 0 for s in samples):
        reason = "no spread: a group's values are all equal"
    if reason:
        return _no_test(reason, *samples)
    return anova_from_summary([s.size for s in samples], [s.mean() for s in samples],
                              [s.std(ddof=1) for s in samples], equal_var)


def anova_from_summary(n, mean, sd, equal_var=True):
    """One-way analysis of variance from a published table as a Test: F, p, df = (between, within).

    `n`, `mean`, `sd` (sample standard deviation): one value per group. `value` is eta squared, the share of the
    variance that lies between groups. `equal_var` False is Welch's. Assumes independent samples, as the table did.
    """
    n, mean, sd = (np.atleast_1d(np.asarray(v, dtype=float)) for v in (n, mean, sd))
    reason = _summary_refusal(n, mean, sd)
    if reason:
        return Test(NAN, NAN, (NAN, NAN), method=reason)
    found = anova_generic(mean, sd**2, n, use_var="equal" if equal_var else "unequal")
    between = (n * (mean - (n * mean).sum() / n.sum()) ** 2).sum()
    within = ((n - 1) * sd**2).sum()
    return Test(float(found.statistic), float(found.pvalue), tuple(float(v) for v in found.df), int(n.sum()),
                float(between / (between + within)), method="one-way ANOVA" if equal_var else "Welch's ANOVA")


def _summary_refusal(n, mean, sd):
    if not n.size == mean.size == sd.size:
        return f"unequal: {n.size} counts, {mean.size} means and {sd.size} standard deviations"
    if n.size < 2:
        return "one group: nothing to compare"
    if not np.isfinite([n, mean, sd]).all():
        return "a count, mean or standard deviation is nan or infinite"
    if (n < 2).any():
        return "too few: a group of fewer than 2 has no spread"
    if (sd < 0).any():
        return "a negative standard deviation"
    return "no spread: all standard deviations are zero" if (sd == 0).all() else ""


def ttest_from_summary(n1, m1, s1, n2, m2, s2, equal_var=False, level=0.95):
    """The t test of m1 - m2 from a published table (counts, means, sample standard deviations) as a Test.

    Welch's unless `equal_var`. `value`, `low`, `high`: the difference of the means and its interval.
    """
    check_share("level", level)
    n, mean, sd = (np.array(v, dtype=float) for v in ((n1, n2), (m1, m2), (s1, s2)))
    reason = _summary_refusal(n, mean, sd)
    if reason:
        return Test(NAN, NAN, method=reason)
    found = stats.ttest_ind_from_stats(m1, s1, n1, m2, s2, n2, equal_var=equal_var)
    parts = sd**2 / n
    df, error = float(n.sum() - 2), math.sqrt(parts.sum())
    if equal_var:
        error = math.sqrt(((n - 1) * sd**2).sum() / df * (1 / n).sum())
    else:
        df = float(parts.sum() ** 2 / (parts**2 / (n - 1)).sum())
    half = special.stdtrit(df, (1 + level) / 2) * error
    return Test(float(found.statistic), float(found.pvalue), df, int(n.sum()), float(m1 - m2), float(m1 - m2 - half),
                float(m1 - m2 + half), "Student t test" if equal_var else "Welch t test")


def anova_two_way(df, value, a, b):
    """A frame with the sums of squares (type II), df, F and p of two factors and, with replicates, their interaction."""
    return _anova_of(df, value, [a, b], df.groupby([a, b], observed=True).size().max() > 1)


def anova_blocked(df, value, factor, block):
    """A frame with the sums of squares (type II), df, F and p of a factor and of the blocks it was tried in."""
    return _anova_of(df, value, [factor, block], False)


def _anova_of(df, value, factors, interaction):
    reason = _frame_refusal(df, value, factors)
    if reason:
        out = pd.DataFrame({c: NAN for c in ("sum_sq", "df", "F", "p")}, index=[*factors, "Residual"])
        out.attrs["reason"] = reason
        return out
    frame = df.rename(columns={value: "y_"})
    terms = [f"C(Q({name!r}))" for name in factors]
    formula = "y_ ~ " + (" * " if interaction else " + ").join(terms)
    table = anova_lm(smf.ols(formula, frame).fit(), typ=2).rename(columns={"PR(>F)": "p"})
    names = dict(zip([*terms, ":".join(terms)], [*factors, ":".join(factors)]))
    return table.rename(index=names)


def _frame_refusal(df, value, factors):
    reason = observations(df[value])[1]
    if reason:
        return f"{value}: {reason}"
    for name in factors:
        if df[name].nunique() < 2:
            return f"{name}: one group, nothing to compare"
    sizes = df.groupby(factors, observed=True)[value]
    if sizes.ngroups < np.prod([df[name].nunique() for name in factors]):
        return f"unequal blocks: some combinations of {' and '.join(factors)} were not measured"
    if df[value].nunique() == 1 or np.ptp(df[value] - sizes.transform("mean")) == 0 and sizes.size().max() > 1:
        return "no spread within the groups"
    return ""


def mixed_model(df, value, factor, group="session", baseline=None, level=0.95):
    """A frame with one row per level of `factor`: estimate against the baseline level, low, high, p (REML, normal
    limits), with a random intercept per `group`. `.attrs`: group_sd, residual_sd, converged, reason.

    For 5 groups or fewer its normal limits are too narrow: `compare` is the front door.
    """
    levels = [baseline] if baseline is not None else []
    levels += [v for v in sorted(df[factor].unique()) if v not in levels]
    out = pd.DataFrame({"estimate": NAN, "low": NAN, "high": NAN, "p": NAN}, index=pd.Index(levels[1:], name=factor))
    reason = _model_refusal(df, value, levels, group)
    if reason:
        out.attrs["reason"] = reason
        return out
    frame = pd.DataFrame({"y": np.asarray(df[value], float), "group": pd.factorize(df[group])[0],
                          "level": pd.Categorical(df[factor], levels).codes})
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            fit = smf.mixedlm("y ~ C(level)", frame, groups="group").fit()
        except np.linalg.LinAlgError as error:
            raise LlmResearchError(f"mixed_model: the fit is singular ({error}). Use compare instead.") from error
    limits = fit.conf_int(1 - level)
    for code, name in enumerate(levels[1:], start=1):
        row = f"C(level)[T.{code}]"
        out.loc[name] = [fit.params[row], *limits.loc[row], fit.pvalues[row]]
    notes = sorted({str(w.message) for w in said if issubclass(w.category, ConvergenceWarning)})
    out.attrs.update(group_sd=float(np.sqrt(fit.cov_re.iloc[0, 0])), residual_sd=float(np.sqrt(fit.scale)),
                     converged=bool(fit.converged), reason="; ".join(notes))
    return out


def _model_refusal(df, value, levels, group):
    reason = observations(df[value])[1]
    if reason:
        return f"{value}: {reason}"
    if len(levels) < 2:
        return "one group: nothing to compare"
    if df[group].nunique() < 2:
        return f"{group}: a single one has no spread"
    return "no spread: all values are equal" if df[value].nunique() == 1 else ""


def tost(a, b, margin, paired_samples=False, level=0.95):
    """Two one-sided t tests of equivalence as a Test: p is the chance of seeing this if mean(a) - mean(b) were outside
    ± `margin` (in the unit of the samples; take logarithms for ratios); the interval is the 1 - 2 alpha one."""
    if not margin > 0:
        raise LlmResearchError(f"margin: {margin!r} is not positive. Give the largest difference that does not matter.")
    inner = paired(a, b, 2 * level - 1) if paired_samples else welch(a, b, 2 * level - 1)
    if not math.isfinite(inner.p):
        return inner
    error = (inner.high - inner.low) / 2 / special.stdtrit(inner.df, level)
    shift = (abs(inner.value) - margin) / error
    return Test(float(shift), float(special.stdtr(inner.df, shift)), inner.df, inner.n, inner.value, inner.low,
                inner.high, f"two one-sided tests, margin ± {margin:g}; {inner.method}")
