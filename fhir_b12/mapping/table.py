"""A mapping table: read from TOML, and refused with every slip at once where it has any."""

from functools import cache
from typing import Any

import msgspec

from fhir_b12 import data, records
from fhir_b12.data import TableError
from fhir_b12.mapping import table_check
from fhir_b12.records import registry

#: Names of all tables; of several for one resource type, the first that reads a resource gets it.
ORDER = registry.TABLES


class Way(msgspec.Struct, frozen=True):
    """One way to spell a field: the element, and the codec where it is not its own type."""

    element: str
    codec: str | None = None

    @property
    def path(self) -> tuple[str, ...]:
        """The element's names from the resource down."""
        return tuple(self.element.split("."))


class Row(msgspec.Struct, frozen=True):
    """One field of the record: ways to read it, the first that fits is written."""

    field: str
    ways: tuple[Way, ...]
    codes: str | None = None
    required: bool = False
    note: str = ""


class Link(msgspec.Struct, frozen=True):
    """A field that holds what a reference leads to."""

    field: str
    element: str
    table: str
    instead_of: str  #: the field that holds the reference itself where it leads nowhere


class Table(msgspec.Struct, frozen=True):
    """One resource type bound to one record."""

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
    faults = list(table_check.slips(f"{name}.toml", source, ORDER))
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
