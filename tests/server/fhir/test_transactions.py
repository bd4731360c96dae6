"""Batch and transaction.  https://hl7.org/fhir/R4/http.html#transaction"""

import base64
import json

import pytest

from tests.server.fhir.conftest import BASE, PATIENT, ids_on_page, observation, status_and_codes

URN = "urn:uuid:4f5f1b1a-7d5c-4d7e-9d3f-0c2f7c0b9a11"


def entry(method, url, resource=None, full_url=None, **request):
    row = {"request": {"method": method, "url": url, **request}}
    if resource is not None:
        row["resource"] = resource
    if full_url is not None:
        row["fullUrl"] = full_url
    return row


def bundle(*entries, kind="transaction"):
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def statuses(response):
    assert response.status_code == 200, response.data
    return [entry["response"]["status"].split()[0] for entry in response.json["entry"]]


def location_of(response, index):
    return (
        response.json["entry"][index]["response"]["location"]
        .removeprefix(f"{BASE}/")
        .split("/_history")[0]
    )


@pytest.mark.parametrize("path", ["/fhir", "/fhir/"])
@pytest.mark.parametrize(
    "media", ["application/json", "application/fhir+json", "application/fhir+json; charset=UTF-8"]
)
def test_a_transaction_is_accepted_at_the_base_with_and_without_slash(client, path, media):
    response = client.post(path, bundle(entry("POST", "Patient", PATIENT)), Content_Type=media)
    assert statuses(response) == ["201"]


def test_the_response_has_the_entries_in_the_same_order(client):
    old = client.create(PATIENT)
    response = client.post("", bundle(
        entry("GET", f"Patient/{old}"),
        entry("PUT", "Patient/new", PATIENT | {"id": "new"}),
        entry("POST", "Observation", observation(subject={"reference": URN})),
        entry("POST", "Patient", PATIENT, URN),
        entry("GET", "Patient?_total=accurate&_count=0"),
        entry("DELETE", f"Patient/{old}"),
    ))  # fmt: skip
    assert statuses(response) == ["410", "201", "201", "201", "200", "204"]
    assert response.json["type"] == "transaction-response"
    assert response.json["entry"][4]["resource"]["total"] == 2
    subject = client.get(location_of(response, 2)).json["subject"]["reference"]
    assert subject == location_of(response, 3)


def test_full_urls_are_rewritten_in_references_and_narrative_not_in_canonicals(client):
    div = f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{URN}">p</a></div>'
    resource = observation(
        subject={"reference": URN}, text={"status": "generated", "div": div},
        extension=[{"url": "urn:x", "valueCanonical": URN}],
    )  # fmt: skip
    response = client.post(
        "", bundle(entry("POST", "Patient", PATIENT, URN), entry("POST", "Observation", resource))
    )
    stored = client.get(location_of(response, 1)).json
    assert stored["subject"]["reference"] == location_of(response, 0)
    assert f'href="{location_of(response, 0)}"' in stored["text"]["div"]
    assert stored["extension"][0]["valueCanonical"] == URN


def test_an_entry_without_url_uses_the_type_and_id_of_its_resource(client):
    rows = entry("POST", None, PATIENT), entry("PUT", None, PATIENT | {"id": "own"})
    for row in rows:
        del row["request"]["url"]
    assert statuses(client.post("", bundle(*rows))) == ["201", "201"]
    assert client.get("Patient/own").status_code == 200


@pytest.mark.parametrize("kind", ["transaction", "batch"])
def test_a_version_in_the_url_of_an_update_must_be_the_current_one(client, kind):
    path = "Patient/" + client.create(PATIENT)
    changed = PATIENT | {"id": path.partition("/")[2], "active": False}
    row = entry("PUT", f"{path}/_history/1", changed)
    assert statuses(client.post("", bundle(row, kind=kind))) == ["200"]
    changed["gender"] = "other"
    response = client.post("", bundle(row, kind=kind))
    assert (statuses(response) if kind == "batch" else [str(response.status_code)]) == ["412"]
    assert "gender" not in client.get(path).json


def test_a_transaction_is_atomic(client):
    response = client.post("", bundle(
        entry("POST", "Patient", PATIENT),
        entry("PUT", "Patient/a", PATIENT | {"id": "a"}, ifMatch='W/"3"'),
    ))  # fmt: skip
    assert response.status_code == 412
    assert client.get("Patient?_summary=count").json["total"] == 0


def test_all_errors_of_a_transaction_are_reported_with_their_location(client):
    response = client.post("", bundle(
        entry("POST", "Observation", observation(status="done")),
        entry("POST", "Patient", PATIENT),
        entry("POST", "Observation", {"resourceType": "Observation", "status": "final"}),
    ))  # fmt: skip
    places = {
        issue["expression"][0] for issue in response.json["issue"] if issue["severity"] == "error"
    }
    assert response.status_code == 422
    assert {location.partition(".resource")[0] for location in places} == {
        "Bundle.entry[0]",
        "Bundle.entry[2]",
    }
    assert client.get("Patient?_summary=count").json["total"] == 0


def test_two_entries_with_one_target_fail(client):
    twice = [entry("PUT", "Patient/a", PATIENT | {"id": "a"}), entry("DELETE", "Patient/a")]
    assert status_and_codes(client.post("", bundle(*twice))) == (400, ["duplicate", "duplicate"])
    same = [entry("POST", "Patient", PATIENT, URN)] * 2
    assert status_and_codes(client.post("", bundle(*same))) == (400, ["duplicate", "duplicate"])
    assert client.get("Patient?_summary=count").json["total"] == 0


def test_two_conditional_creates_with_the_same_criteria_create_one_resource(client):
    known = PATIENT | {"identifier": [{"system": "urn:mrn", "value": "1"}]}
    condition = {"ifNoneExist": "identifier=urn:mrn|1"}
    rows = [entry("POST", "Patient", known, f"urn:uuid:{n}") for n in "12"]
    for row in rows:
        row["request"] |= condition
    results = [
        entry("POST", "Observation", observation(subject={"reference": f"urn:uuid:{n}"}))
        for n in "12"
    ]
    response = client.post("", bundle(*rows, *results))
    assert statuses(response) == ["201", "200", "201", "201"]
    (name,) = ids_on_page(client.get("Patient"))
    subjects = {
        row["resource"]["subject"]["reference"] for row in client.get("Observation").json["entry"]
    }
    assert subjects == {f"Patient/{name}"}


@pytest.mark.parametrize("is_stored", [False, True])
def test_criteria_that_match_the_target_of_another_entry_fail(client, is_stored):
    known = PATIENT | {"identifier": [{"value": "1"}]}
    if is_stored:
        client.put("Patient/a", known | {"id": "a"})
    rows = [entry("PUT", "Patient?identifier=1", known | {"gender": "male"}) for _ in range(2)]
    assert status_and_codes(client.post("", bundle(*rows))) == (400, ["duplicate"])
    if is_stored:
        rows[1] = entry("DELETE", "Patient/a")
        assert status_and_codes(client.post("", bundle(*rows))) == (400, ["duplicate"])
        assert "gender" not in client.get("Patient/a").json


def test_a_transaction_with_if_none_exist_can_be_repeated(client):
    named = PATIENT | {"identifier": [{"system": "urn:mrn", "value": "1"}]}
    request_bundle = bundle(
        entry("POST", "Patient", named, URN, ifNoneExist="identifier=urn:mrn|1"),
        entry("POST", "Observation", observation(
            subject={"reference": URN}, identifier=[{"system": "urn:lab", "value": "1"}],
        ), ifNoneExist="identifier=urn:lab|1"),
    )  # fmt: skip
    first, second = client.post("", request_bundle), client.post("", request_bundle)
    assert (statuses(first), statuses(second)) == (["201", "201"], ["200", "200"])
    assert [location_of(first, n) for n in (0, 1)] == [location_of(second, n) for n in (0, 1)]


def test_a_conditional_reference_is_resolved(client):
    name = client.create(PATIENT | {"identifier": [{"system": "urn:mrn", "value": "1"}]})
    by_search = observation(subject={"reference": "Patient?identifier=urn:mrn|1"})
    response = client.post("", bundle(entry("POST", "Observation", by_search)))
    assert client.get(location_of(response, 0)).json["subject"] == {"reference": f"Patient/{name}"}
    nobody = observation(subject={"reference": "Patient?identifier=urn:mrn|2"})
    assert status_and_codes(client.post("", bundle(entry("POST", "Observation", nobody)))) == (
        412,
        ["processing"],
    )


def test_a_patch_entry_has_a_binary(client):
    name = client.create(PATIENT)
    data = base64.b64encode(
        json.dumps([{"op": "replace", "path": "/active", "value": False}]).encode()
    )
    binary = {
        "resourceType": "Binary",
        "contentType": "application/json-patch+json",
        "data": data.decode(),
    }
    for kind in ("transaction", "batch"):
        response = client.post("", bundle(entry("PATCH", f"Patient/{name}", binary), kind=kind))
        assert statuses(response) == ["200"]
    assert client.get(f"Patient/{name}").json["active"] is False
    broken = entry("PATCH", f"Patient/{name}", binary | {"data": "?"})
    assert status_and_codes(client.post("", bundle(broken))) == (400, ["invalid"])


def test_prefer_representation_returns_the_resources(client):
    request_bundle = bundle(entry("POST", "Patient", PATIENT))
    assert "resource" not in client.post("", request_bundle).json["entry"][0]
    representation = client.post("", request_bundle, Prefer="return=representation").json["entry"][
        0
    ]
    assert representation["resource"]["active"] is True


def test_entries_of_a_batch_are_independent(client):
    response = client.post("", bundle(
        entry("POST", "Patient", PATIENT),
        entry("POST", "Observation", observation(status="done")),
        entry("GET", "Patient/nobody"),
        entry("GET", "Patient?_count=1"),
        entry("GET", "metadata"),
        entry("DELETE", "Patient/nobody"),
        kind="batch",
    ))  # fmt: skip
    assert statuses(response) == ["201", "422", "404", "200", "200", "204"]
    assert response.json["entry"][2]["response"]["outcome"]["issue"][0]["code"] == "not-found"
    assert response.json["entry"][0]["response"]["etag"] == 'W/"1"'


def test_the_format_of_a_batch_does_not_apply_to_its_entries(client):
    client.create(observation(note=[{"text": "n"}]))
    response = client.post(
        "/fhir?_pretty=true", bundle(entry("GET", "Observation?_elements=status"), kind="batch")
    )
    assert "note" not in response.json["entry"][0]["resource"]["entry"][0]["resource"]


@pytest.mark.parametrize("row", [
    1, {}, {"request": 1}, {"request": {}}, {"request": {"method": "GET"}},
    {"request": {"method": "SEIZE", "url": "Patient"}}, {"request": {"method": "POST", "url": "Patient"}},
    {"request": {"method": "POST", "url": "Patient"}, "resource": 1},
    {"request": {"method": "POST", "url": 1}, "resource": PATIENT},
    {"request": {"method": "POST"}}, {"request": {"method": "POST"}, "resource": {"resourceType": 1}},
    {"request": {"method": "PUT"}, "resource": PATIENT}, {"request": {"method": "DELETE"}, "resource": PATIENT},
    {"request": {"method": "DELETE", "url": "Patient/a/_history/1"}},
    {"request": {"method": "POST", "url": ""}, "resource": PATIENT},
    {"request": {"method": "POST", "url": "/"}, "resource": PATIENT},
    {"request": {"method": "PUT", "url": "Patient/b"}, "resource": PATIENT | {"id": "a"}},
    {"request": {"method": "POST", "url": "Patient/b"}, "resource": PATIENT},
    {"request": {"method": "POST", "url": "Nothing"}, "resource": PATIENT},
    {"request": {"method": "POST", "url": "Observation"}, "resource": PATIENT},
    {"request": {"method": "PUT", "url": "https://elsewhere.test/fhir/Patient/a"}, "resource": PATIENT},
    {"request": {"method": "POST", "url": "Patient", "ifNoneExist": 1}, "resource": PATIENT},
    {"request": {"method": "POST", "url": "AuditEvent"}, "resource": {"resourceType": "AuditEvent"}},
    {"request": {"method": "PUT", "url": "Patient/é"}, "resource": PATIENT | {"id": "é"}},
])  # fmt: skip
def test_a_malformed_entry_is_400_with_its_location(client, row):
    response = client.post("", bundle(entry("POST", "Patient", PATIENT), row))
    assert response.status_code == 400
    assert response.json["issue"][0]["expression"][0].startswith("Bundle.entry[1]")
    assert ids_on_page(client.get("Patient")) == []


def test_another_bundle_type_is_400(client):
    assert status_and_codes(client.post("", bundle(kind="collection"))) == (400, ["invalid"])
    assert status_and_codes(client.post("", PATIENT)) == (400, ["invalid"])
    assert status_and_codes(
        client.post("", {"resourceType": "Bundle", "type": "batch", "entry": 1})
    ) == (
        400,
        ["structure"],
    )


def test_too_many_entries_are_413(create_client):
    client = create_client(max_entries=2)
    assert status_and_codes(client.post("", bundle(*[entry("POST", "Patient", PATIENT)] * 3))) == (
        413,
        ["too-costly"],
    )


def test_entries_after_the_response_limit_are_413(create_client):
    client = create_client(max_answer=1000)
    entries = [
        entry("GET", "metadata"),
        entry("GET", "metadata"),
        entry("POST", "Patient", PATIENT),
    ]
    response = client.post("", bundle(*entries, kind="batch"))
    assert statuses(response) == ["200", "413", "413"]
    assert statuses(client.post("", bundle(*entries))) == ["200", "413", "201"]
    assert len(ids_on_page(client.get("Patient"))) == 1


def test_an_empty_transaction_succeeds(client):
    assert client.post("", {"resourceType": "Bundle", "type": "transaction"}).json == {
        "resourceType": "Bundle", "type": "transaction-response",
    }  # fmt: skip
