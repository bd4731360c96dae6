"""The functions by name, and how each wants what it is given."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeVar

#: How a function takes its input or an argument:
#: `items` a collection; `text`, `integer`, `number` one value, the result is empty where it is
#: missing; `each` an expression to evaluate on items; `test` one that is true or false; `type` a
#: name.
Mode = Literal["items", "text", "integer", "number", "each", "test", "type"]


class Function(NamedTuple):
    """A function: `work(input, run, *arguments)`."""

    name: str
    implementation: Callable[..., Any]
    focus: Mode
    arguments: tuple[Mode, ...]
    min_arguments: int
    returns_boolean: bool  #: whether it gives True, False or None, not a collection


FUNCTIONS: dict[str, Function] = {}
#: FHIR has them, but they ask for what is not at hand.
UNSUPPORTED = {
    "elementDefinition": "the definition an element was checked against is not at hand",
    "slice": "the slice an element was put into is not at hand",
    "checkModifiers": "what a caller knows of modifiers is not at hand",
    "subsumes": "it needs a terminology server",
    "subsumedBy": "it needs a terminology server",
}

Spend = Callable[[int], None]
Implementation = TypeVar("Implementation", bound=Callable[..., Any])


def function(
    name: str,
    *arguments: Mode,
    focus: Mode = "items",
    min_arguments: int | None = None,
    returns_boolean: bool = False,
) -> Callable[[Implementation], Implementation]:
    """Register what is decorated: `least` arguments must be given, or all where it is not said."""

    def register(implementation: Implementation) -> Implementation:
        count = len(arguments) if min_arguments is None else min_arguments
        FUNCTIONS[name] = Function(name, implementation, focus, arguments, count, returns_boolean)
        return implementation

    return register
