"""What the operators do with collections.  http://hl7.org/fhirpath/N1/#operations"""

import operator
import re
from collections.abc import Callable
from decimal import Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from fractions import Fraction
from typing import Any

from fhir_b12.fhirpath.errors import FhirPathError
from fhir_b12.fhirpath.temporal import DURATIONS, Temporal
from fhir_b12.fhirpath.values import (
    MAX_INTEGER,
    Item,
    Items,
    Measure,
    Node,
    Purse,
    key,
    system,
    type_name,
)
from fhir_b12.units import UnitError, parse

#: Enough for FHIR's decimals; what does not fit overflows, which is empty.
EXACT = Context(
    prec=40, Emax=10_000, Emin=-10_000, traps=[DivisionByZero, InvalidOperation, Overflow]
)
LONGEST_TEXT = 1_000_000  #: characters of a text that an expression makes
#: Spans of the calendar that are as long as UCUM's, and those that are only for `~`.
#: http://hl7.org/fhirpath/N1/#time-valued-quantities
_EXACTLY = {"week": "wk", "day": "d", "hour": "h", "minute": "min"} | {
    "second": "s",
    "millisecond": "ms",
}
_ROUGHLY = _EXACTLY | {"year": "a", "month": "mo"}
_BLANKS = re.compile(r"\s+")


def truth(items: Items) -> bool | None:
    """A collection where a Boolean is wanted: one item that is none counts as true.

    http://hl7.org/fhirpath/N1/#singleton-evaluation-of-collections
    """
    if not items:
        return None
    if len(items) > 1:
        raise FhirPathError(f"{len(items)} items stand where one Boolean is expected")
    item = items[0]
    if item.__class__ is bool:
        return bool(item)
    if item.__class__ is Node and item.value.__class__ is bool:
        return bool(item.value)
    return True


def single(items: Items) -> Item:
    """The one item of a collection as a value; None where there is none."""
    if not items:
        return None
    if len(items) > 1:
        raise FhirPathError(f"{len(items)} items stand where one is expected")
    return system(items[0])


# --- equality


def equal(left: Items, right: Items, purse: Purse) -> bool | None:
    """`=`: None where a collection is empty, or dates and units do not allow to tell."""
    if not left or not right:
        return None
    if len(left) == 1 and len(right) == 1:
        return equal_items(left[0], right[0], purse)
    if len(left) != len(right):
        return False
    purse.spend(len(left))
    found = [equal_items(one, other, purse) for one, other in zip(left, right, strict=True)]
    return False if False in found else None if None in found else True


def equal_items(one: Item, other: Item, purse: Purse) -> bool | None:
    """Whether two items are equal; None where it cannot be told."""
    left, right = system(one), system(other)
    if left.__class__ is right.__class__:
        if left.__class__ is Temporal:
            alike = (left.name == "Time") == (right.name == "Time")
            compared = left.compare(right) if alike else 1
            return None if compared is None else compared == 0
        if left.__class__ is Measure:
            return _equal_measures(left, right)
        if left.__class__ is Node or left is None:
            return key(one, purse) == key(other, purse)
        return bool(left == right)
    if isinstance(left, Measure | Decimal | int) and isinstance(right, Measure | Decimal | int):
        if isinstance(left, bool) or isinstance(right, bool):
            return False
        if isinstance(left, Measure) or isinstance(right, Measure):
            return _equal_measures(_as_measure(left), _as_measure(right))
        return left == right
    if isinstance(left, Temporal | str) and isinstance(right, Temporal | str):
        return _text(left) == _text(right)
    return False


def _text(value: Temporal | str) -> str:
    return value.text if isinstance(value, Temporal) else value


def _as_measure(value: Measure | Decimal | int) -> Measure:
    return value if isinstance(value, Measure) else Measure(Decimal(value), "1")


def _equal_measures(left: Measure, right: Measure) -> bool | None:
    values = _comparable(left, right)
    return None if values is None else values[0] == values[1]


def _comparable(left: Measure, right: Measure) -> tuple[Any, Any] | None:
    """The values of two quantities in one unit; None where their units do not compare."""
    if left.unit == right.unit and left.system == right.system:
        return left.value, right.value
    if None in {left.system, right.system} and {left.unit, left.label} & {right.unit, right.label}:
        return left.value, right.value
    return _scaled(_named(left, _EXACTLY), _named(right, _EXACTLY))


def _named(value: Measure, words: dict[str, str]) -> Measure:
    unit = words.get(value.unit)
    return Measure(value.value, unit) if unit and value.unit in DURATIONS else value


def _scaled(left: Measure, right: Measure) -> tuple[Any, Any] | None:
    if left.unit in DURATIONS and right.unit in DURATIONS:
        return _calendar(left, right)
    one, other = left.ucum, right.ucum
    if one is None or other is None or one.dimension != other.dimension:
        return None
    return (
        Fraction(left.value) * one.factor + one.offset,
        Fraction(right.value) * other.factor + other.offset,
    )


def _calendar(left: Measure, right: Measure) -> tuple[Any, Any] | None:
    """Years and months among themselves, weeks to milliseconds among themselves."""
    months = {"year": 12, "month": 1}
    if left.unit in months and right.unit in months:
        return left.value * months[left.unit], right.value * months[right.unit]
    if left.unit in months or right.unit in months:
        return None
    return _scaled(_named(left, _EXACTLY), _named(right, _EXACTLY))


# --- equivalence


def equivalent(left: Items, right: Items, purse: Purse) -> bool:
    """`~`: order, case and blanks do not count, numbers as far as the less precise one goes."""
    if len(left) != len(right):
        return False
    rest = list(right)
    for one in left:
        purse.spend(len(rest))
        at = next((i for i, each in enumerate(rest) if equivalent_items(one, each, purse)), None)
        if at is None:
            return False
        del rest[at]
    return True


def equivalent_items(one: Item, other: Item, purse: Purse) -> bool:
    """Whether two items are equivalent."""
    left, right = system(one), system(other)
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, str) and isinstance(right, str):
        return _plain_text(left) == _plain_text(right)
    if isinstance(left, Decimal | int) and isinstance(right, Decimal | int):
        return _alike(left, right)
    if isinstance(left, Temporal) and isinstance(right, Temporal):
        return (left.name == "Time") == (right.name == "Time") and left.compare(right) == 0
    if isinstance(left, Measure) and isinstance(right, Measure):
        return _alike_measures(left, right)
    if isinstance(left, Node) and isinstance(right, Node):
        return equivalent_json(left.value, right.value, purse)
    return bool(equal_items(one, other, purse))


def _plain_text(value: str) -> str:
    return _BLANKS.sub(" ", value).casefold().strip()


def _alike(left: Decimal | int, right: Decimal | int) -> bool:
    """Equal when rounded to the decimal places of the less precise, trailing zeros not counted."""
    places = min(_places(left), _places(right))
    return round(Fraction(left), places) == round(Fraction(right), places)


def _places(value: Decimal | int) -> int:
    exponent = Decimal(value).normalize(EXACT).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _alike_measures(left: Measure, right: Measure) -> bool:
    if left.unit == right.unit:
        return _alike(left.value, right.value)
    left, right = _named(left, _ROUGHLY), _named(right, _ROUGHLY)
    one, other = left.ucum, right.ucum
    if one is None or other is None or one.dimension != other.dimension:
        return False
    if one.offset or other.offset:
        return _equal_measures(left, right) is True
    if one.factor < other.factor:  # compare in the larger unit: it is the less precise
        one, other, left, right = other, one, right, left
    scaled = Fraction(right.value) * other.factor / one.factor
    number = EXACT.divide(Decimal(scaled.numerator), Decimal(scaled.denominator))
    return _alike(left.value, number)


def equivalent_json(left: Any, right: Any, purse: Purse) -> bool:
    """Two JSON values, part by part; an element's id does not count, nor the order of a list."""
    purse.spend(1)
    if isinstance(left, dict) and isinstance(right, dict):
        names = {*left, *right} - {"id"}
        return all(
            name in left and name in right and equivalent_json(left[name], right[name], purse)
            for name in names
        )
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(
            any(equivalent_json(one, other, purse) for other in right) for one in left
        )
    if isinstance(left, str) and isinstance(right, str):
        return _plain_text(left) == _plain_text(right)
    return bool(left == right)


# --- order


def compare(left: Items, right: Items, holds: Callable[[int], bool]) -> bool | None:
    """`<` and its like: None where a collection is empty or it cannot be told."""
    one, other = single(left), single(right)
    if one is None or other is None:
        return None
    found = order(one, other)
    return None if found is None else holds(found)


def order(one: Item, other: Item) -> int | None:
    """-1, 0 or 1 of two values; None where it cannot be told."""
    if isinstance(one, bool) or isinstance(other, bool):
        raise _not_ordered(one, other)
    if isinstance(one, Decimal | int) and isinstance(other, Decimal | int):
        return (one > other) - (one < other)
    if isinstance(one, str) and isinstance(other, str):
        return (one > other) - (one < other)
    if isinstance(one, Temporal) and isinstance(other, Temporal):
        try:
            return one.compare(other)
        except TypeError:
            raise _not_ordered(one, other) from None
    kinds = Measure | Decimal | int
    if isinstance(one, kinds) and isinstance(other, kinds):
        values = _comparable(_as_measure(one), _as_measure(other))
        return None if values is None else (values[0] > values[1]) - (values[0] < values[1])
    if any(isinstance(each, Node) and each.kind.system == "Quantity" for each in (one, other)):
        return None  # a quantity without a number
    raise _not_ordered(one, other)


def _not_ordered(one: Item, other: Item) -> FhirPathError:
    names = " and ".join(".".join(type_name(each)) for each in (one, other))
    return FhirPathError(f"{names} have no order")


# --- arithmetic


def _number(value: Decimal | int) -> Items:
    """A result; an integer too large, or a decimal with too many digits, is empty."""
    if isinstance(value, int):
        return [value] if -MAX_INTEGER - 1 <= value <= MAX_INTEGER else []
    return [value]


def _numbers(one: Item, other: Item) -> bool:
    return (
        isinstance(one, Decimal | int)
        and isinstance(other, Decimal | int)
        and not isinstance(one, bool)
        and not isinstance(other, bool)
    )


def calculate(sign: str, left: Items, right: Items) -> Items:
    """`+ - * / div mod`: empty where an operand is, where it overflows, or divides by zero."""
    one, other = single(left), single(right)
    if one is None or other is None:
        return []
    try:
        if _numbers(one, other):
            return _number(_ARITHMETIC[sign](one, other))
        if sign == "+" and isinstance(one, str) and isinstance(other, str):
            return [joined(one, other)]
        if sign in {"+", "-"} and isinstance(one, Temporal) and isinstance(other, Measure):
            moved = one.plus(other.value if sign == "+" else -other.value, other.unit)
            return [] if moved is None else [moved]
        if isinstance(one, Measure) or isinstance(other, Measure):
            return _measured(sign, one, other)
    except (DivisionByZero, InvalidOperation, Overflow, ZeroDivisionError):
        return []
    except ValueError:
        raise FhirPathError("only spans of the calendar or seconds add to a date or time") from None
    names = " and ".join(".".join(type_name(each)) for each in (one, other))
    raise FhirPathError(f"{sign} takes no {names}")


def joined(one: str, other: str) -> str:
    """Two texts in a row."""
    if len(one) + len(other) > LONGEST_TEXT:
        raise FhirPathError(f"a text is to have at most {LONGEST_TEXT} characters")
    return one + other


def _divide(one: Decimal | int, other: Decimal | int) -> Decimal:
    return EXACT.divide(Decimal(one), Decimal(other))


def _whole(one: Decimal | int, other: Decimal | int) -> int:
    return int(EXACT.divide_int(Decimal(one), Decimal(other)))


def _rest(one: Decimal | int, other: Decimal | int) -> Decimal | int:
    """The remainder has the dividend's sign."""
    rest = EXACT.remainder(Decimal(one), Decimal(other))
    return int(rest) if isinstance(one, int) and isinstance(other, int) else rest


def _exactly(
    whole: Callable[[int, int], int], exact: Callable[[Decimal, Decimal], Decimal]
) -> Callable[[Any, Any], Decimal | int]:
    def result(one: Decimal | int, other: Decimal | int) -> Decimal | int:
        if isinstance(one, int) and isinstance(other, int):
            return whole(one, other)
        return exact(Decimal(one), Decimal(other))

    return result


_ARITHMETIC: dict[str, Callable[[Any, Any], Decimal | int]] = {
    "+": _exactly(operator.add, EXACT.add),
    "-": _exactly(operator.sub, EXACT.subtract),
    "*": _exactly(operator.mul, EXACT.multiply),
    "/": _divide,
    "div": _whole,
    "mod": _rest,
}


def _measured(sign: str, one: Item, other: Item) -> Items:
    """Quantities: added and subtracted in the left one's unit, multiplied with their units."""
    kinds = Measure | Decimal | int
    if not isinstance(one, kinds) or not isinstance(other, kinds):
        raise FhirPathError(f"{sign} takes no {type_name(other)[1]} with a quantity")
    left, right = _as_measure(one), _as_measure(other)
    if sign in {"*", "/"}:
        return _product(sign, left, right)
    if sign not in {"+", "-"}:
        raise FhirPathError(f"{sign} takes no quantities")
    if left.unit != right.unit:
        values = _comparable(left, right)
        unit = _named(left, _EXACTLY).ucum
        if values is None or unit is None or unit.offset:
            return []
        scaled = values[1] / unit.factor
        number = EXACT.divide(Decimal(scaled.numerator), Decimal(scaled.denominator))
        right = Measure(number, left.unit)
    value = _ARITHMETIC[sign](left.value, right.value)
    return [Measure(Decimal(value), left.unit, left.system)]


def _product(sign: str, left: Measure, right: Measure) -> Items:
    value = Decimal(_ARITHMETIC[sign](left.value, right.value))
    if right.unit == "1":
        return [Measure(value, left.unit, left.system)]
    if sign == "*" and left.unit == "1":
        return [Measure(value, right.unit, right.system)]
    if sign == "/" and left.unit == right.unit:
        return [Measure(value, "1")]
    unit = f"({left.unit}){'.' if sign == '*' else '/'}({right.unit})"
    try:
        parse(unit)
    except UnitError:
        return []
    return [Measure(value, unit)]
