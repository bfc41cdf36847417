"""Which published runs stand behind which published figure of TR118."""

DEEP = "tr118v2/20251213_135135_deep"               # what version 2.2 prints for tiny-gpt2 and gpt2
FIX = "tr118v2/20251213_141057_deep_fp16_fix"       # gpt2 again, half an hour later, with engines rebuilt
FIVE_M = "1766111615"                               # the third of three gpt2-5m files: the automatic report
SCENARIOS = ("single_micro", "single_short", "single_medium", "single_long", "batch_short", "batch_medium")
BASELINE = "transformers-gpu-compile"
PLAN = {"models": 2, "backends": 6, "scenarios": 6, "repetitions": 5, "modes": 2}   # matrix_postdoc.yaml
THROUGHPUT, LATENCY = "thr_mean_tok_s", "lat_mean_ms"

# Scenario: lengths of its two prompts before padding (measured in TR118 and TR120), the padded length, the batch.
TOKENS = {
    "single_micro": ((1, 1), 8, 1), "single_short": ((9, 11), 11, 1), "single_medium": ((17, 19), 19, 1),
    "single_long": ((27, 25), 27, 1), "batch_short": ((9, 11), 11, 4), "batch_medium": ((17, 19), 19, 4),
}
NEW_TOKENS = 8      # generated for each sequence of the batch


def select(runs, **columns):
    """The successful runs whose columns equal the given values; None when there are no runs at all."""
    return None if runs is None else runs[_matching(runs, columns)]


def _matching(runs, columns):
    mask = runs["ok"].to_numpy(dtype=bool, copy=True)
    for column, value in columns.items():
        mask &= (runs[column] == value).to_numpy(dtype=bool)
    return mask


def mean(runs, column=THROUGHPUT, **columns):
    """The mean of a column over the successful runs that match; nan where there are none, or no runs at all."""
    if runs is None:
        return float("nan")
    values = runs[column].to_numpy()[_matching(runs, columns)]
    return float(values.mean()) if len(values) else float("nan")
