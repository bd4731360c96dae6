"""Definitions in XML are read as the JSON they also are."""

from decimal import Decimal

import pytest

from fhir_b12.definitions.canonicals import Canonicals
from fhir_b12.definitions.errors import PackageError
from fhir_b12.definitions.packages import (
    open_package,
)
from tests.packing import NOWHERE

XML = """<?xml version="1.0" encoding="UTF-8"?>
<!-- as people hand it around -->
<StructureDefinition xmlns="http://hl7.org/fhir">
  <id value="x"/>
  <text><status value="generated"/><div xmlns="http://www.w3.org/1999/xhtml"><p>b</p></div></text>
  <extension url="http://example.org/e"><valueDecimal value="1.50"/></extension>
  <contained><ValueSet><id value="v"/><status value="draft"/></ValueSet></contained>
  <url value="http://example.org/x"/>
  <name value="X"><extension url="http://example.org/e"><valueCode value="c"/></extension></name>
  <status><extension url="http://example.org/e"><valueBoolean value="true"/></extension></status>
  <abstract value="false"/>
  <contextInvariant value="a"/>
  <contextInvariant id="second" value="b"/>
  <differential>
    <element id="Patient.name"><path value="Patient.name"/><min value="1"/>
      <patternHumanName><given value="A"/><given value="B"/></patternHumanName></element>
  </differential>
</StructureDefinition>"""


def from_text(tmp_path, text):
    path = tmp_path / "x.xml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return open_package(path, NOWHERE)


def test_a_definition_in_xml_is_the_json_it_also_is(tmp_path):
    def extension(**value):
        return [{"url": "http://example.org/e"} | value]

    expected = {
        "resourceType": "StructureDefinition",
        "id": "x",
        "extension": extension(valueDecimal=Decimal("1.50")),
        "contained": [{"resourceType": "ValueSet", "id": "v", "status": "draft"}],
        "url": "http://example.org/x",
        "name": "X",
        "_name": {"extension": extension(valueCode="c")},
        "_status": {"extension": extension(valueBoolean=True)},
        "abstract": False,
        "contextInvariant": ["a", "b"],
        "_contextInvariant": [None, {"id": "second"}],
        "differential": {
            "element": [
                {
                    "id": "Patient.name",
                    "path": "Patient.name",
                    "min": 1,
                    "patternHumanName": {"given": ["A", "B"]},
                }
            ]
        },
    }
    for text in (XML, XML.replace("UTF-8", "UTF-16").encode("utf-16")):
        definition = Canonicals([from_text(tmp_path, text)]).find("http://example.org/x")
        assert (definition, str(definition["extension"][0]["valueDecimal"])) == (expected, "1.50")


ENTITIES = "<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]>"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (XML[:200], "not well-formed XML"),
        (
            XML.replace("<!-- as people hand it around -->", ENTITIES),
            "document type is not allowed",
        ),
        (
            XML.replace("UTF-8", "UTF-16").replace("<!--", ENTITIES + "<!--").encode("utf-16"),
            "document type is not allowed",
        ),
        (
            XML.replace("name>", "nam>").replace("<name", "<nam"),
            "unknown element nam in StructureDefinition: remove it",
        ),
        (
            XML.replace('<min value="1"/>', '<min value="one"/>'),
            "element.min must be of type unsignedInt",
        ),
        (
            XML.replace('<abstract value="false"/>', '<abstract value="no"/>'),
            "abstract must be of type boolean",
        ),
        (
            XML.replace('<id value="x"/>', '<id value="x"/><id value="y"/>'),
            "id may occur only once",
        ),
        (
            XML.replace("<p>", "<p>" * 200).replace("</p>", "</p>" * 200),
            "nested more than 100 deep",
        ),
        ("<other/>", "contains no definition"),
        (XML.replace("StructureDefinition", "Patient"), "contains no definition"),
    ],
)
def test_invalid_xml_raises_an_error_with_the_reason(tmp_path, text, reason):
    with pytest.raises(PackageError, match=reason):
        from_text(tmp_path, text)
