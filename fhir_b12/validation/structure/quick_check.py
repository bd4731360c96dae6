"""Decide quickly whether a resource is well shaped.

Every shape that a resource can contain becomes a msgspec struct, and msgspec, which is written in
C, converts the whole resource. It answers only yes or no; `structure.normalization` finds out what
is wrong.
"""

import sys
from collections.abc import Iterator
from threading import Lock
from types import ModuleType
from typing import Any

import msgspec

from fhir_b12.caching import known_to_msgspec
from fhir_b12.definitions import R4
from fhir_b12.validation.structure.shapes import ELEMENT, Member, get_shape

# The structs name each other, and msgspec looks names up in a module.
_MODULE = ModuleType("fhir_b12.validation.structure.quick_check.structs")
_MODULE.__dict__["Any"] = Any
sys.modules[_MODULE.__name__] = _MODULE
_LOCK = Lock()
_ANNOTATIONS = {"string": "str", "boolean": "bool", "number": "int"}
#: Annotation by whether the member is a list, and whether null may be an item of it.
_TEMPLATES = {
    (False, False): "{0}",
    (True, False): "list[{0}]",
    (True, True): "list[{0} | None]",  # null is the value of an item that has only a companion
}


def is_ensured(member: Member) -> bool:
    """Return True if `is_well_shaped` detects that a member is missing; it cannot for choices."""
    return member.element.min > 0 and member.stem is None and member.companion_of is None


def is_well_shaped(resource: Any) -> bool:
    """Return True if every element is known, of the right JSON type, and none is missing.

    Resources within the resource are included. Two types of one choice, empty lists and objects,
    nulls in lists and decimals of a wrong JSON type are not detected: the structure checks raise
    `NeedsNormalization` for them.
    """
    stack = [resource]
    while stack:
        node = stack.pop()
        if node.__class__ is not dict:
            return False
        resource_type = node.get("resourceType")
        if resource_type.__class__ is not str or not R4.is_resource(resource_type):
            return False
        try:
            msgspec.convert(node, _get_struct(resource_type))
        except (msgspec.ValidationError, RecursionError):
            return False
        stack += node.get("contained", ())
        if resource_type in {"Bundle", "Parameters"}:
            stack += _inner_resources(node)
    return True


def count_resources(resource: Any) -> int:
    """Return the number of resources in a value of any shape: itself, contained ones, entries."""
    if not isinstance(resource, dict):
        return 0
    number, stack = 0, [resource]
    while stack:
        node = stack.pop()
        if not isinstance(node, dict):
            continue
        number += 1
        contained = node.get("contained")
        stack += contained if isinstance(contained, list) else ()
        if node.get("resourceType") in ("Bundle", "Parameters"):  # may be a list
            stack += _inner_resources_of_any_shape(node)
    return number


def _inner_resources_of_any_shape(node: dict[str, Any]) -> Iterator[Any]:
    for name in ("entry", "parameter", "part"):
        parts = node.get(name)
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict):
                yield part.get("resource")
                yield from _inner_resources_of_any_shape(part)


def _inner_resources(node: dict[str, Any]) -> Iterator[Any]:
    """Yield the resources of the entries of a Bundle or of Parameters, which are well shaped."""
    for entry in node.get("entry", ()):
        if "resource" in entry:
            yield entry["resource"]
        if "outcome" in entry.get("response", ()):
            yield entry["response"]["outcome"]
    for parameter in (*node.get("parameter", ()), *node.get("part", ())):
        if "resource" in parameter:
            yield parameter["resource"]
        yield from _inner_resources(parameter)


# --- the structs


def _get_struct(key: str) -> type[msgspec.Struct]:
    struct: type[msgspec.Struct] | None = getattr(_MODULE, _struct_name(key), None)
    return struct or _build_struct(key)


def _build_struct(key: str) -> type[msgspec.Struct]:
    """Build the struct of a resource type; other threads see it once its parts exist too."""
    with _LOCK:
        return _build_struct_and_parts(key)


def _build_struct_and_parts(key: str) -> type[msgspec.Struct]:
    stack = [key]
    fields_by_key: dict[str, list[tuple[str, str, bool]]] = {}
    while stack:
        part = stack.pop()
        if part in fields_by_key or hasattr(_MODULE, _struct_name(part)):
            continue
        members = get_shape(part).members.values()
        fields_by_key[part] = [(*_build_field(member), is_ensured(member)) for member in members]
        stack += [_key(member) for member in members if _key(member)]
        if get_shape(part).is_resource:
            fields_by_key[part].append(("resourceType", "str", True))
    # the resource type comes last: a thread that sees it sees all of its parts
    for part, fields in reversed(fields_by_key.items()):
        struct = _define_struct(part, fields)
        setattr(_MODULE, _struct_name(part), known_to_msgspec(struct) if part == key else struct)
    result: type[msgspec.Struct] = getattr(_MODULE, _struct_name(key))
    return result


def _define_struct(key: str, fields: list[tuple[str, str, bool]]) -> type[msgspec.Struct]:
    numbered = [
        (f"f{index}", annotation, msgspec.field(name=name))
        if ensured
        else (f"f{index}", annotation, msgspec.field(default=None, name=name))
        for index, (name, annotation, ensured) in enumerate(fields)
    ]
    return msgspec.defstruct(
        _struct_name(key),
        numbered,
        forbid_unknown_fields=True,
        gc=False,
        kw_only=True,
        module=_MODULE.__name__,
    )


def _struct_name(key: str) -> str:
    return key.replace(".", "_").replace("[x]", "_")


def _key(member: Member) -> str:
    """Return the key of the shape of a member's objects; "" for primitives and resources."""
    if member.json or member.is_resource:
        return ""
    return ELEMENT if member.companion_of else member.key


def _build_field(member: Member) -> tuple[str, str]:
    """Return JSON name and annotation of a member."""
    if member.type == "decimal":
        item = "Any"  # msgspec accepts a string as a Decimal
    elif member.json:
        item = _ANNOTATIONS[member.json]
    else:
        item = "dict" if member.is_resource else _struct_name(_key(member))
    nullable = member.many and bool(member.json or member.companion_of)
    return member.name, _TEMPLATES[member.many, nullable].format(item)
