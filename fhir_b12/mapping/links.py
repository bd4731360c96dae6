"""What a reference leads to, held inside the record: the bag that an infusion was mixed in.

Written, it is contained in the resource; read, it may be contained or stand elsewhere in a Bundle.
https://hl7.org/fhir/R4/references.html#contained
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from fhir_b12.datatypes import Reference
from fhir_b12.issues import Issue
from fhir_b12.jsonscan import expression
from fhir_b12.mapping.ledger import Row
from fhir_b12.mapping.merge import put
from fhir_b12.mapping.table import Link
from fhir_b12.records import Record
from fhir_b12.references import walk_references

Resource = dict[str, Any]
Resolve = Callable[[Reference], Resource | None]

_INLINE = "medication"  #: id of a contained resource whose record has none


def target(
    resource: Resource, reference: Reference, resolve: Resolve | None
) -> tuple[str, Resource | None]:
    """Where a reference leads, as `contained[0]` or as its address, and what is there."""
    address = reference.reference or ""
    if not address.startswith("#"):
        return address, resolve(reference) if resolve is not None else None
    contained = resource.get("contained")
    for index, item in enumerate(contained if isinstance(contained, list) else ()):
        if isinstance(item, dict) and item.get("id") == address[1:]:
            return f"contained[{index}]", item
    return address, None


def is_contained(place: str) -> bool:
    """True where a target stands in the resource itself."""
    return place.startswith("contained[")


def hold(record: Record, link: Link, place: str, found: Record) -> Record:
    """The record with what the reference leads to in place of the reference."""
    changes: dict[str, Any] = {link.field: found, link.instead_of: None}
    if is_contained(place):
        index = _index(place)
        changes["contained"] = record.contained[:index] + record.contained[index + 1 :]
        if found.id == _INLINE:
            changes[link.field] = msgspec.structs.replace(found, id=None)
    return msgspec.structs.replace(record, **changes)


def lift(resource: Resource, place: str) -> None:
    """Take a held resource out, so that only what the record does not hold is in `contained`."""
    if is_contained(place):
        contained = resource["contained"]
        kept = [item for index, item in enumerate(contained) if index != _index(place)]
        put(resource, ("contained",), kept or None)


def dangling(resource: Resource, old: Resource, place: str) -> Iterator[Issue]:
    """Why what a record holds no more cannot go: something else in the resource refers to it."""
    if is_contained(place):
        name = f"#{old.get('id')}"
        for path, node in walk_references(resource):
            if node["reference"] == name:
                what = "this refers to the contained resource that is to go: change it too"
                where = expression(resource["resourceType"], (*path, "reference"))
                yield Issue("error", "conflict", where, what)


def contain(
    resource: Resource, link: Link, held: Record, written: Resource, place: str = ""
) -> None:
    """Put a held resource into the one that refers to it, where it was or behind the others."""
    reference = resource.get(link.element) or {}
    put(resource, (link.element,), {**reference, "reference": f"#{_id(held)}"})
    contained = list(resource.get("contained", ()))
    index = _index(place) if is_contained(place) else len(contained)
    contained.insert(index, {**written, "id": _id(held)})
    put(resource, ("contained",), contained)


def _id(held: Record) -> str:
    return _INLINE if held.id is None else held.id


def _index(place: str) -> int:
    return int(place[len("contained[") : -1])


def ambiguous(record: Record, link: Link, kind: str) -> Iterator[Issue]:
    """What keeps a held resource from being read back."""
    held, reference = getattr(record, link.field), getattr(record, link.instead_of)
    where = f"{kind}.{link.element}"
    if held is None:
        address = (reference.reference or "") if reference is not None else ""
        inside = [item.get("id") for item in record.contained if isinstance(item, dict)]
        if address.startswith("#") and address[1:] in inside:
            what = f"{link.instead_of} leads to a contained resource: give that as {link.field}"
            yield Issue("error", "business-rule", where, what)
        return
    if reference is not None:
        what = f"{link.field} and {link.instead_of} are two ways to say one thing: keep one"
        yield Issue("error", "business-rule", where, what)
    taken = [item.get("id") for item in record.contained if isinstance(item, dict)]
    if _id(held) in taken:
        what = f"the id of {link.field} is another contained resource's: give it its own"
        yield Issue("error", "duplicate", where, what)
    if held.id == _INLINE:
        what = f"{_INLINE!r} is the id of a {link.field} without one: leave it out"
        yield Issue("error", "business-rule", where, what)
    if held.contained:
        what = f"{link.field} contains resources, and what is contained may not: put them beside it"
        yield Issue("error", "structure", where, what)


def held_row(field: str, row: Row) -> Row:
    """A row of a contained resource's ledger, as one of the record that holds it."""
    path, kind, says = row
    return (path, kind, f"{field}.{says}") if kind == "mapped" else row


def link_row(link: Link, row: Row) -> Row:
    """A row of a reference whose target is held: the reference leads there, its words are left."""
    path, kind, _ = row
    if path.endswith(f"{link.element}.reference"):
        return path, "derived", f"leads to what {link.field} holds"
    if kind == "mapped":
        return path, "residue", f"said of the reference; {link.field} holds what it leads to"
    return row


def inside(issue: Issue, place: str) -> Issue:
    """An issue of a held resource, at its place."""
    expression = issue.expression.partition(".")[2]
    return msgspec.structs.replace(issue, expression=f"{place}.{expression}".rstrip("."))
