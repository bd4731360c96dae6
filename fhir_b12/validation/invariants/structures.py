"""Invariants of StructureDefinition and ElementDefinition.

https://hl7.org/fhir/R4/structuredefinition.html and https://hl7.org/fhir/R4/elementdefinition.html
"""

import re
from itertools import chain
from typing import Any

from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.invariants.predicates import (
    chosen,
    count,
    differs,
    distinct,
    entails,
    has,
    integer,
    items,
    names,
    needs,
    values,
)

Node = dict[str, Any]

_BESIDE_CONTENT = names("type", "example", "maxLength", "binding")
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

eld_1 = needs("discriminator", "description")


def eld_2(node: Node, _: ResourceContext) -> bool:
    """The min does not exceed the max."""
    if not has(node, "min") or not has(node, "max") or node.get("max") == "*":
        return True
    least, most = node.get("min"), integer(node.get("max"))
    return least is not None and most is not None and bool(least <= most)


def eld_3(node: Any, _: ResourceContext) -> bool:
    """A max is `*` or a number."""
    number = integer(node)
    return node == "*" or (number is not None and number >= 0)


def eld_4(node: Node, _: ResourceContext) -> bool:
    """Aggregation is for references."""
    return not has(node, "aggregation") or node.get("code") in _REFERENCES


def eld_5(node: Node, _: ResourceContext) -> bool:
    """A content reference stands without type, values and binding."""
    if not has(node, "contentReference"):
        return True
    stems = ("defaultValue", "fixed", "pattern", "minValue", "maxValue")
    return _BESIDE_CONTENT.isdisjoint(node) and not any(chosen(node, stem) for stem in stems)


def eld_6(node: Node, _: ResourceContext) -> bool:
    """A fixed value has one type."""
    return count(node, "type") <= 1 or not chosen(node, "fixed")


def eld_7(node: Node, _: ResourceContext) -> bool:
    """A pattern has one type."""
    return count(node, "type") <= 1 or not chosen(node, "pattern")


def eld_8(node: Node, _: ResourceContext) -> bool:
    """Not both a pattern and a fixed value."""
    return not (chosen(node, "pattern") and chosen(node, "fixed"))


def eld_11(_node: Node, _: ResourceContext) -> bool:
    """A binding is for coded types.

    R4's expression asks whether the comparisons exist, not whether one is true; they do wherever a
    type has a code, so it holds of everything. The reference validator applies it as it stands.
    """
    return True


def eld_12(node: Node, _: ResourceContext) -> bool:
    """A value set is named by a url or a urn."""
    if not has(node, "valueSet"):
        return True
    return str(node.get("valueSet", "")).startswith(("http:", "https", "urn:"))


def eld_13(node: Node, _: ResourceContext) -> bool:
    """No type stands twice."""
    return count(node, "type") < 2 or distinct(values(node["type"], "code"))


def eld_14(node: Node, _: ResourceContext) -> bool:
    """No constraint's key stands twice."""
    return count(node, "constraint") < 2 or distinct(values(node["constraint"], "key"))


def eld_15(node: Node, _: ResourceContext) -> bool:
    """Not both a default and a meaning when missing."""
    return not (has(node, "meaningWhenMissing") and chosen(node, "defaultValue"))


def eld_16(node: Node, _: ResourceContext) -> bool:
    """A slice's name is made of tokens with `/` between."""
    name = node.get("sliceName")
    return not isinstance(name, str) or _TOKENS.fullmatch(name) is not None


def eld_17(node: Node, _: ResourceContext) -> bool:
    """Target profiles are for references."""
    return node.get("code") in _REFERENCES or not has(node, "targetProfile")


def eld_18(node: Node, _: ResourceContext) -> bool:
    """A modifier has its reason."""
    return node.get("isModifier") is not True or has(node, "isModifierReason")


def eld_19(node: Node, _: ResourceContext) -> bool:
    """A path has no special characters."""
    return _PATH.fullmatch(str(node.get("path", ""))) is not None


def eld_20(node: Node, _: ResourceContext) -> bool:
    """A path is made of plain names."""
    return _SIMPLE_PATH.fullmatch(str(node.get("path", ""))) is not None


eld_21 = needs("expression")
eld_22 = entails("sliceIsConstraining", "sliceName")


# --- StructureDefinition


def _first(node: Node, view: str) -> Node:
    return next(iter(items(node, view, "element")), {})


def _both(node: Node) -> list[Node]:
    return items(node, "snapshot", "element") + items(node, "differential", "element")


def _is_root(element: Node) -> bool:
    return "path" in element and "." not in element["path"]


def sdf_1(node: Node, _: ResourceContext) -> bool:
    """In a specialization no path stands twice."""
    paths = values(items(node, "snapshot", "element"), "path")
    return node.get("derivation") == "constraint" or distinct(paths)


sdf_2 = needs("name", "uri")


def sdf_3(node: Node, _: ResourceContext) -> bool:
    """Each element has definition, min and max."""
    return all(
        has(each, "definition") and has(each, "min") and has(each, "max")
        for each in items(node, "element")
    )


def sdf_4(node: Node, _: ResourceContext) -> bool:
    """What is not abstract has a base."""
    return node.get("abstract") is True or has(node, "baseDefinition")


def sdf_5(node: Node, _: ResourceContext) -> bool:
    """An extension says where it may stand."""
    if has(node, "context") or node.get("derivation") == "specialization":
        return True
    return differs(node, "type", "Extension")


sdf_6 = needs("snapshot", "differential")


def sdf_8(node: Node, context: ResourceContext) -> bool:
    """Every path of a snapshot starts with the type."""
    elements, owner = items(node, "element"), context.resource
    first = elements[0].get("path") if elements else None
    if owner.get("kind") != "logical" and (first is None or first != owner.get("type")):
        return False
    root = f"{_first(owner, 'snapshot').get('path', '')}."
    return all(str(each.get("path", "")).startswith(root) for each in elements[1:])


def sdf_8a(node: Node, context: ResourceContext) -> bool:
    """Every path of a differential starts with the type."""
    elements, owner = items(node, "element"), context.resource
    first = str(elements[0].get("path", "")) if elements else ""
    if owner.get("kind") != "logical" and not (first and first.startswith(_type_of(owner))):
        return False
    root = f"{str(_first(owner, 'differential').get('path', '')).partition('.')[0]}."
    return all(str(each.get("path", "")).startswith(root) for each in elements[1:])


def _type_of(owner: Node) -> str:
    return str(owner.get("type", " "))  # what is absent starts nothing


def sdf_8b(node: Node, _: ResourceContext) -> bool:
    """Every element of a snapshot has a base."""
    return all("base" in each for each in items(node, "element"))


def sdf_9(node: Node, _: ResourceContext) -> bool:
    """The root has no label, code or requirements."""
    none_of = names("label", "code", "requirements")
    return all(none_of.isdisjoint(each) for each in _both(node) if _is_root(each))


def sdf_10(node: Node, _: ResourceContext) -> bool:
    """A binding has a value set or a description."""
    binding = node.get("binding")
    return binding is None or has(binding, "valueSet") or has(binding, "description")


def sdf_11(node: Node, _: ResourceContext) -> bool:
    """A snapshot starts with the type."""
    if node.get("kind") == "logical" or "snapshot" not in node:
        return True
    path = _first(node, "snapshot").get("path")
    return path is not None and path == node.get("type")


def sdf_14(node: Node, _: ResourceContext) -> bool:
    """Every element has an id."""
    return all("id" in each for each in _both(node))


def sdf_15(node: Node, _: ResourceContext) -> bool:
    """The root of a snapshot has no type, save in a logical model."""
    return node.get("kind") == "logical" or "type" not in _first(node, "snapshot")


def sdf_15a(node: Node, _: ResourceContext) -> bool:
    """The root of a differential has no type, save in a logical model."""
    first = _first(node, "differential")
    return "type" not in first or node.get("kind") == "logical" or "." in first.get("path", "")


def sdf_16(node: Node, _: ResourceContext) -> bool:
    """Every element of the snapshot has an id of its own."""
    return _own_ids(items(node, "snapshot", "element"))


def sdf_17(node: Node, _: ResourceContext) -> bool:
    """Every element of the differential has an id of its own."""
    return _own_ids(items(node, "differential", "element"))


def _own_ids(elements: list[Node]) -> bool:
    ids = values(elements, "id")
    return len(ids) == len(elements) and distinct(ids)


def sdf_18(node: Node, _: ResourceContext) -> bool:
    """Context invariants are for extensions."""
    return not has(node, "contextInvariant") or node.get("type") == "Extension"


def sdf_19(node: Node, _: ResourceContext) -> bool:
    """A definition of the specification uses types of FHIR."""
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


def _is_foreign(node: Node) -> bool:
    """Whether the url says that it is no definition of the specification."""
    return "url" in node and not node["url"].startswith(_SPECIFICATION)


def sdf_20(node: Node, _: ResourceContext) -> bool:
    """The root is not sliced."""
    return not any("slicing" in each for each in items(node, "element") if _is_root(each))


def sdf_21(node: Node, _: ResourceContext) -> bool:
    """Defaults are for specializations."""
    if node.get("derivation") == "specialization":
        return True
    return not any(chosen(each, "defaultValue") for each in items(node, "differential", "element"))


def sdf_22(node: Node, _: ResourceContext) -> bool:
    """A definition of the specification has no defaults."""
    return _is_foreign(node) or not any(chosen(each, "defaultValue") for each in _both(node))


def sdf_23(node: Node, _: ResourceContext) -> bool:
    """The root is no slice."""
    return all(not has(each, "sliceName") or "." in each.get("path", "") for each in _both(node))
