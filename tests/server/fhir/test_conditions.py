"""Conditional create, update, patch and delete.  https://hl7.org/fhir/R4/http.html#ccreate"""

from urllib.parse import quote

import pytest

from tests.server.fhir.conftest import BASE, PATIENT, told

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
def test_if_none_exist_is_read_as_query_as_type_and_query_and_as_encoded_url(client, spelling):
    first = client.post("Patient", NAMED, If_None_Exist=spelling)
    again = client.post("Patient", NAMED | {"active": False}, If_None_Exist=spelling)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["Location"] == first.headers["Location"]
    assert again.json == first.json


def test_letters_of_a_condition_are_percent_encoded_in_a_header_and_may_stand_in_an_entry(client):
    named = PATIENT | {"identifier": [{"system": "urn:mrn", "value": "Müller"}]}
    query = "identifier=urn:mrn|Müller"
    assert told(client.post("Patient", named, If_None_Exist=query)) == (400, ["invalid"])
    sent = {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": named, "request": {"method": "POST", "url": "Patient", "ifNoneExist": query}}
    ]}  # fmt: skip
    statuses = [client.post("", sent).json["entry"][0]["response"]["status"] for _ in range(2)]
    encoded = client.post("Patient", named, If_None_Exist="identifier=urn:mrn|M%C3%BCller")
    assert (statuses, encoded.status_code) == (["201 Created", "200 OK"], 200)


def test_a_create_with_a_query_in_its_url_makes_no_second_one(client):
    first, again = (client.post(f"Patient?{QUERY}&_format=json", NAMED) for _ in range(2))
    assert (first.status_code, again.status_code, again.json) == (201, 200, first.json)
    assert told(client.post("Patient?colour=blue", NAMED)) == (400, ["not-supported"])


def test_a_condition_that_several_match_is_412(client):
    client.create(NAMED)
    client.create(NAMED)
    assert told(client.post("Patient", NAMED, If_None_Exist=QUERY))[0] == 412
    assert told(client.put(f"Patient?{QUERY}", NAMED))[0] == 412
    assert told(client("DELETE", f"Patient?{QUERY}"))[0] == 412


def test_a_condition_for_another_type_is_400(client):
    assert told(client.post("Patient", NAMED, If_None_Exist=f"Observation?{QUERY}")) == (
        400,
        ["invalid"],
    )


def test_conditional_update_creates_then_updates_the_one_that_matches(client):
    first = client.put(f"Patient?{QUERY}", NAMED)
    second = client.put(f"Patient?{QUERY}", NAMED | {"gender": "female"})
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json["id"] == first.json["id"]
    assert second.headers["Content-Location"] == f"{BASE}/Patient/{first.json['id']}/_history/2"


def test_conditional_update_refuses_another_id_than_that_of_the_match(client):
    client.put(f"Patient?{QUERY}", NAMED)
    answer = client.put(f"Patient?{QUERY}", NAMED | {"id": "another"})
    assert answer.status_code == 400


def test_conditional_patch_changes_the_one_that_matches(client):
    client.create(NAMED)
    operations = [{"op": "replace", "path": "/active", "value": False}]
    answer = client(
        "PATCH", f"Patient?{QUERY}", operations, Content_Type="application/json-patch+json"
    )
    assert (answer.status_code, answer.json["active"]) == (200, False)


def test_conditional_delete_deletes_the_one_that_matches(client):
    name = client.create(NAMED)
    assert client("DELETE", f"Patient?{QUERY}").status_code == 204
    assert client.get(f"Patient/{name}").status_code == 410
    assert client("DELETE", f"Patient?{QUERY}").status_code == 204


@pytest.mark.parametrize("query", ["", "?", "?_format=json", "?_count=1"])
def test_a_condition_that_says_nothing_touches_nothing(client, query):
    name = client.create(NAMED)
    assert client("DELETE", f"Patient{query}").status_code == 412
    assert client.put(f"Patient{query}", NAMED).status_code == 412
    assert client.get(f"Patient/{name}").headers["ETag"] == 'W/"1"'


def test_a_condition_with_an_unknown_parameter_touches_nothing(client):
    name = client.create(NAMED)
    assert told(client("DELETE", "Patient?identifer=1")) == (400, ["not-supported"])
    assert client.get(f"Patient/{name}").status_code == 200
