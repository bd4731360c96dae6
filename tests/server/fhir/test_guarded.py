# ruff: noqa: ARG002  # stand-ins have the signatures of what they stand for
"""Who is not known is answered nothing, and is known before a body is read."""

import pytest

from fhir_b12.server.app import create_app
from fhir_b12.server.config import Config
from fhir_b12.server.errors import refuse
from tests.server.fhir.conftest import PATIENT, Client, told
from tests.server.temporary import Temporary


class Nobody:
    """A guard who knows nobody."""

    def access(self, request):
        raise refuse(401, "login", "show a token", WWW_Authenticate="Bearer")


class Witness:
    """Remembers who did what."""

    def __init__(self):
        self.told = []

    def written(self, request, access, dones):
        self.told.append((request.method, [done.outcome for done in dones]))
        return []

    def seen(self, request, access, versions, query):
        self.told.append((request.method, [version.id for version in versions]))


@pytest.fixture(scope="module")
def client():
    return Client(create_app(Config(), Temporary(), guard=Nobody()))


def rules():
    return [
        (rule.rule, method, rule.endpoint)
        for rule in create_app(Config(), Temporary(), guard=Nobody()).url_map.iter_rules()
        for method in sorted(rule.methods - {"OPTIONS"})
    ]


SAMPLES = {"<kept:kind>": "Patient", "<stored:kind>": "Observation", "<shipped:kind>": "ValueSet",
           "<owner:owner>": "Patient", "<resource:kind>": "Bundle", "<name>": "a", "<number>": "1"}  # fmt: skip


@pytest.mark.parametrize(("rule", "method", "endpoint"), rules())
def test_without_a_token_nothing_but_what_is_public_is_answered(client, rule, method, endpoint):
    path = rule
    for mark, sample in SAMPLES.items():
        path = path.replace(mark, sample)
    answer = client(method, path, "no JSON at all" if method in {"POST", "PUT", "PATCH"} else None)
    named = {"/fhir/metadata", "/healthz", "/readyz", "/openapi.json", "/therapy"}
    public = path in named or (path.startswith("/fhir/ValueSet") and "$" not in path)
    assert (answer.status_code == 401) is not public
    assert endpoint.startswith("public ") is public
    if not public:
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        if path.startswith("/fhir") and method != "HEAD":
            assert told(answer) == (401, ["login"])


def test_an_entry_of_a_batch_needs_what_the_whole_needs(client):
    assert told(client.post("", {"resourceType": "Bundle", "type": "batch"})) == (401, ["login"])


def test_a_preflight_needs_no_token(client):
    assert client("OPTIONS", "Patient").status_code == 200


def test_what_is_read_and_written_has_its_witness():
    witness = Witness()
    client = Client(create_app(Config(open=True), Temporary(), witness=witness))
    name = client.create(PATIENT)
    client.get(f"Patient/{name}")
    client.get("Patient")
    client.get(f"Patient/{name}/_history")
    client.post("", {"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "GET", "url": f"Patient/{name}"}},
    ]})  # fmt: skip
    client("DELETE", f"Patient/{name}")
    assert witness.told == [
        ("POST", ["created"]), ("GET", [name]), ("GET", [name]), ("GET", [name]), ("GET", [name]),
        ("DELETE", ["deleted"]),
    ]  # fmt: skip
