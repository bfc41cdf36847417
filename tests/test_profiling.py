"""Memory profiles: a stand-in for vLLM through real workers, the plans under params/profiling, the committed raw file."""

from pathlib import Path

import pytest

import llmresearch as lr
from llmresearch.backends import architectures
from llmresearch.backends.vllm_offline import Vllm
from llmresearch.matrix import load, plan
from llmresearch.runner import measure
from llmresearch.sizer import configs, specs, tensors
from llmresearch.sizer.profile_runs import errors, profile_rows

HERE = Path(__file__).parent
ROOT = HERE.parent
H200 = ROOT / "outputs" / "profiling" / "raw" / "h200.jsonl.gz"
PLANS = sorted((ROOT / "params" / "profiling").glob("*.yaml"))
ONE = {"name": "one-token", "prompt_tokens": 8, "new_tokens": 3}
BASE = {"device": "cpu", "dtypes": ["bf16"], "scenarios": [ONE], "phases": ["prefill", "e2e"], "repetitions": 1, "warmup": 0}
SMALL = {"name": "vllm", "label": "small", "load_format": "dummy", "max_model_len": 1024, "max_num_seqs": 16}


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """A raw file of the stand-in: one start that works, and one of each that fails."""
    path = tmp_path_factory.mktemp("profiling") / "raw.jsonl.gz"
    own_code = {"name": "own-code", "config": {"model_type": "unheard_of", "auto_map": {"AutoConfig": "x.Y"}}}
    dying = {"name": "dying", "like": "qwen3-0.6b", "config": {"num_hidden_layers": 13}}
    further = [
        {"models": [own_code, dying, "no-such-model"]},
        {"backends": [SMALL | {"label": "tight", "gpu_memory_utilization": 0.05}, SMALL | {"label": "long", "max_model_len": 99999}]},
    ]
    cells = plan(BASE | {"models": ["qwen3-0.6b"], "backends": [SMALL], "also": further})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(HERE / "stand_in_vllm"))
        return measure(cells, path, progress=False)


@pytest.fixture(scope="module")
def rows(raw):
    return profile_rows(raw)


def row(rows, model, backend="vllm:small"):
    found = rows[(rows.row_id.str.contains(f"/{model}/")) & (rows.backend == backend)]
    assert len(found) == 1
    return found.iloc[0]


def test_every_cell_of_a_batch_with_failures_becomes_a_record(rows):
    assert len(rows) == 6 and rows.status.value_counts().to_dict() == {"failed": 5, "ok": 1}


def test_components_settings_and_tokens_come_from_the_engines_own_log(rows):
    good = row(rows, "qwen3-0.6b")
    assert [good.weights_gib, good.activation_gib, good.non_torch_gib] == pytest.approx([1.11, 0.75, 0.25])
    assert [good.cuda_graphs_gib, good.gpu_memory_gib, good.kv_pool_gib] == pytest.approx([0.5, 16.0, 12.29])
    assert (good.max_model_len, good.max_num_seqs, good.max_num_batched_tokens, good.fits) == (1024, 16, 16384, "yes")


def test_a_start_without_room_is_a_row_that_does_not_fit_and_still_says_what_the_weights_took(rows):
    tight = row(rows, "qwen3-0.6b", "vllm:tight")
    assert (tight.fits, tight.cause) == ("no", "out of memory") and tight.weights_gib == pytest.approx(1.11)
    assert "llmresearch size" in tight.remedy


@pytest.mark.parametrize(("model", "backend", "cause"), [
    ("own-code", "vllm:small", "trust_remote_code required"),
    ("qwen3-0.6b", "vllm:long", "context too long"),
])  # fmt: skip
def test_a_start_that_fails_names_its_cause_and_a_remedy(rows, model, backend, cause):
    found = row(rows, model, backend)
    assert (found.cause, found.fits) == (cause, "unknown") and found.remedy.endswith(".")


def test_an_engine_that_dies_and_a_model_nobody_knows_cost_one_cell_each(rows):
    assert "a stand-in that dies" in row(rows, "dying").reason
    assert "not in the registry of models" in row(rows, "no-such-model").reason


def test_the_calls_of_a_profile_give_the_asked_for_ids(raw):
    found = lr.read(raw)
    ids = found[found.status == "ok"].iloc[0].output_ids[0]
    assert len(ids) == 3 and ids[1] - ids[0] == 1


def test_a_prediction_stands_beside_each_measurement(rows):
    good = row(rows, "qwen3-0.6b")
    assert good.weights_predicted == pytest.approx(1.11, rel=0.02)
    assert good.weights_low <= good.weights_predicted <= good.weights_high


@pytest.mark.parametrize(
    "name", ["llama-3.1-8b", "qwen2.5-7b", "qwen3-8b", "qwen3-30b-a3b", "mixtral-8x7b-v0.1", "olmoe-1b-7b", "phi-4", "gpt2"])
def test_a_config_written_from_the_registry_has_the_published_number_of_weights(name):
    spec = configs.from_config(architectures.config(None, name))
    assert tensors.count(spec) == pytest.approx(specs.models()[name].params, rel=3e-5)


def test_a_kind_that_needs_keys_of_its_own_is_refused_with_what_to_give():
    with pytest.raises(architectures.NoArchitecture, match="Give `like` with a row .* its `config`, or a `folder`"):
        architectures.config(None, "deepseek-v3")


@pytest.mark.parametrize("file", PLANS, ids=lambda path: path.stem)
def test_a_profile_study_is_a_plan_of_known_options(file):
    for cell in plan(load(file)):
        assert cell.repetitions == 1 and len(cell.phases) == 1
        assert not cell.backend.startswith("vllm") or set(cell.options) <= set(Vllm.options)


def test_the_plan_of_the_committed_profiles_is_what_they_hold():
    assert set(lr.read(H200).cell_id.astype(str)) == {cell.cell_id for cell in plan(load(ROOT / "params/profiling/h200.yaml"))}


def test_the_committed_profiles_of_an_h200_are_close_to_the_prediction():
    rows = profile_rows(H200)
    found = errors(rows).set_index("component").error_percent.abs()
    assert len(rows) == 7 and set(rows.fits) == {"yes"} and set(rows.engine_version) == {"0.25.1"}
    assert found["weights"].max() < 2 and found["kv_pool"].max() < 0.6
    assert rows.total_gib.between(129, 131).all()
