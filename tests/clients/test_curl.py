"""curl, used as README and docs/server.md show."""

import json
import shutil
import subprocess

import pytest

from tests.requirements import skipif_missing

pytestmark = [
    pytest.mark.slow,
    skipif_missing(shutil.which("curl") is None, "curl", "install it"),
]
JSON = ("-H", "Content-Type: application/fhir+json")


def curl(*arguments):
    """Return status and body of a response."""
    command = ["curl", "-sS", "--max-time", "10", "-w", "\n%{http_code}", *arguments]
    text, _, status = subprocess.run(
        command, capture_output=True, text=True, check=True
    ).stdout.rpartition("\n")
    return int(status), json.loads(text) if text else None


def test_curl_can_do_every_interaction(base):
    body = {"resourceType": "Patient", "identifier": [{"system": "urn:curl", "value": "1"}]}
    status, created = curl(*JSON, "-d", json.dumps(body), f"{base}/Patient")
    assert status == 201
    url = f"{base}/Patient/{created['id']}"
    assert curl(url) == (200, created)
    assert curl(*JSON, "-X", "PUT", "-d", json.dumps({**created, "active": True}), url)[0] == 200
    changed = json.dumps({**body, "gender": "other"})
    assert (
        curl(*JSON, "-X", "PUT", "-d", changed, f"{base}/Patient?identifier=urn:curl|1")[0] == 200
    )
    if_none_exist = ("-H", "If-None-Exist: identifier=urn:curl|1")
    assert curl(*JSON, *if_none_exist, "-d", json.dumps(body), f"{base}/Patient")[0] == 200
    status, page = curl("-d", "identifier=urn:curl|1", f"{base}/Patient/_search")
    assert (status, len(page["entry"])) == (200, 1)
    status, history = curl(f"{url}/_history")
    assert (status, history["total"]) == (200, 3)
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"request": {"method": "DELETE", "url": f"Patient/{created['id']}"}},
    ]}  # fmt: skip
    assert curl(*JSON, "-d", json.dumps(bundle), base)[0] == 200
    status, outcome = curl(url)
    assert (status, outcome["resourceType"]) == (410, "OperationOutcome")


def test_a_gzip_body_and_a_chunked_body(base, tmp_path):
    file = tmp_path / "patient.json"
    file.write_text('{"resourceType": "Patient"}')
    subprocess.run(["gzip", "-k", file], check=True)
    packed = ("-H", "Content-Encoding: gzip", "--data-binary", f"@{file}.gz")
    assert curl(*JSON, *packed, f"{base}/Patient")[0] == 201
    chunked = ("-H", "Transfer-Encoding: chunked", "--data-binary", f"@{file}")
    assert curl(*JSON, *chunked, f"{base}/Patient")[0] == 201
