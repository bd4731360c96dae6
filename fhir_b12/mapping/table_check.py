"""What is wrong with a mapping table, all of it: shape, then elements, fields, types and names."""

import json
import types
import typing
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
from jsonschema import Draft202012Validator

from fhir_b12 import codes, data, datatypes, records
from fhir_b12.definitions import R4, Element
from fhir_b12.mapping.codecs import CODECS

Source = dict[str, Any]
Kind = type[records.Record]


def slips(source: Source, tables: tuple[str, ...]) -> Iterator[str]:
    """Every slip of a table as parsed from TOML, with its key and what would be right."""
    wrong = list(_shape(source))
    yield from wrong
    resource, record = source.get("resource"), record_of(source.get("record"))
    if isinstance(resource, str) and not R4.is_resource(resource):
        near = R4.suggest(resource)
        yield f"resource: FHIR R4 has no {resource}" + (f"; did you mean {near}?" if near else "")
    if isinstance(source.get("record"), str) and record is None:
        known = ", ".join(sorted(record.__name__ for record in records.RECORDS))
        yield f"record: no {source['record']}; there are {known}"
    if record is None or not isinstance(resource, str) or not R4.is_resource(resource):
        return
    sound = _sound(source)
    yield from _fields(sound, record, complete=not wrong)
    yield from _paths(sound)
    yield from _types(sound, record)
    yield from _codecs(sound)
    yield from _links(sound, record, tables)
    yield from _refused(sound)
    yield from _names(sound)


def record_of(name: Any) -> Kind | None:
    """The record of that name."""
    return next((record for record in records.RECORDS if record.__name__ == name), None)


def hints(record: Kind) -> dict[str, Any]:
    """The type of each field of a record."""
    return typing.get_type_hints(record, include_extras=True)


# --- shape


@cache
def _schema() -> Source:
    schema: Source = json.loads(data.read(data.mappings(), "mapping.schema.json"))
    return schema


def _shape(source: Source) -> Iterator[str]:
    for error in Draft202012Validator(_schema()).iter_errors(source):
        yield f"{'.'.join(map(str, error.absolute_path)) or 'table'}: {error.message}"


def _sound(source: Source) -> Source:
    """The table without the parts whose shape is wrong, so that the rest can be looked at."""
    parts: Source = {"resource": source["resource"]}
    for name, kind in (("elements", "row"), ("links", "link")):
        held = source.get(name)
        found = held.items() if isinstance(held, dict) else ()
        parts[name] = {key: part for key, part in found if _fits_part(kind, part)}
    blocks = source.get("when")
    parts["when"] = [
        {path: test for path, test in block.items() if _fits_part("test", test)}
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


def _fits_part(name: str, part: Any) -> bool:
    alone = {"$ref": f"#/$defs/{name}", "$defs": _schema()["$defs"]}
    return bool(Draft202012Validator(alone).is_valid(part))


# --- fields and elements


def _fields(source: Source, record: Kind, *, complete: bool) -> Iterator[str]:
    fields = set(record.__struct_fields__)
    used: dict[str, str] = {}
    pairs = [(element, row["field"]) for element, row in source["elements"].items()]
    pairs += [(f"links.{field}", field) for field in source["links"]]
    for where, field in pairs:
        if field not in fields:
            yield f"{where}: {record.__name__} has no field {field!r}; give one of its fields"
        elif field in used:
            yield f"{where}: field {field!r} already stands at {used[field]}; use `also` there"
        used.setdefault(field, where)
    if complete:
        for field in sorted(fields - set(used)):
            yield f"elements: field {field!r} of {record.__name__} has no row, so it would be lost"


def _ways(source: Source) -> Iterator[tuple[str, str, str | None, str]]:
    """Row, element, codec and field of each way that the rows read."""
    for element, row in source["elements"].items():
        yield element, element, row.get("as"), row["field"]
        for way in row.get("also", ()):
            yield element, way["element"], way.get("as"), row["field"]


def _paths(source: Source) -> Iterator[str]:
    resource = source["resource"]
    plain: dict[str, str] = {}
    ways: set[tuple[str, str | None]] = set()
    for row, path, codec, _ in _ways(source):
        yield from _path(resource, row, path)
        if (path, codec) in ways and plain.get(path, row) == row:
            yield f"{row}: {path} stands twice"
        ways.add((path, codec))
        if codec is None and plain.setdefault(path, row) != row:
            yield f"{row}: {path} is read by {plain[path]} already, and nothing is left for this"
    for path in plain:
        for other in plain:
            if path.startswith(f"{other}."):
                yield f"{path}: {other} is read whole already; give one or the other"
    for path in [*source["refuse"], *(path for block in source["when"] for path in block)]:
        yield from _path(resource, path, path)
    for field, link in source["links"].items():
        yield from _path(resource, f"links.{field}", link["element"])


def _path(resource: str, where: str, path: str) -> Iterator[str]:
    if R4.element(f"{resource}.{path}") is None:
        near = R4.suggest(f"{resource}.{path}")
        yield f"{where}: R4 has no {resource}.{path}" + (f"; did you mean {near}?" if near else "")


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
#: Quantities under names of their own.  https://hl7.org/fhir/R4/datatypes.html#quantity-variations
_QUANTITIES = {"Age", "Count", "Distance", "Duration", "SimpleQuantity", "MoneyQuantity"}
_CARRIED = {"Extension", "Resource"}  # as they come


def _types(source: Source, record: Kind) -> Iterator[str]:
    fields = hints(record)
    for row, path, codec, field in _ways(source):
        found = R4.element(f"{source['resource']}.{path}")
        if codec is not None or found is None or field not in fields:
            continue
        many, kind = _held(fields[field])
        if len(found.types) > 1:
            yield f"{row}: {path} is a choice; name one of its types"
        elif many != (found.max is None):
            what = "may repeat" if found.max is None else "stands once"
            yield f"{row}: {path} {what} in R4, and {field} holds {'a list' if many else 'one'}"
        elif not _fits(found, kind):
            named = getattr(kind, "__name__", str(kind))
            yield f"{row}: {path} is of type {' '.join(found.types)}, and {field} holds {named}"


def _held(hint: Any) -> tuple[bool, Any]:
    """Whether a field holds a list, and what one of it is."""
    if typing.get_origin(hint) is tuple:
        return True, _held(typing.get_args(hint)[0])[1]
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        if len(kinds) == 1:
            return _held(kinds[0])
        return False, datatypes.Number
    return False, hint


def _fits(found: Element, kind: Any) -> bool:
    if found.content or found.types == ("BackboneElement",):
        return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    (name,) = found.types
    if R4.is_primitive(name):
        return kind in _PRIMITIVES.get(name, (str,))
    if name in _CARRIED:
        return kind is Any
    return kind is getattr(datatypes, "Quantity" if name in _QUANTITIES else name, None)


# --- codecs, links, refused values


def _codecs(source: Source) -> Iterator[str]:
    for row, path, name, _ in _ways(source):
        if name is None:
            continue
        if name not in CODECS:
            yield f"{row}: no codec {name!r}; there are {', '.join(sorted(CODECS))}"
            continue
        codec, found = CODECS[name], R4.element(f"{source['resource']}.{path}")
        if found is not None and found.types != (codec.reads,):
            kinds = " ".join(found.types)
            yield f"{row}: codec {name!r} reads {codec.reads}, and {path} is {kinds}"
        if path == row and codec.encode is None:
            yield f"{row}: codec {name!r} only reads: put it under `also`, behind what is written"


def _links(source: Source, record: Kind, tables: tuple[str, ...]) -> Iterator[str]:
    for field, link in source["links"].items():
        element, name = link["element"], link["table"]
        if element not in source["elements"]:
            yield f"links.{field}: {element} has no row of its own; add one to [elements]"
        if name not in tables:
            yield f"links.{field}: no table {name!r}; there are {', '.join(tables)}"
            continue
        other = data.toml(f"{name}.toml")
        held = _held(hints(record).get(field))[1]
        if held is not record_of(other.get("record")):
            yield f"links.{field}: it holds no {other.get('record')}, which {name}.toml reads"
        found = R4.element(f"{source['resource']}.{element}")
        if found is not None and other.get("resource") not in found.targets:
            yield f"links.{field}: {element} refers to no {other.get('resource')}"


_WITHDRAWN = "entered-in-error"


def _refused(source: Source) -> Iterator[str]:
    for path, values in source["refuse"].items():
        known = R4.codes(f"{source['resource']}.{path}")
        for value in values:
            if known is not None and value not in known:
                yield f"refuse.{path}: {value!r} is no code of R4 there; {', '.join(sorted(known))}"
    for element in source["elements"]:
        known = R4.codes(f"{source['resource']}.{element}")
        if known and _WITHDRAWN in known and _WITHDRAWN not in source["refuse"].get(element, ()):
            yield f"refuse: {element} may be {_WITHDRAWN!r}, which withdraws the resource; name it"


# --- names of other tables

_CODED = {"CodeableConcept", "Coding", "code"}


def _names(source: Source) -> Iterator[str]:
    named = [(row, held["codes"]) for row, held in source["elements"].items() if "codes" in held]
    for row, _ in named:
        found = R4.element(f"{source['resource']}.{row}")
        if found is not None and not _CODED.intersection(found.types):
            yield f"{row}: {' '.join(found.types)} holds no codes; leave `codes` out"
    tests = [pair for block in source["when"] for pair in block.items()]
    for path, test in tests:
        name = test.get("known") or _row_named(test).partition(".")[0]
        named += [(f"when.{path}", name)] if name else []
    for i, (where, name) in enumerate(named):
        if all(name != other for _, other in named[:i]):
            yield from _code_table(where, name)
    systems = {row["uri"] for row in data.toml("codes/systems.toml").values()}
    for path, test in tests:
        name, _, key = _row_named(test).partition(".")
        if key and not list(_code_table("", name)) and key not in codes.table(name):
            yield f"when.{path}: no row {key!r} in codes/{name}.toml; name one of its rows"
        for pair in test.get("coded", ()):
            system = pair.partition("|")[0]
            if system not in systems:
                yield f"when.{path}: no system {system!r} in codes/systems.toml; add it there"


def _row_named(test: Source) -> str:
    """The `table.key` of a guard that names one."""
    return str(test.get("key") or test.get("silent") or "")


def _code_table(where: str, name: str) -> Iterator[str]:
    if name not in codes.tables():
        yield f"{where}: no code table {name!r}; there are {', '.join(codes.tables())}"
        return
    try:
        codes.table(name)
    except data.TableError as error:
        yield from (f"{where}: {slip}" for slip in str(error).splitlines())
