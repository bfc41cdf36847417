"""Our own kernels: the ids of the reference under Triton's interpreter, and GPU code without a GPU."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from llmresearch import models
from llmresearch.backends import fused_decoder
from llmresearch.backends.fused import Fused
from llmresearch.backends.fused_decoder import BLOCKS, SLOTS_AT_ONCE, FusedError, architecture_of, power_of_two
from llmresearch.backends.hf import Hf
from llmresearch.failures import classify_failure
from tests import engine_cells
from tests.engine_cells import PHASES, PROMPTS, run
from tests.tiny_models import made

HOME = Path(__file__).parent.parent
FORCED = models.seeded_ids(211, 20, seed=7)
SMALL = {"name": "small", "seeded": True, "layers": 2, "hidden": 48, "heads": 3, "vocab": 211}
needs_triton = pytest.mark.skipif(
    find_spec("triton") is None, reason="fused: needs triton, not installed here: pip install triton."
)


def cell(**values):
    return engine_cells.cell(**{"new_tokens": 2} | values)


def ran(kind, folder, rows):
    """What an engine gives in every phase, on forced ids, and as evidence."""
    engine, asked = kind(), cell(batch=len(rows))
    engine.load(asked, folder)
    engine.start(asked, rows)
    found = {"phases": [], "forced": [], "scores": []}
    for phase in PHASES:
        ids, tokens, marks = run(engine, phase)
        found["phases"].append([phase, tokens, marks, ids])
    for ids, prompt in ((FORCED, 6), (FORCED[:3], 1)):
        found["forced"].append(engine.forced(ids, prompt))
    found["scores"] = engine.score(FORCED, 12)
    return found | {"evidence": engine.evidence()}


def in_a_process(call, *arguments):
    """What a function of this file gives under Triton's interpreter, chosen when triton is imported."""
    code = f"import json, tests.test_fused as t; print(json.dumps(t.{call}(*{arguments!r})))"
    return said(code, {"TRITON_INTERPRET": "1"})


def said(code, environment):
    """What a process that runs `code` prints on its last line, read as JSON."""
    done = subprocess.run([sys.executable, "-c", code], cwd=HOME, capture_output=True, text=True, timeout=300,
                          check=False, env=os.environ | environment)  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def interpreted(folder, rows):
    """As `ran`, with so few slots in a block of the cache that prompts need several."""
    fused_decoder.SLOTS_AT_ONCE = 4
    return ran(Fused, folder, rows)


@pytest.fixture(scope="module", params=[1, 2], ids=["one row", "two rows"])
def both(request, small):
    """(what hf gives, what fused gives) for a batch of one and of two."""
    rows = PROMPTS[: request.param]
    return json.loads(json.dumps(ran(Hf, small, rows))), in_a_process("interpreted", str(small), rows)


@needs_triton
def test_every_phase_gives_the_ids_of_the_reference(both):
    theirs, ours = both
    for wanted, found in zip(theirs["phases"], ours["phases"], strict=True):
        assert found[:2] + found[3:] == wanted[:2] + wanted[3:]
        assert found[2] == (2 if found[0] in ("decode", "e2e", "generate") else 0)


@needs_triton
def test_forced_and_varied_ids_give_the_reference_s_argmax_and_losses(both):
    theirs, ours = both
    for wanted, found in zip(theirs["forced"], ours["forced"], strict=True):
        assert found["top1"] == wanted["top1"]
        assert found["nll"] == pytest.approx(wanted["nll"], abs=1e-4)
    assert len(set(ours["forced"][0]["top1"])) > 5
    assert ours["scores"] == pytest.approx(theirs["scores"], rel=1e-5)


@needs_triton
def test_what_ran_is_read_back(both, small):
    found = both[1]["evidence"]
    assert (found["engine"], found["dtype"], found["device"], found["sums"]) == ("fused", "fp32", "cpu", "float32")
    assert found["parameters"] == models.describe(small).params_measured
    assert found["kernels_per_step"] == 2 * 4 + 2  # layers, four kernels each, and two for the answer
    assert found["interpreted"] is True and found["cuda_graph"] is False and found["dependent_launch"] is False


@needs_triton
@pytest.mark.parametrize("dtype", ["fp16", "fp32"])
def test_the_kernels_compile_for_a_gpu_without_spilling(dtype, tmp_path):
    for name, (spilled, loads) in in_gpu_code(dtype, tmp_path).items():
        assert spilled == 0, name
        assert loads, f"{name} reads its matrix in pieces smaller than 16 bytes"


def in_gpu_code(dtype, folder):
    """{kernel: (bytes of stack, does it load 16 bytes at a time)}, compiled for compute capability 9.0."""
    code = f"import json, tests.test_fused as t; print(json.dumps(t.compiled({dtype!r})))"
    return said(code, {"TRITON_CACHE_DIR": str(folder)})


def compiled(dtype):
    """As `in_gpu_code`, for GPT-2 124M's shapes; runs in a process without the interpreter."""
    import tempfile

    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from llmresearch.backends import fused_kernels

    weight, wide, whole = {"fp16": "*fp16", "fp32": "*fp32"}[dtype], "*fp32", "*i32"
    types = dict.fromkeys(("table", "places", "weight", "bias", "cache", "projected"), weight)
    types |= dict.fromkeys(("stream", "gain", "shift", "query", "part", "active", "logits", "best"), wide)
    types |= dict.fromkeys(("state", "place", "answer"), whole) | dict.fromkeys(("slots", "start"), "i32")
    sizes = {"BATCH": 1, "HIDDEN": 768, "INNER": 3072, "HEADS": 12, "HEADS_BLOCK": 16, "HEAD": 64, "HEAD_BLOCK": 64,
             "VOCAB": 50257, "SCALE": 0.125, "EPSILON": 1e-5, "SLOTS": SLOTS_AT_ONCE, "FIRST": True, "EARLY": True,
             "BLOCKS": 3142, "BLOCKS_BLOCK": 4096}  # fmt: skip
    widths = {"qkv": 1024, "attend": 64, "up": 1024, "down": 4096, "head": 1024, "choose": 1}
    found = {}
    for name, width in widths.items():
        elements, warps = BLOCKS.get(name, (1, 8))
        kernel, known = getattr(fused_kernels, name), sizes | {"WIDTH": width, "ROWS": elements // width}
        names = kernel.arg_names
        places = {(i,): [["tt.divisibility", 16]] for i, n in enumerate(names) if types.get(n, "")[:1] == "*"}
        source = ASTSource(kernel, {n: types.get(n, "constexpr") for n in names},
                           {(i,): known[n] for i, n in enumerate(names) if n not in types}, places)  # fmt: skip
        options = {"num_warps": warps, "launch_pdl": True}
        made_of = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
        with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
            file.write(made_of.asm["cubin"])
            file.flush()
            tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
            used = subprocess.check_output([tool, "--dump-resource-usage", file.name], text=True)
        stack = int(used.partition("STACK:")[2].split()[0])
        found[name] = stack, "v4.b32" in made_of.asm["ptx"] or name == "choose"
    return found


@pytest.mark.parametrize("values, words", [
    ({}, "its kernels need a CUDA device. On a processor TRITON_INTERPRET=1 runs them, for tests only."),
    ({"options": {"graph": True}}, "unknown option 'graph'. Known options: cuda_graph, dependent_launch, capacity."),
    ({"dtype": "int8"}, "measures fp32, bf16, fp16, not int8. Use an engine with such kernels."),
    ({"batch": 9}, "takes 8 sequences at most, not 9. Use hf-compile for more."),
    ({"concurrency": 2}, "serves one request at a time, not 2. Use an engine with a server."),
    ({"options": {"capacity": 0}}, "capacity: 0 is not a whole number from 1 up."),
])  # fmt: skip
def test_what_cannot_be_measured_is_refused_with_the_reason(values, words, monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert Fused().refuses(cell(**values)) == f"fused: {words}"


def test_without_triton_the_reason_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("llmresearch.backends.fused.find_spec", lambda name: None if name == "triton" else True)
    assert Fused().refuses(cell(device="cuda")) == "fused: needs triton, not installed here: pip install triton."


def test_another_family_is_refused_by_name(tmp_path):
    with pytest.raises(FusedError, match="unsupported model type 'gemma3_text': fused knows gpt2") as caught:
        architecture_of(made("gemma3", tmp_path))
    assert classify_failure(str(caught.value)).cause == "unsupported operation"


def test_an_answer_that_never_comes_is_an_error_and_no_endless_wait():
    engine = Fused()
    engine.batch, engine._answer, engine._events = 1, [-1], None
    with pytest.raises(FusedError, match="the step ended without an answer"):
        engine._answered(lambda: None)


def test_blocks_cover_their_width():
    assert [power_of_two(size) for size in (1, 2, 3, 768, 1024, 3072)] == [1, 2, 4, 1024, 1024, 4096]
