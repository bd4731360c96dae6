"""History of a resource and of a type.  https://hl7.org/fhir/R4/http.html#history"""

from tests.server.fhir.conftest import BASE, PATIENT, links, told


def lived(client):
    name = client.create(PATIENT)
    client.put(f"Patient/{name}", PATIENT | {"id": name, "gender": "female"})
    client("DELETE", f"Patient/{name}")
    return name


def rows(answer):
    return [
        (entry["request"]["method"], entry["response"]["etag"], "resource" in entry)
        for entry in answer.json.get("entry", [])
    ]


def test_a_history_tells_the_newest_first_and_the_deletion_without_a_body(client):
    answer = client.get(f"Patient/{lived(client)}/_history")
    assert answer.json["type"] == "history"
    assert rows(answer) == [
        ("DELETE", 'W/"3"', False),
        ("PUT", 'W/"2"', True),
        ("POST", 'W/"1"', True),
    ]


def test_a_history_is_paged_and_bounded_by_since(client):
    name = lived(client)
    answer = client.get(f"Patient/{name}/_history?_count=2")
    following = client.get(links(answer)["next"])
    assert links(answer)["next"].startswith(f"{BASE}/Patient/{name}/_history?")
    assert rows(answer) + rows(following) == rows(client.get(f"Patient/{name}/_history"))
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


def test_what_never_was_has_no_history(client):
    assert told(client.get("Patient/nobody/_history")) == (404, ["not-found"])


def test_a_malformed_moment_or_count_is_400(client):
    name = lived(client)
    for query in ("_since=yesterday", "_count=-1", "_count=x", "_at=2026-13-01"):
        assert told(client.get(f"Patient/{name}/_history?{query}")) == (400, ["value"])


def test_a_plus_that_came_as_a_space_is_still_an_offset(client):
    name = lived(client)
    answer = client.get(f"Patient/{name}/_history?_since=2025-01-01T00:00:00+01:00")
    assert len(rows(answer)) == 3
