"""Linked resources: the target of a reference as part of the record, e.g. the bag of an infusion.

A linked resource is written to `contained` and read from `contained` or another Bundle entry.
https://hl7.org/fhir/R4/references.html#contained
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from fhir_b12.datatypes import Reference
from fhir_b12.issues import Issue
from fhir_b12.jsonscan import expression
from fhir_b12.mapping.codecs import same
from fhir_b12.mapping.ledger import Row
from fhir_b12.mapping.merge import put
from fhir_b12.mapping.table import Link
from fhir_b12.records import Record
from fhir_b12.references import walk_references

Resource = dict[str, Any]
Resolve = Callable[[Reference], Resource | None]

_DEFAULT_ID = "medication"  #: id of a contained resource whose record has none


def target(
    resource: Resource, reference: Reference, resolve: Resolve | None
) -> tuple[str, Resource | None]:
    """Return location and resource of a reference's target; the resource is None if unknown.

    The location is `contained[0]` or the address of another resource.
    """
    address = reference.reference or ""
    if not address.startswith("#"):
        return address, resolve(reference) if resolve is not None else None
    contained = resource.get("contained")
    for index, item in enumerate(contained if isinstance(contained, list) else ()):
        if isinstance(item, dict) and item.get("id") == address[1:]:
            return f"contained[{index}]", item
    return address, None


def is_contained(location: str) -> bool:
    """Return True if a location is in the resource itself."""
    return location.startswith("contained[")


def replace_reference(record: Record, link: Link, location: str, target_record: Record) -> Record:
    """Return the record with a reference replaced by the record of its target."""
    changes: dict[str, Any] = {link.field: target_record, link.instead_of: None}
    if is_contained(location):
        index = _index(location)
        changes["contained"] = record.contained[:index] + record.contained[index + 1 :]
        if target_record.id == _DEFAULT_ID:
            changes[link.field] = msgspec.structs.replace(target_record, id=None)
    return msgspec.structs.replace(record, **changes)


def remove_contained(resource: Resource, location: str) -> None:
    """Remove a linked resource from `contained`."""
    if is_contained(location):
        contained = resource["contained"]
        others = [item for index, item in enumerate(contained) if index != _index(location)]
        put(resource, ("contained",), others or None)


def is_changed(link: Link, old: Record, new: Record) -> bool:
    """Return True if a linked resource, or a resource beside it in `contained`, changes."""
    fields = (link.field, "contained")
    return not all(same(getattr(old, field), getattr(new, field)) for field in fields)


def unlink(
    resource: Resource, link: Link, record: Record, location: str, old: Resource
) -> tuple[Issue, ...]:
    """Remove the reference to a linked resource that the record no longer has.

    Args:
        resource: the resource, which is changed.
        link: the field of the linked resource.
        record: the changed record.
        location: the location of the linked resource, `contained[0]` or its address.
        old: the linked resource.

    Returns:
        An issue for each other reference to it that remains.

    """
    if getattr(record, link.instead_of) is None:
        put(resource, (link.element,), None)
    return tuple(_dangling_references(resource, location, old))


def _dangling_references(resource: Resource, location: str, old: Resource) -> Iterator[Issue]:
    """Yield an issue for each other reference to a contained resource that is to be removed."""
    if is_contained(location):
        name = f"#{old.get('id')}"
        for path, node in walk_references(resource):
            if node["reference"] == name:
                what = "reference to a contained resource that is to be removed: change it too"
                where = expression(resource["resourceType"], (*path, "reference"))
                yield Issue("error", "conflict", where, what)


def add_contained(
    resource: Resource, link: Link, target_record: Record, written: Resource, location: str = ""
) -> None:
    """Add a linked resource to `contained`, at its old location or at the end."""
    reference = resource.get(link.element) or {}
    put(resource, (link.element,), {**reference, "reference": f"#{_contained_id(target_record)}"})
    contained = list(resource.get("contained", ()))
    index = _index(location) if is_contained(location) else len(contained)
    contained.insert(index, {**written, "id": _contained_id(target_record)})
    put(resource, ("contained",), contained)


def _contained_id(record: Record) -> str:
    return _DEFAULT_ID if record.id is None else record.id


def _index(location: str) -> int:
    return int(location[len("contained[") : -1])


def check_linked(record: Record, link: Link, resource_type: str) -> Iterator[Issue]:
    """Yield an issue for everything that prevents a linked resource from being read back."""
    target_record, reference = getattr(record, link.field), getattr(record, link.instead_of)
    where = f"{resource_type}.{link.element}"
    if target_record is None:
        address = (reference.reference or "") if reference is not None else ""
        contained_ids = [item.get("id") for item in record.contained if isinstance(item, dict)]
        if address.startswith("#") and address[1:] in contained_ids:
            what = f"{link.instead_of} refers to a contained resource: set {link.field} instead"
            yield Issue("error", "business-rule", where, what)
        return
    if reference is not None:
        what = f"{link.field} and {link.instead_of} exclude each other: remove one"
        yield Issue("error", "business-rule", where, what)
    taken = [item.get("id") for item in record.contained if isinstance(item, dict)]
    if _contained_id(target_record) in taken:
        what = f"the id of {link.field} is that of another contained resource: change it"
        yield Issue("error", "duplicate", where, what)
    if target_record.id == _DEFAULT_ID:
        what = f"{_DEFAULT_ID!r} is reserved for a {link.field} without id: remove the id"
        yield Issue("error", "business-rule", where, what)
    if target_record.contained:
        what = (
            f"{link.field} has contained resources, which FHIR forbids: contain them in the record"
        )
        yield Issue("error", "structure", where, what)


def linked_rows(field: str, rows: list[Row]) -> list[Row]:
    """Return the ledger rows of a linked resource as rows of the record that it is part of."""
    return [
        (path, ledger_class, f"{field}.{says}" if ledger_class == "mapped" else says)
        for path, ledger_class, says in rows
    ]


def reference_rows(link: Link, rows: list[Row], prefix: str) -> list[Row]:
    """Return the ledger rows of a resource whose reference has its target in the record."""
    start = f"{prefix}{link.element}."
    return [_reference_row(link, row) if row[0].startswith(start) else row for row in rows]


def _reference_row(link: Link, row: Row) -> Row:
    path, ledger_class, _ = row
    if path.endswith(f"{link.element}.reference"):
        return path, "derived", f"reference to the resource in {link.field}"
    if ledger_class == "mapped":
        return path, "residue", f"detail of the reference; {link.field} has its target"
    return row


def with_location(issue: Issue, location: str) -> Issue:
    """Return an issue of a linked resource with its location."""
    inner = issue.expression.partition(".")[2]
    return msgspec.structs.replace(issue, expression=f"{location}.{inner}".rstrip("."))
