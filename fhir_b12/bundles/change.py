"""A Bundle changed where records say something else; all the rest stays."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fhir_b12 import references
from fhir_b12.bundles.index import Index, places, where
from fhir_b12.bundles.read import BundleReading, Place, from_bundle
from fhir_b12.bundles.write import entry as new_entry
from fhir_b12.bundles.write import name_of
from fhir_b12.datatypes import Reference
from fhir_b12.issues import Issue
from fhir_b12.mapping.codecs import dump, same
from fhir_b12.mapping.lens import MappingError, to_fhir, update
from fhir_b12.models import as_resource
from fhir_b12.records import Record, TherapyRecord, names
from fhir_b12.references import Key


def update_bundle(bundle: Any, records: Iterable[TherapyRecord]) -> Any:
    """Return a Bundle with the changes of its records; everything else stays as it is.

    An entry belongs to the record with the same content, a common business identifier, or the same
    id; the remaining records of a class are assigned in order if there are as many as entries. An
    entry is added for a new record, and removed if its record is gone.

    Args:
        bundle: plain JSON of the Bundle, or a `fhir.resources` model.
        records: all therapy records of the Bundle, one for each patient.

    Returns:
        The Bundle; the same object if nothing changes.

    Raises:
        MappingError: a new record cannot be written, or has the business identifier of an entry
            that cannot be read.
        TypeError: `bundle` is not a Bundle.

    """
    bundle = as_resource(bundle)
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise TypeError("update_bundle changes a Bundle: give one")
    reading = from_bundle(bundle)
    wanted = [each for record in records for each in record]
    if same(wanted, [each for record in reading.records for each in record]):
        return bundle
    entries = _kept(list(_entries(bundle, reading, wanted)), reading)
    rest = {name: value for name, value in bundle.items() if name != "entry"}
    return {**bundle, "entry": entries} if entries else rest


def _entries(bundle: Any, reading: BundleReading, wanted: list[Record]) -> Iterator[Any]:
    read = {place.path: place for place in reading.places if place.record is not None}
    index = Index([(p.path, p.url, p.reading.resource) for p in reading.places])
    held = [p for p in read.values() if p.path not in reading.inlined]
    found, left = _pairs(held, wanted)
    known = {name: _url(read[path]) for path, name in index.names.items() if path in read}
    urls = {name: url for name, url in known.items() if url is not None}
    for i, entry in enumerate(bundle.get("entry", ())):
        place = read.get(f"entry[{i}].resource")
        if place is None or place.path in reading.inlined:
            yield entry
            continue
        new = found.get(place.path)
        if new is None:
            continue
        if same(new, place.record):
            yield entry
            continue
        back = references.replace(new, _addressed({**urls, **place.written}))
        resource = update(place.reading.resource, back, index.resolver(place.url))
        yield {**entry, "resource": resource}
    for record in left:
        _refuse_unread(record, index, read)
        added = to_fhir(references.replace(record, _addressed(urls)))
        yield new_entry(record, added, bundle.get("type"))


def _refuse_unread(record: Record, index: Index, read: dict[str, Place]) -> None:
    name = name_of(record)
    path = None if name is None else index.named(name)
    if path is None or path in read:
        return
    what = "this entry has the business identifier of a record and cannot be read: mend it first"
    raise MappingError((Issue("error", "conflict", where(path), what),))


def _kept(entries: list[Any], reading: BundleReading) -> list[Any]:
    """The entries without those Medications that were part of a record and are no more."""
    parts = {id(p.reading.resource) for p in reading.places if p.path in reading.inlined}
    found = list(places({"resourceType": "Bundle", "entry": entries})) if parts else []
    index = Index(found)
    used = {
        target
        for _, url, resource in found
        for _, node in references.walk_references(resource)
        if (target := index.find(node["reference"], url))
    }
    gone = {path for path, _, resource in found if id(resource) in parts and path not in used}
    return [entry for i, entry in enumerate(entries) if f"entry[{i}].resource" not in gone]


def _url(place: Place) -> str | None:
    """The address by which others can refer to an entry; it may have none."""
    resource = place.reading.resource
    name = resource.get("id")
    return place.url or (f"{resource['resourceType']}/{name}" if name else None)


def _addressed(urls: dict[Key, str]) -> Callable[[Reference], Reference]:
    def restore(reference: Reference) -> Reference:
        name = references.identifier_key(reference)
        text = urls.get(name) if name is not None else None
        return reference if text is None else references.with_address(reference, text)

    return restore


def _pairs(held: list[Place], wanted: list[Record]) -> tuple[dict[str, Record], list[Record]]:
    """Which wanted record each entry becomes, by its path, and those that are new."""
    old: dict[str, Record] = {place.path: place.record for place in held if place.record}
    new = dict(enumerate(wanted))
    found: dict[str, Record] = {}
    for signs in (_content, _identifiers, _id):
        free: dict[tuple[type, Any], list[int]] = {}
        for number, record in reversed(new.items()):
            for sign in signs(record):
                free.setdefault((type(record), sign), []).append(number)
        for path, record in list(old.items()):
            alike = [free.get((type(record), sign), []) for sign in signs(record)]
            taken = next((n for n in (_first(each, new) for each in alike) if n is not None), None)
            if taken is not None:
                found[path] = new.pop(taken)
                del old[path]
    for kind in {type(record) for record in old.values()}:
        paths = [path for path, record in old.items() if type(record) is kind]
        left = [number for number, record in new.items() if type(record) is kind]
        if len(paths) == len(left):
            found |= {path: new.pop(number) for path, number in zip(paths, left, strict=True)}
    return found, list(new.values())


def _first(numbers: list[int], new: dict[int, Record]) -> int | None:
    """The first that is not taken yet; they stand in reverse order."""
    while numbers and numbers[-1] not in new:
        numbers.pop()
    return numbers[-1] if numbers else None


def _content(record: Record) -> Iterator[Any]:
    yield dump(record)


def _identifiers(record: Record) -> Iterator[Any]:
    return ((each.system, each.value) for each in names(record) if each.system and each.value)


def _id(record: Record) -> Iterator[Any]:
    if record.id is not None:
        yield record.id
