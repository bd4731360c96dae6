"""Bundles of any kind as records, with a ledger of every leaf."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from fhir_b12 import references
from fhir_b12.bundles.index import Index, places, where
from fhir_b12.bundles.write import name_of
from fhir_b12.datatypes import Reference
from fhir_b12.issues import Issue
from fhir_b12.mapping.ledger import Ledger, Row
from fhir_b12.mapping.lens import Reading, from_fhir
from fhir_b12.mapping.type_errors import MODIFIED
from fhir_b12.models import as_resource
from fhir_b12.paths import leaves
from fhir_b12.records import FollowUp, Medication, Patient, Record, TherapyRecord
from fhir_b12.references import Key


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where a resource stood: its path, full URL, what came of it, how it wrote its references."""

    path: str
    url: str | None
    reading: Reading
    record: Record | None  #: references by business identifier
    written: dict[Key, str]


class BundleReading(msgspec.Struct, frozen=True):
    """What came of reading a Bundle: a record for each patient, and what was wrong."""

    records: tuple[TherapyRecord, ...]
    issues: tuple[Issue, ...]
    bundle: Any
    places: tuple[Place, ...]
    inlined: frozenset[str]  #: paths of Medications that stand inside other records

    @property
    def readings(self) -> tuple[Reading, ...]:
        """What came of each resource, in order."""
        return tuple(place.reading for place in self.places)

    @property
    def ledger(self) -> Ledger:
        """Where every leaf of the Bundle went."""
        return Ledger(tuple(_account(self)))


def from_bundle(bundle: Any) -> BundleReading:
    """Read a Bundle of any type, a list of resources, or one resource, in any order.

    Resources that no table reads are in the ledger. A Medication without a business identifier
    becomes part of the record that refers to it; one with an identifier is a record of its own.

    Args:
        bundle: plain JSON as `fhir_b12.loads` returns it, or a `fhir.resources` model.

    Returns:
        A therapy record for each patient, and the issues of everything that is wrong.

    """
    bundle = as_resource(bundle)
    found = list(places(bundle))
    index = Index(found)
    issues = [*_shape(bundle), *index.issues]
    inlined: set[str] = set()
    read = []
    unread = dict(_unread(bundle))
    for path, url, resource in found:
        if path in unread:
            issues.append(unread[path])
            read.append(Place(path, url, Reading(None, (unread[path],), resource), None, {}))
            continue
        reading = from_fhir(resource, index.resolver(url))
        for _, target, _ in reading.linked:
            if not target.startswith("contained"):
                at = index.path(Reference(reference=target), url)
                inlined |= {at} if at else set()
        issues += [_below(issue, path) for issue in reading.issues if issue.code != "not-supported"]
        written: dict[Key, str] = {}
        record = reading.record
        if record is not None:
            record = references.replace(record, index.linker(url, path, written, issues))
        read.append(Place(path, url, reading, record, written))
    everything, out = tuple(read), frozenset(inlined)
    grouped = tuple(_group(everything, out, index))
    return BundleReading(grouped, tuple(issues), bundle, everything, out)


def _shape(bundle: Any) -> Iterator[Issue]:
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        return
    entries = bundle.get("entry", [])
    if not isinstance(entries, list):
        yield Issue("error", "structure", "Bundle.entry", "not a list: write entries in brackets")
        return
    for i, entry in enumerate(entries):
        resource = entry.get("resource", {}) if isinstance(entry, dict) else None
        if not isinstance(resource, dict):
            what = "not an entry with a resource: write an object"
            yield Issue("error", "structure", f"Bundle.entry[{i}]", what)


def _unread(bundle: Any) -> Iterator[tuple[str, Issue]]:
    """The entries that do not say what is so now: deleted, superseded, or of another meaning."""
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
            what = "implicit rules of the Bundle change what its entries mean, so none is read"
            yield path, Issue("error", "not-supported", where(path), what)
        elif "modifierExtension" in entry:
            yield path, Issue("error", "extension", where(path), MODIFIED)
        elif history and (known := _identity(entry)) is not None and known in newest:
            what = "an older version of what stands before it; only the newest is read"
            yield path, Issue("information", "informational", where(path), what)
        elif deleted:
            what = "this was deleted, so it is not read"
            yield path, Issue("information", "deleted", where(path), what)
        if history:
            newest.add(_identity(entry))


def _identity(entry: dict[str, Any]) -> str | None:
    """What tells the versions of one resource; the newest stands first in a history.

    https://hl7.org/fhir/R4/http.html#history
    """
    url, resource, request = entry.get("fullUrl"), entry.get("resource"), entry.get("request")
    if isinstance(resource, dict) and isinstance(resource.get("id"), str):
        return f"{resource.get('resourceType')}/{resource['id']}"
    if isinstance(request, dict) and request.get("method") == "DELETE":
        return str(request.get("url"))
    return url if isinstance(url, str) else None


def _below(issue: Issue, path: str) -> Issue:
    if not path:
        return issue
    inner = issue.expression.partition(".")[2]
    return msgspec.structs.replace(issue, expression=f"{where(path)}.{inner}".rstrip("."))


def _group(
    places: tuple[Place, ...], inlined: frozenset[str], index: Index
) -> Iterator[TherapyRecord]:
    """A TherapyRecord for each patient; what names none goes to the only one, or stands alone."""
    patients: dict[str, Patient] = {}
    groups: dict[str, list[Record]] = {}
    loose: list[Record] = []
    for place in places:
        record = place.record
        if record is None or place.path in inlined:
            continue
        if isinstance(record, Patient):
            patients[place.path] = record
            groups.setdefault(place.path, [])
            continue
        reference = _patient(record, place, index)
        if reference is None:
            loose.append(record)
        else:
            owner = index.path(reference, place.url, "Patient") or _outside(reference, place.path)
            groups.setdefault(owner, []).append(record)
    users = _users(groups) if loose and len(groups) > 1 else {}
    other = next(iter(groups)) if len(groups) == 1 else "nobody"
    for record in loose:
        name = name_of(record)
        for owner in users.get(name, [other]) if name is not None else [other]:
            groups.setdefault(owner, []).append(record)
    for owner, records in groups.items():
        yield _therapy(patients.get(owner), records)


def _outside(reference: Reference, path: str) -> str:
    """What tells a patient apart who is no entry; one only named, or contained, is its own."""
    name = references.identifier_key(reference)
    if name is not None:
        return "|".join(name)
    address = reference.reference
    return address if address and not address.startswith("#") else f"{path}: {address}"


def _users(groups: dict[str, list[Record]]) -> dict[Key, list[str]]:
    """The patients whose records refer to a business identifier: of a Medication with its lot."""
    found: dict[Key, dict[str, None]] = {}
    for owner, records in groups.items():
        for record in records:
            for reference in references.references_in(record):
                name = references.identifier_key(reference)
                if name is not None:
                    found.setdefault(name, {})[owner] = None
    return {name: list(owners) for name, owners in found.items()}


def _patient(record: Record, place: Place, index: Index) -> Reference | None:
    if isinstance(record, FollowUp):
        actors = [who.actor for who in record.participant if who.actor is not None]
        patients = [actor for actor in actors if _is_patient(actor, place, index)]
        return next(iter(patients), None) or (actors[0] if len(actors) == 1 else None)
    if isinstance(record, Medication):
        return None
    found: Reference | None = getattr(record, "patient", None)
    return found


def _is_patient(actor: Reference, place: Place, index: Index) -> bool:
    path = index.path(actor, place.url)
    if path is not None:
        return index.resources[path].get("resourceType") == "Patient"
    return actor.type == "Patient" or "Patient/" in (actor.reference or "")


def _therapy(patient: Patient | None, records: Iterable[Record]) -> TherapyRecord:
    lists: dict[str, list[Record]] = {}
    for record in records:
        lists.setdefault(TherapyRecord.LISTS[type(record)], []).append(record)
    return TherapyRecord(patient=patient, **{name: tuple(each) for name, each in lists.items()})  # type: ignore[arg-type]


def _account(reading: BundleReading) -> Iterator[Row]:
    readings = {place.path: place.reading for place in reading.places}
    bundle = reading.bundle
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        for path, each in readings.items():
            yield from each.account(f"{path}." if path else "")
        if not readings:
            yield "", "residue", "an empty list says nothing"
        return
    for name, node in bundle.items():
        if name != "entry" or not isinstance(node, list) or not node:
            yield from ((path, "derived", "the envelope") for path, _ in leaves(node, name))
            continue
        for i, entry in enumerate(node):
            yield from _entry_account(f"entry[{i}]", entry, readings)


def _entry_account(path: str, entry: Any, readings: dict[str, Reading]) -> Iterator[Row]:
    if not isinstance(entry, dict) or not entry:
        yield from ((each, "residue", "no entry") for each, _ in leaves(entry, path))
        return
    for part, node in entry.items():
        below = f"{path}.{part}"
        if part == "resource" and below in readings:
            yield from readings[below].account(f"{below}.")
        else:
            yield from ((each, "derived", "the envelope") for each, _ in leaves(node, below))
