"""What an expression finds: places in the data, and values of FHIRPath's own types.

A collection is a list. In it a `Node` is a place in the data; True, 3, Decimal("0.5"), "text", a
`Temporal` and a `Measure` are values. Nothing changes a list it was given.
"""

from decimal import Decimal
from typing import Any, Protocol

from fhir_b12 import aliases
from fhir_b12.fhirpath.temporal import DURATIONS, Named, Temporal, read
from fhir_b12.fhirpath.types import Kind
from fhir_b12.units import Unit, UnitError, parse

MAX_INTEGER = 2**31 - 1
UCUM = aliases.UCUM
_LONGEST_UNIT = 100  #: characters; nothing longer is UCUM
Item = Any  #: Node, bool, int, Decimal, str, Temporal, Measure
Items = list[Item]
_MOMENTS: dict[str, Named] = {"Date": "Date", "DateTime": "DateTime", "Time": "Time"}


class Purse(Protocol):
    """What work is paid from, so that it ends: see `run.Run`."""

    def spend(self, steps: int) -> None:
        """Count so many steps."""
        ...


class Node:
    """A place in the data: the value there, its type, its companion, and where it stands.

    `value` is None for a primitive that has nothing but extensions.
    """

    __slots__ = ("companion", "kind", "parent", "step", "value")

    def __init__(
        self,
        value: Any,
        kind: Kind,
        companion: dict[str, Any] | None = None,
        parent: "Node | None" = None,
        step: str | tuple[str, int] | None = None,
    ) -> None:
        self.value = value
        self.kind = kind
        self.companion = companion
        self.parent = parent
        self.step = step

    @property
    def path(self) -> tuple[str | int, ...]:
        """JSON names and indices from the node the evaluation began at.

        What stands below a primitive is in its companion: `("_birthDate", "extension", 0)`.
        """
        steps: list[str | int] = []
        node: Node | None = self
        while node is not None and node.step is not None:
            name, *index = (node.step,) if isinstance(node.step, str) else node.step
            beside = node is not self and node.kind.primitive
            steps += (*reversed(index), f"_{name}" if beside else name)
            node = node.parent
        return tuple(reversed(steps))

    @property
    def root(self) -> "Node":
        """The node at which its path begins."""
        node = self
        while node.parent is not None:
            node = node.parent
        return node


class Measure:
    """A quantity. `unit` is a code of its system, which may be a word of the calendar.

    `label` is the unit as FHIR's Quantity shows it; without a system nothing else is known.
    """

    __slots__ = ("label", "system", "unit", "value")

    def __init__(
        self, value: Decimal, unit: str, system: str | None = UCUM, label: str | None = None
    ) -> None:
        self.value = value
        self.unit = unit
        self.system = system
        self.label = unit if label is None else label

    @property
    def ucum(self) -> Unit | None:
        """What the unit means; None where it is none of UCUM, or is not known here."""
        if self.system != UCUM or self.unit in DURATIONS or len(self.unit) > _LONGEST_UNIT:
            return None
        try:
            return parse(self.unit)
        except UnitError:
            return None

    @property
    def text(self) -> str:
        """As FHIRPath writes it: `4 days`, `5 'mg'`."""
        if self.unit in DURATIONS:
            return f"{self.value:f} {self.unit if abs(self.value) == 1 else f'{self.unit}s'}"
        return f"{self.value:f} '{self.unit}'"

    @property
    def plain(self) -> dict[str, Any]:
        """As FHIR's Quantity."""
        return {"value": self.value, "unit": self.unit, "system": self.system, "code": self.unit}


def system(item: Item) -> Item:
    """An item as a value of FHIRPath's own types; None where it has no value.

    An element that has none of those types, such as a HumanName, stays the node it is.
    """
    if item.__class__ is not Node:
        return item
    kind, value = item.kind.system, item.value
    if kind is None:
        return item
    if kind == "String" or value is None:
        return value
    if (name := _MOMENTS.get(kind)) is not None:
        found = read(name, value) if isinstance(value, str) else None
        return value if found is None else found
    if kind == "Quantity":
        return _measure(value) or item
    if kind == "Decimal" and value.__class__ is int:
        return Decimal(value)
    return value


def _measure(value: Any) -> Measure | None:
    """FHIR's Quantity as one of FHIRPath, where it has a number.

    https://hl7.org/fhir/R4/fhirpath.html#quantity
    """
    if not isinstance(value, dict):
        return None
    number = value.get("value")
    if not isinstance(number, int | Decimal) or isinstance(number, bool):
        return None
    code, place, label = (
        text if isinstance(text := value.get(name), str) else None
        for name in ("code", "system", "unit")
    )
    if code is None:
        return Measure(Decimal(number), label or "1", None)
    return Measure(Decimal(number), code, place, label)


def plain(item: Item) -> Any:
    """An item as JSON has it: what a caller gets."""
    if item.__class__ is Node:
        return item.value
    if isinstance(item, Temporal):
        return item.text
    return item.plain if isinstance(item, Measure) else item


def type_name(item: Item) -> tuple[str, str]:
    """Namespace and name of an item's type.  http://hl7.org/fhirpath/N1/#reflection"""
    if item.__class__ is Node:
        return "FHIR", item.kind.name
    if isinstance(item, Temporal):
        return "System", item.name
    names = {bool: "Boolean", int: "Integer", Decimal: "Decimal", str: "String"}
    return "System", names.get(item.__class__, "Quantity")


def key(item: Item, purse: Purse) -> object:
    """Something hashable that two items share where they are equal, and only there."""
    value = system(item)
    kind = value.__class__
    if kind is str or kind is int or kind is Decimal:
        return value
    if kind is Temporal:
        return value.key()
    if kind is Measure:
        return _measure_key(value)
    if kind is Node:
        return ("node", _frozen(value.value, purse))
    if value is None:
        return ("none", _frozen(item.companion, purse))
    return (kind.__name__, _frozen(value, purse))


def _measure_key(value: Measure) -> object:
    unit = value.ucum
    if unit is None or unit.offset:
        return ("quantity", value.system, value.unit, value.value)
    scaled = unit.factor * value.value.as_integer_ratio()[0] / value.value.as_integer_ratio()[1]
    return ("quantity", scaled, *sorted(unit.dimension.items()))


def _frozen(value: Any, purse: Purse) -> object:
    """A JSON value as something that can be hashed; the order of names does not count."""
    if isinstance(value, dict):
        purse.spend(len(value))
        return frozenset((name, _frozen(each, purse)) for name, each in value.items())
    if isinstance(value, list):
        purse.spend(len(value))
        return tuple(_frozen(each, purse) for each in value)
    return ("bool", value) if isinstance(value, bool) else value


def keys(items: Items, purse: Purse) -> set[object]:
    """The keys of a collection."""
    purse.spend(len(items))
    return {key(each, purse) for each in items}
