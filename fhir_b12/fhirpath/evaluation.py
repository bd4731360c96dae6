"""One evaluation: what surrounds it, what it may cost, and the steps through the data.

https://hl7.org/fhir/R4/fhirpath.html
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Protocol

from fhir_b12.fhirpath.errors import FhirPathError
from fhir_b12.fhirpath.types import Kind, Slot, kind_at
from fhir_b12.fhirpath.values import Items, Node

MOST_STEPS = 2_000_000  #: items looked at in one evaluation; a large Bundle has 100,000 elements


class Surroundings(Protocol):
    """What an expression may ask about beyond its own node.

    Optional besides: `now`, an aware datetime for `now()`, `today()`, `timeOfDay()`;
    `html_checks(text) -> bool` for `htmlChecks()`; `trace(name, values)` for `trace()`.
    """

    @property
    def resource(self) -> dict[str, Any]:
        """%resource: the one that holds the node."""
        ...

    @property
    def root_resource(self) -> dict[str, Any]:
        """%rootResource: the same, or the one that contains it."""
        ...

    def resolve(self, reference: str) -> tuple[dict[str, Any], str] | None:
        """What a reference points to and its type; None where it is not at hand."""
        ...

    def member_of(self, url: str, item: Any) -> bool | None:
        """Whether a code or Coding or concept is in a value set; None if it cannot be told."""
        ...

    def conforms_to(self, url: str, node: Any) -> bool | None:
        """Whether a resource conforms to a profile; None if it cannot be told."""
        ...


class Run:
    """One evaluation. `index` and `total` are those of the innermost function that has them."""

    __slots__ = ("context", "index", "left", "surroundings", "total")

    def __init__(self, context: Node, surroundings: Surroundings) -> None:
        self.context = context  #: %context
        self.surroundings = surroundings
        self.left = MOST_STEPS
        self.index = 0
        self.total: Items = []

    def spend(self, steps: int) -> None:
        """Count work; an expression that does not come to an end is ended here."""
        self.left -= steps
        if self.left < 0:
            raise FhirPathError(f"it takes more than {MOST_STEPS} steps on this resource")

    def resource(self, *, root: bool = False) -> Items:
        """%resource and %rootResource; %context itself where that is it, so that paths go on."""
        held = self.surroundings.root_resource if root else self.surroundings.resource
        if held is self.context.value:
            return [self.context]
        kind = kind_of(held)
        return [] if kind is None else [Node(held, kind)]

    @property
    def now(self) -> datetime:
        """The clock it was given: the library reads none."""
        given = getattr(self.surroundings, "now", None)
        if not isinstance(given, datetime) or given.tzinfo is None:
            raise FhirPathError("there is no clock here: give `now`, a datetime with an offset")
        return given


Evaluate = Callable[[Items, Run], Items]  #: $this, the run -> what is found
Decide = Callable[[Items, Run], bool | None]


def kind_of(resource: Any) -> Kind | None:
    """The type a resource says it is of; None where it says none that R4 has."""
    name = resource.get("resourceType") if isinstance(resource, dict) else None
    kind = kind_at(name) if isinstance(name, str) and "." not in name else None
    return kind if kind is not None and kind.resource else None


def below(items: Items, name: str, run: Run) -> Items:
    """The children of that name of each item, in order."""
    found: Items = []
    for item in items:
        if item.__class__ is not Node:
            continue
        kind = item.kind
        way = (kind.ways or kind.open()).get(name)
        source = item.companion if kind.primitive else item.value
        if way is None or source.__class__ is not dict:
            continue
        if way.names is not None and way.names.isdisjoint(source):
            continue
        for slot in way.slots:
            value = source.get(slot.name)
            companion = None if slot.companion is None else source.get(slot.companion)
            if value is None and companion is None:
                continue
            if value.__class__ is list or companion.__class__ is list:
                found += spread(item, slot, value, companion)
            else:
                found.append(_child(item, slot, value, companion, slot.name))
    if len(found) > 1 or len(items) > 1:
        run.spend(len(found) + len(items))
    return found


def _child(
    parent: Node, slot: Slot, value: Any, companion: Any, step: str | tuple[str, int]
) -> Node:
    if slot.switches:
        return Node(value, kind_of(value) or slot.kind, None, parent, step)
    return Node(value, slot.kind, companion, parent, step)


def spread(parent: Node, slot: Slot, value: Any, companion: Any) -> Iterator[Node]:
    """The items of a list, each with its companion: `given` and `_given` run side by side."""
    values = value if isinstance(value, list) else []
    beside = companion if isinstance(companion, list) else []
    for i in range(max(len(values), len(beside))):
        one = values[i] if i < len(values) else None
        other = beside[i] if i < len(beside) else None
        if one is not None or other is not None:
            yield _child(parent, slot, one, other, (slot.name, i))


def children(items: Items, run: Run) -> Items:
    """All children of each item, in the order the data has them."""
    found: Items = []
    for item in items:
        if item.__class__ is not Node:
            continue
        kind = item.kind
        source = item.companion if kind.primitive else item.value
        if source.__class__ is not dict:
            continue
        ways = kind.ways or kind.open()
        for name in source:
            if name[0] == "_":
                name = name[1:]  # noqa: PLW2901 - a companion stands for its primitive
                if name in source:
                    continue
            way = ways.get(name)
            if way is not None and way.names is None:
                slot = way.slots[0]
                value, companion = source.get(name), source.get(slot.companion or "")
                if value.__class__ is list or companion.__class__ is list:
                    found += spread(item, slot, value, companion)
                elif value is not None or companion is not None:
                    found.append(_child(item, slot, value, companion, name))
    run.spend(len(found) + len(items))
    return found


def descendants(items: Items, run: Run) -> Items:
    """Children, their children and so on, level by level."""
    found: Items = []
    level = children(items, run)
    while level:
        found += level
        level = children(level, run)
    return found
