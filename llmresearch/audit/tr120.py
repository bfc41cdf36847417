"""TR120, audited: tables against each other, and what 'compile helps prefill' leaves open in the tails."""

from .findings import Finding, compare
from .tables import published

STRATEGY = {"Variable-length inputs": "variable-length", "dynamic=True (no padding)": "dynamic=True",
            "Padded per-scenario shapes": "padded per scenario, cudagraphs off"}


def audit():
    """All findings on TR120's published tables."""
    return ablation() + order() + speed_ups() + events() + fallback()


def _pairs():
    rows = published("tr120_compile_vs_eager")
    for key, group in rows.groupby(["mode", "strategy"], sort=False):
        by = {row["backend"]: row for row in group.to_dict("records")}
        yield key, by["eager"], by["compiled"]


def ablation():
    """§5.1.3: the summary's medians and p99 against the tables that it sums up."""
    compiled = {strategy: row for (mode, strategy), _, row in _pairs() if mode == "prefill"}
    found = []
    for row in published("tr120_prefill_ablation").to_dict("records"):
        full = compiled[STRATEGY[row["prefill_strategy"]]]
        found += [compare("tr120_prefill_ablation", f"{row['prefill_strategy']}: {short}", row[short],
                          float(full[long]), f"the run's own table, {full['run']}", row["source"])
                  for short, long in (("compiled_median_ms", "median_ms"), ("compiled_p99_ms", "p99_ms"))]
    return found


def order():
    """§5: quantiles of every row must not fall, and a mean must not exceed the maximum."""
    found = []
    for row in published("tr120_compile_vs_eager").to_dict("records"):
        values = [float(row[name]) for name in ("median_ms", "p95_ms", "p99_ms", "max_ms")]
        fine = values == sorted(values) and float(row["mean_ms"]) <= values[-1]
        name = f"{row['mode']} {row['strategy']} {row['backend']}"
        found.append(Finding("tr120_compile_vs_eager", f"{name}: quantiles rise", "median ≤ p95 ≤ p99 ≤ max", " ≤ ".join(f"{v:g}" for v in values),
                             "reproduced" if fine else "inconsistent", "printed figures", row["source"]))
    return found


def speed_ups():
    """§6, §7: 'compile helps prefill and hurts decode' at the median of every pair; mean and p99 beside it."""
    found = []
    for (mode, strategy), eager, compiled in _pairs():
        ratio = {name: float(eager[f"{name}_ms"]) / float(compiled[f"{name}_ms"]) for name in ("median", "mean", "p99")}
        helps = mode == "prefill"
        fits = (ratio["median"] > 1) == helps
        ours = ", ".join(f"{name} {value:.2f}" for name, value in ratio.items())
        found.append(Finding("tr120_compile_vs_eager", f"{mode}, {strategy}: compiling {'helps' if helps else 'hurts'}",
                             "faster" if helps else "slower", f"eager / compiled: {ours}",
                             "reproduced" if fits else "inconsistent",
                             f"printed figures, n = {eager['n']}; p99 of 270 has no upper 95 % bound (299 are needed)",
                             eager["source"]))
    return found


def events():
    """§5: device events must not exceed the wall clock around them; the gap is what the host adds."""
    found = []
    for row in published("tr120_cuda_event_check").to_dict("records"):
        for name in ("median", "p99"):
            wall, device = float(row[f"wall_{name}_ms"]), float(row[f"cuda_event_{name}_ms"])
            found.append(Finding("tr120_cuda_event_check", f"{row['backend']}: events within wall, {name}",
                                 f"{wall:g} ms", f"events {device:g} ms, host {wall - device:.3f} ms",
                                 "reproduced" if device <= wall else "inconsistent", "printed figures", row["source"]))
    return found


def fallback():
    """A.4: where compiling fell back, the label alone made nothing faster."""
    rows = published("tr120_windows_fallback")
    found = []
    for mode, group in rows.groupby("mode", sort=False):
        eager, labelled = group.to_dict("records")
        ratio = float(eager["median_ms"]) / float(labelled["median_ms"])
        found.append(Finding("tr120_windows_fallback", f"{mode}: 'compile' that fell back is slower", "slower",
                             f"eager / labelled at the median: {ratio:.2f}",
                             "reproduced" if ratio < 1 else "inconsistent",
                             "printed figures; n is not printed", eager["source"]))
    return found
