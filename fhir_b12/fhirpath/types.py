"""Types of FHIR and of FHIRPath, and the children of each.

http://hl7.org/fhirpath/N1/#types and https://hl7.org/fhir/R4/fhirpath.html#types
"""

from functools import lru_cache
from typing import Any

from fhir_b12.definitions import Release

#: The types of FHIRPath itself.
SYSTEM_TYPES = frozenset(
    {"Boolean", "String", "Integer", "Decimal", "Date", "DateTime", "Time", "Quantity"}
)
_TEMPORAL_TYPES = {"date": "Date", "dateTime": "DateTime", "instant": "DateTime", "time": "Time"}
_INTEGER_TYPES = {"integer": "Integer", "unsignedInt": "Integer", "positiveInt": "Integer"}
#: Types of FHIRPath that FHIR's primitives are converted to; all others are converted to String.
_SYSTEM_TYPE_OF = _TEMPORAL_TYPES | _INTEGER_TYPES | {"boolean": "Boolean", "decimal": "Decimal"}
_INLINE_TYPES = frozenset({"BackboneElement", "Element"})


class ChildSlot:
    """One JSON name of a child element, and the child's type."""

    __slots__ = ("companion", "holds_any_resource", "name", "type_info")

    def __init__(self, name: str, type_info: "TypeInfo") -> None:
        self.name = name
        self.type_info = type_info
        has_companion = type_info.is_primitive and type_info.name != "xhtml"
        self.companion = f"_{name}" if has_companion else None
        #: a resource states its own type
        self.holds_any_resource = type_info.name == "Resource"


class NamedChild:
    """The slots of one name in FHIRPath: one, or for a choice one for each of its types."""

    __slots__ = ("names", "slots")

    def __init__(self, slots: tuple[ChildSlot, ...]) -> None:
        self.slots = slots
        #: every JSON name of a choice, to skip absent choices quickly
        self.names: frozenset[str] | None = None
        if len(slots) > 1:
            names = [slot.name for slot in slots] + [slot.companion or "" for slot in slots]
            self.names = frozenset(names)


class TypeInfo:
    """A type, or a backbone element within one; one object each, so that `is` compares them."""

    __slots__ = (
        "ancestors",
        "is_primitive",
        "is_resource",
        "name",
        "named_children",
        "path",
        "registry",
        "system",
    )

    def __init__(self, registry: "TypeRegistry", path: str, name: str) -> None:
        self.registry = registry
        self.path = path  #: as `Release.element` knows it: Observation.component
        self.name = name  #: name of the type: BackboneElement
        self.ancestors = registry.ancestors(name)  #: itself and its base types
        self.is_primitive = registry.release.is_primitive(name)
        self.is_resource = "Resource" in self.ancestors
        #: FHIRPath type of its value, None for an element without a value
        self.system: str | None = None
        if self.is_primitive:
            self.system = _SYSTEM_TYPE_OF.get(name, "String")
        elif "Quantity" in self.ancestors:
            self.system = "Quantity"
        self.named_children: dict[str, NamedChild] | None = None  #: see `load_children`

    def load_children(self) -> dict[str, NamedChild]:
        """Return the children by FHIRPath and JSON name, `value` and `valueQuantity` alike."""
        if self.named_children is None:
            slots = self.registry.slots_by_name(self.path)
            self.named_children = {name: NamedChild(slots[name]) for name in slots}
        return self.named_children

    def is_a(self, name: str) -> bool:
        """Return True if this is the type of that name or derived from it.

        The name may have the namespace FHIR. FHIR's boolean is not Boolean, FHIRPath's own type.
        """
        return name.removeprefix("FHIR.") in self.ancestors

    def __repr__(self) -> str:
        return f"TypeInfo({self.path!r})"


class TypeRegistry:
    """The types of one release of FHIR."""

    def __init__(self, release: Release) -> None:
        self.release = release
        self.type_at = lru_cache(maxsize=8192)(self._find_type)
        self._type_info = lru_cache(maxsize=8192)(self._build_type_info)

    def of_resource(self, resource: Any) -> TypeInfo | None:
        """Return the type that a resource states; None if it states no resource type."""
        name = resource.get("resourceType") if isinstance(resource, dict) else None
        type_info = self.type_at(name) if isinstance(name, str) and "." not in name else None
        return type_info if type_info is not None and type_info.is_resource else None

    def ancestors(self, name: str) -> frozenset[str]:
        """Return a type's name and those of its base types."""
        names = [name]
        while base := self.release.base(names[-1]):
            names.append(base)
        if self.release.is_primitive(name) and "Element" not in names:
            names.append("Element")
        return frozenset(names)

    def slots_by_name(self, path: str) -> dict[str, tuple[ChildSlot, ...]]:
        """Return the slots of each child of an element, by FHIRPath and by JSON name."""
        if self.release.is_primitive(path):
            path = "Element"
        slots: dict[str, tuple[ChildSlot, ...]] = {}
        for name in self.release.children(path):
            type_info = self.type_at(f"{path}.{name}")
            element = self.release.element(f"{path}.{name}")
            if type_info is None or element is None:
                continue
            slot = ChildSlot(name, type_info)
            slots[name] = (slot,)
            stem = element.defined.rpartition(".")[2]
            if stem.endswith("[x]"):
                slots[stem[:-3]] = (*slots.get(stem[:-3], ()), slot)
        return slots

    def _find_type(self, path: str) -> TypeInfo | None:
        """Return the type at a path, `Observation.component` or `Quantity`; None if unknown."""
        element = self.release.element(path)
        if element is None or len(element.types) > 1:
            return None
        if element.content:
            return self.type_at(element.content)
        name = element.types[0]
        inline = name in _INLINE_TYPES and "." in path and path.rpartition(".")[2][0] != "_"
        return self._type_info(path, name) if inline else self._type_info(name, name)

    def _build_type_info(self, path: str, name: str) -> TypeInfo:
        return TypeInfo(self, path, name)


@lru_cache(maxsize=8)
def types_of(release: Release) -> TypeRegistry:
    """Return the types of a release, one registry for each."""
    return TypeRegistry(release)
