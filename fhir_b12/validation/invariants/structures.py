"""Invariants of StructureDefinition and ElementDefinition.

https://hl7.org/fhir/R4/structuredefinition.html and https://hl7.org/fhir/R4/elementdefinition.html
"""

import re
from itertools import chain
from typing import Any

from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.invariants.predicates import (
    choice_exists,
    count,
    distinct,
    exists,
    integer,
    is_other_than,
    items,
    json_names,
    require_any,
    require_with,
    values,
)

JsonObject = dict[str, Any]

_BESIDE_CONTENT = json_names("type", "example", "maxLength", "binding")
_TOKENS = re.compile(r"[a-zA-Z0-9/\-_\[\]@]+")
_NAME = r"[^\s.,:;'\"/|?!@#$%&*()\[\]{}]{1,64}"
_PATH = re.compile(rf"{_NAME}(\.{_NAME}(\[x\])?(:[^\s.]+)?)*")
_SIMPLE_PATH = re.compile(r"[A-Za-z][A-Za-z0-9]*(\.[a-z][A-Za-z0-9]*(\[x])?)*")
_SYSTEM_TYPE = r"http://hl7\.org/fhirpath/System\.[A-Z][A-Za-z]+"
_DIFFERENTIAL_TYPE = re.compile(rf"[a-zA-Z0-9]+|{_SYSTEM_TYPE}")
_SNAPSHOT_TYPE = re.compile(rf"[a-zA-Z0-9.]+|{_SYSTEM_TYPE}")
_SPECIFICATION = "http://hl7.org/fhir/StructureDefinition"
_REFERENCES = ("Reference", "canonical")


# --- ElementDefinition

eld_1 = require_any("discriminator", "description")


def eld_2(node: JsonObject, _: ResourceContext) -> bool:
    """`min` must not exceed max."""
    if not exists(node, "min") or not exists(node, "max") or node.get("max") == "*":
        return True
    least, most = node.get("min"), integer(node.get("max"))
    return least is not None and most is not None and bool(least <= most)


def eld_3(node: Any, _: ResourceContext) -> bool:
    """`max` must be `*` or a number."""
    number = integer(node)
    return node == "*" or (number is not None and number >= 0)


def eld_4(node: JsonObject, _: ResourceContext) -> bool:
    """`aggregation` is only allowed for references."""
    return not exists(node, "aggregation") or node.get("code") in _REFERENCES


def eld_5(node: JsonObject, _: ResourceContext) -> bool:
    """An element with a contentReference must not have a type, values or a binding."""
    if not exists(node, "contentReference"):
        return True
    stems = ("defaultValue", "fixed", "pattern", "minValue", "maxValue")
    return _BESIDE_CONTENT.isdisjoint(node) and not any(choice_exists(node, stem) for stem in stems)


def eld_6(node: JsonObject, _: ResourceContext) -> bool:
    """An element with a fixed value must have one type."""
    return count(node, "type") <= 1 or not choice_exists(node, "fixed")


def eld_7(node: JsonObject, _: ResourceContext) -> bool:
    """An element with a pattern must have one type."""
    return count(node, "type") <= 1 or not choice_exists(node, "pattern")


def eld_8(node: JsonObject, _: ResourceContext) -> bool:
    """`pattern` and fixed value must not both be present."""
    return not (choice_exists(node, "pattern") and choice_exists(node, "fixed"))


def eld_11(_node: JsonObject, _: ResourceContext) -> bool:
    """A binding is only allowed for coded types; never broken.

    R4's expression asks whether the comparisons exist, not whether one is true, and they exist if
    a type has a code. The reference validator uses the expression as it is.
    """
    return True


def eld_12(node: JsonObject, _: ResourceContext) -> bool:
    """`valueSet` must be a url or a urn."""
    if not exists(node, "valueSet"):
        return True
    return str(node.get("valueSet", "")).startswith(("http:", "https", "urn:"))


def eld_13(node: JsonObject, _: ResourceContext) -> bool:
    """Types must be unique."""
    return count(node, "type") < 2 or distinct(values(node["type"], "code"))


def eld_14(node: JsonObject, _: ResourceContext) -> bool:
    """Keys of constraints must be unique."""
    return count(node, "constraint") < 2 or distinct(values(node["constraint"], "key"))


def eld_15(node: JsonObject, _: ResourceContext) -> bool:
    """`defaultValue` and meaningWhenMissing must not both be present."""
    return not (exists(node, "meaningWhenMissing") and choice_exists(node, "defaultValue"))


def eld_16(node: JsonObject, _: ResourceContext) -> bool:
    """`sliceName` must consist of tokens separated by `/`."""
    name = node.get("sliceName")
    return not isinstance(name, str) or _TOKENS.fullmatch(name) is not None


def eld_17(node: JsonObject, _: ResourceContext) -> bool:
    """`targetProfile` is only allowed for references."""
    return node.get("code") in _REFERENCES or not exists(node, "targetProfile")


def eld_18(node: JsonObject, _: ResourceContext) -> bool:
    """A modifier element must have an isModifierReason."""
    return node.get("isModifier") is not True or exists(node, "isModifierReason")


def eld_19(node: JsonObject, _: ResourceContext) -> bool:
    """A path must not have special characters."""
    return _PATH.fullmatch(str(node.get("path", ""))) is not None


def eld_20(node: JsonObject, _: ResourceContext) -> bool:
    """A path should consist of simple names."""
    return _SIMPLE_PATH.fullmatch(str(node.get("path", ""))) is not None


eld_21 = require_any("expression")
eld_22 = require_with("sliceIsConstraining", "sliceName")


# --- StructureDefinition


def _first(node: JsonObject, view: str) -> JsonObject:
    return next(iter(items(node, view, "element")), {})


def _both(node: JsonObject) -> list[JsonObject]:
    return items(node, "snapshot", "element") + items(node, "differential", "element")


def _is_root(element: JsonObject) -> bool:
    return "path" in element and "." not in element["path"]


def sdf_1(node: JsonObject, _: ResourceContext) -> bool:
    """Paths must be unique in a specialization."""
    paths = values(items(node, "snapshot", "element"), "path")
    return node.get("derivation") == "constraint" or distinct(paths)


sdf_2 = require_any("name", "uri")


def sdf_3(node: JsonObject, _: ResourceContext) -> bool:
    """Each element of a snapshot must have definition, min and max."""
    return all(
        exists(element, "definition") and exists(element, "min") and exists(element, "max")
        for element in items(node, "element")
    )


def sdf_4(node: JsonObject, _: ResourceContext) -> bool:
    """A structure must have a baseDefinition unless it is abstract."""
    return node.get("abstract") is True or exists(node, "baseDefinition")


def sdf_5(node: JsonObject, _: ResourceContext) -> bool:
    """An extension must have a context."""
    if exists(node, "context") or node.get("derivation") == "specialization":
        return True
    return is_other_than(node, "type", "Extension")


sdf_6 = require_any("snapshot", "differential")


def sdf_8(node: JsonObject, context: ResourceContext) -> bool:
    """Each path of a snapshot must start with the type."""
    elements, owner = items(node, "element"), context.resource
    first = elements[0].get("path") if elements else None
    if owner.get("kind") != "logical" and (first is None or first != owner.get("type")):
        return False
    root = f"{_first(owner, 'snapshot').get('path', '')}."
    return all(str(element.get("path", "")).startswith(root) for element in elements[1:])


def sdf_8a(node: JsonObject, context: ResourceContext) -> bool:
    """Each path of a differential must start with the type."""
    elements, owner = items(node, "element"), context.resource
    first = str(elements[0].get("path", "")) if elements else ""
    if owner.get("kind") != "logical" and not (first and first.startswith(_type_of(owner))):
        return False
    root = f"{str(_first(owner, 'differential').get('path', '')).partition('.')[0]}."
    return all(str(element.get("path", "")).startswith(root) for element in elements[1:])


def _type_of(owner: JsonObject) -> str:
    return str(owner.get("type", " "))  # what is absent starts nothing


def sdf_8b(node: JsonObject, _: ResourceContext) -> bool:
    """Each element of a snapshot must have a base."""
    return all("base" in element for element in items(node, "element"))


def sdf_9(node: JsonObject, _: ResourceContext) -> bool:
    """The root must not have label, code or requirements."""
    none_of = json_names("label", "code", "requirements")
    return all(none_of.isdisjoint(element) for element in _both(node) if _is_root(element))


def sdf_10(node: JsonObject, _: ResourceContext) -> bool:
    """A binding must have a valueSet or a description."""
    binding = node.get("binding")
    return binding is None or exists(binding, "valueSet") or exists(binding, "description")


def sdf_11(node: JsonObject, _: ResourceContext) -> bool:
    """A snapshot must start with the type."""
    if node.get("kind") == "logical" or "snapshot" not in node:
        return True
    path = _first(node, "snapshot").get("path")
    return path is not None and path == node.get("type")


def sdf_14(node: JsonObject, _: ResourceContext) -> bool:
    """Each element must have an id."""
    return all("id" in element for element in _both(node))


def sdf_15(node: JsonObject, _: ResourceContext) -> bool:
    """The root of a snapshot must not have a type, except in a logical model."""
    return node.get("kind") == "logical" or "type" not in _first(node, "snapshot")


def sdf_15a(node: JsonObject, _: ResourceContext) -> bool:
    """The root of a differential must not have a type, except in a logical model."""
    first = _first(node, "differential")
    return "type" not in first or node.get("kind") == "logical" or "." in first.get("path", "")


def sdf_16(node: JsonObject, _: ResourceContext) -> bool:
    """Ids of a snapshot's elements must be present and unique."""
    return _own_ids(items(node, "snapshot", "element"))


def sdf_17(node: JsonObject, _: ResourceContext) -> bool:
    """Ids of a differential's elements must be present and unique."""
    return _own_ids(items(node, "differential", "element"))


def _own_ids(elements: list[JsonObject]) -> bool:
    ids = values(elements, "id")
    return len(ids) == len(elements) and distinct(ids)


def sdf_18(node: JsonObject, _: ResourceContext) -> bool:
    """`contextInvariant` is only allowed for extensions."""
    return not exists(node, "contextInvariant") or node.get("type") == "Extension"


def sdf_19(node: JsonObject, _: ResourceContext) -> bool:
    """A definition of the specification must use FHIR types only."""
    if _is_foreign(node):
        return True
    differential = values(items(node, "differential", "element", "type"), "code")
    snapshot = values(items(node, "snapshot", "element", "type"), "code")
    return all(
        chain(
            (_DIFFERENTIAL_TYPE.fullmatch(code) for code in differential),
            (_SNAPSHOT_TYPE.fullmatch(code) for code in snapshot),
        )
    )


def _is_foreign(node: JsonObject) -> bool:
    """Return True if the url is not that of a definition of the specification."""
    return "url" in node and not node["url"].startswith(_SPECIFICATION)


def sdf_20(node: JsonObject, _: ResourceContext) -> bool:
    """The root must not be sliced."""
    return not any("slicing" in element for element in items(node, "element") if _is_root(element))


def sdf_21(node: JsonObject, _: ResourceContext) -> bool:
    """Default values are only allowed in specializations."""
    if node.get("derivation") == "specialization":
        return True
    return not any(
        choice_exists(element, "defaultValue") for element in items(node, "differential", "element")
    )


def sdf_22(node: JsonObject, _: ResourceContext) -> bool:
    """A definition of the specification must not have default values."""
    return _is_foreign(node) or not any(
        choice_exists(element, "defaultValue") for element in _both(node)
    )


def sdf_23(node: JsonObject, _: ResourceContext) -> bool:
    """The root must not be a slice."""
    return all(
        not exists(element, "sliceName") or "." in element.get("path", "")
        for element in _both(node)
    )
