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
    work: Callable[..., Any]
    focus: Mode
    given: tuple[Mode, ...]
    least: int
    decides: bool  #: whether it gives True, False or None, not a collection


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
Work = TypeVar("Work", bound=Callable[..., Any])


def function(
    name: str,
    *given: Mode,
    focus: Mode = "items",
    least: int | None = None,
    decides: bool = False,
) -> Callable[[Work], Work]:
    """Register what is decorated: `least` arguments must be given, or all where it is not said."""

    def register(work: Work) -> Work:
        count = len(given) if least is None else least
        FUNCTIONS[name] = Function(name, work, focus, given, count, decides)
        return work

    return register
