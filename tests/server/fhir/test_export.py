"""Bulk export.  https://hl7.org/fhir/uv/bulkdata/STU2/export.html"""

import time

import pytest

from fhir_b12.jsonio import loads
from fhir_b12.server.fhir import export_job
from tests.server.fhir.conftest import BASE, observation, status_and_codes

ASYNC = {"Prefer": "respond-async"}


@pytest.fixture
def client(create_client, tmp_path):
    client = create_client(export_folder=str(tmp_path / "files"))
    for name in ("one", "two"):
        client.put(f"Patient/{name}", {"resourceType": "Patient", "id": name})
        for number, status in enumerate(("final", "amended")):
            resource = observation(
                id=f"{name}-{number}", status=status, subject={"reference": f"Patient/{name}"}
            )
            client.put(f"Observation/{name}-{number}", resource)
    client.put("Organization/o", {"resourceType": "Organization", "id": "o", "name": "Clinic"})
    member = [
        {"entity": {"reference": "Patient/two"}},
        {"entity": {"reference": "Patient/one"}, "inactive": True},
    ]
    group = {"resourceType": "Group", "id": "g", "type": "person", "actual": True, "member": member}
    assert client.put("Group/g", group).status_code == 201
    return client


def wait_for_manifest(client, response):
    """Wait for an export to complete; return the response with its manifest."""
    assert response.status_code == 202, response.data
    url = response.headers["Content-Location"]
    for _ in range(200):
        state = client.get(url)
        if state.status_code != 202:
            assert state.status_code == 200, state.data
            return state
        assert "resources" in state.headers["X-Progress"]
        time.sleep(0.02)
    raise AssertionError("the export does not complete")


def export_ids(client, path):
    """Return the ids in the files of an export, by resource type."""
    manifest = wait_for_manifest(client, client.get(path, **ASYNC)).json
    ids = {}
    for file in manifest["output"]:
        response = client.get(file["url"])
        assert response.mimetype == "application/fhir+ndjson"
        lines = [loads(line) for line in response.data.splitlines()]
        assert len(lines) == file["count"]
        assert {line["resourceType"] for line in lines} == {file["type"]}
        ids[file["type"]] = [line["id"] for line in lines]
    return ids


def test_all_resources_are_exported_as_stored(client):
    assert export_ids(client, "$export") == {
        "Patient": ["one", "two"], "Observation": ["one-0", "one-1", "two-0", "two-1"],
        "Organization": ["o"], "Group": ["g"],
    }  # fmt: skip
    manifest = wait_for_manifest(client, client.get("$export?_type=Patient", **ASYNC))
    assert manifest.json["request"] == f"{BASE}/$export?_type=Patient"
    assert manifest.json["error"] == []
    assert "Expires" in manifest.headers
    stored = client.get("Patient/one").data
    assert client.get(manifest.json["output"][0]["url"]).data.splitlines()[0] == stored


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("Patient/$export?_type=Patient,Organization", {"Patient": ["one", "two"]}),
        ("Group/g/$export?_type=Patient,Observation", {"Patient": ["two"], "Observation": ["two-0", "two-1"]}),
        ("$export?_type=Observation&_typeFilter=Observation%3Fstatus%3Damended", {"Observation": ["one-1", "two-1"]}),
        ("$export?_type=Observation&_typeFilter=Observation%3Fstatus%3Damended,Observation%3F_id%3Done-0",
         {"Observation": ["one-1", "two-1", "one-0"]}),
        ("Group/g/$export?_typeFilter=Observation%3Fstatus%3Damended&_type=Observation", {"Observation": ["two-1"]}),
        ("$export?_type=Patient&_since=2030-01-01T00:00:00Z", {}),
        ("$export?_type=Device", {}),
    ],
)  # fmt: skip
def test_an_export_can_be_restricted(client, path, expected):
    assert export_ids(client, path) == expected


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("$export", {}, (400, ["required"])),
        ("$export?_outputFormat=text/csv", ASYNC, (400, ["not-supported"])),
        ("$export?_type=Nothing", ASYNC, (400, ["value"])),
        ("$export?_since=yesterday", ASYNC, (400, ["value"])),
        ("$export?_typeFilter=status%3Dfinal", ASYNC, (400, ["value"])),
        ("$export?_typeFilter=Observation%3Fcolour%3Dblue", ASYNC, (400, ["not-supported"])),
        ("$export?patient=one", ASYNC, (400, ["not-supported"])),
        ("Group/none/$export", ASYNC, (404, ["not-found"])),
        ("$export-status/none", {}, (404, ["not-found"])),
        ("$export-file/none/Patient.ndjson", {}, (404, ["not-found"])),
    ],
)
def test_an_invalid_export_request_is_refused(client, path, headers, expected):
    assert status_and_codes(client.get(path, **headers)) == expected


def test_only_files_of_the_manifest_can_be_downloaded(client):
    manifest = wait_for_manifest(client, client.get("$export?_type=Patient", **ASYNC)).json
    url = manifest["output"][0]["url"].rpartition("/")[0]
    for name in ("Observation.ndjson", "../../secret", "..%2F..%2Fsecret", "%00"):
        assert client.get(f"{url}/{name}").status_code == 404


def test_a_cancelled_export_is_deleted(client, tmp_path):
    response = client.get("$export", **ASYNC)
    wait_for_manifest(client, response)
    url = response.headers["Content-Location"]
    assert client("DELETE", url).status_code == 202
    assert client.get(url).status_code == 404
    assert [*(tmp_path / "files").iterdir()] == []


def test_an_expired_export_is_deleted(create_client, tmp_path):
    client = create_client(export_folder=str(tmp_path / "files"), export_seconds=0)
    client.put("Patient/one", {"resourceType": "Patient", "id": "one"})
    response = client.get("$export", **ASYNC)
    time.sleep(0.2)
    assert client.get(response.headers["Content-Location"]).status_code == 404


def test_a_failed_export_reports_no_details(client, monkeypatch):
    def broken(*_):
        raise RuntimeError("Zebedee")

    monkeypatch.setattr(export_job, "_versions", broken)
    url = client.get("$export", **ASYNC).headers["Content-Location"]
    for _ in range(200):
        response = client.get(url)
        if response.status_code != 202:
            break
        time.sleep(0.02)
    assert status_and_codes(response) == (500, ["exception"])
    assert "the export failed" in response.text
    assert "Zebedee" not in response.text
