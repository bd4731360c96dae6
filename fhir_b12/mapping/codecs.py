"""Values in FHIR's spelling and in the record's: a codec knows values and no paths.

Most rows need none: a record keeps FHIR's own data types, and `plain` reads and writes them. The
others are here by the name a table gives them in `as`.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from fhir_b12 import aliases
from fhir_b12.datatypes import to_json


class Codec(msgspec.Struct, frozen=True):
    """A pair of functions between what an element holds and what the record holds, as plain JSON.

    `decode` gives None where the value is not of its kind: the next way to read is tried.
    `encode` gives None where it cannot write the value; a codec without one only reads.
    """

    reads: str  #: FHIR type of the element
    decode: Callable[[Any], Any]
    encode: Callable[[Any], Any] | None
    says: str


dump = msgspec.json.Encoder(decimal_format="number", enc_hook=to_json).encode
load = msgspec.json.Decoder(float_hook=Decimal).decode


def builtins(value: Any) -> Any:
    """A value as plain JSON, as `fhir_b12.loads` would give it: dicts, lists, Decimals."""
    return load(dump(value))


def pruned(value: Any) -> Any:
    """Plain JSON without empty objects and lists, which say nothing; None where none is left."""
    if isinstance(value, dict):
        kept = ((name, pruned(child)) for name, child in value.items())
        return {name: child for name, child in kept if child is not None} or None
    if isinstance(value, list):
        items = [(child, pruned(child)) for child in value]
        return [new for old, new in items if new is not None or old is None] or None
    return value


def same(one: Any, other: Any) -> bool:
    """Equal to the last digit: 180 and 180.00 are equal numbers and not the same."""
    return bool(one == other) and bool(dump(one) == dump(other))


def _period(moment: Any) -> dict[str, Any] | None:
    return {"start": moment} if moment.__class__ is str else None


def _moment(period: dict[str, Any]) -> Any:
    return period["start"] if period.keys() == {"start"} else None


_RESULT = re.compile(
    r"\s*(?P<comparator><=|>=|<|>|≤|≥)?\s*"
    r"(?P<value>-?(?:0|[1-9]\d{0,17})(?:\.\d{1,18})?)(?:\s*(?P<unit>[^\s\d<>=.,;:-][^\s<>=;]{0,31}))?\s*",
    re.ASCII,
)
_COMPARATORS = {"≤": "<=", "≥": ">="}


def result(text: Any) -> dict[str, Any] | None:
    """`<150` or `>2000 pg/mL` as a Quantity; None where the text says anything else.

    A bare number stays text: without comparator or unit it may be a code or a titre.
    """
    match = _RESULT.fullmatch(text) if text.__class__ is str else None
    if match is None or not (match["comparator"] or match["unit"]):
        return None
    unit = match["unit"]
    if unit is not None and unit not in aliases.units():
        return None
    comparator = _COMPARATORS.get(match["comparator"], match["comparator"])
    said = {"value": Decimal(match["value"]), "comparator": comparator, "unit": unit}
    return {name: value for name, value in said.items() if value is not None}


_AMOUNT = frozenset({"value", "comparator", "unit", "system", "code"})


def per_one(ratio: Any) -> dict[str, Any] | None:
    """500 mL per 1 h as the Quantity 500 mL/h; None for any ratio that says more or less.

    Nothing is divided: only a denominator of one is the same amount, digit for digit.
    """
    if ratio.__class__ is not dict or ratio.keys() != {"numerator", "denominator"}:
        return None
    above, below = _coded(ratio["numerator"]), _coded(ratio["denominator"])
    if above is None or below is None or "comparator" in ratio["denominator"]:
        return None
    if str(ratio["denominator"].get("value")) != "1" or "/" in below:
        return None
    unit = f"{above}/{below}"
    said = {**ratio["numerator"], "unit": unit, "system": aliases.UCUM, "code": unit}
    return said if "value" in said else None


def _coded(amount: Any) -> str | None:
    """The UCUM code of a Quantity that says nothing beyond value and unit."""
    if amount.__class__ is not dict or not amount.keys() <= _AMOUNT:
        return None
    if amount.get("system", aliases.UCUM) != aliases.UCUM:
        return None
    code, unit = amount.get("code"), amount.get("unit")
    if code is None and unit.__class__ is str:
        code = aliases.units().get(unit)
    return code if code.__class__ is str else None


CODECS = {
    "moment": Codec("dateTime", _period, _moment, "a dateTime, read as a period's start"),
    "per-one": Codec("Ratio", per_one, None, "a ratio to one unit: 500 mL per 1 h is 500 mL/h"),
    "result": Codec("string", result, None, "a number written as text, e.g. <150"),
}
