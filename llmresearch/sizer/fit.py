"""What physics does not give, fitted to measured profiles and written to coefficients.yaml.

    python -m llmresearch.sizer.fit

Never fitted: a percentage of the weights, a percentage per GPU, a logarithm of the batch.
"""

import sys

import numpy as np
import yaml
from scipy.optimize import nnls

from . import answers, conformal, engines, memory, profiles
from .coefficients import PATH
from .formats import GIB

# Where no profile can settle a number: what it was taken to be, and why.
PRIORS = {
    "contexts_gib": {"default": 0.5, "llama.cpp": 0.4, "ollama": 0.4, "transformers": 0.45},
    "stretch": {"version": 2.0, "vendor": 10.0, "split": 4.0, "vision": 3.0, "gpu": 1.5},
    "scales": {
        "weights": {"absolute_gib": 0.01, "relative": 0.001},
        "activation": {"absolute_gib": 0.01, "relative": 0.005},
        "non_torch": {"absolute_gib": 0.01, "relative": 0.01},
        "cuda_graphs": {"absolute_gib": 0.1, "relative": 0.1},
        "non_kv": {"absolute_gib": 0.01, "relative": 0.001},
    },
}
START = {
    "sampler": {"copies": 3.1, "hidden_copies": 1.0, "compiled_gib": 0.05, "eager_gib": 0.03},
    "sampler_before_0_17": {"copies": 9.75},
    "prefill": {"hidden_copies": 3, "hidden_copies_before_0_17": 4, "compiled_gib": 0.08, "eager_gib": 0.03},
}


def fit(data, keep=None):
    """The coefficients of coefficients.yaml without intervals, from the rows of `data` that `keep` marks."""
    keep = np.ones(len(data), bool) if keep is None else keep
    weight = _family_weights(data.family, keep)
    return {
        "activation": _activation(data, keep, weight),
        "non_torch": _non_torch(data, keep),
        "cuda_graphs": _graphs(data, keep, weight),
        "contexts_gib": PRIORS["contexts_gib"],
    }


def _family_weights(family, keep):
    """1 / number of kept rows of the family: forty rows of one family say as much as one of another."""
    counts = {name: max(1, int(np.sum(keep & (family == name)))) for name in np.unique(family)}
    return np.array([1 / counts[name] for name in family])


def _plain(data):
    """Rows that show the activation law itself: text, no experts, one stage, version and batch size known."""
    facts = data.asked.facts
    text = (facts.multimodal == 0) & (facts.moe == 0) & (facts.pp == 1)
    return text & settled(data) & ~np.isnan(data.measured["activation"])


def settled(data):
    """Rows whose log says all that the answer depends on: the version and max_num_seqs."""
    return data.asked.version_given & data.asked.seqs_given


def _activation(data, keep, weight):
    """Copies of the logits and hidden states at the sampler's peak, and the fixed workspaces."""
    facts, settings = data.asked.facts, data.asked.settings
    act = data.measured["activation"] / GIB
    start = {"activation": START}
    rows = keep & _plain(data)
    prefill = memory.prefill_peak(facts, settings, start)
    sampling = memory.sampler_peak(facts, settings, start) > prefill
    new, old = settings.version >= engines.SAMPLER_SMALLER, settings.version < engines.SAMPLER_SMALLER
    logits = settings.seqs * facts.vocab * 4 / GIB
    hidden = settings.tokens * facts.hidden * facts.value_bytes / GIB
    use = rows & new & sampling & ~settings.eager
    left = act - logits * facts.value_bytes / 4
    copies, hidden_copies, compiled = _least_squares([logits, hidden, np.ones_like(act)], left, use, weight)
    eager = rows & new & sampling & settings.eager
    plain_sampler = logits * (copies + facts.value_bytes / 4) + hidden * hidden_copies
    before = (
        keep
        & old
        & ~np.isnan(act)
        & (facts.multimodal == 0)
        & sampling
        & ~np.isnan(_given(data, "max_num_seqs"))
    )
    width = settings.tokens * (facts.mlp + (3 + facts.qk_norm) * facts.hidden) * facts.value_bytes / GIB
    fixed = rows & new & ~sampling
    return {
        "sampler": {
            "copies": copies, "hidden_copies": hidden_copies, "compiled_gib": compiled,
            "eager_gib": _median((act - plain_sampler)[eager], compiled - 0.008),
        },
        "sampler_before_0_17": {
            "copies": _median((act / logits)[before], 9.75, weight[before]),
            "most_copies": float(np.max((act / logits)[before], initial=9.75)),
        },
        "prefill": {
            "hidden_copies": 3, "hidden_copies_before_0_17": 4,
            "compiled_gib": _median((act - width)[fixed & ~settings.eager], 0.08),
            "eager_gib": _median((act - width)[fixed & settings.eager], 0.03),
        },
    }  # fmt: skip


def _given(data, column):
    return data.rows[column].to_numpy(float, na_value=np.nan)


def _least_squares(columns, target, use, weight):
    root = np.sqrt(weight[use])
    solution, _ = nnls(np.column_stack(columns)[use] * root[:, None], target[use] * root)
    return [float(value) for value in solution]


def _median(values, otherwise, weight=None):
    """The (weighted) median, or `otherwise` where there is nothing."""
    values = np.asarray(values, float)
    if not len(values):
        return float(otherwise)
    if weight is None:
        return float(np.median(values))
    order = np.argsort(values)
    share = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(share, share[-1] / 2)])


def _non_torch(data, keep):
    """Medians in GiB by link, number of GPUs and version; cells without a profile hold a prior."""
    facts, settings = data.asked.facts, data.asked.settings
    seen = data.measured["non_torch"] / GIB
    version = settings.version
    rows = keep & ~np.isnan(seen) & (facts.pp == 1) & (seen >= 0)
    odd = (facts.vocab % 2 == 1) & (version >= 0.18)
    recent = (version >= 0.18) & (version < engines.GRAPHS_IN_BUDGET) & data.asked.version_given
    column = np.searchsorted([2, 4, 8], facts.tp, side="right")
    table = {}
    for index, link in enumerate(memory.LINKS):
        here = rows & (settings.link == index) & (version >= engines.CONTEXT_OUTSIDE)
        table[link] = [
            _cell(seen, here & (column == n) & ~odd, recent if n < 3 else here, link, n) for n in range(4)
        ]
    large = rows & (settings.link == 0) & (column == 0) & data.asked.version_given & ~odd
    between = large & (version >= engines.CONTEXT_OUTSIDE) & (version < 0.18)
    found = {
        "gib": table,
        "alone_before_0_18_gib": _median(seen[between], 0.13),
        "alone_since_0_21_gib": _median(seen[large & (version >= engines.GRAPHS_IN_BUDGET)], 0.22),
        "pipeline_gib": _median(seen[keep & (facts.pp > 1) & ~np.isnan(seen)], 0.07),
        "odd_vocabulary_gib": 0.0,
        "context_before_0_6_5_gib": dict.fromkeys(memory.LINKS, 0.0),
    }
    base = memory.non_torch(facts, settings, {"non_torch": found}) / GIB
    found["odd_vocabulary_gib"] = _median((seen - base)[rows & odd], 0.0)
    inside = rows & (version < engines.CONTEXT_OUTSIDE) & (facts.tp <= 2)
    for index, link in enumerate(memory.LINKS):
        prior = {"pcie": 0.42}.get(link, 1.6)
        found["context_before_0_6_5_gib"][link] = _median(
            (seen - base)[inside & (settings.link == index)], prior
        )
    return found


_NEIGHBOURS = {
    "nvlink": [0.25, 2.07, 2.13, 2.1], "nvlink-h20": [0.25, 0.74, 0.74, 0.74], "pcie": [0.05, 0.2, 0.2, 0.2],
    "amd": [3.0, 1.78, 1.78, 1.78], "unknown": [0.25, 0.5, 0.5, 0.5],
}  # fmt: skip


def _cell(seen, rows, recent, link, column):
    chosen = rows & recent if (rows & recent).any() else rows
    return _median(seen[chosen], _NEIGHBOURS[link][column])


def _graphs(data, keep, weight):
    """GiB of CUDA graphs by layers and width (0.17 to 0.20), and how other versions compare."""
    facts, settings = data.asked.facts, data.asked.settings
    seen = data.measured["cuda_graphs"] / GIB
    rows = keep & ~np.isnan(seen) & ~settings.eager & data.asked.version_given
    now = rows & (settings.version >= engines.SAMPLER_SMALLER) & (settings.version < engines.GRAPHS_IN_BUDGET)
    width = facts.layers * facts.hidden
    columns = [np.ones_like(seen), facts.layers, width / 1e6, facts.moe]
    base, layer, wide, moe = _least_squares(columns, seen, now, weight)
    law = base + layer * facts.layers + wide / 1e6 * width + moe * facts.moe
    later = rows & (settings.version >= engines.GRAPHS_IN_BUDGET)
    left = answers.budgets(settings) - data.measured["non_kv"] - data.measured["kv_pool"]
    taken = later & ~np.isnan(left) & (seen > 0)
    share = left / GIB / np.where(seen > 0, seen, np.nan)
    return {
        "base_gib": base, "layer_gib": layer, "width_gib": wide / 1e6, "moe_gib": moe,
        "share_since_0_21": _median((seen / law)[later], 0.6),
        "subtracted_share": round(max(0.0, _median(share[taken], 0.0)), 3),
        "before_0_17_gib": _median(seen[rows & (settings.version < engines.SAMPLER_SMALLER)], 0.58),
    }  # fmt: skip


def predicted(data, c):
    """{component: bytes} of every row under coefficients `c`, the non-KV sum among them."""
    parts = answers.components(data.asked.facts, data.asked.settings, c)
    pool = answers.pool(parts, data.asked.settings)
    return {name: parts[name] for name in ("weights", "activation", "non_torch", "cuda_graphs", "non_kv")} | {
        "kv_pool": pool
    }


def left_out(data):
    """{component: bytes} of every row, each predicted by a fit that has not seen the row's family."""
    out = {name: np.full(len(data), np.nan) for name in (*conformal.COMPONENTS, "kv_pool")}
    for family in np.unique(data.family):
        rows = data.family == family
        guess = predicted(data, fit(data, ~rows))
        for name in out:
            out[name][rows] = guess[name][rows]
    return out


def scores(data, guesses, c):
    """{component: residual / scale} of every row, nan where nothing was measured."""
    return {
        name: (data.measured[name] - guesses[name]) / conformal.scale(name, guesses[name], c)
        for name in conformal.COMPONENTS
    }  # fmt: skip


def intervals(data, found, keep=None):
    """The `intervals` of the coefficients: quantiles of the scores `found` of the rows `keep`, by group."""
    keep = np.ones(len(data), bool) if keep is None else keep
    asked = data.asked
    group = conformal.group_of(asked.facts, asked.settings)
    keep = keep & settled(data)
    table = {}
    for index, name in enumerate(conformal.GROUPS):
        rows = keep & (group == index)
        table[name] = {part: _quantiles(found[part], rows, data.family) for part in conformal.COMPONENTS}
    for part in conformal.COMPONENTS:
        # weights are the same physics in every engine; of the rest no log tells, so twice the widest
        names, times = (conformal.GROUPS[:1], 1) if part == "weights" else (conformal.GROUPS[:3], 2)
        edges = np.array([table[name][part] for name in names])
        table["no engine log"][part] = [float(times * edges[:, 0].min()), float(times * edges[:, 1].max())]
    return {"level": 0.9, "scales": PRIORS["scales"], "stretch": PRIORS["stretch"], "scores": table}


def _quantiles(values, rows, family):
    """[5 %, 95 %] of the scores, a family's rows together weighing as the root of their number.

    By rows alone the families that were measured most would set the width, by families alone the single odd
    row would.
    """
    use = rows & ~np.isnan(values)
    if not use.any():
        return [-3.0, 3.0]
    weight = np.sqrt(_family_weights(family, use))[use]
    seen = values[use]
    low = -_upper(-seen, weight)
    return [float(min(low, -0.5)), float(max(_upper(seen, weight), 0.5))]


def _upper(values, weight, level=0.95):
    """The weighted quantile with one more row at infinity; a quarter above the largest where that has it."""
    order = np.argsort(values)
    share = np.cumsum(weight[order]) / (weight.sum() + weight.mean())
    at = np.searchsorted(share, level)
    return values[order][at] if at < len(values) else values.max() + 0.25 * abs(values.max())


def complete(data):
    """The whole of coefficients.yaml: the fit, the intervals from families left out, the provenance."""
    c = fit(data)
    guesses = left_out(data)
    c["intervals"] = intervals(data, scores(data, guesses, {"intervals": {"scales": PRIORS["scales"]}}))
    vllm = data.asked.version_given
    c["provenance"] = {
        "data": "llmresearch/sizer/data/profiles.csv",
        "rows": len(data),
        "families": sorted(set(data.family.tolist())),
        "rows_with_version": int(vllm.sum()),
        "method": "weighted least squares and medians; intervals: Mondrian conformal, families left out",
        "written_by": "python -m llmresearch.sizer.fit",
    }
    return c


def rounded(value):
    """The same nested mapping with floats of six significant digits, as the file holds them."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def write(path=PATH):
    """coefficients.yaml anew, from the profiles in the package."""
    head = (
        "# Written by `python -m llmresearch.sizer.fit` from sizer/data/profiles.csv; GiB are 2^30 bytes.\n"
    )
    body = yaml.safe_dump(rounded(complete(profiles.vllm_profiles())), sort_keys=False, width=110)
    path.write_text(head + body, encoding="utf-8")


if __name__ == "__main__":
    write()
    sys.stdout.write(f"wrote {PATH.name}\n")
