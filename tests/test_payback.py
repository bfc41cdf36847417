import math

import pint
import pytest

from llmresearch.fits.payback import UnitError, break_even, units


def test_a_build_of_240_s_from_2121_to_6284_tokens_a_second_pays_after_122_s_and_768390_tokens():
    e = break_even(240, 2121, 6284)
    assert e.seconds == pytest.approx(122.277, abs=1e-3)
    assert e.tokens == pytest.approx(768_390, abs=0.1)
    assert not e.never


def test_both_engines_have_made_the_same_by_then():
    e = break_even(240, 2121, 6284)
    assert 2121 * (240 + e.seconds) == pytest.approx(6284 * e.seconds)


@pytest.mark.parametrize("candidate", [2121, 2000, 0])
def test_an_engine_that_is_not_faster_never_pays(candidate):
    e = break_even(240, 2121, candidate)
    assert e.never
    assert e.seconds == math.inf


def test_quantities_are_converted_whatever_registry_they_come_from():
    u = units()
    assert break_even(4 * u.minute, 127_260 * u.token / u.minute, 6284).tokens == pytest.approx(768_390, abs=0.1)
    other = pint.UnitRegistry()
    other.define("token = [token]")
    there = break_even(other.Quantity(240_000, "ms"), 2121, other.Quantity(6.284, "token/ms"))
    assert there.seconds == pytest.approx(122.277, abs=1e-3)
    assert break_even("4 min", "2121 token/s", "6284 token/s").seconds == pytest.approx(122.277, abs=1e-3)


@pytest.mark.parametrize("build, baseline, candidate", [
    ("240 token", 2121, 6284), (240, "2121 s", 6284), (240, 2121, "6284 s/token"), (240, "2121 token", 6284),
    ("240 m", 2121, 6284), ("240 foo", 2121, 6284), (-240, 2121, 6284), (240, math.nan, 6284), (240, 2121, math.inf),
    (None, 2121, 6284), (240, [2121], 6284)])
def test_a_wrong_unit_or_no_number_is_refused(build, baseline, candidate):
    with pytest.raises(UnitError, match="Give it|Give a"):
        break_even(build, baseline, candidate)
