"""Parameters become cells, or one sentence."""

from collections import Counter

import pytest

from llmresearch.matrix import ParameterError, as_json, from_json, load, plan
from llmresearch.records import LlmResearchError

SMALL = {"study": "s", "models": ["fake-1m", "fake-2m"], "backends": ["fake"]}


def test_every_combination_is_planned_once_per_session():
    scenarios = [{"name": "a", "prompts": 2}, {"name": "b"}]
    cells = plan(SMALL | {"sessions": 3, "dtypes": ["fp32", "bf16"], "scenarios": scenarios})
    assert len(cells) == 2 * 2 * 3 * 3  # models × precisions × prompts × sessions
    assert set(Counter((c.cell_id, c.session) for c in cells).values()) == {1}
    assert [c.order for c in cells] == list(range(36))


def test_the_order_is_drawn_from_the_seed():
    asked = SMALL | {"models": [f"fake-{n}m" for n in range(1, 9)], "sessions": 2}
    assert plan(asked) == plan(asked)
    assert [c.model for c in plan(asked)] != [c.model for c in plan(asked | {"seed": 7})]
    first, second = [c.model for c in plan(asked)][:8], [c.model for c in plan(asked)][8:]
    assert first != second and sorted(first) == sorted(second)


def test_every_second_session_goes_backwards_so_that_no_backend_is_always_last():
    asked = SMALL | {"backends": ["fake", {"name": "fake", "label": "b"}], "sessions": 4}
    order = [(c.session, c.model, c.backend) for c in plan(asked)]
    sessions = [[cell[1:] for cell in order if cell[0] == session] for session in (1, 2, 3, 4)]
    assert sessions[1] == sessions[0][::-1] and sessions[3] == sessions[2][::-1]


def test_the_backends_of_a_model_are_measured_next_to_each_other():
    asked = SMALL | {"backends": ["fake", {"name": "fake", "label": "b"}, {"name": "fake", "label": "c"}], "sessions": 4}
    models = [c.model for c in plan(asked)]
    for block in range(0, len(models), 3):
        assert len(set(models[block : block + 3])) == 1


def test_a_cell_keeps_its_name_over_sessions_and_when_only_the_patience_changes():
    a, b = plan(SMALL | {"models": ["fake-1m"], "sessions": 2})
    assert a.cell_id == b.cell_id
    (c,) = plan(SMALL | {"models": ["fake-1m"], "timeout_s": 5})
    assert c.cell_id == a.cell_id
    (d,) = plan(SMALL | {"models": ["fake-1m"], "repetitions": 8})
    assert d.cell_id != a.cell_id


def test_the_names_of_the_earlier_studies_are_understood():
    (gpu,) = plan({"backends": ["transformers-gpu-compile"]})
    assert (gpu.backend, gpu.device) == ("hf-compile", "cuda")
    (cpu,) = plan({"backends": ["transformers-cpu"], "device": "cuda"})
    assert (cpu.backend, cpu.device) == ("hf", "cpu")


def test_backends_may_be_a_mapping_with_an_interpreter_and_options():
    (cell,) = plan({"backends": {"fake": {"python": "/opt/python", "noise": 0.1}}})
    assert (cell.python, cell.options) == ("/opt/python", {"noise": 0.1})


def test_a_prompt_may_be_a_text():
    cells = plan({"scenarios": [{"name": "t", "prompts": ["Hello there", "Good day"]}]})
    assert sorted(c.text for c in cells) == ["Good day", "Hello there"]
    assert {c.prompt_tokens for c in cells} == {None}


def test_a_cell_survives_the_way_to_a_worker():
    (cell,) = plan({"models": [{"name": "m", "params": 7}]})
    assert from_json(as_json(cell)) == cell
    assert cell.source == {"params": 7}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"repetitons": 3}, "unknown key 'repetitons'. Did you mean 'repetitions'"),
        ({"backends": ["tensorflow"]}, "unknown backend 'tensorflow'. Known: fake"),
        ({"backends": []}, "backends: .. is not a list with something in it"),
        ({"backends": ["fake", "fake"]}, "fake/cpu/fp32 stands twice"),
        ({"phases": ["prefil"]}, "phases: unknown 'prefil'. Known: prefill, decode, e2e, generate"),
        ({"device": "tpu"}, "device: unknown 'tpu'. Known: cpu, cuda"),
        ({"dtypes": ["fp8"]}, "dtypes: unknown 'fp8'"),
        ({"repetitions": 0}, "repetitions: 0 is not a whole number from 1 up"),
        ({"sessions": -1}, "sessions: -1 is not"),
        ({"sessions": 1.5}, "sessions: 1.5 is not"),
        ({"warmup": -1}, "warmup: -1 is not a whole number from 0 up or 'auto'"),
        ({"warmup": "often"}, "warmup: 'often' is not"),
        ({"timeout_s": 0}, "timeout_s: 0 is not a number above 0"),
        ({"within_percent": float("inf")}, "within_percent: inf"),
        ({"threads": 0}, "threads: 0 is not"),
        ({"stop": "soon"}, "stop: unknown 'soon'. Known: fixed, interval"),
        ({"models": ["a", "a"]}, "models: a name stands twice"),
        ({"models": [7]}, "models: 7 is no name"),
        ({"scenarios": [{"name": "a", "promt_tokens": 4}]}, "scenarios: unknown key 'promt_tokens'. Did you mean 'prompt_tokens'"),
        ({"scenarios": [{"prompt_tokens": 4}]}, "has no name"),
        ({"scenarios": [{"name": "a", "new_tokens": 0}]}, "scenarios: a: new_tokens: 0 is not"),
        ({"scenarios": [{"name": "a", "batch": -2}]}, "scenarios: a: batch: -2 is not"),
        ({"scenarios": [{"name": "a"}, {"name": "a"}]}, "a name stands twice"),
        ({"scenarios": [{"name": "a", "prompts": [""]}]}, "prompts must be texts"),
        ({"scenarios": ["short"]}, "'short' is not a mapping"),
    ],
)
def test_a_parameter_that_means_nothing_is_refused_in_one_sentence(change, sentence):
    with pytest.raises(LlmResearchError, match=sentence):
        plan(SMALL | change)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("- a\n- b\n", "a list, not a mapping"), ("a: [1\n", "line 2: not YAML"), ("", "a NoneType, not a mapping")],
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path, text, sentence):
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(ParameterError, match=sentence):
        load(path)


def test_a_file_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(ParameterError, match="cannot be read .No such file"):
        load(tmp_path / "none.yaml")


def test_a_file_cannot_make_objects(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("a: !!python/object/apply:os.system ['true']\n")
    with pytest.raises(ParameterError, match="not YAML"):
        load(path)


def test_further_plans_differ_in_what_they_say_and_join_the_run():
    cells = plan(SMALL | {"sessions": 2, "also": [{"models": ["fake-9m"], "phases": ["decode"]}]})
    assert len(cells) == 6 and [c.order for c in cells] == list(range(6))
    assert {c.phases for c in cells if c.model == "fake-9m"} == {("decode",)}


@pytest.mark.parametrize(
    ("also", "sentence"),
    [
        ([{"models": ["fake-1m"]}], "asked for twice"),
        ([{"modells": ["a"]}], "also: unknown key 'modells'. Did you mean 'models'"),
        ([{"also": []}], "an `also` of its own"),
        ({"models": ["a"]}, "also: .* is not a list"),
    ],
)
def test_a_further_plan_that_means_nothing_is_refused(also, sentence):
    with pytest.raises(LlmResearchError, match=sentence):
        plan(SMALL | {"also": also})


def test_asking_for_the_roofline_is_yes_or_no():
    with pytest.raises(ParameterError, match="roofline: 'often' is neither true nor false"):
        plan({"roofline": "often"})
    assert [c.cell_id for c in plan({"roofline": True})] == [c.cell_id for c in plan({})]
