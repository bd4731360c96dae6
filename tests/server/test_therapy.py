"""Plain records over HTTP: stored, read, converted to and from FHIR, refused if invalid."""

import json

import pytest
from jsonschema import Draft202012Validator

from fhir_b12 import data, plain
from fhir_b12.bundles import from_bundle, to_bundle
from fhir_b12.jsonio import dumps, loads
from fhir_b12.server import therapy
from fhir_b12.server.app import create_app
from tests.server.auth.conftest import Server
from tests.server.fhir.conftest import CONFIG
from tests.server.temporary import Temporary

COURSE = loads(data.read(data.mappings().joinpath("demo"), "course.json"))
RECORD = plain.from_plain(COURSE)[0]
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def client():
    store = Temporary(CONFIG)
    yield create_app(CONFIG, store).test_client()
    store.close()


def post(client, path, value, **headers):
    body = value if isinstance(value, bytes) else dumps(value)
    return client.post(path, data=body, headers=JSON | headers)


def schema(name):
    """Return a validator of a schema of the OpenAPI document."""
    document = therapy.openapi_document("https://fhir.clinic.test")
    return Draft202012Validator({**document, "$ref": f"#/components/schemas/{name}"})


def without_ids(value):
    """Return a copy without the ids that the server assigned."""
    if isinstance(value, list):
        return sorted(
            (without_ids(item) for item in value), key=lambda item: json.dumps(item, default=str)
        )
    if isinstance(value, dict):
        return {key: without_ids(item) for key, item in value.items() if key != "id"}
    return value


def test_a_stored_record_is_read_back_unchanged(client):
    response = post(client, "/therapy/records", COURSE)
    assert response.status_code == 201
    assert schema("StoredResources").is_valid(response.json)
    resource_types = {row["resource"].partition("/")[0] for row in response.json["resources"]}
    assert {"Patient", "Observation", "MedicationAdministration", "Provenance"} <= resource_types
    name = next(
        row["resource"]
        for row in response.json["resources"]
        if row["resource"].startswith("Patient/")
    )
    back = client.get(f"/therapy/patients/{name.partition('/')[2]}")
    content = loads(back.data)
    assert (back.status_code, content["issues"], len(content["records"])) == (200, [], 1)
    assert without_ids(content["records"][0]) == without_ids(plain.to_plain(RECORD))


def test_a_provenance_lists_the_mapped_resources(client):
    response = post(client, "/therapy/records", COURSE)
    provenance = client.get("/fhir/Provenance").json["entry"][0]["resource"]
    named = {reference["reference"] for reference in provenance["target"]}
    assert named == {
        row["resource"] for row in response.json["resources"] if "Provenance" not in row["resource"]
    }


def test_a_record_stored_twice_creates_adverse_events_and_provenance_only(client):
    post(client, "/therapy/records", COURSE)
    response = post(client, "/therapy/records", COURSE)
    created_types = {
        row["resource"].partition("/")[0]
        for row in response.json["resources"]
        if row["status"].startswith("201")
    }
    assert created_types == {"AdverseEvent", "Provenance"}


def test_to_fhir_and_from_fhir_store_nothing(client):
    response = post(client, "/therapy/to-fhir", COURSE)
    assert (response.status_code, response.data) == (200, dumps(to_bundle(RECORD)))
    back = post(client, "/therapy/from-fhir", response.data)
    content = loads(back.data)
    assert (content["records"], content["issues"], content["residue"]) == (
        [plain.to_plain(RECORD)],
        [],
        [],
    )
    assert schema("Records").is_valid({**back.json, "records": []})
    assert "entry" not in client.get("/fhir/Patient").json


def test_the_residue_lists_what_is_in_no_record(client):
    value = {"resourceType": "Patient", "gender": "female", "photo": [{"title": "x"}]}
    content = post(client, "/therapy/from-fhir", value).json
    reading = from_bundle(value)
    assert content["residue"] == [entry.path for entry in reading.ledger if entry.kind == "residue"]


@pytest.mark.parametrize("path", ["/therapy/records", "/therapy/to-fhir"])
def test_issues_of_mapped_resources_are_located_in_the_record(client, path):
    invalid_identifier = {"system": "no uri", "value": "2"}
    result = {
        "status": "final", "test": {"text": "B12"}, "note": [{"text": "a"}, {"text": " "}],
        "referenceRange": [{"high": {"value": 2, "comparator": "<"}}],
    }  # fmt: skip
    value = {
        "patient": {"identifier": [{"value": "1"}, invalid_identifier]},
        "labResults": [{**result, "note": []}, result],
    }
    response = post(client, path, value)
    pointers = {error["pointer"] for error in response.json["errors"]}
    assert (response.status_code, pointers) == (422, {
        "/patient/identifier/1", "/patient/identifier/1/system", "/labResults/0/referenceRange/high",
        "/labResults/1/note/1/text", "/labResults/1/referenceRange/high",
    })  # fmt: skip


@pytest.mark.parametrize(
    ("value", "status", "pointers"),
    [
        (b"{", 400, 1),
        (b"", 400, 1),
        (b'{"a": 1, "a": 2}', 400, 1),
        (b'{"patient": "\\ud800"}', 400, 1),
        (b'{"patient": "\\u0000"}', 400, 1),
        (b"[" * 5000, 400, 1),
        (b'{"patient": 1e999999999}', 400, 1),
        (b"\xff\xfe", 400, 1),
        ([], 422, 1),
        ({}, 422, 1),
        ({"patient": None, "labResults": []}, 422, 1),
        (None, 422, 1),
        ({"patient": 7, "labResults": {}, "nothing": 1}, 422, 3),
        ({"labResults": [{"status": "final"}, {"value": "x"}]}, 422, 2),
        ({"patient": {"birthDate": "2026-02-30"}}, 422, 1),
    ],
    ids=str,
)
def test_all_errors_of_a_record_are_reported_at_once(client, value, status, pointers):
    response = post(client, "/therapy/records", value)
    assert (response.status_code, response.mimetype) == (status, "application/problem+json")
    assert schema("Problem").is_valid(response.json), response.json
    assert len(response.json["errors"]) >= pointers
    assert "entry" not in client.get("/fhir/Patient").json


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/therapy/patients/none", 404), ("GET", "/therapy/patients/a b", 404),
        ("GET", "/therapy/nothing", 404), ("DELETE", "/therapy/records", 405),
        ("POST", "/therapy/patients/one", 405),
    ],
)  # fmt: skip
def test_not_found_and_not_allowed_are_problem_details(client, method, path, status):
    response = client.open(path, method=method)
    assert (response.status_code, response.mimetype) == (status, "application/problem+json")


def test_only_json_is_accepted(client):
    response = client.post("/therapy/records", data=b"{}", headers={"Content-Type": "text/plain"})
    assert response.status_code == 415


def test_scopes_restrict_records_as_they_restrict_fhir():
    server = Server()
    headers_by_client = {
        name: {"Authorization": f"Bearer {server.token(name)}"}
        for name in ("of-one", "reader", "results")
    }
    client = server.app.test_client()
    assert client.get("/therapy/patients/one").status_code == 401
    assert (
        client.get("/therapy/patients/one", headers=headers_by_client["of-one"]).status_code == 200
    )
    assert (
        client.get("/therapy/patients/two", headers=headers_by_client["of-one"]).status_code == 404
    )
    assert (
        client.get("/therapy/patients/one", headers=headers_by_client["results"]).status_code == 403
    )
    assert (
        post(client, "/therapy/records", COURSE, **headers_by_client["reader"]).status_code == 403
    )
    assert (
        post(client, "/therapy/to-fhir", COURSE, **headers_by_client["reader"]).status_code == 200
    )
    server.store.close()


def test_the_document_has_every_route_and_valid_schemas(client):
    content = client.get("/openapi.json").json
    assert content["openapi"] == "3.1.0"
    rules = {
        (rule.rule.replace("<resource_id>", "{id}"), method.lower())
        for rule in client.application.url_map.iter_rules()
        if rule.rule.startswith("/therapy/")
        for method in rule.methods - {"OPTIONS", "HEAD"}
    }
    assert {
        (path, method) for path, methods in content["paths"].items() for method in methods
    } == rules
    for name in content["components"]["schemas"]:
        Draft202012Validator.check_schema(content["components"]["schemas"][name])
    assert schema("TherapyRecord").is_valid(json.loads(json.dumps(COURSE, default=float)))


@pytest.mark.parametrize(
    ("body", "line", "column", "pointer"),
    [
        (b'{\n "labResults": [\n  {"id": "a",}]}', 3, 13, "/labResults/0"),
        (b'{"patient": {"id": "1", "id": "2"}}', 1, 25, "/patient/id"),
        (b"", 1, 1, ""),
    ],
)
def test_json_syntax_errors_have_line_column_and_pointer(client, body, line, column, pointer):
    for path in ("/therapy/records", "/therapy/to-fhir", "/therapy/from-fhir"):
        (row,) = post(client, path, body).json["errors"]
        assert (row["line"], row["column"], row["pointer"]) == (line, column, pointer)


def test_errors_in_valid_json_have_no_line(client):
    rows = post(client, "/therapy/records", {"patient": {"birthDate": "2026-02-30"}}).json["errors"]
    assert [row for row in rows if "line" in row] == []
