"""Fuzzed input at every URL that accepts a body: refused or stored, never 500."""

from random import Random

import pytest

from fhir_b12.jsonio import dumps
from fhir_b12.server.app import create_app
from tests.fuzz import mutations, sources
from tests.server.fhir.conftest import CONFIG, PATIENT
from tests.server.temporary import Temporary

#: all endpoints that accept a body
ENDPOINTS = (
    ("POST", "/fhir"), ("POST", "/fhir/Observation"), ("PUT", "/fhir/Patient/a"), ("PATCH", "/fhir/Patient/a"),
    ("POST", "/fhir/Observation/$validate"), ("POST", "/fhir/Patient/$validate"),
    ("POST", "/fhir/ValueSet/$expand"), ("POST", "/fhir/ConceptMap/$translate"),
    ("POST", "/therapy/records"), ("POST", "/therapy/to-fhir"), ("POST", "/therapy/from-fhir"),
)  # fmt: skip
#: positions of the text: alone, and as the value of an element
FRAMES = (b"%b", b'{"resourceType":"Patient","active":%b}', b'{"patient":{"birthDate":%b}}')
SEEDS = 60  #: mutants of a chunk
#: all of them, or every fourth in `make test`
SHARES = [slice(0, None, 4), pytest.param(slice(None), marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def client():
    store = Temporary(CONFIG)
    yield create_app(CONFIG, store).test_client()
    store.close()


def send(client, text):
    """Send a text to all endpoints; check the responses; return the statuses by path."""
    statuses_by_path = {}
    for method, path in ENDPOINTS:
        media = "application/json-patch+json" if method == "PATCH" else "application/json"
        headers = {"Content-Type": media, "Prefer": "return=OperationOutcome"}
        response = client.open(path, method=method, data=text, headers=headers)
        statuses_by_path[path] = response.status_code
        assert response.status_code < 500, (path, text[:2000], response.data)
        if response.status_code >= 400:
            problem = "application/problem+json"
            kind = problem if path.startswith("/therapy") else "application/fhir+json"
            assert response.mimetype == kind, (path, text[:2000])
            assert kind == problem or response.json["resourceType"] == "OperationOutcome"
    assert client.get("/healthz").status_code == 200
    return statuses_by_path


def assert_create_succeeds(client):
    response = client.post("/fhir/Patient", data=dumps(PATIENT), content_type="application/json")
    assert response.status_code == 201


@pytest.mark.parametrize("share", SHARES, ids=["a quarter", "all"])
def test_malformed_json_is_400_everywhere_and_valid_json_is_never_500(client, fixtures, share):
    for path in sorted((fixtures / "json-parsing").glob("*.json"))[share]:
        text = path.read_bytes()
        for frame in FRAMES:
            statuses_by_path = send(client, frame % text)
            if path.name.startswith("n_"):
                statuses = {
                    status
                    for endpoint, status in statuses_by_path.items()
                    if "$validate" not in endpoint
                }
                assert (path.name, statuses) == (path.name, {400})
    assert_create_succeeds(client)


@pytest.mark.parametrize("share", SHARES, ids=["a quarter", "all"])
def test_boundary_values_of_every_primitive_type_are_never_500(client, fixtures, share):
    frame = b'{"resourceType":"Patient","extension":[{"url":"http://x.test","value%b":%b}]}'
    for path in sorted((fixtures / "primitives").glob("*.ndjson")):
        kind = path.name.partition(".")[0].title().replace("_", "").encode()
        for line in path.read_bytes().splitlines()[share]:
            send(client, frame % (kind, line))
            send(client, FRAMES[2] % line)
    assert_create_succeeds(client)


def send_mutants(client, seeds):
    """Send what `mutants` make of resources, Bundles, records and texts."""
    for seed in seeds:
        rng = Random(seed)
        for source in (sources.own_resources(), sources.plain_records()):
            send(client, dumps(mutations.mutate(rng.choice(source)[1], rng)))
        texts = sources.own_texts()
        send(client, mutations.mutate_text(rng.choice(texts)[1], rng.choice(texts)[1], rng))
        bundle = {"resourceType": "Bundle", "type": rng.choice(["batch", "transaction"])}
        entries = [
            {"resource": mutations.mutate(rng.choice(sources.own_resources())[1], rng),
             "request": {"method": "POST", "url": rng.choice(["Observation", "Patient"])}}
            for _ in range(3)
        ]  # fmt: skip
        send(client, dumps(bundle | {"entry": entries}))
    assert_create_succeeds(client)


def test_some_mutated_resources_records_and_texts_are_never_500(client):
    send_mutants(client, range(SEEDS // 4))


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(20))
def test_mutated_resources_records_and_texts_are_never_500(client, chunk):
    send_mutants(client, range(chunk * SEEDS, (chunk + 1) * SEEDS))
