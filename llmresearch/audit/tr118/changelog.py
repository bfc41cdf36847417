"""What changes in TR118 when its figures follow from its data: one line for each table and verdict."""

import pandas as pd

from ..findings import ledger

SECTION = {
    "raw_tr118_runs": "2.1", "tr118_token_definitions": "2.1", "tr118_overall_throughput": "4",
    "tr118_a1_a2_scenario_throughput": "4, A.1, A.2", "tr118_v2_scenario_latency_throughput": "4 (v2)",
    "tr118_11m": "13.4 (v2.1)", "tr118_45m": "A.3 (v2.1)", "tr118_scaling_heatmap": "12.3",
    "tr118_5m_auto_report": "5 M report", "tr118_5m_tests": "5 M report", "tr118_crossover_points": "5",
    "tr118_crossover_claims": "5, 13", "tr118_ci_claims": "15.2, B.1", "tr118_ttest_claims": "15.1",
    "tr118_effect_size_claims": "B.2", "tr118_artifacts": "3, 6.2", "tr118_precision": "6.2",
    "tr118_amortization": "9.2", "tr118_perplexity": "8", "tr118_perplexity_inputs": "8",
    "tr118_perplexity_delta": "C.2", "tr118_perplexity_logprob_appendix_c": "C.1",
    "tr118_failure_classification": "7", "tr118_decision_matrix_9_1": "9.1", "tr118_decision_matrix_16_2": "16.2",
    "tr118_degradation": "15.3", "tr118_degradation_v2_1": "15.3 (v2.1)",
}


def changelog(findings):
    """One row for each table and kind of wrong figure: section, how many of how many, an example, and why.

    Only what is inconsistent or refuted changes; the example is the first such finding of its table and verdict.
    """
    table = ledger(findings)
    wrong = table[table["verdict"].isin(["inconsistent", "refuted"])]
    rows = []
    for (name, verdict), group in wrong.groupby(["table", "verdict"], sort=False):
        first = group.iloc[0]
        rows.append({
            "section": SECTION.get(name, "–"), "verdict": verdict, "figures": len(group),
            "of": int((table["table"] == name).sum()), "example": first["claim"], "was": first["published"],
            "is": first["ours"], "why": first["how"]})
    return pd.DataFrame(rows, columns=["section", "verdict", "figures", "of", "example", "was", "is", "why"])
