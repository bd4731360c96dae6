"""Convert FHIR XML to JSON, for definitions of test cases.  https://hl7.org/fhir/R4/xml.html"""

from decimal import Decimal
from xml.etree import ElementTree as ET

from fhir_b12.validation.structure.shapes import get_shape

_FHIR = "{http://hl7.org/fhir}"
_KINDS = {"boolean": lambda text: text == "true", "number": Decimal, "string": str}


def resource(node: ET.Element) -> dict:
    name = node.tag.removeprefix(_FHIR)
    return {"resourceType": name} | _object(node, name)


def _object(node: ET.Element, key: str) -> dict:
    members = get_shape(key).members
    values: dict = {name: node.attrib[name] for name in ("id", "url") if name in node.attrib}
    for child in node:
        name = child.tag.removeprefix(_FHIR)
        if name.startswith("{"):  # xhtml
            values["div"] = ET.tostring(child, encoding="unicode")
            continue
        member = members[name]
        for part, value in _parts(child, name, member):
            if members[part].many:
                values.setdefault(part, []).append(value)
            else:
                values[part] = value
    return values


def _parts(child: ET.Element, name: str, member):
    if member.json:
        if "value" in child.attrib:
            yield name, _KINDS[member.json](child.attrib["value"])
        if len(child) or "id" in child.attrib:
            yield f"_{name}", _object(child, "Element")
    elif member.is_resource:
        yield name, resource(child[0])
    else:
        yield name, _object(child, member.key)
