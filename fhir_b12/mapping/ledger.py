"""The ledger: whether and where every leaf of a resource is mapped."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal, get_args

import msgspec

from fhir_b12.mapping import compiled_table
from fhir_b12.mapping.table import Table
from fhir_b12.mapping.table_check import hints
from fhir_b12.paths import leaves

Class = Literal["mapped", "constant", "derived", "residue"]
APART = frozenset(
    {"id", "meta", "text"}
)  #: counted separately: id on the server, metadata, narrative


class LedgerEntry(msgspec.Struct, frozen=True, gc=False):
    """One leaf: its path below the resource, its class, and the field or the reason."""

    path: str
    kind: Class
    says: str  #: field of a mapped leaf, else the reason


Row = tuple[str, Class, str]  #: path, kind and says of a LedgerEntry, as a tuple for speed


class Ledger(msgspec.Struct, frozen=True):
    """All leaves of one resource or Bundle, in document order."""

    rows: tuple[Row, ...]

    def counts(self) -> Counter[str]:
        """Return the number of leaves of each class."""
        return Counter([kind for _, kind, _ in self.rows])

    @property
    def entries(self) -> tuple[LedgerEntry, ...]:
        """All leaves."""
        return tuple(self)

    @property
    def residue(self) -> tuple[LedgerEntry, ...]:
        """Leaves that are in no record."""
        return tuple([LedgerEntry(*row) for row in self.rows if row[1] == "residue"])

    def __iter__(self) -> Iterator[LedgerEntry]:
        return (LedgerEntry(*row) for row in self.rows)

    def __len__(self) -> int:
        return len(self.rows)


class Plan(dict[str, "Plan"]):
    """The field that an element is mapped to, and the plans of its children by name.

    Children are created on access. An element that is read `whole` has none; an element whose
    field depends on its value has `routes`, and a child for each of them.
    """

    __slots__ = ("kind", "routes", "says", "whole")

    def __init__(self, says: str, kind: type[msgspec.Struct] | None = None) -> None:
        super().__init__()
        self.says = says
        self.kind = kind
        self.whole = kind is None
        self.routes: tuple[compiled_table.Route, ...] = ()

    def __missing__(self, name: str) -> "Plan | None":
        """Return the plan of a child, None if the record has no field for it."""
        if self.kind is None:
            return None
        for field in msgspec.structs.fields(self.kind):
            if field.encode_name == name and name != "modifierExtension":
                child = self[name] = Plan(f"{self.says}.{name}", _struct_type(field.type))
                return child
        return None


def _struct_type(hint: Any) -> type[msgspec.Struct] | None:
    """Return the struct type in a type hint, Coding of `tuple[Coding, ...]`; None if missing."""
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return hint
    return next(filter(None, map(_struct_type, get_args(hint))), None)


def plan(table: Table) -> Plan:
    """Return the plan of all elements of a table."""
    types = hints(table.record)
    fields = {key: field for field, key in compiled_table.keys(table).items()}
    root = _build_plan(compiled_table.tree(table), types, fields)
    root["contained"] = Plan("contained")
    return root


def _build_plan(tree: compiled_table.Tree, types: dict[str, Any], fields: dict[str, str]) -> Plan:
    """Return the plan of an element whose children are mapped."""
    plans = Plan("")
    plans.whole = False
    for name, step in tree.items():
        if isinstance(step, str):
            plans[name] = Plan(fields[step], _struct_type(types[fields[step]]))
        elif isinstance(step, dict):
            plans[name] = _build_plan(step, types, fields)
        else:
            plans[name] = Plan("")
            plans[name].routes = step
            for route in step:
                kind = None if route.decode else _struct_type(types[fields[route.key]])
                plans[name][route.key] = Plan(fields[route.key], kind)
    return plans


def account(
    resource: dict[str, Any], root: Plan, contained_rows: dict[str, list[Row]], prefix: str
) -> list[Row]:
    """Return the ledger rows of a resource that was read.

    The resource was read without issues, so its values have the right types and every element in
    the plan is mapped.

    Args:
        resource: the resource as plain JSON.
        root: plan of its table.
        contained_rows: location (`contained[0]`) -> rows of a contained resource that is part of
            the record.
        prefix: prepended to each path.

    """
    out: list[Row] = []
    for name, node in resource.items():
        if name == "resourceType":
            out.append((f"{prefix}{name}", "constant", "the resource type of the table"))
        elif name == "contained" and contained_rows and node.__class__ is list:
            for index, item in enumerate(node):
                location = f"contained[{index}]"
                if location in contained_rows:
                    out += contained_rows[location]
                else:
                    _add_element(item, root[name], f"{prefix}{location}", out)
        elif (step := root[name]) is None:
            _add_residue(node, prefix + name, _residue_reason(name), out)
        else:
            _add_element(node, step, prefix + name, out)
    return out


def unread_rows(resource: Any, why: str, prefix: str) -> list[Row]:
    """Return the ledger rows of a resource that was not read: all leaves are residue."""
    out: list[Row] = []
    if resource.__class__ is not dict or not resource:
        _add_residue(resource, prefix.rstrip("."), why, out)
        return out
    for name, node in resource.items():
        _add_residue(node, prefix + name, why, out)
    return out


def _add_element(node: Any, step: Plan, where: str, out: list[Row]) -> None:
    """Append the rows of an element, or of all items of a list."""
    if step.routes:
        routed = compiled_table.routed(node, step.routes)
        step = step[routed[0][0] if routed else step.routes[-1].key]
    if step.whole or not node:
        _add_whole(node, step, where, out)
    elif node.__class__ is dict:
        below = where + "."
        for name, child in node.items():
            inner = step[name]
            if inner is None:
                _add_residue(child, below + name, _residue_reason(name), out)
            elif child.__class__ is str and not inner.routes:
                out.append((below + name, "mapped", inner.says))
            else:
                _add_element(child, inner, below + name, out)
    else:
        for index, item in enumerate(node):
            _add_element(item, step, f"{where}[{index}]", out)


def _add_whole(node: Any, step: Plan, where: str, out: list[Row]) -> None:
    """Append the rows of an element without children in the plan."""
    if node is None:
        out.append((where, "residue", "null has no value"))
    elif node.__class__ is not dict and node.__class__ is not list:
        out.append((where, "mapped", step.says))
    elif not node:
        out.append((where, "residue", "an empty object or list has no value"))
    else:
        says = step.says
        out += [(path, "mapped", says) for path, _ in leaves(node, where)]


def _add_residue(node: Any, where: str, why: str, out: list[Row]) -> None:
    """Append the leaves of an element that is not mapped."""
    out += [(path, "residue", why) for path, _ in leaves(node, where)]


def _residue_reason(name: str) -> str:
    """Return why an element is not mapped."""
    if name == "meta":
        return "metadata of the source server"
    if name == "text":
        return "narrative"
    if name.startswith("_"):
        return "an extension of a primitive value"
    return "no row of the table maps it"
