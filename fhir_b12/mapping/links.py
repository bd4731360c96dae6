"""Linked resources: the target of a reference as part of the record, e.g. the bag of an infusion.

It is written as a contained resource; it is read from there or from elsewhere in the Bundle.
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
    """Return location and resource of a reference's target: `contained[0]`, or its address."""
    address = reference.reference or ""
    if not address.startswith("#"):
        return address, resolve(reference) if resolve is not None else None
    contained = resource.get("contained")
    for index, item in enumerate(contained if isinstance(contained, list) else ()):
        if isinstance(item, dict) and item.get("id") == address[1:]:
            return f"contained[{index}]", item
    return address, None


def is_contained(place: str) -> bool:
    """Return whether a location is in the resource itself."""
    return place.startswith("contained[")


def hold(record: Record, link: Link, place: str, found: Record) -> Record:
    """Return the record with the target of a reference in place of the reference."""
    changes: dict[str, Any] = {link.field: found, link.instead_of: None}
    if is_contained(place):
        index = _index(place)
        changes["contained"] = record.contained[:index] + record.contained[index + 1 :]
        if found.id == _INLINE:
            changes[link.field] = msgspec.structs.replace(found, id=None)
    return msgspec.structs.replace(record, **changes)


def lift(resource: Resource, place: str) -> None:
    """Remove a linked resource from `contained`."""
    if is_contained(place):
        contained = resource["contained"]
        kept = [item for index, item in enumerate(contained) if index != _index(place)]
        put(resource, ("contained",), kept or None)


def dangling(resource: Resource, old: Resource, place: str) -> Iterator[Issue]:
    """Yield an issue for each other reference to a contained resource that is to be removed."""
    if is_contained(place):
        name = f"#{old.get('id')}"
        for path, node in walk_references(resource):
            if node["reference"] == name:
                what = "reference to a contained resource that is to be removed: change it too"
                where = expression(resource["resourceType"], (*path, "reference"))
                yield Issue("error", "conflict", where, what)


def contain(
    resource: Resource, link: Link, held: Record, written: Resource, place: str = ""
) -> None:
    """Put a linked resource into `contained`, at its old place or behind the others."""
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
    """Yield an issue for everything that keeps a linked resource from being read back."""
    held, reference = getattr(record, link.field), getattr(record, link.instead_of)
    where = f"{kind}.{link.element}"
    if held is None:
        address = (reference.reference or "") if reference is not None else ""
        inside = [item.get("id") for item in record.contained if isinstance(item, dict)]
        if address.startswith("#") and address[1:] in inside:
            what = f"{link.instead_of} refers to a contained resource: set {link.field} instead"
            yield Issue("error", "business-rule", where, what)
        return
    if reference is not None:
        what = f"{link.field} and {link.instead_of} exclude each other: remove one"
        yield Issue("error", "business-rule", where, what)
    taken = [item.get("id") for item in record.contained if isinstance(item, dict)]
    if _id(held) in taken:
        what = f"the id of {link.field} is that of another contained resource: change it"
        yield Issue("error", "duplicate", where, what)
    if held.id == _INLINE:
        what = f"{_INLINE!r} is reserved for a {link.field} without id: remove the id"
        yield Issue("error", "business-rule", where, what)
    if held.contained:
        what = (
            f"{link.field} has contained resources, which FHIR forbids: contain them in the record"
        )
        yield Issue("error", "structure", where, what)


def held_row(field: str, row: Row) -> Row:
    """Return a ledger row of a linked resource as a row of its record."""
    path, kind, says = row
    return (path, kind, f"{field}.{says}") if kind == "mapped" else row


def link_row(link: Link, row: Row) -> Row:
    """Return the ledger row of a reference whose target is part of the record."""
    path, kind, _ = row
    if path.endswith(f"{link.element}.reference"):
        return path, "derived", f"leads to what {link.field} holds"
    if kind == "mapped":
        return path, "residue", f"said of the reference; {link.field} holds what it leads to"
    return row


def inside(issue: Issue, place: str) -> Issue:
    """Return an issue of a linked resource with its location."""
    expression = issue.expression.partition(".")[2]
    return msgspec.structs.replace(issue, expression=f"{place}.{expression}".rstrip("."))
