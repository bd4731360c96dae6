"""Codecs: conversion of values between FHIR and the record, independent of paths.

Most rows need none, because records have the data types of FHIR. Tables name a codec in `as`.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from fhir_b12 import aliases
from fhir_b12.datatypes import to_json


class Codec(msgspec.Struct, frozen=True):
    """A pair of functions that convert the JSON of an element to that of a record field, and back.

    `decode` returns None for a value that it does not accept; the next row or codec is tried.
    `encode` returns None for a value that it cannot write; it is None for a read-only codec.
    """

    reads: str  #: FHIR type of the element
    decode: Callable[[Any], Any]
    encode: Callable[[Any], Any] | None
    says: str


dump = msgspec.json.Encoder(decimal_format="number", enc_hook=to_json).encode
load = msgspec.json.Decoder(float_hook=Decimal).decode


def builtins(value: Any) -> Any:
    """Return a value as plain JSON, as `fhir_b12.loads` would: dicts, lists, Decimals."""
    return load(dump(value))


def pruned(value: Any) -> Any:
    """Return plain JSON without empty objects and lists, None if nothing is left."""
    if isinstance(value, dict):
        children = ((name, pruned(child)) for name, child in value.items())
        return {name: child for name, child in children if child is not None} or None
    if isinstance(value, list):
        items = [(child, pruned(child)) for child in value]
        return [new for old, new in items if new is not None or old is None] or None
    return value


def same(one: Any, other: Any) -> bool:
    """Return True if two values are equal to the last digit; 180 and 180.00 are not."""
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
    """Return `<150` or `>2000 pg/mL` as a Quantity, None for any other text.

    A number without comparator or unit stays text, because it may be a code or a titre.
    """
    match = _RESULT.fullmatch(text) if text.__class__ is str else None
    if match is None or not (match["comparator"] or match["unit"]):
        return None
    unit = match["unit"]
    if unit is not None and unit not in aliases.units():
        return None
    comparator = _COMPARATORS.get(match["comparator"], match["comparator"])
    quantity = {"value": Decimal(match["value"]), "comparator": comparator, "unit": unit}
    return {name: value for name, value in quantity.items() if value is not None}


_AMOUNT = frozenset({"value", "comparator", "unit", "system", "code"})


def per_one(ratio: Any) -> dict[str, Any] | None:
    """Return 500 mL per 1 h as the Quantity 500 mL/h, None for any other ratio.

    Without division, so that all digits stay: the denominator must be 1.
    """
    if ratio.__class__ is not dict or ratio.keys() != {"numerator", "denominator"}:
        return None
    numerator, denominator = _ucum_code(ratio["numerator"]), _ucum_code(ratio["denominator"])
    if numerator is None or denominator is None or "comparator" in ratio["denominator"]:
        return None
    if str(ratio["denominator"].get("value")) != "1" or "/" in denominator:
        return None
    unit = f"{numerator}/{denominator}"
    quantity = {**ratio["numerator"], "unit": unit, "system": aliases.UCUM, "code": unit}
    return quantity if "value" in quantity else None


def _ucum_code(amount: Any) -> str | None:
    """Return the UCUM code of a Quantity that has only value and unit."""
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
