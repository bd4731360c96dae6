"""Find and replace the references in a record or in a FHIR resource, at any depth."""

import types
import typing
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, TypeVar

import msgspec

from fhir_b12.datatypes import Identifier, Reference

S = TypeVar("S", bound=msgspec.Struct)
Key = tuple[str, str]  #: (system, value) of a business identifier
JsonPath = tuple[str | int, ...]  #: ("component", 0, "valueQuantity")


def walk_references(value: Any) -> Iterator[tuple[JsonPath, dict[str, Any]]]:
    """Yield path and object of every Reference in a FHIR JSON value, in document order.

    https://hl7.org/fhir/R4/references.html

    Args:
        value: A resource or a part of one; contained resources and entries are searched too.

    Yields:
        The path from the value, and the object, whose `reference` is a string. The caller may
        replace that string.

    """
    stack: list[tuple[JsonPath, Any]] = [((), value)] if isinstance(value, dict | list) else []
    while stack:
        path, node = stack.pop()
        if isinstance(node, dict):
            if isinstance(node.get("reference"), str):
                yield path, node
            parts: Any = node.items()
        else:
            parts = enumerate(node)
        nested = [((*path, step), part) for step, part in parts if isinstance(part, dict | list)]
        nested.reverse()
        stack += nested


def identifier_key(reference: Reference) -> Key | None:
    """Return the business identifier by which a reference names its target.

    Returns:
        None if the reference has an address, no identifier, or an identifier with more than system
        and value.

    """
    name = reference.identifier
    if reference.reference is not None or name is None or not name.system or not name.value:
        return None
    plain = Identifier(system=name.system, value=name.value)
    return (name.system, name.value) if name == plain else None


def with_identifier(reference: Reference, name: Key) -> Reference:
    """Return the reference with its target's business identifier instead of an address."""
    identifier = Identifier(system=name[0], value=name[1])
    return msgspec.structs.replace(reference, reference=None, identifier=identifier)


def with_address(reference: Reference, address: str) -> Reference:
    """Return the reference with its target's address instead of a business identifier."""
    return msgspec.structs.replace(reference, reference=address, identifier=None)


def replace(value: S, change: Callable[[Reference], Reference]) -> S:
    """Return a record with every reference replaced by `change(reference)`.

    The record itself is returned if no reference changes.
    """
    changes: dict[str, Any] = {}
    for name in _fields_with_references(type(value)):
        old = getattr(value, name)
        new = _replace(old, change)
        if new is not old:
            changes[name] = new
    return msgspec.structs.replace(value, **changes) if changes else value


def _replace(value: Any, change: Callable[[Reference], Reference]) -> Any:
    if value is None:
        return None
    if value.__class__ is tuple:
        if not value:
            return value
        items = tuple([_replace(item, change) for item in value])
        same = all(new is old for new, old in zip(items, value, strict=True))
        return value if same else items
    if value.__class__ is Reference:
        return change(value)
    return replace(value, change)


def references_in(value: msgspec.Struct) -> Iterator[Reference]:
    """Yield every reference in a record."""
    references: list[Reference] = []

    def collect(reference: Reference) -> Reference:
        references.append(reference)
        return reference

    replace(value, collect)
    return iter(references)


@cache
def _fields_with_references(struct: type[msgspec.Struct]) -> tuple[str, ...]:
    """Return the fields of a type that may contain a reference at any depth."""
    hints = typing.get_type_hints(struct)
    return tuple(
        name
        for name in struct.__struct_fields__
        if any(_contains_reference(inner, ()) for inner in _structs(hints[name]))
    )


def _contains_reference(struct: type[msgspec.Struct], parents: tuple[type, ...]) -> bool:
    """Return whether a type is Reference or contains it; `parents` end recursive types."""
    if struct is Reference:
        return True
    # an identifier's assigner and an annotation's author name people outside the record
    if struct in parents or struct is Identifier:
        return False
    hints = typing.get_type_hints(struct)
    return any(
        _contains_reference(inner, (*parents, struct))
        for name in struct.__struct_fields__
        for inner in _structs(hints[name])
    )


def _structs(hint: Any) -> Iterator[type[msgspec.Struct]]:
    """Yield the struct types in a type hint."""
    if typing.get_origin(hint) in {tuple, typing.Union, types.UnionType}:
        for inner in typing.get_args(hint):
            yield from _structs(inner)
    elif isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        yield hint
