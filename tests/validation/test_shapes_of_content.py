"""Empty objects, missing values and duplicate ids are detected with and without normalization."""

import pytest

from fhir_b12.validation import Validator, validator
from fhir_b12.validation.structure.normalization import Normalizer

VALIDATOR = Validator(plausibility=False)
OBSERVATION = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"text": "Vitamin B12"},
    "subject": {"reference": "Patient/1"},
}
CONDITION = {
    "resourceType": "Condition",
    "code": {"text": "Vitamin B12 deficiency"},
    "subject": {"reference": "Patient/1"},
}


def findings(resource):
    return [(issue.severity, issue.rule, issue.pointer) for issue in VALIDATOR.validate(resource)]


def findings_after_normalization(resource, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(validator, "is_well_shaped", lambda _: False)
        return [
            (issue.severity, issue.rule, issue.pointer)
            for issue in Validator(plausibility=False).validate(resource)
        ]


CASES = {
    "an empty CodeableConcept": (
        {**OBSERVATION, "code": {}},
        [("error", "empty-object", "/code")],
    ),
    "an empty object in a list": (
        {**OBSERVATION, "performer": [{}]},
        [("error", "empty-object", "/performer/0"), ("warning", "reference-empty", "/performer/0")],
    ),
    "an empty companion": (
        {**OBSERVATION, "_status": {}},
        [("error", "empty-object", "/_status")],
    ),
    "an empty contained resource": (
        {**OBSERVATION, "contained": [{}]},
        [("error", "empty-object", "/contained/0")],
    ),
    "an empty backbone element": (
        {**OBSERVATION, "component": [{}]},
        [("error", "empty-object", "/component/0"), ("error", "min", "/component/0/code")],
    ),
    "an element with only an id": (
        {**OBSERVATION, "method": {"id": "m"}},
        [("warning", "ele-1", "/method")],
    ),
    "an element with only an extension": (
        {**OBSERVATION, "method": {"extension": [{"url": "http://acme.com/e", "valueCode": "x"}]}},
        [],
    ),
    "two elements with one id": (
        {**OBSERVATION, "method": {"id": "a", "text": "x"}, "bodySite": {"id": "a", "text": "y"}},
        [("error", "element-id-twice", "/bodySite/id")],
    ),
    "one id in two resources": (
        {
            **OBSERVATION,
            "contained": [
                {"resourceType": "Patient", "id": "p", "name": [{"id": "a", "text": "x"}]}
            ],
            "subject": {"id": "a", "reference": "#p"},
        },
        [],
    ),
    "a value in a list beside a companion with only an id": (
        {"resourceType": "Patient", "name": [{"given": ["Ada"], "_given": [{"id": "g"}]}]},
        [],
    ),
    "a null in a list beside a companion with only an id": (
        {"resourceType": "Patient", "name": [{"given": [None], "_given": [{"id": "g"}]}]},
        [("error", "no-value", "/name/0/given/0")],
    ),
    "a value with a companion with only an id": (
        {"resourceType": "Patient", "birthDate": "1961", "_birthDate": {"id": "b"}},
        [],
    ),
    "an id in place of a value": (
        {"resourceType": "Patient", "_birthDate": {"id": "b"}},
        [("error", "no-value", "/birthDate")],
    ),
    "an empty list": (
        {**OBSERVATION, "category": []},
        [("error", "empty-list", "/category")],
    ),
    "two types of one choice": (
        {**OBSERVATION, "valueString": "x", "valueBoolean": True},
        [("error", "second-choice", "/valueBoolean")],
    ),
    "a decimal as a string": (
        {**OBSERVATION, "valueQuantity": {"value": "1.5"}},
        [("error", "wrong-kind", "/valueQuantity/value")],
    ),
    "a clinicalStatus without a coding": (
        {**CONDITION, "clinicalStatus": {"text": "active"}},
        [("error", "required-coding", "/clinicalStatus")],
    ),
    "a required code replaced by an extension": (
        {
            **{name: value for name, value in OBSERVATION.items() if name != "status"},
            "_status": {"extension": [{"url": "http://acme.com/e", "valueCode": "x"}]},
        },
        [("error", "code-missing", "/status")],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_content_of_objects_is_checked(name):
    resource, expected = CASES[name]
    assert findings(resource) == expected


@pytest.mark.parametrize("name", CASES)
def test_content_of_objects_is_checked_alike_after_normalization(name, monkeypatch):
    resource, expected = CASES[name]
    assert findings_after_normalization(resource, monkeypatch) == expected


def test_normalizer_removes_an_empty_contained_resource_and_leaves_an_empty_element():
    normalizer = Normalizer()
    normalized = normalizer.normalize({**OBSERVATION, "contained": [{}], "code": {}})
    assert normalized == {**OBSERVATION, "code": {}}
    assert [finding.rule for finding in normalizer.findings] == ["empty-object", "empty-object"]
