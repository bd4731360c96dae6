"""State of one evaluation, its environment and budget, and navigation through the data.

https://hl7.org/fhir/R4/fhirpath.html
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Protocol

from fhir_b12.fhirpath.errors import FhirPathError
from fhir_b12.fhirpath.types import ChildSlot
from fhir_b12.fhirpath.values import DataNode, Items

MAX_STEPS = 2_000_000  #: items visited in one evaluation; a large Bundle has 100,000 elements


class Environment(Protocol):
    """What an expression may use beyond the node it is evaluated on.

    Optional members: `now`, an aware datetime for `now()`, `today()`, `timeOfDay()`;
    `html_checks(text) -> bool` for `htmlChecks()`; `trace(name, values)` for `trace()`.
    """

    @property
    def resource(self) -> dict[str, Any]:
        """The resource that contains the node, %resource."""
        ...

    @property
    def root_resource(self) -> dict[str, Any]:
        """The same resource, or the one that contains it, %rootResource."""
        ...

    def resolve(self, reference: str) -> tuple[dict[str, Any], str] | None:
        """Return the target of a reference and its type, None if it cannot be resolved."""
        ...

    def member_of(self, url: str, item: Any) -> bool | None:
        """Return True if a code, Coding or concept is in a value set, None if unknown."""
        ...

    def conforms_to(self, url: str, node: Any) -> bool | None:
        """Return True if a resource conforms to a profile, None if unknown."""
        ...


class Evaluation:
    """One evaluation; `index` and `total` are those of the innermost iteration."""

    __slots__ = ("context", "environment", "index", "remaining_steps", "total")

    def __init__(self, context: DataNode, environment: Environment) -> None:
        self.context = context  #: %context
        self.environment = environment
        self.remaining_steps = MAX_STEPS
        self.index = 0
        self.total: Items = []

    def spend(self, steps: int) -> None:
        """Count steps of work.

        Raises:
            FhirPathError: The budget is used up.

        """
        self.remaining_steps -= steps
        if self.remaining_steps < 0:
            raise FhirPathError(
                f"the evaluation takes more than {MAX_STEPS} steps on this resource"
            )

    def resource(self, *, root: bool = False) -> Items:
        """Return %resource or %rootResource; the context node itself if it is that resource."""
        resource = self.environment.root_resource if root else self.environment.resource
        if resource is self.context.value:
            return [self.context]
        type_info = self.context.type_info.registry.of_resource(resource)
        return [] if type_info is None else [DataNode(resource, type_info)]

    @property
    def now(self) -> datetime:
        """The current time as the environment states it; the library reads no clock.

        Raises:
            FhirPathError: The environment states no time.

        """
        now = getattr(self.environment, "now", None)
        if not isinstance(now, datetime) or now.tzinfo is None:
            raise FhirPathError(
                "the current time is unknown: set the environment's `now`, with an offset"
            )
        return now


Evaluator = Callable[[Items, Evaluation], Items]  #: $this, the evaluation -> the result
Condition = Callable[[Items, Evaluation], bool | None]


def children_named(items: Items, name: str, evaluation: Evaluation) -> Items:
    """Return the children of all items by name, in order."""
    results: Items = []
    for item in items:
        if item.__class__ is not DataNode:
            continue
        type_info = item.type_info
        named_child = (type_info.named_children or type_info.load_children()).get(name)
        source = item.companion if type_info.is_primitive else item.value
        if named_child is None or source.__class__ is not dict:
            continue
        if named_child.names is not None and named_child.names.isdisjoint(source):
            continue
        for slot in named_child.slots:
            value = source.get(slot.name)
            companion = None if slot.companion is None else source.get(slot.companion)
            if value is None and companion is None:
                continue
            if value.__class__ is list or companion.__class__ is list:
                results += spread_list(item, slot, value, companion)
            else:
                results.append(_child(item, slot, value, companion, slot.name))
    if len(results) > 1 or len(items) > 1:
        evaluation.spend(len(results) + len(items))
    return results


def _child(
    parent: DataNode, slot: ChildSlot, value: Any, companion: Any, step: str | tuple[str, int]
) -> DataNode:
    if slot.holds_any_resource:
        return DataNode(
            value, slot.type_info.registry.of_resource(value) or slot.type_info, None, parent, step
        )
    return DataNode(value, slot.type_info, companion, parent, step)


def spread_list(
    parent: DataNode, slot: ChildSlot, value: Any, companion: Any
) -> Iterator[DataNode]:
    """Yield the items of a list with their companions: `given` and `_given` are parallel."""
    values = value if isinstance(value, list) else []
    companions = companion if isinstance(companion, list) else []
    for i in range(max(len(values), len(companions))):
        value_item = values[i] if i < len(values) else None
        companion_item = companions[i] if i < len(companions) else None
        if value_item is not None or companion_item is not None:
            yield _child(parent, slot, value_item, companion_item, (slot.name, i))


def children(items: Items, evaluation: Evaluation) -> Items:
    """Return all children of all items, in the order of the data."""
    results: Items = []
    for item in items:
        if item.__class__ is not DataNode:
            continue
        type_info = item.type_info
        source = item.companion if type_info.is_primitive else item.value
        if source.__class__ is not dict:
            continue
        named_children = type_info.named_children or type_info.load_children()
        for name in source:
            if name[0] == "_":
                name = name[1:]  # noqa: PLW2901 - a companion stands for its primitive
                if name in source:
                    continue
            named_child = named_children.get(name)
            if named_child is not None and named_child.names is None:
                slot = named_child.slots[0]
                value, companion = source.get(name), source.get(slot.companion or "")
                if value.__class__ is list or companion.__class__ is list:
                    results += spread_list(item, slot, value, companion)
                elif value is not None or companion is not None:
                    results.append(_child(item, slot, value, companion, name))
    evaluation.spend(len(results) + len(items))
    return results


def descendants(items: Items, evaluation: Evaluation) -> Items:
    """Return all descendants of all items, level by level."""
    results: Items = []
    level = children(items, evaluation)
    while level:
        results += level
        level = children(level, evaluation)
    return results
