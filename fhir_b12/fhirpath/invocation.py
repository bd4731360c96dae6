"""A function and its arguments as a step: what is given is made ready as the function wants it."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from fhir_b12.fhirpath.errors import FhirPathError
from fhir_b12.fhirpath.evaluation import Run
from fhir_b12.fhirpath.function_registry import Function, Mode
from fhir_b12.fhirpath.operators import single
from fhir_b12.fhirpath.temporal import Temporal
from fhir_b12.fhirpath.values import Items, type_name

#: What the step before found, $this, the run -> what this step finds.
Step = Callable[[Items, Items, Run], Items]
DecidingStep = Callable[[Items, Items, Run], bool | None]
_LATER = frozenset({"each", "test", "type"})


def step_of(function: Function, given: tuple[Any, ...], column: int) -> Step:
    """A function as a step that finds items."""
    work = _work(function, given, column)
    if not function.decides:
        return lambda items, this, run: work(items, this, run) or []

    def step(items: Items, this: Items, run: Run) -> Items:
        found = work(items, this, run)
        return [] if found is None else [found]

    return step


def deciding_step_of(function: Function, given: tuple[Any, ...], column: int) -> DecidingStep:
    """A function that gives a Boolean as a step that gives True, False or None."""
    return _work(function, given, column)


def _work(
    function: Function, given: tuple[Any, ...], column: int
) -> Callable[[Items, Items, Run], Any]:
    """Call the function; None where an argument or the input it needs is missing."""
    work = function.work
    modes = function.given[: len(given)]
    if function.focus == "items" and set(modes) <= _LATER:

        def simple(items: Items, _this: Items, run: Run) -> Any:
            try:
                return work(items, run, *given)
            except FhirPathError as error:
                raise error.at(column) from None

        return simple

    def general(items: Items, this: Items, run: Run) -> Any:
        try:
            focus = items if function.focus == "items" else _value(items, function.focus)
            ready = [
                each if mode in _LATER else _value(each(this, run), mode)
                for each, mode in zip(given, modes, strict=True)
            ]
            return None if focus is None or None in ready else work(focus, run, *ready)
        except FhirPathError as error:
            raise error.at(column) from None

    return general


def _value(items: Items, mode: Mode) -> Any:
    """Items as a function wants them; None where a value is missing."""
    if mode == "items":
        return items
    value = single(items)
    if mode == "text" and isinstance(value, Temporal):
        return value.text
    wanted = {"text": str, "integer": int, "number": int | Decimal}[mode]
    if value is None or (isinstance(value, wanted) and not isinstance(value, bool)):
        return value
    raise FhirPathError(f"{type_name(value)[1]} stands where {mode} is expected")
