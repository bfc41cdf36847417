"""How many runs there were and how many degraded: §2.1 and §15.3 of versions 2.1 and 2.2, and §4's counts."""

from math import prod

from ..findings import Finding, compare
from ..tables import published
from .runs import DEEP, NEW_TOKENS, PLAN, TOKENS

RUNS = prod(PLAN.values())                              # 720
PER_MODE = RUNS // (PLAN["backends"] * PLAN["modes"])   # 60 for each backend and mode, both models together
WHY = "2 models × 6 backends × 6 scenarios × 5 repetitions × 2 modes = 720, so 60 for each backend and mode"


def degradation(runs):
    """§15.3: version 2.2's counts against its runs, and version 2.1's against the plan that both share."""
    found = []
    for row in published("tr118_degradation").to_dict("records"):
        found += _against_runs(row, runs)
    for row in published("tr118_degradation_v2_1").to_dict("records"):
        found += _against_plan(row)
    return found + [_total("tr118_degradation", "v2.2"), _total("tr118_degradation_v2_1", "v2.1")]


def _split(text):
    done, total = text.partition(" ")[0].split("/")
    return int(done), int(total)


def _against_runs(row, runs):
    found, total = [], 0
    for mode in ("prefill", "generate"):
        done, planned = _split(row[f"{mode}_success"])
        ours, how = _successes(runs, row["backend"], mode)
        claim = f"{row['version']} {row['backend']}: {mode} successes of {planned}"
        found.append(compare("tr118_degradation", claim, str(done), ours, how, row["source"], measured=True))
        total += done
    claim, how = f"{row['version']} {row['backend']}: degraded", "120 planned less the printed successes"
    return [*found, compare("tr118_degradation", claim, row["degraded_count"], 120.0 - total, how, row["source"])]


def _successes(runs, backend, mode):
    if runs is None:
        return float("nan"), "needs the raw runs"
    here = runs[(runs["campaign"] == DEEP) & (runs["backend"] == backend) & (runs["mode"] == mode)]
    return float(here["ok"].sum()), f"successful of {len(here)} runs in {DEEP}"


def _against_plan(row):
    found = []
    for column, planned in (("prefill_success", PER_MODE), ("generate_success", PER_MODE),
                            ("overall_success", 2 * PER_MODE)):
        _, printed = _split(row[column])
        claim = f"{row['version']} {row['backend']}: runs behind {column.replace('_', ' ')}"
        found.append(compare("tr118_degradation_v2_1", claim, str(printed), float(planned), WHY, row["source"]))
    return found


def _total(table, version):
    rows = published(table)
    printed = sum(_split(text)[1] for text in rows["overall_success"])
    how = f"sum of the six backends' totals, against the plan: {WHY}"
    return compare(table, f"{version}: runs of all backends together", str(printed), float(RUNS), how,
                   rows["source"][0])


def raw_files(runs):
    """How many runs and files were really published, against the 720 that the report speaks of."""
    table, source = "raw_tr118_runs", "raw_tr118_runs.csv"
    if runs is None:
        return [Finding(table, "all runs stand in the report", "720", "nothing", "not checkable",
                        "needs the raw runs", source)]
    ours = f"{len(runs):,} runs in {runs['session'].nunique()} files, {(~runs['ok']).sum():,} of them failed"
    here = runs[runs["campaign"] == DEEP]
    how = "counted; each file holds 6 backends × 6 scenarios × 5 repetitions = 180 runs"
    return [
        Finding(table, "all runs stand in the report", "720", ours, "refuted", how, source),
        compare(table, "v2.2: runs of its own two models", "720", float(len(here)), f"counted in {DEEP}", source,
                measured=True),
    ]


def overall_rates(runs):
    """§4: `n_runs` and the degraded rate of each backend, mode and model."""
    found = []
    for row in published("tr118_overall_throughput").to_dict("records"):
        here = None if runs is None else runs[
            (runs["campaign"] == DEEP) & (runs["model"] == row["model"]) & (runs["mode"] == row["mode"])
            & (runs["backend"] == row["backend"])]
        found += _rates(row, here)
    return found


def _rates(row, here):
    name = f"{row['model']} {row['mode']} {row['backend']}"
    used = float("nan") if here is None else float(here["ok"].sum())
    rate = float("nan") if here is None else 100 * float((~here["ok"]).mean())
    table, found = "tr118_overall_throughput", []
    if row["throughput_mean_tok_s"]:
        scenarios = float("nan") if here is None else float(here.loc[here["ok"], "scenario"].nunique())
        found += [compare(table, f"{name}: {what} behind the mean", row[column], ours, f"successful runs in {DEEP}",
                          row["source"], measured=True)
                  for what, column, ours in (("runs", "n_runs", used), ("scenarios", "scenarios", scenarios))]
    if row["degraded_rate_pct"]:
        found.append(compare(table, f"{name}: degraded, %", row["degraded_rate_pct"], rate,
                             f"failed runs in {DEEP}", row["source"], measured=True))
    return found


def tokens():
    """§Token counts: prefill tokens are padded ones, and 'generate tokens' counts the prompt again."""
    found = []
    for row in published("tr118_token_definitions").to_dict("records"):
        prompts, padded, batch = TOKENS[row["scenario"]]
        found += [_prefill(row, prompts, padded, batch), _generated(row, padded, batch)]
    return found


def _prefill(row, prompts, padded, batch):
    how = f"batch {batch} × {padded}, after padding; the prompts have {prompts[0]} and {prompts[1]} tokens"
    return compare("tr118_token_definitions", f"{row['scenario']}: prefill tokens of a call, with padding",
                   row["prefill_tokens"], float(batch * padded), how, row["source"])


def padding():
    """The unit of every prefill throughput: padded tokens, up to eight times the tokens of the prompt."""
    factors = {name: 2 * padded / sum(prompts) for name, (prompts, padded, _) in TOKENS.items()}
    ours = ", ".join(f"{name} {factor:.2f}" for name, factor in factors.items())
    how = "padded length / mean length of the scenario's two prompts, measured in TR118 and TR120"
    return [Finding("tr118_token_definitions", "prefill throughput counts the prompt's tokens", "tok/s",
                    f"padding is counted too, times {ours}", "inconsistent", how,
                    published("tr118_token_definitions")["source"][0])]


def _generated(row, padded, batch):
    how = f"8 new tokens for each of {batch} sequences; printed is (padded prompt {padded} + 8) × {batch}"
    return compare("tr118_token_definitions", f"{row['scenario']}: tokens generated by a call",
                   row["generate_tokens"], float(NEW_TOKENS * batch), how, row["source"])
