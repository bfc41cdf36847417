"""The calculator without a browser: fields in, the sizer's answer out, sentences beside the fields."""

from html.parser import HTMLParser
import json
import os
import time

import pytest

import llmresearch as lr
from llmresearch.sizer import SizerError
from llmresearch.sizer.estimating import NAMES
from llmresearch.widgets import Calculator, fields, panel

CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256,
    "max_position_embeddings": 131072, "torch_dtype": "bfloat16",
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_address(monkeypatch):
    monkeypatch.delenv("QUERY_STRING", raising=False)


@pytest.fixture
def calculator():
    return Calculator("llama-3.1-8b", gpu="h100", max_model_len=8192)


def errors(calculator):
    return {name: field.error for name, field in calculator.fields.items() if field.error}


def test_it_answers_what_the_sizer_answers(calculator):
    expected = lr.sizer.estimate("llama-3.1-8b", gpu="h100", max_model_len=8192)
    assert calculator.estimate.as_dict() == expected.as_dict()
    assert calculator.call == "lr.sizer.estimate('llama-3.1-8b', gpu='h100', max_model_len=8192)"


def test_there_is_a_field_for_every_argument_of_the_estimate_and_each_is_explained():
    assert set(fields.DEFAULTS) == {one.name for one in fields.controls()} == set(fields.NAMES) == set(fields.HELP)


@pytest.mark.parametrize("name, value", [
    ("max_model_len", 32768), ("gpu", "rtx-4090"), ("engine", "llama.cpp"), ("kv_dtype", "fp8"), ("batch", 64),
    ("engine_version", "0.19.0"), ("weight_format", "fp8"), ("enforce_eager", True), ("gpu_memory_utilization", 0.8),
    ("max_num_seqs", 16), ("max_num_batched_tokens", 2048), ("usage", "server"), ("gpu_memory_gib", 40.0), ("pp", 2),
    ("tp", 2), ("context", 1000), ("model", "qwen3-8b"),
])  # fmt: skip
def test_setting_a_field_answers_anew(calculator, name, value):
    getattr(calculator, name).value = value
    question = {"model": "llama-3.1-8b", "gpu": "h100", "max_model_len": 8192} | {name: value}
    assert errors(calculator) == {} and calculator.estimate.as_dict() == lr.sizer.estimate(**question).as_dict()


@pytest.mark.parametrize("name, value, said", [
    ("model", "no-such-model", "model: "), ("model", "{broken", "model: the pasted config is not JSON"),
    ("model", "", "model: none was given"), ("tp", 3, "tp: "), ("tp", "two", "tp: 'two' is not a number"),
    ("max_model_len", -1, "max_model_len: "), ("max_model_len", 10**9, "max_model_len: above the 131072 tokens"),
    ("max_model_len", "1e999", "max_model_len: "), ("gpu", "abacus", "gpu: "), ("kv_dtype", "q3", "kv_dtype: "),
    ("engine", "steam", "engine: "), ("weight_format", "papyrus", "weight_format: "), ("batch", 0, "batch: "),
    ("gpu_memory_utilization", 2, "gpu_memory_utilization: "), ("gpu_memory_gib", -3, "gpu_memory_gib: "),
    ("usage", "never", "usage: "), ("context", 10**8, "context: "), ("enforce_eager", "perhaps", "enforce_eager: "),
    ("prompt_tokens", 0, "prompt_tokens: "), ("prompt_tokens", "long", "prompt_tokens: 'long' is not a number"),
    ("tp", "1e30", "tp: 1e+30 is impossible; give no more than 65,536"), ("batch", "1e30", "batch: "), ("pp", 10**30, "pp: "),
    ("max_num_batched_tokens", 1e30, "max_num_batched_tokens: "), ("gpu_memory_gib", "1e30", "gpu_memory_gib: "),
    ("engine_version", "banana", "engine_version: 'banana' is no version"), ("prompt_tokens", "1.5", "prompt_tokens: "),
    ("model", "x" * 5000, "model: too long"), ("model", '{"a": "' + "x" * (3 << 20) + '"}', "model: too long"),
    ("engine_version", "1" * 5000, "engine_version: too long"), ("model", '{"num_hidden_layers": "many"}', "model: "),
    ("max_num_seqs", "-4", "max_num_seqs: "), ("pp", 1000, "pp: "), ("tp", "nan", "tp: "), ("batch", "1.5", "batch: "),
])  # fmt: skip
def test_bad_input_has_its_sentence_beside_its_field_and_keeps_the_last_good_answer(calculator, name, value, said):
    before = calculator.answer
    getattr(calculator, name).value = value
    assert list(errors(calculator)) == [name] and errors(calculator)[name].startswith(said)
    assert calculator.answer is before and calculator.shown["stale"]
    assert calculator.state[name]["error"] == errors(calculator)[name]


def test_a_field_that_is_mended_answers_again(calculator):
    calculator.tp.value = 3
    calculator.tp.value = 2
    assert errors(calculator) == {} and not calculator.shown["stale"]
    assert calculator.estimate.question["tp"] == 2


def test_a_pasted_config_is_a_model(calculator):
    calculator.model.value = json.dumps(CONFIG, indent=2)
    assert calculator.estimate.as_dict() == lr.sizer.estimate(CONFIG, gpu="h100", max_model_len=8192).as_dict()


def test_the_fields_of_experts_show_for_a_mixture_only(calculator):
    assert calculator.state["ep"]["hidden"]
    calculator.model.value = "mixtral-8x7b-v0.1"
    assert not calculator.state["ep"]["hidden"]
    assert "8 experts, 2 a token" in calculator.shown["experts"]


def test_the_slider_of_the_context_ends_at_the_models_own(calculator):
    assert calculator.state["max_model_len"]["stops"][-1] == 131072
    calculator.update(model="qwen2.5-0.5b")
    assert calculator.state["max_model_len"]["stops"][-1] == 32768


def test_what_a_page_sends_sets_the_fields(calculator):
    calculator._told(None, {"set": {"max_model_len": "16384", "enforce_eager": True}}, [])
    assert calculator.estimate.question["max_model_len"] == 16384 and calculator.estimate.question["enforce_eager"]


@pytest.mark.parametrize("message", [{}, {"set": 3}, {"set": {"colour": "red"}}, "hello", None, {"set": {"fields": "x"}}])
def test_a_message_that_means_nothing_changes_nothing(calculator, message):
    before = calculator.answer
    calculator._told(None, message, [])
    assert calculator.answer is before and errors(calculator) == {}


def test_a_text_that_the_page_kept_to_itself_is_refused_beside_its_field(calculator):
    before = calculator.answer
    calculator._told(None, {"long": "model"}, [])
    assert list(errors(calculator)) == ["model"] and errors(calculator)["model"].startswith("model: too long")
    assert calculator.answer is before and calculator.shown["stale"]


def test_an_address_restores_the_calculator_and_the_calculator_writes_it(calculator, monkeypatch):
    calculator.update(engine="sglang", tp=2, kv_dtype="fp8", context=2000)
    monkeypatch.setitem(os.environ, "QUERY_STRING", calculator.shown["query"])
    again = Calculator()
    assert again.estimate.as_dict() == calculator.estimate.as_dict() and again.answer.query == calculator.answer.query


def test_a_broken_address_starts_from_the_example_and_says_so(monkeypatch):
    monkeypatch.setitem(os.environ, "QUERY_STRING", "model=qwen3-8b&colour=red")
    found = Calculator()
    assert found.shown["error"].startswith("address: unknown name 'colour'") and found.estimate is not None


def test_an_unknown_argument_is_refused():
    with pytest.raises(SizerError, match="calculator: no field 'colour'"):
        Calculator("qwen3-8b", colour="red")


class Page(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.named, self.parts, self.tags, self._name = {}, {}, [], None
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        self._name = attributes.get("data-lr")

    def handle_data(self, data):
        if self._name:
            self.named[self._name], self._name = data, None


def test_the_page_shows_the_estimates_numbers(calculator):
    page, found = Page(calculator.shown["answer"]), calculator.answer
    assert page.named["p-fit"] == f"{found.estimate.p_fit:.3f}" and page.named["fits"] == "fits"
    assert page.named["required"] == f"{found.estimate.required.gib:.2f}"
    assert page.named["max-context"] == f"{found.max_context:,} tokens"
    assert page.named["max-concurrency"] == f"{found.max_concurrency:,}" and page.named["kv-saving"] == "50% less"
    assert calculator.shown["command"] == found.command


def test_the_page_says_of_every_component_why_and_that_times_are_estimated(calculator):
    html = calculator.shown["answer"]
    assert {a["data-part"] for _, a in Page(html).tags if "data-part" in a} == set(NAMES)
    assert html.count("estimated by a roofline") == 2 and html.count("Source:") == len(NAMES)


def test_the_bars_segments_stand_one_after_the_other_and_the_budget_is_a_line(calculator):
    tags = Page(panel.bar(calculator.estimate)).tags
    boxes = [(float(a["x"]), float(a["width"])) for tag, a in tags if tag == "rect"]
    ends = [x + width for x, width in boxes]
    assert boxes[0][0] == 0 and [x for x, _ in boxes[1:]] == pytest.approx(ends[:-1], abs=0.02)
    budget = next(float(a["x1"]) for tag, a in tags if a.get("class") == "lr-budget")
    weights = calculator.estimate.weights.value / calculator.estimate.budget.value
    assert boxes[0][1] / budget == pytest.approx(weights, rel=1e-3)


def test_what_does_not_fit_says_so_and_has_no_command(calculator):
    calculator.model.value = "llama-3.1-70b"
    page = Page(calculator.shown["answer"])
    assert page.named["fits"] == "does not fit" and calculator.shown["command"] == ""
    assert calculator.shown["no_command"].startswith("gpu: h100 allows")


def test_what_people_paste_cannot_become_markup(calculator):
    calculator.model.value = json.dumps(CONFIG | {"_name_or_path": "<img src=x onerror=alert(1)>"})
    assert calculator.estimate is not None
    assert "<img" not in "".join(calculator.shown[page] for page in ("answer", "advanced", "experts"))
    assert "'<img src=x onerror=alert(1)>'" in calculator.shown["command"]  # quoted, and set as text


def test_a_change_is_answered_within_the_time_of_a_frame_or_six(calculator):
    lengths, seconds = [4096, 8192, 16384, 32768, 65536] * 4, []
    for length in lengths:
        start = time.perf_counter()
        calculator.max_model_len.value = length
        seconds.append(time.perf_counter() - start)
    assert sorted(seconds)[len(seconds) // 2] < 0.1
