"""Mapping tables, read from TOML and checked when they are loaded."""

from functools import cache
from typing import Any

import msgspec

from fhir_b12 import data, records
from fhir_b12.data import TableError
from fhir_b12.mapping import table_check
from fhir_b12.records import registry

#: Names of all tables; of several for one resource type, the first that reads a resource is used.
ORDER = registry.TABLES


class Way(msgspec.Struct, frozen=True):
    """An element that a field is read from, and the codec if their types differ."""

    element: str
    codec: str | None = None

    @property
    def path(self) -> tuple[str, ...]:
        """Names of the element and its parents, from the resource down."""
        return tuple(self.element.split("."))


class Row(msgspec.Struct, frozen=True):
    """One field of the record, and the elements that it is read from, of which one is written."""

    field: str
    ways: tuple[Way, ...]
    codes: str | None = None
    required: bool = False
    note: str = ""


class Link(msgspec.Struct, frozen=True):
    """A field with the resource that a reference refers to."""

    field: str
    element: str
    table: str
    instead_of: str  #: field with the reference itself, if its target is unknown


class Table(msgspec.Struct, frozen=True):
    """The mapping between one resource type and one record class."""

    name: str
    resource: str
    record: type[records.Record]
    profile: str | None
    rows: tuple[Row, ...]
    links: tuple[Link, ...]
    when: tuple[dict[str, dict[str, Any]], ...]
    refuse: dict[str, tuple[str, ...]]


@cache
def load(name: str) -> Table:
    """Return the table `mappings/NAME.toml`.

    Raises:
        TableError: the file is missing or has faults; all are listed with row, key and remedy.

    """
    file = f"{name}.toml"
    try:
        source = data.toml(file)
    except FileNotFoundError:
        raise TableError([table_check.missing_file(file)]) from None
    return build(name, source)


def build(name: str, source: dict[str, Any]) -> Table:
    """Return a table built from parsed TOML.

    Args:
        name: name of the table, `lab_result`.
        source: content of its file.

    Raises:
        TableError: the table has faults; all are listed.

    """
    faults = list(table_check.check_table(f"{name}.toml", source, ORDER))
    if faults:
        raise TableError(faults)
    record = table_check.record_of(source["record"])
    assert record is not None
    required = {f.name for f in msgspec.structs.fields(record) if f.required}
    rows = tuple(_row(element, row, required) for element, row in source["elements"].items())
    links = tuple(
        Link(field, link["element"], link["table"], source["elements"][link["element"]]["field"])
        for field, link in source.get("links", {}).items()
    )
    return Table(
        name=name,
        resource=source["resource"],
        record=record,
        profile=source.get("profile"),
        rows=rows,
        links=links,
        when=tuple(source.get("when", ())),
        refuse={path: tuple(values) for path, values in source.get("refuse", {}).items()},
    )


def _row(element: str, row: dict[str, Any], required: set[str]) -> Row:
    ways = [Way(element, row.get("as"))]
    ways += [Way(way["element"], way.get("as")) for way in row.get("also", ())]
    return Row(
        field=row["field"],
        ways=tuple(ways),
        codes=row.get("codes"),
        required=row["field"] in required,
        note=row.get("note", ""),
    )
