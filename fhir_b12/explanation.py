"""Explain every leaf of a reading: the table and row that map it, or why it is not mapped."""

import re
from collections.abc import Iterator

import msgspec

from fhir_b12 import codes
from fhir_b12.bundles import BundleReading
from fhir_b12.datatypes import CodeableConcept, convert
from fhir_b12.mapping import table as tables
from fhir_b12.mapping.ledger import LedgerEntry
from fhir_b12.mapping.lens import Reading
from fhir_b12.paths import at

INDEX = re.compile(r"\[\d+\]")
_RESOURCE_PATH = re.compile(
    r"entry\[\d+\]\.resource|\[\d+\]"
)  #: of a resource in a Bundle or a list


class Leaf(msgspec.Struct, frozen=True):
    """Explanation of a leaf: path, class, and the row and field of its mapping, or the reason."""

    path: str
    kind: str
    table: str | None = None
    row: str | None = None  #: element of the row
    field: str | None = None  #: path in the record
    codec: str | None = None
    codes: str | None = None  #: code table and key of the concept, `lab_tests: b12`
    why: str | None = None


def explain(reading: BundleReading | Reading) -> Iterator[Leaf]:
    """Yield an explanation of every leaf, in document order.

    Args:
        reading: result of `from_bundle` or `from_fhir`.

    Returns:
        For each leaf its class, and table, row, field and codec, or why it is in no record.

    """
    if isinstance(reading, Reading):
        yield from (_explain_leaf(entry, entry.path, reading) for entry in reading.ledger)
        return
    for entry, path, resource_reading in leaves_by_resource(reading):
        if resource_reading is None:
            yield Leaf(entry.path, entry.kind, why=entry.says)
        else:
            yield _explain_leaf(entry, path, resource_reading)


def leaves_by_resource(reading: BundleReading) -> Iterator[tuple[LedgerEntry, str, Reading | None]]:
    """Yield each leaf, its path below its resource, and the reading of that resource."""
    readings = {entry.path: entry.reading for entry in reading.entries}
    for entry in reading.ledger:
        match = _RESOURCE_PATH.match(entry.path)
        where = match[0] if match is not None and match[0] in readings else ""
        yield entry, entry.path.removeprefix(where).removeprefix("."), readings.get(where)


def _explain_leaf(entry: LedgerEntry, path: str, reading: Reading) -> Leaf:
    """Return a leaf explained by the table of its resource, or of a linked resource."""
    mapped, field = entry.kind == "mapped", entry.says
    for name, location, linked_reading in reading.linked:
        if path.startswith(f"{location}."):
            path, reading = path.removeprefix(f"{location}."), linked_reading
            field = field.removeprefix(f"{name}.")
    row, way = _find_row(path, field, reading) or (None, None)
    return Leaf(
        path=entry.path,
        kind=entry.kind,
        table=reading.lens.table.name if reading.lens is not None else None,
        row=way.element if way is not None else None,
        field=entry.says if mapped else None,
        codec=way.codec if way is not None and mapped else None,
        codes=_code_meaning(row, way, reading) if row and way and mapped else None,
        why=None if mapped else entry.says,
    )


def _find_row(path: str, field: str, reading: Reading) -> tuple[tables.Row, tables.Way] | None:
    """Return the row that maps an element; of several, the row of the leaf's field."""
    if reading.lens is None:
        return None
    element = f"{INDEX.sub('', path)}."
    named = [
        (row, way)
        for row in reading.lens.table.rows
        for way in row.ways
        if element.startswith(f"{way.element}.")
    ]
    named.sort(key=lambda pair: f"{field}.".startswith(f"{pair[0].field}."), reverse=True)
    return max(named, key=lambda pair: len(pair[1].element), default=None)


def _code_meaning(row: tables.Row, way: tables.Way, reading: Reading) -> str | None:
    """Return the row's code table and the keys of the concepts; `?` for an unknown concept."""
    if row.codes is None:
        return None
    concepts = at(reading.resource, way.path)
    keys = []
    for concept in concepts if isinstance(concepts, list) else [concepts]:
        try:
            code_entry = codes.table(row.codes).find(convert(concept, CodeableConcept))
        except msgspec.ValidationError:
            code_entry = None
        keys.append(code_entry.key if code_entry else "?")
    return f"{row.codes}: {', '.join(keys)}"
