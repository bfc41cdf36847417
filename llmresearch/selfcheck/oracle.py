"""Do the engines that are here agree on one model: the same argmax on forced tokens, the same perplexity?

De-quantised to fp32, llama.cpp and transformers agreed on gemma3-270m's perplexity to 1.6e-5 relative, and its Q4_K_M
kernels differed by 1.7e-3: hence the lines. A seeded model stands in where no trained weights are at hand; its
perplexity says less (any engine guesses evenly), its argmax on varied tokens as much.
"""

import tempfile
from pathlib import Path

import numpy as np

from .. import models, records, runner
from ..matrix import plan
from ..perplexities import perplexity

TRAINED, SEEDED = "gemma3-270m", "gpt2-5m"
ARMS = (("hf", "fp32"), ("ort", "fp32"), ("llamacpp", "fp32"), ("llamacpp", "q4_k_m"))
LIMITS = {"fp32": 1e-4, "q4_k_m": 1e-2}  # of the relative change of perplexity against the first arm
MOST_NLL = 1e-2                          # nats between two fp32 engines on one forced token


def run(model=None, arms=ARMS):
    """{"name", "passed", per arm: top-1 agreement, largest difference in nats, relative change of perplexity}.

    `passed` is None where fewer than two engines are here.
    """
    model = model or at_hand()
    with tempfile.TemporaryDirectory() as out:
        cells = records.cells(runner.measure(plan(asked(model, arms)), Path(out) / "raw.jsonl", progress=False))
    found = {(cell["backend"], cell["dtype"]): cell["evidence"] for cell in cells if cell["status"] == "ok"}
    absent = {f"{c['backend']} {c['dtype']}": c["reason"] for c in cells if c["status"] != "ok"}
    base = found.pop(arms[0], None)
    if base is None or not found:
        return {"name": "oracle", "passed": None, "skipped": f"fewer than two engines: {'; '.join(absent.values())}"}
    seen = {" ".join(arm): beside(evidence, base) | {"limit": LIMITS[arm[1]]} for arm, evidence in found.items()}
    return {"name": "oracle", "passed": all(map(agrees, seen.values())), "model": model, "arms": seen, "absent": absent}


def at_hand():
    """The trained model where its weights are here, else a seeded one."""
    try:
        models.folder(TRAINED)
    except records.LlmResearchError:
        return SEEDED
    return TRAINED


def asked(model, arms):
    """The plan's parameters: one call, the forced tokens, and a text scored in windows."""
    by_name = {}
    for name, dtype in arms:
        by_name.setdefault(name, []).append(dtype)
    text = "evaluation" if model == TRAINED else "seeded"
    return {
        "study": "oracle", "models": [model], "phases": ["prefill"], "repetitions": 1, "warmup": 0,
        "backends": [{"name": name, "dtypes": dtypes} for name, dtypes in by_name.items()],
        "score": {"text": text, "window": 256, "stride": 128, "tokens": 1024},
    }  # fmt: skip


def beside(evidence, base):
    """What one engine made of the same ids, beside the reference."""
    top1 = np.mean(np.equal(evidence["forced"]["top1"], base["forced"]["top1"]))
    nats = np.abs(np.subtract(evidence["forced"]["nll"], base["forced"]["nll"])).max()
    ours, theirs = (perplexity(*np.sum(e["scored"]["scores"], axis=0)) for e in (evidence, base))
    return {"top1_agreement": float(top1), "most_nll_difference": float(nats), "perplexity_change": ours / theirs - 1}


def agrees(found):
    """Within its limit; an fp32 engine must also give every argmax and nearly every log-probability of the reference."""
    close = abs(found["perplexity_change"]) <= found["limit"]
    exact = found["top1_agreement"] == 1 and found["most_nll_difference"] <= MOST_NLL
    return bool(close and (exact or found["limit"] > LIMITS["fp32"]))
