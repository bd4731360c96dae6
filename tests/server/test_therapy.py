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
    """A validator of one of the schemas that the document names."""
    whole = therapy.openapi_document("https://fhir.clinic.test")
    return Draft202012Validator({**whole, "$ref": f"#/components/schemas/{name}"})


def nameless(value):
    """Without the ids that the server gave."""
    if isinstance(value, list):
        return sorted(
            (nameless(item) for item in value), key=lambda item: json.dumps(item, default=str)
        )
    if isinstance(value, dict):
        return {key: nameless(item) for key, item in value.items() if key != "id"}
    return value


def test_a_stored_record_is_read_back_unchanged(client):
    answer = post(client, "/therapy/records", COURSE)
    assert answer.status_code == 201
    assert schema("StoredResources").is_valid(answer.json)
    made = {row["resource"].partition("/")[0] for row in answer.json["resources"]}
    assert {"Patient", "Observation", "MedicationAdministration", "Provenance"} <= made
    name = next(
        row["resource"]
        for row in answer.json["resources"]
        if row["resource"].startswith("Patient/")
    )
    back = client.get(f"/therapy/patients/{name.partition('/')[2]}")
    told = loads(back.data)
    assert (back.status_code, told["issues"], len(told["records"])) == (200, [], 1)
    assert nameless(told["records"][0]) == nameless(plain.to_plain(RECORD))


def test_a_provenance_lists_the_mapped_resources(client):
    answer = post(client, "/therapy/records", COURSE)
    kept = client.get("/fhir/Provenance").json["entry"][0]["resource"]
    named = {reference["reference"] for reference in kept["target"]}
    assert named == {
        row["resource"] for row in answer.json["resources"] if "Provenance" not in row["resource"]
    }


def test_a_record_stored_twice_creates_adverse_events_and_provenance_only(client):
    post(client, "/therapy/records", COURSE)
    answer = post(client, "/therapy/records", COURSE)
    again = {
        row["resource"].partition("/")[0]
        for row in answer.json["resources"]
        if row["status"].startswith("201")
    }
    assert again == {"AdverseEvent", "Provenance"}


def test_to_fhir_and_from_fhir_store_nothing(client):
    answer = post(client, "/therapy/to-fhir", COURSE)
    assert (answer.status_code, answer.data) == (200, dumps(to_bundle(RECORD)))
    back = post(client, "/therapy/from-fhir", answer.data)
    told = loads(back.data)
    assert (told["records"], told["issues"], told["residue"]) == ([plain.to_plain(RECORD)], [], [])
    assert schema("Records").is_valid({**back.json, "records": []})
    assert "entry" not in client.get("/fhir/Patient").json


def test_the_residue_lists_what_is_in_no_record(client):
    value = {"resourceType": "Patient", "gender": "female", "photo": [{"title": "x"}]}
    told = post(client, "/therapy/from-fhir", value).json
    reading = from_bundle(value)
    assert told["residue"] == [entry.path for entry in reading.ledger if entry.kind == "residue"]


@pytest.mark.parametrize("place", ["/therapy/records", "/therapy/to-fhir"])
def test_issues_of_mapped_resources_are_located_in_the_record(client, place):
    odd = {"system": "no uri", "value": "2"}
    result = {
        "status": "final", "test": {"text": "B12"}, "note": [{"text": "a"}, {"text": " "}],
        "referenceRange": [{"high": {"value": 2, "comparator": "<"}}],
    }  # fmt: skip
    value = {
        "patient": {"identifier": [{"value": "1"}, odd]},
        "labResults": [{**result, "note": []}, result],
    }
    answer = post(client, place, value)
    pointers = {error["pointer"] for error in answer.json["errors"]}
    assert (answer.status_code, pointers) == (422, {
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
    answer = post(client, "/therapy/records", value)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert schema("Problem").is_valid(answer.json), answer.json
    assert len(answer.json["errors"]) >= pointers
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
    answer = client.open(path, method=method)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")


def test_only_json_is_accepted(client):
    answer = client.post("/therapy/records", data=b"{}", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415


def test_scopes_restrict_records_as_they_restrict_fhir():
    server = Server()
    asked = {
        name: {"Authorization": f"Bearer {server.token(name)}"}
        for name in ("of-one", "reader", "results")
    }
    client = server.app.test_client()
    assert client.get("/therapy/patients/one").status_code == 401
    assert client.get("/therapy/patients/one", headers=asked["of-one"]).status_code == 200
    assert client.get("/therapy/patients/two", headers=asked["of-one"]).status_code == 404
    assert client.get("/therapy/patients/one", headers=asked["results"]).status_code == 403
    assert post(client, "/therapy/records", COURSE, **asked["reader"]).status_code == 403
    assert post(client, "/therapy/to-fhir", COURSE, **asked["reader"]).status_code == 200
    server.store.close()


def test_the_document_has_every_route_and_valid_schemas(client):
    told = client.get("/openapi.json").json
    assert told["openapi"] == "3.1.0"
    rules = {
        (rule.rule.replace("<resource_id>", "{id}"), method.lower())
        for rule in client.application.url_map.iter_rules()
        if rule.rule.startswith("/therapy/")
        for method in rule.methods - {"OPTIONS", "HEAD"}
    }
    assert {
        (path, method) for path, methods in told["paths"].items() for method in methods
    } == rules
    for name in told["components"]["schemas"]:
        Draft202012Validator.check_schema(told["components"]["schemas"][name])
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
