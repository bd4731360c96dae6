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
from fhir_b12.mapping.codecs import same
from fhir_b12.mapping.lens import MappingError, to_fhir, update
from fhir_b12.models import as_resource
from fhir_b12.paths import leaves
from fhir_b12.records import Record, TherapyRecord
from fhir_b12.references import Key


def update_bundle(bundle: Any, records: Iterable[TherapyRecord]) -> Any:
    """The Bundle changed where the records say something else; all the rest stays as it was.

    A record is known again by its business identifier, else by its id, else by being equal. One
    that is new is added as an entry, one that is gone loses its entry.

    Raises:
        MappingError: a new record that could not be read back, or that has the business identifier
            of an entry that cannot be read.
        TypeError: `bundle` is no Bundle resource.

    """
    bundle = as_resource(bundle)
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise TypeError("update_bundle changes a Bundle: give one")
    reading = from_bundle(bundle)
    wanted = [each for record in records for each in record]
    if same(wanted, [each for record in reading.records for each in record]):
        return bundle
    return {**bundle, "entry": _kept(list(_entries(bundle, reading, wanted)), reading)}


def _entries(bundle: Any, reading: BundleReading, wanted: list[Record]) -> Iterator[Any]:
    read = {place.path: place for place in reading.places if place.record is not None}
    index = Index([(p.path, p.url, p.reading.resource) for p in reading.places])
    match = _Match(wanted)
    known = {name: _url(read[path]) for path, name in index.names.items() if path in read}
    urls = {name: url for name, url in known.items() if url is not None}
    for i, entry in enumerate(bundle.get("entry", ())):
        place = read.get(f"entry[{i}].resource")
        if place is None or place.path in reading.inlined:
            yield entry
            continue
        assert place.record is not None
        new = match.take(place.record)
        if new is None:
            continue
        if same(new, place.record):
            yield entry
            continue
        back = references.replace(new, _addressed({**urls, **place.written}))
        resource = update(place.reading.resource, back, index.resolver(place.url))
        yield {**entry, "resource": resource}
    for record in match.left:
        _refuse_unread(record, index, read)
        added = to_fhir(references.replace(record, _addressed(urls)))
        yield new_entry(record, added, bundle.get("type"))


def _refuse_unread(record: Record, index: Index, read: dict[str, Place]) -> None:
    name = name_of(record)
    path = None if name is None else index.named.get(name)
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
        target[0]
        for _, url, resource in found
        for path, text in leaves(resource)
        if path.endswith("reference")
        and isinstance(text, str)
        and (target := index.find(text, url))
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
    name = name_of(record)
    if name is not None:
        return "|".join(name)
    return f"id {record.id}" if record.id else repr(record)
