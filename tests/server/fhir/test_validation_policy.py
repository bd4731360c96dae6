"""Validation of written resources, by type.  https://hl7.org/fhir/R4/validation.html"""

import pytest

from tests.server.fhir.conftest import observation

LAB = "https://fhir-b12.org/StructureDefinition/b12-lab-result"
INVALID = observation(status="done")
UNPROFILED = observation(meta={"profile": [LAB]})
#: 2132-9 is measured by mass
ODD = observation(
    valueQuantity={
        "value": 180,
        "unit": "pmol/L",
        "system": "http://unitsofmeasure.org",
        "code": "pmol/L",
    }
)


def statuses(client):
    return [
        client.post(resource["resourceType"], resource).status_code
        for resource in (INVALID, UNPROFILED, ODD)
    ]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"validation": "off"}, [201, 201, 201]),
        ({"validation": "base"}, [422, 201, 201]),
        ({"validation": "profile"}, [422, 422, 201]),
        ({"validation": "off,Observation=profile"}, [422, 422, 201]),
        ({"validation": "profile,Observation=off"}, [201, 201, 201]),
        ({"plausibility": "error"}, [422, 201, 422]),
        ({"plausibility": "error,Observation=off"}, [422, 201, 201]),
    ],
)
def test_rules_can_differ_by_type(create_client, settings, expected):
    assert statuses(create_client(**settings)) == expected


def test_warnings_are_returned_if_prefer_asks_for_the_outcome(client):
    response = client.post("Observation", ODD, Prefer="return=OperationOutcome")
    assert response.status_code == 201
    assert {issue["severity"] for issue in response.json["issue"]} == {"warning"}
