"""Fixtures that the tests of several engines share; a file that wants one in all tests says `usefixtures`."""

import pytest

from tests import tiny_models
from tests.tiny_models import made, varied


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """The folder of a cache of the file's own: what its tests make, no other file's tests find."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMRESEARCH_CACHE", str(folder))
        yield folder


@pytest.fixture
def machine_cache(monkeypatch):
    """The machine's own cache, for trained weights: making them takes half a minute."""
    monkeypatch.delenv("LLMRESEARCH_CACHE", raising=False)


@pytest.fixture(scope="module")
def one_thread():
    """torch computes with one thread: two threads on a busy machine wait for each other."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def small(request, cache):
    """The folder of the seeded model that the file calls SMALL; its greedy text is not one token repeated."""
    return varied(request.module.SMALL)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return made("gpt2", tmp_path_factory.mktemp("gpt2"))


@pytest.fixture(scope="module")
def gemma(tmp_path_factory):
    return made("gemma3", tmp_path_factory.mktemp("gemma3"))


@pytest.fixture(scope="module")
def windowed(tmp_path_factory):
    """A Gemma 3 whose window is shorter than its prompts, and whose answers are several tokens."""
    return tiny_models.windowed(tmp_path_factory.mktemp("windowed"))
