"""Definitions in XML as the JSON they also are.  https://hl7.org/fhir/R4/xml.html

Only for profiles and the like, which people still hand around in XML. Their narrative is left out.
"""

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any
from xml.parsers import expat

import msgspec

from fhir_b12.definitions import R4, Element

Json = dict[str, Any]

_FHIR = "http://hl7.org/fhir"
_DEEPEST = 100  #: elements in one another
_MOST = 300_000  #: elements of a definition
_encode = msgspec.json.Encoder(decimal_format="number").encode


class _XmlElement:
    """An XML element of FHIR's namespace; others keep their place and lose their content."""

    __slots__ = ("attributes", "children", "name")

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name = name
        self.attributes = attributes
        self.children: list[_XmlElement] = []


def xml_to_json(text: bytes) -> bytes | None:
    """The JSON text of a definition in XML; None of any other XML.

    Raises:
        ValueError: it is not well formed, has a document type, or holds what R4 does not know.

    """
    root = _parse_xml(text)
    if root.name.startswith("{") or R4.element(f"{root.name}.url") is None:
        return None
    return _encode(_resource(root))


def _parse_xml(text: bytes) -> _XmlElement:
    top = _XmlElement("", {})
    stack = [top]
    count = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if count > _MOST:
            raise ValueError(f"holds more than {_MOST:,} elements")
        if len(stack) > _DEEPEST:
            raise ValueError(f"more than {_DEEPEST} elements stand in one another")
        space, _, local = name.rpartition(" ")
        node = _XmlElement(local if space == _FHIR else "{" + name, attributes)
        stack[-1].children.append(node)
        stack.append(node)

    def refuse(*_: Any) -> None:
        raise ValueError("a document type is not allowed")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: stack.pop()
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise ValueError(f"not well-formed XML: {error}") from error
    return top.children[0]


def _resource(node: _XmlElement) -> Json:
    return {"resourceType": node.name} | _members(node, node.name)


def _members(node: _XmlElement, path: str) -> Json:
    """What stands in an element, by its JSON names."""
    found: Json = {}
    for name in ("id", "url"):
        if name in node.attributes:
            found[name] = node.attributes[name]
    for name, same in _by_name(node):
        if name == "text" and path == node.name:
            continue
        facts = R4.element(f"{path}.{name}")
        if facts is None:
            raise ValueError(f"{path} has no element {name}")
        found |= _values(name, same, facts)
    return found


def _by_name(node: _XmlElement) -> Iterator[tuple[str, list[_XmlElement]]]:
    together: dict[str, list[_XmlElement]] = {}
    for each in node.children:
        together.setdefault(each.name, []).append(each)
    yield from together.items()


def _values(name: str, nodes: list[_XmlElement], facts: Element) -> Json:
    """The values of one name, and their companions where they are primitive."""
    kind = facts.types[0] if facts.types else ""
    if R4.is_primitive(kind):
        values = [_primitive(each, kind, facts.path) for each in nodes]
        parent, _, last = facts.path.rpartition(".")
        beside = [_members(each, f"{parent}._{last}") or None for each in nodes]
        found = {name: values, f"_{name}": beside}
    elif kind == "Resource":
        found = {name: [_resource(inner) for each in nodes for inner in each.children]}
    else:
        found = {name: [_members(each, facts.path) for each in nodes]}
    if facts.max == 1 and len(nodes) > 1:
        raise ValueError(f"{facts.path} may stand once only")
    kept = {key: rows for key, rows in found.items() if any(row is not None for row in rows)}
    return {key: rows[0] if facts.max == 1 else rows for key, rows in kept.items()}


def _primitive(node: _XmlElement, kind: str, path: str) -> Any:
    value = node.attributes.get("value")
    if value is None:
        return None
    try:
        if kind == "boolean":
            return {"true": True, "false": False}[value]
        if kind in {"integer", "unsignedInt", "positiveInt"}:
            return int(value[:20])
        return Decimal(value) if kind == "decimal" else value
    except (KeyError, ValueError, InvalidOperation) as error:
        raise ValueError(f"{path} is no {kind}") from error
