"""What reading and updating one resource does with values that mean nothing, and with links."""

from decimal import Decimal

import msgspec
import pytest

from fhir_b12.datatypes import CodeableConcept, Instant, Quantity
from fhir_b12.mapping.lens import from_fhir, to_fhir, update
from fhir_b12.records import LabResult

LAB = to_fhir(LabResult(status="final", test=CodeableConcept(text="Ferritin")))
INFUSION = {
    "resourceType": "MedicationAdministration",
    "status": "completed",
    "medicationCodeableConcept": {"text": "B12"},
    "dosage": {"route": {"text": "IV"}},
}


@pytest.mark.parametrize("element", ["valueQuantity", "effectivePeriod", "specimen", "method"])
def test_an_empty_object_is_no_value(element):
    reading = from_fhir({**LAB, element: {}})
    assert reading.issues == ()
    assert reading.record == from_fhir(LAB).record
    assert [(entry.path, entry.says) for entry in reading.ledger.residue] == [
        (element, "an empty object or list says nothing")
    ]


def test_an_empty_object_below_an_element_is_no_value():
    reading = from_fhir({**INFUSION, "dosage": {**INFUSION["dosage"], "dose": {}}})
    assert reading.issues == ()
    assert reading.record == from_fhir(INFUSION).record
    assert [entry.path for entry in reading.ledger.residue] == ["dosage.dose"]


def test_an_empty_category_selects_the_table_as_if_it_were_missing():
    known = {"resourceType": "Observation", "status": "final", "code": {"text": "Vitamin B12"}}
    assert from_fhir(known).lens.table.name == "lab_result"
    assert from_fhir({**known, "category": {}}).lens.table.name == "lab_result"


def test_an_update_keeps_an_empty_object_until_it_has_a_value():
    empty = {**LAB, "valueQuantity": {}}
    record = from_fhir(empty).record
    issued = msgspec.structs.replace(record, issued=Instant("2026-03-09T09:15:00Z"))
    assert update(empty, issued)["valueQuantity"] == {}
    valued = msgspec.structs.replace(record, value=Quantity(value=Decimal(5)))
    assert update(empty, valued)["valueQuantity"] == {"value": 5}


def test_an_update_keeps_unknown_data_in_an_element_that_changes():
    quantity = {"value": Decimal("1.50"), "unit": "g", "unknown": {"a": 1}, "_value": {"id": "v"}}
    resource = {**LAB, "valueQuantity": quantity}
    record = from_fhir(resource).record
    changed = msgspec.structs.replace(record, value=Quantity(value=Decimal(2), unit="g"))
    assert update(resource, changed)["valueQuantity"] == {
        **update(LAB, changed)["valueQuantity"],
        "unknown": {"a": 1},
        "_value": {"id": "v"},
    }


def test_an_update_leaves_an_element_that_belongs_to_another_field():
    """`valueString` is read as a quantity, `<150`, or as text."""
    resource = {**LAB, "valueString": "see comment"}
    record = from_fhir(resource).record
    assert (record.value, record.value_string) == (None, "see comment")
    changed = msgspec.structs.replace(record, issued=Instant("2026-03-09T09:15:00Z"))
    assert update(resource, changed)["valueString"] == "see comment"
    number = from_fhir({**LAB, "valueString": "<150"}).record
    assert number.value.comparator == "<"
    quantity = update({**LAB, "valueString": "<150"}, msgspec.structs.replace(number, value=None))
    assert "valueString" not in quantity


def test_an_update_changes_two_fields_that_share_an_element():
    resource = {**LAB, "valueString": "<150"}
    record = from_fhir(resource).record
    changed = msgspec.structs.replace(record, value=None, value_string="see comment")
    assert update(resource, changed)["valueString"] == "see comment"
    assert from_fhir(update(resource, changed)).record == changed
