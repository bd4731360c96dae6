"""Steps that call a function with its input and arguments converted as it requires."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from fhir_b12.fhirpath.errors import FhirPathError
from fhir_b12.fhirpath.evaluation import Evaluation
from fhir_b12.fhirpath.function_registry import Function, Mode
from fhir_b12.fhirpath.operators import single_value
from fhir_b12.fhirpath.temporal import Temporal
from fhir_b12.fhirpath.values import Items, type_name

#: Result of the previous step, $this, the evaluation -> result of this step.
Step = Callable[[Items, Items, Evaluation], Items]
BooleanStep = Callable[[Items, Items, Evaluation], bool | None]
_UNEVALUATED = frozenset({"each", "test", "type"})


def build_step(function: Function, arguments: tuple[Any, ...], column: int) -> Step:
    """Return a step that calls a function and returns a collection."""
    implementation = _bind_arguments(function, arguments, column)
    if not function.returns_boolean:
        return lambda items, this, evaluation: implementation(items, this, evaluation) or []

    def step(items: Items, this: Items, evaluation: Evaluation) -> Items:
        result = implementation(items, this, evaluation)
        return [] if result is None else [result]

    return step


def build_boolean_step(function: Function, arguments: tuple[Any, ...], column: int) -> BooleanStep:
    """Return a step that calls a Boolean function and returns True, False or None."""
    return _bind_arguments(function, arguments, column)


def _bind_arguments(
    function: Function, arguments: tuple[Any, ...], column: int
) -> Callable[[Items, Items, Evaluation], Any]:
    """Return a callable that converts the arguments; its result is None if one is missing."""
    implementation = function.implementation
    modes = function.arguments[: len(arguments)]
    if function.focus == "items" and set(modes) <= _UNEVALUATED:

        def simple(items: Items, _this: Items, evaluation: Evaluation) -> Any:
            try:
                return implementation(items, evaluation, *arguments)
            except FhirPathError as error:
                raise error.at(column) from None

        return simple

    def general(items: Items, this: Items, evaluation: Evaluation) -> Any:
        try:
            focus = items if function.focus == "items" else _convert_argument(items, function.focus)
            converted = [
                argument
                if mode in _UNEVALUATED
                else _convert_argument(argument(this, evaluation), mode)
                for argument, mode in zip(arguments, modes, strict=True)
            ]
            return (
                None
                if focus is None or None in converted
                else implementation(focus, evaluation, *converted)
            )
        except FhirPathError as error:
            raise error.at(column) from None

    return general


def _convert_argument(items: Items, mode: Mode) -> Any:
    """Convert items as a function requires them; None if a value is missing.

    Raises:
        FhirPathError: The value has another type.

    """
    if mode == "items":
        return items
    value = single_value(items)
    if mode == "text" and isinstance(value, Temporal):
        return value.text
    required = {"text": str, "integer": int, "number": int | Decimal}[mode]
    if value is None or (isinstance(value, required) and not isinstance(value, bool)):
        return value
    raise FhirPathError(f"{mode} is required instead of {type_name(value)[1]}")
