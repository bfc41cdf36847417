"""A file of prices, dated and sourced: machines by hour and tier, electricity and carbon, APIs by the token.

A file older than its own life is refused, unless one says that old prices will do; a row without a source is
refused always. The examples that ship with the package have neither date nor source, and say so in every row.
"""

from dataclasses import dataclass
from datetime import date
import math
import numbers
from pathlib import Path

import pandas as pd
import yaml

from ..cost import CostError, Rent
from ..spending import ApiPrice

NO_BUDGET = "examples without source or date: no budget follows from them"
EXAMPLES = Path(__file__).with_name("examples.yaml")
TIERS = ("on_demand", "spot", "reserved_1y", "reserved_3y")
ROWS = {
    "rent": ("name", *TIERS, "source"),
    "grid": ("name", "usd_per_kwh", "gco2e_per_kwh", "source"),
    "api": ("name", "usd_per_million_input", "usd_per_million_output", "source"),
}


class PriceFileError(CostError):
    """A file of prices that cannot be used: too old, without a source, or no such file."""


@dataclass(frozen=True)
class Prices:
    """The rows of a price file, `as_of` its date (None: not known), `note` a word on what to make of it."""

    rent: list
    grid: list
    api: list
    as_of: date | None
    life_days: float
    examples: bool
    note: str

    def rents(self):
        """Every machine and tier as a Rent."""
        pairs = ((row, tier) for row in self.rent for tier in TIERS)
        return [Rent(row[tier], row["name"], tier) for row, tier in pairs if row.get(tier) is not None]

    def apis(self):
        """Every API as an ApiPrice."""
        return [ApiPrice(*(row[key] for key in ROWS["api"][1:-1]), row["name"]) for row in self.api]

    def of_grid(self, name):
        """The row of one grid: usd_per_kwh, gco2e_per_kwh, source."""
        for row in self.grid:
            if row["name"] == name:
                return row
        known = ", ".join(row["name"] for row in self.grid) or "none"
        raise PriceFileError(f"grid: unknown {name!r}. The price file has: {known}.")

    def table(self):
        """One row per price: what, name, tier or kind, value, unit, as_of, source."""
        units = {"usd_per_kwh": "USD/kWh", "gco2e_per_kwh": "gCO2e/kWh", "usd_per_million_input": "USD/1M input tokens",
                 "usd_per_million_output": "USD/1M output tokens"}  # fmt: skip
        when = str(self.as_of) if self.as_of else "not given"
        rows = [
            {"what": what, "name": row["name"], "price": key, "value": row[key], "unit": units.get(key, "USD/h"),
             "as_of": when, "source": row["source"]}
            for what in ROWS for row in getattr(self, what) for key in row if key not in ("name", "source")
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=["what", "name", "price", "value", "unit", "as_of", "source"])


def examples():
    """The Prices that ship with the package: unsourced and undated, to see a report with and no more."""
    return load(EXAMPLES, old_prices_do=True)


def load(path, old_prices_do=False, today=None):
    """The Prices in a YAML file with as_of, life_days, rent, grid and api (see `examples.yaml`).

    Refused: a date that is missing, lies in the future or is more than `life_days` back, unless
    `old_prices_do`; a row without a source; an unknown key; a price that is no number from zero up.
    """
    values = _read(Path(path))
    known = {"as_of", "life_days", "examples", *ROWS}
    if unknown := set(values) - known:
        raise _unknown_key(path, unknown, sorted(known))
    rows = {what: _rows(path, what, values.get(what) or []) for what in ROWS}
    life = values.get("life_days")
    _number(path, "life_days", life)
    late = _too_old(values.get("as_of"), life, today or date.today())
    if late and not old_prices_do:
        raise PriceFileError(f"{path}: {late}. Look the prices up again and write today's date, or say that old prices do "
                             "(old_prices_do: true), and the report will say so too.")  # fmt: skip
    example = bool(values.get("examples"))
    note = NO_BUDGET if example else late or "within their life"
    return Prices(**rows, as_of=values.get("as_of"), life_days=life, examples=example, note=note)


def _read(path):
    """The mapping in a YAML file."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PriceFileError(f"{path}: cannot be read ({error.strerror}). Name a file of prices.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        words = "not YAML. Write it as llmresearch/prices/examples.yaml is written"
        raise PriceFileError(f"{path}: {words}.") from error
    if not isinstance(values, dict):
        kind = type(values).__name__
        raise PriceFileError(f"{path}: a {kind}, not a mapping. Write as_of, life_days, rent, grid, api.")
    return values


def _unknown_key(where, unknown, known):
    """The error for keys that a file of prices does not have."""
    return PriceFileError(f"{where}: unknown key {sorted(unknown)[0]!r}. Known keys: {', '.join(known)}.")


def _too_old(as_of, life_days, today):
    """Why prices of that date may not be used today; None where they may."""
    if not isinstance(as_of, date):
        return "prices without a date (as_of: 2026-01-31)"
    age = (today - as_of).days
    if age < 0:
        return f"prices of {as_of}, which is {-age} days ahead"
    old = f"prices of {as_of}, {age} days old, with a life of {life_days:g} days"
    return old if age > life_days else None


def _rows(path, what, rows):
    """The rows of one kind, with known keys, a source each, names that stand once, and numbers from zero up."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        like = "Write one price a line: {name: …, source: …}"
        raise PriceFileError(f"{path}: {what} is not a list of mappings. {like}.")
    for row in rows:
        where = f"{path}: {what}: {row.get('name', row)}"
        if unknown := set(row) - set(ROWS[what]):
            raise _unknown_key(where, unknown, ROWS[what])
        if not all(isinstance(row.get(key), str) and row[key].strip() for key in ("name", "source")):
            words = "no name or no source. Say where the price stands, and from which month"
            raise PriceFileError(f"{where}: {words}.")
        numbers_of = [key for key in row if key not in ("name", "source")]
        needed = () if what == "rent" else ROWS[what][1:-1]
        for key in {*numbers_of, *needed}:
            _number(where, key, row.get(key))
    names = [row["name"] for row in rows]
    if len(set(names)) < len(names):
        raise PriceFileError(f"{path}: {what}: a name stands twice in {names}. Name each once.")
    return rows


def _number(where, key, value):
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or not math.isfinite(value) or value < 0:
        raise PriceFileError(f"{where}: {key} is {value!r}, no number from zero up. Write it as a number.")
