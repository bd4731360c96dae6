"""`$validate`, `$expand`, `$validate-code`, `$translate`.  https://hl7.org/fhir/R4/operations.html"""

import pytest

from fhir_b12.jsonio import loads
from fhir_b12.validation import Validator
from tests.server.fhir.conftest import PATIENT, ids_on_page, observation, status_and_codes

LAB = "https://fhir-b12.org/StructureDefinition/b12-lab-result"
SCT = "http://snomed.info/sct"
ROUTES = "https://fhir-b12.org/ValueSet/routes"
UCUM = "http://unitsofmeasure.org"
_validator = Validator(plausibility=False)


def parameters(**values):
    rows = [
        {"name": name, "resource" if isinstance(value, dict) else "valueString": value}
        for name, value in values.items()
    ]
    return {"resourceType": "Parameters", "parameter": rows}


def severities(response):
    assert response.status_code == 200, response.data
    return [
        (issue["severity"], issue.get("expression", [""])[0]) for issue in response.json["issue"]
    ]


def outputs(response):
    """Return the output parameters by name; check that the response is valid FHIR."""
    assert response.status_code == 200, response.data
    assert [
        str(issue) for issue in _validator.validate(loads(response.data)) if issue.is_error
    ] == []
    values = {}
    for part in response.json["parameter"]:
        value = part.get("part") or next(v for k, v in part.items() if k != "name")
        values.setdefault(part["name"], []).append(value)
    return values


# --- $validate


def test_a_valid_resource_has_no_issues_and_is_not_stored(client):
    assert severities(client.post("Patient/$validate", PATIENT)) == [("information", "")]
    assert ids_on_page(client.get("Patient")) == []


def test_all_errors_are_reported_with_their_location(client):
    text = '{"resourceType": "Observation",\n "status": "done",\n "code": {}, "colour": 1}'
    response = client.post("Observation/$validate", text)
    lines_by_path = {
        issue["expression"][0]: [extension["valueInteger"] for extension in issue["extension"]]
        for issue in response.json["issue"]
        if issue["severity"] == "error"
    }
    assert lines_by_path["Observation.status"][0] == 2
    assert set(lines_by_path) == {"Observation.status", "Observation.code", "Observation"}


def test_malformed_json_is_reported_like_any_error(client):
    response = client.post("Observation/$validate", '{"resourceType": "Observation", "status": 1e}')
    assert severities(response)[0][0] == "fatal"


def test_a_profile_is_named_in_the_url_or_in_parameters(client):
    bare = observation()
    in_url = client.post(f"Observation/$validate?profile={LAB}", bare)
    in_body = client.post("Observation/$validate", parameters(resource=bare, profile=LAB))
    assert {row[0] for row in severities(in_url)} >= {"error"}
    assert {row[1] for row in severities(in_url)} == {row[1] for row in severities(in_body)}
    assert "error" not in {row[0] for row in severities(client.post("Observation/$validate", bare))}


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("Observation/$validate", PATIENT, 400, "invalid"),
        ("Observation/$validate", parameters(resource=PATIENT), 400, "invalid"),
        ("Observation/$validate", parameters(mode="create"), 400, "required"),
        ("Observation/$validate?mode=odd", observation(), 400, "value"),
        ("Observation/$validate?mode=profile", observation(), 400, "required"),
        ("Observation/$validate?profile=http://x.test/none", observation(), 404, "not-found"),
        ("Observation/$validate?mode=delete", observation(), 400, "required"),
        ("Observation/none/$validate?mode=delete", observation(), 404, "not-found"),
    ],
)
def test_an_invalid_validate_request_is_refused(client, path, body, status, code):
    assert status_and_codes(client.post(path, body)) == (status, [code])


def test_the_mode_decides_whether_an_id_is_required(client):
    patient = PATIENT | {"id": "a"}
    assert severities(client.post("Patient/$validate?mode=create", patient)) == [
        ("warning", "Patient.id")
    ]
    assert severities(client.post("Patient/$validate?mode=update", PATIENT)) == [
        ("error", "Patient.id")
    ]
    assert severities(client.post("Patient/b/$validate", patient)) == [("error", "Patient.id")]
    assert severities(client.post("Patient/a/$validate", patient)) == [("information", "")]


def test_a_stored_resource_is_validated(create_client):
    client = create_client(validation="off")
    name = client.create(observation(status="done"))
    assert severities(client.get(f"Observation/{name}/$validate"))[0][0] == "error"
    assert client.get("Observation/none/$validate").status_code == 404
    client("DELETE", f"Observation/{name}")
    assert client.get(f"Observation/{name}/$validate").status_code == 410


def test_types_that_are_not_stored_are_validated_too(client):
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {"fullUrl": "urn:uuid:a0a0a0a0-0000-4000-8000-000000000001", "resource": PATIENT}
        ],
    }
    assert "error" not in {row[0] for row in severities(client.post("Bundle/$validate", bundle))}
    own = {"resourceType": "Parameters", "parameter": [{"name": "a", "valueString": "b"}]}
    assert severities(client.post("Parameters/$validate", own)) == [("information", "")]


# --- $expand


def test_a_value_set_is_expanded_by_url_and_by_id(client):
    by_url = client.get(f"ValueSet/$expand?url={ROUTES}")
    by_id = client.get("ValueSet/routes/$expand")
    by_post = client.post("ValueSet/$expand", parameters(url=ROUTES))
    assert by_url.json["expansion"]["contains"] == by_id.json["expansion"]["contains"]
    assert by_url.json["expansion"]["contains"] == by_post.json["expansion"]["contains"]
    assert {concept["code"] for concept in by_url.json["expansion"]["contains"]} == {
        "47625008", "78421000", "34206005", "26643006",
    }  # fmt: skip
    assert "compose" not in by_url.json
    report = _validator.validate(loads(by_url.data))
    assert [str(issue) for issue in report if issue.is_error] == []


def test_an_expansion_is_filtered_and_paged(client):
    words = client.get("ValueSet/routes/$expand?filter=INTRA%20route").json["expansion"]
    assert (words["total"], [concept["code"] for concept in words["contains"]]) == (
        2, ["47625008", "78421000"],
    )  # fmt: skip
    part = client.get("ValueSet/routes/$expand?offset=1&count=2").json["expansion"]
    assert (part["total"], part["offset"], len(part["contains"])) == (4, 1, 2)
    assert "contains" not in client.get("ValueSet/routes/$expand?count=0").json["expansion"]


def test_value_sets_of_r4_are_expanded(client):
    url = "http://hl7.org/fhir/ValueSet/observation-status"
    codes = client.get(f"ValueSet/$expand?url={url}").json["expansion"]["contains"]
    assert {concept["code"] for concept in codes} >= {"final", "amended", "entered-in-error"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("ValueSet/$expand", (400, ["required"])),
        ("ValueSet/$expand?url=http://x.test/none", (404, ["not-found"])),
        ("ValueSet/none/$expand", (404, ["not-found"])),
        ("ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/observation-codes", (422, ["not-supported"])),
        ("ValueSet/routes/$expand?count=-1", (400, ["value"])),
        ("ValueSet/routes/$expand?count=1&count=2", (400, ["invalid"])),
        ("ValueSet/routes/$expand?displayLanguage=de", (400, ["not-supported"])),
        (f"ValueSet/sites/$expand?url={ROUTES}", (400, ["invalid"])),
    ],
)  # fmt: skip
def test_an_expansion_that_needs_another_server_is_refused(client, path, expected):
    assert status_and_codes(client.get(path)) == expected


# --- $validate-code


@pytest.mark.parametrize(
    ("query", "result"),
    [
        (f"ValueSet/$validate-code?url={ROUTES}&system={SCT}&code=47625008", True),
        (f"ValueSet/routes/$validate-code?system={SCT}&code=47625008", True),
        ("ValueSet/routes/$validate-code?code=47625008", True),
        (f"ValueSet/routes/$validate-code?system={SCT}&code=1", False),
        (f"ValueSet/routes/$validate-code?system={SCT}&code=47625008&display=Oral", False),
        ("CodeSystem/routes/$validate-code?code=intravenous", True),
        ("CodeSystem/routes/$validate-code?code=intravenus", False),
        (f"CodeSystem/$validate-code?url={UCUM}&code=ug/L", True),
        (f"CodeSystem/$validate-code?url={UCUM}&code=//", False),
    ],
)
def test_a_code_is_in_a_value_set_or_not(client, query, result):
    assert outputs(client.get(query))["result"] == [result]


def test_a_concept_is_valid_if_one_of_its_codings_is(client):
    concept = {"coding": [{"system": SCT, "code": "1"}, {"system": SCT, "code": "47625008"}]}
    body = {
        "resourceType": "Parameters",
        "parameter": [{"name": "codeableConcept", "valueCodeableConcept": concept}],
    }
    assert outputs(client.post("ValueSet/routes/$validate-code", body)) == {
        "result": [True],
        "display": ["Intravenous route (qualifier value)"],
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("ValueSet/routes/$validate-code", (400, ["required"])),
        ("CodeSystem/$validate-code?code=a", (400, ["required"])),
        (f"CodeSystem/$validate-code?url={SCT}&code=1234567", (422, ["not-supported"])),
        (f"CodeSystem/routes/$validate-code?system={SCT}&code=1", (400, ["invalid"])),
        ("ValueSet/$validate-code?url=http://x.test/none&code=a", (404, ["not-found"])),
    ],
)
def test_an_undecidable_code_is_422_and_not_false(client, query, expected):
    assert status_and_codes(client.get(query)) == expected


# --- $translate


def matches(response):
    return {
        (part[0]["valueCode"], part[1]["valueCoding"]["system"], part[1]["valueCoding"]["code"])
        for part in outputs(response).get("match", [])
    }


OURS = "https://fhir-b12.org/CodeSystem/conditions"
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
COBALAMIN = f"system={SCT}&code=190634004"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"conditions/$translate?system={OURS}&code=vitamin-b12-deficiency&targetsystem={SCT}",
         {("equivalent", SCT, "190634004")}),
        (f"conditions/$translate?{COBALAMIN}&reverse=true",
         {("equivalent", OURS, "vitamin-b12-deficiency")}),
        (f"conditions/$translate?system={ICD}&code=E53.8&reverse=true&targetsystem=x", set()),
        (f"$translate?{COBALAMIN}&targetsystem={ICD}", {("wider", ICD, "E53.8")}),
        (f"$translate?system={ICD}&code=none", set()),
    ],
)  # fmt: skip
def test_a_code_is_translated(client, query, expected):
    response = client.get(f"ConceptMap/{query}")
    assert matches(response) == expected
    assert outputs(response)["result"] == [bool(expected)]


def test_a_wider_code_translates_back_to_narrower_keys(client):
    back = matches(
        client.get(f"ConceptMap/conditions/$translate?system={ICD}&code=E53.8&reverse=true")
    )
    assert ("narrower", OURS, "vitamin-b12-deficiency") in back


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("ConceptMap/none/$translate?code=a&system=b", (404, ["not-found"])),
        ("ConceptMap/$translate", (400, ["required"])),
        (f"ConceptMap/$translate?{COBALAMIN}&target=x", (400, ["not-supported"])),
        (f"ConceptMap/$translate?{COBALAMIN}&reverse=perhaps", (400, ["value"])),
    ],
)
def test_a_code_without_translation_is_reported(client, query, expected):
    assert status_and_codes(client.get(query)) == expected


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"resourceType": "Patient"},
        {"resourceType": "Parameters", "parameter": {}},
        {"resourceType": "Parameters", "parameter": [None]},
        {"resourceType": "Parameters", "parameter": [{"name": "url"}]},
        {"resourceType": "Parameters", "parameter": [{"name": 1, "valueString": "a"}]},
        {"resourceType": "Parameters", "parameter": [{"name": "url", "valueInteger": 1}]},
        {"resourceType": "Parameters", "parameter": [{"name": "coding", "valueString": "a"}]},
    ],
)
def test_malformed_parameters_are_refused(client, body):
    for path in ("ValueSet/routes/$validate-code", "ConceptMap/$translate", "ValueSet/$expand"):
        assert client.post(path, body).status_code == 400, path


def test_the_capability_statement_lists_the_operations(client):
    rows = {row["type"]: row for row in client.get("metadata").json["rest"][0]["resource"]}
    operations = {
        kind: {operation["name"] for operation in rows[kind].get("operation", [])}
        for kind in ("Observation", "ValueSet", "CodeSystem", "ConceptMap")
    }
    assert operations == {
        "Observation": {"validate"},
        "ValueSet": {"validate", "expand", "validate-code"},
        "CodeSystem": {"validate", "validate-code"},
        "ConceptMap": {"validate", "translate"},
    }
