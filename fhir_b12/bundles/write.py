"""A whole record as a Bundle, as plain resources, or as lists by type."""

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
    for place, each in record.located():
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

    That holds for records with a business identifier that no other of their type has. Another is
    created anew each time, and so is a Reaction: R4 finds no AdverseEvent by its identifier.

    Raises:
        MappingError: records that could not be read back, each with its place in the whole.

    """
    known = _addresses(record)

    def link(reference: Reference) -> Reference:
        name = references.identifier_key(reference)
        address = known.get(name) if name is not None else None
        return reference if address is None else references.with_address(reference, address)

    shared = _shared(record)
    entries: dict[str, dict[str, Any]] = {}
    for each, resource in _written(record, link):
        made = entry(each, resource, kind, unique=(type(each), name_of(each)) not in shared)
        url = made["fullUrl"]
        while made["fullUrl"] in entries:  # equal records without a name of their own
            url = made["fullUrl"] = f"urn:uuid:{uuid5(NAMESPACE, url)}"
        entries[made["fullUrl"]] = made
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": kind}
    return bundle | ({"entry": list(entries.values())} if entries else {})


def entry(
    record: Record, resource: dict[str, Any], kind: object, *, unique: bool = True
) -> dict[str, Any]:
    """A Bundle's entry for a new record; `unique` where no other has its business identifier."""
    name = name_of(record) if unique else None
    made: dict[str, Any] = {"fullUrl": address(record, resource, name), "resource": resource}
    if kind in ("transaction", "batch"):
        made["request"] = {"method": "POST", "url": resource["resourceType"]}
        if name is not None and resource["resourceType"] not in _NOT_FOUND_BY_IDENTIFIER:
            made["request"]["ifNoneExist"] = f"identifier={quote('|'.join(name), safe='')}"
    return made


#: R4 has no search parameter `identifier` for these; a server that ignores what it does not know
#: would take any for ours.  https://hl7.org/fhir/R4/adverseevent.html#search
_NOT_FOUND_BY_IDENTIFIER = frozenset({"AdverseEvent"})


def address(record: Record, resource: dict[str, Any], name: Key | None) -> str:
    """A stable `urn:uuid` of a record: of its name, else its id if that is one, else its content.

    What refers to a record by the UUID that was its id and its address refers to it still.
    """
    kind = type(record).__name__
    if name is not None:
        return f"urn:uuid:{uuid5(NAMESPACE, f'{kind}|{name[0]}|{name[1]}')}"
    if record.id is not None and _UUID.fullmatch(record.id):
        return f"urn:uuid:{record.id}"
    return f"urn:uuid:{uuid5(NAMESPACE, f'{kind}|{dump(resource).decode()}')}"


_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _shared(record: TherapyRecord) -> set[tuple[type[Record], Key | None]]:
    """The business identifiers that several records of one kind have."""
    names = Counter((type(each), name_of(each)) for each in record)
    return {pair for pair, count in names.items() if count > 1 and pair[1] is not None}


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
        found[name] = address(each, {}, name)
    return {name: url for name, url in found.items() if name not in twice}
