"""One suite over all engines: what each must do on the same small model, given the same token ids."""

import dataclasses
import gc
import importlib
import math
import re
import sys
import weakref
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "servers"))
import asking  # noqa: E402
from stand_in import running  # noqa: E402

from llmresearch import backends, matrix, models, worker
from llmresearch.backends import BACKENDS, backend
from llmresearch.records import LlmResearchError
from llmresearch.worker import FORCED_PROMPT, FORCED_STEPS
from tests.engine_cells import run

VOCAB, PROMPT, NEW, BATCH = 211, 12, 5, 2
SMALL = {"name": "small", "seeded": True, "layers": 1, "hidden": 64, "heads": 2, "vocab": VOCAB}
ROWS = [models.seeded_ids(VOCAB, PROMPT, seed=1, index=i) for i in range(BATCH)]
FORCED = models.seeded_ids(VOCAB, FORCED_PROMPT + FORCED_STEPS, seed=7)
METHODS = ("refuses", "load", "start", "prepare", "prefill", "decode", "e2e", "generate", "settle", "output", "forced",
           "evidence", "close")  # fmt: skip
PHASES = {"prefill": 1, "decode": NEW, "e2e": NEW, "generate": NEW}  # ids that each phase gives per row
SERVERS = ("ollama", "openai")  # they take text, not ids: their tests have a stand-in server

# torch's own compiler imports a module of torch that torch has deprecated
pytestmark = [pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning"),
              pytest.mark.usefixtures("cache", "one_thread")]  # fmt: skip


def cell(name, **values):
    """A cell as the plan makes it for this backend, on the small model."""
    scenario = {"name": "s", "prompt_tokens": PROMPT, "new_tokens": NEW, "batch": BATCH}
    asked = {
        "backends": [name],
        "models": [SMALL],
        "scenarios": [scenario],
        "phases": list(PHASES),
        "threads": 1,
    }
    return matrix.plan(asked | values)[0]


def skip_absent(name, asked):
    """Skips with the sentence that `llmresearch doctor` prints where the engine is not here."""
    reason = backend(name)().refuses(asked)
    if reason:
        pytest.skip(reason)


def ran(name, folder):
    """(engine, {phase: (ids, tokens, marks)}) after each phase, run once and then again in another order."""
    engine, asked = backend(name)(), cell(name)
    engine.load(asked, folder)
    engine.start(asked, ROWS)
    found = {}
    for phase in [*PHASES, "decode", "e2e", "prefill"]:
        now = run(engine, phase)
        assert found.setdefault(phase, now) == now, f"{phase} gave other ids the second time"
    return engine, found


@pytest.fixture(scope="module")
def reference(small):
    engine, found = ran("hf", small)
    return found | {"forced": engine.forced(FORCED, FORCED_PROMPT)}


@pytest.fixture(scope="module", params=[name for name in BACKENDS if name not in SERVERS])
def measured(request, small):
    """(name, engine, what its phases gave); the engine is loaded once for all tests."""
    skip_absent(request.param, cell(request.param))
    engine, found = ran(request.param, small)
    yield request.param, engine, found
    engine.close()


def against_reference(name):
    if not getattr(backend(name), "needs_weights", True):
        pytest.skip(f"{name}: has a law instead of weights.")


def test_the_methods_that_the_table_describes_are_those_that_are_wanted_here():
    assert set(re.findall(r"^    (\w+)\(", backends.__doc__, re.MULTILINE)) == {*METHODS, "score"}


@pytest.mark.parametrize("name", BACKENDS)
def test_a_line_in_the_table_is_a_whole_backend(name):
    kind = backend(name)
    wanted = [
        method for method in METHODS if not (method == "generate" and name in SERVERS)
    ]  # servers always cache
    assert all(callable(getattr(kind, method, None)) for method in wanted)
    assert kind.name == name and callable(kind.clock) and kind().marks == []


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_is_ready_or_says_in_one_sentence_what_it_lacks(name):
    for device in ("cpu", "cuda"):
        reason = backend(name)().refuses(cell(name, device=device))
        assert reason is None or (
            reason.startswith(f"{name}: ") and "\n" not in reason and reason.endswith(".")
        )


@pytest.mark.parametrize("name", [name for name in BACKENDS if name != "fake"])
def test_an_option_that_means_nothing_is_refused_by_name(name):
    reason = backend(name)().refuses(cell(name, backends=[{"name": name, "optoin": 1}]))
    assert "unknown option 'optoin'. Known options:" in reason


def test_asked_for_tokens_are_made_and_counted(measured):
    name, _, found = measured
    for phase, per_row in PHASES.items():
        ids, tokens, marks = found[phase]
        assert [len(row) for row in ids] == [per_row] * BATCH, phase
        assert tokens == BATCH * (PROMPT if phase == "prefill" else per_row), phase
        assert marks == (per_row if phase in ("decode", "e2e") else marks), phase
    if getattr(backend(name), "needs_weights", True):
        assert len({tuple(row) for row in found["e2e"][0]}) == BATCH, "rows see different prompts"


def test_greedy_ids_are_those_of_the_reference(measured, reference):
    name, _, found = measured
    against_reference(name)
    for phase in PHASES:
        assert found[phase][0] == reference[phase][0], phase


def test_forced_and_varied_tokens_give_the_same_argmax(measured, reference):
    name, engine, _ = measured
    against_reference(name)
    found = engine.forced(FORCED, FORCED_PROMPT)
    assert len(found["top1"]) == FORCED_STEPS + 1 and len(set(found["top1"])) > 10
    assert found["top1"] == reference["forced"]["top1"]
    assert found["nll"] == pytest.approx(reference["forced"]["nll"], abs=0.05)


def test_a_text_scores_as_its_forced_tokens_do(measured):
    name, engine, _ = measured
    against_reference(name)
    nll = engine.forced(FORCED, FORCED_PROMPT)["nll"]
    total, tokens = engine.score(FORCED, first=FORCED_PROMPT)
    assert tokens == FORCED_STEPS and total == pytest.approx(math.fsum(nll), rel=2e-3)


def test_evidence_says_which_engine_ran_in_which_type_where(measured):
    name, engine, _ = measured
    found = engine.evidence()
    assert found["engine"] and found["device"] == "cpu" and found["dtype"] == "fp32"
    assert worker.json.loads(worker.json.dumps(found)) is not None


def test_a_model_loaded_again_is_there_once(small, measured):
    """The engine under test is loaded a second time; what it held before must be gone."""
    name, engine, found = measured
    against_reference(name)
    held = [
        weakref.ref(value)
        for key, value in vars(engine).items()
        if key in ("model", "session") and value is not None
    ]
    assert held
    engine.load(cell(name), small)
    engine.start(cell(name), ROWS)
    engine.prepare("e2e")
    engine.e2e()
    assert engine.output() == found["e2e"][0]
    gc.collect()
    assert [reference() for reference in held] == [None] * len(held)


def test_a_request_longer_than_the_model_is_refused(measured):
    name, engine, _ = measured
    against_reference(name)
    with pytest.raises(LlmResearchError, match=r"1034 tokens asked|1,034 tokens asked"):
        engine.start(cell(name), [models.seeded_ids(VOCAB, 1029, seed=1)])


@pytest.mark.parametrize("ids, words", [
    ([[1, 2, 3], [4]], r"prompts of \[3, 1\] tokens are no batch. Give rows of one length."),
    ([[]], r"prompts of \[0\] tokens are no batch"), ([], r"prompts of \[\] tokens are no batch"),
    ([[1, VOCAB]], "id 211 is outside the vocabulary of 211. Use this model's own ids."),
])  # fmt: skip
def test_a_wrong_shape_is_refused_and_the_engine_works_on(measured, ids, words):
    name, engine, found = measured
    against_reference(name)
    with pytest.raises(LlmResearchError, match=rf"^{name}: {words}"):
        engine.start(cell(name), ids)
    engine.start(cell(name), ROWS)
    assert run(engine, "e2e")[0] == found["e2e"][0]


def test_a_precision_that_no_kernel_has_is_refused_with_those_there_are(measured):
    name, engine, _ = measured
    against_reference(name)
    reason = engine.refuses(dataclasses.replace(cell(name), dtype="int3"))
    assert reason.startswith(f"{name}: ") and "int3" in reason and "fp32" in reason


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_gives_the_asked_for_tokens_with_evidence_and_takes_one_prompt_a_request(name):
    with running(owner="vllm") as server:
        asked = asking.cell(name, server.url, new_tokens=NEW, **({"tag": "small"} if name == "ollama" else {}))
        engine, calls = asking.measured(asked)
        refused = engine.refuses(dataclasses.replace(asked, batch=2))
    assert {phase: {call.tokens for call in found} for phase, found in calls.items()} == {
        "prefill": {100}, "decode": {NEW}, "e2e": {NEW}}  # fmt: skip
    assert engine.evidence()["engine"] in ("ollama", "vllm") and "stand-in" in engine.evidence()["stand_in"]
    assert refused == f"{name}: a request carries one prompt. Use batch: 1, with concurrency for several at once."


def test_a_worker_turns_an_absent_engine_into_a_refused_record(monkeypatch):
    module = importlib.import_module(f"{backends.__name__}.ort_session")
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    found = worker._refusal(backend("ort")().refuses(cell("ort")))
    assert found["status"] == "refused" and "not installed here: pip install onnxruntime." in found["reason"]
