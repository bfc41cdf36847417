"""Two runs of a study agree where their ratios do, within a tolerance that was set before."""

import json
import math

import pytest

from llmresearch.reporting.claims import ReportError, claim
from llmresearch.intervals import Estimate
from llmresearch.reporting.reproduce import conclusion, reproduced


def folder(path, *claims):
    path.mkdir()
    rows = [{k: None if v != v else v for k, v in c.asdict().items()} for c in claims]
    (path / "claims.json").write_text(json.dumps(rows))
    return path


def ratio(value, low, high, id="a", unit="", above=1.0):
    return claim(id, "A.", Estimate(value, low, high, 5), above=above, unit=unit)


def verdict(tmp_path, a, b):
    return reproduced(folder(tmp_path / "a", a), folder(tmp_path / "b", b)).loc[0, "verdict"]


def test_a_ratio_that_moves_less_than_the_tolerance_is_reproduced(tmp_path):
    assert verdict(tmp_path, ratio(1.500, 1.495, 1.505), ratio(1.505, 1.500, 1.510)) == "reproduced"


def test_a_ratio_that_moves_more_is_not(tmp_path):
    assert verdict(tmp_path, ratio(1.50, 1.49, 1.51), ratio(1.70, 1.69, 1.71)) == "not reproduced"


def test_wide_intervals_leave_it_undecided(tmp_path):
    assert verdict(tmp_path, ratio(1.5, 1.2, 1.8), ratio(1.5, 1.2, 1.8)) == "undecided"


def test_a_claim_that_turns_around_is_not_reproduced_whatever_its_size(tmp_path):
    assert verdict(tmp_path, ratio(1.01, 1.005, 1.015), ratio(0.995, 0.991, 0.999)) == "not reproduced"


def test_absolute_times_are_not_compared(tmp_path):
    assert verdict(tmp_path, ratio(2.0, 1.9, 2.1, unit="s"), ratio(9.0, 8.9, 9.1, unit="s")) == "not compared"


def test_a_claim_that_one_report_lacks_is_not_compared(tmp_path):
    table = reproduced(folder(tmp_path / "a", ratio(1.5, 1.4, 1.6)), folder(tmp_path / "b"))
    assert list(table["verdict"]) == ["not compared"]
    assert conclusion(table) == "UNDECIDED"


def test_a_value_without_an_interval_is_undecided(tmp_path):
    assert verdict(tmp_path, ratio(1.5, math.nan, math.nan), ratio(1.5, 1.49, 1.51)) == "undecided"


def test_distances_to_the_ends_add_in_quadrature_on_the_log_scale(tmp_path):
    e = math.exp
    a, b = ratio(e(1.0), e(0.97), e(1.04)), ratio(e(1.5), e(1.46), e(1.53))
    row = reproduced(folder(tmp_path / "a", a), folder(tmp_path / "b", b)).loc[0]
    assert (row["change"], row["low"], row["high"]) == pytest.approx(
        (e(0.5), e(0.5 - math.hypot(0.04, 0.04)), e(0.5 + math.hypot(0.03, 0.03)))
    )


def test_one_claim_that_is_not_reproduced_decides_for_all(tmp_path):
    same, moved = ratio(1.5, 1.499, 1.501), ratio(1.7, 1.699, 1.701)
    other = ratio(1.5, 1.499, 1.501, id="b")
    table = reproduced(folder(tmp_path / "a", same, other), folder(tmp_path / "b", moved, other))
    assert conclusion(table) == "NOT REPRODUCED"
    assert conclusion(table[table["id"] == "b"]) == "REPRODUCED"


def test_a_folder_without_claims_is_one_sentence(tmp_path):
    with pytest.raises(ReportError, match="claims.json: cannot be read. Name the folder"):
        reproduced(tmp_path, tmp_path)
