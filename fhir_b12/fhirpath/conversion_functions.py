"""Conversions between types; empty if a value cannot be converted.

http://hl7.org/fhirpath/N1/#conversion
"""

import re
from collections.abc import Callable
from decimal import Decimal

from fhir_b12.fhirpath.evaluation import Evaluation
from fhir_b12.fhirpath.function_registry import function
from fhir_b12.fhirpath.operators import DECIMAL_CONTEXT, single_value
from fhir_b12.fhirpath.temporal import DURATIONS, Temporal, TemporalType, read
from fhir_b12.fhirpath.values import MAX_INTEGER, Item, Items, Quantity

_INTEGER = re.compile(r"[+-]?\d{1,12}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?\d{1,400}(?:\.\d{1,400})?", re.ASCII)
_QUANTITY = re.compile(
    r"(?P<value>[+-]?\d{1,400}(?:\.\d{1,400})?)\s*(?:'(?P<unit>[^']+)'|(?P<word>[A-Za-z]+))?",
    re.ASCII,
)
_YES = frozenset({"true", "t", "yes", "y", "1", "1.0"})
_NO = frozenset({"false", "f", "no", "n", "0", "0.0"})


def to_boolean(value: Item) -> bool | None:
    """Convert `true`, `t`, `yes`, `y`, `1`, `1.0` and their opposites; None for other values."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | Decimal):
        return True if value == 1 else False if value == 0 else None
    text = value.lower() if isinstance(value, str) else ""
    return True if text in _YES else False if text in _NO else None


def to_integer(value: Item) -> int | None:
    """Convert to an Integer, None if the value is no integer of 32 bits."""
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        number = int(value)
        return number if -MAX_INTEGER - 1 <= number <= MAX_INTEGER else None
    return None


def to_decimal(value: Item) -> Decimal | None:
    """Convert to a Decimal, None if the value is no number."""
    if isinstance(value, int | Decimal):
        return Decimal(value)
    return Decimal(value) if isinstance(value, str) and _DECIMAL.fullmatch(value) else None


def to_text(value: Item) -> str | None:
    """Convert a value of a FHIRPath type to a String, None for other elements."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, int):
        return str(value)
    return value.text if isinstance(value, Temporal | Quantity) else None


def to_quantity(value: Item) -> Quantity | None:
    """Convert a number or a text such as `4 days` or `5.5 'mg'`; None for other values."""
    if isinstance(value, Quantity):
        return value
    if isinstance(value, int | Decimal):
        return Quantity(Decimal(value), "1")
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None or (match["word"] and match["word"] not in DURATIONS):
        return None
    word = DURATIONS[match["word"]] if match["word"] else None
    return Quantity(Decimal(match["value"]), match["unit"] or word or "1")


def _to_temporal(name: TemporalType) -> Callable[[Item], Temporal | None]:
    """Return a conversion to Date, DateTime or Time."""

    def to_temporal(value: Item) -> Temporal | None:
        if isinstance(value, str):
            return read(name, value)
        if not isinstance(value, Temporal):
            return None
        if value.name == name:
            return value
        if name == "Date" and value.name == "DateTime":
            return Temporal("Date", value.parts[:3], None)
        if name == "DateTime" and value.name == "Date":
            return Temporal("DateTime", value.parts, None)
        return None

    return to_temporal


_CONVERSIONS: dict[str, Callable[[Item], Item]] = {
    "Boolean": to_boolean,
    "Integer": to_integer,
    "Decimal": to_decimal,
    "String": to_text,
    "Date": _to_temporal("Date"),
    "DateTime": _to_temporal("DateTime"),
    "Time": _to_temporal("Time"),
}


def _register(name: str, convert: Callable[[Item], Item]) -> None:
    """Register `toX()` and `convertsToX()`."""

    def converted(items: Items, _evaluation: Evaluation) -> Items:
        value = single_value(items)
        result = None if value is None else convert(value)
        return [] if result is None else [result]

    def converts(items: Items, _evaluation: Evaluation) -> bool | None:
        value = single_value(items)
        return None if value is None else convert(value) is not None

    function(f"to{name}")(converted)
    function(f"convertsTo{name}", returns_boolean=True)(converts)


for _name, _convert in _CONVERSIONS.items():
    _register(_name, _convert)


@function("toQuantity", "text", min_arguments=0)
def quantity(items: Items, _evaluation: Evaluation, unit: str | None = None) -> Items:
    """Convert to a Quantity, in a unit if one is given; empty if that is impossible."""
    value = to_quantity(single_value(items)) if items else None
    if value is None or unit is None:
        return [] if value is None else [value]
    target = Quantity(Decimal(0), DURATIONS.get(unit, unit))
    if value.unit == target.unit:
        return [value]
    unit_of_value, unit_of_target = value.ucum, target.ucum
    if (
        unit_of_value is None
        or unit_of_target is None
        or unit_of_value.dimension != unit_of_target.dimension
    ):
        return []
    factor = unit_of_value.factor / unit_of_target.factor
    scaled = DECIMAL_CONTEXT.multiply(value.value, Decimal(factor.numerator))
    return [Quantity(DECIMAL_CONTEXT.divide(scaled, Decimal(factor.denominator)), target.unit)]


@function("convertsToQuantity", "text", min_arguments=0, returns_boolean=True)
def converts_to_quantity(
    items: Items, evaluation: Evaluation, unit: str | None = None
) -> bool | None:
    """Return True if the value converts to a Quantity, in the unit if one is given."""
    return bool(quantity(items, evaluation, unit)) if items else None
