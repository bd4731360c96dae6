"""A server with its own database, and a client that checks its responses."""

import json
from dataclasses import replace
from itertools import count

import pytest

from fhir_b12.server.app import create_app
from fhir_b12.server.config import Config
from fhir_b12.server.open_store import open_store
from tests.server import temporary

BASE = "https://fhir.clinic.test/fhir"
PATIENT = {"resourceType": "Patient", "active": True}


def observation(**more):
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "2132-9"}]},
    } | more


class Client:
    """Sends requests below the FHIR base; checks that errors are OperationOutcomes."""

    def __init__(self, served):
        self._client = served.test_client()

    def __call__(self, method, path="", body=None, **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, dict | list):
            body = json.dumps(body)
        if body is not None:
            named.setdefault("Content-Type", "application/fhir+json")
        url = path if path.startswith(("/", "http")) else f"/fhir/{path}".rstrip("/")
        url = url.removeprefix("https://fhir.clinic.test")
        response = self._client.open(url, method=method, data=body, headers=named)
        check(response)
        return response

    def get(self, path, **headers):
        return self("GET", path, **headers)

    def post(self, path, body=None, **headers):
        return self("POST", path, body, **headers)

    def put(self, path, body=None, **headers):
        return self("PUT", path, body, **headers)

    def create(self, resource):
        """Create a resource; return its id."""
        response = self.post(resource["resourceType"], resource)
        assert response.status_code == 201, response.data
        return response.json["id"]


def check(response):
    """Check that an error is an OperationOutcome, or problem details."""
    if response.mimetype == "application/problem+json":
        assert response.status_code >= 400
        return
    if not response.data or "fhir+json" not in response.content_type:
        assert response.status_code < 400 or not response.data, response.data
        return
    if response.status_code >= 400:
        assert response.json["resourceType"] == "OperationOutcome"


def ids_on_page(response):
    """Return the ids on a page, in their order."""
    assert response.status_code == 200, response.data
    return [entry["resource"]["id"] for entry in response.json.get("entry", [])]


def links(response):
    return {link["relation"]: link["url"] for link in response.json["link"]}


def status_and_codes(response):
    """Return the status and the codes of the issues."""
    return response.status_code, [issue["code"] for issue in response.json["issue"]]


CONFIG = Config(open=True, public_url="https://fhir.clinic.test", audit=False)


@pytest.fixture
def create_client(tmp_path):
    """Return a function that starts a server with its own settings and returns a client."""
    stores = []
    ticks = count(1_767_225_600_000_000, 1_000_000)  # 2026, a second a write

    def start(**settings):
        config = replace(CONFIG, database=temporary.database(tmp_path), **settings)
        stores.append(open_store(config))
        return Client(create_app(config, stores[-1], clock=lambda: next(ticks)))

    yield start
    for store in stores:
        store.close()


@pytest.fixture
def client(create_client):
    return create_client()
