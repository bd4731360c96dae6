"""The forms that many invariants share, and what existence means in JSON.

https://hl7.org/fhir/R4/conformance-rules.html#constraints
A primitive without a value but with an extension exists: `_status` says as much as `status`.
In FHIRPath what is absent is neither equal nor different: such a constraint is broken.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from fhir_b12.validation.context import ResourceContext

Invariant = Callable[[Any, ResourceContext], bool]

_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)


def names(*elements: str) -> frozenset[str]:
    """The JSON names under which elements exist: their own and those of their companions."""
    return frozenset(each for name in elements for each in (name, "_" + name))


def has(node: dict[str, Any], name: str) -> bool:
    """`name.exists()`."""
    return name in node or "_" + name in node


def chosen(node: dict[str, Any], stem: str) -> bool:
    """`stem.exists()` of a choice whose types are too many to list."""
    companion = "_" + stem
    return any(name.startswith((stem, companion)) for name in node)


def differs(node: dict[str, Any], name: str, *codes: str) -> bool:
    """`name != code` for each code; what is absent differs from nothing."""
    return has(node, name) and node.get(name) not in codes


def count(node: dict[str, Any], name: str) -> int:
    """`name.count()`."""
    value = node.get(name, node.get("_" + name))
    if isinstance(value, list):
        return max(len(value), len(node.get("_" + name, ())))
    return 0 if value is None else 1


def items(node: dict[str, Any], *path: str) -> list[dict[str, Any]]:
    """The objects at a path: `items(node, "snapshot", "element")`."""
    found = [node]
    for name in path:
        found = [
            each
            for above in found
            if name in above
            for each in (above[name] if isinstance(above[name], list) else (above[name],))
            if isinstance(each, dict)
        ]
    return found


def values(nodes: Iterable[dict[str, Any]], name: str) -> list[Any]:
    """The values that nodes have under a name."""
    return [each[name] for each in nodes if name in each]


def distinct(found: Iterable[Any]) -> bool:
    """`isDistinct()`."""
    listed = list(found)
    return len(set(listed)) == len(listed)


def integer(text: Any) -> int | None:
    """`toInteger()`."""
    return int(text) if isinstance(text, str) and _INTEGER.fullmatch(text) else None


def coded(node: dict[str, Any], name: str, system: str, *codes: str) -> bool:
    """Whether a CodeableConcept has a coding of that system with one of the codes."""
    return any(
        coding.get("system") == system and coding.get("code") in codes
        for coding in items(node, name, "coding")
    )


# --- forms of whole invariants


def needs(*elements: str) -> Invariant:
    """At least one of the elements is there."""
    any_of = names(*elements)

    def holds(node: dict[str, Any], _: ResourceContext) -> bool:
        return not any_of.isdisjoint(node)

    return holds


def not_both(one: str, other: str) -> Invariant:
    """One of the two is absent."""

    def holds(node: dict[str, Any], _: ResourceContext) -> bool:
        return not (has(node, one) and has(node, other))

    return holds


def just_one(one: str, *others: str) -> Invariant:
    """Either the one is there or some of the others, never both."""
    rest = names(*others)

    def holds(node: dict[str, Any], _: ResourceContext) -> bool:
        return has(node, one) == rest.isdisjoint(node)

    return holds


def entails(one: str, *others: str) -> Invariant:
    """Where the one is there, so is at least one of the others."""
    any_of = names(*others)

    def holds(node: dict[str, Any], _: ResourceContext) -> bool:
        return not any_of.isdisjoint(node) or not has(node, one)

    return holds


def only_where(element: str, name: str, *codes: str) -> Invariant:
    """The element is there only where `name` is one of the codes."""

    def holds(node: dict[str, Any], _: ResourceContext) -> bool:
        return not has(node, element) or node.get(name) in codes

    return holds


def never_where(name: str, code: str, *elements: str) -> Invariant:
    """Where `name` is that code, none of the elements is there."""
    none_of = names(*elements)

    def holds(node: dict[str, Any], _: ResourceContext) -> bool:
        return none_of.isdisjoint(node) or differs(node, name, code)

    return holds


def at_most_one(*elements: str) -> Invariant:
    """No more than one of the elements, and that once."""

    def holds(node: dict[str, Any], _: ResourceContext) -> bool:
        return sum(count(node, name) for name in elements) <= 1

    return holds
