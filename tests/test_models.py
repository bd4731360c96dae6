"""Models of fhir.resources: conversion in both directions, and warnings about losses."""

import warnings

import pytest

from fhir_b12 import data
from fhir_b12.bundles import from_bundle, to_bundle, update_bundle
from fhir_b12.jsonio import loads
from fhir_b12.mapping.lens import from_fhir, to_fhir, update
from fhir_b12.models import ModelError, ModelWarning, as_model, as_resource, changes
from fhir_b12.plain import from_plain
from tests.requirements import missing

pytest.importorskip(
    "fhir.resources", reason=missing("fhir.resources", "install the extra `models`")
)

COURSE, _ = from_plain(loads(data.read(data.mappings().joinpath("demo"), "course.json")))
RESULT = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"text": "Vitamin B12"},
    "valueQuantity": {"value": loads("180.00"), "unit": "pg/mL"},
}


def test_a_record_is_read_from_a_model_like_from_its_resource():
    records_by_type = {type(record): record for record in COURSE}
    for record in records_by_type.values():
        resource = to_fhir(record)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ModelWarning)
            reading = from_fhir(as_model(resource))
        assert reading.issues == ()
        if not changes(resource, as_model_quietly(resource)):
            assert reading.record == record


def as_model_quietly(resource):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ModelWarning)
        return as_model(resource)


def test_a_warning_reports_decimal_digits_that_the_model_drops():
    with pytest.warns(ModelWarning, match=r"Observation\.valueQuantity\.value$"):
        model = as_model(RESULT)
    losses = changes(RESULT, model)
    assert [(i.severity, i.code, i.expression) for i in losses] == [
        ("warning", "value", "Observation.valueQuantity.value")
    ]
    assert "180" not in str(losses)


def test_a_lossless_model_has_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = as_model({**RESULT, "valueQuantity": {"value": 180, "unit": "pg/mL"}})
    assert as_resource(model)["valueQuantity"] == {"value": 180, "unit": "pg/mL"}


def test_an_error_of_the_model_has_locations_but_no_values():
    with pytest.raises(ModelError) as error:
        as_model({**RESULT, "valueQuantity": {"value": "secret", "unit": 7}, "Secret": "secret"})
    expressions = {issue.expression for issue in error.value.issues}
    assert {"Observation.valueQuantity.value", "Observation.valueQuantity.unit"} <= expressions
    assert "secret" not in str(error.value)
    assert error.value.__cause__ is None


@pytest.mark.parametrize("resource_type", [None, "Nothing", 7, []])
def test_an_unknown_resource_type_is_a_value_error(resource_type):
    with pytest.raises(ValueError, match="no such resource type"):
        as_model({"resourceType": resource_type})


def test_an_unknown_release_is_a_value_error_that_lists_the_releases():
    with pytest.raises(ValueError, match="write one of R4B, R5"):
        as_model(RESULT, "R4")
    quantity = {"value": 180, "unit": "pg/mL"}
    assert as_model({**RESULT, "valueQuantity": quantity}, "R5").status == "final"


def test_reading_and_updating_accept_a_model():
    resource = to_fhir(COURSE.conditions[0])
    model = as_model_quietly(resource)
    assert update(model, from_fhir(resource).record) == as_resource(model)
    course = to_bundle(COURSE, "collection")
    bundle = as_model_quietly({**course, "entry": course["entry"][:5]})
    reading = from_bundle(bundle)
    assert reading.records
    assert update_bundle(bundle, reading.records) == as_resource(bundle)
