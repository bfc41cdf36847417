"""TR118, audited: every figure of its published tables against its own arithmetic and its own runs."""

from . import counts, crossings, decisions, failing, quality, significance, sizes, throughputs
from .changelog import changelog
from .corrected import Section, corrected, size_ratios

__all__ = ["QUESTIONS", "Section", "audit", "changelog", "corrected", "size_ratios"]

# Question: the checks that answer it; each takes the published runs (or None) and gives findings.
QUESTIONS = {
    "How many runs were there, and how many degraded?": (
        counts.degradation, counts.raw_files, counts.overall_rates),
    "Do the throughputs and latencies follow from the runs?": (
        throughputs.overall, throughputs.appendix_a, throughputs.version_2, throughputs.five_m,
        throughputs.eleven_m, throughputs.forty_five_m, lambda runs: throughputs.heatmap()),
    "What does throughput mean here?": (
        lambda runs: counts.tokens(), lambda runs: counts.padding(), throughputs.definition),
    "Where does the CPU stop winning?": (
        lambda runs: crossings.claims(), crossings.rows_of_points, crossings.verdict_of_interval),
    "Do the intervals and tests follow from the runs?": (
        significance.intervals, significance.t_tests, significance.effect_sizes, significance.five_m_tests),
    "Are the artefacts what their labels say, and do they pay?": (
        lambda runs: sizes.artefacts(), sizes.precision, lambda runs: sizes.amortisation()),
    "Is quality kept?": (
        lambda runs: quality.sums(), lambda runs: quality.gates(), lambda runs: quality.same_weights(),
        lambda runs: quality.log_probabilities(), lambda runs: quality.deltas()),
    "Why did runs fail?": (failing.classes,),
    "Do the decision matrices agree, with each other and with the runs?": (
        lambda runs: decisions.contradictions(), decisions.against_runs, decisions.speed_ups),
}


def audit(runs=None, question=None):
    """All findings on TR118, or those of one of QUESTIONS, as a list; `runs` is what `published_runs` gave.

    Without the runs, what only they can show ends as 'not checkable'.
    """
    chosen = QUESTIONS if question is None else {question: QUESTIONS[question]}
    return [finding for checks in chosen.values() for check in checks for finding in check(runs)]
