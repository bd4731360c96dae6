"""Bundles of any kind as records, with a ledger of every leaf."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from fhir_b12 import references
from fhir_b12.bundles.index import Index, places, where
from fhir_b12.datatypes import Reference
from fhir_b12.issues import Issue
from fhir_b12.mapping.ledger import Ledger, Row
from fhir_b12.mapping.lens import Reading, from_fhir
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
    """Read a Bundle of any type, a list of resources, or one resource; the order is of no account.

    Bad data is in the issues. What no table reads stays in the ledger. A Medication without a
    business identifier becomes part of what refers to it; one with is a record of its own.
    """
    bundle = as_resource(bundle)
    found = list(places(bundle))
    index = Index(found)
    issues = [*_shape(bundle), *index.issues]
    inlined: set[str] = set()
    read = []
    for path, url, resource in found:
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
        reference = _patient(record)
        if reference is None:
            loose.append(record)
        else:
            owner = index.path(reference, place.url) or _outside(reference, place.path)
            groups.setdefault(owner, []).append(record)
    if loose:
        only = next(iter(groups)) if len(groups) == 1 else "nobody"
        groups.setdefault(only, []).extend(loose)
    for owner, records in groups.items():
        yield _therapy(patients.get(owner), records)


def _outside(reference: Reference, path: str) -> str:
    """What tells a patient apart who is no entry; one only named, or contained, is its own."""
    name = references.key(reference)
    if name is not None:
        return "|".join(name)
    address = reference.reference
    return address if address and not address.startswith("#") else f"{path}: {address}"


def _patient(record: Record) -> Reference | None:
    if isinstance(record, FollowUp):
        actors = [who.actor for who in record.participant if who.actor is not None]
        return next((a for a in actors if a.type == "Patient" or _says_patient(a)), None) or (
            actors[0] if len(actors) == 1 else None
        )
    if isinstance(record, Medication):
        return None
    found: Reference | None = getattr(record, "patient", None)
    return found


def _says_patient(reference: Reference) -> bool:
    return "Patient/" in (reference.reference or "")


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
