"""Fuzzed input at every URL that accepts a body: refused or stored, never 500."""

from random import Random

import pytest

from fhir_b12.jsonio import dumps
from fhir_b12.server.app import create_app
from tests.fuzz import mutations, sources
from tests.server.fhir.conftest import CONFIG, PATIENT
from tests.server.temporary import Temporary

#: every place that takes a body; those of JSON Patch take nothing else
PLACES = (
    ("POST", "/fhir"), ("POST", "/fhir/Observation"), ("PUT", "/fhir/Patient/a"), ("PATCH", "/fhir/Patient/a"),
    ("POST", "/fhir/Observation/$validate"), ("POST", "/fhir/Patient/$validate"),
    ("POST", "/fhir/ValueSet/$expand"), ("POST", "/fhir/ConceptMap/$translate"),
    ("POST", "/therapy/records"), ("POST", "/therapy/to-fhir"), ("POST", "/therapy/from-fhir"),
)  # fmt: skip
#: where the text is put: alone, and in the place of an element
FRAMES = (b"%b", b'{"resourceType":"Patient","active":%b}', b'{"patient":{"birthDate":%b}}')
SEEDS = 60  #: mutants of a chunk
#: all of them, or every fourth in `make test`
SHARES = [slice(0, None, 4), pytest.param(slice(None), marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def client():
    store = Temporary(CONFIG)
    yield create_app(CONFIG, store).test_client()
    store.close()


def sent(client, text):
    """The status by place; each answer is of the right kind, and the next request works."""
    found = {}
    for method, path in PLACES:
        media = "application/json-patch+json" if method == "PATCH" else "application/json"
        headers = {"Content-Type": media, "Prefer": "return=OperationOutcome"}
        answer = client.open(path, method=method, data=text, headers=headers)
        found[path] = answer.status_code
        assert answer.status_code < 500, (path, text[:2000], answer.data)
        if answer.status_code >= 400:
            problem = "application/problem+json"
            kind = problem if path.startswith("/therapy") else "application/fhir+json"
            assert answer.mimetype == kind, (path, text[:2000])
            assert kind == problem or answer.json["resourceType"] == "OperationOutcome"
    assert client.get("/healthz").status_code == 200
    return found


def works(client):
    answer = client.post("/fhir/Patient", data=dumps(PATIENT), content_type="application/json")
    assert answer.status_code == 201


@pytest.mark.parametrize("share", SHARES, ids=["a quarter", "all"])
def test_malformed_json_is_400_everywhere_and_valid_json_is_never_500(client, fixtures, share):
    for path in sorted((fixtures / "json-parsing").glob("*.json"))[share]:
        text = path.read_bytes()
        for frame in FRAMES:
            found = sent(client, frame % text)
            if path.name.startswith("n_"):
                statuses = {status for place, status in found.items() if "$validate" not in place}
                assert (path.name, statuses) == (path.name, {400})
    works(client)


@pytest.mark.parametrize("share", SHARES, ids=["a quarter", "all"])
def test_boundary_values_of_every_primitive_type_are_never_500(client, fixtures, share):
    frame = b'{"resourceType":"Patient","extension":[{"url":"http://x.test","value%b":%b}]}'
    for path in sorted((fixtures / "primitives").glob("*.ndjson")):
        kind = path.name.partition(".")[0].title().replace("_", "").encode()
        for line in path.read_bytes().splitlines()[share]:
            sent(client, frame % (kind, line))
            sent(client, FRAMES[2] % line)
    works(client)


def spoilt(client, seeds):
    """Send what `mutants` make of resources, Bundles, records and texts."""
    for seed in seeds:
        rng = Random(seed)
        for source in (sources.own_resources(), sources.plain_records()):
            sent(client, dumps(mutations.mutate(rng.choice(source)[1], rng)))
        texts = sources.own_texts()
        sent(client, mutations.mutate_text(rng.choice(texts)[1], rng.choice(texts)[1], rng))
        bundle = {"resourceType": "Bundle", "type": rng.choice(["batch", "transaction"])}
        entries = [
            {"resource": mutations.mutate(rng.choice(sources.own_resources())[1], rng),
             "request": {"method": "POST", "url": rng.choice(["Observation", "Patient"])}}
            for _ in range(3)
        ]  # fmt: skip
        sent(client, dumps(bundle | {"entry": entries}))
    works(client)


def test_some_mutated_resources_records_and_texts_are_never_500(client):
    spoilt(client, range(SEEDS // 4))


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(20))
def test_mutated_resources_records_and_texts_are_never_500(client, chunk):
    spoilt(client, range(chunk * SEEDS, (chunk + 1) * SEEDS))
