"""A compiled table: the record key of each element, and the element of each key.

Both sides are plain JSON here. For a table with `status` and `code = { field = "test" }`

    gather({"status": "final", "code": {...}})  gives  {"status": "final", "test": {...}}
    scatter({"status": "final", "test": {...}}) gives  {"status": "final", "code": {...}}

so that msgspec reads and writes whole records, and only elements that are present cost time.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from fhir_b12.mapping.codecs import CODECS
from fhir_b12.mapping.table import Table, Way

Json = dict[str, Any]
Decode = Callable[[Any], Any]


class Route(msgspec.Struct, frozen=True):
    """A record key that an element is read into, unchanged or through a codec."""

    key: str
    decode: Decode | None


#: element name -> key of the record, or routes in order of trial, or the elements below it
Tree: TypeAlias = "dict[str, str | tuple[Route, ...] | Tree]"


class Target(msgspec.Struct, frozen=True):
    """An element that a record key is written to, unchanged or through a codec."""

    parents: tuple[str, ...]
    name: str
    encode: Callable[[Any], Any] | None


def keys(table: Table) -> dict[str, str]:
    """Return the JSON name of each field of the record."""
    return {field.name: field.encode_name for field in msgspec.structs.fields(table.record)}


def tree(table: Table) -> Tree:
    """Return the elements of a table, nested as in the resource, with their record keys."""
    routes: dict[str, list[Route]] = {}
    for row in table.rows:
        for way in row.ways:
            decode = None if way.codec is None else CODECS[way.codec].decode
            routes.setdefault(way.element, []).append(Route(keys(table)[row.field], decode))
    root: Tree = {}
    for element, element_routes in routes.items():
        *parents, name = element.split(".")
        node: Any = root
        for parent in parents:
            node = node.setdefault(parent, {})
        # a codec may reject a value, so routes that accept any value come last
        ordered = tuple(sorted(element_routes, key=lambda route: route.decode is None))
        node[name] = ordered[0].key if ordered[0].decode is None else ordered
    return root


def gather(node: Json, elements: Tree, record: Json) -> Json:
    """Add the values of the mapped elements of a resource to a record; return the record."""
    for name, value in node.items():
        step = elements.get(name)
        if step is None or value is None or (value.__class__ is dict and not value):
            continue  # an empty object equals a missing one
        if step.__class__ is str:
            record[step] = value
        elif step.__class__ is tuple:
            _add_decoded(value, step, record)
        elif value.__class__ is dict:
            gather(value, step, record)  # type: ignore[arg-type]  # only a Tree is left
    return record


def _add_decoded(value: Any, routes: Any, record: Json) -> None:
    for key, decoded in routed(value, routes):
        record[key] = decoded


def routed(value: Any, routes: tuple[Route, ...]) -> list[tuple[str, Any]]:
    """Return key and decoded value of the first route that accepts a value; [] if none does."""
    for route in routes:
        decoded = value if route.decode is None else route.decode(value)
        if decoded is not None:
            return [(route.key, decoded)]
    return []


def key_of(elements: Tree, path: tuple[str, ...], value: Any) -> str | None:
    """Return the key to which the value at a path is mapped, None if no route accepts it."""
    step: Any = elements
    for name in path:
        step = step[name]
    if isinstance(step, str):
        return step
    return next((key for key, _ in routed(value, step)), None)


def targets(table: Table) -> dict[str, str | tuple[Target, ...]]:
    """Return the element of each key, or several in order if they have codecs."""
    elements: dict[str, str | tuple[Target, ...]] = {}
    for row in table.rows:
        ways = [way for way in row.ways if way.codec is None or CODECS[way.codec].encode]
        plain = ways[0].codec is None and len(ways[0].path) == 1
        elements[keys(table)[row.field]] = (
            ways[0].element if plain else tuple(map(_build_target, ways))
        )
    return elements


def _build_target(way: Way) -> Target:
    *parents, name = way.element.split(".")
    encode = None if way.codec is None else CODECS[way.codec].encode
    return Target(tuple(parents), name, encode)


def scatter(record: Json, goes: dict[str, str | tuple[Target, ...]], resource: Json) -> Json:
    """Add the values of a record at the elements of the table; return the resource."""
    for key, value in record.items():
        step = goes[key]
        if step.__class__ is str:
            resource[step] = value
        else:
            _add_encoded(value, step, resource)
    return resource


def _add_encoded(value: Any, step: Any, resource: Json) -> None:
    for target in step:
        written = value if target.encode is None else target.encode(value)
        if written is not None:
            node = resource
            for parent in target.parents:
                node = node.setdefault(parent, {})
            node[target.name] = written
            return
