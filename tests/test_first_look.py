"""A first look compares, plots, and says what it cannot tell."""

import pytest

import llmresearch as lr
from llmresearch import first_look
from llmresearch.first_look import QuickError, quick


@pytest.fixture(scope="module")
def look(tmp_path_factory):
    return quick("fake-10m", ["fake"],
                 raw=tmp_path_factory.mktemp("quick") / "a.jsonl", progress=False)  # fmt: skip


def test_three_sessions_fit_where_calls_are_short(look):
    assert set(look.summary["sessions"]) == {3} and set(look.summary["phase"]) == {"prefill", "decode"}


def test_the_raw_file_holds_every_call(look):
    assert len(lr.read(look.raw)) == len(look.frame) == 3 * 2 * (1 + 1 + 5)


def test_one_engine_has_nothing_to_be_compared_with(look):
    assert len(look.comparison) == 0
    assert "nothing to compare it with" in repr(look)


def test_it_shows_a_table_and_a_plot(look):
    html = look._repr_html_()
    assert "<table" in html and "data:image/png;base64," in html and "95 % interval" in html
    assert repr(look).startswith("First look at fake-10m")


def test_without_time_one_session_is_measured_and_it_says_so(tmp_path):
    found = quick("fake-1m", ["fake"], seconds=0.0, raw=tmp_path / "b.jsonl", progress=False)
    assert set(found.summary["sessions"]) == {1}
    assert "One session only" in repr(found)


def test_nothing_that_runs_is_one_sentence(tmp_path):
    with pytest.raises(QuickError, match="nothing could be measured .asleep"):
        quick("fake-1m", [{"name": "fake", "refuse": "asleep"}], raw=tmp_path / "c.jsonl", progress=False)


def test_the_engines_by_default_are_those_that_are_here(monkeypatch):
    class Here:
        def refuses(self, cell):
            return None

    class Absent:
        def refuses(self, cell):
            return f"needs {cell.backend}"

    monkeypatch.setattr(first_look.engines, "backend", lambda name: Here if name == "ort" else Absent)
    assert first_look.present("gpt2-5m") == ["ort"]
    monkeypatch.setattr(first_look.engines, "backend", lambda name: Absent)
    with pytest.raises(QuickError, match="hf: needs hf; ort: needs ort"):
        first_look.present("gpt2-5m")


def test_real_engines_are_compared_on_a_small_model(tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install onnxruntime")
    found = quick("gpt2-5m", ["hf", "ort"], seconds=0.0, raw=tmp_path / "d.jsonl", progress=False)
    ran = set(found.frame["backend"].astype(str))
    assert ran == {"hf", "ort"}
    if len(found.comparison):
        assert set(found.comparison["verdict"]) == {"undecided"}, "one session decides nothing"
