"""Rate limit: 429 with Retry-After for one client, while others are answered."""

from dataclasses import replace

from fhir_b12.server.app import create_app
from tests.server.auth.conftest import Server
from tests.server.fhir.conftest import status_and_codes

BATCH = {
    "resourceType": "Bundle", "type": "batch",
    "entry": [{"request": {"method": "GET", "url": "Patient"}}] * 9,
}  # fmt: skip


def test_too_many_requests_are_429_with_retry_after(create_client):
    client = create_client(rate=3)
    assert [client.get("Patient").status_code for _ in range(3)] == [200] * 3
    response = client.get("Patient")
    assert status_and_codes(response) == (429, ["throttled"])
    assert 1 <= int(response.headers["Retry-After"]) <= 61
    assert client("GET", "/healthz").status_code == 200
    assert client("GET", "/therapy/patients").status_code == 429


def test_a_batch_counts_as_one_request(create_client):
    client = create_client(rate=2)
    entries = client.post("", BATCH).json["entry"]
    assert [entry["response"]["status"][:3] for entry in entries] == ["200"] * 9
    assert client.get("Patient").status_code == 200
    assert client.get("Patient").status_code == 429


def test_each_client_has_its_own_limit_from_any_address():
    server = Server()
    server.app = create_app(replace(server.config, rate=2), server.store, clock=server.clock)
    server.client = type(server.client)(server.app)
    one, other = server.client_as("reader"), server.client_as("first")  # two tokens, of one address
    assert [one("GET", "Observation").status_code for _ in range(3)] == [200, 200, 429]
    assert other("GET", "Observation").status_code == 200
    assert server.request_token().status_code == 429  # whoever it is
    server.store.close()
