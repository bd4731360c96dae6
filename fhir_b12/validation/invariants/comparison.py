"""Compare moments and quantities as FHIRPath does.  https://hl7.org/fhirpath/N1/#comparison

A comparison that cannot be decided has an empty result, and then the constraint is broken: `2012`
is neither before nor after `2012-05`. A moment is compared with a day in UTC.
"""

from decimal import Decimal
from functools import lru_cache
from typing import Any

from fhir_b12 import dates, ucum
from fhir_b12.aliases import UCUM

Parts = tuple[int, ...]


def is_not_after(start: Any, end: Any) -> bool:
    """Return `start <= end` of two dates or dateTimes; False if it cannot be decided."""
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


def is_not_greater(low: dict[str, Any], high: dict[str, Any]) -> bool:
    """Return `low <= high` of two quantities; False if it cannot be decided.

    Quantities of one unit are compared by their values, others by their UCUM codes.
    """
    first, last = low.get("value"), high.get("value")
    if not isinstance(first, Decimal | int) or not isinstance(last, Decimal | int):
        return False
    if low.get("unit") == high.get("unit"):
        return first <= last
    one, other = _factor(low), _factor(high)
    return one is not None and other is not None and first * one <= last * other


def _factor(quantity: dict[str, Any]) -> Decimal | None:
    """Return the unit's factor to base units; None if it has no known UCUM code.

    The reference validator compares the converted numbers, whatever their dimensions.
    """
    code = quantity.get("code")
    if "unit" not in quantity or quantity.get("system") != UCUM or not isinstance(code, str):
        return None
    try:
        unit = ucum.parse(code)
    except ucum.UnitError:
        return None
    if unit.offset:
        return None
    return Decimal(unit.factor.numerator) / Decimal(unit.factor.denominator)
