"""Functions on numbers.  http://hl7.org/fhirpath/N1/#math"""

from collections.abc import Callable
from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_UP,
    Context,
    Decimal,
    DecimalException,
)

from fhir_b12.fhirpath.errors import FhirPathError
from fhir_b12.fhirpath.evaluation import Run
from fhir_b12.fhirpath.function_registry import function
from fhir_b12.fhirpath.operators import EXACT, single
from fhir_b12.fhirpath.values import MAX_INTEGER, Items, Measure

Number = int | Decimal
#: Two rounded logarithms give 3.999... for 4 in their last digits.
_SHORTER = Context(prec=EXACT.prec - 6)


@function("abs")
def absolute(items: Items, _run: Run) -> Items:
    """Without its sign; of a quantity too."""
    value = single(items)
    if value is None:
        return []
    if isinstance(value, Measure):
        return [Measure(value.value.copy_abs(), value.unit, value.system)]
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise FhirPathError("abs takes a number or a quantity")
    return [abs(value) if isinstance(value, int) else value.copy_abs()]


def _whole(name: str, rounding: str) -> None:
    def work(value: Number, _run: Run) -> Items:
        number = Decimal(value)
        if number.copy_abs() > MAX_INTEGER:
            return []
        return [int(number.to_integral_value(rounding))]

    function(name, focus="number")(work)


_whole("ceiling", ROUND_CEILING)
_whole("floor", ROUND_FLOOR)
_whole("truncate", ROUND_DOWN)


@function("round", "integer", focus="number", least=0)
def rounded(value: Number, _run: Run, places: int = 0) -> Items:
    """To so many decimal places, half away from zero."""
    if places < 0:
        raise FhirPathError("round takes no negative number of places")
    number = Decimal(value)
    exponent = number.as_tuple().exponent
    if isinstance(exponent, int) and -exponent <= places:
        return [number]
    try:
        return [
            number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, EXACT)
            if places < 1000
            else number
        ]
    except DecimalException:
        return [number]


def _decimal(name: str, work: Callable[[Decimal], Decimal]) -> None:
    """A function of one number: empty where it has no value there."""

    def calculated(value: Number, _run: Run) -> Items:
        try:
            return [work(Decimal(value))]
        except DecimalException:
            return []

    function(name, focus="number")(calculated)


def _positive(value: Decimal) -> Decimal:
    return EXACT.ln(value) if value > 0 else EXACT.divide(Decimal(0), Decimal(0))


_decimal("sqrt", EXACT.sqrt)
_decimal("ln", _positive)
_decimal("exp", EXACT.exp)


@function("log", "number", focus="number")
def logarithm(value: Number, _run: Run, base: Number) -> Items:
    """To a base."""
    if not (value > 0 and base > 0 and base != 1):
        return []
    found = EXACT.divide(EXACT.ln(Decimal(value)), EXACT.ln(Decimal(base)))
    return [_SHORTER.plus(found)]


@function("power", "number", focus="number")
def power(value: Number, _run: Run, exponent: Number) -> Items:
    """An integer for two integers; empty where there is none, as the root of a negative number."""
    try:
        found = EXACT.power(Decimal(value), Decimal(exponent))
    except DecimalException:
        return []
    if isinstance(value, int) and isinstance(exponent, int) and exponent >= 0:
        return [int(found)] if abs(found) <= MAX_INTEGER else []
    return [found]
