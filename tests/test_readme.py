"""The README's commands run as they stand there (the make targets run in CI)."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import llmresearch

ROOT = Path(llmresearch.__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def run(arguments, folder):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "LLMRESEARCH_CACHE": str(folder / "cache")}
    return subprocess.run(arguments, cwd=folder, capture_output=True, text=True, env=env, timeout=300)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the project's notebooks and parameters, where outputs may go."""
    folder = tmp_path_factory.mktemp("readme")
    for name in ("notebooks", "params"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def test_the_commands_run_one_after_the_other(place):
    (commands,) = blocks("sh")
    for command in commands.strip().splitlines():
        done = run(command.split(), place)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def test_the_python_example_runs(place):
    (code,) = blocks("python")
    done = run([sys.executable, "-W", "error::FutureWarning", "-c", code.replace("lr.summary", "print(lr.summary", 1) + ")"], place)
    assert done.returncode == 0 and "fake-10m" in done.stdout, done.stderr


def test_every_file_that_the_readme_names_is_there():
    for name in re.findall(r"(?:notebooks|params|benchmarks|docs|llmresearch|tests)/[\w./-]+\.(?:ipynb|yaml|py|png)", README):
        assert (ROOT / name).exists(), name


def test_the_listed_backends_are_the_backends():
    from llmresearch.backends import BACKENDS

    for name in ("fake", "hf", "hf-compile", "ort", "llamacpp", "ollama", "openai"):
        assert name in BACKENDS and f"`{name}`" in README
