"""Bundles: a whole record there and back, real Bundles of any kind, nothing lost."""

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
from tests.requirements import EXAMPLES, missing

FIXTURES = fixtures_root()
BUNDLES = sorted(FIXTURES.glob("synthea/*.bz2")) + sorted(FIXTURES.glob("*/Bundle/*.json")) or [
    pytest.param(
        None, marks=pytest.mark.skip(reason=missing(EXAMPLES, f"no Bundles in {FIXTURES}"))
    )
]
CLINIC = "https://clinic.example/id"


def name(value):
    return (Identifier(system=CLINIC, value=value),)


def to(value):
    return Reference(identifier=Identifier(system=CLINIC, value=value))


COURSE = TherapyRecord(
    patient=Patient(identifier=name("p1"), gender="female"),
    infusions=(
        Infusion(
            identifier=name("i1"),
            status="completed",
            drug=CodeableConcept(text="Hydroxocobalamin"),
            route=CodeableConcept(text="IV"),
            patient=to("p1"),
            given=Period(start=DateTime("2026-03-09T09:15:00+01:00")),
            dose=Quantity(value=Decimal(1000), unit="ug"),
        ),
    ),
    lab_results=(
        LabResult(
            identifier=name("l1"),
            status="final",
            test=CodeableConcept(text="Vitamin B12"),
            patient=to("p1"),
        ),
    ),
)


def test_a_record_comes_back_identical_from_its_bundle():
    reading = from_bundle(to_bundle(COURSE))
    assert reading.records == (COURSE,)
    assert reading.issues == ()
    assert [entry for entry in reading.ledger if entry.kind == "residue"] == []


def test_the_bundle_is_the_same_each_time_and_creates_nothing_twice():
    bundle = to_bundle(COURSE)
    assert msgspec.json.encode(bundle, enc_hook=str) == msgspec.json.encode(
        to_bundle(COURSE), enc_hook=str
    )
    assert [entry["request"]["ifNoneExist"] for entry in bundle["entry"]] == [
        f"identifier=https%3A%2F%2Fclinic.example%2Fid%7C{value}" for value in ("p1", "i1", "l1")
    ]


def test_references_inside_go_by_urn_uuid():
    patient, infusion, _ = to_bundle(COURSE)["entry"]
    assert infusion["resource"]["subject"] == {"reference": patient["fullUrl"]}
    assert patient["fullUrl"].startswith("urn:uuid:")


def test_the_order_of_entries_is_of_no_account():
    bundle = to_bundle(COURSE)
    bundle["entry"].reverse()
    assert from_bundle(bundle).records == (COURSE,)


def test_a_changed_record_changes_its_entry_alone():
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


def test_a_new_record_is_added_and_one_that_is_gone_loses_its_entry():
    bundle = to_bundle(COURSE)
    new = msgspec.structs.replace(COURSE.lab_results[0], identifier=name("l2"))
    wanted = msgspec.structs.replace(COURSE, lab_results=(new,))
    changed = update_bundle(bundle, [wanted])
    assert len(changed["entry"]) == 3
    assert from_bundle(changed).records == (wanted,)


def test_duplicates_and_dangling_references_are_reported():
    bundle = to_bundle(COURSE)
    bundle["entry"].append(bundle["entry"][2])
    bundle["entry"][1]["resource"]["subject"] = {"reference": "urn:uuid:0"}
    found = [(issue.code, issue.expression) for issue in from_bundle(bundle).issues]
    assert found == [
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


def giving(reference, *others, **more):
    """A Bundle with one infusion of what a reference leads to."""
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


def with_bag(reading, text):
    """The record read, with something else in the bag."""
    (record,) = reading.records
    (infusion,) = record.infusions
    bag = msgspec.structs.replace(infusion.bag, code=CodeableConcept(text=text))
    changed = msgspec.structs.replace(infusion, bag=bag)
    return msgspec.structs.replace(record, infusions=(changed,))


def test_a_bag_elsewhere_in_the_bundle_is_part_of_the_infusion():
    reading = from_bundle(giving("Medication/b1", BAG))
    assert reading.records[0].infusions[0].bag.code.text == "B12"
    assert reading.records[0].medications == ()


def test_a_bag_changed_keeps_what_no_table_reads_of_it():
    for bundle in (giving("#b1", contained=[BAG]), giving("Medication/b1", BAG)):
        wanted = with_bag(from_bundle(bundle), "other")
        changed = update_bundle(bundle, [wanted])
        assert from_bundle(changed).records == (wanted,)
        (entry,) = changed["entry"]
        assert entry["resource"]["contained"] == [{**BAG, "code": {"text": "other"}}]


def test_a_bag_that_something_else_refers_to_stays():
    claim = {"resourceType": "Claim", "item": [{"detail": {"reference": "Medication/b1"}}]}
    bundle = giving("Medication/b1", BAG, claim)
    changed = update_bundle(bundle, [with_bag(from_bundle(bundle), "other")])
    assert [entry["resource"] for entry in changed["entry"][1:]] == [BAG, claim]


def test_a_medication_with_a_name_of_its_own_stays_a_record_that_others_refer_to():
    named = {**BAG, "identifier": [{"system": CLINIC, "value": "lot"}]}
    (record,) = from_bundle(giving("Medication/b1", named)).records
    (infusion,) = record.infusions
    assert (infusion.bag, infusion.medication) == (None, to("lot"))
    assert record.medication(infusion) is record.medications[0]
    assert record.medication(COURSE.infusions[0]) == CodeableConcept(text="Hydroxocobalamin")


def test_a_bag_beside_a_link_or_a_drug_is_not_written():
    held = Infusion(status="completed", route=CodeableConcept(text="IV"), bag=Medication(id="b1"))
    for other in ({"medication": to("lot")}, {"drug": CodeableConcept(text="B12")}):
        both = msgspec.structs.replace(held, **other)
        with pytest.raises(MappingError):
            to_fhir(both)


def test_everything_that_cannot_be_written_is_told_at_once_with_its_place():
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


def test_a_record_is_not_added_beside_an_entry_of_its_name_that_cannot_be_read():
    bundle = to_bundle(COURSE)
    bundle["entry"][2]["resource"]["status"] = 7
    with pytest.raises(MappingError) as error:
        update_bundle(bundle, [COURSE])
    (issue,) = error.value.issues
    assert (issue.code, issue.expression) == ("conflict", "Bundle.entry[2].resource")


def test_equal_records_are_written_alike():
    (again,) = from_bundle(to_bundle(COURSE)).records
    assert dumps(to_bundle(again)) == dumps(to_bundle(COURSE))


def test_a_record_of_nothing_is_a_bundle_without_entries():
    assert to_bundle(TherapyRecord()) == {"resourceType": "Bundle", "type": "transaction"}


@pytest.mark.parametrize("address", ["Patient/1", "https://ehr.example/fhir/Patient/1"])
def test_a_patient_is_known_by_every_address(address):
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
def test_whatever_is_given_nothing_escapes_and_every_leaf_is_accounted_for(bundle):
    reading = from_bundle(bundle)
    assert [entry.path for entry in reading.ledger] == [path for path, _ in leaves(bundle)]
    assert reading.records == ()


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: getattr(path, "name", None))
def test_real_bundles_keep_the_laws(path):
    raw = path.read_bytes()
    bundle = loads(bz2.decompress(raw) if path.suffix == ".bz2" else raw)
    reading = from_bundle(bundle)
    assert [entry.path for entry in reading.ledger] == [at for at, _ in leaves(bundle)]
    assert update_bundle(bundle, reading.records) is bundle


def test_words_beside_a_link_are_left_and_the_ledger_says_so():
    reference = {"reference": "#b1", "display": "B12 in saline"}
    resource = giving("#b1", contained=[BAG], medicationReference=reference)["entry"][0]["resource"]
    reading = from_fhir(resource)
    said = {entry.path: (entry.kind, entry.says) for entry in reading.ledger}
    assert said["medicationReference.reference"] == ("derived", "leads to what bag holds")
    assert said["medicationReference.display"][0] == "residue"
    assert said["contained[0].code.text"] == ("mapped", "bag.code.text")
    bag = msgspec.structs.replace(reading.record.bag, code=CodeableConcept(text="other"))
    changed = update(resource, msgspec.structs.replace(reading.record, bag=bag))
    assert changed["medicationReference"] == reference


def test_a_bag_keeps_its_place_when_what_is_contained_beside_it_changes():
    device = {"resourceType": "Device", "id": "d1"}
    (entry,) = giving("#b1", contained=[BAG, device])["entry"]
    record = from_fhir(entry["resource"]).record
    assert record.contained == (device,)
    other = {"resourceType": "Device", "id": "d2"}
    changed = update(entry["resource"], msgspec.structs.replace(record, contained=(other,)))
    assert changed["contained"] == [BAG, other]
    gone = update(entry["resource"], msgspec.structs.replace(record, bag=None, medication=to("x")))
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


def test_patients_contained_under_one_id_or_only_named_are_not_taken_for_one():
    inside = {"contained": [{"resourceType": "Patient", "id": "p"}]}
    for subject, more in (({"reference": "#p"}, inside), ({"display": "A. Jensen"}, {})):
        reading = from_bundle(collection(result(subject, **more), result(subject, **more)))
        assert [len(record.outcomes) for record in reading.records] == [1, 1]


def test_a_conditional_reference_leads_to_the_entry_of_that_identifier():
    patient = {"resourceType": "Patient", "identifier": [{"system": CLINIC, "value": "p|1"}]}
    asked = "Patient?identifier=https%3A%2F%2Fclinic.example%2Fid%7Cp%7C1"
    bundle = collection(patient, result({"reference": asked}, id="r"))
    (record,) = from_bundle(bundle).records
    assert record.outcomes[0].patient == to("p|1")
    new = msgspec.structs.replace(record.outcomes[0], status="amended")
    changed = update_bundle(bundle, [msgspec.structs.replace(record, outcomes=(new,))])
    assert changed["entry"][1]["resource"]["subject"] == {"reference": asked}
    added = msgspec.structs.replace(record.outcomes[0], id="new")
    more = update_bundle(bundle, [msgspec.structs.replace(record, outcomes=(new, added))])
    identifier = {"system": CLINIC, "value": "p|1"}
    assert more["entry"][2]["resource"]["subject"] == {"identifier": identifier}


@pytest.mark.parametrize(
    "asked",
    ["Patient?identifier=x|1", "Observation?identifier=s|1", "Patient?identifier=s|1&active=true",
     "Patient?name=s|1", "Patient?", "?identifier=s|1"],
)  # fmt: skip
def test_a_conditional_reference_to_anything_else_leads_nowhere(asked):
    patient = {"resourceType": "Patient", "identifier": [{"system": "s", "value": "1"}]}
    assert len(from_bundle(collection(patient, result({"reference": asked}))).records) == 2


@pytest.mark.parametrize(("old", "new"), [("180", "180.00"), ("1.5", "1.50"), ("100", "1E+2")])
def test_a_change_of_digits_is_a_change(old, new):
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


def refused(record):
    with pytest.raises(MappingError) as error:
        to_fhir(record)
    return [(issue.code, issue.expression) for issue in error.value.issues]


def test_what_another_table_would_read_is_not_written():
    test = codes.table("lab_tests")["serum-vitamin-b12-mass"].concept
    assert refused(Outcome(status="final", test=test, category=())) == [
        ("business-rule", "Observation")
    ]
    assert refused(Infusion(status="completed", route=CodeableConcept(text="oral"))) == [
        ("business-rule", "MedicationAdministration")
    ]


def test_what_is_empty_in_a_record_is_left_out():
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


def test_what_reads_as_empty_can_be_changed_for_the_rest_of_it_stays():
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
    assert refused(text) == [("business-rule", "Observation.valueString")]
    resource = to_fhir(msgspec.structs.replace(text, value_string="trace"))
    with pytest.raises(MappingError):
        update(resource, text)
    drip = {"numerator": {"value": 500, "unit": "mL"}, "denominator": {"value": 1, "unit": "h"}}
    ratio = convert(drip, Ratio)
    assert refused(
        Infusion(status="completed", route=CodeableConcept(text="IV"), rate_ratio=ratio)
    ) == [("business-rule", "MedicationAdministration.dosage.rateRatio")]


def test_a_link_to_what_is_contained_is_not_written():
    record = Infusion(
        status="completed",
        route=CodeableConcept(text="IV"),
        medication=Reference(reference="#b1"),
        contained=(BAG,),
    )
    assert refused(record) == [("business-rule", "MedicationAdministration.medicationReference")]


@pytest.mark.parametrize("contained", [None, 7, {}, [None], [[]]])
def test_a_link_into_nothing_is_a_link(contained):
    (entry,) = giving("#b1", contained=contained)["entry"]
    reading = from_fhir(entry["resource"])
    assert [row.path for row in reading.ledger] == [path for path, _ in leaves(entry["resource"])]


def test_what_is_said_of_an_element_goes_with_it():
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
    kept = msgspec.structs.replace(from_fhir(order).record, instantiates_uri=("urn:b",))
    assert update(order, kept)["_instantiatesUri"] == [{"id": "b"}]


def test_a_bag_that_something_else_in_the_resource_refers_to_cannot_go():
    (entry,) = giving("#b1", contained=[BAG], supportingInformation=[{"reference": "#b1"}])["entry"]
    record = from_fhir(entry["resource"]).record
    drug = msgspec.structs.replace(record, bag=None, drug=CodeableConcept(text="B12"))
    with pytest.raises(MappingError) as error:
        update(entry["resource"], drug)
    assert [(issue.code, issue.expression) for issue in error.value.issues] == [
        ("conflict", "MedicationAdministration.supportingInformation[0].reference")
    ]
    update(entry["resource"], msgspec.structs.replace(drug, supporting=()))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_not_written(number):
    value = Quantity(value=Decimal(number), unit="ug")
    held = Infusion(status="completed", route=CodeableConcept(text="IV"), dose=value)
    assert refused(held) == [("value", "MedicationAdministration")]


def test_one_reading_is_explained_as_a_bundle_is():
    (entry,) = giving("#b1", contained=[BAG])["entry"]
    one, whole = from_fhir(entry["resource"]), from_bundle(entry["resource"])
    assert list(explain(one)) == list(explain(whole))
