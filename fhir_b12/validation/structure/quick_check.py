"""Tell quickly that a resource is well shaped.

Every shape a resource can hold becomes a msgspec struct, and msgspec, which is C, tries the whole
resource on. It says no more than yes or no; `structure.normalization` says what is wrong.
"""

import sys
from collections.abc import Iterator
from threading import Lock
from types import ModuleType
from typing import Any

import msgspec

from fhir_b12.caching import learned
from fhir_b12.definitions import R4
from fhir_b12.validation.structure.shapes import ELEMENT, Member, shape

# The structs name each other, and msgspec looks names up in a module.
_MODULE = ModuleType("fhir_b12.validation.structure.quick_check.structs")
_MODULE.__dict__["Any"] = Any
sys.modules[_MODULE.__name__] = _MODULE
_MAKING = Lock()
_ANNOTATIONS = {"string": "str", "boolean": "bool", "number": "int"}
_TEMPLATES = {
    (False, False): "{0}",
    (True, False): "list[{0}]",
    (True, True): "list[{0} | None]",  # null holds the place of what has only a companion
}


def is_ensured(member: Member) -> bool:
    """Return True if `is_well_shaped` detects that a member is missing; it cannot for choices."""
    return member.element.min > 0 and member.stem is None and member.companion_of is None


def is_well_shaped(resource: Any) -> bool:
    """True where each element of a resource is known, of the right JSON kind, and none is missing.

    So also of the resources within it.

    It does not see two spellings of one choice, empty lists and objects, nulls in lists and
    decimals of a wrong kind: the checks of structure do, and raise `NeedsNormalization`.
    """
    waiting = [resource]
    while waiting:
        node = waiting.pop()
        if node.__class__ is not dict:
            return False
        name = node.get("resourceType")
        if name.__class__ is not str or not R4.is_resource(name):
            return False
        try:
            msgspec.convert(node, _struct(name))
        except (msgspec.ValidationError, RecursionError):
            return False
        waiting += node.get("contained", ())
        if name in {"Bundle", "Parameters"}:
            waiting += _within(node)
    return True


def count(resource: Any) -> int:
    """The number of resources in what is given: itself, what it contains and what entries hold."""
    if not isinstance(resource, dict):
        return 0
    number, waiting = 0, [resource]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, dict):
            continue
        number += 1
        contained = node.get("contained")
        waiting += contained if isinstance(contained, list) else ()
        if node.get("resourceType") in ("Bundle", "Parameters"):  # may be a list
            waiting += _resources(node)
    return number


def _resources(node: dict[str, Any]) -> Iterator[Any]:
    """What `_within` gives, of a resource that may be of any shape."""
    for name in ("entry", "parameter", "part"):
        parts = node.get(name)
        for each in parts if isinstance(parts, list) else ():
            if isinstance(each, dict):
                yield each.get("resource")
                yield from _resources(each)


def _within(node: dict[str, Any]) -> Iterator[Any]:
    """The resources of a Bundle's entries or of Parameters."""
    for entry in node.get("entry", ()):
        if "resource" in entry:
            yield entry["resource"]
        if "outcome" in entry.get("response", ()):
            yield entry["response"]["outcome"]
    for each in (*node.get("parameter", ()), *node.get("part", ())):
        if "resource" in each:
            yield each["resource"]
        yield from _within(each)


def _struct(key: str) -> type[msgspec.Struct]:
    known: type[msgspec.Struct] | None = getattr(_MODULE, _name(key), None)
    return known or _made(key)


def _made(key: str) -> type[msgspec.Struct]:
    """The struct of a resource; those of all it can hold are there before others see it."""
    with _MAKING:
        return _made_alone(key)


def _made_alone(key: str) -> type[msgspec.Struct]:
    waiting = [key]
    made: dict[str, list[tuple[str, str, bool]]] = {}
    while waiting:
        each = waiting.pop()
        if each in made or hasattr(_MODULE, _name(each)):
            continue
        members = shape(each).members.values()
        made[each] = [(*_field(member), is_ensured(member)) for member in members]
        waiting += [_key(member) for member in members if _key(member)]
        if shape(each).is_resource:
            made[each].append(("resourceType", "str", True))
    # the resource itself comes last: who finds it finds all that it holds
    for each, fields in reversed(made.items()):
        kind = _defined(each, fields)
        setattr(_MODULE, _name(each), learned(kind) if each == key else kind)
    found: type[msgspec.Struct] = getattr(_MODULE, _name(key))
    return found


def _defined(key: str, fields: list[tuple[str, str, bool]]) -> type[msgspec.Struct]:
    numbered = [
        (f"f{index}", annotation, msgspec.field(name=name))
        if ensured
        else (f"f{index}", annotation, msgspec.field(default=None, name=name))
        for index, (name, annotation, ensured) in enumerate(fields)
    ]
    return msgspec.defstruct(
        _name(key),
        numbered,
        forbid_unknown_fields=True,
        gc=False,
        kw_only=True,
        module=_MODULE.__name__,
    )


def _name(key: str) -> str:
    return key.replace(".", "_").replace("[x]", "_")


def _key(member: Member) -> str:
    """The key of the shape a member's objects have; none for primitives and resources."""
    if member.json or member.is_resource:
        return ""
    return ELEMENT if member.companion_of else member.key


def _field(member: Member) -> tuple[str, str]:
    if member.type == "decimal":
        one = "Any"  # msgspec takes a text for a Decimal
    elif member.json:
        one = _ANNOTATIONS[member.json]
    else:
        one = "dict" if member.is_resource else _name(_key(member))
    holes = member.many and bool(member.json or member.companion_of)
    return member.name, _TEMPLATES[member.many, holes].format(one)
