"""Quantity and number parameters, compared in base units whatever the unit.

https://hl7.org/fhir/R4/search.html#quantity https://hl7.org/fhir/R4/search.html#number
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any, NamedTuple

from fhir_b12 import codes, data, ucum
from fhir_b12.server.search.criteria import Criterion, RangeMatch
from fhir_b12.server.search.parameters import Parameter, Path
from fhir_b12.server.search.text_values import clip, split_escaped, split_prefix, unescape
from fhir_b12.server.search.types.parameter_type import (
    Indexer,
    IndexWriter,
    InvalidValueError,
    ParameterType,
)
from fhir_b12.server.sql.expressions import Condition
from fhir_b12.server.sql.tables import RangeIndex

UCUM = "http://unitsofmeasure.org"
LEAST, MOST = -1e308, 1e308  #: bounds of open intervals
_LONGEST_NUMBER = 40  #: characters
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d{1,3})?")


# --- units


class BaseUnit(NamedTuple):
    """The name of a dimension in base units, and the factor that converts a number to it."""

    unit: str
    factor: float


@lru_cache(maxsize=1024)
def base_units(code: str, molar_mass: str | None = None) -> tuple[BaseUnit, ...]:
    """Return a UCUM code in base units.

    Args:
        code: the UCUM code.
        molar_mass: g/mol; if known, mass and amount are converted into each other.

    Returns:
        One or two units; () for unknown codes, for scales with an offset and for ratios of the
        same dimension.

    """
    try:
        unit = ucum.parse(code)
    except ucum.UnitError:
        return ()
    if unit.offset or unit.cancelled:
        return ()
    converted = [BaseUnit(_dimension(unit.dimension), float(unit.factor))]
    if molar_mass is not None:
        for source, target, sign in (("mass", "amount", -1), ("amount", "mass", 1)):
            power = unit.dimension.get(source, 0)
            if power and target not in unit.dimension:
                other = {n: p for n, p in unit.dimension.items() if n != source} | {target: power}
                factor = unit.factor * Fraction(molar_mass) ** (sign * power)
                converted.append(BaseUnit(_dimension(other), float(factor)))
    return tuple(converted)


def _dimension(powers: Any) -> str:
    return "~" + " ".join(f"{name}{power}" for name, power in sorted(powers.items()))


@cache
def _molar_masses() -> dict[tuple[str, str], str]:
    """Return the molar masses of analytes by system and code of the lab test."""
    masses = {
        name: str(row["molar_mass"])
        for name, row in data.toml("codes/analytes.toml").items()
        if "molar_mass" in row
    }
    return {
        pair: masses[entry.analyte]
        for pair, entry in codes.table("lab_tests").by_code.items()
        if entry.analyte in masses
    }


def molar_mass(code: Any) -> str | None:
    """Return the molar mass, g/mol, of the analyte of an Observation.code; None if unknown."""
    codings = code.get("coding") if isinstance(code, dict) else None
    for coding in codings if isinstance(codings, list) else ():
        if isinstance(coding, dict):
            mass = _molar_masses().get((str(coding.get("system")), str(coding.get("code"))))
            if mass is not None:
                return mass
    return None


# --- index


def _number(value: Any) -> float | None:
    """Return a JSON number as indexed; None if it is not a number."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return min(max(number, LEAST), MOST) if number == number else None  # noqa: PLR0124 - NaN


def _indexer(path: Path, _: str, __: str) -> Indexer:
    """Return the indexer of numbers, Quantities and Ranges."""
    key = path.key

    def index(writer: IndexWriter, value: Any, part: int) -> None:
        number = _number(value)
        if number is not None:
            writer.ranges.add((key, number, number, "", part))
        if not isinstance(value, dict):
            return
        if "low" in value or "high" in value:
            low, high = (_number_of(value.get(name)) for name in ("low", "high"))
            if low or high:
                bounds = (low[0] if low else LEAST), (high[0] if high else MOST)
                _index_interval(writer, key, bounds, (low or high)[1], part)  # type: ignore[index]
        elif (single := _number_of(value)) is not None:
            bounds = _open_interval(single[0], value.get("comparator"))
            _index_interval(writer, key, bounds, single[1], part)

    return index


def _number_of(quantity: Any) -> tuple[float, dict[str, Any]] | None:
    number = _number(quantity.get("value")) if isinstance(quantity, dict) else None
    return None if number is None else (number, quantity)


def _open_interval(value: float, comparator: Any) -> tuple[float, float]:
    if comparator in {"<", "<="}:
        return LEAST, value
    return (value, MOST) if comparator in {">", ">="} else (value, value)


def _index_interval(
    writer: IndexWriter, key: int, bounds: tuple[float, float], quantity: dict[str, Any], part: int
) -> None:
    """Index an interval as sent, under each name of its unit, and in base units."""
    low, high = bounds
    code, unit, system = (quantity.get(name) for name in ("code", "unit", "system"))
    writer.ranges.add((key, low, high, "", part))
    for name in {code, unit} - {None}:
        if isinstance(name, str):
            writer.ranges.add((key, low, high, clip(f"|{name}"), part))
    if not isinstance(code, str) or not isinstance(system, str):
        return
    writer.ranges.add((key, low, high, clip(f"{system}|{code}"), part))
    if system == UCUM:
        for base in base_units(code, writer.molar_mass):
            low, high = (
                bound if bound in {LEAST, MOST} else max(min(bound * base.factor, MOST), LEAST)
                for bound in bounds
            )
            writer.ranges.add((key, low, high, base.unit, part))


# --- criteria


def _precision(text: str) -> tuple[float, float, float] | None:
    """Return a number and the bounds of its precision: 100, 99.5, 100.5; None for no number.

    https://hl7.org/fhir/R4/search.html#number
    """
    if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        return None
    value = Decimal(text)
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    half = Decimal(5).scaleb(min(exponent, 0) - 1)  # 1e2 does not state its significant digits
    return float(value), float(value - half), float(value + half)


def _equals(t: RangeIndex, _: float, low: float, high: float) -> Condition:
    return (t.low >= low) & (t.high < high)


def _approximates(t: RangeIndex, value: float, _: float, __: float) -> Condition:
    width = abs(value) / 10
    return (t.low <= value + width) & (t.high >= value - width)


#: condition on an index row, by prefix; the value, and the bounds of its precision
_COMPARISONS: Mapping[str, Callable[[RangeIndex, float, float, float], Condition]] = {
    "eq": _equals,
    "ne": lambda t, value, low, high: ~_equals(t, value, low, high),
    "gt": lambda t, value, _, __: t.high > value,
    "lt": lambda t, value, _, __: t.low < value,
    "ge": lambda t, value, _, __: t.high >= value,
    "le": lambda t, value, _, __: t.low <= value,
    "sa": lambda t, value, _, __: t.low > value,
    "eb": lambda t, value, _, __: t.high < value,
    "ap": _approximates,
}


def _criterion(parameter: Parameter, value: str, _: str) -> Criterion:
    """Return the criterion of `gt140|http://unitsofmeasure.org|pg/mL`, or of a number alone.

    Raises:
        InvalidValueError: neither of them.

    """
    number, *unit = [unescape(part) for part in split_escaped(value, "|")]
    prefix, digits = split_prefix(number)
    precise = _precision(digits)
    if precise is None or len(unit) not in {0, 2}:
        raise InvalidValueError("write a number, or number|system|code, after eq, ge, lt, ...")
    name, factor = _searched_unit(*unit) if unit else ("", 1.0)
    compare, (exact, low, high) = _COMPARISONS[prefix], (x * factor for x in precise)
    return RangeMatch(parameter.keys, lambda t: (t.unit == name) & compare(t, exact, low, high))


def _searched_unit(system: str, code: str) -> tuple[str, float]:
    if not code:
        return "", 1.0
    if system == UCUM and (converted := base_units(code)):
        return converted[0].unit, converted[0].factor
    return clip(f"{system}|{code}"), 1.0


TYPE = ParameterType(indexer=_indexer, criteria={"": _criterion}, is_range=True)
