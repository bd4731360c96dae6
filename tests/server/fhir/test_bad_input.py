"""Invalid, hostile or oversized input: the right status, and the next request succeeds."""

import gzip
import json

import pytest

from fhir_b12.server.resource_types import READ_ONLY, SHIPPED
from tests.server.fhir.conftest import PATIENT, ids_on_page, observation, status_and_codes

JSON = "application/fhir+json"


@pytest.fixture(autouse=True)
def _goes_on(client):
    yield
    assert client.post("Patient", PATIENT).status_code == 201


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b'"Patient"', 400),
        (b"{}", 400),
        (b'{"resourceType":1}', 400),
        (b'{"resourceType":"Patient","resourceType":"Patient"}', 400),
        (b'{"resourceType":"Patient","active":true,"active":false}', 400),
        (b'{"resourceType":"Patient","id":"\\ud800"}', 400),
        (b'{"resourceType":"Patient","id":"\\u0000"}', 400),
        (b'{"resourceType":"Patient","id":"\x00"}', 400),
        (b'{"resourceType":"Patient","id":"\xff\xfe"}', 400),
        (b'\xef\xbb\xbf{"resourceType":"Patient"', 400),
        (b'{"resourceType":"Patient","multipleBirthInteger":NaN}', 400),
        (b'{"resourceType":"Patient","multipleBirthInteger":1e999999999}', 400),
        (b'{"resourceType":"Patient","multipleBirthInteger":' + b"9" * 100_000 + b"}", 400),
        (b'{"resourceType":"Patient","a":' + b"[" * 100_000, 400),
        (b'{"resourceType":"Patient","a":' + b"[" * 500 + b"]" * 500 + b"}", 400),
        (b'{"resourceType":"Patient","multipleBirthInteger":1e400}', 422),
        (b'{"resourceType":"Patient","multipleBirthInteger":1.5}', 422),
        (b'{"resourceType":"Patient","active":"yes"}', 422),
        (b'{"resourceType":"Patient","odd":1}', 422),
    ],
    ids=range(23),
)  # fmt: skip
def test_malformed_json_is_400_and_an_invalid_resource_422(client, text, status):
    assert client.post("Patient", text).status_code == status


@pytest.mark.parametrize(
    "media",
    ["", "text/plain", "application/fhir+xml", "application/x-www-form-urlencoded", "json", "a/b/c",
     "application/fhir+json; charset=iso-8859-1", "application/json-patch+json", "application/fhir+json/"],
)  # fmt: skip
def test_a_missing_or_wrong_media_type_or_charset_is_415(client, media):
    response = client.post("Patient", json.dumps(PATIENT), Content_Type=media)
    assert status_and_codes(response) == (415, ["not-supported"])


def test_a_patch_of_another_media_type_is_415(client):
    name = client.create(PATIENT)
    for media in (JSON, "application/merge-patch+json", ""):
        assert status_and_codes(client("PATCH", f"Patient/{name}", "[]", Content_Type=media)) == (
            415,
            ["not-supported"],
        )


def test_a_search_in_a_body_of_another_media_type_is_415(client):
    assert status_and_codes(client.post("Patient/_search", "{}", Content_Type=JSON)) == (
        415,
        ["not-supported"],
    )


def test_a_body_that_is_too_long_is_413(create_client):
    client = create_client(max_body=1000)
    long = PATIENT | {"language": "x" * 1000}
    assert status_and_codes(client.post("Patient", long)) == (413, ["too-long"])
    assert client.post("Patient", PATIENT).status_code == 201


def test_a_gzip_body_is_unpacked(client):
    packed = gzip.compress(json.dumps(PATIENT).encode())
    assert client.post("Patient", packed, Content_Encoding="gzip").status_code == 201


@pytest.mark.parametrize(
    ("packed", "encoding", "expected"),
    [
        (gzip.compress(b" " * 30_000_000), "gzip", (413, ["too-long"])),
        (gzip.compress(b"{}")[:-4], "gzip", (400, ["structure"])),
        (gzip.compress(b"{}") * 2, "gzip", (400, ["structure"])),
        (b"no gzip", "gzip", (400, ["structure"])),
        (b"{}", "br", (415, ["not-supported"])),
        (gzip.compress(gzip.compress(b"{}")), "gzip, gzip", (415, ["not-supported"])),
    ],
    ids=["bomb", "cut short", "two", "none", "unknown", "twice"],
)
def test_a_hostile_gzip_body_is_refused(client, packed, encoding, expected):
    assert status_and_codes(client.post("Patient", packed, Content_Encoding=encoding)) == expected


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("a=" + "x" * 20_000, 414),
        ("&".join(f"a{n}=1" for n in range(1000)), 400),
        ("family=%00", 400),
        ("family=%FF", 400),
        ("family=%ED%A0%80", 400),
        ("_count=999999999999999999999", 400),
        ("_count=-1", 400),
        ("%00=1", 400),
    ],
    ids=["long", "many", "NUL", "no UTF-8", "surrogate", "huge", "negative", "NUL name"],
)
def test_an_oversized_or_malformed_query_is_refused(client, query, status):
    response = client.get(f"Patient?{query}")
    assert response.status_code == status or (
        query.startswith("_count=9") and response.status_code == 200
    )


@pytest.mark.parametrize("query", [
    "family=%25", "family=_", "family='; DROP TABLE resource;--", "family=(a%2B)%2B%24", "family=%5C",
    "identifier=%7C", "family=" + "%F0%9F%92%A9" * 50, "name:exact=%27%22",
])  # fmt: skip
def test_metacharacters_have_no_special_meaning(client, query):
    assert client.get(f"Patient?{query}").status_code in {200, 400}


@pytest.mark.parametrize("name", [
    "a%00b", "%C3%A9", "%EF%BC%91", "a%2F..%2Fb", "a%20b", "%E2%80%AEx", "x" * 65, "a_b", "%FF", "1%0A",
    "..%2f..%2fetc", "a%E2%80%8B", "%D9%A1",
])  # fmt: skip
def test_a_hostile_id_is_404(client, name):
    assert client.get(f"Patient/{name}").status_code == 404
    assert client.get(f"Patient/{name}/_history").status_code == 404
    assert client("DELETE", f"Patient/{name}").status_code == 404
    assert client.put(f"Patient/{name}", PATIENT | {"id": name}).status_code in {400, 404}


@pytest.mark.parametrize("number", ["0", "-1", "x", "1.0", "%D9%A1", "9" * 40, "1%00"])
def test_an_invalid_version_id_is_404(client, number):
    name = client.create(PATIENT)
    assert status_and_codes(client.get(f"Patient/{name}/_history/{number}")) == (404, ["not-found"])


@pytest.mark.parametrize("path", [
    "/", "/nothing", "/fhir/Nothing", "/fhir/patient", "/fhir/Patient/1/2/3/4", "/fhir//Patient",
    "/fhir/_history", "/fhir/Subscription", "/fhir/%50atient%00", "/fhir/Patient/1/_history/1/2",
    "/fhir/Bundle/1", "/..%2f", "/fhir/$nothing", "/fhir/Patient/$nothing/x/y",
])  # fmt: skip
def test_an_unknown_path_is_404(client, path):
    assert status_and_codes(client.get(path)) == (404, ["not-found"])


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "metadata", "GET, HEAD, OPTIONS"),
        ("GET", "", "OPTIONS, POST"),
        ("DELETE", "Patient/1/_history", "GET, HEAD, OPTIONS"),
        ("GET", "Patient/_search", "GET"),
        ("SEIZE", "Patient", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
        ("POST", "Patient/1", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
        ("TRACE", "Patient", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
    ],
)
def test_an_unsupported_method_is_405_with_allow(client, method, path, allowed):
    response = client(method, path)
    if (method, path) == ("GET", "Patient/_search"):
        assert response.status_code == 404
        return
    assert (status_and_codes(response), response.headers["Allow"]) == (
        (405, ["not-supported"]),
        allowed,
    )


@pytest.mark.parametrize("kind", [*READ_ONLY, *SHIPPED])
def test_writes_of_read_only_types_are_405(client, kind):
    for method, path in (
        ("POST", kind),
        ("PUT", f"{kind}/a"),
        ("DELETE", f"{kind}/a"),
        ("PATCH", f"{kind}/a"),
    ):
        response = client(method, path, {"resourceType": kind, "id": "a"})
        assert (status_and_codes(response), response.headers["Allow"]) == (
            (405, ["not-supported"]),
            "GET, HEAD, OPTIONS",
        )


def test_an_if_match_that_is_no_etag_of_a_version_is_412(client):
    name = client.create(PATIENT)
    for spelling in ("x", 'W/"x"', '"', 'W/"1", W/"2"', "é"):
        response = client.put(f"Patient/{name}", PATIENT | {"id": name}, If_Match=spelling)
        assert status_and_codes(response) == (412, ["conflict"])


def test_malformed_headers_do_no_harm(client):
    name = client.create(PATIENT)
    for header in (
        "Accept",
        "Prefer",
        "If-None-Match",
        "If-Modified-Since",
        "X-Request-Id",
        "Origin",
    ):
        for value in ("", ";;;,,,===", "é" * 100, "x" * 8000, '"' * 999, "q=;q=q"):
            assert client.get(f"Patient/{name}", **{header: value}).status_code in {200, 304, 406}


def test_all_errors_are_reported_at_once_without_values(client):
    response = client.post(
        "Observation", observation(status="secret-1", effectiveDateTime="secret-2", odd="secret-3")
    )
    assert response.status_code == 422
    assert sum(issue["severity"] == "error" for issue in response.json["issue"]) >= 3
    assert b"secret" not in response.data


# --- links that lead round and round, or to everything


def member(number, others):
    refers = [{"reference": f"Observation/o{other}"} for other in others]
    return observation(id=f"o{number}", **({"hasMember": refers} if refers else {}))


def store_observations(client, resources):
    entries = [
        {"resource": resource, "request": {"method": "PUT", "url": f"Observation/{resource['id']}"}}
        for resource in resources
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    assert client.post("", bundle).status_code == 200


ROUND = "_include:iterate=Observation:has-member&_revinclude:iterate=Observation:has-member"


def test_circular_references_are_followed_once(client):
    store_observations(client, [member(number, range(60)) for number in range(60)])
    assert len(ids_on_page(client.get(f"Observation?_id=o7&{ROUND}"))) == 60
    assert ids_on_page(client.get("Observation?_id=o7&_has:Observation:has-member:_id=o7")) == [
        "o7"
    ]
    chain = "has-member.has-member.has-member.status=final"
    assert len(ids_on_page(client.get(f"Observation?{chain}&_count=100"))) == 60
    backwards = "_has:Observation:has-member:" * 3
    assert len(ids_on_page(client.get(f"Observation?{backwards}status=final&_count=100"))) == 60
    for deeper in (f"has-member.{chain}", f"_has:Observation:has-member:{backwards}status=final"):
        assert status_and_codes(client.get(f"Observation?{deeper}"))[0] == 400


def test_at_most_a_thousand_resources_are_included(client):
    store_observations(client, [member(0, ()), *(member(number, [0]) for number in range(1, 1101))])
    assert len(ids_on_page(client.get(f"Observation?_id=o0&{ROUND}"))) == 1001


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("Patiend/1", "unknown resource type; did you mean Patient?"),
        ("observation", "unknown resource type; did you mean Observation?"),
        ("Subscription", "Subscription is not supported: GET /fhir/metadata lists the resource types"),
        ("Zebedee/1", "unknown resource type: GET /fhir/metadata lists them"),
        ("Patient/1/2/3/4", "unknown URL: GET /fhir/metadata lists types and operations"),
        ("$nothing", "unknown URL: GET /fhir/metadata lists types and operations"),
    ],
)  # fmt: skip
def test_an_unknown_resource_type_has_a_suggestion_and_is_not_repeated(client, path, message):
    response = client.get(path)
    assert response.status_code == 404
    assert [issue["diagnostics"] for issue in response.json["issue"]] == [message]
