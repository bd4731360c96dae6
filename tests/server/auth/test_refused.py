"""What must not work, each named after what it tries."""

import base64
import hmac
import json
import time
from urllib.parse import urlencode

import pytest
from joserfc.jwk import ECKey

from fhir_b12.server.app import create_app
from fhir_b12.server.auth.clients import registered
from fhir_b12.server.config import ConfigError
from tests.server.auth.conftest import (
    KEY,
    RSA,
    STRANGER,
    TOKEN,
    Server,
    claims,
    form,
    observation,
    signed,
)
from tests.server.fhir.conftest import found, told


def now():
    return int(time.time())


def encoded(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(header, more=""):
    return f"{encoded(header)}.{encoded(claims('reader'))}.{more}"


def with_secret(secret):
    """HS256 by what everybody knows."""
    text = f"{encoded({'alg': 'HS256', 'kid': 'one'})}.{encoded(claims('reader'))}"
    mac = hmac.new(secret, text.encode(), "sha256").digest()
    return f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


#: made when they are sent: they live for minutes
ASSERTIONS = {
    "alg none": lambda: unsigned({"alg": "none", "kid": "one"}),
    "alg None in capitals": lambda: unsigned({"alg": "None", "kid": "one"}),
    "alg none with a signature": lambda: unsigned({"alg": "none", "kid": "one"}, "AAAA"),
    "alg missing": lambda: unsigned({"kid": "one"}, "AAAA"),
    "no signature": lambda: unsigned({"alg": "ES384", "kid": "one"}),
    "a signature of zeros": lambda: unsigned({"alg": "ES384", "kid": "one"}, "A" * 128),
    "HS256 with the public key for secret": lambda: with_secret(json.dumps(KEY.as_dict(private=False)).encode()),
    "HS256 with the PEM for secret": lambda: with_secret(KEY.as_pem(private=False)),
    "a stranger's key under a known kid": lambda: signed(claims("reader"), STRANGER),
    "an unknown kid": lambda: signed(claims("reader"), kid="three"),
    "no kid": lambda: signed(claims("reader"), kid=""),
    "a kid that is a path": lambda: signed(claims("reader"), kid="../../etc/passwd"),
    "a kid that is SQL": lambda: signed(claims("reader"), kid="one' OR '1'='1"),
    "RS384 announced for an EC key": lambda: unsigned({"alg": "RS384", "kid": "one"}, "AAAA"),
    "ES384 announced for an RSA key": lambda: signed(claims("reader"), KEY, kid="two"),
    "RS256 by the right key": lambda: signed(claims("reader"), RSA, "RS256", kid="two"),
    "PS384 by the right key": lambda: signed(claims("reader"), RSA, "PS384", kid="two"),
    "a jku of the sender's": lambda: signed(claims("reader"), STRANGER, jku="https://evil.test/jwks"),
    "an x5u of the sender's": lambda: signed(claims("reader"), STRANGER, x5u="https://evil.test/cert"),
    "a jwk of the sender's": lambda: signed(claims("reader"), STRANGER, jwk=STRANGER.as_dict(private=False)),
    "crit": lambda: unsigned({"alg": "ES384", "kid": "one", "crit": ["exp"], "exp": 1}, "AAAA"),
    "an unknown client": lambda: signed(claims("nobody")),
    "no issuer": lambda: signed(claims("reader", iss=None)),
    "no subject": lambda: signed(claims("reader", sub=None)),
    "another subject": lambda: signed(claims("reader", sub="all")),
    "another issuer's name": lambda: signed(claims("all", sub="reader")),
    "an issuer that is a list": lambda: signed(claims("reader") | {"iss": ["reader"]}),
    "no audience": lambda: signed(claims("reader", aud=None)),
    "another audience": lambda: signed(claims("reader", aud="https://other.test/auth/token")),
    "the FHIR base for audience": lambda: signed(claims("reader", aud="https://fhir.clinic.test/fhir")),
    "an audience among others": lambda: signed(claims("reader", aud=[TOKEN, "https://other.test"])),
    "an audience with a slash behind": lambda: signed(claims("reader", aud=f"{TOKEN}/")),
    "no expiry": lambda: signed(claims("reader", exp=None)),
    "expired": lambda: signed(claims("reader", exp=now() - 60)),
    "expiry in an hour": lambda: signed(claims("reader", exp=now() + 3600)),
    "expiry as text": lambda: signed(claims("reader") | {"exp": "soon"}),
    "expiry that is true": lambda: signed(claims("reader") | {"exp": True}),
    "not yet valid": lambda: signed(claims("reader", nbf=now() + 200)),
    "issued in the future": lambda: signed(claims("reader", iat=now() + 200)),
    "no jti": lambda: signed(claims("reader", jti=None)),
    "an empty jti": lambda: signed(claims("reader", jti="")),
    "a jti that is a number": lambda: signed(claims("reader") | {"jti": 7}),
    "a jti of a megabyte": lambda: signed(claims("reader", jti="x" * 300)),
    "not a JWT": lambda: "nonsense",
    "two parts": lambda: "a.b",
    "parts that are no base64": lambda: "!.!.!",
    "parts that are no JSON": lambda: "YWJj.YWJj.YWJj",
    "parts that are lists": lambda: f"{encoded([])}.{encoded([])}.AAAA",
    "nested without end": lambda: f"{base64.urlsafe_b64encode(b'[' * 3000).decode()}.e30.AAAA",
    "of a hundred thousand letters": lambda: "a" * 100_000,
    "letters of another script": lambda: "а.b.c",
}  # fmt: skip


@pytest.mark.parametrize("name", ASSERTIONS)
def test_no_token_for_an_assertion_with(server, name):
    answer = server.ask(**form("reader", assertion=ASSERTIONS[name]()))
    assert (answer.status_code, answer.json["error"]) == (401, "invalid_client")
    assert answer.json["error_description"] == (
        "the assertion is not one of a registered client, for here and now"
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
    answer = server.ask(**form("reader", **more))
    assert (answer.status_code, answer.json["error"]) == (400, error)


def test_no_token_for_an_assertion_that_was_used(fresh):
    assertion = signed(claims("reader"))
    assert server_says(fresh, assertion) == 200
    assert server_says(fresh, assertion) == 401


def server_says(server, assertion):
    return server.ask(**form("reader", assertion=assertion)).status_code


def test_no_token_in_another_process_for_an_assertion_that_was_used(fresh):
    """Another application over the same database."""
    other = Server.__new__(Server)
    other.__dict__.update(fresh.__dict__)
    other.app = create_app(fresh.config, fresh.store, clock=fresh.clock)
    assertion = signed(claims("reader"))
    assert (server_says(fresh, assertion), server_says(other, assertion)) == (200, 401)


def test_no_token_for_parameters_in_the_url_twice_or_as_json(server):
    post = server.app.test_client().post
    given = form("reader")
    assert post("/auth/token", query_string=given).status_code == 400
    assert post("/auth/token?scope=system/*.cruds", data=given).status_code == 400
    twice = [*given.items(), ("scope", "system/*.cruds")]
    kind = "application/x-www-form-urlencoded"
    assert post("/auth/token", data=urlencode(twice), content_type=kind).status_code == 400
    assert post("/auth/token", json=given).status_code == 400
    assert server.app.test_client().get("/auth/token").status_code == 405


TOKENS = {
    "no header": None,
    "an empty header": "",
    "no token": "Bearer",
    "a token that nobody gave": "Bearer " + "a" * 43,
    "a basic login": "Basic cmVhZGVyOnNlY3JldA==",
    "two tokens": "Bearer aaaaaaaaaaaaaaaaaaaaaaaa, Bearer bbbbbbbbbbbbbbbbbbbbbbbb",
    "an assertion for token": f"Bearer {signed(claims('reader'))}",
    "a token with SQL": "Bearer ' OR '1'='1' --------------",
    "a token of a megabyte": "Bearer " + "a" * 30_000,
}


@pytest.mark.parametrize("name", TOKENS)
def test_nothing_is_read_with(server, name):
    headers = {} if TOKENS[name] is None else {"Authorization": TOKENS[name]}
    answer = server.client("GET", "Patient/one", **headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="https://fhir.clinic.test"')


def test_nothing_is_read_with_a_token_in_the_url_or_the_body(server):
    token = server.token("reader")
    assert server.client("GET", f"Patient/one?access_token={token}").status_code == 401
    form_ = {"Content_Type": "application/x-www-form-urlencoded"}
    assert (
        server.client("POST", "Patient/_search", f"access_token={token}", **form_).status_code
        == 401
    )


def test_nothing_is_read_with_a_token_that_has_expired(fresh):
    asked = fresh.as_("reader")
    assert asked("GET", "Patient/one").status_code == 200
    fresh.shift = 301
    assert told(asked("GET", "Patient/one")) == (401, ["login"])


def test_a_clock_of_the_server_that_is_set_back_makes_no_old_token_of_a_stranger_valid(fresh):
    asked = fresh.as_("reader")
    fresh.shift = -3600
    assert asked("GET", "Patient/one").status_code == 200
    assert server_says(fresh, signed(claims("reader"))) == 401  # it is from the future there
    assert told(fresh.client("GET", "Patient/one", Authorization="Bearer x")) == (401, ["login"])


def test_nothing_is_read_with_a_token_of_a_client_that_was_removed(fresh):
    asked = fresh.as_("reader")
    fresh.store.delete_client("reader")
    assert told(asked("GET", "Patient/one")) == (401, ["login"])


BODY = observation("x", "one", "laboratory")
FORBIDDEN = {
    "a reader creates": ("reader", "POST", "Observation", BODY),
    "a reader updates": ("reader", "PUT", "Observation/lab1", {**BODY, "id": "lab1"}),
    "a reader deletes": ("reader", "DELETE", "Observation/lab1", None),
    "a reader patches": ("reader", "PATCH", "Observation/lab1", []),
    "a reader of results reads a patient": ("results", "GET", "Patient/one", None),
    "a reader of results searches patients": ("results", "GET", "Patient", None),
    "a reader of results reads a patient's history": ("results", "GET", "Patient/one/_history", None),
    "a reader of results asks for everything": ("results", "GET", "Patient/one/$everything", None),
    "a reader of results looks through a chain": ("results", "GET", "Observation?subject.name=zeb", None),
    "a reader of results looks through a reverse chain": (
        "first", "GET", "Observation?_has:Provenance:target:agent=a", None),
    "a writer reads": ("writer", "GET", "Observation/lab1", None),
    "a writer searches": ("writer", "GET", "Observation", None),
    "a writer reads by a patch": ("writer", "PATCH", "Observation/lab1", []),
    "a writer reads by a condition": ("writer", "PUT", "Observation?code=x", BODY),
    "a writer creates what the scope does not name": ("writer", "POST", "Organization", {"resourceType": "Organization"}),
    "a writer makes a patient by an update with an id": (
        "writer", "DELETE", "Patient/one", None),
    "one of labs creates a vital sign": ("labs", "POST", "Observation", observation("x", "one", "vital-signs")),
    "one of labs reads a patient": ("labs", "GET", "Patient/one", None),
    "of one patient, writing for another": ("of-one", "POST", "Observation", observation("x", "two", "laboratory")),
    "of one patient, writing for nobody": ("of-one", "POST", "Observation", {"resourceType": "Observation"}),
    "of one patient, reading an organization": ("of-one", "GET", "Organization/o", None),
    "of one patient, chaining to an organization": ("of-one", "GET", "Patient?organization.name=c", None),
    "all may not write AuditEvents": ("all", "POST", "AuditEvent", {"resourceType": "AuditEvent"}),
}  # fmt: skip


def sent(asked, method, path, value):
    more = {"Content_Type": "application/json-patch+json"} if method == "PATCH" else {}
    return asked(method, path, value, **more)


@pytest.mark.parametrize("name", FORBIDDEN)
def test_forbidden_is_that(fresh, name):
    client, method, path, value = FORBIDDEN[name]
    answer = sent(fresh.as_(client), method, path, value)
    assert answer.status_code in {403, 405}, answer.data
    assert answer.json["resourceType"] == "OperationOutcome"
    assert "Zebedee" not in answer.text


HIDDEN = {
    "another patient": ("of-one", "GET", "Patient/two", None),
    "another patient's result": ("of-one", "GET", "Observation/lab2", None),
    "a version of it": ("of-one", "GET", "Observation/lab2/_history/1", None),
    "its history": ("of-one", "GET", "Observation/lab2/_history", None),
    "everything of another": ("of-one", "GET", "Patient/two/$everything", None),
    "it, validated": ("of-one", "GET", "Observation/lab2/$validate", None),
    "to write over it": ("of-one", "PUT", "Observation/lab2", observation("lab2", "one", "laboratory")),
    "to patch it": ("of-one", "PATCH", "Observation/lab2", []),
    "to delete it": ("of-one", "DELETE", "Observation/lab2", None),
    "a vital sign of one of labs": ("labs", "GET", "Observation/vital1", None),
    "to make a vital sign a lab": ("labs", "PUT", "Observation/vital1", observation("vital1", "one", "laboratory")),
    "to delete a vital sign": ("labs", "DELETE", "Observation/vital1", None),
    "a group's export": ("of-one", "GET", "Group/none/$export", None),
}  # fmt: skip


@pytest.mark.parametrize("name", HIDDEN)
def test_hidden_is_as_if_it_were_not_there(fresh, name):
    client, method, path, value = HIDDEN[name]
    answer = sent(fresh.as_(client), method, path, value)
    assert answer.status_code == 404, answer.data
    if method != "GET":
        assert fresh.as_("all")("GET", path).json["meta"]["versionId"] == "1"


def test_moving_a_resource_out_of_the_compartment_changes_nothing(fresh):
    asked = fresh.as_("of-one")
    moved = [{"op": "replace", "path": "/subject/reference", "value": "Patient/two"}]
    assert sent(asked, "PATCH", "Observation/lab1", moved).status_code == 403
    assert (
        asked("PUT", "Observation/lab1", observation("lab1", "two", "laboratory")).status_code
        == 403
    )
    assert asked("GET", "Observation/lab1").json["meta"]["versionId"] == "1"


def test_a_transaction_with_one_forbidden_entry_does_nothing(fresh):
    asked = fresh.as_("of-one")
    entry = [
        {"resource": observation("a", "one", "laboratory"), "request": {"method": "POST", "url": "Observation"}},
        {"resource": observation("b", "two", "laboratory"), "request": {"method": "POST", "url": "Observation"}},
    ]  # fmt: skip
    answer = asked("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": entry})
    assert answer.status_code == 403
    assert len(found(fresh.as_("all")("GET", "Observation"))) == 3


def test_each_entry_of_a_batch_is_held_to_the_token(fresh):
    entry = [
        {"request": {"method": "GET", "url": url}}
        for url in (
            "Patient/one",
            "Patient/two",
            "Organization/o",
            "Observation?subject=Patient/two",
        )
    ]
    answer = fresh.as_("of-one")(
        "POST", "", {"resourceType": "Bundle", "type": "batch", "entry": entry}
    )
    statuses = [each["response"]["status"][:3] for each in answer.json["entry"]]
    assert statuses == ["200", "404", "403", "200"]
    assert answer.json["entry"][3]["resource"].get("entry", []) == []


def test_what_is_shown_beside_is_held_to_the_token(fresh):
    asked = fresh.as_("results")
    assert {
        each["search"]["mode"] for each in asked("GET", "Observation?_include=*").json["entry"]
    } == {"match"}
    asked = fresh.as_("of-one")
    page = asked(
        "GET", "Patient?_include=Patient:organization&_revinclude=Observation:subject"
    ).json["entry"]
    assert {each["resource"]["id"] for each in page} == {"one", "lab1", "vital1"}


def test_a_chain_is_held_to_the_bounds_of_what_it_leads_to(fresh):
    asked = fresh.as_("of-one")
    assert found(asked("GET", "Observation?subject:Patient.name=yol")) == []
    assert found(asked("GET", "Patient?_has:Observation:subject:_id=lab2")) == []
    assert found(asked("GET", "Patient?_has:Observation:subject:_id=lab1")) == ["one"]


def test_an_export_holds_only_what_may_be_read(fresh):
    asked = fresh.as_("of-one")
    place = asked("GET", "$export", Prefer="respond-async").headers["Content-Location"]
    for _ in range(100):
        answer = asked("GET", place)
        if answer.status_code == 200:
            break
        time.sleep(0.02)
    ids = [
        json.loads(line)["id"]
        for each in answer.json["output"]
        for line in asked("GET", each["url"]).data.splitlines()
    ]
    assert sorted(ids) == ["lab1", "one", "vital1"]


def test_a_forwarded_header_of_a_stranger_changes_no_link(server):
    asked = server.as_("reader")
    answer = asked(
        "GET",
        "Patient?_count=1",
        X_Forwarded_Host="evil.test",
        X_Forwarded_Proto="http",
        Host="evil.test",
    )
    assert "evil" not in answer.text


def test_a_weak_or_private_key_registers_nobody():
    small = ECKey.generate_key("P-256", {"kid": "s"})
    for keys in (
        {"keys": [KEY.as_dict(private=True)]},
        {"keys": [small.as_dict(private=False)]},
        {"keys": [{**KEY.as_dict(private=False), "kid": None}]},
        {"keys": [KEY.as_dict(private=False)] * 2},
        {"keys": [{"kty": "oct", "k": "AAAA", "kid": "o"}]},
        {"keys": [{"kty": "RSA", "kid": "r"}]},
        {"keys": []},
        [],
    ):
        with pytest.raises(ConfigError):
            registered("a", "system/*.rs", keys, None)
    good = {"keys": [KEY.as_dict(private=False)]}
    for name, scope, patient in (("a b", "system/*.rs", None), ("a", "patient/*.rs", None), ("a", "system/*.rs", "one"),
                                 ("a", "patient/*.rs", "a/b"), ("a", "everything", None)):  # fmt: skip
        with pytest.raises(ConfigError):
            registered(name, scope, good, patient)
