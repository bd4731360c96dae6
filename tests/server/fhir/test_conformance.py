"""The CapabilityStatement is correct.  https://hl7.org/fhir/R4/capabilitystatement.html"""

import pytest

from fhir_b12.server.resource_types import READ_ONLY, SHIPPED, TYPES
from fhir_b12.validation import validate


@pytest.fixture
def statement(client):
    return client.get("metadata").json


def by_type(statement):
    return {row["type"]: row for row in statement["rest"][0]["resource"]}


def codes(row):
    return {interaction["code"] for interaction in row["interaction"]}


def test_the_capability_statement_is_valid(client):
    report = validate(client.get("metadata").data)
    assert [str(issue) for issue in report if issue.severity != "information"] == []


def test_every_type_is_listed_with_its_interactions(statement):
    rows = by_type(statement)
    assert set(rows) == {*TYPES, *READ_ONLY, *SHIPPED}
    written = {"create", "update", "patch", "delete"}
    assert {kind for kind, row in rows.items() if written <= codes(row)} == set(TYPES)
    assert {kind for kind, row in rows.items() if codes(row) & written} == set(TYPES)


def test_listed_interactions_are_answered_and_others_are_405(client, statement):
    requests = {"create": ("POST", ""), "update": ("PUT", "/x"), "patch": ("PATCH", "/x"), "delete": ("DELETE", "/x"),
             "read": ("GET", "/x"), "vread": ("GET", "/x/_history/1"), "search-type": ("GET", ""),
             "history-instance": ("GET", "/x/_history"), "history-type": ("GET", "/_history")}  # fmt: skip
    for kind, row in by_type(statement).items():
        for code, (method, path) in requests.items():
            status = client(method, f"{kind}{path}").status_code
            answered = status != 405 and not (
                status == 404 and "_history" in path and kind in SHIPPED
            )
            assert answered is (code in codes(row)), (kind, code, status)


def test_batch_and_transaction_are_listed(statement):
    assert statement["rest"][0]["interaction"] == [{"code": "transaction"}, {"code": "batch"}]


def test_the_statement_has_the_public_url_and_the_version(statement):
    assert statement["implementation"]["url"] == "https://fhir.clinic.test/fhir"
    assert (statement["fhirVersion"], statement["kind"]) == ("4.0.1", "instance")


def test_every_listed_search_parameter_is_supported(client, statement):
    for kind in ("Observation", "Patient", "MedicationAdministration"):
        for row in by_type(statement)[kind]["searchParam"]:
            response = client.get(f"{kind}?{row['name']}=1", Prefer="handling=strict")
            assert response.status_code in {200, 400}
            assert b"not-supported" not in response.data, row
