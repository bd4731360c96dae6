"""What reading and updating one resource does with values that mean nothing, and with links."""

from decimal import Decimal

import msgspec
import pytest

from fhir_b12 import codes, data
from fhir_b12.datatypes import CodeableConcept, Instant, Quantity, Reference
from fhir_b12.mapping import guards
from fhir_b12.mapping.lens import MappingError, from_fhir, to_fhir, update
from fhir_b12.records import Infusion, LabResult, Medication

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
        (element, "an empty object or list has no value")
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


def test_an_update_with_two_values_of_one_choice_is_refused():
    resource = {**LAB, "valueString": "see comment"}
    both = msgspec.structs.replace(from_fhir(resource).record, value=Quantity(value=Decimal(5)))
    with pytest.raises(MappingError, match=r"Observation\.value\[x\]"):
        update(resource, both)


# --- guards


def test_a_guard_knows_the_aliases_of_a_code_system():
    loinc = data.toml("codes/systems.toml")["loinc"]
    test = guards.compile_when(({"code": {"coded": [f"{loinc['uri']}|X"]}},))
    for uri in (loinc["uri"], *loinc["aliases"]):
        assert test({"code": {"coding": [{"system": uri, "code": "X"}]}})
    assert not test({"code": {"coding": [{"system": "http://loinc.example", "code": "X"}]}})


def test_a_silent_guard_sees_another_row_in_a_code_without_text():
    test = guards.compile_when(({"route": {"silent": "routes.intravenous"}},))
    routes = codes.table("routes")
    other = next(entry for entry in routes if entry.key != "intravenous" and entry.codings)
    for entry, is_silent in ((routes["intravenous"], True), (other, False)):
        coding = entry.codings[0]
        route = {"coding": [{"system": coding.system, "code": coding.code}]}
        assert test({"route": route}) is is_silent


# --- links: an infusion and the bag that it contains

BAG = Medication(code=CodeableConcept(text="B12 in saline"))
ROUTE = CodeableConcept(text="IV")
MIXED = Infusion(status="completed", bag=BAG, route=ROUTE)


def test_a_bag_without_id_reads_back_without_id():
    resource = to_fhir(MIXED)
    assert [item["id"] for item in resource["contained"]] == ["medication"]
    assert from_fhir(resource).record == MIXED


def test_a_bag_that_is_replaced_by_a_drug_leaves_no_empty_list():
    drug = CodeableConcept(text="B12")
    changed = update(to_fhir(MIXED), msgspec.structs.replace(MIXED, bag=None, drug=drug))
    assert "contained" not in changed
    assert changed["medicationCodeableConcept"] == {"text": "B12"}


def test_other_contained_resources_stay_in_order_beside_the_bag():
    others = [{"resourceType": "Device", "id": name} for name in ("a", "b", "c")]
    resource = to_fhir(MIXED)
    resource["contained"] = [others[0], *resource["contained"], *others[1:]]
    record = from_fhir(resource).record
    assert record.contained == tuple(others)
    strong = msgspec.structs.replace(BAG, status="active")
    changed = update(resource, msgspec.structs.replace(record, bag=strong))
    assert [item["id"] for item in changed["contained"]] == ["a", "medication", "b", "c"]


AMBIGUOUS = {
    "the id of another contained resource": (
        {
            "bag": msgspec.structs.replace(BAG, id="a"),
            "contained": ({"resourceType": "Device", "id": "a"},),
        },
        "duplicate",
    ),
    "the id of a bag without id": (
        {"bag": msgspec.structs.replace(BAG, id="medication")}, "business-rule",
    ),
    "a bag that contains a resource": (
        {"bag": msgspec.structs.replace(BAG, contained=({"resourceType": "Device"},))},
        "structure",
    ),
    "a bag and a reference": (
        {"medication": Reference(reference="Medication/1")}, "business-rule",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_a_bag_that_would_not_read_back_is_refused(name):
    changes, code = AMBIGUOUS[name]
    with pytest.raises(MappingError) as error:
        to_fhir(msgspec.structs.replace(MIXED, **changes))
    assert [(i.code, i.expression) for i in error.value.issues] == [
        (code, "MedicationAdministration.medicationReference")
    ]
