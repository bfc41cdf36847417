"""The pins: constraints.txt, environment.yml and pyproject.toml say the same of every package."""

from importlib import metadata
from pathlib import Path
import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement

HERE = Path(__file__).parent.parent


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lines):
    return {normal(name): version for name, version in re.findall(r"^([\w.-]+)==([^\s;#]+)", "\n".join(lines), re.M)}


CONSTRAINTS = pins((HERE / "constraints.txt").read_text().splitlines())
PIP = next(part["pip"] for part in yaml.safe_load((HERE / "environment.yml").read_text())["dependencies"] if isinstance(part, dict))
PROJECT = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def test_an_environment_of_conda_takes_every_pin_also_of_what_its_packages_need():
    assert "-c constraints.txt" in PIP


def test_no_two_files_pin_a_package_to_different_versions():
    found = pins(PIP)
    assert len(found) > 30 and {name: version for name, version in found.items() if CONSTRAINTS.get(name) != version} == {}


def asked(extra):
    """The packages of an extra, or without one those that everybody gets."""
    return {normal(re.split(r"[\[<>=;! ]", name)[0]) for name in (EXTRAS[extra] if extra else PROJECT["dependencies"])}


@pytest.mark.parametrize("extra", [None, *EXTRAS])
def test_every_package_that_is_asked_for_is_pinned(extra):
    assert asked(extra) - set(CONSTRAINTS) == set()


@pytest.mark.parametrize("extra", [None, "gpu", "quality", "dev", "test"])
def test_an_environment_of_conda_has_what_it_says_it_has(extra):
    assert asked(extra) - set(pins(PIP)) == set()


def test_what_the_pinned_packages_need_here_is_pinned_too():
    needed = {name for package in CONSTRAINTS for name in _needs(package)}
    here = {normal(one.metadata["Name"]) for one in metadata.distributions()}
    assert (needed & here) - set(CONSTRAINTS) - {"setuptools", "pip", "wheel"} == set()


def _needs(name):
    """The packages that an installed one needs on this Python and machine, without extras."""
    try:
        wanted = [Requirement(text) for text in metadata.requires(name) or []]
    except metadata.PackageNotFoundError:
        return []
    return [normal(one.name) for one in wanted if not one.marker or one.marker.evaluate({"extra": ""})]
