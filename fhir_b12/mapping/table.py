"""A mapping table: read from TOML, and refused with every slip at once where it has any."""

import json
import typing
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
from jsonschema import Draft202012Validator

from fhir_b12 import codes, data, definitions, records
from fhir_b12.data import TableError
from fhir_b12.mapping.codecs import CODECS

ORDER = (
    "patient", "lab_result", "vital_sign", "lifestyle", "outcome", "medication", "infusion",
    "infusion_order", "condition", "session_step", "procedure", "medication_use", "reaction",
    "session", "follow_up", "follow_up_order",
)  # fmt: skip
"""All tables; of several for one resource type the first that reads a resource has it."""


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
    """The table `mappings/NAME.toml`.

    Raises:
        TableError: it has slips; the message lists them all with file, key and remedy.

    """
    return build(name, data.toml(f"{name}.toml"))


def build(name: str, source: dict[str, Any]) -> Table:
    """A table from parsed TOML; see `load`."""
    slips = list(_shape(source)) or list(_meaning(source))
    if slips:
        raise TableError("\n".join(f"{name}.toml: {slip}" for slip in slips))
    record = _record(source["record"])
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


def _record(name: str) -> type[records.Record] | None:
    return next((record for record in records.RECORDS if record.__name__ == name), None)


@cache
def _schema() -> Draft202012Validator:
    return Draft202012Validator(json.loads(data.read(data.mappings(), "mapping.schema.json")))


def _shape(source: dict[str, Any]) -> Iterator[str]:
    for error in _schema().iter_errors(source):
        yield f"{'.'.join(map(str, error.absolute_path)) or 'table'}: {error.message}"


def _meaning(source: dict[str, Any]) -> Iterator[str]:
    resource, record = source["resource"], _record(source["record"])
    if resource not in definitions.resource_types():
        yield f"resource: FHIR R4 has no {resource}"
        return
    if record is None:
        known = ", ".join(sorted(record.__name__ for record in records.RECORDS))
        yield f"record: no {source['record']}; there are {known}"
        return
    yield from _fields(source, record)
    yield from _paths(source)
    yield from _names(source)


def _fields(source: dict[str, Any], record: type[records.Record]) -> Iterator[str]:
    fields = set(record.__struct_fields__)
    used: dict[str, str] = {}
    pairs = [(element, row["field"]) for element, row in source["elements"].items()]
    pairs += [(f"links.{field}", field) for field in source.get("links", {})]
    for where, field in pairs:
        if field not in fields:
            yield f"{where}: {record.__name__} has no field {field!r}; give one of its fields"
        elif field in used:
            yield f"{where}: field {field!r} already stands at {used[field]}; use `also` there"
        used.setdefault(field, where)
    for field in sorted(fields - set(used)):
        yield f"elements: field {field!r} of {record.__name__} has no row, so it would be lost"


def _paths(source: dict[str, Any]) -> Iterator[str]:
    resource = source["resource"]
    seen: set[str] = set()
    for element, row in source["elements"].items():
        ways = [element, *(way["element"] for way in row.get("also", ()))]
        for path in ways:
            yield from _path(resource, element, path)
        if element in seen:
            yield f"{element}: stands twice"
        seen.add(element)
    for path in [
        *source.get("refuse", {}),
        *(p for block in source.get("when", ()) for p in block),
    ]:
        yield from _path(resource, path, path)
    for field, link in source.get("links", {}).items():
        yield from _path(resource, f"links.{field}", link["element"])


def _path(resource: str, where: str, path: str) -> Iterator[str]:
    if definitions.element(f"{resource}.{path}") is None:
        near = definitions.suggest(f"{resource}.{path}")
        yield f"{where}: R4 has no {resource}.{path}" + (f"; did you mean {near}?" if near else "")


def _names(source: dict[str, Any]) -> Iterator[str]:
    for element, row in source["elements"].items():
        for way in [row, *row.get("also", ())]:
            if "as" in way and way["as"] not in CODECS:
                yield f"{element}: no codec {way['as']!r}; there are {', '.join(sorted(CODECS))}"
        if "codes" in row and row["codes"] not in codes.tables():
            known = ", ".join(codes.tables())
            yield f"{element}: no code table {row['codes']!r}; there are {known}"
    for field, link in source.get("links", {}).items():
        if link["element"] not in source["elements"]:
            yield f"links.{field}: {link['element']} has no row of its own; add one to [elements]"
        if link["table"] not in ORDER:
            yield f"links.{field}: no table {link['table']!r}; there are {', '.join(ORDER)}"
    for block in source.get("when", ()):
        for path, test in block.items():
            name = (test.get("known") or test.get("key", "").partition(".")[0]) or None
            if name is not None and name not in codes.tables():
                known = ", ".join(codes.tables())
                yield f"when.{path}: no code table {name!r}; there are {known}"


def hints(record: type[records.Record]) -> dict[str, Any]:
    """The type of each field of a record."""
    return typing.get_type_hints(record, include_extras=True)
