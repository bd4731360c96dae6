"""Where every leaf of a resource went."""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from fhir_b12.mapping.codecs import builtins

if TYPE_CHECKING:
    from fhir_b12.mapping.lens import Reading

Class = Literal["mapped", "constant", "derived", "residue"]
APART = frozenset({"id", "meta", "text"})  #: counted apart: server's identity, metadata, narrative


class Entry(msgspec.Struct, frozen=True):
    """One leaf: its FHIRPath below the resource, its class, and the field or the reason."""

    path: str
    kind: Class
    says: str  #: `value` for a mapped leaf, else why


class Ledger(msgspec.Struct, frozen=True):
    """Every leaf of one resource, each once, in document order."""

    entries: tuple[Entry, ...]

    def counts(self) -> Counter[str]:
        """How many leaves of each class."""
        return Counter(entry.kind for entry in self.entries)

    @property
    def residue(self) -> tuple[Entry, ...]:
        """The leaves that are in no record."""
        return tuple(entry for entry in self.entries if entry.kind == "residue")

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


def account(reading: "Reading") -> Ledger:
    """The ledger of one reading: the resource less what its twin writes again."""
    lens, resource = reading.lens, reading.resource
    if lens is None or reading.twin is None:
        why = reading.issues[0].message if reading.issues else "not read"
        return Ledger(tuple(Entry(path, "residue", why) for path, _ in leaves(resource)))
    fields = {way.element: row.field for row in lens.table.rows for way in row.ways}
    return Ledger(tuple(_top(reading, resource, builtins(reading.twin), fields)))


def _top(
    reading: "Reading", resource: dict[str, Any], known: dict[str, Any], fields: dict[str, str]
) -> Iterator[Entry]:
    contained = {place: (field, found) for field, place, found in reading.linked}
    for name, node in resource.items():
        if name == "resourceType":
            yield Entry(name, "constant", "the table's resource type")
        elif name == "contained" and isinstance(node, list):
            yield from _contained(node, contained, known.get(name))
        elif name in known:
            yield from _pair(node, known[name], name, name, fields)
        else:
            yield from (Entry(path, "residue", _why(name)) for path, _ in leaves(node, name))


def _contained(node: list[Any], linked: dict[str, Any], known: Any) -> Iterator[Entry]:
    for index, item in enumerate(node):
        place = f"contained[{index}]"
        if place in linked:
            field, found = linked[place]
            for entry in found.ledger.entries:
                says = f"{field}.{entry.says}" if entry.kind == "mapped" else entry.says
                yield Entry(f"{place}.{entry.path}", entry.kind, says)
        else:
            kind: Class = "mapped" if isinstance(known, list) else "residue"
            yield from (Entry(path, kind, "contained") for path, _ in leaves(item, place))


def _pair(
    node: Any, known: Any, path: str, element: str, fields: dict[str, str]
) -> Iterator[Entry]:
    if isinstance(node, dict) and isinstance(known, dict):
        for name, child in node.items():
            below = f"{path}.{name}"
            if name in known:
                yield from _pair(child, known[name], below, f"{element}.{name}", fields)
            else:
                yield from (Entry(p, "residue", _why(name)) for p, _ in leaves(child, below))
        if not node:
            yield Entry(path, "residue", "an empty object says nothing")
    elif isinstance(node, list) and isinstance(known, list) and len(node) == len(known) and node:
        for index, (child, other) in enumerate(zip(node, known, strict=True)):
            yield from _pair(child, other, f"{path}[{index}]", element, fields)
    elif isinstance(node, (dict, list)):
        yield from (Entry(p, "residue", "not of the element's type") for p, _ in leaves(node, path))
    else:
        yield Entry(path, "mapped", _field(element, fields))


def _field(element: str, fields: dict[str, str]) -> str:
    parts = element.split(".")
    for length in range(len(parts), 0, -1):
        field = fields.get(".".join(parts[:length]))
        if field is not None:
            return ".".join([field, *parts[length:]])
    return element


def _why(name: str) -> str:
    if name == "meta":
        return "metadata of the server it came from"
    if name == "text":
        return "narrative"
    if name.startswith("_"):
        return "an extension of a primitive value"
    return "no row of the table names it"


def leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf with its path; an empty object or list is a leaf too."""
    if isinstance(node, dict) and node:
        for name, child in node.items():
            yield from leaves(child, f"{path}.{name}" if path else name)
    elif isinstance(node, list) and node:
        for index, child in enumerate(node):
            yield from leaves(child, f"{path}[{index}]")
    else:
        yield path, node
