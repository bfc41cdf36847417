"""Does the method tell the truth? Simulated machines, then this one; seeded.

    python benchmarks/methodology.py             every check of the statistics with larger n, and the verdicts of
                                                 three methods on the same simulated data: about ten minutes
    python benchmarks/methodology.py quick       the same with the sizes of `llmresearch selfcheck`
    python benchmarks/methodology.py fake [RAW]  identical engines, and slow-downs of 2, 5 and 10 %, through the whole
    python benchmarks/methodology.py hf [RAW]    harness with the real clock: an engine that spins, or transformers with
                                                 a spin after each call. RAW is kept and continued

The verdicts beside ours are what is usual: Student's t over all calls pooled, and whose mean is lower.
"""

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

import llmresearch as lr
from llmresearch.selfcheck import rivals, statistics
from llmresearch.stats import compare

FULL = {"aa": {"pairs": 5000}, "ab": {"pairs": 3000}, "coverage": {"studies": 2000}, "fwer": {"families": 1000},
        "simpson": {"studies": 1000}, "peeking": {"studies": 20_000}, "design": {"campaigns": 300},
        "verdicts": {"studies": 5000}, "tails": {"studies": 4000}, "scaling": {"families": 1000}, "units": {}}  # fmt: skip
SLOWED = {"2": 0.02, "5": 0.05, "10": 0.10}
SPINS = {"real": True, "noise": 0.03, "session": 0.03}     # spreads of calls and processes, beside the machine's own
ENGINES = {
    "fake": [{"name": "fake", "label": label, **SPINS, "slowdown": 1 + slow}
             for label, slow in {"a": 0.0, "b": 0.0, **SLOWED}.items()],
    "hf": [{"name": "hf", "label": "a"}, {"name": "hf", "label": "b"},
           *({"name": "hf-slowed", "label": label, "slowdown": slow} for label, slow in SLOWED.items())],
}  # fmt: skip
PARAMS = {"study": "methodology", "models": ["gpt2-5m"], "sessions": 20, "repetitions": 15, "warmup": 5,
          "phases": ["prefill", "decode"], "scenarios": [{"name": "short", "prompt_tokens": 64, "new_tokens": 8}]}  # fmt: skip


def checks(sizes):
    """Run every check and print its figures; whether all passed."""
    good = True
    for name, arguments in sizes.items():
        start = time.perf_counter()
        result = getattr(statistics, name)(**arguments)
        good &= result["passed"]
        figures = {k: v for k, v in result.items() if k not in ("name", "passed", "rows")}
        print(f"\n{name}: {'passed' if result['passed'] else 'FAILED'} in {time.perf_counter() - start:.0f} s  {figures}")
        if "rows" in result:
            print(_folded(statistics.table(result)).to_string(index=False))
    return good


def _folded(table):
    """The coverage table with one row per method and world."""
    if "method" not in table:
        return table.round(3)
    table = table.assign(cell=table["covered"].map("{:.3f}".format) + table["given"].map(" ({:.2f})".format))
    wide = table.pivot_table(index=["method", "world"], columns="n", values="cell", aggfunc="first", sort=False)
    return wide.fillna("").reset_index()


def verdicts(studies):
    """Print the share of right, wrong and undecided verdicts of three methods on the same simulated data."""
    table = rivals.all_simulated(studies=studies)
    print(f"\nverdicts on the same {studies} studies per row: right / wrong / undecided")
    print(_wide(table, ["slowdown", "world"]).to_string())
    print("\nmean over the worlds")
    print(table.groupby(["slowdown", "method"])[["right", "wrong", "undecided"]].mean().round(3).to_string())


def _wide(table, index):
    cells = table[["right", "wrong", "undecided"]].map("{:.2f}".format).agg(" / ".join, axis=1)
    return table.assign(cell=cells).pivot(index=index, columns="method", values="cell")


def real(engine, raw=None, studies=400):
    """Measure identical and slowed engines in turn, then judge many studies of 5 of the sessions."""
    raw = Path(raw or f"methodology-{engine}.jsonl")
    frame = lr.samples(lr.read(lr.measure(lr.plan(PARAMS | {"backends": ENGINES[engine]}), raw)))
    print(f"{frame['contaminated'].notna().mean():.0%} of {len(frame):,} calls had other programs beside them; all are judged")
    frame, baseline = frame.drop(columns="contaminated"), f"{engine}:a"
    found = compare(frame, baseline, by=["phase"])
    shown = ["phase", "backend", "ratio", "low", "high", "verdict", "n", "baseline_seconds"]
    print(found[shown].round(5).to_string(index=False))
    names = {f"{engine}:b": 0.0} | {b["name"] + ":" + b["label"]: SLOWED[b["label"]] for b in ENGINES[engine][2:]}
    for phase, part in frame.groupby("phase", observed=True):
        print(f"\n{phase}: {studies} studies of 5 of the {part['session'].nunique()} sessions")
        for name, slow in names.items():
            _judge(part, baseline, name, slow, studies)


def _judge(part, baseline, name, slow, studies):
    """Print the verdicts on studies drawn from the sessions of one phase."""
    drawn = rivals.studies_of(part, baseline, name, studies, swap=slow == 0)
    print(f"slow-down {slow:.0%}")
    print(rivals.shares(rivals.judged(drawn, baseline, name), slow).round(3).to_string(index=False))
    if slow == 0:
        ours = float((compare(drawn, baseline, by="study", correction="none")["p"] < 0.05).mean())
        print(f"false positives at alpha 0.05: {ours:.3f}; Welch on all calls of two processes: "
              f"{_of_two_processes(part, baseline, name):.3f}")


def _of_two_processes(part, baseline, name, pairs=400, seed=0):
    """Welch's share of differences between one process of each of two identical engines."""
    rng = np.random.default_rng(seed)
    groups = {key: g["seconds"].to_numpy() for key, g in part.astype({"backend": str}).groupby(["backend", "session"])}
    sessions = sorted({k[1] for k in groups})
    draws = [(groups[baseline, i], groups[name, j]) for i, j in rng.choice(sessions, (pairs, 2))]
    return float(np.mean([statistics.stats.ttest_ind(a, b, equal_var=False).pvalue < 0.05 for a, b in draws]))


def main(what="full", *arguments):
    if what in ENGINES:
        return real(what, *arguments)
    good = checks(FULL if what == "full" else dict.fromkeys(FULL, {}))
    verdicts(1000 if what == "full" else 200)
    return 0 if good else 1


if __name__ == "__main__":
    pd.set_option("display.width", 220)
    sys.exit(main(*sys.argv[1:]))
