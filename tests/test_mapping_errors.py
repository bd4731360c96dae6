"""What cannot be mapped is reported with its location and what to do."""

from decimal import Decimal

import pytest

from fhir_b12.datatypes import CodeableConcept, Quantity
from fhir_b12.issues import Issue
from fhir_b12.mapping.lens import MappingError, from_fhir, to_fhir
from fhir_b12.records import LabResult


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_not_finite_is_not_written(number):
    result = LabResult(
        status="final",
        test=CodeableConcept(text="Vitamin B12"),
        value=Quantity(value=Decimal(number)),
    )
    with pytest.raises(MappingError) as caught:
        to_fhir(result)
    what = "a number of the record is NaN or infinite: remove it"
    assert caught.value.issues == (Issue("error", "value", "Observation", what),)


@pytest.mark.parametrize("value", [[], "Patient", 7, None, True])
def test_a_resource_that_is_no_json_object_is_reported(value):
    reading = from_fhir(value)
    what = "a FHIR resource is a JSON object: pass one"
    assert (reading.record, reading.issues) == (
        None,
        (Issue("error", "structure", "$this", what),),
    )
