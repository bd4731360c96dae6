"""The types of FHIR and of FHIRPath, and what stands below each.

http://hl7.org/fhirpath/N1/#types and https://hl7.org/fhir/R4/fhirpath.html#types
"""

from functools import lru_cache

from fhir_b12.definitions import R4

#: The types of FHIRPath itself.
SYSTEM_TYPES = frozenset(
    {"Boolean", "String", "Integer", "Decimal", "Date", "DateTime", "Time", "Quantity"}
)
_TEMPORAL_TYPES = {"date": "Date", "dateTime": "DateTime", "instant": "DateTime", "time": "Time"}
_INTEGER_TYPES = {"integer": "Integer", "unsignedInt": "Integer", "positiveInt": "Integer"}
#: FHIR's primitives as FHIRPath reads them; every other one is a String.
_SYSTEM_TYPE_OF = _TEMPORAL_TYPES | _INTEGER_TYPES | {"boolean": "Boolean", "decimal": "Decimal"}
_INLINE_TYPES = frozenset({"BackboneElement", "Element"})


class ChildSlot:
    """One JSON name under which a child may stand, and what it then is."""

    __slots__ = ("companion", "holds_any_resource", "name", "type_info")

    def __init__(self, name: str, type_info: "TypeInfo") -> None:
        self.name = name
        self.type_info = type_info
        self.companion = (
            f"_{name}" if type_info.is_primitive and type_info.name != "xhtml" else None
        )
        #: a resource says itself which it is
        self.holds_any_resource = type_info.name == "Resource"


class NamedChild:
    """What a name leads to: one slot, or for a choice one for each of its types."""

    __slots__ = ("names", "slots")

    def __init__(self, slots: tuple[ChildSlot, ...]) -> None:
        self.slots = slots
        #: every JSON name of a choice, to see at once that none is there
        self.names: frozenset[str] | None = None
        if len(slots) > 1:
            names = [each.name for each in slots] + [each.companion or "" for each in slots]
            self.names = frozenset(names)


class TypeInfo:
    """A type, or a backbone element within one. One object for each, so `is` compares them."""

    __slots__ = (
        "ancestors",
        "is_primitive",
        "is_resource",
        "name",
        "named_children",
        "path",
        "system",
    )

    def __init__(self, path: str, name: str) -> None:
        self.path = path  #: as `R4.element` knows it: Observation.component
        self.name = name  #: the type's own: BackboneElement
        self.ancestors = _collect_ancestors(name)  #: itself and what it derives from
        self.is_primitive = R4.is_primitive(name)
        self.is_resource = "Resource" in self.ancestors
        #: the type of FHIRPath its value is read as, None for an element that has no value
        self.system: str | None = None
        if self.is_primitive:
            self.system = _SYSTEM_TYPE_OF.get(name, "String")
        elif "Quantity" in self.ancestors:
            self.system = "Quantity"
        self.named_children: dict[str, NamedChild] | None = None  #: see `open`

    def open(self) -> dict[str, NamedChild]:
        """What a name leads to, `value` and `valueQuantity` alike; read when first asked for."""
        if self.named_children is None:
            self.named_children = {
                name: NamedChild(slots) for name, slots in _find_named_children(self.path).items()
            }
        return self.named_children

    def is_a(self, name: str) -> bool:
        """Whether the type is, or derives from, the one of that name.

        Names may have the namespace FHIR. FHIR's boolean is no Boolean: that is FHIRPath's.
        """
        return name.removeprefix("FHIR.") in self.ancestors

    def __repr__(self) -> str:
        return f"Kind({self.path!r})"


@lru_cache(maxsize=8192)
def type_at(path: str) -> TypeInfo | None:
    """What stands at a path, `Observation.component` or `Quantity`; None where R4 has no such."""
    found = R4.element(path)
    if found is None or len(found.types) > 1:
        return None
    if found.content:
        return type_at(found.content)
    name = found.types[0]
    inline = name in _INLINE_TYPES and "." in path and path.rpartition(".")[2][0] != "_"
    return _type_info_of(path, name) if inline else _type_info_of(name, name)


@lru_cache(maxsize=8192)
def _type_info_of(path: str, name: str) -> TypeInfo:
    return TypeInfo(path, name)


def _collect_ancestors(name: str) -> frozenset[str]:
    names = [name]
    while above := R4.base(names[-1]):
        names.append(above)
    if R4.is_primitive(name) and "Element" not in names:
        names.append("Element")
    return frozenset(names)


def _find_named_children(path: str) -> dict[str, tuple[ChildSlot, ...]]:
    if R4.is_primitive(path):
        path = "Element"
    found: dict[str, tuple[ChildSlot, ...]] = {}
    for name in R4.children(path):
        type_info = type_at(f"{path}.{name}")
        facts = R4.element(f"{path}.{name}")
        if type_info is None or facts is None:
            continue
        slot = ChildSlot(name, type_info)
        found[name] = (slot,)
        stem = facts.defined.rpartition(".")[2]
        if stem.endswith("[x]"):
            found[stem[:-3]] = (*found.get(stem[:-3], ()), slot)
    return found
