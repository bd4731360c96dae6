"""Operators as evaluators and conditions, built from those of their operands.

http://hl7.org/fhirpath/N1/#operations
"""

from collections.abc import Callable
from decimal import Decimal

from fhir_b12.fhirpath.collection_functions import is_in, union
from fhir_b12.fhirpath.conversion_functions import to_text
from fhir_b12.fhirpath.errors import FhirPathError
from fhir_b12.fhirpath.evaluation import Condition, Evaluation, Evaluator
from fhir_b12.fhirpath.operators import (
    calculate,
    compare,
    concatenate,
    equals,
    equivalent,
    single_value,
)
from fhir_b12.fhirpath.values import DataNode, Items, Quantity

LOGIC_OPERATORS = frozenset({"and", "or", "xor", "implies"})
_ORDER_OPERATORS: dict[str, Callable[[int], bool]] = {
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
}
RELATIONAL_OPERATORS = frozenset({"=", "!=", "~", "!~", "in", "contains", *_ORDER_OPERATORS})


# --- arithmetic, concatenation and union


def build_signed(sign: str, operand: Evaluator, column: int) -> Evaluator:
    """Return an evaluator of `-a` or `+a`."""
    is_negative = sign == "-"

    def evaluate(this: Items, evaluation: Evaluation) -> Items:
        value = single_value(operand(this, evaluation))
        if value is None:
            return []
        if isinstance(value, Quantity):
            number = value.value.copy_negate() if is_negative else value.value
            return [Quantity(number, value.unit, value.system)]
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise FhirPathError("a sign requires a number", column)
        return [-value if is_negative else value]

    return evaluate


def build_left_fold(sign: str, operands: tuple[Evaluator, ...], column: int) -> Evaluator:
    """Return an evaluator of `a + b + c`, from left to right."""
    first, rest = operands[0], operands[1:]
    operation = _binary_operator(sign)

    def evaluate(this: Items, evaluation: Evaluation) -> Items:
        try:
            items = first(this, evaluation)
            for operand in rest:
                items = operation(items, operand(this, evaluation), evaluation)
        except FhirPathError as error:
            raise error.at(column) from None
        return items

    return evaluate


def _binary_operator(sign: str) -> Callable[[Items, Items, Evaluation], Items]:
    if sign == "|":
        return lambda left, right, evaluation: union(left, evaluation, right)
    if sign == "&":
        return lambda left, right, _evaluation: [concatenate(_to_text(left), _to_text(right))]
    return lambda left, right, _evaluation: calculate(sign, left, right)


def _to_text(items: Items) -> str:
    value = single_value(items)
    return "" if value is None else to_text(value) or ""


# --- three-valued logic


def build_logic(sign: str, operands: tuple[Condition, ...], column: int) -> Condition:
    """Return a condition of Boolean operands.  http://hl7.org/fhirpath/N1/#boolean-logic"""
    if sign in {"and", "or"}:
        return _build_and_or(operands, settled=sign == "or", column=column)
    left, right = operands
    if sign == "xor":

        def differ(this: Items, evaluation: Evaluation) -> bool | None:
            one, other = left(this, evaluation), right(this, evaluation)
            return None if one is None or other is None else one is not other

        return differ

    def implies(this: Items, evaluation: Evaluation) -> bool | None:
        one = left(this, evaluation)
        if one is False:
            return True
        other = right(this, evaluation)
        return other if one is True or other is True else None

    return implies


def _build_and_or(operands: tuple[Condition, ...], *, settled: bool, column: int) -> Condition:
    """Return `and`, which any False settles, or `or`, which any True settles; else None wins."""

    def decide(this: Items, evaluation: Evaluation) -> bool | None:
        result: bool | None = not settled
        try:
            for operand in operands:
                one = operand(this, evaluation)
                if one is settled:
                    return settled
                if one is None:
                    result = None
        except FhirPathError as error:
            raise error.at(column) from None
        return result

    return decide


# --- equality, order and membership


def build_relation(sign: str, left: Evaluator, right: Evaluator, column: int) -> Condition:
    """Return a condition of `=`, `~`, `<`, `in` and the like."""
    operation = _relational_operator(sign)

    def decide(this: Items, evaluation: Evaluation) -> bool | None:
        try:
            return operation(left(this, evaluation), right(this, evaluation), evaluation)
        except FhirPathError as error:
            raise error.at(column) from None

    return decide


def build_text_equality(sign: str, left: Evaluator, text: str) -> Condition:
    """Return a fast condition of the most frequent comparison, `use = 'official'`, or of `!=`."""
    other = [text]
    is_negated = sign == "!="

    def decide(this: Items, evaluation: Evaluation) -> bool | None:
        items = left(this, evaluation)
        if len(items) == 1:
            item = items[0]
            value = item.value if item.__class__ is DataNode else item
            if value.__class__ is str:
                return (value == text) is not is_negated
        result = equals(items, other, evaluation)
        return None if result is None else result is not is_negated

    return decide


def _relational_operator(sign: str) -> Callable[[Items, Items, Evaluation], bool | None]:
    if sign in _ORDER_OPERATORS:
        test = _ORDER_OPERATORS[sign]
        return lambda left, right, _evaluation: compare(left, right, test)
    if sign == "=":
        return equals
    if sign == "!=":
        return lambda left, right, evaluation: _not(equals(left, right, evaluation))
    if sign == "~":
        return equivalent
    if sign == "!~":
        return lambda left, right, evaluation: not equivalent(left, right, evaluation)
    if sign == "in":
        return is_in
    return lambda left, right, evaluation: is_in(right, left, evaluation)


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value
