"""Compiled transformers: the same ids as eager, and a ledger that says what was compiled."""

import numpy as np
import pytest
from llmresearch import models
from llmresearch.backends.hf import Hf
from llmresearch.backends.hf_compile import HfCompile, NothingCompiled
from tests.engine_cells import answer as run
from tests.engine_cells import cell, started

SMALL = {"name": "small", "seeded": True, "layers": 1, "hidden": 16, "heads": 2, "vocab": 211}
FORCED = models.seeded_ids(211, 20, seed=7)

# torch's own compiler imports a module of torch that torch has deprecated
pytestmark = [pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning"), pytest.mark.usefixtures("one_thread")]


@pytest.fixture
def traced(monkeypatch):
    """torch.compile that traces as ever, and then runs the traced graph without making kernels: fast."""
    import torch

    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, options, **how: real(f, backend="eager", **how))
    yield
    torch._dynamo.reset()


def loaded(kind, folder, ids, **values):
    return started(kind(), folder, ids, **values)


@pytest.fixture(scope="module")
def compiled(small):
    engine = loaded(HfCompile, small, [FORCED[:12]])
    yield engine
    engine.close()


def test_compiled_kernels_give_the_ids_of_eager(compiled, small):
    eager = loaded(Hf, small, [FORCED[:12]])
    for phase in ("prefill", "decode", "e2e", "generate", "decode"):
        assert run(compiled, phase) == run(eager, phase)


def test_compiled_kernels_agree_with_eager_on_forced_varied_ids(compiled, small):
    ours, theirs = compiled.forced(FORCED, 4), loaded(Hf, small, [FORCED[:12]]).forced(FORCED, 4)
    assert ours["top1"] == theirs["top1"] and len(set(ours["top1"])) > 5
    np.testing.assert_allclose(ours["nll"], theirs["nll"], atol=1e-3)
    np.testing.assert_allclose(
        compiled.score(FORCED), loaded(Hf, small, [FORCED[:12]]).score(FORCED), rtol=1e-5
    )


def test_one_graph_serves_every_prompt_length(compiled):
    compiled.start(cell(), [FORCED[:7]])
    run(compiled, "e2e")
    found = compiled.evidence()["compile"]
    assert (found["graphs_in_cell"], found["recompiles"], found["graph_breaks"]) == (0, 0, 0)
    assert found["graphs"] == 3 and found["recompile_limit_reached"] is False
    assert (found["mode"], found["dynamic"], found["capacity"]) == ("default", "prompt", 128)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("windowed", {"fullgraph": True}),
        ("small", {"padding": 8}),
        ("small", {"dynamic": False}),
        ("small", {"dynamic": True}),
    ],
)
def test_every_option_gives_the_ids_of_eager_past_a_window_and_in_a_batch(kind, options, request, traced):
    folder, rows = request.getfixturevalue(kind), [FORCED[:11], FORCED[9:20]]
    eager, engine = loaded(Hf, folder, rows), loaded(HfCompile, folder, rows, options=options)
    for phase in ("prefill", "decode", "e2e", "decode"):
        assert run(engine, phase) == run(eager, phase)
    assert engine.forced(FORCED, 3)["top1"] == eager.forced(FORCED, 3)["top1"]
    assert engine.padded_tokens == (16 if "padding" in options else None)
    assert engine.evidence()["compile"]["graph_breaks"] == 0


def test_recompiles_are_counted_with_their_reasons(small, traced):
    engine = loaded(HfCompile, small, [FORCED[:5]], options={"dynamic": False})
    for length in (5, 6, 7):
        engine.start(cell(), [FORCED[:length]])
        run(engine, "prefill")
        found = engine.evidence()["compile"]
        assert found["recompiles"] == (0 if length == 5 else 1)
    assert "expected 6, actual 7" in found["recompile_reasons"][0]


def test_checking_forced_ids_compiles_nothing_that_is_not_timed(small, traced):
    wanted = loaded(Hf, small, [FORCED[:5]]).forced(FORCED, 5)
    engine = loaded(HfCompile, small, [FORCED[:3]], options={"dynamic": False})
    for length in (3, 9):  # a prompt that is shorter, and one that is longer than what is forced at once
        engine.start(cell(), [FORCED[:length]])
        run(engine, "e2e")
        before = engine.evidence()["compile"]["graphs_in_cell"]
        found = engine.forced(FORCED, 5)
        assert found["top1"] == wanted["top1"]
        np.testing.assert_allclose(found["nll"], wanted["nll"], atol=1e-3)
        assert engine.evidence()["compile"]["graphs_in_cell"] == before


def test_a_recompile_limit_that_was_hit_is_told(small, traced):
    engine = loaded(HfCompile, small, [FORCED[:5]], options={"dynamic": False})
    with engine.torch._dynamo.config.patch(recompile_limit=2):
        for length in (5, 6, 7):
            engine.start(cell(), [FORCED[:length]])
            run(engine, "prefill")
            assert engine.evidence()["compile"]["fell_back_to_eager"] is (length == 7)
    assert "recompile_limit (2)" in engine.evidence()["compile"]["limit"][0]


def test_another_batch_or_capacity_has_a_recompile_budget_of_its_own(small, traced):
    engine = loaded(HfCompile, small, [FORCED[:5]])
    with engine.torch._dynamo.config.patch(recompile_limit=1):
        for rows, new in (([FORCED[:5]], 6), ([FORCED[:5]] * 2, 6), ([FORCED[:5]], 200)):
            engine.start(cell(new_tokens=new), rows)
            run(engine, "prefill")
    found = engine.evidence()["compile"]
    assert (found["capacity"], found["recompile_limit_reached"], found["graphs"]) == (256, False, 3)


def test_a_graph_break_is_counted(small, traced):
    engine = loaded(HfCompile, small, [FORCED[:5]])
    forward = engine.model.transformer.ln_f.forward

    def broken(states):
        import torch

        torch._dynamo.graph_break()
        return forward(states)

    engine.model.transformer.ln_f.forward = broken
    run(engine, "prefill")
    assert engine.evidence()["compile"]["graph_breaks"] > 0


def test_a_cell_in_which_nothing_was_compiled_fails(small, traced, monkeypatch):
    import torch

    monkeypatch.setattr(torch, "compile", lambda function, **how: function)
    engine = loaded(HfCompile, small, [FORCED[:5]])
    run(engine, "decode")
    with pytest.raises(NothingCompiled, match="hf-compile: nothing was compiled .* so this is hf"):
        engine.evidence()


def test_evidence_names_the_cache_and_counts_no_cuda_graphs_on_the_cpu(small, traced):
    engine = loaded(HfCompile, small, [FORCED[:5]])
    run(engine, "prefill")
    found = engine.evidence()
    assert (found["cache"], found["dtype"], found["device"]) == ("SlotCache", "fp32", "cpu")
    assert (found["compile"]["cudagraphs_recorded"], found["compile"]["cudagraph_skips"]) == (None, None)
    assert found["compile"]["compile_seconds"] > 0


@pytest.mark.filterwarnings("ignore:dynamo_pgo force disabled:UserWarning")  # torch says what was asked of it
@pytest.mark.parametrize(("options", "on"), [({}, True), ({"caches": False}, False)])
def test_a_cold_start_switches_the_kernel_caches_off_and_says_so(small, traced, options, on):
    import torch

    before = torch.compiler.config.force_disable_caches
    engine = loaded(HfCompile, small, [FORCED[:5]], options=options)
    run(engine, "prefill")
    found = engine.evidence()["compile"]["caches"]
    engine.close()
    torch.compiler.config.force_disable_caches = before
    assert found is on


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"mode": "fast"}, "mode: 'fast' is none of default, reduce-overhead"),
        ({"dynamic": "yes"}, "dynamic: 'yes' is none of prompt, auto, True, False"),
        ({"padding": 0}, "padding: 0 is not a whole number from 1 up"),
        ({"cudagraphs": "on"}, "cudagraphs: 'on' is none of True, False"),
        ({"caches": "off"}, "caches: 'off' is none of True, False"),
        ({"speed": 1}, "hf-compile: unknown option 'speed'. Known options: attention, mode"),
    ],
)
def test_an_option_that_means_nothing_is_refused(options, sentence):
    assert sentence in HfCompile().refuses(cell(options=options))


def test_a_machine_without_a_compiler_is_refused(monkeypatch):
    assert HfCompile().refuses(cell()) is None
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert "hf-compile: needs a C++ compiler on the CPU" in HfCompile().refuses(cell())


def test_a_capacity_below_the_request_is_one_sentence(small, traced):
    with pytest.raises(models.ModelError.__base__, match="capacity 8 is less than the 11 tokens asked"):
        loaded(HfCompile, small, [FORCED[:5]], options={"capacity": 8})
