"""Conversion of definitions from XML to JSON.  https://hl7.org/fhir/R4/xml.html

Only for profiles and other definitions, which are still published in XML. Narrative is omitted.
"""

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any
from xml.parsers import expat

import msgspec

from fhir_b12.definitions import R4, Element

Json = dict[str, Any]

_FHIR = "http://hl7.org/fhir"
_MAX_DEPTH = 100  #: nested elements
_MAX_ELEMENTS = 300_000  #: elements of a definition
_encode = msgspec.json.Encoder(decimal_format="number").encode


class _XmlElement:
    """An XML element; elements outside FHIR's namespace have a name that begins with `{`."""

    __slots__ = ("attributes", "children", "name")

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name = name
        self.attributes = attributes
        self.children: list[_XmlElement] = []


def xml_to_json(text: bytes) -> bytes | None:
    """Return the JSON text of a definition in XML, None for any other XML.

    Raises:
        ValueError: The XML is not well-formed, declares a document type, exceeds a limit, or has
            an element that R4 does not define.

    """
    root = _parse_xml(text)
    if root.name.startswith("{") or R4.element(f"{root.name}.url") is None:
        return None
    return _encode(_convert_resource(root))


def _parse_xml(text: bytes) -> _XmlElement:
    """Return the root element.

    Raises:
        ValueError: The XML is not well-formed, declares a document type or exceeds a limit.

    """
    top = _XmlElement("", {})
    stack = [top]
    count = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if count > _MAX_ELEMENTS:
            raise ValueError(f"more than {_MAX_ELEMENTS:,} elements (limit)")
        if len(stack) > _MAX_DEPTH:
            raise ValueError(f"elements are nested more than {_MAX_DEPTH} deep (limit)")
        space, _, local = name.rpartition(" ")
        node = _XmlElement(local if space == _FHIR else "{" + name, attributes)
        stack[-1].children.append(node)
        stack.append(node)

    def refuse(*_: Any) -> None:
        raise ValueError("a document type is not allowed: remove <!DOCTYPE>")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: stack.pop()
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise ValueError(f"not well-formed XML: {error}") from error
    return top.children[0]


def _convert_resource(node: _XmlElement) -> Json:
    return {"resourceType": node.name} | _convert_children(node, node.name)


def _convert_children(node: _XmlElement, path: str) -> Json:
    """Return the attributes and children of an element as a JSON object.

    Raises:
        ValueError: R4 does not define a child.

    """
    members: Json = {}
    for name in ("id", "url"):
        if name in node.attributes:
            members[name] = node.attributes[name]
    for name, nodes in _group_by_name(node):
        if name == "text" and path == node.name:
            continue
        facts = R4.element(f"{path}.{name}")
        if facts is None:
            raise ValueError(f"unknown element {name} in {path}: remove it or correct its name")
        members |= _convert_values(name, nodes, facts)
    return members


def _group_by_name(node: _XmlElement) -> Iterator[tuple[str, list[_XmlElement]]]:
    groups: dict[str, list[_XmlElement]] = {}
    for child in node.children:
        groups.setdefault(child.name, []).append(child)
    yield from groups.items()


def _convert_values(name: str, nodes: list[_XmlElement], facts: Element) -> Json:
    """Return the values of one element, and for primitives its `_name` with ids and extensions.

    Raises:
        ValueError: An element that may occur once is repeated.

    """
    type_name = facts.types[0] if facts.types else ""
    if R4.is_primitive(type_name):
        values = [_convert_primitive(node, type_name, facts.path) for node in nodes]
        parent, _, last = facts.path.rpartition(".")
        extras = [_convert_children(node, f"{parent}._{last}") or None for node in nodes]
        members = {name: values, f"_{name}": extras}
    elif type_name == "Resource":
        members = {name: [_convert_resource(child) for node in nodes for child in node.children]}
    else:
        members = {name: [_convert_children(node, facts.path) for node in nodes]}
    if facts.max == 1 and len(nodes) > 1:
        raise ValueError(f"{facts.path} may occur only once: remove the others")
    present = {key: rows for key, rows in members.items() if any(row is not None for row in rows)}
    return {key: rows[0] if facts.max == 1 else rows for key, rows in present.items()}


def _convert_primitive(node: _XmlElement, type_name: str, path: str) -> Any:
    """Return the JSON value of a primitive, None if it has no value.

    Raises:
        ValueError: The value is not of the type.

    """
    value = node.attributes.get("value")
    if value is None:
        return None
    try:
        if type_name == "boolean":
            return {"true": True, "false": False}[value]
        if type_name in {"integer", "unsignedInt", "positiveInt"}:
            return int(value[:20])
        return Decimal(value) if type_name == "decimal" else value
    except (KeyError, ValueError, InvalidOperation) as error:
        raise ValueError(f"{path} must be of type {type_name}: correct its value") from error
