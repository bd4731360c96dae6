"""History of a resource and of a type.  https://hl7.org/fhir/R4/http.html#history"""

from tests.server.fhir.conftest import BASE, PATIENT, links, status_and_codes


def lived(client):
    name = client.create(PATIENT)
    client.put(f"Patient/{name}", PATIENT | {"id": name, "gender": "female"})
    client("DELETE", f"Patient/{name}")
    return name


def rows(response):
    return [
        (entry["request"]["method"], entry["response"]["etag"], "resource" in entry)
        for entry in response.json.get("entry", [])
    ]


def test_a_history_is_newest_first_and_a_deletion_has_no_resource(client):
    response = client.get(f"Patient/{lived(client)}/_history")
    assert response.json["type"] == "history"
    assert rows(response) == [
        ("DELETE", 'W/"3"', False),
        ("PUT", 'W/"2"', True),
        ("POST", 'W/"1"', True),
    ]


def test_a_history_has_pages_and_can_be_restricted_by_since(client):
    name = lived(client)
    response = client.get(f"Patient/{name}/_history?_count=2")
    following = client.get(links(response)["next"])
    assert links(response)["next"].startswith(f"{BASE}/Patient/{name}/_history?")
    assert rows(response) + rows(following) == rows(client.get(f"Patient/{name}/_history"))
    since = client.get(f"Patient/{name}/_history").json["entry"][1]["response"]["lastModified"]
    assert [row[1] for row in rows(client.get(f"Patient/{name}/_history?_since={since}"))] == [
        'W/"3"',
        'W/"2"',
    ]


def test_a_type_has_a_history_of_all_its_resources(client):
    lived(client)
    lived(client)
    assert len(rows(client.get("Patient/_history"))) == 6
    assert rows(client.get("Observation/_history")) == []


def test_an_unknown_resource_has_no_history(client):
    assert status_and_codes(client.get("Patient/nobody/_history")) == (404, ["not-found"])


def test_a_malformed_time_or_count_is_400(client):
    name = lived(client)
    for query in ("_since=yesterday", "_count=-1", "_count=x", "_at=2026-13-01"):
        assert status_and_codes(client.get(f"Patient/{name}/_history?{query}")) == (400, ["value"])


def test_an_unencoded_plus_is_still_an_offset(client):
    name = lived(client)
    response = client.get(f"Patient/{name}/_history?_since=2025-01-01T00:00:00+01:00")
    assert len(rows(response)) == 3
