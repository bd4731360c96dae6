"""Which of two moments or quantities comes first, as FHIRPath has it.

https://hl7.org/fhirpath/N1/#comparison
A comparison that cannot be decided is empty, and a constraint that is empty is broken: of `2012`
and `2012-05` neither can be said to come first. A moment is compared with a day in UTC.
"""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from fhir_b12 import units

Parts = tuple[int, ...]

_UCUM = "http://unitsofmeasure.org"
_MOMENT = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)


def not_after(start: Any, end: Any) -> bool:
    """`start <= end` of two dates or dateTimes; False where it cannot be told."""
    if start == end and _parts(start):
        return True
    first, last = _parts(start), _parts(end)
    if not first or not last:
        return False
    for one, other in zip(first, last, strict=False):
        if one != other:
            return one < other
    return len(first) == len(last)


@lru_cache(maxsize=4096)
def _parts(text: Any) -> Parts:
    """Year, month, day, and the rest in UTC to the millisecond; none of what is no date."""
    match = _MOMENT.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return ()
    year, month, day, hour, _, second, fraction, offset = match.groups()
    found = tuple(int(each) for each in (year, month, day) if each)
    try:
        date(*(*found, 1, 1)[:3])
        if hour is None:
            return found
        leap = second == "60"  # the standard library does not know the leap second
        minute = f"{text[:17]}{'59' if leap else second}{offset or 'Z'}"
        moment = datetime.fromisoformat(minute).astimezone(UTC) + timedelta(seconds=leap)
    except (ValueError, OverflowError):
        return ()
    milliseconds = int(f"{fraction or ''}000"[:3])
    return (*moment.timetuple()[:6], milliseconds)


def not_more(low: dict[str, Any], high: dict[str, Any]) -> bool:
    """`low <= high` of two quantities; False where it cannot be told.

    The same unit is compared by its number; others by what UCUM says of their codes.
    """
    first, last = low.get("value"), high.get("value")
    if not isinstance(first, Decimal | int) or not isinstance(last, Decimal | int):
        return False
    if low.get("unit") == high.get("unit"):
        return first <= last
    one, other = _factor(low), _factor(high)
    return one is not None and other is not None and first * one <= last * other


def _factor(quantity: dict[str, Any]) -> Decimal | None:
    """What the unit is in base units; None where it has no UCUM code that is known.

    The reference validator compares the numbers that come of it, whatever the dimensions.
    """
    code = quantity.get("code")
    if "unit" not in quantity or quantity.get("system") != _UCUM or not isinstance(code, str):
        return None
    try:
        unit = units.parse(code)
    except units.UnitError:
        return None
    if unit.offset:
        return None
    return Decimal(unit.factor.numerator) / Decimal(unit.factor.denominator)
