"""Conditional create, update, patch and delete.  https://hl7.org/fhir/R4/http.html#ccreate"""

from urllib.parse import quote

import pytest

from tests.server.fhir.conftest import BASE, PATIENT, status_and_codes

NAMED = PATIENT | {"identifier": [{"system": "urn:mrn", "value": "A&B 1"}]}
QUERY = "identifier=" + quote("urn:mrn|A&B 1", safe="")


@pytest.mark.parametrize(
    "spelling",
    [
        QUERY,
        f"?{QUERY}",
        f"Patient?{QUERY}",
        f"{BASE}/Patient?{QUERY}",
        quote(f"Patient?{QUERY}", safe=""),
    ],
)
def test_if_none_exist_may_be_a_query_a_type_with_query_or_an_encoded_url(client, spelling):
    first = client.post("Patient", NAMED, If_None_Exist=spelling)
    again = client.post("Patient", NAMED | {"active": False}, If_None_Exist=spelling)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["Location"] == first.headers["Location"]
    assert again.json == first.json


def test_criteria_must_be_ascii_in_a_header_but_not_in_an_entry(client):
    named = PATIENT | {"identifier": [{"system": "urn:mrn", "value": "Müller"}]}
    query = "identifier=urn:mrn|Müller"
    assert status_and_codes(client.post("Patient", named, If_None_Exist=query)) == (
        400,
        ["invalid"],
    )
    sent = {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": named, "request": {"method": "POST", "url": "Patient", "ifNoneExist": query}}
    ]}  # fmt: skip
    statuses = [client.post("", sent).json["entry"][0]["response"]["status"] for _ in range(2)]
    encoded = client.post("Patient", named, If_None_Exist="identifier=urn:mrn|M%C3%BCller")
    assert (statuses, encoded.status_code) == (["201 Created", "200 OK"], 200)


def test_a_create_with_criteria_in_its_url_creates_no_duplicate(client):
    first, again = (client.post(f"Patient?{QUERY}&_format=json", NAMED) for _ in range(2))
    assert (first.status_code, again.status_code, again.json) == (201, 200, first.json)
    assert status_and_codes(client.post("Patient?colour=blue", NAMED)) == (400, ["not-supported"])


def test_criteria_with_several_matches_are_412(client):
    client.create(NAMED)
    client.create(NAMED)
    assert status_and_codes(client.post("Patient", NAMED, If_None_Exist=QUERY))[0] == 412
    assert status_and_codes(client.put(f"Patient?{QUERY}", NAMED))[0] == 412
    assert status_and_codes(client("DELETE", f"Patient?{QUERY}"))[0] == 412


def test_criteria_for_another_type_are_400(client):
    assert status_and_codes(
        client.post("Patient", NAMED, If_None_Exist=f"Observation?{QUERY}")
    ) == (
        400,
        ["invalid"],
    )


def test_conditional_update_creates_then_updates_the_match(client):
    first = client.put(f"Patient?{QUERY}", NAMED)
    second = client.put(f"Patient?{QUERY}", NAMED | {"gender": "female"})
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json["id"] == first.json["id"]
    assert second.headers["Content-Location"] == f"{BASE}/Patient/{first.json['id']}/_history/2"


def test_conditional_update_refuses_another_id_than_that_of_the_match(client):
    client.put(f"Patient?{QUERY}", NAMED)
    response = client.put(f"Patient?{QUERY}", NAMED | {"id": "another"})
    assert response.status_code == 400


def test_conditional_patch_changes_the_match(client):
    client.create(NAMED)
    operations = [{"op": "replace", "path": "/active", "value": False}]
    response = client(
        "PATCH", f"Patient?{QUERY}", operations, Content_Type="application/json-patch+json"
    )
    assert (response.status_code, response.json["active"]) == (200, False)


def test_conditional_delete_deletes_the_match(client):
    name = client.create(NAMED)
    assert client("DELETE", f"Patient?{QUERY}").status_code == 204
    assert client.get(f"Patient/{name}").status_code == 410
    assert client("DELETE", f"Patient?{QUERY}").status_code == 204


@pytest.mark.parametrize("query", ["", "?", "?_format=json", "?_count=1"])
def test_empty_criteria_change_nothing(client, query):
    name = client.create(NAMED)
    assert client("DELETE", f"Patient{query}").status_code == 412
    assert client.put(f"Patient{query}", NAMED).status_code == 412
    assert client.get(f"Patient/{name}").headers["ETag"] == 'W/"1"'


def test_criteria_with_an_unknown_parameter_change_nothing(client):
    name = client.create(NAMED)
    assert status_and_codes(client("DELETE", "Patient?identifer=1")) == (400, ["not-supported"])
    assert client.get(f"Patient/{name}").status_code == 200
