"""Therapy records as Bundles, as plain resources, or as lists by resource type."""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import quote
from uuid import UUID, uuid5

import msgspec

from fhir_b12 import references
from fhir_b12.datatypes import Reference
from fhir_b12.issues import Issue
from fhir_b12.mapping.codecs import dump
from fhir_b12.mapping.lens import MappingError, to_fhir
from fhir_b12.records import Record, TherapyRecord, names
from fhir_b12.references import Key

BundleType = Literal["transaction", "collection"]
#: Namespace of the UUIDs derived from business identifiers: uuid5 of the URL https://fhir-b12.org
NAMESPACE = UUID("2e985305-3e92-5fb6-a0ed-aabf6c04c706")


def resources(record: TherapyRecord) -> list[dict[str, Any]]:
    """Return the records as plain resources that refer to each other by business identifier.

    Raises:
        MappingError: a record cannot be written so that it reads back unchanged; each issue has
            the path of its record.

    """
    return [resource for _, resource in _write_records(record, lambda reference: reference)]


def _write_records(
    record: TherapyRecord, link: Callable[[Reference], Reference]
) -> list[tuple[Record, dict[str, Any]]]:
    """Return each record with its resource.

    Raises:
        MappingError: with the issues of all records that cannot be written.

    """
    written, issues = [], []
    for path, part in record.located():
        try:
            written.append((part, to_fhir(references.replace(part, link))))
        except MappingError as error:
            issues += [_with_record_path(path, issue) for issue in error.issues]
    if issues:
        raise MappingError(tuple(issues))
    return written


def _with_record_path(path: str, issue: Issue) -> Issue:
    what = f"{issue.expression}: {issue.message}"
    return msgspec.structs.replace(issue, expression=f"$.{path}", message=what)


def by_type(record: TherapyRecord) -> dict[str, list[dict[str, Any]]]:
    """Return the resources of a therapy record by resource type, as for NDJSON of bulk data.

    https://hl7.org/fhir/uv/bulkdata/STU2/export.html

    Args:
        record: record of one patient.

    Returns:
        Resource type -> resources; they refer to each other by business identifier.

    Raises:
        MappingError: a record cannot be written so that it reads back unchanged; each issue has
            the path of its record.

    """
    resources_by_type: dict[str, list[dict[str, Any]]] = {}
    for resource in resources(record):
        resources_by_type.setdefault(resource["resourceType"], []).append(resource)
    return resources_by_type


def to_bundle(record: TherapyRecord, bundle_type: BundleType = "transaction") -> dict[str, Any]:
    """Return a therapy record as a Bundle.  https://hl7.org/fhir/R4/bundle.html

    Sending a transaction again does not create duplicates of records with a business identifier
    that is unique for their type. Other records are created again, and so is a Reaction, because
    R4 cannot search for an AdverseEvent by its identifier.

    Args:
        record: record of one patient.
        bundle_type: `transaction` with conditional creates, or `collection`.

    Returns:
        The Bundle; entries have stable `urn:uuid` addresses and refer to each other by them.

    Raises:
        MappingError: a record cannot be written so that it reads back unchanged; each issue has
            the path of its record.

    """
    shared = _shared(record)
    entries: dict[str, dict[str, Any]] = {}
    for part, resource in _write_records(record, by_address(_addresses(record))):
        new_entry = entry(
            part, resource, bundle_type, unique=(type(part), name_of(part)) not in shared
        )
        url = new_entry["fullUrl"]
        while new_entry["fullUrl"] in entries:  # equal records without a unique identifier
            url = new_entry["fullUrl"] = f"urn:uuid:{uuid5(NAMESPACE, url)}"
        entries[new_entry["fullUrl"]] = new_entry
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": bundle_type}
    return bundle | ({"entry": list(entries.values())} if entries else {})


def by_address(addresses: dict[Key, str]) -> Callable[[Reference], Reference]:
    """Return a function that replaces the business identifier of a reference by an address.

    Args:
        addresses: business identifier -> address; references to other resources stay.

    """

    def replace_identifier(reference: Reference) -> Reference:
        """Return the reference with an address if its identifier has one."""
        name = references.identifier_key(reference)
        known = addresses.get(name) if name is not None else None
        return reference if known is None else references.with_address(reference, known)

    return replace_identifier


def entry(
    record: Record, resource: dict[str, Any], bundle_type: object, *, unique: bool = True
) -> dict[str, Any]:
    """Return the Bundle entry of a new record.

    Args:
        record: the record.
        resource: the resource written for it.
        bundle_type: type of the Bundle; entries of a transaction or batch have a request.
        unique: True if no other record of its type has its business identifier.

    Returns:
        The entry, with a conditional create if the record can be found by its identifier.

    """
    name = name_of(record) if unique else None
    new_entry: dict[str, Any] = {"fullUrl": address(record, resource, name), "resource": resource}
    if bundle_type in ("transaction", "batch"):
        new_entry["request"] = {"method": "POST", "url": resource["resourceType"]}
        if name is not None and resource["resourceType"] not in _NO_IDENTIFIER_SEARCH:
            new_entry["request"]["ifNoneExist"] = f"identifier={quote('|'.join(name), safe='')}"
    return new_entry


#: R4 has no search parameter `identifier` for these; a server that ignores unknown parameters
#: would match any of them.  https://hl7.org/fhir/R4/adverseevent.html#search
_NO_IDENTIFIER_SEARCH = frozenset({"AdverseEvent"})


def address(record: Record, resource: dict[str, Any], name: Key | None) -> str:
    """Return a stable `urn:uuid` for a record, from its business identifier, id, or content.

    An id that is a UUID becomes the address, so that references to it remain valid.
    """
    record_class = type(record).__name__
    if name is not None:
        return f"urn:uuid:{uuid5(NAMESPACE, f'{record_class}|{name[0]}|{name[1]}')}"
    if record.id is not None and _UUID.fullmatch(record.id):
        return f"urn:uuid:{record.id}"
    return f"urn:uuid:{uuid5(NAMESPACE, f'{record_class}|{dump(resource).decode()}')}"


_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _shared(record: TherapyRecord) -> set[tuple[type[Record], Key | None]]:
    """Return the classes and business identifiers that several records share."""
    names = Counter((type(part), name_of(part)) for part in record)
    return {pair for pair, count in names.items() if count > 1 and pair[1] is not None}


def name_of(record: Record) -> Key | None:
    """Return the business identifier by which other records refer to a record, None if none."""
    first = next(iter(names(record)), None)
    if first is None or not first.system or not first.value:
        return None
    return first.system, first.value


def _addresses(record: TherapyRecord) -> dict[Key, str]:
    """Return the address of each business identifier that only one record has."""
    addresses: dict[Key, str] = {}
    shared: set[Key] = set()
    for part in record:
        name = name_of(part)
        if name is None:
            continue
        if name in addresses:
            shared.add(name)
        addresses[name] = address(part, {}, name)
    return {name: url for name, url in addresses.items() if name not in shared}
