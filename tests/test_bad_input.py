"""What is broken, absent or not what it seems costs its own cells, with a class and a remedy; the run goes on."""

import socket
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "servers"))
from stand_in import running  # noqa: E402

import llmresearch as lr
from llmresearch import export, models, records
from llmresearch.backends import backend
from llmresearch.failures import classify_failure

pytestmark = pytest.mark.usefixtures("cache")
BASE = {"study": "s", "phases": ["prefill"], "repetitions": 1, "warmup": 0}
OTHER = {"name": "other", "seeded": True, "layers": 1, "hidden": 16, "heads": 2, "vocab": 211}
GOES_ON = {"backends": ["fake"], "models": ["fake-1m"], "dtypes": ["fp32"],
           "scenarios": [{"name": "after", "prompt_tokens": 8}]}  # fmt: skip
ON_THE_SERVER = {"models": [{"name": "small", "served": True}], "dtypes": ["q4_k_m"],
                 "scenarios": [{"name": "s", "prompts": ["one two three"], "new_tokens": 8}]}  # fmt: skip


def became(tmp_path, **asked):
    """The record of the broken cell, after a run in which the cell behind it was measured."""
    path = tmp_path / "raw.jsonl"
    lr.measure(lr.plan(BASE | asked | {"also": [GOES_ON]}), path, progress=False)
    found = {cell["backend"]: cell for cell in records.cells(path)}
    assert found.pop("fake")["status"] == "ok", "the run goes on"
    (cell,) = found.values()
    assert cell["reason"].endswith(".") and "\n" not in cell["reason"]
    return cell


def assert_failed(cell, cause, words):
    assert (cell["status"], cell["failure"]["cause"]) == ("failed", cause), cell["reason"]
    assert words in cell["reason"] and cell["failure"]["remedy"]


def absent(name):
    reason = backend(name)().refuses(lr.plan(BASE | {"backends": [name]})[0])
    return pytest.mark.skipif(reason is not None, reason=reason or "")


@absent("ort")
def test_an_onnx_file_of_another_model(tmp_path):
    other = export.artifact(models.folder(OTHER))
    cell = became(tmp_path, backends=[{"name": "ort", "onnx": str(other)}], models=["tiny-gpt2"])
    assert_failed(cell, "corrupt file", "sha256 mismatch: it was exported from a model of")


@absent("llamacpp")
@pytest.mark.parametrize("kept, words", [(-1000, "is cut short ("), (300, "is no GGUF file, or is cut short")])
def test_a_gguf_cut_short(tmp_path, kept, words):
    engine, asked = backend("llamacpp")(), lr.plan(BASE | {"backends": ["llamacpp"], "models": ["tiny-gpt2"]})[0]
    engine.load(asked, models.folder("tiny-gpt2"))
    short = tmp_path / "short.gguf"
    short.write_bytes(engine.path.read_bytes()[:kept])
    engine.close()
    cell = became(tmp_path, backends=["llamacpp"], models=[{"name": "short", "gguf": str(short)}])
    assert_failed(cell, "corrupt file", words)
    assert "again." in cell["reason"]


def test_weights_cut_short(tmp_path):
    for file in models.folder(OTHER).iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes((tmp_path / "model.safetensors").read_bytes()[:-100])
    cell = became(tmp_path, backends=["hf"], models=[{"name": "short", "folder": str(tmp_path)}])
    assert_failed(cell, "corrupt file", "is cut short or damaged")


@pytest.mark.parametrize("name, remedy", [
    ("ollama", "Start it with 'ollama serve', or drop 'ollama' from backends."),
    ("openai", "Start it (llama-server -m FILE, or vllm serve MODEL), or drop 'openai' from backends."),
])  # fmt: skip
def test_a_server_that_is_absent(tmp_path, name, remedy):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    cell = became(tmp_path, backends=[{"name": name, "url": url}], **ON_THE_SERVER)
    assert cell["status"] == "refused" and cell["reason"] == f"{name}: no answer from {url}. {remedy}"


@pytest.mark.parametrize("name", ["ollama", "openai"])
def test_a_port_that_another_program_has(tmp_path, name):
    with running(fault="other_program") as server:
        cell = became(tmp_path, backends=[{"name": name, "url": server.url}], **ON_THE_SERVER)
    assert cell["status"] == "refused" and "url: http://HOST:PORT" in cell["reason"]
    assert classify_failure(cell["reason"]).cause == "port in use"


@pytest.mark.parametrize("name", ["ollama", "openai"])
@pytest.mark.parametrize("fault, cause, words", [
    ("html", "invalid output", "answered nonsense"), ("slow", "time-out", "no answer within 0.5 s"),
    ("500", "engine did not start", "HTTP 500"),
    ("stops_cleanly", "connection lost", "the stream ended after 3 of 8 tokens"),
])  # fmt: skip
def test_a_server_that_breaks(tmp_path, name, fault, cause, words):
    with running(fault=fault) as server:
        impatient = {"name": name, "url": server.url, "answer_within_s": 0.5}
        cell = became(tmp_path, backends=[impatient], **ON_THE_SERVER)
    assert_failed(cell, cause, words)


@pytest.mark.parametrize("error, cause, remedy", [
    ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", "out of memory", "llmresearch size"),
    ("RuntimeError: CUDA driver version is insufficient for CUDA runtime version", "driver too old",
     "Update the GPU driver"),
    ("OSError: libcublas.so.12: cannot open shared object file: No such file or directory", "missing library",
     "Install the library"),
])  # fmt: skip
def test_what_a_gpu_and_its_libraries_say(error, cause, remedy, monkeypatch):
    """In words that these libraries print: a worker turns them into a record like any other error."""
    from llmresearch import worker

    def load():
        raise RuntimeError(error)

    found = worker._attempt(load)
    assert (found["status"], found["failure"]["cause"]) == ("failed", cause) and remedy in found["failure"]["remedy"]
