"""Which of two moments or quantities comes first, as FHIRPath has it.

https://hl7.org/fhirpath/N1/#comparison
A comparison that cannot be decided is empty, and a constraint that is empty is broken: of `2012`
and `2012-05` neither can be said to come first. A moment is compared with a day in UTC.
"""

from decimal import Decimal
from functools import lru_cache
from typing import Any

from fhir_b12 import dates, units

Parts = tuple[int, ...]

_UCUM = "http://unitsofmeasure.org"


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
def _parts(value: Any) -> Parts:
    """Return the parts of a date or dateTime in UTC; () if it is invalid."""
    return (isinstance(value, str) and dates.utc_parts(value)) or ()


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
