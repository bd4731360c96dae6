"""Update a Bundle with the changes of its records; everything else stays."""

from collections.abc import Iterable, Iterator
from typing import Any

from fhir_b12 import references
from fhir_b12.bundles.index import Index, expression_of, resources_in
from fhir_b12.bundles.read import BundleReading, EntryReading, from_bundle
from fhir_b12.bundles.write import by_address, name_of
from fhir_b12.bundles.write import entry as new_entry
from fhir_b12.issues import Issue
from fhir_b12.mapping.codecs import dump, same
from fhir_b12.mapping.lens import MappingError, to_fhir, update
from fhir_b12.models import as_resource
from fhir_b12.records import Record, TherapyRecord, names


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
        TypeError: the resource is not a Bundle.

    """
    bundle = as_resource(bundle)
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise TypeError("update_bundle needs a Bundle resource: pass one")
    reading = from_bundle(bundle)
    new_records = [part for record in records for part in record]
    if same(new_records, [part for record in reading.records for part in record]):
        return bundle
    entries = _without_unused_parts(list(_entries(bundle, reading, new_records)), reading)
    rest = {name: value for name, value in bundle.items() if name != "entry"}
    return {**bundle, "entry": entries} if entries else rest


def _entries(bundle: Any, reading: BundleReading, new_records: list[Record]) -> Iterator[Any]:
    read = {entry.path: entry for entry in reading.entries if entry.record is not None}
    index = Index([(p.path, p.url, p.reading.resource) for p in reading.entries])
    top_level = [p for p in read.values() if p.path not in reading.inlined]
    changed, added = _match_entries(top_level, new_records)
    known = {name: _entry_address(read[path]) for path, name in index.names.items() if path in read}
    urls = {name: url for name, url in known.items() if url is not None}
    for i, entry in enumerate(bundle.get("entry", ())):
        old = read.get(f"entry[{i}].resource")
        if old is None or old.path in reading.inlined:
            yield entry
            continue
        new = changed.get(old.path)
        if new is None:
            continue
        if same(new, old.record):
            yield entry
            continue
        back = references.replace(new, by_address({**urls, **old.written}))
        resource = update(old.reading.resource, back, index.resolver(old.url))
        yield {**entry, "resource": resource}
    for record in added:
        _refuse_unread(record, index, read)
        resource = to_fhir(references.replace(record, by_address(urls)))
        yield new_entry(record, resource, bundle.get("type"))


def _refuse_unread(record: Record, index: Index, read: dict[str, EntryReading]) -> None:
    """Raise MappingError if a new record has the business identifier of an unreadable entry."""
    name = name_of(record)
    path = None if name is None else index.named(name)
    if path is None or path in read:
        return
    what = "the entry has the business identifier of a new record but cannot be read: fix it first"
    raise MappingError((Issue("error", "conflict", expression_of(path), what),))


def _without_unused_parts(entries: list[Any], reading: BundleReading) -> list[Any]:
    """Return the entries without the Medications that are no longer part of a record."""
    parts = {id(p.reading.resource) for p in reading.entries if p.path in reading.inlined}
    located = list(resources_in({"resourceType": "Bundle", "entry": entries})) if parts else []
    index = Index(located)
    used = {
        target
        for _, url, resource in located
        for _, node in references.walk_references(resource)
        if (target := index.find(node["reference"], url))
    }
    gone = {path for path, _, resource in located if id(resource) in parts and path not in used}
    return [entry for i, entry in enumerate(entries) if f"entry[{i}].resource" not in gone]


def _entry_address(entry: EntryReading) -> str | None:
    """Return the address by which other entries refer to an entry, None if none."""
    resource = entry.reading.resource
    name = resource.get("id")
    return entry.url or (f"{resource['resourceType']}/{name}" if name else None)


def _match_entries(
    entries: list[EntryReading], new_records: list[Record]
) -> tuple[dict[str, Record], list[Record]]:
    """Return the new content of each entry by its path, and the records without an entry."""
    old: dict[str, Record] = {entry.path: entry.record for entry in entries if entry.record}
    new = dict(enumerate(new_records))
    changed: dict[str, Record] = {}
    for keys_of in (_by_content, _by_identifiers, _by_id):
        free: dict[tuple[type, Any], list[int]] = {}
        for number, record in reversed(new.items()):
            for key in keys_of(record):
                free.setdefault((type(record), key), []).append(number)
        for path, record in list(old.items()):
            candidates = [free.get((type(record), key), []) for key in keys_of(record)]
            match = next(
                (n for n in (_first_free(numbers, new) for numbers in candidates) if n is not None),
                None,
            )
            if match is not None:
                changed[path] = new.pop(match)
                del old[path]
    for record_class in {type(record) for record in old.values()}:
        paths = [path for path, record in old.items() if type(record) is record_class]
        unmatched = [number for number, record in new.items() if type(record) is record_class]
        if len(paths) == len(unmatched):
            changed |= {
                path: new.pop(number) for path, number in zip(paths, unmatched, strict=True)
            }
    return changed, list(new.values())


def _first_free(numbers: list[int], new: dict[int, Record]) -> int | None:
    """Return the first number that is still in `new`; `numbers` is in reverse order."""
    while numbers and numbers[-1] not in new:
        numbers.pop()
    return numbers[-1] if numbers else None


def _by_content(record: Record) -> Iterator[Any]:
    yield dump(record)


def _by_identifiers(record: Record) -> Iterator[Any]:
    return ((name.system, name.value) for name in names(record) if name.system and name.value)


def _by_id(record: Record) -> Iterator[Any]:
    if record.id is not None:
        yield record.id
