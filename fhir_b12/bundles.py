"""A patient's whole record as a Bundle, and Bundles of any kind as records.

https://hl7.org/fhir/R4/bundle.html

In a record, references to its other records go by business identifier; in a Bundle by `urn:uuid`.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal
from urllib.parse import quote
from uuid import UUID, uuid5

import msgspec

from fhir_b12 import references
from fhir_b12.datatypes import Reference
from fhir_b12.issues import Issue
from fhir_b12.mapping.codecs import dump
from fhir_b12.mapping.ledger import Ledger, Row
from fhir_b12.mapping.lens import Reading, from_fhir, to_fhir, update
from fhir_b12.paths import leaves
from fhir_b12.records import FollowUp, Medication, Patient, Record, TherapyRecord, names
from fhir_b12.references import Key

Kind = Literal["transaction", "collection"]
#: Namespace of the UUIDs that stand for business identifiers: uuid5 of the URL https://fhir-b12.org
NAMESPACE = UUID("2e985305-3e92-5fb6-a0ed-aabf6c04c706")


class Place(msgspec.Struct, frozen=True):
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


def resources(record: TherapyRecord) -> list[dict[str, Any]]:
    """The record as plain resources; references go by business identifier.

    Raises:
        MappingError: a record that could not be read back.

    """
    return [to_fhir(each) for each in record]


def to_bundle(record: TherapyRecord, kind: Kind = "transaction") -> dict[str, Any]:
    """A Bundle of the whole record; sent twice as a transaction it changes nothing the second time.

    That holds for records with a business identifier. One without is created anew each time.

    Raises:
        MappingError: a record that could not be read back.

    """
    known = _addresses(record)

    def link(reference: Reference) -> Reference:
        name = references.key(reference)
        address = known.get(name) if name is not None else None
        return reference if address is None else references.by_address(reference, address)

    entries = [_entry(each, to_fhir(references.replace(each, link)), kind) for each in record]
    return {"resourceType": "Bundle", "type": kind, "entry": entries}


def address(record: Record, resource: dict[str, Any]) -> str:
    """A stable `urn:uuid` of a record: of its business identifier, else of its content."""
    name = _name(record)
    kind = type(record).__name__
    text = f"{kind}|{name[0]}|{name[1]}" if name else f"{kind}|{dump(resource).decode()}"
    return f"urn:uuid:{uuid5(NAMESPACE, text)}"


def _name(record: Record) -> Key | None:
    first = next(iter(names(record)), None)
    if first is None or not first.system or not first.value:
        return None
    return first.system, first.value


def _addresses(record: TherapyRecord) -> dict[Key, str]:
    """The address of each business identifier that names one record only."""
    found: dict[Key, str] = {}
    twice: set[Key] = set()
    for each in record:
        name = _name(each)
        if name is None:
            continue
        if name in found:
            twice.add(name)
        found[name] = address(each, {})
    return {name: url for name, url in found.items() if name not in twice}


def _entry(record: Record, resource: dict[str, Any], kind: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"fullUrl": address(record, resource), "resource": resource}
    if kind in {"transaction", "batch"}:
        entry["request"] = {"method": "POST", "url": resource["resourceType"]}
        name = _name(record)
        if name is not None:
            entry["request"]["ifNoneExist"] = f"identifier={quote('|'.join(name), safe='')}"
    return entry


def from_bundle(bundle: Any) -> BundleReading:
    """Read a Bundle of any type, a list of resources, or one resource; the order is of no account.

    Bad data is in the issues. What no table reads stays in the ledger.
    """
    found = list(_places(bundle))
    index = _Index(found)
    issues = list(_shape(bundle)) + list(index.issues)
    inlined: set[str] = set()
    places = []
    for path, url, resource in found:
        reading = from_fhir(resource, index.resolver(url))
        inlined.update(
            index.path(target, url)
            for _, target, _ in reading.linked
            if not target.startswith("contained")
        )
        issues += [_below(issue, path) for issue in reading.issues if issue.code != "not-supported"]
        written: dict[Key, str] = {}
        record = reading.record
        if record is not None:
            record = references.replace(record, index.linker(url, path, written, issues))
        places.append(Place(path, url, reading, record, written))
    readings = tuple(places)
    out = frozenset(inlined)
    return BundleReading(tuple(_group(readings, out, index)), tuple(issues), bundle, readings, out)


def _places(bundle: Any) -> Iterator[tuple[str, str | None, Any]]:
    if isinstance(bundle, list):
        yield from ((f"[{i}]", None, resource) for i, resource in enumerate(bundle))
    elif isinstance(bundle, dict) and bundle.get("resourceType") == "Bundle":
        entries = bundle.get("entry")
        for i, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(entry, dict) and isinstance(entry.get("resource"), dict):
                url = entry.get("fullUrl")
                yield (
                    f"entry[{i}].resource",
                    url if isinstance(url, str) else None,
                    entry["resource"],
                )
    else:
        yield "", None, bundle


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


class _Index:
    """The resources of one Bundle by every address they can be referred to.

    https://hl7.org/fhir/R4/bundle.html#references
    """

    def __init__(self, found: list[tuple[str, str | None, Any]]) -> None:
        self.issues: list[Issue] = []
        self.at: dict[str, tuple[str, dict[str, Any]]] = {}
        self.names: dict[str, Key] = {}  # path -> business identifier
        owners: dict[Key, list[str]] = {}
        for path, url, resource in found:
            if not isinstance(resource, dict):
                continue
            self._add(path, url, resource)
            name = _first_name(resource)
            if name is not None:
                owners.setdefault(name, []).append(path)
        for name, paths in owners.items():
            if len(paths) == 1:
                self.names[paths[0]] = name
                continue
            for path in paths[1:]:
                what = f"same business identifier as {paths[0]}: keep one, or name them apart"
                self.issues.append(Issue("warning", "duplicate", _where(path), what))

    def _add(self, path: str, url: str | None, resource: dict[str, Any]) -> None:
        if url is not None:
            if url in self.at:
                what = f"same fullUrl as {self.at[url][0]}: only the first is referred to"
                self.issues.append(Issue("warning", "duplicate", _where(path), what))
            self.at.setdefault(url, (path, resource))
        kind, name = resource.get("resourceType"), resource.get("id")
        if isinstance(kind, str) and isinstance(name, str):
            self.at.setdefault(f"{kind}/{name}", (path, resource))

    def find(self, text: str, url: str | None) -> tuple[str, dict[str, Any]] | None:
        """What a reference in the resource at `url` leads to inside the Bundle."""
        text = text.partition("/_history/")[0]
        found = self.at.get(text)
        if found is None and url is not None and url.startswith("http") and "://" not in text:
            base = url.rsplit("/", 2)[0]
            found = self.at.get(f"{base}/{text}")
        return found

    def resolver(self, url: str | None) -> Callable[[Reference], dict[str, Any] | None]:
        def resolve(reference: Reference) -> dict[str, Any] | None:
            found = self.find(reference.reference or "", url)
            return None if found is None else found[1]

        return resolve

    def path(self, text: str, url: str | None) -> str:
        found = self.find(text, url)
        return "" if found is None else found[0]

    def linker(
        self, url: str | None, path: str, written: dict[Key, str], issues: list[Issue]
    ) -> Callable[[Reference], Reference]:
        """Addresses inside the Bundle become business identifiers, noted in `written`."""

        def link(reference: Reference) -> Reference:
            text = reference.reference
            if text is None or text.startswith("#") or reference.identifier is not None:
                return reference
            found = self.find(text, url)
            if found is None:
                if text.startswith("urn:"):
                    what = "a reference leads to no entry of the Bundle: add the entry or mend it"
                    issues.append(Issue("warning", "not-found", _where(path), what))
                return reference
            name = self.names.get(found[0])
            if name is None or written.setdefault(name, text) != text:
                return reference
            return references.by_key(reference, name)

        return link


def _where(path: str) -> str:
    return f"Bundle.{path}" if path.startswith("entry") else path or "$this"


def _below(issue: Issue, path: str) -> Issue:
    if not path:
        return issue
    inner = issue.expression.partition(".")[2]
    return msgspec.structs.replace(issue, expression=f"{_where(path)}.{inner}".rstrip("."))


def _first_name(resource: dict[str, Any]) -> Key | None:
    listed = resource.get("identifier")
    first = listed[0] if isinstance(listed, list) and listed else listed
    if not isinstance(first, dict):
        return None
    system, value = first.get("system"), first.get("value")
    if isinstance(system, str) and isinstance(value, str) and system and value:
        return system, value
    return None


def _group(
    places: tuple[Place, ...], inlined: frozenset[str], index: _Index
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
            owner = _owner(_itself(place, index))
            patients.setdefault(owner, record)
            groups.setdefault(owner, [])
            continue
        reference = _patient(record)
        if reference is None:
            loose.append(record)
        else:
            groups.setdefault(_owner(reference), []).append(record)
    if loose:
        only = next(iter(groups)) if len(groups) == 1 else ""
        groups.setdefault(only, []).extend(loose)
    for owner, records in groups.items():
        yield _therapy(patients.get(owner), records)


def _itself(place: Place, index: _Index) -> Reference:
    name = index.names.get(place.path)
    if name is not None:
        return references.by_key(Reference(), name)
    record = place.record
    return Reference(reference=place.url or f"Patient/{record.id if record else place.path}")


def _owner(reference: Reference) -> str:
    name = references.key(reference)
    return "|".join(name) if name else reference.reference or repr(reference)


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


def update_bundle(bundle: Any, records: Iterable[TherapyRecord]) -> Any:
    """The Bundle changed where the records say something else; all the rest stays as it was.

    A record is known again by its business identifier, else by its id, else by being equal. One
    that is new is added as an entry, one that is gone loses its entry.

    Raises:
        MappingError: a new record that could not be read back.
        TypeError: `bundle` is no Bundle resource.

    """
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise TypeError("update_bundle changes a Bundle: give one")
    reading = from_bundle(bundle)
    wanted = [each for record in records for each in record]
    if wanted == [each for record in reading.records for each in record]:
        return bundle
    return {**bundle, "entry": list(_entries(bundle, reading, wanted))}


def _entries(bundle: Any, reading: BundleReading, wanted: list[Record]) -> Iterator[Any]:
    places = {place.path: place for place in reading.places if place.record is not None}
    index = _Index([(p.path, p.url, p.reading.resource) for p in reading.places])
    match = _Match(wanted)
    urls = {name: _url(places, path) for path, name in index.names.items() if path in places}
    for i, entry in enumerate(bundle.get("entry", ())):
        place = places.get(f"entry[{i}].resource")
        if place is None or place.path in reading.inlined:
            yield entry
            continue
        assert place.record is not None
        new = match.take(place.record)
        if new is None:
            continue
        if new == place.record:
            yield entry
            continue
        back = references.replace(new, _addressed({**urls, **place.written}))
        resource = update(place.reading.resource, back, index.resolver(place.url))
        yield {**entry, "resource": resource}
    for record in match.left:
        added = to_fhir(references.replace(record, _addressed(urls)))
        yield _entry(record, added, bundle.get("type", ""))


def _url(places: dict[str, Place], path: str) -> str:
    place = places[path]
    resource = place.reading.resource
    return place.url or f"{resource['resourceType']}/{resource.get('id')}"


def _addressed(urls: dict[Key, str]) -> Callable[[Reference], Reference]:
    def restore(reference: Reference) -> Reference:
        name = references.key(reference)
        text = urls.get(name) if name is not None else None
        return reference if text is None else references.by_address(reference, text)

    return restore


class _Match:
    """The wanted records, taken one by one by what is known of the old."""

    def __init__(self, wanted: list[Record]) -> None:
        self._left = {id(record): record for record in wanted}
        self.by: dict[tuple[type, str], list[Record]] = {}
        for record in wanted:
            self.by.setdefault((type(record), _sign(record)), []).append(record)

    def take(self, old: Record) -> Record | None:
        same = self.by.get((type(old), _sign(old)), [])
        if not same:
            return None
        found = same.pop(next((i for i, each in enumerate(same) if each == old), 0))
        del self._left[id(found)]
        return found

    @property
    def left(self) -> Iterable[Record]:
        """Those not taken: they are new."""
        return self._left.values()


def _sign(record: Record) -> str:
    name = _name(record)
    if name is not None:
        return "|".join(name)
    return f"id {record.id}" if record.id else repr(record)


def _account(reading: BundleReading) -> Iterator[Row]:
    readings = {place.path: place.reading for place in reading.places}
    bundle = reading.bundle
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        for path, each in readings.items():
            yield from each.account(f"{path}." if path else "")
        return
    for name, node in bundle.items():
        if name != "entry" or not isinstance(node, list):
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
