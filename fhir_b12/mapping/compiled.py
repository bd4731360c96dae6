"""A table as two straight-line functions: one attribute after the other, no loops and no look-ups.

For a table with `status` and `code = { field = "test" }` they read

    def read(t):                       def write(r):
        return Record(                     return Twin(resourceType_=resource,
            status=t.status_,                  status_=r.status,
            test=t.code_,                      code_=r.test)
        )
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from fhir_b12.mapping import table as tables
from fhir_b12.mapping import twin
from fhir_b12.mapping.codecs import CODECS
from fhir_b12.records import Record


def functions(
    source: tables.Table, elements: twin.Tree, shape: type[msgspec.Struct]
) -> tuple[Callable[..., Record], Callable[[Record], msgspec.Struct]]:
    """The functions record <- twin and twin <- record, written as source and compiled."""
    names: dict[str, Any] = {"Record": source.record, "Twin": shape}
    text = "\n".join([*_reader(source, names), "", *_writer(source, elements, shape, names)])
    exec(compile(text, f"<lens {source.name}>", "exec"), names)  # noqa: S102 - our own tables only
    return names["read"], names["write"]


def _reader(source: tables.Table, names: dict[str, Any]) -> Iterator[str]:
    yield "def read(t):"
    claims: dict[str, list[str]] = {}
    lines: list[str] = []
    for row in source.rows:
        lines += _read_row(row, names, claims)
    yield from lines
    yield "    return Record("
    for row in source.rows:
        taken = " or ".join(
            claim for way in row.ways if way.codec is None for claim in claims.get(way.element, ())
        )
        simple = len(row.ways) == 1 and row.ways[0].codec is None
        value = _get(row.ways[0].element) if simple else f"v_{row.field}"
        yield f"        {row.field}={f'None if {taken} else {value}' if taken else value},"
    yield "    )"


def _read_row(
    row: tables.Row, names: dict[str, Any], claims: dict[str, list[str]]
) -> Iterator[str]:
    if len(row.ways) == 1 and row.ways[0].codec is None:
        return
    variable = f"v_{row.field}"
    yield f"    {variable} = None"
    for number, way in enumerate(row.ways):
        claim = f"c_{row.field}_{number}"
        yield f"    {claim} = False"
        yield f"    if {variable} is None and {_get(way.element)} is not None:"
        value = _get(way.element)
        if way.codec is not None:
            names[f"decode_{way.codec}"] = CODECS[way.codec].decode
            value = f"decode_{way.codec}({value})"
        yield f"        {variable} = {value}"
        yield f"        {claim} = {variable} is not None"
        if way.codec is not None:
            claims.setdefault(way.element, []).append(claim)


def _get(element: str) -> str:
    """The expression that reads an element of the twin, None-safe on nested ones."""
    *parents, name = element.split(".")
    if not parents:
        return f"t.{name}_"
    parent = _get(".".join(parents))
    return f"(None if {parent} is None else {parent}.{name}_)"


def _writer(
    source: tables.Table, elements: twin.Tree, shape: type[msgspec.Struct], names: dict[str, Any]
) -> Iterator[str]:
    yield "def write(r):"
    values: dict[str, str] = {}
    for row in source.rows:
        if len(row.ways) == 1 and row.ways[0].codec is None:
            values[row.ways[0].element] = f"r.{row.field}"
            continue
        yield from _write_row(row, names, values)
    names["resource"] = source.resource
    made = _make(elements, "", values, shape, names)
    yield f"    return Twin(resourceType_=resource, {made[1:]}"


def _write_row(row: tables.Row, names: dict[str, Any], values: dict[str, str]) -> Iterator[str]:
    left = f"l_{row.field}"
    yield f"    {left} = r.{row.field}"
    for number, way in enumerate(row.ways):
        out = f"o_{row.field}_{number}"
        if way.codec is None:
            yield f"    {out}, {left} = {left}, None"
        elif CODECS[way.codec].encode is not None:
            names[f"encode_{way.codec}"] = CODECS[way.codec].encode
            yield f"    {out} = None if {left} is None else encode_{way.codec}({left})"
            yield f"    if {out} is not None: {left} = None"
        else:
            continue
        values.setdefault(way.element, out)


def _make(
    elements: twin.Tree,
    prefix: str,
    values: dict[str, str],
    shape: Any,
    names: dict[str, Any],
) -> str:
    parts = []
    for element, kind in elements.items():
        path = f"{prefix}{element}"
        if isinstance(kind, dict):
            inner = f"Twin_{path.replace('.', '_')}"
            field = next(f for f in msgspec.structs.fields(shape) if f.name == f"{element}_")
            names[inner] = next(a for a in field.type.__args__ if a is not type(None))
            names[f"empty_{inner}"] = names[inner]()
            made = inner + _make(kind, f"{path}.", values, names[inner], names)
            parts.append(f"{element}_=(lambda n: None if n == empty_{inner} else n)({made})")
        elif path in values:
            parts.append(f"{element}_={values[path]}")
    return f"({', '.join(parts)})"
