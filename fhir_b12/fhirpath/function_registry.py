"""Registry of FHIRPath functions, with the kinds of their arguments."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeVar

#: How a function receives its input or an argument: `items` as a collection; `text`, `integer` and
#: `number` as a single value, the result is empty if it is missing; `each` as an expression to
#: evaluate on items; `test` as a condition; `type` as a name.
Mode = Literal["items", "text", "integer", "number", "each", "test", "type"]


class Function(NamedTuple):
    """A function: `implementation(input, evaluation, *arguments)`."""

    name: str
    implementation: Callable[..., Any]
    focus: Mode
    arguments: tuple[Mode, ...]
    min_arguments: int
    returns_boolean: bool  #: True if it returns True, False or None instead of a collection


FUNCTIONS: dict[str, Function] = {}
#: Functions of FHIR that need what is not available here, and why.
UNSUPPORTED = {
    "elementDefinition": "the definition of an element is not available",
    "slice": "the slice of an element is not available",
    "checkModifiers": "the modifier extensions a caller understands are not available",
    "subsumes": "it needs a terminology server",
    "subsumedBy": "it needs a terminology server",
}

Implementation = TypeVar("Implementation", bound=Callable[..., Any])


def function(
    name: str,
    *arguments: Mode,
    focus: Mode = "items",
    min_arguments: int | None = None,
    returns_boolean: bool = False,
) -> Callable[[Implementation], Implementation]:
    """Register the decorated function; without `min_arguments` all arguments are required."""

    def register(implementation: Implementation) -> Implementation:
        count = len(arguments) if min_arguments is None else min_arguments
        FUNCTIONS[name] = Function(name, implementation, focus, arguments, count, returns_boolean)
        return implementation

    return register
