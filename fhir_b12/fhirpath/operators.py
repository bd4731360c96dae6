"""Operators on collections.  http://hl7.org/fhirpath/N1/#operations"""

import operator
import re
from collections.abc import Callable
from decimal import Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from fractions import Fraction
from typing import Any

from fhir_b12.fhirpath.errors import FhirPathError
from fhir_b12.fhirpath.temporal import DURATIONS, UCUM_DURATIONS, Temporal
from fhir_b12.fhirpath.values import (
    MAX_INTEGER,
    Budget,
    DataNode,
    Item,
    Items,
    Quantity,
    equality_key,
    system,
    type_name,
)
from fhir_b12.ucum import UnitError, parse

#: Precise enough for FHIR's decimals; results that do not fit overflow and are empty.
DECIMAL_CONTEXT = Context(
    prec=40, Emax=10_000, Emin=-10_000, traps=[DivisionByZero, InvalidOperation, Overflow]
)
MAX_TEXT_LENGTH = 1_000_000  #: characters of a text that an expression builds
#: Calendar durations that are equivalent (`~`) to a UCUM unit.
#: http://hl7.org/fhirpath/N1/#time-valued-quantities
_EQUIVALENT_UNITS = UCUM_DURATIONS | {"year": "a", "month": "mo"}
_Measurable = Quantity | Decimal | int  #: a number is a quantity with the unit 1
_BLANKS = re.compile(r"\s+")


def to_boolean_operand(items: Items) -> bool | None:
    """Convert an operand to True, False or None; a single item of another type is True.

    http://hl7.org/fhirpath/N1/#singleton-evaluation-of-collections

    Raises:
        FhirPathError: The operand has several items.

    """
    if not items:
        return None
    if len(items) > 1:
        raise FhirPathError(f"a single Boolean is required instead of {len(items)} items")
    item = items[0]
    if item.__class__ is bool:
        return bool(item)
    if item.__class__ is DataNode and item.value.__class__ is bool:
        return bool(item.value)
    return True


def single_value(items: Items) -> Item:
    """Return the single item of a collection as a FHIRPath value, None if empty.

    Raises:
        FhirPathError: The collection has several items.

    """
    if not items:
        return None
    if len(items) > 1:
        raise FhirPathError(f"a single item is required instead of {len(items)}")
    return system(items[0])


# --- equality


def equals(left: Items, right: Items, budget: Budget) -> bool | None:
    """Evaluate `=`; None if an operand is empty or precision or units do not allow to decide."""
    if not left or not right:
        return None
    if len(left) == 1 and len(right) == 1:
        return equal_items(left[0], right[0], budget)
    if len(left) != len(right):
        return False
    budget.spend(len(left))
    results = [equal_items(one, other, budget) for one, other in zip(left, right, strict=True)]
    return False if False in results else None if None in results else True


def equal_items(one: Item, other: Item, budget: Budget) -> bool | None:
    """Return True if two items are equal, None if that cannot be decided."""
    left, right = system(one), system(other)
    if left.__class__ is right.__class__:
        if left.__class__ is Temporal:
            compared = left.compare(right) if left.is_time is right.is_time else 1
            return None if compared is None else compared == 0
        if left.__class__ is Quantity:
            return _equal_quantities(left, right)
        if left.__class__ is DataNode or left is None:
            return equality_key(one, budget) == equality_key(other, budget)
        return bool(left == right)
    if isinstance(left, _Measurable) and isinstance(right, _Measurable):
        if isinstance(left, bool) or isinstance(right, bool):
            return False
        if isinstance(left, Quantity) or isinstance(right, Quantity):
            return _equal_quantities(_as_quantity(left), _as_quantity(right))
        return left == right
    if isinstance(left, Temporal | str) and isinstance(right, Temporal | str):
        return _as_text(left) == _as_text(right)
    return False


def _as_text(value: Temporal | str) -> str:
    return value.text if isinstance(value, Temporal) else value


def _as_quantity(value: _Measurable) -> Quantity:
    return value if isinstance(value, Quantity) else Quantity(Decimal(value), "1")


def _equal_quantities(left: Quantity, right: Quantity) -> bool | None:
    values = _comparable(left, right)
    return None if values is None else values[0] == values[1]


def _comparable(left: Quantity, right: Quantity) -> tuple[Any, Any] | None:
    """Return the values of two quantities in one unit, None if their units are incomparable."""
    if _have_same_unit(left, right):
        return left.value, right.value
    return _scale(
        _replace_unit_word(left, UCUM_DURATIONS), _replace_unit_word(right, UCUM_DURATIONS)
    )


def _have_same_unit(left: Quantity, right: Quantity) -> bool:
    """Return True for the same code, or the same text if one of the units has no system."""
    if left.unit == right.unit and left.system == right.system:
        return True
    shared = {left.unit, left.label} & {right.unit, right.label}
    return None in {left.system, right.system} and bool(shared)


def _replace_unit_word(value: Quantity, unit_words: dict[str, str]) -> Quantity:
    unit = unit_words.get(value.unit)
    return Quantity(value.value, unit) if unit and value.unit in DURATIONS else value


def _scale(left: Quantity, right: Quantity) -> tuple[Any, Any] | None:
    if left.unit in DURATIONS and right.unit in DURATIONS:
        return _scale_calendar(left, right)
    one, other = left.ucum, right.ucum
    if one is None or other is None or one.dimension != other.dimension:
        return None
    return (
        Fraction(left.value) * one.factor + one.offset,
        Fraction(right.value) * other.factor + other.offset,
    )


def _scale_calendar(left: Quantity, right: Quantity) -> tuple[Any, Any] | None:
    """Scale years and months to months, or weeks to milliseconds to seconds; None if mixed."""
    months = {"year": 12, "month": 1}
    if left.unit in months and right.unit in months:
        return left.value * months[left.unit], right.value * months[right.unit]
    if left.unit in months or right.unit in months:
        return None
    return _scale(
        _replace_unit_word(left, UCUM_DURATIONS), _replace_unit_word(right, UCUM_DURATIONS)
    )


# --- equivalence


def equivalent(left: Items, right: Items, budget: Budget) -> bool:
    """Evaluate `~`, which ignores order, case, white space and excess precision of numbers."""
    if len(left) != len(right):
        return False
    rest = list(right)
    for one in left:
        budget.spend(len(rest))
        at = next((i for i, item in enumerate(rest) if equivalent_items(one, item, budget)), None)
        if at is None:
            return False
        del rest[at]
    return True


def equivalent_items(one: Item, other: Item, budget: Budget) -> bool:
    """Return True if two items are equivalent."""
    left, right = system(one), system(other)
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, str) and isinstance(right, str):
        return _normalize_text(left) == _normalize_text(right)
    if isinstance(left, Decimal | int) and isinstance(right, Decimal | int):
        return _equivalent_numbers(left, right)
    if isinstance(left, Temporal) and isinstance(right, Temporal):
        return left.is_time is right.is_time and left.compare(right) == 0
    if isinstance(left, Quantity) and isinstance(right, Quantity):
        return _equivalent_quantities(left, right)
    if isinstance(left, DataNode) and isinstance(right, DataNode):
        return equivalent_json(left.value, right.value, budget)
    return bool(equal_items(one, other, budget))


def _normalize_text(value: str) -> str:
    return _BLANKS.sub(" ", value).casefold().strip()


def _equivalent_numbers(left: Decimal | int, right: Decimal | int) -> bool:
    """Return True if equal when rounded to the precision of the less precise number."""
    places = min(_decimal_places(left), _decimal_places(right))
    return round(Fraction(left), places) == round(Fraction(right), places)


def _decimal_places(value: Decimal | int) -> int:
    exponent = Decimal(value).normalize(DECIMAL_CONTEXT).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _to_decimal(value: Fraction) -> Decimal:
    return DECIMAL_CONTEXT.divide(Decimal(value.numerator), Decimal(value.denominator))


def _equivalent_quantities(left: Quantity, right: Quantity) -> bool:
    if left.unit == right.unit:
        return _equivalent_numbers(left.value, right.value)
    left, right = (
        _replace_unit_word(left, _EQUIVALENT_UNITS),
        _replace_unit_word(right, _EQUIVALENT_UNITS),
    )
    one, other = left.ucum, right.ucum
    if one is None or other is None or one.dimension != other.dimension:
        return False
    if one.offset or other.offset:
        return _equal_quantities(left, right) is True
    if one.factor < other.factor:  # compare in the larger unit, which is less precise
        one, other, left, right = other, one, right, left
    scaled = Fraction(right.value) * other.factor / one.factor
    return _equivalent_numbers(left.value, _to_decimal(scaled))


def equivalent_json(left: Any, right: Any, budget: Budget) -> bool:
    """Return True if two JSON values are equivalent; ids and the order of lists are ignored."""
    budget.spend(1)
    if isinstance(left, dict) and isinstance(right, dict):
        names = {*left, *right} - {"id"}
        return all(
            name in left and name in right and equivalent_json(left[name], right[name], budget)
            for name in names
        )
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(
            any(equivalent_json(one, other, budget) for other in right) for one in left
        )
    if isinstance(left, str) and isinstance(right, str):
        return _normalize_text(left) == _normalize_text(right)
    return bool(left == right)


# --- order


def compare(left: Items, right: Items, test: Callable[[int], bool]) -> bool | None:
    """Evaluate `<`, `<=`, `>`, `>=`; None if an operand is empty or the order is undecided.

    Raises:
        FhirPathError: The types of the operands have no order in common.

    """
    one, other = single_value(left), single_value(right)
    if one is None or other is None:
        return None
    try:
        result = _order(one, other)
    except TypeError:
        raise FhirPathError(f"{_type_names(one, other)} cannot be compared") from None
    return None if result is None else test(result)


def _order(one: Item, other: Item) -> int | None:
    """Return -1, 0 or 1 for two values, None if their order cannot be decided.

    Raises:
        TypeError: The types have no order in common.

    """
    if isinstance(one, bool) or isinstance(other, bool):
        raise TypeError
    if isinstance(one, Decimal | int) and isinstance(other, Decimal | int):
        return (one > other) - (one < other)
    if isinstance(one, str) and isinstance(other, str):
        return (one > other) - (one < other)
    if isinstance(one, Temporal) and isinstance(other, Temporal):
        return one.compare(other)
    if isinstance(one, _Measurable) and isinstance(other, _Measurable):
        values = _comparable(_as_quantity(one), _as_quantity(other))
        return None if values is None else (values[0] > values[1]) - (values[0] < values[1])
    if any(
        isinstance(item, DataNode) and item.type_info.system == "Quantity" for item in (one, other)
    ):
        return None  # a quantity without a number
    raise TypeError


def _type_names(one: Item, other: Item) -> str:
    """Return the names of the types of two operands, for a message."""
    return " and ".join(".".join(type_name(item)) for item in (one, other))


# --- arithmetic


def _check_range(value: Decimal | int) -> Items:
    """Return a result as a collection; an integer that is too large is empty."""
    if isinstance(value, int):
        return [value] if -MAX_INTEGER - 1 <= value <= MAX_INTEGER else []
    return [value]


def _are_numbers(one: Item, other: Item) -> bool:
    return (
        isinstance(one, Decimal | int)
        and isinstance(other, Decimal | int)
        and not isinstance(one, bool)
        and not isinstance(other, bool)
    )


def calculate(sign: str, left: Items, right: Items) -> Items:
    """Evaluate `+ - * / div mod`; empty for empty operands, overflow and division by zero.

    Raises:
        FhirPathError: The operator is not defined for the types of the operands.

    """
    one, other = single_value(left), single_value(right)
    if one is None or other is None:
        return []
    try:
        if _are_numbers(one, other):
            return _check_range(_ARITHMETIC[sign](one, other))
        if sign == "+" and isinstance(one, str) and isinstance(other, str):
            return [concatenate(one, other)]
        if sign in {"+", "-"} and isinstance(one, Temporal) and isinstance(other, Quantity):
            moved = one.add(other.value if sign == "+" else -other.value, other.unit)
            return [] if moved is None else [moved]
        if isinstance(one, Quantity) or isinstance(other, Quantity):
            return _calculate_quantities(sign, one, other)
    except (DivisionByZero, InvalidOperation, Overflow, ZeroDivisionError):
        return []
    except ValueError:
        raise FhirPathError(
            "a date or time can only be changed by a calendar duration or seconds"
        ) from None
    raise FhirPathError(f"the operator {sign} is not defined for {_type_names(one, other)}")


def concatenate(one: str, other: str) -> str:
    """Return two texts joined.

    Raises:
        FhirPathError: The result is too long.

    """
    if len(one) + len(other) > MAX_TEXT_LENGTH:
        raise FhirPathError(f"the result has more than {MAX_TEXT_LENGTH} characters")
    return one + other


def _divide(one: Decimal | int, other: Decimal | int) -> Decimal:
    return DECIMAL_CONTEXT.divide(Decimal(one), Decimal(other))


def _integer_quotient(one: Decimal | int, other: Decimal | int) -> int:
    return int(DECIMAL_CONTEXT.divide_int(Decimal(one), Decimal(other)))


def _remainder(one: Decimal | int, other: Decimal | int) -> Decimal | int:
    """Return the remainder, with the sign of the dividend."""
    rest = DECIMAL_CONTEXT.remainder(Decimal(one), Decimal(other))
    return int(rest) if isinstance(one, int) and isinstance(other, int) else rest


def _by_number_type(
    whole: Callable[[int, int], int], exact: Callable[[Decimal, Decimal], Decimal]
) -> Callable[[Any, Any], Decimal | int]:
    def result(one: Decimal | int, other: Decimal | int) -> Decimal | int:
        if isinstance(one, int) and isinstance(other, int):
            return whole(one, other)
        return exact(Decimal(one), Decimal(other))

    return result


_ARITHMETIC: dict[str, Callable[[Any, Any], Decimal | int]] = {
    "+": _by_number_type(operator.add, DECIMAL_CONTEXT.add),
    "-": _by_number_type(operator.sub, DECIMAL_CONTEXT.subtract),
    "*": _by_number_type(operator.mul, DECIMAL_CONTEXT.multiply),
    "/": _divide,
    "div": _integer_quotient,
    "mod": _remainder,
}


def _calculate_quantities(sign: str, one: Item, other: Item) -> Items:
    """Add or subtract quantities in the left unit; multiply or divide with their units.

    Raises:
        FhirPathError: An operand is not a quantity, or the operator is not defined for quantities.

    """
    if not isinstance(one, _Measurable) or not isinstance(other, _Measurable):
        raise FhirPathError(
            f"the operator {sign} is not defined for a quantity and {type_name(other)[1]}"
        )
    left, right = _as_quantity(one), _as_quantity(other)
    if sign in {"*", "/"}:
        return _multiply_quantities(sign, left, right)
    if sign not in {"+", "-"}:
        raise FhirPathError(f"the operator {sign} is not defined for quantities")
    if left.unit != right.unit and not _have_same_unit(left, right):
        values = _comparable(left, right)
        unit = _replace_unit_word(left, UCUM_DURATIONS).ucum
        if values is None or unit is None or unit.offset:
            return []
        right = Quantity(_to_decimal(values[1] / unit.factor), left.unit)
    value = _ARITHMETIC[sign](left.value, right.value)
    return [Quantity(Decimal(value), left.unit, left.system)]


def _multiply_quantities(sign: str, left: Quantity, right: Quantity) -> Items:
    value = Decimal(_ARITHMETIC[sign](left.value, right.value))
    if right.unit == "1":
        return [Quantity(value, left.unit, left.system)]
    if sign == "*" and left.unit == "1":
        return [Quantity(value, right.unit, right.system)]
    if sign == "/" and left.unit == right.unit:
        return [Quantity(value, "1")]
    unit = f"({left.unit}){'.' if sign == '*' else '/'}({right.unit})"
    try:
        parse(unit)
    except UnitError:
        return []
    return [Quantity(value, unit)]
