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
from fhir_b12.fhirpath.evaluation import Evaluation
from fhir_b12.fhirpath.function_registry import function
from fhir_b12.fhirpath.operators import DECIMAL_CONTEXT, single_value
from fhir_b12.fhirpath.values import MAX_INTEGER, Items, Quantity

Number = int | Decimal
#: In the last digits, the quotient of two rounded logarithms may be 3.999... instead of 4.
_SHORTER = Context(prec=DECIMAL_CONTEXT.prec - 6)


@function("abs")
def absolute(items: Items, _evaluation: Evaluation) -> Items:
    """Return the absolute value of a number or quantity.

    Raises:
        FhirPathError: The item is neither a number nor a quantity.

    """
    value = single_value(items)
    if value is None:
        return []
    if isinstance(value, Quantity):
        return [Quantity(value.value.copy_abs(), value.unit, value.system)]
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise FhirPathError("abs() requires a number or a quantity")
    return [abs(value) if isinstance(value, int) else value.copy_abs()]


def _register_rounding(name: str, rounding: str) -> None:
    """Register a function that rounds to an integer; empty if that is too large."""

    def calculate(value: Number, _evaluation: Evaluation) -> Items:
        number = Decimal(value)
        if number.copy_abs() > MAX_INTEGER:
            return []
        return [int(number.to_integral_value(rounding))]

    function(name, focus="number")(calculate)


_register_rounding("ceiling", ROUND_CEILING)
_register_rounding("floor", ROUND_FLOOR)
_register_rounding("truncate", ROUND_DOWN)


@function("round", "integer", focus="number", min_arguments=0)
def rounded(value: Number, _evaluation: Evaluation, places: int = 0) -> Items:
    """Round to a number of decimal places, half away from zero.

    Raises:
        FhirPathError: The number of places is negative.

    """
    if places < 0:
        raise FhirPathError("round() requires a number of decimal places that is not negative")
    number = Decimal(value)
    exponent = number.as_tuple().exponent
    if isinstance(exponent, int) and -exponent <= places:
        return [number]
    try:
        return [
            number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, DECIMAL_CONTEXT)
            if places < 1000
            else number
        ]
    except DecimalException:
        return [number]


def _register_decimal(name: str, calculate: Callable[[Decimal], Decimal]) -> None:
    """Register a function of one number; empty where it is undefined."""

    def calculated(value: Number, _evaluation: Evaluation) -> Items:
        try:
            return [calculate(Decimal(value))]
        except DecimalException:
            return []

    function(name, focus="number")(calculated)


def _natural_logarithm(value: Decimal) -> Decimal:
    return (
        DECIMAL_CONTEXT.ln(value) if value > 0 else DECIMAL_CONTEXT.divide(Decimal(0), Decimal(0))
    )


_register_decimal("sqrt", DECIMAL_CONTEXT.sqrt)
_register_decimal("ln", _natural_logarithm)
_register_decimal("exp", DECIMAL_CONTEXT.exp)


@function("log", "number", focus="number")
def logarithm(value: Number, _evaluation: Evaluation, base: Number) -> Items:
    """Return the logarithm to a base; empty where it is undefined."""
    if not (value > 0 and base > 0 and base != 1):
        return []
    result = DECIMAL_CONTEXT.divide(
        DECIMAL_CONTEXT.ln(Decimal(value)), DECIMAL_CONTEXT.ln(Decimal(base))
    )
    return [_SHORTER.plus(result)]


@function("power", "number", focus="number")
def power(value: Number, _evaluation: Evaluation, exponent: Number) -> Items:
    """Raise to a power, an Integer for two Integers; empty where undefined or too large."""
    try:
        result = DECIMAL_CONTEXT.power(Decimal(value), Decimal(exponent))
    except DecimalException:
        return []
    if isinstance(value, int) and isinstance(exponent, int) and exponent >= 0:
        return [int(result)] if abs(result) <= MAX_INTEGER else []
    return [result]
