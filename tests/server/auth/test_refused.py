"""Requests that must be refused: each would succeed if its check were removed."""

import base64
import hmac
import json
import time
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from joserfc.jwk import ECKey

from fhir_b12.server.app import create_app
from fhir_b12.server.auth.clients import build_client
from fhir_b12.server.config import ConfigError
from tests.server.auth.conftest import (
    KEY,
    RSA,
    STRANGER,
    TOKEN,
    Server,
    claims,
    observation,
    sign,
    token_form,
)
from tests.server.fhir.conftest import ids_on_page, status_and_codes


def now():
    return int(time.time())


def encode(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def build_unsigned(header, signature=""):
    return f"{encode(header)}.{encode(claims('reader'))}.{signature}"


def sign_with_secret(secret):
    """Return an assertion signed by HS256 with a publicly known secret."""
    text = f"{encode({'alg': 'HS256', 'kid': 'one'})}.{encode(claims('reader'))}"
    mac = hmac.new(secret, text.encode(), "sha256").digest()
    return f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def sign_by_hand(header):
    """Return an assertion with a header and a valid ES384 signature."""
    text = f"{encode(header)}.{encode(claims('reader'))}".encode()
    der = KEY.raw_value.sign(text, ec.ECDSA(hashes.SHA384()))
    signature = b"".join(number.to_bytes(48) for number in decode_dss_signature(der))
    return f"{text.decode()}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def test_an_assertion_signed_by_hand_gets_a_token(server):
    assertion = sign_by_hand({"alg": "ES384", "kid": "one"})
    assert server.request_token(**token_form("reader", assertion=assertion)).status_code == 200


#: functions, because an assertion expires within minutes
ASSERTIONS = {
    "alg none": lambda: build_unsigned({"alg": "none", "kid": "one"}),
    "alg None in capitals": lambda: build_unsigned({"alg": "None", "kid": "one"}),
    "alg none with a signature": lambda: build_unsigned({"alg": "none", "kid": "one"}, "AAAA"),
    "alg missing": lambda: build_unsigned({"kid": "one"}, "AAAA"),
    "no signature": lambda: build_unsigned({"alg": "ES384", "kid": "one"}),
    "a signature of zeros": lambda: build_unsigned({"alg": "ES384", "kid": "one"}, "A" * 128),
    "HS256 with the public key for secret": lambda: sign_with_secret(json.dumps(KEY.as_dict(private=False)).encode()),
    "HS256 with the PEM for secret": lambda: sign_with_secret(KEY.as_pem(private=False)),
    "a stranger's key under a known kid": lambda: sign(claims("reader"), STRANGER),
    "an unknown kid": lambda: sign(claims("reader"), kid="three"),
    "no kid": lambda: sign(claims("reader"), kid=""),
    "a kid that is a path": lambda: sign(claims("reader"), kid="../../etc/passwd"),
    "a kid that is SQL": lambda: sign(claims("reader"), kid="one' OR '1'='1"),
    "RS384 announced for an EC key": lambda: build_unsigned({"alg": "RS384", "kid": "one"}, "AAAA"),
    "ES384 announced for an RSA key": lambda: sign(claims("reader"), KEY, kid="two"),
    "RS256 by the right key": lambda: sign(claims("reader"), RSA, "RS256", kid="two"),
    "PS384 by the right key": lambda: sign(claims("reader"), RSA, "PS384", kid="two"),
    "a jku of the sender": lambda: sign(claims("reader"), STRANGER, jku="https://evil.test/jwks"),
    "an x5u of the sender": lambda: sign(claims("reader"), STRANGER, x5u="https://evil.test/cert"),
    "a jwk of the sender": lambda: sign(claims("reader"), STRANGER, jwk=STRANGER.as_dict(private=False)),
    "RS384 announced with a signature of the EC key": lambda: sign_by_hand({"alg": "RS384", "kid": "one"}),
    "crit": lambda: sign_by_hand({"alg": "ES384", "kid": "one", "crit": ["b64"], "b64": True}),
    "an unknown client": lambda: sign(claims("nobody")),
    "no issuer": lambda: sign(claims("reader", iss=None)),
    "no subject": lambda: sign(claims("reader", sub=None)),
    "another subject": lambda: sign(claims("reader", sub="all")),
    "the name of another issuer": lambda: sign(claims("all", sub="reader")),
    "an issuer that is a list": lambda: sign(claims("reader") | {"iss": ["reader"]}),
    "no audience": lambda: sign(claims("reader", aud=None)),
    "another audience": lambda: sign(claims("reader", aud="https://other.test/auth/token")),
    "the FHIR base for audience": lambda: sign(claims("reader", aud="https://fhir.clinic.test/fhir")),
    "an audience among others": lambda: sign(claims("reader", aud=[TOKEN, "https://other.test"])),
    "an audience with a trailing slash": lambda: sign(claims("reader", aud=f"{TOKEN}/")),
    "no expiry": lambda: sign(claims("reader", exp=None)),
    "expired": lambda: sign(claims("reader", exp=now() - 60)),
    "expiry in an hour": lambda: sign(claims("reader", exp=now() + 3600)),
    "expiry as text": lambda: sign(claims("reader") | {"exp": "soon"}),
    "expiry that is true": lambda: sign(claims("reader") | {"exp": True}),
    "an iat that is true": lambda: sign(claims("reader") | {"iat": True}),
    "an nbf that is text": lambda: sign(claims("reader") | {"nbf": "1"}),
    "an iat before 1970": lambda: sign(claims("reader", iat=-1)),
    "not yet valid": lambda: sign(claims("reader", nbf=now() + 200)),
    "issued in the future": lambda: sign(claims("reader", iat=now() + 200)),
    "no jti": lambda: sign(claims("reader", jti=None)),
    "an empty jti": lambda: sign(claims("reader", jti="")),
    "a jti that is a number": lambda: sign(claims("reader") | {"jti": 7}),
    "a jti of a megabyte": lambda: sign(claims("reader", jti="x" * 300)),
    "not a JWT": lambda: "nonsense",
    "two parts": lambda: "a.b",
    "parts that are no base64": lambda: "!.!.!",
    "parts that are no JSON": lambda: "YWJj.YWJj.YWJj",
    "parts that are lists": lambda: f"{encode([])}.{encode([])}.AAAA",
    "3,000 nested lists": lambda: f"{base64.urlsafe_b64encode(b'[' * 3000).decode()}.e30.AAAA",
    "a hundred thousand letters": lambda: "a" * 100_000,
    "Cyrillic letters": lambda: "а.b.c",
}  # fmt: skip


@pytest.mark.parametrize("name", ASSERTIONS)
def test_no_token_for_an_assertion_with(server, name):
    response = server.request_token(**token_form("reader", assertion=ASSERTIONS[name]()))
    assert (response.status_code, response.json["error"]) == (401, "invalid_client")
    assert response.json["error_description"] == (
        "client unknown, or its assertion is invalid, expired, used or for another audience"
    )


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
        ({"grant_type": ""}, "unsupported_grant_type"),
        ({"client_assertion_type": "urn:other"}, "invalid_request"),
        ({"scope": ""}, "invalid_scope"),
        ({"scope": "openid"}, "invalid_scope"),
        ({"scope": "system/Observation.cud"}, "invalid_scope"),
        ({"scope": "patient/*.rs"}, "invalid_scope"),
        ({"scope": "system/Nothing.rs"}, "invalid_scope"),
        ({"scope": "system/Observation.rs?subject.name=Z"}, "invalid_scope"),
    ],
)
def test_no_token_for_a_request_with(server, more, error):
    response = server.request_token(**token_form("reader", **more))
    assert (response.status_code, response.json["error"]) == (400, error)


def test_no_token_for_a_used_assertion(new_server):
    assertion = sign(claims("reader"))
    assert token_status(new_server, assertion) == 200
    assert token_status(new_server, assertion) == 401


def token_status(server, assertion):
    return server.request_token(**token_form("reader", assertion=assertion)).status_code


def test_no_token_in_another_process_for_a_used_assertion(new_server):
    """Use another application with the same database."""
    other = Server.__new__(Server)
    other.__dict__.update(new_server.__dict__)
    other.app = create_app(new_server.config, new_server.store, clock=new_server.clock)
    assertion = sign(claims("reader"))
    assert (token_status(new_server, assertion), token_status(other, assertion)) == (200, 401)


def test_no_token_for_parameters_in_the_url_twice_or_as_json(server):
    post = server.app.test_client().post
    parameters = token_form("reader")
    assert post("/auth/token", query_string=parameters).status_code == 400
    assert post("/auth/token?scope=system/*.cruds", data=parameters).status_code == 400
    twice = [*parameters.items(), ("scope", "system/*.cruds")]
    kind = "application/x-www-form-urlencoded"
    assert post("/auth/token", data=urlencode(twice), content_type=kind).status_code == 400
    assert post("/auth/token", json=parameters).status_code == 400
    assert server.app.test_client().get("/auth/token").status_code == 405


#: Authorization header, in which TOKEN is a valid access token
AUTHORIZATIONS = {
    "no header": None,
    "an empty header": "",
    "the scheme alone": "Bearer",
    "an unknown token": f"Bearer {'a' * 43}",
    "the token alone": "TOKEN",
    "the token of another scheme": "Basic TOKEN",
    "the token twice": "Bearer TOKEN, Bearer TOKEN",
    "the token and more": "Bearer TOKEN x",
    "the token without a space": "BearerTOKEN",
    "an assertion instead of a token": f"Bearer {sign(claims('reader'))}",
    "SQL": "Bearer ' OR '1'='1' --------------",
    "a token of 30,000 characters": f"Bearer {'a' * 30_000}",
}


@pytest.mark.parametrize("name", AUTHORIZATIONS)
def test_a_read_is_401_with(server, name):
    header = AUTHORIZATIONS[name]
    headers = {}
    if header is not None:
        headers = {"Authorization": header.replace("TOKEN", server.token("reader"))}
    response = server.client("GET", "Patient/one", **headers)
    assert response.status_code == 401
    challenge = response.headers["WWW-Authenticate"]
    assert challenge.startswith('Bearer realm="https://fhir.clinic.test"')
    assert ("invalid_token" in challenge) is name.startswith(("an unknown", "an assertion")), name


@pytest.mark.parametrize("header", ["Bearer TOKEN", "bearer TOKEN", "  BEARER TOKEN "])
def test_the_scheme_of_a_token_is_case_insensitive(server, header):
    header = header.replace("TOKEN", server.token("reader"))
    assert server.client("GET", "Patient/one", Authorization=header).status_code == 200


def test_a_token_in_the_url_or_the_body_is_401(server):
    token = server.token("reader")
    assert server.client("GET", f"Patient/one?access_token={token}").status_code == 401
    form_ = {"Content_Type": "application/x-www-form-urlencoded"}
    assert (
        server.client("POST", "Patient/_search", f"access_token={token}", **form_).status_code
        == 401
    )


@pytest.mark.parametrize(("seconds", "status"), [(299, 200), (300, 401), (301, 401)])
def test_a_token_expires_after_its_lifetime(new_server, monkeypatch, seconds, status):
    begin = now()
    monkeypatch.setattr(new_server, "seconds", lambda: begin)
    request = new_server.client_as("reader")
    assert request("GET", "Patient/one").status_code == 200
    new_server.shift = seconds
    response = request("GET", "Patient/one")
    assert response.status_code == status
    if status == 401:
        assert status_and_codes(response) == (401, ["login"])
        assert "invalid_token" in response.headers["WWW-Authenticate"]


def test_an_assertion_is_from_the_future_when_the_server_clock_is_set_back(new_server):
    request = new_server.client_as("reader")
    new_server.shift = -3600
    assert request("GET", "Patient/one").status_code == 200
    assert token_status(new_server, sign(claims("reader"))) == 401
    new_server.shift = 0
    assert token_status(new_server, sign(claims("reader"))) == 200


def test_a_token_of_a_removed_client_is_401(new_server):
    request = new_server.client_as("reader")
    new_server.store.delete_client("reader")
    assert status_and_codes(request("GET", "Patient/one")) == (401, ["login"])


BODY = observation("x", "one", "laboratory")
FORBIDDEN = {
    "a reader creates": ("reader", "POST", "Observation", BODY),
    "a reader updates": ("reader", "PUT", "Observation/lab1", {**BODY, "id": "lab1"}),
    "a reader deletes": ("reader", "DELETE", "Observation/lab1", None),
    "a reader patches": ("reader", "PATCH", "Observation/lab1", []),
    "a reader of results reads a patient": ("results", "GET", "Patient/one", None),
    "a reader of results searches patients": ("results", "GET", "Patient", None),
    "a reader of results reads a patient's history": ("results", "GET", "Patient/one/_history", None),
    "a reader of results calls $everything": ("results", "GET", "Patient/one/$everything", None),
    "a reader of results searches by a chain": ("results", "GET", "Observation?subject.name=zeb", None),
    "a reader of results searches by a reverse chain": (
        "first", "GET", "Observation?_has:Provenance:target:agent=a", None),
    "a writer reads": ("writer", "GET", "Observation/lab1", None),
    "a writer searches": ("writer", "GET", "Observation", None),
    "a writer reads by a patch": ("writer", "PATCH", "Observation/lab1", []),
    "a writer reads by a condition": ("writer", "PUT", "Observation?code=x", BODY),
    "a writer creates what the scope does not name": ("writer", "POST", "Organization", {"resourceType": "Organization"}),
    "a writer deletes what the scope lets it create and update": ("writer", "DELETE", "Patient/one", None),
    "a client of laboratory results creates a vital sign": ("labs", "POST", "Observation", observation("x", "one", "vital-signs")),
    "a client of laboratory results reads a patient": ("labs", "GET", "Patient/one", None),
    "a client of one patient writes for another": ("of-one", "POST", "Observation", observation("x", "two", "laboratory")),
    "a client of one patient writes without a patient": ("of-one", "POST", "Observation", {"resourceType": "Observation"}),
    "a client of one patient reads an organization": ("of-one", "GET", "Organization/o", None),
    "a client of one patient chains to an organization": ("of-one", "GET", "Patient?organization.name=c", None),
}  # fmt: skip


def send(request, method, path, value):
    more = {"Content_Type": "application/json-patch+json"} if method == "PATCH" else {}
    return request(method, path, value, **more)


@pytest.mark.parametrize("name", FORBIDDEN)
def test_a_request_is_403_when(new_server, name):
    client, method, path, value = FORBIDDEN[name]
    before = stored_versions(new_server)
    response = send(new_server.client_as(client), method, path, value)
    assert status_and_codes(response) == (403, ["forbidden"])
    assert "Zebedee" not in response.text
    assert stored_versions(new_server) == before


def stored_versions(server):
    """Return the version of each resource that a request could change, by reference."""
    pages = [
        server.client_as("all")("GET", f"{name}?_count=50").json
        for name in ("Patient", "Observation", "Organization")
    ]
    resources = [entry["resource"] for page in pages for entry in page.get("entry", ())]
    return {
        f"{resource['resourceType']}/{resource['id']}": resource["meta"]["versionId"]
        for resource in resources
    }


def test_an_update_needs_the_create_action_if_the_id_is_new(new_server):
    request = new_server.client_as("writer", "system/Patient.u")
    new = {"resourceType": "Patient", "id": "new"}
    assert status_and_codes(request("PUT", "Patient/new", new)) == (403, ["forbidden"])
    assert (
        request("PUT", "Patient/one", {"resourceType": "Patient", "id": "one"}).status_code == 200
    )
    request = new_server.client_as("writer", "system/Patient.c")
    assert status_and_codes(
        request("PUT", "Patient/one", {"resourceType": "Patient", "id": "one"})
    ) == (
        403,
        ["forbidden"],
    )
    assert new_server.client_as("writer")("PUT", "Patient/new", new).status_code == 201


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_audit_events_cannot_be_written(new_server, method):
    request = new_server.client_as("all")
    path = "AuditEvent" if method == "POST" else "AuditEvent/a"
    body = None if method == "DELETE" else {"resourceType": "AuditEvent", "id": "a"}
    assert request(method, path, body).status_code == 405
    entry = {"request": {"method": method, "url": path}} | ({"resource": body} if body else {})
    for kind, status in (("batch", 200), ("transaction", 400)):
        bundle = {"resourceType": "Bundle", "type": kind, "entry": [entry]}
        response = request("POST", "", bundle)
        assert response.status_code == status
        if kind == "batch":
            assert response.json["entry"][0]["response"]["status"] == "405"
    assert ids_on_page(request("GET", "AuditEvent")) == []


HIDDEN = {
    "another patient": ("of-one", "GET", "Patient/two", None),
    "another patient's result": ("of-one", "GET", "Observation/lab2", None),
    "a version of another patient's result": ("of-one", "GET", "Observation/lab2/_history/1", None),
    "the history of another patient's result": ("of-one", "GET", "Observation/lab2/_history", None),
    "$everything of another patient": ("of-one", "GET", "Patient/two/$everything", None),
    "$validate of another patient's result": ("of-one", "GET", "Observation/lab2/$validate", None),
    "an update of another patient's result": ("of-one", "PUT", "Observation/lab2", observation("lab2", "one", "laboratory")),
    "a patch of another patient's result": ("of-one", "PATCH", "Observation/lab2", []),
    "a delete of another patient's result": ("of-one", "DELETE", "Observation/lab2", None),
    "a vital sign for a client of laboratory results": ("labs", "GET", "Observation/vital1", None),
    "an update that makes a vital sign a laboratory result": ("labs", "PUT", "Observation/vital1", observation("vital1", "one", "laboratory")),
    "a delete of a vital sign": ("labs", "DELETE", "Observation/vital1", None),
}  # fmt: skip


@pytest.mark.parametrize("name", HIDDEN)
def test_a_resource_outside_of_the_restrictions_is_404(new_server, name):
    client, method, path, value = HIDDEN[name]
    response = send(new_server.client_as(client), method, path, value)
    assert status_and_codes(response) == (404, ["not-found"])
    everyone = new_server.client_as("all")
    if method == "GET":
        assert everyone(method, path).status_code == 200
    else:
        assert everyone("GET", path).json["meta"]["versionId"] == "1"


@pytest.mark.parametrize(("client", "status"), [("all", 202), ("of-one", 404)])
def test_an_export_of_a_group_needs_access_to_the_group(new_server, client, status):
    members = [{"entity": {"reference": "Patient/two"}}]
    group = {
        "resourceType": "Group",
        "id": "g",
        "type": "person",
        "actual": True,
        "member": members,
    }
    assert new_server.client_as("all")("PUT", "Group/g", group).status_code == 201
    response = new_server.client_as(client)("GET", "Group/g/$export", Prefer="respond-async")
    assert response.status_code == status


def test_moving_a_resource_out_of_the_compartment_changes_nothing(new_server):
    request = new_server.client_as("of-one")
    moved = [{"op": "replace", "path": "/subject/reference", "value": "Patient/two"}]
    assert send(request, "PATCH", "Observation/lab1", moved).status_code == 403
    assert (
        request("PUT", "Observation/lab1", observation("lab1", "two", "laboratory")).status_code
        == 403
    )
    assert request("GET", "Observation/lab1").json["meta"]["versionId"] == "1"


def test_a_transaction_with_one_forbidden_entry_does_nothing(new_server):
    request = new_server.client_as("of-one")
    entry = [
        {"resource": observation("a", "one", "laboratory"), "request": {"method": "POST", "url": "Observation"}},
        {"resource": observation("b", "two", "laboratory"), "request": {"method": "POST", "url": "Observation"}},
    ]  # fmt: skip
    response = request(
        "POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": entry}
    )
    assert response.status_code == 403
    assert len(ids_on_page(new_server.client_as("all")("GET", "Observation"))) == 3


def test_each_entry_of_a_batch_is_authorized(new_server):
    entry = [
        {"request": {"method": "GET", "url": url}}
        for url in (
            "Patient/one",
            "Patient/two",
            "Organization/o",
            "Observation?subject=Patient/two",
        )
    ]
    response = new_server.client_as("of-one")(
        "POST", "", {"resourceType": "Bundle", "type": "batch", "entry": entry}
    )
    statuses = [entry["response"]["status"][:3] for entry in response.json["entry"]]
    assert statuses == ["200", "404", "403", "200"]
    assert response.json["entry"][3]["resource"].get("entry", []) == []


def test_included_resources_are_authorized(new_server):
    request = new_server.client_as("results")
    assert {
        entry["search"]["mode"] for entry in request("GET", "Observation?_include=*").json["entry"]
    } == {"match"}
    request = new_server.client_as("of-one")
    page = request(
        "GET", "Patient?_include=Patient:organization&_revinclude=Observation:subject"
    ).json["entry"]
    assert {entry["resource"]["id"] for entry in page} == {"one", "lab1", "vital1"}


def test_a_chain_obeys_the_restrictions_of_its_target(new_server):
    request = new_server.client_as("of-one")
    assert ids_on_page(request("GET", "Observation?subject:Patient.name=yol")) == []
    assert ids_on_page(request("GET", "Patient?_has:Observation:subject:_id=lab2")) == []
    assert ids_on_page(request("GET", "Patient?_has:Observation:subject:_id=lab1")) == ["one"]


def test_an_export_has_only_readable_resources(new_server):
    request = new_server.client_as("of-one")
    status_url = request("GET", "$export", Prefer="respond-async").headers["Content-Location"]
    for _ in range(100):
        response = request("GET", status_url)
        if response.status_code == 200:
            break
        time.sleep(0.02)
    ids = [
        json.loads(line)["id"]
        for file in response.json["output"]
        for line in request("GET", file["url"]).data.splitlines()
    ]
    assert sorted(ids) == ["lab1", "one", "vital1"]


def test_a_forwarded_header_changes_no_link(server):
    request = server.client_as("reader")
    response = request(
        "GET",
        "Patient?_count=1",
        X_Forwarded_Host="evil.test",
        X_Forwarded_Proto="http",
        Host="evil.test",
    )
    assert "evil" not in response.text


EC = KEY.as_dict(private=False)
_numbers = rsa.generate_private_key(65537, 1024).public_key().public_numbers()
_n = base64.urlsafe_b64encode(_numbers.n.to_bytes(128)).rstrip(b"=").decode()
SHORT = {"kty": "RSA", "e": "AQAB", "n": _n}
JWKS_FAULTS = {
    "a private key": ({"keys": [KEY.as_dict(private=True)]}, "private or unsupported"),
    "another curve": ({"keys": [ECKey.generate_key("P-256", {"kid": "s"}).as_dict(private=False)]}, "P-384"),
    "a short RSA key": ({"keys": [{**SHORT, "kid": "r"}]}, "2048 bits"),
    "no kid": ({"keys": [{**EC, "kid": None}]}, "kid"),
    "an empty kid": ({"keys": [{**EC, "kid": ""}]}, "kid"),
    "the same kid twice": ({"keys": [EC, EC]}, "kid"),
    "a symmetric key": ({"keys": [{"kty": "oct", "k": "AAAA", "kid": "o"}]}, "private or unsupported"),
    "a malformed key": ({"keys": [{"kty": "RSA", "kid": "r"}]}, "malformed"),
    "no keys": ({"keys": []}, "not a JWKS"),
    "a list": ([], "not a JWKS"),
}  # fmt: skip


@pytest.mark.parametrize("name", JWKS_FAULTS)
def test_a_jwks_cannot_be_registered_with(name):
    keys, message = JWKS_FAULTS[name]
    with pytest.raises(ConfigError, match=message):
        build_client("a", "system/*.rs", keys, None)


@pytest.mark.parametrize(
    ("client_id", "scope", "patient", "message"),
    [
        ("a b", "system/*.rs", None, "invalid client id"),
        ("a\n", "system/*.rs", None, "invalid client id"),
        ("a" * 65, "system/*.rs", None, "invalid client id"),
        ("a", "patient/*.rs", None, "do not match --patient"),
        ("a", "system/*.rs", "one", "do not match --patient"),
        ("a", "system/*.rs patient/*.rs", "one", "do not match --patient"),
        ("a", "patient/*.rs", "a/b", "invalid patient id"),
        ("a", "everything", None, "malformed scope"),
        ("a", "system/Observatoin.rs", None, "did you mean Observation"),
    ],
)
def test_a_client_cannot_be_registered_with(client_id, scope, patient, message):
    with pytest.raises(ConfigError, match=message):
        build_client(client_id, scope, {"keys": [EC]}, patient)
