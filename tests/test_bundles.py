"""Bundles: records are written and read back, and real Bundles lose nothing."""

import bz2
from decimal import Decimal

import msgspec
import pytest

from fhir_b12 import codes
from fhir_b12.bundles import from_bundle, to_bundle, update_bundle
from fhir_b12.datatypes import (
    CodeableConcept,
    Coding,
    DateTime,
    Identifier,
    Period,
    Quantity,
    Ratio,
    Reference,
    convert,
)
from fhir_b12.explanation import explain
from fhir_b12.jsonio import dumps, loads
from fhir_b12.mapping.lens import MappingError, from_fhir, lens, to_fhir, update
from fhir_b12.paths import leaves
from fhir_b12.records import Infusion, LabResult, Medication, Outcome, Patient, TherapyRecord
from tests.conftest import fixtures_root
from tests.requirements import EXAMPLES, parameters_or_skip

FIXTURES = fixtures_root()
BUNDLES = parameters_or_skip(
    sorted(FIXTURES.glob("synthea/*.bz2")) + sorted(FIXTURES.glob("*/Bundle/*.json")),
    EXAMPLES,
    f"no Bundles in {FIXTURES}",
)
CLINIC = "https://clinic.example/id"


def name(value):
    return (Identifier(system=CLINIC, value=value),)


def reference_to(value):
    return Reference(identifier=Identifier(system=CLINIC, value=value))


COURSE = TherapyRecord(
    patient=Patient(identifier=name("p1"), gender="female"),
    infusions=(
        Infusion(
            identifier=name("i1"),
            status="completed",
            drug=CodeableConcept(text="Hydroxocobalamin"),
            route=CodeableConcept(text="IV"),
            patient=reference_to("p1"),
            given=Period(start=DateTime("2026-03-09T09:15:00+01:00")),
            dose=Quantity(value=Decimal(1000), unit="ug"),
        ),
    ),
    lab_results=(
        LabResult(
            identifier=name("l1"),
            status="final",
            test=CodeableConcept(text="Vitamin B12"),
            patient=reference_to("p1"),
        ),
    ),
)


def test_a_record_written_to_a_bundle_reads_back_identical():
    reading = from_bundle(to_bundle(COURSE))
    assert reading.records == (COURSE,)
    assert reading.issues == ()
    assert [entry for entry in reading.ledger if entry.kind == "residue"] == []


def test_a_bundle_is_deterministic_and_uses_conditional_creates():
    bundle = to_bundle(COURSE)
    assert msgspec.json.encode(bundle, enc_hook=str) == msgspec.json.encode(
        to_bundle(COURSE), enc_hook=str
    )
    assert [entry["request"]["ifNoneExist"] for entry in bundle["entry"]] == [
        f"identifier=https%3A%2F%2Fclinic.example%2Fid%7C{value}" for value in ("p1", "i1", "l1")
    ]


def test_references_between_entries_are_urn_uuids():
    patient, infusion, _ = to_bundle(COURSE)["entry"]
    assert infusion["resource"]["subject"] == {"reference": patient["fullUrl"]}
    assert patient["fullUrl"].startswith("urn:uuid:")


def test_the_order_of_entries_does_not_matter():
    bundle = to_bundle(COURSE)
    bundle["entry"].reverse()
    assert from_bundle(bundle).records == (COURSE,)


def test_a_changed_record_changes_only_its_entry():
    bundle = to_bundle(COURSE)
    bundle["entry"].append({"resource": {"resourceType": "Claim", "status": "active"}})
    lab = msgspec.structs.replace(COURSE.lab_results[0], status="amended")
    changed = update_bundle(bundle, [msgspec.structs.replace(COURSE, lab_results=(lab,))])
    assert [a == b for a, b in zip(bundle["entry"], changed["entry"], strict=True)] == [
        True,
        True,
        False,
        True,
    ]
    assert from_bundle(changed).records[0].lab_results == (lab,)


def test_update_adds_entries_of_new_records_and_removes_those_of_missing_ones():
    bundle = to_bundle(COURSE)
    new = msgspec.structs.replace(COURSE.lab_results[0], identifier=name("l2"))
    expected = msgspec.structs.replace(COURSE, lab_results=(new,))
    changed = update_bundle(bundle, [expected])
    assert len(changed["entry"]) == 3
    assert from_bundle(changed).records == (expected,)


def test_duplicates_and_dangling_references_are_reported():
    bundle = to_bundle(COURSE)
    bundle["entry"].append(bundle["entry"][2])
    bundle["entry"][1]["resource"]["subject"] = {"reference": "urn:uuid:0"}
    issues = [(issue.code, issue.expression) for issue in from_bundle(bundle).issues]
    assert issues == [
        ("duplicate", "Bundle.entry[3].resource"),
        ("duplicate", "Bundle.entry[3].resource"),
        ("not-found", "Bundle.entry[1].resource"),
    ]


BAG = {
    "resourceType": "Medication",
    "id": "b1",
    "text": {"status": "empty"},
    "code": {"text": "B12"},
}


def bundle_with_infusion(reference, *others, **more):
    """Return a Bundle with one infusion whose medication is a reference."""
    infusion = {
        "resourceType": "MedicationAdministration",
        "id": "i1",
        "status": "completed",
        "medicationReference": {"reference": reference},
        "subject": {"reference": "Patient/1"},
        "dosage": {"route": {"text": "IV"}},
        **more,
    }
    resources = [infusion, *others]
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": r} for r in resources],
    }


def replace_bag(reading, text):
    """Return the record of a reading with another text as code of the bag."""
    (record,) = reading.records
    (infusion,) = record.infusions
    bag = msgspec.structs.replace(infusion.bag, code=CodeableConcept(text=text))
    changed = msgspec.structs.replace(infusion, bag=bag)
    return msgspec.structs.replace(record, infusions=(changed,))


def test_a_medication_in_another_entry_is_the_bag_of_the_infusion():
    reading = from_bundle(bundle_with_infusion("Medication/b1", BAG))
    assert reading.records[0].infusions[0].bag.code.text == "B12"
    assert reading.records[0].medications == ()


def test_a_changed_bag_keeps_its_unmapped_elements():
    for bundle in (
        bundle_with_infusion("#b1", contained=[BAG]),
        bundle_with_infusion("Medication/b1", BAG),
    ):
        expected = replace_bag(from_bundle(bundle), "other")
        changed = update_bundle(bundle, [expected])
        assert from_bundle(changed).records == (expected,)
        (entry,) = changed["entry"]
        assert entry["resource"]["contained"] == [{**BAG, "code": {"text": "other"}}]


def test_a_bag_with_another_reference_to_it_stays_in_the_bundle():
    claim = {"resourceType": "Claim", "item": [{"detail": {"reference": "Medication/b1"}}]}
    bundle = bundle_with_infusion("Medication/b1", BAG, claim)
    changed = update_bundle(bundle, [replace_bag(from_bundle(bundle), "other")])
    assert [entry["resource"] for entry in changed["entry"][1:]] == [BAG, claim]


def test_a_medication_with_an_identifier_is_a_record_of_its_own():
    named = {**BAG, "identifier": [{"system": CLINIC, "value": "lot"}]}
    (record,) = from_bundle(bundle_with_infusion("Medication/b1", named)).records
    (infusion,) = record.infusions
    assert (infusion.bag, infusion.medication) == (None, reference_to("lot"))
    assert record.medication(infusion) is record.medications[0]
    assert record.medication(COURSE.infusions[0]) == CodeableConcept(text="Hydroxocobalamin")


def test_a_bag_and_a_medication_reference_or_drug_cannot_both_be_written():
    infusion = Infusion(
        status="completed", route=CodeableConcept(text="IV"), bag=Medication(id="b1")
    )
    for other in ({"medication": reference_to("lot")}, {"drug": CodeableConcept(text="B12")}):
        both = msgspec.structs.replace(infusion, **other)
        with pytest.raises(MappingError):
            to_fhir(both)


def test_a_mapping_error_lists_all_issues_with_their_locations():
    oral = Infusion(status="completed", route=CodeableConcept(text="oral"))
    twice = LabResult(
        status="final", test=CodeableConcept(text="x"), value_string="x", value_boolean=True
    )
    course = TherapyRecord(infusions=(*COURSE.infusions, oral), lab_results=(twice,))
    with pytest.raises(MappingError) as error:
        to_bundle(course)
    assert [(issue.code, issue.expression) for issue in error.value.issues] == [
        ("business-rule", "$.infusions[1]"),
        ("structure", "$.labResults[0]"),
    ]


def test_a_record_conflicts_with_an_unreadable_entry_of_the_same_identifier():
    bundle = to_bundle(COURSE)
    bundle["entry"][2]["resource"]["status"] = 7
    with pytest.raises(MappingError) as error:
        update_bundle(bundle, [COURSE])
    (issue,) = error.value.issues
    assert (issue.code, issue.expression) == ("conflict", "Bundle.entry[2].resource")


def test_equal_records_have_equal_bundles():
    (again,) = from_bundle(to_bundle(COURSE)).records
    assert dumps(to_bundle(again)) == dumps(to_bundle(COURSE))


def test_an_empty_record_is_a_bundle_without_entries():
    assert to_bundle(TherapyRecord()) == {"resourceType": "Bundle", "type": "transaction"}


@pytest.mark.parametrize("address", ["Patient/1", "https://ehr.example/fhir/Patient/1"])
def test_a_patient_is_resolved_by_relative_and_absolute_reference(address):
    entries = [
        {
            "fullUrl": "https://ehr.example/fhir/Patient/1",
            "resource": {"resourceType": "Patient", "id": "1"},
        },
        {
            "fullUrl": "https://ehr.example/fhir/Condition/2",
            "resource": {"resourceType": "Condition", "subject": {"reference": address}},
        },
    ]
    (record,) = from_bundle(
        {"resourceType": "Bundle", "type": "searchset", "entry": entries}
    ).records
    assert (record.patient.id, len(record.conditions)) == ("1", 1)


def test_several_patients_give_several_records():
    other = msgspec.structs.replace(
        COURSE, patient=Patient(identifier=name("p2")), infusions=(), lab_results=()
    )
    both = {**to_bundle(COURSE), "entry": [*to_bundle(other)["entry"], *to_bundle(COURSE)["entry"]]}
    assert from_bundle(both).records == (other, COURSE)


@pytest.mark.parametrize(
    "bundle",
    [None, 3, "x", [], [None, {}], {}, {"resourceType": "Bundle"},
     {"resourceType": "Bundle", "entry": {}}, {"resourceType": "Bundle", "entry": []},
     {"resourceType": "Bundle", "entry": [None, 1, {"resource": 1}, {"resource": {}}]},
     {"resourceType": 5}, {"resourceType": "Observation", "status": {}, "code": [[]]}],
    ids=str,
)  # fmt: skip
def test_malformed_bundles_raise_nothing_and_every_leaf_is_in_the_ledger(bundle):
    reading = from_bundle(bundle)
    assert [entry.path for entry in reading.ledger] == [path for path, _ in leaves(bundle)]
    assert reading.records == ()


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: getattr(path, "name", None))
def test_real_bundles_satisfy_conservation_and_putget(path):
    raw = path.read_bytes()
    bundle = loads(bz2.decompress(raw) if path.suffix == ".bz2" else raw)
    reading = from_bundle(bundle)
    assert [entry.path for entry in reading.ledger] == [at for at, _ in leaves(bundle)]
    assert update_bundle(bundle, reading.records) is bundle


def test_the_display_of_a_bag_reference_is_residue_and_stays():
    reference = {"reference": "#b1", "display": "B12 in saline"}
    resource = bundle_with_infusion("#b1", contained=[BAG], medicationReference=reference)["entry"][
        0
    ]["resource"]
    reading = from_fhir(resource)
    rows = {entry.path: (entry.kind, entry.says) for entry in reading.ledger}
    assert rows["medicationReference.reference"] == ("derived", "reference to the resource in bag")
    assert rows["medicationReference.display"][0] == "residue"
    assert rows["contained[0].code.text"] == ("mapped", "bag.code.text")
    bag = msgspec.structs.replace(reading.record.bag, code=CodeableConcept(text="other"))
    changed = update(resource, msgspec.structs.replace(reading.record, bag=bag))
    assert changed["medicationReference"] == reference


def test_a_bag_stays_first_when_other_contained_resources_change():
    device = {"resourceType": "Device", "id": "d1"}
    (entry,) = bundle_with_infusion("#b1", contained=[BAG, device])["entry"]
    record = from_fhir(entry["resource"]).record
    assert record.contained == (device,)
    other = {"resourceType": "Device", "id": "d2"}
    changed = update(entry["resource"], msgspec.structs.replace(record, contained=(other,)))
    assert changed["contained"] == [BAG, other]
    gone = update(
        entry["resource"], msgspec.structs.replace(record, bag=None, medication=reference_to("x"))
    )
    assert gone["contained"] == [device]
    assert gone["medicationReference"]["identifier"]["value"] == "x"


def result(subject, **more):
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "Energy"},
        "subject": subject,
        **more,
    }


def collection(*resources):
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": r} for r in resources],
    }


def test_contained_or_display_only_patients_are_not_merged():
    inside = {"contained": [{"resourceType": "Patient", "id": "p"}]}
    for subject, more in (({"reference": "#p"}, inside), ({"display": "A. Jensen"}, {})):
        reading = from_bundle(collection(result(subject, **more), result(subject, **more)))
        assert [len(record.outcomes) for record in reading.records] == [1, 1]


def test_a_conditional_reference_resolves_to_the_entry_with_that_identifier():
    patient = {"resourceType": "Patient", "identifier": [{"system": CLINIC, "value": "p|1"}]}
    search_reference = "Patient?identifier=https%3A%2F%2Fclinic.example%2Fid%7Cp%7C1"
    bundle = collection(patient, result({"reference": search_reference}, id="r"))
    (record,) = from_bundle(bundle).records
    assert record.outcomes[0].patient == reference_to("p|1")
    new = msgspec.structs.replace(record.outcomes[0], status="amended")
    changed = update_bundle(bundle, [msgspec.structs.replace(record, outcomes=(new,))])
    assert changed["entry"][1]["resource"]["subject"] == {"reference": search_reference}
    added = msgspec.structs.replace(record.outcomes[0], id="new")
    more = update_bundle(bundle, [msgspec.structs.replace(record, outcomes=(new, added))])
    identifier = {"system": CLINIC, "value": "p|1"}
    assert more["entry"][2]["resource"]["subject"] == {"identifier": identifier}


@pytest.mark.parametrize(
    "search_reference",
    ["Patient?identifier=x|1", "Observation?identifier=s|1", "Patient?identifier=s|1&active=true",
     "Patient?name=s|1", "Patient?", "?identifier=s|1"],
)  # fmt: skip
def test_a_conditional_reference_by_other_criteria_stays_unresolved(search_reference):
    patient = {"resourceType": "Patient", "identifier": [{"system": "s", "value": "1"}]}
    assert (
        len(from_bundle(collection(patient, result({"reference": search_reference}))).records) == 2
    )


@pytest.mark.parametrize(("old", "new"), [("180", "180.00"), ("1.5", "1.50"), ("100", "1E+2")])
def test_a_change_of_decimal_digits_is_written(old, new):
    value = {"value": Decimal(old), "unit": "pg/mL"}
    bundle = collection(result({"reference": "Patient/1"}, id="r", valueQuantity=value))
    (record,) = from_bundle(bundle).records
    (outcome,) = record.outcomes
    changed = msgspec.structs.replace(
        outcome, value=msgspec.structs.replace(outcome.value, value=Decimal(new))
    )
    resource = update(bundle["entry"][0]["resource"], changed)
    assert str(resource["valueQuantity"]["value"]) == new
    again = update_bundle(bundle, [msgspec.structs.replace(record, outcomes=(changed,))])
    assert str(again["entry"][0]["resource"]["valueQuantity"]["value"]) == new


def issues_of_writing(record):
    with pytest.raises(MappingError) as error:
        to_fhir(record)
    return [(issue.code, issue.expression) for issue in error.value.issues]


def test_a_record_that_would_be_read_as_another_type_is_not_written():
    test = codes.table("lab_tests")["serum-vitamin-b12-mass"].concept
    assert issues_of_writing(Outcome(status="final", test=test, category=())) == [
        ("business-rule", "Observation")
    ]
    assert issues_of_writing(Infusion(status="completed", route=CodeableConcept(text="oral"))) == [
        ("business-rule", "MedicationAdministration")
    ]


def test_empty_values_of_a_record_are_not_written():
    empty = LabResult(
        status="final",
        test=CodeableConcept(coding=(Coding(), Coding(code="x"))),
        value=Quantity(),
        extension=({"url": "https://example.org", "valueCoding": {}},),
        category=(),
    )
    assert lens("lab_result").create(empty) == {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"code": "x"}]},
        "extension": [{"url": "https://example.org"}],
    }


def test_an_update_keeps_elements_that_read_as_empty():
    masked = {"resourceType": "Patient", "name": [{"_family": {"id": "masked"}}], "gender": "male"}
    record = from_fhir(masked).record
    changed = update(masked, msgspec.structs.replace(record, gender="female"))
    assert changed == {**masked, "gender": "female"}
    assert to_bundle(TherapyRecord(patient=record))["entry"][0]["resource"] == {
        "resourceType": "Patient",
        "gender": "male",
    }


def test_a_text_that_reads_as_a_number_is_not_written_as_text():
    test = codes.table("lab_tests")["serum-vitamin-b12-mass"].concept
    text = LabResult(status="final", test=test, value_string="<150")
    assert issues_of_writing(text) == [("business-rule", "Observation.valueString")]
    resource = to_fhir(msgspec.structs.replace(text, value_string="trace"))
    with pytest.raises(MappingError):
        update(resource, text)
    drip = {"numerator": {"value": 500, "unit": "mL"}, "denominator": {"value": 1, "unit": "h"}}
    ratio = convert(drip, Ratio)
    assert issues_of_writing(
        Infusion(status="completed", route=CodeableConcept(text="IV"), rate_ratio=ratio)
    ) == [("business-rule", "MedicationAdministration.dosage.rateRatio")]


def test_a_reference_to_a_contained_resource_is_not_written():
    record = Infusion(
        status="completed",
        route=CodeableConcept(text="IV"),
        medication=Reference(reference="#b1"),
        contained=(BAG,),
    )
    assert issues_of_writing(record) == [
        ("business-rule", "MedicationAdministration.medicationReference")
    ]


@pytest.mark.parametrize("contained", [None, 7, {}, [None], [[]]])
def test_an_unresolvable_contained_reference_is_in_the_ledger(contained):
    (entry,) = bundle_with_infusion("#b1", contained=contained)["entry"]
    reading = from_fhir(entry["resource"])
    assert [row.path for row in reading.ledger] == [path for path, _ in leaves(entry["resource"])]


def test_the_companion_of_a_primitive_is_removed_with_it():
    resource = {
        "resourceType": "Condition",
        "id": "c",
        "instantiates": 1,
        "onsetDateTime": "2020",
        "_onsetDateTime": {"id": "about"},
        "note": [{"text": "a"}],
    }
    record = from_fhir(resource).record
    changed = update(resource, msgspec.structs.replace(record, onset=None, onset_string="long ago"))
    assert "_onsetDateTime" not in changed
    assert changed["instantiates"] == 1
    order = {
        "resourceType": "ServiceRequest", "status": "active", "intent": "order",
        "instantiatesUri": ["urn:a", "urn:b"], "_instantiatesUri": [None, {"id": "b"}],
    }  # fmt: skip
    updated = msgspec.structs.replace(from_fhir(order).record, instantiates_uri=("urn:b",))
    assert update(order, updated)["_instantiatesUri"] == [{"id": "b"}]


def test_a_bag_with_another_reference_in_the_resource_cannot_be_removed():
    (entry,) = bundle_with_infusion(
        "#b1", contained=[BAG], supportingInformation=[{"reference": "#b1"}]
    )["entry"]
    record = from_fhir(entry["resource"]).record
    drug = msgspec.structs.replace(record, bag=None, drug=CodeableConcept(text="B12"))
    with pytest.raises(MappingError) as error:
        update(entry["resource"], drug)
    assert [(issue.code, issue.expression) for issue in error.value.issues] == [
        ("conflict", "MedicationAdministration.supportingInformation[0].reference")
    ]
    update(entry["resource"], msgspec.structs.replace(drug, supporting=()))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_nan_and_infinity_are_not_written(number):
    value = Quantity(value=Decimal(number), unit="ug")
    infusion = Infusion(status="completed", route=CodeableConcept(text="IV"), dose=value)
    assert issues_of_writing(infusion) == [("value", "MedicationAdministration")]


def test_a_resource_has_the_same_explanation_alone_and_as_a_bundle():
    (entry,) = bundle_with_infusion("#b1", contained=[BAG])["entry"]
    one, whole = from_fhir(entry["resource"]), from_bundle(entry["resource"])
    assert list(explain(one)) == list(explain(whole))
