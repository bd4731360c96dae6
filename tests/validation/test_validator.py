"""The validator: profiles of all calls and of one, reuse, NDJSON, references and Bundles."""

import io

import pytest

from fhir_b12.definitions.packages import of_resources
from fhir_b12.validation import Validator
from fhir_b12.validation.bundle import EntryIndex
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import Finding
from tests.validation.profiling import HOME, element, patient, profile

NEEDS_NAME = profile("needs-name", "Patient", element("Patient.name", min=1))
NEEDS_GENDER = profile("needs-gender", "Patient", element("Patient.gender", min=1))
PACKAGES = [of_resources("test", [NEEDS_NAME, NEEDS_GENDER])]
BASE = "http://clinic.example/fhir"
UUID = "c757873d-ec9a-4326-a141-556f43239529"
HEART_RATE = "8867-4"
OBSERVATION = {
    "resourceType": "Observation",
    "id": "o",
    "status": "final",
    "code": {"text": "Vitamin B12"},
}


def findings(report):
    return [(issue.rule, issue.pointer) for issue in report]


def bundle(*resources, bundle_type="collection", **fields):
    entries = [
        {"fullUrl": f"{BASE}/{resource['resourceType']}/{resource['id']}", "resource": resource}
        for resource in resources
    ]
    return {"resourceType": "Bundle", "type": bundle_type, "entry": entries, **fields}


@pytest.fixture(scope="module")
def validator():
    return Validator((), PACKAGES, plausibility=False)


def test_profiles_of_one_call_are_checked_besides_those_of_the_validator():
    both = Validator([f"{HOME}needs-name"], PACKAGES, plausibility=False)
    resource = {"resourceType": "Patient", "id": "p"}
    missing = [
        issue.message.partition(" ")[0]
        for issue in both.validate(resource, profiles=[f"{HOME}needs-gender"])
    ]
    assert sorted(missing) == ["gender", "name"]
    assert [issue.message.partition(" ")[0] for issue in both.validate(resource)] == ["name"]


def test_conforms_only_counts_findings_of_the_profile(validator):
    context = ResourceContext(patient(name=[{"text": "x"}]), validator)
    earlier = [Finding("min", name="x", type="x", min=1, remedy="x")]
    assert validator.conforms(context, f"{HOME}needs-name", earlier) is True
    assert validator.conforms(context, f"{HOME}needs-gender", []) is ("gender" in context.resource)
    assert validator.conforms(context, f"{HOME}unknown", []) is None


def test_a_report_only_has_what_its_own_resource_left_unchecked(validator):
    coding = {"system": "http://clinic.example/codes", "code": "x"}
    first = validator.validate({"resourceType": "Basic", "code": {"coding": [coding]}})
    second = validator.validate({"resourceType": "Basic", "code": {"text": "x"}})
    assert (len(first.unchecked), len(second.unchecked)) == (1, 0)


def test_lines_yields_line_number_and_report_of_each_resource(validator):
    text = b'{"resourceType": "Basic", "code": {"text": "x"}}\n\n{"resourceType": \n{}\n'
    assert [
        (number, report.valid, report.resources)
        for number, report in validator.lines(io.BytesIO(text))
    ] == [(1, True, 1), (3, False, 0), (4, False, 1)]


def test_an_entry_of_a_response_may_have_references_without_a_full_url(validator):
    entry = {
        "resource": {**OBSERVATION, "subject": {"reference": "Patient/1"}},
        "response": {"status": "201"},
    }
    resource = {"resourceType": "Bundle", "type": "batch-response", "entry": [entry]}
    assert findings(validator.validate(resource)) == []


def test_provenance_may_refer_to_a_document_that_does_not_refer_to_it(validator):
    composition = {
        "resourceType": "Composition",
        "id": "c",
        "status": "final",
        "type": {"text": "a"},
        "date": "2020",
        "author": [{"display": "x"}],
        "title": "t",
    }
    provenance = {
        "resourceType": "Provenance",
        "id": "v",
        "target": [{"reference": "Composition/c"}],
        "recorded": "2020-01-01T10:00:00Z",
        "agent": [{"who": {"display": "x"}}],
    }
    document = bundle(
        composition,
        provenance,
        bundle_type="document",
        identifier={
            "system": "urn:ietf:rfc:3986",
            "value": "urn:uuid:c757873d-ec9a-4326-a141-556f43239529",
        },
        timestamp="2020-01-01T10:00:00Z",
    )
    assert findings(validator.validate(document)) == []


def test_a_document_must_contain_the_targets_of_nested_sections(validator):
    composition = {
        "resourceType": "Composition",
        "id": "c",
        "status": "final",
        "type": {"text": "a"},
        "date": "2020",
        "author": [{"display": "x"}],
        "title": "t",
        "section": [{"section": [{"entry": [{"reference": "Observation/none"}]}]}],
    }
    document = bundle(
        composition,
        bundle_type="document",
        identifier={
            "system": "urn:ietf:rfc:3986",
            "value": "urn:uuid:c757873d-ec9a-4326-a141-556f43239529",
        },
        timestamp="2020-01-01T10:00:00Z",
    )
    pointer = "/entry/0/resource/section/0/section/0/entry/0"
    assert findings(validator.validate(document)) == [("document-target", pointer)]


def test_versions_of_one_resource_are_distinguished_by_version_id(validator):
    versions = [
        {"resourceType": "Patient", "id": "1", "meta": {"versionId": number}} for number in "12"
    ]
    resource = bundle(*versions, {**OBSERVATION, "subject": {"reference": "Patient/1/_history/2"}})
    assert findings(validator.validate(resource)) == []
    resource["entry"][2]["resource"]["subject"]["reference"] = "Patient/1/_history/3"
    index = EntryIndex(ResourceContext(resource, validator))
    assert index.matches("Patient/1/_history/2", f"{BASE}/Observation/o") == [1]
    assert index.matches("Patient/1/_history/3", f"{BASE}/Observation/o") == []


def test_a_history_may_have_one_full_url_several_times(validator):
    entry = {
        "fullUrl": f"{BASE}/Patient/1",
        "resource": {"resourceType": "Patient", "id": "1"},
        "request": {"method": "PUT", "url": "Patient/1"},
        "response": {"status": "200"},
    }
    history = {"resourceType": "Bundle", "type": "history", "entry": [entry, entry]}
    assert findings(validator.validate(history)) == []


def test_only_paging_links_must_be_unique(validator):
    links = [
        {"relation": relation, "url": "http://a.test"}
        for relation in ("related", "related", "next", "next")
    ]
    assert findings(validator.validate(bundle(OBSERVATION, link=links))) == [
        ("link-twice", "/link/3/relation")
    ]


def test_an_included_resource_may_have_another_type_than_was_searched_for(validator):
    searchset = bundle(
        {"resourceType": "Patient", "id": "1"},
        OBSERVATION,
        bundle_type="searchset",
        link=[{"relation": "self", "url": f"{BASE}/Patient?x=1"}],
    )
    for entry, mode in zip(searchset["entry"], ("match", "include"), strict=True):
        entry["search"] = {"mode": mode}
    assert findings(validator.validate(searchset)) == []


@pytest.mark.parametrize(
    ("reference", "rules"),
    [
        ({"reference": "Patient/1", "type": "Patient"}, []),
        ({"reference": "Patient/1", "type": "Group"}, ["target-type"]),
        (
            {"reference": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "type": "Practitioner"},
            ["target-type"],
        ),
        ({"reference": "#practitioner"}, ["target-type"]),
        ({"reference": "#patient"}, []),
        ({"reference": "Practitioner/1"}, ["target-type-named"]),
        ({"reference": "Patient?identifier=1"}, ["conditional-reference"]),
    ],
)
def test_type_and_target_of_a_reference_must_be_allowed(validator, reference, rules):
    contained = [
        {"resourceType": "Practitioner", "id": "practitioner"},
        {"resourceType": "Patient", "id": "patient"},
    ]
    resource = {
        "resourceType": "Condition",
        "contained": contained,
        "subject": reference,
        "asserter": {"reference": "#practitioner"},
        "recorder": {"reference": "#patient"},
    }
    for _ in range(2):  # valid references are cached
        issues = [
            issue.rule for issue in validator.validate(resource) if issue.pointer == "/subject"
        ]
        assert issues == rules


def test_a_conditional_reference_is_not_allowed_in_a_batch(validator):
    entry = {
        "fullUrl": f"{BASE}/Observation/o",
        "resource": {**OBSERVATION, "subject": {"reference": "Patient?identifier=1"}},
        "request": {"method": "POST", "url": "Observation"},
    }
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [entry]}
    assert findings(validator.validate(batch)) == [
        ("conditional-reference", "/entry/0/resource/subject")
    ]


def test_a_reference_that_is_valid_alone_is_checked_again_in_a_bundle(validator):
    resource = {**OBSERVATION, "subject": {"reference": "Patient/1"}}
    assert findings(validator.validate(resource)) == []
    entries = [{"resource": resource}]
    report = validator.validate({"resourceType": "Bundle", "type": "collection", "entry": entries})
    assert ("relative-without-fullurl", "/entry/0/resource/subject") in findings(report)


def test_a_contained_resource_resolves_references_in_the_bundle_of_its_container(validator):
    inner = {
        "resourceType": "Observation",
        "id": "i",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": "Practitioner/1"},
    }
    outer = {**OBSERVATION, "contained": [inner], "hasMember": [{"reference": "#i"}]}
    report = validator.validate(bundle({"resourceType": "Practitioner", "id": "1"}, outer))
    assert findings(report) == [("target-type", "/entry/1/resource/contained/0/subject")]


def test_a_fix_of_a_misspelled_element_moves_it_to_its_sibling(validator):
    (issue,) = validator.validate({"resourceType": "Patient", "gendre": "female"})
    assert issue.fix == ({"op": "move", "from": "/gendre", "path": "/gender"},)


def test_an_object_instead_of_a_list_keeps_its_pointer(validator):
    resource = {"resourceType": "Patient", "name": {"family": 1, "text": ""}}
    assert findings(validator.validate(resource)) == [
        ("not-list", "/name"),
        ("wrong-kind", "/name/family"),
        ("empty-primitive", "/name/text"),
    ]


def test_one_fault_of_two_profiles_is_one_issue(validator):
    heart_rate = {
        "resourceType": "Observation",
        "meta": {"profile": ["http://hl7.org/fhir/StructureDefinition/vitalsigns"]},
        "status": "final",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "vital-signs",
                    }
                ]
            }
        ],
        "code": {"coding": [{"system": "http://loinc.org", "code": HEART_RATE}]},
        "subject": {"reference": "Patient/1"},
        "effectiveDateTime": "2020",
        "valueQuantity": {
            "value": 60,
            "unit": "/min",
            "system": "http://unitsofmeasure.org",
            "code": "/min",
        },
    }
    errors = [issue.rule for issue in validator.validate(heart_rate) if issue.is_error]
    assert errors == ["vs-1"]


def test_a_missing_choice_is_one_issue(validator):
    administration = {
        "resourceType": "MedicationAdministration",
        "status": "completed",
        "medicationCodeableConcept": {"text": "x"},
        "subject": {"reference": "Patient/1"},
    }
    assert findings(validator.validate(administration)) == [("min", "/effective")]


def test_a_position_is_that_of_the_owner_of_a_missing_element(validator):
    text = '{\n "resourceType": "Patient",\n "communication": [{"preferred": true}]\n}'
    (issue,) = validator.validate(text, positions=True)
    assert (issue.rule, issue.line, issue.column) == ("min", 3, 20)


def test_an_invariant_has_the_severity_of_its_definition(validator):
    value_set = {"resourceType": "ValueSet", "status": "draft", "name": "not a name"}
    period = {**OBSERVATION, "effectivePeriod": {"start": "2021", "end": "2020"}}
    assert [
        (issue.severity, issue.rule)
        for resource in (value_set, period)
        for issue in validator.validate(resource)
    ] == [("warning", "vsd-0"), ("error", "per-1")]


def test_two_types_of_one_choice_are_an_error_although_each_value_is_cached(validator):
    def extended(**values):
        return patient(extension=[{"url": "http://acme.com/e", **values}])

    for values in ({"valueString": "x"}, {"valueUri": "urn:x"}):
        assert findings(validator.validate(extended(**values))) == []
    both = extended(valueString="x", valueUri="urn:x")
    assert findings(validator.validate(both)) == [("second-choice", "/extension/0/valueUri")]


def test_entries_that_are_only_reachable_backwards_are_a_warning(validator):
    composition = {
        "resourceType": "Composition",
        "id": "c",
        "status": "final",
        "type": {"text": "a"},
        "date": "2020",
        "author": [{"display": "x"}],
        "title": "t",
    }
    document = bundle(
        composition,
        {
            **OBSERVATION,
            "focus": [{"reference": "Composition/c"}],
            "subject": {"reference": "Patient/1"},
        },
        {"resourceType": "Patient", "id": "1"},
        bundle_type="document",
        identifier={"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{UUID}"},
        timestamp="2020-01-01T10:00:00Z",
    )
    assert findings(validator.validate(document)) == [
        ("document-reverse", "/entry/1"),
        ("document-reverse", "/entry/2"),
    ]
