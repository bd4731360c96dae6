"""Interactions that a token allows succeed."""

import json
import time

import pytest

from fhir_b12.server.auth.scopes import ScopeError, intersect, parse_scopes
from tests.server.auth.conftest import RSA, TOKEN, claims, sign, token_form
from tests.server.fhir.conftest import ids_on_page


def test_a_token_response_has_lifetime_and_scope(server):
    response = server.request_token(**token_form("reader"))
    content = response.json
    assert (
        response.status_code,
        content["token_type"],
        content["expires_in"],
        content["scope"],
    ) == (
        200,
        "bearer",
        300,
        "system/*.rs",
    )
    assert response.headers["Cache-Control"] == "no-store"


def test_rsa_and_ec_keys_are_accepted(server):
    assertion = sign(claims("reader"), RSA, "RS384", kid="two")
    assert server.request_token(**token_form("reader", assertion=assertion)).status_code == 200


@pytest.mark.parametrize(
    ("claim", "seconds", "status"),
    [
        ("exp", -20, 200), ("exp", 320, 200), ("iat", 20, 200), ("nbf", 20, 200), ("iat", -3600, 200),
        ("exp", -60, 401), ("exp", 360, 401), ("iat", 60, 401), ("nbf", 60, 401),
    ],
)  # fmt: skip
def test_the_clock_of_a_client_may_differ_by_half_a_minute(server, claim, seconds, status):
    assertion = sign(claims("reader", **{claim: int(time.time()) + seconds}))
    assert server.request_token(**token_form("reader", assertion=assertion)).status_code == status


def test_the_audience_may_be_a_list_with_one_element(server):
    assertion = sign(claims("reader", aud=[TOKEN]))
    assert server.request_token(**token_form("reader", assertion=assertion)).status_code == 200


@pytest.mark.parametrize(
    ("name", "requested", "granted"),
    [
        ("reader", "system/Observation.rs", "system/Observation.rs"),
        ("reader", "system/Observation.cruds", "system/Observation.rs"),
        ("reader", "system/Observation.read", "system/Observation.rs"),
        ("all", "system/*.*", "system/*.cruds"),
        ("writer", "system/*.cruds", "system/Observation.cud system/Patient.cu"),
        ("labs", "system/Observation.rs", "system/Observation.rs?category=laboratory"),
        ("labs", "system/Observation.rs?status=final", "system/Observation.rs?category=laboratory&status=final"),
        ("of-one", "patient/Observation.rs", "patient/Observation.rs"),
    ],
)  # fmt: skip
def test_a_requested_scope_is_reduced_to_the_registered_one(server, name, requested, granted):
    assert server.request_token(**token_form(name, scope=requested)).json["scope"] == granted


def test_a_reader_can_read_and_search(server):
    request = server.client_as("reader")
    assert request("GET", "Patient/one").status_code == 200
    assert sorted(ids_on_page(request("GET", "Observation"))) == ["lab1", "lab2", "vital1"]
    assert request("GET", "Patient/one/$everything").status_code == 200
    assert (
        request("POST", "Observation/$validate", {"resourceType": "Observation"}).status_code == 200
    )


def test_a_scope_restriction_applies_to_searches_and_writes(new_server):
    request = new_server.client_as("labs")
    assert sorted(ids_on_page(request("GET", "Observation"))) == ["lab1", "lab2"]
    assert request("GET", "Observation?_total=accurate").json["total"] == 2
    own = {"resourceType": "Observation", "status": "final", "code": {"text": "x"},
           "category": [{"coding": [{"code": "laboratory"}]}]}  # fmt: skip
    assert request("POST", "Observation", own).status_code == 201


def test_a_client_of_one_patient_sees_only_that_patient(new_server):
    request = new_server.client_as("of-one")
    assert ids_on_page(request("GET", "Patient")) == ["one"]
    assert sorted(ids_on_page(request("GET", "Observation"))) == ["lab1", "vital1"]
    own = {"resourceType": "Observation", "status": "final", "code": {"text": "x"},
           "subject": {"reference": "Patient/one"}}  # fmt: skip
    assert request("POST", "Observation", own).status_code == 201


def test_the_smart_configuration_and_the_statement_are_correct(server):
    for path in ("/.well-known/smart-configuration", "/fhir/.well-known/smart-configuration"):
        content = server.client("GET", path).json
        assert content["token_endpoint"] == TOKEN
        assert content["token_endpoint_auth_signing_alg_values_supported"] == ["ES384", "RS384"]
    statement = server.client("GET", "metadata").json
    assert statement["rest"][0]["security"]["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"


def test_an_export_belongs_to_the_client_that_started_it(new_server):
    mine, other = new_server.client_as("all"), new_server.client_as("reader")
    status_url = mine("GET", "$export", Prefer="respond-async").headers["Content-Location"]
    assert mine("GET", status_url).status_code in {200, 202}
    assert other("GET", status_url).status_code == 404
    assert other("DELETE", status_url).status_code == 404


@pytest.mark.parametrize(
    "text",
    ["", "openid", "system/Observation", "system/Observation.sr", "system/Observation.", "user/Observation.rs",
     "system/observation.rs", "system/Nothing.rs", "system/*.rs?category=a", "system/Observation.rs?",
     "system/Observation.rs?colour=blue", "system/Observation.rs?_count=1", "system/Observation.rs?subject.name=a",
     "system/Observation.rs?_has:Observation:subject:code=a", "system/Observation.r s",
     " ".join(["system/*.rs"] * 51)],
)  # fmt: skip
def test_an_invalid_scope_is_refused(text):
    with pytest.raises(ScopeError):
        parse_scopes(text)


def test_an_intersection_of_scopes_never_allows_more():
    every = parse_scopes(
        "system/*.cruds system/Observation.rs?category=a patient/Patient.r system/Patient.cu"
    )
    for one in every:
        for other in every:
            for common in intersect([one], [other]):
                assert set(common.actions) <= set(one.actions) & set(other.actions)
                assert set(common.restrictions) == set(one.restrictions) | set(other.restrictions)
                assert common.level == one.level == other.level


def test_the_log_has_no_tokens_and_no_patient_data(new_server, capsys):
    token = new_server.token("reader")
    new_server.client("GET", "Patient?name=Zebedee", Authorization=f"Bearer {token}")
    new_server.client("GET", f"Patient/one?access_token={token}")
    log = "".join(capsys.readouterr())
    assert token not in log
    assert "Zebedee" not in log
    stored = b"".join(json.dumps(client).encode() for client in new_server.store.clients())
    assert token.encode() not in stored
