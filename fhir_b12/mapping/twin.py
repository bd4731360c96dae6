"""A table's twin: a type in the resource's own shape, so that msgspec reads and writes it whole.

The twin of LabResult has `valueQuantity` where the record has `value`. What the twin does not name
is not read; re-encoding a twin and subtracting it from the resource gives what is left over.
"""

from typing import Any

import msgspec

from fhir_b12.mapping.codecs import CODECS
from fhir_b12.mapping.table import Row, Table, Way, hints

Tree = dict[str, Any]  # element name -> Tree, or the type of its value


def tree(table: Table) -> Tree:
    """The elements a table names, nested as in the resource."""
    types = hints(table.record)
    root: Tree = {}
    for row in table.rows:
        for way in row.ways:
            *parents, name = way.element.split(".")
            node = root
            for parent in parents:
                node = node.setdefault(parent, {})
            if way.codec is None or name not in node:
                node[name] = wire(row, way, types)
    return root


def wire(row: Row, way: Way, types: dict[str, Any]) -> Any:
    """What an element holds: the codec's type, or the record field's own."""
    return types[row.field] if way.codec is None else CODECS[way.codec].wire


def build(name: str, node: Tree, resource: str | None = None) -> type[msgspec.Struct]:
    """The twin's type. Attributes are the element names with `_` behind."""
    fields: list[tuple[str, Any, Any]] = []
    if resource is not None:
        fields.append(("resourceType_", str, msgspec.NODEFAULT))
    for element, kind in node.items():
        if isinstance(kind, dict):
            kind = build(f"{name}.{element}", kind)  # noqa: PLW2901 - the nested twin is the kind
        default: Any = () if getattr(kind, "__origin__", None) is tuple else None
        fields.append((f"{element}_", kind if default == () else kind | None, default))
    fields.append(("modifierExtension_", None, None))
    if resource is not None:
        fields.append(("implicitRules_", None, None))
    return msgspec.defstruct(
        name,
        fields,
        rename=lambda attribute: attribute[:-1],
        omit_defaults=True,
        kw_only=True,
    )
