"""Checks of a mapping table: shape, elements, fields, types, codecs, links and names.

`check_table` checks one table when it is loaded. `check_all` checks everything in `mappings/`, for
`fhir-b12 mappings --check`.
"""

import json
import types
import typing
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
from jsonschema import Draft202012Validator

from fhir_b12 import code_checks, codes, data, datatypes, records
from fhir_b12.data import TableError, TableFault
from fhir_b12.definitions import R4, Element
from fhir_b12.mapping.codecs import CODECS
from fhir_b12.records import registry

Source = dict[str, Any]
RecordClass = type[records.Record]
Fault = tuple[str, str, str]  #: row, key in it, message
#: TOML files of `mappings/` that are not mapping tables.
_OTHER_FILES = frozenset({"units.toml", "plausibility.toml", "vital_sign_profiles.toml"})


def check_all() -> list[TableFault]:
    """Return every fault of the mapping tables, code tables and units, without duplicates.

    The rules of `plausibility.toml` are checked by the validator that uses them.
    """
    tables = registry.TABLES
    faults = [fault for name in tables for fault in _check_file(name, tables)]
    for file in sorted(file.name for file in data.mappings().iterdir()):
        name = file.removesuffix(".toml")
        if file.endswith(".toml") and file not in _OTHER_FILES and name not in tables:
            message = "no record type has this table; add its class to fhir_b12/records/"
            faults.append(TableFault(file, "", "", message))
    return list(dict.fromkeys([*faults, *code_checks.check_all()]))


def _check_file(name: str, tables: tuple[str, ...]) -> Iterator[TableFault]:
    file = f"{name}.toml"
    try:
        source = data.toml(file)
    except FileNotFoundError:
        yield missing_file(file)
    except TableError as error:
        yield from error.faults
    else:
        yield from check_table(file, source, tables)


def missing_file(file: str) -> TableFault:
    """Return the fault of a table whose file does not exist."""
    return TableFault(file, "", "", "the file is missing; write the mapping of its record type")


def check_table(file: str, source: Source, tables: tuple[str, ...]) -> Iterator[TableFault]:
    """Yield every fault of a mapping table, and of the code tables that it names.

    Args:
        file: name of the file, for the faults.
        source: the table as parsed from TOML.
        tables: names of all mapping tables, to which links may refer.

    """
    for row, key, message in _faults(source, tables):
        yield TableFault(file, row, key, message)
    for name in _code_tables(source):
        try:
            codes.table(name)
        except TableError as error:
            yield from error.faults
        except KeyError:
            continue  # reported as a fault of the row that names it


def _faults(source: Source, tables: tuple[str, ...]) -> Iterator[Fault]:
    shape_faults = list(_check_shape(source))
    yield from shape_faults
    resource, record = source.get("resource"), record_of(source.get("record"))
    if isinstance(resource, str) and not R4.is_resource(resource):
        near = R4.suggest(resource)
        hint = f"; did you mean {near}?" if near else ""
        yield "resource", "", f"{resource} is not a resource type of FHIR R4{hint}"
    if isinstance(source.get("record"), str) and record is None:
        known = ", ".join(sorted(record.__name__ for record in records.RECORDS))
        yield "record", "", f"unknown record {source['record']}; known records: {known}"
    if record is None or not isinstance(resource, str) or not R4.is_resource(resource):
        return
    valid_parts = _well_formed_parts(source)
    yield from _check_fields(valid_parts, record, complete=not shape_faults)
    yield from _check_paths(valid_parts)
    yield from _check_types(valid_parts, record)
    yield from _check_codecs(valid_parts)
    yield from _check_links(valid_parts, record, tables)
    yield from _check_refused(valid_parts)
    yield from _check_names(valid_parts)


def record_of(name: Any) -> RecordClass | None:
    """Return the record class of a name, None if unknown."""
    return next((record for record in records.RECORDS if record.__name__ == name), None)


def hints(record: RecordClass) -> dict[str, Any]:
    """Return the type of each field of a record."""
    return typing.get_type_hints(record, include_extras=True)


# --- shape


@cache
def _schema() -> Source:
    schema: Source = json.loads(data.read(data.mappings(), "mapping.schema.json"))
    return schema


def _check_shape(source: Source) -> Iterator[Fault]:
    """Yield every violation of mapping.schema.json."""
    for error in Draft202012Validator(_schema()).iter_errors(source):
        path = [*map(str, error.absolute_path)]
        if path[:1] == ["elements"]:
            path = path[1:] or path
        row, *keys = path or ["table"]
        yield row, ".".join(keys), error.message


def _well_formed_parts(source: Source) -> Source:
    """Return the table without the parts of wrong shape, so that the rest can be checked."""
    parts: Source = {"resource": source["resource"]}
    for name, definition in (("elements", "row"), ("links", "link")):
        section = source.get(name)
        items = section.items() if isinstance(section, dict) else ()
        parts[name] = {key: part for key, part in items if _has_shape(definition, part)}
    blocks = source.get("when")
    parts["when"] = [
        {path: test for path, test in block.items() if _has_shape("test", test)}
        for block in (blocks if isinstance(blocks, list) else ())
        if isinstance(block, dict)
    ]
    refused = source.get("refuse")
    parts["refuse"] = {
        path: [value for value in values if isinstance(value, str)]
        for path, values in (refused.items() if isinstance(refused, dict) else ())
        if isinstance(values, list)
    }
    return parts


def _has_shape(definition: str, part: Any) -> bool:
    """Return True if a part of a table conforms to a definition of the schema."""
    schema = {"$ref": f"#/$defs/{definition}", "$defs": _schema()["$defs"]}
    return bool(Draft202012Validator(schema).is_valid(part))


# --- fields and elements


def _check_fields(source: Source, record: RecordClass, *, complete: bool) -> Iterator[Fault]:
    """Yield every field that is unknown, mapped twice, or (if `complete`) not mapped."""
    fields = set(record.__struct_fields__)
    used: dict[str, str] = {}
    entries = [(element, "field", row["field"]) for element, row in source["elements"].items()]
    entries += [("links", field, field) for field in source["links"]]
    for row, key, field in entries:
        if field not in fields:
            yield row, key, f"{record.__name__} has no field {field!r}; write one of its fields"
        elif field in used:
            yield row, key, f"field {field!r} is already mapped to {used[field]}; use `also` there"
        used.setdefault(field, row)
    if complete:
        for field in sorted(fields - set(used)):
            message = f"field {field!r} of {record.__name__} has no row and would be lost; add one"
            yield "elements", "", message


def _ways(source: Source) -> Iterator[tuple[str, str, str | None, str]]:
    """Yield row, element, codec and field of each element that a row reads."""
    for element, row in source["elements"].items():
        yield element, element, row.get("as"), row["field"]
        for way in row.get("also", ()):
            yield element, way["element"], way.get("as"), row["field"]


def _check_paths(source: Source) -> Iterator[Fault]:
    """Yield every element that R4 does not have, or that is read more than once."""
    resource = source["resource"]
    plain: dict[str, str] = {}
    ways: set[tuple[str, str | None]] = set()
    for row, path, codec, _ in _ways(source):
        key = "" if path == row else "also"
        yield from _check_path(resource, row, key, path)
        if (path, codec) in ways and plain.get(path, row) == row:
            yield row, key, f"{path} is listed twice; remove one"
        ways.add((path, codec))
        if codec is None and plain.setdefault(path, row) != row:
            yield row, key, f"{path} is already read by row {plain[path]}; remove it here"
    for path in plain:
        for other in plain:
            if path.startswith(f"{other}."):
                yield path, "", f"row {other} already reads the whole of {other}; keep one"
    for path in source["refuse"]:
        yield from _check_path(resource, "refuse", path, path)
    for block in source["when"]:
        for path in block:
            yield from _check_path(resource, "when", path, path)
    for field, link in source["links"].items():
        yield from _check_path(resource, "links", field, link["element"])


def _check_path(resource: str, row: str, key: str, path: str) -> Iterator[Fault]:
    if R4.element(f"{resource}.{path}") is None:
        near = R4.suggest(f"{resource}.{path}")
        hint = f"; did you mean {near}?" if near else ""
        yield row, key, f"R4 has no element {resource}.{path}{hint}"


# --- types

_PRIMITIVES = {
    "boolean": (bool,),
    "integer": (int,),
    "unsignedInt": (int,),
    "positiveInt": (int,),
    "decimal": (datatypes.Number,),
    "date": (datatypes.Date, datatypes.DateTime),
    "dateTime": (datatypes.DateTime,),
    "instant": (datatypes.Instant, datatypes.DateTime),
}
#: Types derived from Quantity.  https://hl7.org/fhir/R4/datatypes.html#quantity-variations
_QUANTITIES = {"Age", "Count", "Distance", "Duration", "SimpleQuantity", "MoneyQuantity"}
_AS_JSON = {"Extension", "Resource"}  #: types that a record has as JSON


def _check_types(source: Source, record: RecordClass) -> Iterator[Fault]:
    """Yield every element whose type or cardinality is not that of its field."""
    fields = hints(record)
    for row, path, codec, field in _ways(source):
        element = R4.element(f"{source['resource']}.{path}")
        if codec is not None or element is None or field not in fields:
            continue
        key = "" if path == row else "also"
        is_list, item = _item_type(fields[field])
        if len(element.types) > 1:
            yield row, key, f"{path} is a choice of types; name the element of one type"
        elif is_list != (element.max is None):
            repeats = "may repeat" if element.max is None else "occurs once at most"
            yield row, key, f"{path} {repeats} in R4, field {field} is {_list_or_one(is_list)}"
        elif not _has_type(element, item):
            name = getattr(item, "__name__", str(item))
            yield row, key, f"{path} has type {' '.join(element.types)}, field {field} has {name}"


def _list_or_one(is_list: bool) -> str:
    return "a list" if is_list else "a single value"


def _item_type(hint: Any) -> tuple[bool, Any]:
    """Return True if a field is a list, and the type of its value or items."""
    if typing.get_origin(hint) is tuple:
        return True, _item_type(typing.get_args(hint)[0])[1]
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        options = [option for option in typing.get_args(hint) if option is not type(None)]
        if len(options) == 1:
            return _item_type(options[0])
        return False, datatypes.Number
    return False, hint


def _has_type(element: Element, item: Any) -> bool:
    """Return True if an element of R4 converts to a type of a field."""
    if element.content or element.types == ("BackboneElement",):
        return isinstance(item, type) and issubclass(item, msgspec.Struct)
    (name,) = element.types
    if R4.is_primitive(name):
        return item in _PRIMITIVES.get(name, (str,))
    if name in _AS_JSON:
        return item is Any
    return item is getattr(datatypes, "Quantity" if name in _QUANTITIES else name, None)


# --- codecs, links, refused values


def _check_codecs(source: Source) -> Iterator[Fault]:
    """Yield every codec that is unknown, reads another type, or cannot write."""
    for row, path, name, _ in _ways(source):
        if name is None:
            continue
        key = "as" if path == row else "also"
        if name not in CODECS:
            yield row, key, f"unknown codec {name!r}; known codecs: {', '.join(sorted(CODECS))}"
            continue
        codec, element = CODECS[name], R4.element(f"{source['resource']}.{path}")
        if element is not None and element.types != (codec.reads,):
            actual = " ".join(element.types)
            yield row, key, f"codec {name!r} reads {codec.reads}, {path} has type {actual}"
        if path == row and codec.encode is None:
            yield row, key, f"codec {name!r} only reads; move it to `also` of the row that writes"


def _check_links(source: Source, record: RecordClass, tables: tuple[str, ...]) -> Iterator[Fault]:
    """Yield every link whose reference, table or field does not fit."""
    for field, link in source["links"].items():
        element, name = link["element"], link["table"]
        if element not in source["elements"]:
            yield "links", field, f"{element} has no row of its own; add one to [elements]"
        if name not in tables:
            yield "links", field, f"unknown table {name!r}; known tables: {', '.join(tables)}"
            continue
        other = data.toml(f"{name}.toml")
        if _item_type(hints(record).get(field))[1] is not record_of(other.get("record")):
            yield "links", field, f"the field has another type than {other.get('record')}"
        target = R4.element(f"{source['resource']}.{element}")
        if target is not None and other.get("resource") not in target.targets:
            yield "links", field, f"{element} cannot refer to {other.get('resource')} in R4"


_WITHDRAWN = "entered-in-error"


def _check_refused(source: Source) -> Iterator[Fault]:
    """Yield every refused value that R4 does not have, and every withdrawal that is not refused."""
    for path, values in source["refuse"].items():
        known = R4.codes(f"{source['resource']}.{path}")
        for value in values:
            if known is not None and value not in known:
                yield "refuse", path, f"unknown code {value!r}; R4 has {', '.join(sorted(known))}"
    for element in source["elements"]:
        known = R4.codes(f"{source['resource']}.{element}")
        if known and _WITHDRAWN in known and _WITHDRAWN not in source["refuse"].get(element, ()):
            yield "refuse", element, f"{_WITHDRAWN!r} withdraws the resource; add it here"


# --- names of code tables

_CODED = {"CodeableConcept", "Coding", "code"}


def _code_tables(source: Source) -> dict[str, tuple[str, str]]:
    """Return the code tables that a table names, with row and key of their first use."""
    if not isinstance(source.get("resource"), str):
        return {}
    parts = _well_formed_parts(source)
    named: dict[str, tuple[str, str]] = {}
    for row, value in parts["elements"].items():
        if "codes" in value:
            named.setdefault(value["codes"], (row, "codes"))
    for block in parts["when"]:
        for path, test in block.items():
            name = test.get("known") or _row_reference(test).partition(".")[0]
            if name:
                named.setdefault(name, ("when", path))
    return named


def _check_names(source: Source) -> Iterator[Fault]:
    """Yield every code table, row of one, and code system that does not exist."""
    for row, value in source["elements"].items():
        element = R4.element(f"{source['resource']}.{row}")
        if "codes" in value and element is not None and not _CODED.intersection(element.types):
            types = " ".join(element.types)
            yield row, "codes", f"{row} has type {types}, which has no codes; remove `codes`"
    for name, (row, key) in _code_tables(source).items():
        if name not in codes.tables():
            known = ", ".join(codes.tables())
            yield row, key, f"unknown code table {name!r}; known tables: {known}"
    systems = {row["uri"] for row in data.toml("codes/systems.toml").values()}
    for path, test in (pair for block in source["when"] for pair in block.items()):
        name, _, key = _row_reference(test).partition(".")
        if name in codes.tables() and key not in data.toml(f"codes/{name}.toml"):
            yield "when", path, f"codes/{name}.toml has no row {key!r}; name one of its rows"
        for pair in test.get("coded", ()):
            system = pair.partition("|")[0]
            if system not in systems:
                yield "when", path, f"unknown system {system!r}; add it to codes/systems.toml"


def _row_reference(test: Source) -> str:
    """Return the `table.row` that a test of a `when` block names, "" if none."""
    return str(test.get("key") or test.get("silent") or "")
