"""A whole record as a Bundle, as plain resources, or as lists by type."""

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

Kind = Literal["transaction", "collection"]
#: Namespace of the UUIDs that stand for business identifiers: uuid5 of the URL https://fhir-b12.org
NAMESPACE = UUID("2e985305-3e92-5fb6-a0ed-aabf6c04c706")


def resources(record: TherapyRecord) -> list[dict[str, Any]]:
    """The record as plain resources; references go by business identifier.

    Raises:
        MappingError: records that could not be read back, each with its place in the whole.

    """
    return [resource for _, resource in _written(record, lambda reference: reference)]


def _written(
    record: TherapyRecord, link: Callable[[Reference], Reference]
) -> list[tuple[Record, dict[str, Any]]]:
    """Each record and its resource; everything that cannot be written is told at once."""
    made, issues = [], []
    for place, each in record.places():
        try:
            made.append((each, to_fhir(references.replace(each, link))))
        except MappingError as error:
            issues += [_at(place, issue) for issue in error.issues]
    if issues:
        raise MappingError(tuple(issues))
    return made


def _at(place: str, issue: Issue) -> Issue:
    what = f"{issue.expression}: {issue.message}"
    return msgspec.structs.replace(issue, expression=f"$.{place}", message=what)


def by_type(record: TherapyRecord) -> dict[str, list[dict[str, Any]]]:
    """The same, by resource type: a file of NDJSON each in bulk data.

    https://hl7.org/fhir/uv/bulkdata/STU2/export.html

    Raises:
        MappingError: records that could not be read back, each with its place in the whole.

    """
    found: dict[str, list[dict[str, Any]]] = {}
    for resource in resources(record):
        found.setdefault(resource["resourceType"], []).append(resource)
    return found


def to_bundle(record: TherapyRecord, kind: Kind = "transaction") -> dict[str, Any]:
    """A Bundle of the whole record; sent twice as a transaction it changes nothing the second time.

    That holds for records with a business identifier. One without is created anew each time.

    Raises:
        MappingError: records that could not be read back, each with its place in the whole.

    """
    known = _addresses(record)

    def link(reference: Reference) -> Reference:
        name = references.key(reference)
        address = known.get(name) if name is not None else None
        return reference if address is None else references.by_address(reference, address)

    entries = [entry(each, resource, kind) for each, resource in _written(record, link)]
    return {"resourceType": "Bundle", "type": kind} | ({"entry": entries} if entries else {})


def entry(record: Record, resource: dict[str, Any], kind: object) -> dict[str, Any]:
    """A Bundle's entry for a new record."""
    made: dict[str, Any] = {"fullUrl": address(record, resource), "resource": resource}
    if kind in ("transaction", "batch"):
        made["request"] = {"method": "POST", "url": resource["resourceType"]}
        name = name_of(record)
        if name is not None:
            made["request"]["ifNoneExist"] = f"identifier={quote('|'.join(name), safe='')}"
    return made


def address(record: Record, resource: dict[str, Any]) -> str:
    """A stable `urn:uuid` of a record: of its business identifier, else of its content."""
    name = name_of(record)
    kind = type(record).__name__
    text = f"{kind}|{name[0]}|{name[1]}" if name else f"{kind}|{dump(resource).decode()}"
    return f"urn:uuid:{uuid5(NAMESPACE, text)}"


def name_of(record: Record) -> Key | None:
    """The business identifier that other records refer to."""
    first = next(iter(names(record)), None)
    if first is None or not first.system or not first.value:
        return None
    return first.system, first.value


def _addresses(record: TherapyRecord) -> dict[Key, str]:
    """The address of each business identifier that names one record only."""
    found: dict[Key, str] = {}
    twice: set[Key] = set()
    for each in record:
        name = name_of(each)
        if name is None:
            continue
        if name in found:
            twice.add(name)
        found[name] = address(each, {})
    return {name: url for name, url in found.items() if name not in twice}
