"""Predicates that many invariants share.

https://hl7.org/fhir/R4/conformance-rules.html#constraints
A primitive without a value but with an extension exists: `_status` counts like `status`. In
FHIRPath an absent element is neither equal nor different, and a constraint with an empty result is
broken.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from fhir_b12.validation.context import ResourceContext

Invariant = Callable[[Any, ResourceContext], bool]

_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)


def json_names(*elements: str) -> frozenset[str]:
    """Return the JSON names under which elements exist: their own and those of companions."""
    return frozenset(prefix + name for name in elements for prefix in ("", "_"))


def exists(node: dict[str, Any], name: str) -> bool:
    """Return `name.exists()`."""
    return name in node or "_" + name in node


def choice_exists(node: dict[str, Any], stem: str) -> bool:
    """Return `stem.exists()` of a choice with too many types to list."""
    companion = "_" + stem
    return any(name.startswith((stem, companion)) for name in node)


def is_other_than(node: dict[str, Any], name: str, *codes: str) -> bool:
    """Return `name != code` for each code; an absent element is not different."""
    return exists(node, name) and node.get(name) not in codes


def count(node: dict[str, Any], name: str) -> int:
    """Return `name.count()`."""
    value = node.get(name, node.get("_" + name))
    if isinstance(value, list):
        return max(len(value), len(node.get("_" + name, ())))
    return 0 if value is None else 1


def items(node: dict[str, Any], *path: str) -> list[dict[str, Any]]:
    """Return the objects at a path: `items(node, "snapshot", "element")`."""
    nodes = [node]
    for name in path:
        nodes = [
            child
            for parent in nodes
            if name in parent
            for child in (parent[name] if isinstance(parent[name], list) else (parent[name],))
            if isinstance(child, dict)
        ]
    return nodes


def values(nodes: Iterable[dict[str, Any]], name: str) -> list[Any]:
    """Return the values that nodes have under a name."""
    return [node[name] for node in nodes if name in node]


def distinct(results: Iterable[Any]) -> bool:
    """Return `isDistinct()`."""
    listed = list(results)
    return len(set(listed)) == len(listed)


def integer(text: Any) -> int | None:
    """Return `toInteger()`."""
    return int(text) if isinstance(text, str) and _INTEGER.fullmatch(text) else None


def has_coding(node: dict[str, Any], name: str, system: str, *codes: str) -> bool:
    """Return True if a CodeableConcept has a coding of a system with one of the codes."""
    return any(
        coding.get("system") == system and coding.get("code") in codes
        for coding in items(node, name, "coding")
    )


# --- functions that return invariants


def require_any(*elements: str) -> Invariant:
    """Return an invariant: at least one of the elements must be present."""
    any_of = json_names(*elements)

    def holds(node: dict[str, Any], _: ResourceContext) -> bool:
        return not any_of.isdisjoint(node)

    return holds


def forbid_both(one: str, other: str) -> Invariant:
    """Return an invariant: the two elements must not both be present."""

    def holds(node: dict[str, Any], _: ResourceContext) -> bool:
        return not (exists(node, one) and exists(node, other))

    return holds


def require_exactly_one(one: str, *others: str) -> Invariant:
    """Return an invariant: either the first element or some of the others."""
    rest = json_names(*others)

    def holds(node: dict[str, Any], _: ResourceContext) -> bool:
        return exists(node, one) == rest.isdisjoint(node)

    return holds


def require_with(one: str, *others: str) -> Invariant:
    """Return an invariant: with the first element one of the others must be present."""
    any_of = json_names(*others)

    def holds(node: dict[str, Any], _: ResourceContext) -> bool:
        return not any_of.isdisjoint(node) or not exists(node, one)

    return holds


def allow_only_if(element: str, name: str, *codes: str) -> Invariant:
    """Return an invariant: the element is only allowed if `name` is one of the codes."""

    def holds(node: dict[str, Any], _: ResourceContext) -> bool:
        return not exists(node, element) or node.get(name) in codes

    return holds


def forbid_if(name: str, code: str, *elements: str) -> Invariant:
    """Return an invariant: none of the elements is allowed if `name` is that code."""
    none_of = json_names(*elements)

    def holds(node: dict[str, Any], _: ResourceContext) -> bool:
        return none_of.isdisjoint(node) or is_other_than(node, name, code)

    return holds


def allow_at_most_one(*elements: str) -> Invariant:
    """Return an invariant: at most one of the elements, and one value of it."""

    def holds(node: dict[str, Any], _: ResourceContext) -> bool:
        return sum(count(node, name) for name in elements) <= 1

    return holds
