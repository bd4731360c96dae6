"""CORS is off by default, and DNS rebinding is refused.

https://fetch.spec.whatwg.org/#http-cors-protocol
"""

import pytest

from tests.server.fhir.conftest import status_and_codes

ORIGIN = "https://app.clinic.test"
ASKED = {"Origin": ORIGIN, "Access-Control-Request-Method": "PUT"}


def shared(response):
    return {
        name: value for name, value in response.headers.items() if name.startswith("Access-Control")
    }


def test_options_lists_methods_and_cors_is_off_by_default(client):
    response = client("OPTIONS", "Patient", **ASKED)
    assert (response.status_code, shared(response)) == (200, {})
    assert set(response.headers["Allow"].split(", ")) == {
        "DELETE",
        "GET",
        "HEAD",
        "OPTIONS",
        "PATCH",
        "POST",
        "PUT",
    }


def test_pages_of_allowed_origins_may_call(create_client):
    client = create_client(cors=(ORIGIN,))
    response = client("OPTIONS", "Patient", **ASKED)
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "If-Match" in response.headers["Access-Control-Allow-Headers"]
    assert "PUT" in response.headers["Access-Control-Allow-Methods"]
    assert "ETag" in client.get("metadata", Origin=ORIGIN).headers["Access-Control-Expose-Headers"]
    assert shared(client.get("metadata", Origin="https://other.test")) == {}


@pytest.mark.parametrize(
    "host", ["evil.test", "evil.test:8080", "127.0.0.1.evil.test", "", "[::1", "é"]
)
def test_an_open_server_refuses_other_host_names(client, host):
    assert status_and_codes(client.get("metadata", Host=host)) == (421, ["security"])


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "[::1]:8080", "fhir.clinic.test"])
def test_an_open_server_accepts_its_own_host_names(client, host):
    assert client.get("metadata", Host=host).status_code == 200
