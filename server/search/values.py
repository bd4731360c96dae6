"""Values as they are indexed and as they are asked for: one spelling of texts, moments, amounts.

https://hl7.org/fhir/R4/search.html#ptypes
"""

import re
import unicodedata
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any, NamedTuple

from fhir_b12 import codes, data, units

LONGEST = 400  #: characters of a text that is indexed, and compared
UCUM = "http://unitsofmeasure.org"
MINUS, PLUS = -(2**62), 2**62  #: µs, before and after all moments
LEAST, MOST = -1e308, 1e308
_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)
_EPOCH = date(1970, 1, 1).toordinal()
_SECOND = 1_000_000
_DAY = 86_400 * _SECOND


def clip(text: str) -> str:
    """As much of a text as an index holds."""
    return text[:LONGEST]


@lru_cache(maxsize=4096)
def folded(text: str) -> str:
    """A text without case and accents, for strings.  https://hl7.org/fhir/R4/search.html#string"""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return clip("".join(each for each in plain if not unicodedata.combining(each)))


def moments(text: str) -> tuple[int, int] | None:
    """First and last-but-not-included µs since 1970 that a date may mean; None for no date.

    A date without an offset is taken for one in UTC.
    """
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, digits, offset = found.groups()
    try:
        start = (date(int(year), int(month or 1), int(day or 1)).toordinal() - _EPOCH) * _DAY
        if month is None:
            return start, (date(int(year) + 1, 1, 1).toordinal() - _EPOCH) * _DAY
        if day is None:
            after = int(year) * 12 + int(month)
            end = date(after // 12, after % 12 + 1, 1)
            return start, (end.toordinal() - _EPOCH) * _DAY
    except ValueError:
        return None
    if hour is None:
        return start, start + _DAY
    if int(hour) > 23 or int(minute) > 59 or int(second or 0) > 60:
        return None
    start += (int(hour) * 60 + int(minute)) * 60 * _SECOND
    if offset not in {None, "Z"}:
        away = (int(offset[1:3]) * 60 + int(offset[4:])) * 60 * _SECOND
        start += -away if offset[0] == "+" else away
    if second is None:
        return start, start + 60 * _SECOND
    start += int(second) * _SECOND
    if not digits:
        return start, start + _SECOND
    return start + int(digits[:6].ljust(6, "0")), start + int(digits[:6].ljust(6, "0")) + max(
        10 ** (6 - len(digits)), 1
    )


def number(value: Any) -> float | None:
    """A JSON number as the index compares it; None for what is none, or beyond all measure."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return min(max(found, LEAST), MOST) if found == found else None  # noqa: PLR0124 - NaN


class Amount(NamedTuple):
    """A unit under which a number is found, and what the number is multiplied by to be in it."""

    unit: str
    factor: float


@lru_cache(maxsize=1024)
def canonical(code: str, molar_mass: str | None = None) -> tuple[Amount, ...]:
    """A UCUM code in base units, and where a molar mass is known, in those of the other measure.

    None for codes that are not known, for scales with a zero of their own, and for ratios of like.
    """
    try:
        unit = units.parse(code)
    except units.UnitError:
        return ()
    if unit.offset or unit.cancelled:
        return ()
    found = [Amount(_dimension(unit.dimension), float(unit.factor))]
    if molar_mass is not None:
        for source, target, sign in (("mass", "amount", -1), ("amount", "mass", 1)):
            power = unit.dimension.get(source, 0)
            if power and target not in unit.dimension:
                other = {n: p for n, p in unit.dimension.items() if n != source} | {target: power}
                factor = unit.factor * Fraction(molar_mass) ** (sign * power)
                found.append(Amount(_dimension(other), float(factor)))
    return tuple(found)


def _dimension(powers: Any) -> str:
    return "~" + " ".join(f"{name}{power}" for name, power in sorted(powers.items()))


@cache
def _molar_masses() -> dict[tuple[str, str], str]:
    """The molar mass of what a code measures, by system and code."""
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
    """The molar mass of what the code of an Observation measures, where we know it."""
    codings = code.get("coding") if isinstance(code, dict) else None
    for each in codings if isinstance(codings, list) else ():
        if isinstance(each, dict):
            found = _molar_masses().get((str(each.get("system")), str(each.get("code"))))
            if found is not None:
                return found
    return None


def precision(text: str) -> tuple[float, float, float] | None:
    """A number in a search, and those it means: 100, 99.5 to 100.5; None for no number.

    https://hl7.org/fhir/R4/search.html#number
    """
    if len(text) > 40 or not re.fullmatch(r"[+-]?\d+(\.\d+)?([eE][+-]?\d{1,3})?", text):
        return None
    value = Decimal(text)
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    half = Decimal(5).scaleb(min(exponent, 0) - 1)  # 1e2 says nothing of its digits
    return float(value), float(value - half), float(value + half)


def split(text: str, mark: str) -> Iterator[str]:
    """The parts of a value between marks that are not escaped.

    https://hl7.org/fhir/R4/search.html#escaping
    """
    part, at = [], 0
    while at < len(text):
        letter = text[at]
        if letter == "\\" and at + 1 < len(text):
            part.append(text[at : at + 2])
            at += 2
            continue
        if letter == mark:
            yield "".join(part)
            part = []
        else:
            part.append(letter)
        at += 1
    yield "".join(part)


def plain(text: str) -> str:
    """A part of a value without its escapes."""
    return re.sub(r"\\([\\,|$])", r"\1", text)
