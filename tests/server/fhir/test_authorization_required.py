# ruff: noqa: ARG002  # test doubles have the signatures of what they replace
"""Requests without a valid token are refused before their body is read."""

import pytest

from fhir_b12.server.app import create_app
from fhir_b12.server.config import Config
from fhir_b12.server.errors import RequestError
from tests.server.fhir.conftest import PATIENT, Client, status_and_codes
from tests.server.temporary import Temporary


class NoAccess:
    """An authorizer that knows no token."""

    routes = ()

    def authorize(self, request):
        raise RequestError(
            401, "login", "access token missing", headers={"WWW-Authenticate": "Bearer"}
        )


class Recorder:
    """An audit recorder that notes who did what."""

    def __init__(self):
        self.events = []

    def events_for_changes(self, request, access, results):
        self.events.append((request.method, [result.outcome for result in results]))
        return []

    def record_access(self, request, access, versions, query):
        self.events.append((request.method, [version.id for version in versions]))


@pytest.fixture(scope="module")
def client():
    return Client(create_app(Config(), Temporary(), authorizer=NoAccess()))


def rules():
    return [
        (rule.rule, method, rule.endpoint)
        for rule in create_app(Config(), Temporary(), authorizer=NoAccess()).url_map.iter_rules()
        for method in sorted(rule.methods - {"OPTIONS"})
    ]


SAMPLES = {
    "<writable:resource_type>": "Patient", "<stored:resource_type>": "Observation",
    "<shipped:resource_type>": "ValueSet", "<any_type:resource_type>": "Bundle",
    "<owner:owner_type>": "Patient", "<resource_id>": "a", "<owner_id>": "a", "<version_id>": "1",
    "<job_id>": "a", "<file_name>": "a.ndjson",
}  # fmt: skip


@pytest.mark.parametrize(("rule", "method", "endpoint"), rules())
def test_only_public_routes_are_answered_without_a_token(client, rule, method, endpoint):
    path = rule
    for variable, sample in SAMPLES.items():
        path = path.replace(variable, sample)
    response = client(
        method, path, "no JSON at all" if method in {"POST", "PUT", "PATCH"} else None
    )
    public_paths = {"/fhir/metadata", "/healthz", "/readyz", "/openapi.json", "/therapy"}
    public = path in public_paths or (path.startswith("/fhir/ValueSet") and "$" not in path)
    assert (response.status_code == 401) is not public
    assert endpoint.startswith("public ") is public
    if not public:
        assert response.headers["WWW-Authenticate"] == "Bearer"
        if path.startswith("/fhir") and method != "HEAD":
            assert status_and_codes(response) == (401, ["login"])


def test_a_batch_needs_a_token(client):
    assert status_and_codes(client.post("", {"resourceType": "Bundle", "type": "batch"})) == (
        401,
        ["login"],
    )


def test_a_preflight_needs_no_token(client):
    assert client("OPTIONS", "Patient").status_code == 200


def test_reads_and_writes_are_recorded():
    recorder = Recorder()
    client = Client(create_app(Config(open=True), Temporary(), audit_recorder=recorder))
    name = client.create(PATIENT)
    client.get(f"Patient/{name}")
    client.get("Patient")
    client.get(f"Patient/{name}/_history")
    client.post("", {"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "GET", "url": f"Patient/{name}"}},
    ]})  # fmt: skip
    client("DELETE", f"Patient/{name}")
    assert recorder.events == [
        ("POST", ["created"]), ("GET", [name]), ("GET", [name]), ("GET", [name]), ("GET", [name]),
        ("DELETE", ["deleted"]),
    ]  # fmt: skip
