"""Definitions by their canonical url: R4's own and those of packages."""

import subprocess
import sys

from fhir_b12 import data
from fhir_b12.definitions import R4
from fhir_b12.definitions.canonicals import Canonicals, version_matches
from fhir_b12.definitions.core import definitions_of
from fhir_b12.definitions.packages import of_resources
from tests.packing import TYPES, value_set


def test_a_canonical_without_version_finds_the_newest_version():
    rows = [value_set("a", version) for version in ("1.0.0", "1.2.0", "1.10.0")]
    known = Canonicals([of_resources("mine", rows)])
    url = "http://example.org/ValueSet/a"
    versions = ["", "|1.2.0", "|1.2.9", "|1.2", "|1", "|3.0.0", "|x"]
    matches = [known.find(url + version) for version in versions]
    assert [match and match["version"] for match in matches] == [
        "1.10.0",
        "1.2.0",
        "1.2.0",
        "1.2.0",
        None,
        None,
        None,
    ]
    assert (known.find(url, "CodeSystem"), known.find(""), known.find("|1")) == (None, None, None)
    assert version_matches("2021-02-03", "2021-02-03")
    assert not version_matches("2021-02-03", "2021-02-04")


def test_a_package_can_replace_value_sets_of_r4_but_not_types():
    status = "http://hl7.org/fhir/ValueSet/observation-status"
    rows = [
        value_set("x") | {"url": status, "version": "5.0.0"},
        {"resourceType": "StructureDefinition", "url": TYPES + "Patient", "version": "5.0.0"},
    ]
    known = Canonicals([of_resources("mine", rows)])
    assert known.value_set(status)["version"] == "5.0.0"
    assert known.value_set(status + "|4.0.1")["version"] == "4.0.1"
    assert known.structure(TYPES + "Patient")["version"] == "4.0.1"
    older = Canonicals([of_resources("mine", [rows[0] | {"version": "3.0.0"}])])
    assert older.value_set(status)["version"] == "4.0.1"


def test_r4_definitions_are_found_by_url_and_types_by_name():
    known = Canonicals()
    patient = known.structure("Patient")
    assert patient is known.structure(TYPES + "Patient|4.0.1") or patient == known.structure(
        TYPES + "Patient|4.0.1"
    )
    by_id = {row["id"]: row for row in patient["snapshot"]["element"]}
    gender = by_id["Patient.gender"]
    assert gender["binding"] == {
        "strength": "required",
        "valueSet": "http://hl7.org/fhir/ValueSet/administrative-gender|4.0.1",
    }
    assert (gender["min"], gender["max"], gender["type"]) == (0, "1", [{"code": "code"}])
    assert gender["base"] == {"path": "Patient.gender", "min": 0, "max": "1"}
    assert [row["key"] for row in by_id["Patient.contact"]["constraint"]] == ["ele-1", "pat-1"]
    assert known.structure("Nonsense") is None
    assert known.find(TYPES + "Patient|5.0.0") is None
    concepts = known.code_system("http://hl7.org/fhir/observation-status")["concept"]
    assert concepts[3] == {
        "code": "amended",
        "display": "Amended",
        "concept": [{"code": "corrected", "display": "Corrected"}],
    }
    deprecated = known.code_system("http://terminology.hl7.org/CodeSystem/v2-0003")["concept"]
    assert {"code": "status", "valueCode": "deprecated"} in [
        prop for concept in deprecated for prop in concept.get("property", ())
    ]


def test_every_definition_of_r4_can_be_read():
    core = definitions_of(R4)
    counts = {resource_type: len(rows) for resource_type, rows in core.entries.items()}
    assert counts == {
        "StructureDefinition": 655,
        "CodeSystem": 1062,
        "ValueSet": 1316,
    }
    assert all(
        core.resource(resource_type, url)
        for resource_type, rows in core.entries.items()
        for url in rows
    )


def test_search_parameters_and_compartments_are_those_of_the_type():
    of_type = R4.search_parameters("Observation")
    assert (of_type["code"].type, of_type["_id"].type, len(of_type)) == ("token", "token", 53)
    assert of_type["subject"].target == ("Group", "Device", "Patient", "Location")
    assert [component.expression for component in of_type["code-value-quantity"].component] == [
        "code",
        "value.as(Quantity)",
    ]
    assert R4.search_parameters("Nonsense") == {}
    assert R4.compartment("Patient")["Observation"] == ("subject", "performer")
    assert R4.compartment("Nonsense") == {}


def test_the_shipped_definitions_are_smaller_than_a_megabyte():
    sizes = [
        len(file.read_bytes()) for file in data.definitions().iterdir() if ".json" in file.name
    ]
    assert sum(sizes) < 1_000_000


def test_importing_canonicals_reads_no_file():
    program = (
        "from fhir_b12.definitions import R4, canonicals, core;"
        "print('_archive' in vars(core.definitions_of(R4)));"
        "canonicals.Canonicals(); print('_archive' in vars(core.definitions_of(R4)));"
        "canonicals.Canonicals().find('http://hl7.org/fhir/StructureDefinition/Patient');"
        "print('_archive' in vars(core.definitions_of(R4)))"
    )
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert ran.stdout.split() == [b"False", b"False", b"True"]
