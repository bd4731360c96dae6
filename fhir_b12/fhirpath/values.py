"""Items of collections: nodes of the data, and values of FHIRPath's own types.

A collection is a list of items: a `DataNode` is an element of the data; True, 3, Decimal("0.5"),
"text", a `Temporal` and a `Quantity` are values. A collection is never changed after it was built.
"""

from decimal import Decimal
from typing import Any, Protocol

from fhir_b12 import aliases
from fhir_b12.fhirpath.temporal import DURATIONS, Temporal, TemporalType, read
from fhir_b12.fhirpath.types import TypeInfo
from fhir_b12.ucum import Unit, UnitError, parse

MAX_INTEGER = 2**31 - 1
UCUM = aliases.UCUM
_MAX_UNIT_LENGTH = 100  #: characters; nothing longer is UCUM
Item = Any  #: DataNode, bool, int, Decimal, str, Temporal, Quantity
Items = list[Item]
_TEMPORAL_TYPES: dict[str, TemporalType] = {"Date": "Date", "DateTime": "DateTime", "Time": "Time"}


class Budget(Protocol):
    """Limit on the work of one evaluation: see `evaluation.Evaluation`."""

    def spend(self, steps: int) -> None:
        """Count steps of work."""
        ...


class DataNode:
    """A node of the data: its value, type, companion and parent.

    `value` is None for a primitive that has only extensions.
    """

    __slots__ = ("companion", "parent", "step", "type_info", "value")

    def __init__(
        self,
        value: Any,
        type_info: TypeInfo,
        companion: dict[str, Any] | None = None,
        parent: "DataNode | None" = None,
        step: str | tuple[str, int] | None = None,
    ) -> None:
        self.value = value
        self.type_info = type_info
        self.companion = companion
        self.parent = parent
        self.step = step

    @property
    def path(self) -> tuple[str | int, ...]:
        """JSON names and indices from the node at which the evaluation started.

        The children of a primitive are in its companion: `("_birthDate", "extension", 0)`.
        """
        steps: list[str | int] = []
        node: DataNode | None = self
        while node is not None and node.step is not None:
            name, *index = (node.step,) if isinstance(node.step, str) else node.step
            in_companion = node is not self and node.type_info.is_primitive
            steps += (*reversed(index), f"_{name}" if in_companion else name)
            node = node.parent
        return tuple(reversed(steps))

    @property
    def root(self) -> "DataNode":
        """The node at which the path starts."""
        node = self
        while node.parent is not None:
            node = node.parent
        return node


class Quantity:
    """A quantity; `unit` is a code of its system or a calendar word such as `day`.

    `label` is the display of the unit in FHIR's Quantity, the only unit known without a system.
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
        """The UCUM unit; None if the unit is not from UCUM or unknown."""
        if self.system != UCUM or self.unit in DURATIONS or len(self.unit) > _MAX_UNIT_LENGTH:
            return None
        try:
            return parse(self.unit)
        except UnitError:
            return None

    @property
    def text(self) -> str:
        """The quantity as a FHIRPath literal: `4 days`, `5 'mg'`."""
        if self.unit in DURATIONS:
            return f"{self.value:f} {self.unit if abs(self.value) == 1 else f'{self.unit}s'}"
        return f"{self.value:f} '{self.unit}'"

    @property
    def plain(self) -> dict[str, Any]:
        """The quantity as JSON of FHIR's Quantity."""
        return {"value": self.value, "unit": self.unit, "system": self.system, "code": self.unit}


def system(item: Item) -> Item:
    """Convert an item to a value of a FHIRPath type; None if it has no value.

    An element without such a type, e.g. a HumanName, is returned unchanged.
    """
    if item.__class__ is not DataNode:
        return item
    system_type, value = item.type_info.system, item.value
    if system_type is None:
        return item
    if system_type == "String" or value is None:
        return value
    if (temporal_type := _TEMPORAL_TYPES.get(system_type)) is not None:
        temporal = read(temporal_type, value) if isinstance(value, str) else None
        return value if temporal is None else temporal
    if system_type == "Quantity":
        return _parse_quantity(value) or item
    if system_type == "Decimal" and value.__class__ is int:
        return Decimal(value)
    return value


def _parse_quantity(value: Any) -> Quantity | None:
    """Convert FHIR's Quantity to that of FHIRPath; None if it has no number.

    https://hl7.org/fhir/R4/fhirpath.html#quantity
    """
    if not isinstance(value, dict):
        return None
    number = value.get("value")
    if not isinstance(number, int | Decimal) or isinstance(number, bool):
        return None
    code, unit_system, label = (
        text if isinstance(text := value.get(name), str) else None
        for name in ("code", "system", "unit")
    )
    if code is None:
        return Quantity(Decimal(number), label or "1", None)
    return Quantity(Decimal(number), code, unit_system, label)


def plain(item: Item) -> Any:
    """Convert an item to JSON, for the caller."""
    if item.__class__ is DataNode:
        return item.value
    if isinstance(item, Temporal):
        return item.text
    return item.plain if isinstance(item, Quantity) else item


def type_name(item: Item) -> tuple[str, str]:
    """Return namespace and name of an item's type.  http://hl7.org/fhirpath/N1/#reflection"""
    if item.__class__ is DataNode:
        return "FHIR", item.type_info.name
    if isinstance(item, Temporal):
        return "System", item.name
    names = {bool: "Boolean", int: "Integer", Decimal: "Decimal", str: "String"}
    return "System", names.get(item.__class__, "Quantity")


def equality_key(item: Item, budget: Budget) -> object:
    """Return a hashable key that is equal for equal items and only for these."""
    value = system(item)
    data_type = value.__class__
    if data_type is str or data_type is int or data_type is Decimal:
        return value
    if data_type is Temporal:
        return value.key()
    if data_type is Quantity:
        return _quantity_key(value)
    if data_type is DataNode:
        return ("node", _freeze(value.value, budget))
    if value is None:
        return ("none", _freeze(item.companion, budget))
    return (data_type.__name__, _freeze(value, budget))


def _quantity_key(value: Quantity) -> object:
    unit = value.ucum
    if unit is None or unit.offset:
        return ("quantity", value.system, value.unit, value.value)
    scaled = unit.factor * value.value.as_integer_ratio()[0] / value.value.as_integer_ratio()[1]
    return ("quantity", scaled, *sorted(unit.dimension.items()))


def _freeze(value: Any, budget: Budget) -> object:
    """Return a hashable copy of a JSON value; the order of names is ignored."""
    if isinstance(value, dict):
        budget.spend(len(value))
        return frozenset((name, _freeze(member, budget)) for name, member in value.items())
    if isinstance(value, list):
        budget.spend(len(value))
        return tuple(_freeze(member, budget) for member in value)
    return ("bool", value) if isinstance(value, bool) else value


def equality_keys(items: Items, budget: Budget) -> set[object]:
    """Return the equality keys of a collection."""
    budget.spend(len(items))
    return {equality_key(item, budget) for item in items}
