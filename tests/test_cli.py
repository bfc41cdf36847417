"""What a user types, and the one sentence that a mistake is answered with."""

import json

import pytest

from llmresearch import cli, doctor, provenance
from llmresearch.matrix import load


def call(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["llmresearch", *map(str, arguments)])
    cli.main()


def fails(monkeypatch, capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        call(monkeypatch, *arguments)
    assert stopped.value.code not in (0, None)
    return capsys.readouterr()


@pytest.fixture
def params(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("backends: [fake]\nmodels: [fake-1m]\nrepetitions: 2\n")
    return path


def test_measuring_needs_no_notebook_and_goes_on_where_it_stopped(monkeypatch, capsys, params, tmp_path):
    raw = tmp_path / "out" / "mine.jsonl"
    call(monkeypatch, "measure", params, "--raw", raw)
    assert str(raw) in capsys.readouterr().out
    before = raw.read_bytes()
    call(monkeypatch, "measure", params, "--raw", raw)
    assert raw.read_bytes() == before
    assert json.loads((tmp_path / "out" / "mine.json").read_text())["study"] == "mine"


def test_an_unknown_key_is_answered_in_one_line(monkeypatch, capsys, params, tmp_path):
    params.write_text(params.read_text() + "repetitons: 3\n")
    said = fails(monkeypatch, capsys, "measure", params, "--raw", tmp_path / "r.jsonl").err
    assert "unknown key 'repetitons'. Did you mean 'repetitions'?" in said and said.count("\n") == 1
    assert not (tmp_path / "r.jsonl").exists()


def test_an_unknown_study_names_the_known_ones(monkeypatch, capsys):
    assert "Known studies: " in fails(monkeypatch, capsys, "report", "tr999").err


def test_an_unknown_parameter_of_a_notebook_is_refused_before_anything_runs(monkeypatch, capsys, tmp_path):
    said = fails(monkeypatch, capsys, "report", "tr121", "-p", "repetitionz", "3", "--out", tmp_path).err
    assert "'repetitionz'" in said and "repetitions" in said
    assert not list(tmp_path.iterdir())


def test_an_unknown_check_is_refused_before_any_check_runs(monkeypatch, capsys):
    assert "unknown check 'clock'. Known: timer" in fails(monkeypatch, capsys, "selfcheck", "warmup", "clock").err


def test_checks_print_a_line_each_and_store_the_certificate(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("LLMRESEARCH_CACHE", str(tmp_path))
    call(monkeypatch, "selfcheck", "warmup")
    assert capsys.readouterr().out.startswith("passed  warmup")
    found = provenance.certificate()
    assert found["checks"]["warmup"]["passed"] and not found["passed"]  # one check is not all of them


def test_a_certificate_of_other_hardware_does_not_count(monkeypatch, tmp_path):
    monkeypatch.setenv("LLMRESEARCH_CACHE", str(tmp_path))
    provenance.certificate_path().write_text(json.dumps({"host": "another machine", "checks": {}}))
    assert provenance.certificate() is None


def test_the_doctor_says_what_each_backend_lacks(monkeypatch, capsys):
    monkeypatch.setattr(doctor.backends, "BACKENDS", {"fake": "fake.Fake"})
    call(monkeypatch, "doctor", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["backends"] == {"fake": {"cpu": None, "cuda": None}}
    assert "fake on cpu" in doctor.text(found)


def test_the_doctor_survives_an_interpreter_that_is_not_there(monkeypatch):
    monkeypatch.setattr(doctor.backends, "BACKENDS", {"fake": "fake.Fake"})
    found = doctor.examine({"fake": "/no/python"})
    assert "could not be started" in found["backends"]["fake"]["cpu"]


def test_parameter_values_are_read_as_yaml():
    assert cli._values([("sessions", "3"), ("models", "[a, b]")]) == {"sessions": 3, "models": ["a", "b"]}


def test_the_shipped_parameters_are_mappings():
    from llmresearch import root

    assert all(isinstance(load(path), dict) for path in (root() / "params").rglob("*.yaml"))


def test_a_size_is_answered_for_people_and_for_programs(monkeypatch, capsys):
    call(monkeypatch, "size", "--model", "llama-3.1-8b", "--gpu", "h200")
    assert "weights" in capsys.readouterr().out
    call(monkeypatch, "size", "--model", "llama-3.1-8b", "--gpu", "h200", "--enforce-eager", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["cuda_graphs"]["value"] == 0 and found["weights"]["value"] > 14.9 * 2**30


def test_an_option_that_does_not_exist_is_answered_with_the_usage(monkeypatch, capsys):
    assert "No such option" in fails(monkeypatch, capsys, "size", "--modell", "x").err


def test_stopping_says_how_to_go_on(monkeypatch, capsys):
    def interrupted(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "app", interrupted)
    assert "run the same command to go on" in fails(monkeypatch, capsys, "doctor").err


def test_the_doctor_takes_the_interpreters_that_a_parameter_file_names(tmp_path):
    (tmp_path / "p.yaml").write_text("backends: {fake: {}, vllm: {python: /its/own/python}}\nmodels: [fake-1m]\n")
    assert doctor.pythons_of(tmp_path / "p.yaml") == {"vllm": "/its/own/python"}
