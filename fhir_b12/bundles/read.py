"""Read Bundles of any type as therapy records, with a ledger of all leaves."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from fhir_b12 import references
from fhir_b12.bundles.index import Index, expression_of, resources_in
from fhir_b12.bundles.write import name_of
from fhir_b12.datatypes import Reference
from fhir_b12.issues import Issue
from fhir_b12.mapping.ledger import Ledger, Row
from fhir_b12.mapping.lens import Reading, from_fhir
from fhir_b12.mapping.links import is_contained, with_location
from fhir_b12.mapping.type_errors import MODIFIED
from fhir_b12.models import as_resource
from fhir_b12.paths import leaves
from fhir_b12.records import FollowUp, Medication, Patient, Record, TherapyRecord
from fhir_b12.references import Key


class EntryReading(msgspec.Struct, frozen=True, gc=False):
    """Reading of one resource of a Bundle, with its path, full URL and original references."""

    path: str
    url: str | None
    reading: Reading
    record: Record | None  #: its references are business identifiers
    written: dict[Key, str]  #: business identifier -> address that the resource used


class BundleReading(msgspec.Struct, frozen=True):
    """Result of reading a Bundle: a record for each patient, and the issues."""

    records: tuple[TherapyRecord, ...]
    issues: tuple[Issue, ...]
    bundle: Any
    entries: tuple[EntryReading, ...]
    inlined: frozenset[str]  #: paths of Medications that are part of other records

    @property
    def readings(self) -> tuple[Reading, ...]:
        """Readings of all resources, in order."""
        return tuple(entry.reading for entry in self.entries)

    @property
    def ledger(self) -> Ledger:
        """Ledger of all leaves of the Bundle."""
        return Ledger(tuple(_bundle_rows(self)))


def from_bundle(bundle: Any) -> BundleReading:
    """Read a Bundle of any type, a list of resources, or one resource, in any order.

    Resources that no table reads are in the ledger. A Medication without a business identifier
    becomes part of the record that refers to it; one with an identifier is a record of its own.

    Args:
        bundle: plain JSON as `fhir_b12.loads` returns it, or a `fhir.resources` model.

    Returns:
        A therapy record for each patient, and all issues.

    """
    bundle = as_resource(bundle)
    located = list(resources_in(bundle))
    index = Index(located)
    issues = [*_check_entries(bundle), *index.issues]
    inlined: set[str] = set()
    read = []
    unread = dict(_unreadable_entries(bundle))
    for path, url, resource in located:
        if path in unread:
            issues.append(unread[path])
            read.append(EntryReading(path, url, Reading(None, (unread[path],), resource), None, {}))
            continue
        reading = from_fhir(resource, index.resolver(url))
        for _, target, _ in reading.linked:
            if not is_contained(target):
                at = index.path(Reference(reference=target), url)
                inlined |= {at} if at else set()
        issues += [
            _with_path(issue, path) for issue in reading.issues if issue.code != "not-supported"
        ]
        written: dict[Key, str] = {}
        record = reading.record
        if record is not None:
            record = references.replace(record, index.linker(url, path, written, issues))
        read.append(EntryReading(path, url, reading, record, written))
    entries, parts = tuple(read), frozenset(inlined)
    records = tuple(_group_by_patient(entries, parts, index))
    return BundleReading(records, tuple(issues), bundle, entries, parts)


def _check_entries(bundle: Any) -> Iterator[Issue]:
    """Yield an issue for each entry that is not an object with a resource."""
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        return
    entries = bundle.get("entry", [])
    if not isinstance(entries, list):
        yield Issue(
            "error",
            "structure",
            "Bundle.entry",
            "Bundle.entry is not a list: write a list of entries",
        )
        return
    for i, entry in enumerate(entries):
        resource = entry.get("resource", {}) if isinstance(entry, dict) else None
        if not isinstance(resource, dict):
            what = "the entry is not an object with a resource: add a resource"
            yield Issue("error", "structure", f"Bundle.entry[{i}]", what)


def _unreadable_entries(bundle: Any) -> Iterator[tuple[str, Issue]]:
    """Yield path and issue of each entry that must not be read.

    It is deleted, superseded, or changed in meaning by a modifier extension or implicit rules.
    """
    if not isinstance(bundle, dict) or not isinstance(bundle.get("entry"), list):
        return
    history = bundle.get("type") == "history"
    newest: set[Any] = set()
    for i, entry in enumerate(bundle["entry"]):
        if not isinstance(entry, dict):
            continue
        path, request = f"entry[{i}].resource", entry.get("request")
        deleted = isinstance(request, dict) and request.get("method") == "DELETE"
        if "implicitRules" in bundle:
            what = "implicitRules change the meaning of the Bundle, so its entries are not read"
            yield path, Issue("error", "not-supported", expression_of(path), what)
        elif "modifierExtension" in entry:
            yield path, Issue("error", "extension", expression_of(path), MODIFIED)
        elif history and (known := _resource_identity(entry)) is not None and known in newest:
            what = "older version of an earlier entry; only the newest version is read"
            yield path, Issue("information", "informational", expression_of(path), what)
        elif deleted:
            what = "deleted resource, which is not read"
            yield path, Issue("information", "deleted", expression_of(path), what)
        if history:
            newest.add(_resource_identity(entry))


def _resource_identity(entry: dict[str, Any]) -> str | None:
    """Return a key that all versions of a resource in a history have in common, None if unknown.

    https://hl7.org/fhir/R4/http.html#history
    """
    url, resource, request = entry.get("fullUrl"), entry.get("resource"), entry.get("request")
    if isinstance(resource, dict) and isinstance(resource.get("id"), str):
        return f"{resource.get('resourceType')}/{resource['id']}"
    if isinstance(request, dict) and request.get("method") == "DELETE":
        return str(request.get("url"))
    return url if isinstance(url, str) else None


def _with_path(issue: Issue, path: str) -> Issue:
    """Return an issue of a resource with the path of its Bundle entry."""
    return with_location(issue, expression_of(path)) if path else issue


def _group_by_patient(
    entries: tuple[EntryReading, ...], inlined: frozenset[str], index: Index
) -> Iterator[TherapyRecord]:
    """Yield a therapy record for each patient.

    A record without patient belongs to the only patient or to those whose records refer to it,
    else to a therapy record of its own.
    """
    patients: dict[str, Patient] = {}
    groups: dict[str, list[Record]] = {}
    without_patient: list[Record] = []
    for entry in entries:
        record = entry.record
        if record is None or entry.path in inlined:
            continue
        if isinstance(record, Patient):
            patients[entry.path] = record
            groups.setdefault(entry.path, [])
            continue
        reference = _patient_of(record, entry, index)
        if reference is None:
            without_patient.append(record)
        else:
            owner = index.path(reference, entry.url, "Patient") or _outside_key(
                reference, entry.path
            )
            groups.setdefault(owner, []).append(record)
    owners_by_name = _patients_by_identifier(groups) if without_patient and len(groups) > 1 else {}
    default_owner = next(iter(groups)) if len(groups) == 1 else "unknown"
    for record in without_patient:
        name = name_of(record)
        for owner in (
            owners_by_name.get(name, [default_owner]) if name is not None else [default_owner]
        ):
            groups.setdefault(owner, []).append(record)
    for owner, records in groups.items():
        yield _build_therapy_record(patients.get(owner), records)


def _outside_key(reference: Reference, path: str) -> str:
    """Return a key that groups the records of a patient who is not in the Bundle.

    It is the identifier or the address of the reference. A reference without both gets a key of its
    own, from the path of its record.
    """
    name = references.identifier_key(reference)
    if name is not None:
        return "|".join(name)
    address = reference.reference
    return address if address and not address.startswith("#") else f"{path}: {address}"


def _patients_by_identifier(groups: dict[str, list[Record]]) -> dict[Key, list[str]]:
    """Return the patients whose records refer to a business identifier, e.g. of a Medication."""
    users: dict[Key, dict[str, None]] = {}
    for owner, records in groups.items():
        for record in records:
            for reference in references.references_in(record):
                name = references.identifier_key(reference)
                if name is not None:
                    users.setdefault(name, {})[owner] = None
    return {name: list(owners) for name, owners in users.items()}


def _patient_of(record: Record, entry: EntryReading, index: Index) -> Reference | None:
    """Return the reference to the patient of a record; of an appointment, the patient's actor."""
    if isinstance(record, FollowUp):
        actors = [who.actor for who in record.participant if who.actor is not None]
        patients = [actor for actor in actors if _is_patient(actor, entry, index)]
        return next(iter(patients), None) or (actors[0] if len(actors) == 1 else None)
    if isinstance(record, Medication):
        return None
    patient: Reference | None = getattr(record, "patient", None)
    return patient


def _is_patient(actor: Reference, entry: EntryReading, index: Index) -> bool:
    path = index.path(actor, entry.url)
    if path is not None:
        return index.resources[path].get("resourceType") == "Patient"
    return actor.type == "Patient" or "Patient/" in (actor.reference or "")


def _build_therapy_record(patient: Patient | None, records: Iterable[Record]) -> TherapyRecord:
    lists: dict[str, list[Record]] = {}
    for record in records:
        lists.setdefault(TherapyRecord.LISTS[type(record)], []).append(record)
    return TherapyRecord(patient=patient, **{name: tuple(items) for name, items in lists.items()})  # type: ignore[arg-type]


def _bundle_rows(reading: BundleReading) -> Iterator[Row]:
    readings = {entry.path: entry.reading for entry in reading.entries}
    bundle = reading.bundle
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        for path, of_resource in readings.items():
            yield from of_resource.account(f"{path}." if path else "")
        if not readings:
            yield "", "residue", "an empty list has no value"
        return
    for name, node in bundle.items():
        if name != "entry" or not isinstance(node, list) or not node:
            yield from _derived_rows(node, name)
            continue
        for i, entry in enumerate(node):
            yield from _entry_rows(f"entry[{i}]", entry, readings)


def _entry_rows(path: str, entry: Any, readings: dict[str, Reading]) -> Iterator[Row]:
    if not isinstance(entry, dict) or not entry:
        yield from ((leaf, "residue", "not an entry") for leaf, _ in leaves(entry, path))
        return
    for part, node in entry.items():
        below = f"{path}.{part}"
        if part == "resource" and below in readings:
            yield from readings[below].account(f"{below}.")
        else:
            yield from _derived_rows(node, below)


def _derived_rows(node: Any, path: str) -> Iterator[Row]:
    yield from (
        (leaf, "derived", "part of the Bundle, not of a resource") for leaf, _ in leaves(node, path)
    )
