"""Create, read, vread, update, patch, delete.  https://hl7.org/fhir/R4/http.html"""

from decimal import Decimal

import pytest

from fhir_b12.jsonio import loads
from tests.server.fhir.conftest import BASE, PATIENT, observation, status_and_codes

MOMENT = "Thu, 01 Jan 2026 00:00:00 GMT"


def stamps(response):
    names = ("Location", "Content-Location", "ETag", "Last-Modified")
    return {name: response.headers[name] for name in names if name in response.headers}


def test_create_returns_201_with_location_etag_last_modified_and_body(client):
    response = client.post("Patient", PATIENT)
    place = f"{BASE}/Patient/{response.json['id']}/_history/1"
    assert response.status_code == 201
    assert stamps(response) == {
        "Location": place, "Content-Location": place, "ETag": 'W/"1"', "Last-Modified": MOMENT,
    }  # fmt: skip
    assert response.json == PATIENT | {
        "id": response.json["id"],
        "meta": {"versionId": "1", "lastUpdated": "2026-01-01T00:00:00.000Z"},
    }


def test_create_ignores_an_id_of_the_client(client):
    assert client.post("Patient", PATIENT | {"id": "mine"}).json["id"] != "mine"


def test_update_returns_content_location_too(client):
    name = client.create(PATIENT)
    response = client.put(f"Patient/{name}", PATIENT | {"id": name, "gender": "female"})
    place = f"{BASE}/Patient/{name}/_history/2"
    assert response.status_code == 200
    assert (response.headers["Location"], response.headers["Content-Location"]) == (place, place)
    assert response.headers["ETag"] == 'W/"2"'


def test_update_creates_a_missing_resource(client):
    response = client.put("Patient/mine", PATIENT | {"id": "mine"})
    assert (response.status_code, response.headers["ETag"]) == (201, 'W/"1"')
    assert client.get("Patient/mine").json["active"] is True


def test_an_unchanged_update_creates_no_version(client):
    name = client.create(PATIENT)
    stored = client.get(f"Patient/{name}").json
    for body in (stored, PATIENT | {"id": name}):
        response = client.put(f"Patient/{name}", body)
        assert (response.status_code, response.headers["ETag"]) == (200, 'W/"1"')
    assert client.get(f"Patient/{name}/_history/2").status_code == 404


def test_numbers_are_stored_digit_for_digit(client):
    text = """{"resourceType":"Observation","status":"final","code":{"text":"β₁₂ \\u00e9"},
        "valueQuantity":{"value":180.00,"unit":"pg/mL"},"referenceRange":[{"low":{"value":1.0E+2}}]}"""
    name = client.post("Observation", text.encode()).json["id"]
    value = loads(client.get(f"Observation/{name}").data)
    assert str(value["valueQuantity"]["value"]) == "180.00"
    assert value["referenceRange"][0]["low"]["value"] == Decimal("1.0E+2")
    assert value["code"]["text"] == "β₁₂ é"


def test_read_returns_version_and_time(client):
    name = client.create(PATIENT)
    response = client.get(f"Patient/{name}")
    assert stamps(response) == {"ETag": 'W/"1"', "Last-Modified": MOMENT}
    assert response.headers["Content-Type"] == "application/fhir+json; charset=utf-8"


def test_head_returns_the_headers_of_get(client):
    name = client.create(PATIENT)
    response = client("HEAD", f"Patient/{name}")
    assert (response.status_code, response.headers["ETag"], response.data) == (200, 'W/"1"', b"")


def test_an_unknown_resource_is_404_and_a_deleted_one_410(client):
    assert status_and_codes(client.get("Patient/nobody")) == (404, ["not-found"])
    name = client.create(PATIENT)
    assert client("DELETE", f"Patient/{name}").status_code == 204
    assert status_and_codes(client.get(f"Patient/{name}")) == (410, ["deleted"])
    assert client.get(f"Patient/{name}").headers["ETag"] == 'W/"2"'
    assert client.get(f"Patient/{name}/_history/1").json["active"] is True
    assert status_and_codes(client.get(f"Patient/{name}/_history/2")) == (410, ["deleted"])


def test_a_deleted_resource_can_be_deleted_again_and_recreated(client):
    name = client.create(PATIENT)
    assert [client("DELETE", f"Patient/{name}").status_code for _ in range(2)] == [204, 204]
    response = client.put(f"Patient/{name}", PATIENT | {"id": name})
    assert (response.status_code, response.headers["ETag"]) == (201, 'W/"3"')


def test_deleting_an_unknown_resource_succeeds(client):
    assert client("DELETE", "Patient/nobody").status_code == 204


@pytest.mark.parametrize("spelling", ['W/"1"', '"1"', "1"])
def test_if_none_match_is_accepted_in_three_spellings(client, spelling):
    name = client.create(PATIENT)
    response = client.get(f"Patient/{name}", If_None_Match=spelling)
    assert (response.status_code, response.data, response.headers["ETag"]) == (304, b"", 'W/"1"')
    client.put(f"Patient/{name}", PATIENT | {"id": name, "gender": "female"})
    assert client.get(f"Patient/{name}", If_None_Match=spelling).status_code == 200


@pytest.mark.parametrize("spelling", ['W/"1"', '"1"', "1"])
def test_if_match_protects_an_update_in_three_spellings(client, spelling):
    name = client.create(PATIENT)
    first = client.put(
        f"Patient/{name}", PATIENT | {"id": name, "gender": "male"}, If_Match=spelling
    )
    again = client.put(
        f"Patient/{name}", PATIENT | {"id": name, "gender": "other"}, If_Match=spelling
    )
    assert first.status_code == 200
    assert status_and_codes(again) == (412, ["conflict"])
    assert client.get(f"Patient/{name}").json["gender"] == "male"


def test_if_modified_since_is_supported(client):
    name = client.create(PATIENT)
    assert client.get(f"Patient/{name}", If_Modified_Since=MOMENT).status_code == 304
    before = "Wed, 31 Dec 2025 23:59:59 GMT"
    assert client.get(f"Patient/{name}", If_Modified_Since=before).status_code == 200


def test_if_match_protects_a_delete(client):
    name = client.create(PATIENT)
    assert status_and_codes(client("DELETE", f"Patient/{name}", If_Match='W/"7"')) == (
        412,
        ["conflict"],
    )
    assert client("DELETE", f"Patient/{name}", If_Match='W/"1"').status_code == 204


def test_another_id_than_in_the_url_is_refused(client):
    assert status_and_codes(client.put("Patient/a", PATIENT | {"id": "b"})) == (400, ["invalid"])
    assert status_and_codes(client.put("Patient/a", PATIENT)) == (400, ["invalid"])


def test_another_type_than_in_the_url_is_refused(client):
    assert status_and_codes(client.post("Patient", observation())) == (400, ["invalid"])


def test_a_patch_keeps_every_other_digit(client):
    name = client.create(observation(valueQuantity={"value": 1}))
    operations = '[{"op":"replace","path":"/valueQuantity/value","value":180.00}]'
    response = client(
        "PATCH", f"Observation/{name}", operations, Content_Type="application/json-patch+json"
    )
    assert response.status_code == 200
    assert str(loads(response.data)["valueQuantity"]["value"]) == "180.00"
    assert client.get(f"Observation/{name}").data == response.data


def test_a_patch_with_an_invalid_result_is_refused(client):
    name = client.create(observation())
    operations = [{"op": "remove", "path": "/status"}]
    response = client(
        "PATCH", f"Observation/{name}", operations, Content_Type="application/json-patch+json"
    )
    assert response.status_code == 422
    assert client.get(f"Observation/{name}").headers["ETag"] == 'W/"1"'


@pytest.mark.parametrize(
    ("operations", "status"),
    [
        ('{"op":"remove"}', 400),
        ("[1]", 400),
        ("[", 400),
        ('[{"op":"remove","path":"/nothing"}]', 422),
        ('[{"op":"test","path":"/status","value":"amended"}]', 422),
        ('[{"op":"conquer","path":"/status"}]', 422),
        ('[{"op":"remove","path":"/resourceType"}]', 422),
        ('[{"op":"replace","path":"/resourceType","value":"Nothing"}]', 422),
        ('[{"op":"replace","path":"","value":[]}]', 422),
    ],
)
def test_a_patch_that_cannot_be_applied_is_refused(client, operations, status):
    name = client.create(observation())
    response = client(
        "PATCH", f"Observation/{name}", operations, Content_Type="application/json-patch+json"
    )
    assert response.status_code == status
    assert client.get(f"Observation/{name}").headers["ETag"] == 'W/"1"'


def test_a_write_with_if_none_match_is_refused(client):
    name = client.create(PATIENT)
    response = client.put(
        f"Patient/{name}", PATIENT | {"id": name, "gender": "other"}, If_None_Match="*"
    )
    assert status_and_codes(response) == (400, ["not-supported"])
    assert client.get(f"Patient/{name}").headers["ETag"] == 'W/"1"'


def test_a_patch_of_an_unknown_resource_is_404(client):
    operations = [{"op": "add", "path": "/active", "value": True}]
    response = client(
        "PATCH", "Patient/nobody", operations, Content_Type="application/json-patch+json"
    )
    assert status_and_codes(response) == (404, ["not-found"])


@pytest.mark.parametrize(
    "value", ["return=minimal", "RETURN=minimal", 'return="minimal"', "a, return=minimal"]
)
def test_prefer_return_minimal_returns_no_body(client, value):
    response = client.post("Patient", PATIENT, Prefer=value)
    assert (response.status_code, response.data, response.headers["ETag"]) == (201, b"", 'W/"1"')


def test_prefer_return_operation_outcome_returns_the_warnings(client):
    response = client.post("Patient", PATIENT, Prefer="return=OperationOutcome")
    assert (response.status_code, response.json["resourceType"]) == (201, "OperationOutcome")
    assert "ETag" in response.headers


@pytest.mark.parametrize("value", ["return=everything", "wait=10", "x", "", "=;,=", "handling=odd"])
def test_an_unknown_prefer_is_ignored(client, value):
    response = client.post("Patient", PATIENT, Prefer=value)
    assert (response.status_code, response.json["resourceType"]) == (201, "Patient")


def test_pretty_and_format_are_supported(client):
    name = client.create(PATIENT)
    assert client.get(f"Patient/{name}?_pretty=true").data.count(b"\n") > 3
    plain = client.get(f"Patient/{name}")
    for form in ("json", "application/json", "application/fhir+json", "application/fhir%2Bjson"):
        assert client.get(f"Patient/{name}?_format={form}").data == plain.data
    assert status_and_codes(client.get(f"Patient/{name}?_format=xml")) == (406, ["not-supported"])


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/fhir+xml;q=1.0, application/fhir+json;q=1.0", 200),
        ("application/fhir+xml, application/xml, application/json", 200),
        ("text/html,*/*;q=0.1", 200),
        ("application/json", 200),
        ("", 200),
        ("application/fhir+xml", 406),
        ("application/fhir+json;q=0, text/html", 406),
    ],
)
def test_accept_headers_of_real_clients_are_understood(client, accept, status):
    assert client.get("metadata", Accept=accept).status_code == status


def test_elements_and_summary_return_a_resource_tagged_subsetted(client):
    name = client.create(observation(note=[{"text": "n"}], valueString="v"))
    marked = {
        "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
        "code": "SUBSETTED",
    }
    for query, elements in (
        ("_elements=note", {"status", "code", "note"}),
        ("_elements=Observation.value", {"status", "code", "valueString"}),
        ("_summary=true", {"status", "code", "valueString"}),
        ("_summary=text", {"status", "code"}),
        ("_summary=data", {"status", "code", "note", "valueString"}),
    ):
        value = client.get(f"Observation/{name}?{query}").json
        assert set(value) - {"resourceType", "id", "meta"} == elements, query
        assert value["meta"]["tag"] == [marked]
    assert status_and_codes(client.get(f"Observation/{name}?_summary=odd")) == (400, ["value"])


def test_a_subsetted_resource_cannot_be_written_back(client):
    name = client.create(observation(note=[{"text": "n"}]))
    part = client.get(f"Observation/{name}?_elements=status").json
    assert status_and_codes(client.put(f"Observation/{name}", part)) == (422, ["business-rule"])
