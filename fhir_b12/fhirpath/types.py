"""The types of FHIR and of FHIRPath, and what stands below each.

http://hl7.org/fhirpath/N1/#types and https://hl7.org/fhir/R4/fhirpath.html#types
"""

from functools import lru_cache

from fhir_b12.definitions import R4

#: The types of FHIRPath itself.
SYSTEM = frozenset(
    {"Boolean", "String", "Integer", "Decimal", "Date", "DateTime", "Time", "Quantity"}
)
_CALENDAR = {"date": "Date", "dateTime": "DateTime", "instant": "DateTime", "time": "Time"}
_NUMBERS = {"integer": "Integer", "unsignedInt": "Integer", "positiveInt": "Integer"}
#: FHIR's primitives as FHIRPath reads them; every other one is a String.
_AS_SYSTEM = _CALENDAR | _NUMBERS | {"boolean": "Boolean", "decimal": "Decimal"}
_INLINE = frozenset({"BackboneElement", "Element"})


class Slot:
    """One JSON name under which a child may stand, and what it then is."""

    __slots__ = ("companion", "kind", "name", "switches")

    def __init__(self, name: str, kind: "Kind") -> None:
        self.name = name
        self.kind = kind
        self.companion = f"_{name}" if kind.primitive and kind.name != "xhtml" else None
        #: a resource says itself which it is
        self.switches = kind.name == "Resource"


class Way:
    """What a name leads to: one slot, or for a choice one for each of its types."""

    __slots__ = ("names", "slots")

    def __init__(self, slots: tuple[Slot, ...]) -> None:
        self.slots = slots
        #: every JSON name of a choice, to see at once that none is there
        self.names: frozenset[str] | None = None
        if len(slots) > 1:
            names = [each.name for each in slots] + [each.companion or "" for each in slots]
            self.names = frozenset(names)


class Kind:
    """A type, or a backbone element within one. One object for each, so `is` compares them."""

    __slots__ = ("lineage", "name", "path", "primitive", "resource", "system", "ways")

    def __init__(self, path: str, name: str) -> None:
        self.path = path  #: as `R4.element` knows it: Observation.component
        self.name = name  #: the type's own: BackboneElement
        self.lineage = _lineage(name)  #: itself and what it derives from
        self.primitive = R4.is_primitive(name)
        self.resource = "Resource" in self.lineage
        #: the type of FHIRPath its value is read as, None for an element that has no value
        self.system: str | None = None
        if self.primitive:
            self.system = _AS_SYSTEM.get(name, "String")
        elif "Quantity" in self.lineage:
            self.system = "Quantity"
        self.ways: dict[str, Way] | None = None  #: see `open`

    def open(self) -> dict[str, Way]:
        """What a name leads to, `value` and `valueQuantity` alike; read when first asked for."""
        if self.ways is None:
            self.ways = {name: Way(slots) for name, slots in _below(self.path).items()}
        return self.ways

    def is_a(self, name: str) -> bool:
        """Whether the type is, or derives from, the one of that name.

        Names may have the namespace FHIR. FHIR's boolean is no Boolean: that is FHIRPath's.
        """
        return name.removeprefix("FHIR.") in self.lineage

    def __repr__(self) -> str:
        return f"Kind({self.path!r})"


@lru_cache(maxsize=8192)
def kind_at(path: str) -> Kind | None:
    """What stands at a path, `Observation.component` or `Quantity`; None where R4 has no such."""
    found = R4.element(path)
    if found is None or len(found.types) > 1:
        return None
    if found.content:
        return kind_at(found.content)
    name = found.types[0]
    inline = name in _INLINE and "." in path and path.rpartition(".")[2][0] != "_"
    return _kind(path, name) if inline else _kind(name, name)


@lru_cache(maxsize=8192)
def _kind(path: str, name: str) -> Kind:
    return Kind(path, name)


def _lineage(name: str) -> frozenset[str]:
    names = [name]
    while above := R4.base(names[-1]):
        names.append(above)
    if R4.is_primitive(name) and "Element" not in names:
        names.append("Element")
    return frozenset(names)


def _below(path: str) -> dict[str, tuple[Slot, ...]]:
    if R4.is_primitive(path):
        path = "Element"
    found: dict[str, tuple[Slot, ...]] = {}
    for name in R4.children(path):
        kind = kind_at(f"{path}.{name}")
        facts = R4.element(f"{path}.{name}")
        if kind is None or facts is None:
            continue
        slot = Slot(name, kind)
        found[name] = (slot,)
        stem = facts.defined.rpartition(".")[2]
        if stem.endswith("[x]"):
            found[stem[:-3]] = (*found.get(stem[:-3], ()), slot)
    return found
