"""Fuzzed requests: never 500, every response is valid, and the next request succeeds."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_b12.server.app import create_app
from tests.conftest import examples
from tests.server.fhir.conftest import CONFIG, PATIENT, Client, observation
from tests.server.temporary import Temporary

QUIET = settings(examples(100), suppress_health_check=list(HealthCheck))
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [
        "id",
        "meta",
        "status",
        "code",
        "text",
        "extension",
        "contained",
        "subject",
        "identifier",
        "_id",
        "resourceType",
    ]
)
RESOURCES = st.builds(
    lambda base, more: base | more,
    st.sampled_from([PATIENT, observation()]),
    st.dictionaries(NAMES, VALUES, max_size=3),
)
METHODS = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
URLS = st.sampled_from(
    [
        "Patient",
        "Patient/a",
        "Observation?status=final",
        "Patient?x",
        "metadata",
        "",
        "/",
        "Patient/_search",
        "?",
    ]
) | st.text(max_size=12)
ENTRIES = st.fixed_dictionaries({}, optional={
    "fullUrl": st.text(max_size=8) | VALUES,
    "resource": RESOURCES | VALUES,
    "request": VALUES | st.fixed_dictionaries({"method": METHODS | VALUES, "url": URLS | VALUES}, optional={"ifMatch": st.text(max_size=5), "ifNoneExist": URLS | VALUES}),
})  # fmt: skip
OPERATIONS = st.lists(st.fixed_dictionaries({}, optional={
    "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]) | VALUES,
    "path": st.sampled_from(["", "/", "/status", "/meta", "/id", "/code/coding/0", "/-", "/resourceType", "~"]) | VALUES,
    "from": st.sampled_from(["/code", ""]) | VALUES,
    "value": VALUES,
}), max_size=4)  # fmt: skip


@pytest.fixture(scope="module")
def client():
    return Client(create_app(CONFIG, Temporary()))


def check_request(client, *arguments, **headers):
    response = client(*arguments, **headers)
    assert response.status_code < 500, response.data
    assert client.get("/healthz").status_code == 200


@QUIET
@given(RESOURCES | VALUES)
def test_any_resource(client, value):
    check_request(client, "POST", "Patient", json.dumps(value))
    check_request(client, "PUT", "Patient/a", json.dumps(value))


@QUIET
@given(st.binary(max_size=60))
def test_any_bytes(client, text):
    for path in ("Patient", ""):
        check_request(client, "POST", path, text)
    check_request(client, "PATCH", "Patient/a", text, Content_Type="application/json-patch+json")
    check_request(
        client, "POST", "Patient/_search", text, Content_Type="application/x-www-form-urlencoded"
    )


@QUIET
@given(st.lists(ENTRIES | VALUES, max_size=4), st.sampled_from(["batch", "transaction"]))
def test_any_entries(client, entries, kind):
    check_request(
        client, "POST", "", json.dumps({"resourceType": "Bundle", "type": kind, "entry": entries})
    )


@QUIET
@given(OPERATIONS)
def test_any_patch(client, operations):
    client.put("Observation/a", observation(id="a"))
    check_request(
        client,
        "PATCH",
        "Observation/a",
        json.dumps(operations),
        Content_Type="application/json-patch+json",
    )


@QUIET
@given(
    METHODS,
    st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), max_size=20),
    st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=20),
)
def test_any_path_query_and_header(client, method, path, value):
    quoted = path.encode().hex()
    for url in (f"Patient/{path}", path, f"Patient?{path}", f"Patient/{quoted}?_format={path}"):
        check_request(client, method, url)
    headers = {
        "If_Match",
        "If_None_Match",
        "If_None_Exist",
        "If_Modified_Since",
        "Prefer",
        "Accept",
        "Content_Encoding",
        "X_Request_Id",
    }
    check_request(client, method, "Patient/a", None, **dict.fromkeys(headers, value))
