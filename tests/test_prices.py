"""A file of prices: dated, sourced, and refused when it is too old."""

from datetime import date

import pandas as pd
import pytest
import yaml

from llmresearch import prices
from llmresearch.audit.tables import published

TODAY = date(2026, 3, 1)
ROW = {"name": "gpu", "on_demand": 2.0, "spot": 0.5, "source": "the invoice of February"}
GRID = {"name": "here", "usd_per_kwh": 0.3, "gco2e_per_kwh": 400, "source": "the contract"}


def written(tmp_path, **changes):
    values = {"as_of": date(2026, 2, 1), "life_days": 90, "rent": [ROW], "grid": [GRID]} | changes
    path = tmp_path / "prices.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_a_file_within_its_life_gives_a_rent_for_every_machine_and_tier(tmp_path):
    found = prices.load(written(tmp_path), today=TODAY)
    assert [(r.usd_per_hour, r.name, r.tier, r.for_every_hour) for r in found.rents()] == [
        (2.0, "gpu", "on_demand", False), (0.5, "gpu", "spot", False)]  # fmt: skip
    assert found.of_grid("here")["gco2e_per_kwh"] == 400
    assert (found.note, found.examples) == ("within their life", False)


def test_the_last_day_of_its_life_is_still_in_it(tmp_path):
    path = written(tmp_path, as_of=date(2025, 12, 1))
    assert prices.load(path, today=date(2026, 3, 1)).note == "within their life"
    with pytest.raises(prices.PriceFileError, match="91 days old, with a life of 90 days"):
        prices.load(path, today=date(2026, 3, 2))


@pytest.mark.parametrize("as_of, words", [(None, "without a date"), ("February", "without a date"), (date(2026, 3, 5), "4 days ahead")])
def test_a_date_that_is_missing_or_ahead_is_refused(tmp_path, as_of, words):
    with pytest.raises(prices.PriceFileError, match=words):
        prices.load(written(tmp_path, as_of=as_of), today=TODAY)


def test_old_prices_can_be_asked_for_and_then_say_that_they_are_old(tmp_path):
    found = prices.load(written(tmp_path, as_of=date(2024, 3, 1)), old_prices_do=True, today=TODAY)
    assert "730 days old" in found.note


@pytest.mark.parametrize("changes, words", [
    ({"rent": [{"name": "gpu", "on_demand": 2.0}]}, "no source"),
    ({"rent": [ROW | {"source": " "}]}, "no source"),
    ({"rent": [ROW | {"on_demand": -1}]}, "no number from zero up"),
    ({"rent": [ROW | {"on_demand": "cheap"}]}, "no number from zero up"),
    ({"rent": [ROW | {"per_day": 40}]}, "unknown key 'per_day'"),
    ({"rent": [ROW, ROW]}, "stands twice"),
    ({"rent": "2 dollars"}, "not a list of mappings"),
    ({"grid": [{"name": "here", "usd_per_kwh": 0.3, "source": "x"}]}, "gco2e_per_kwh is None"),
    ({"life_days": None}, "life_days is None"),
    ({"life": 90}, "unknown key 'life'"),
])  # fmt: skip
def test_a_row_without_source_or_with_a_price_that_is_none_is_refused(tmp_path, changes, words):
    with pytest.raises(prices.PriceFileError, match=words):
        prices.load(written(tmp_path, **changes), today=TODAY)


@pytest.mark.parametrize("text, words", [("- 1", "a list, not a mapping"), ("a: [", "not YAML"), (None, "cannot be read")])
def test_a_file_that_is_no_price_file_is_refused(tmp_path, text, words):
    path = tmp_path / "prices.yaml"
    if text:
        path.write_text(text)
    with pytest.raises(prices.PriceFileError, match=words):
        prices.load(path)


def test_an_unknown_grid_is_answered_with_the_known_ones(tmp_path):
    with pytest.raises(prices.PriceFileError, match="unknown 'mars'. The price file has: here"):
        prices.load(written(tmp_path), today=TODAY).of_grid("mars")


def test_the_examples_are_refused_as_a_price_file_and_say_what_they_are():
    with pytest.raises(prices.PriceFileError, match="without a date"):
        prices.load(prices.EXAMPLES)
    found = prices.examples()
    assert found.examples and "no budget" in found.note
    assert found.table()["source"].str.startswith("example").all()


def test_the_examples_are_the_published_inputs():
    inputs = published("tr119_pricing_inputs")
    hourly = inputs[inputs["group"] == "hourly_price"]
    theirs = {(r.provider, r.key.replace("1yr", "1y").replace("3yr", "3y")): float(r.value) for r in hourly.itertuples()}
    assert {(r.name, r.tier): r.usd_per_hour for r in prices.examples().rents()} == theirs
    grids = prices.examples().grid
    for row in inputs[inputs["group"] == "energy"].itertuples():
        ours = next((g for g in grids if g["name"] == row.provider), None)
        key = "usd_per_kwh" if row.key == "electricity" else "gco2e_per_kwh"
        assert ours is None or ours[key] == float(row.value), row.provider


def test_an_api_of_the_file_has_a_price_for_either_kind_of_token(tmp_path):
    api = {"name": "somebody", "usd_per_million_input": 0.3, "usd_per_million_output": 1.2, "source": "their page"}
    found = prices.load(written(tmp_path, api=[api]), today=TODAY)
    assert found.apis()[0].usd_per_million_output == 1.2
    assert isinstance(found.table(), pd.DataFrame) and len(found.table()) == 6
