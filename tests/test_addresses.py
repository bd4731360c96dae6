"""References and identity of resources: in Bundles of one server, of several, and without URLs."""

import msgspec
import pytest

from fhir_b12.bundles import from_bundle, to_bundle, update_bundle
from fhir_b12.datatypes import CodeableConcept, Identifier, Reference
from fhir_b12.records import Condition, LabResult, Patient, Reaction, TherapyRecord


def bundle(*entries, kind="collection", **more):
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries), **more}


def entry(url, resource, **more):
    return {"fullUrl": url, "resource": resource, **more}


def patient(base, **more):
    return entry(f"{base}/Patient/1", {"resourceType": "Patient", "id": "1", **more})


def condition(base, reference, text="x", **more):
    subject = reference if isinstance(reference, dict) else {"reference": reference}
    resource = {"resourceType": "Condition", "subject": subject, "code": {"text": text}}
    return entry(f"{base}/Condition/2", {**resource, **more})


def conditions_by_gender(reading):
    """Return the gender and number of conditions of each record's patient."""
    return [
        (record.patient and record.patient.gender, len(record.conditions))
        for record in reading.records
    ]


A, B = "http://a.example/fhir", "http://b.example/fhir"


def test_patients_with_one_id_on_two_servers_are_two_records():
    entries = [
        patient(A, gender="male"), patient(B, gender="female"),
        condition(A, "Patient/1"), condition(B, "Patient/1"),
    ]  # fmt: skip
    reading = from_bundle(bundle(*entries))
    assert (conditions_by_gender(reading), reading.issues) == ([("male", 1), ("female", 1)], ())


def test_a_relative_reference_resolves_on_its_own_server_only():
    reading = from_bundle(bundle(patient(A, gender="male"), condition(B, "Patient/1")))
    assert conditions_by_gender(reading) == [("male", 0), (None, 1)]


def test_an_ambiguous_relative_reference_is_an_issue_and_stays_unresolved():
    loose = {"resource": condition(A, "Patient/1")["resource"]}
    reading = from_bundle(bundle(patient(A), patient(B), loose))
    assert [(i.code, i.expression) for i in reading.issues] == [
        ("multiple-matches", "Bundle.entry[2].resource")
    ]
    assert conditions_by_gender(reading) == [(None, 0), (None, 0), (None, 1)]


NAMES = [{"system": "urn:old", "value": "7"}, {"system": "urn:mrn", "value": "1"}]


@pytest.mark.parametrize(
    "reference",
    [{"identifier": NAMES[0]}, {"identifier": NAMES[1]}, {"identifier": {**NAMES[1], "use": "usual"}},
     {"reference": "Patient?identifier=urn:mrn|1"}, {"reference": f"{A}/Patient?identifier=urn:mrn|1"}],
)  # fmt: skip
def test_a_patient_is_resolved_by_any_identifier(reference):
    entries = bundle(patient(A, gender="male", identifier=NAMES), condition(A, reference))
    assert conditions_by_gender(from_bundle(entries)) == [("male", 1)]


def test_a_patient_and_an_encounter_may_have_the_same_identifier():
    visit = {"resourceType": "Encounter", "status": "finished", "identifier": [NAMES[1]]}
    visit["subject"] = {"identifier": NAMES[1]}
    reading = from_bundle(
        bundle(patient(A, identifier=[NAMES[1]]), entry(f"{A}/Encounter/1", visit))
    )
    assert reading.issues == ()
    assert [len(record.sessions) for record in reading.records] == [1]


def test_an_appointment_belongs_to_its_patient_not_to_the_practitioner():
    doctor = entry("urn:uuid:d", {"resourceType": "Practitioner"})
    one, other = (entry(f"urn:uuid:{n}", {"resourceType": "Patient", "gender": n}) for n in "pq")
    actors = [{"actor": {"reference": f"urn:uuid:{n}"}} for n in "dq"]
    visit = entry(
        "urn:uuid:v", {"resourceType": "Appointment", "status": "booked", "participant": actors}
    )
    reading = from_bundle(bundle(doctor, one, other, visit))
    assert [len(record.follow_ups) for record in reading.records] == [0, 1]


def test_a_medication_with_an_identifier_belongs_to_the_patient_who_received_it():
    lot = {"resourceType": "Medication", "identifier": [NAMES[1]], "code": {"text": "B12"}}
    administration = {
        "resourceType": "MedicationAdministration", "status": "completed",
        "medicationReference": {"reference": "urn:uuid:m"}, "subject": {"reference": "urn:uuid:q"},
        "dosage": {"route": {"text": "IV"}},
    }  # fmt: skip
    people = [entry(f"urn:uuid:{n}", {"resourceType": "Patient"}) for n in "pq"]
    reading = from_bundle(
        bundle(*people, entry("urn:uuid:m", lot), entry("urn:uuid:i", administration))
    )
    assert [(len(r.medications), len(r.infusions)) for r in reading.records] == [(0, 0), (1, 1)]


def test_deleted_and_superseded_versions_are_not_read():
    def version(text, **more):
        return {**condition(A, "Patient/9", text, id="2"), **more}

    history = [
        version("newest", request={"method": "PUT", "url": "Condition/2"}),
        version("older", request={"method": "PUT", "url": "Condition/2"}),
    ]
    gone = {"fullUrl": f"{A}/Condition/2", "request": {"method": "DELETE", "url": "Condition/2"}}
    read = from_bundle(bundle(*history, kind="history"))
    assert [r.conditions[0].code.text for r in read.records] == ["newest"]
    assert ("informational", "Bundle.entry[1].resource") in [
        (issue.code, issue.expression) for issue in read.issues
    ]
    assert from_bundle(bundle(gone, *history, kind="history")).records == ()
    deleted = version("x", request={"method": "DELETE", "url": "Condition/2"})
    assert from_bundle(bundle(deleted, kind="transaction")).records == ()


def test_modifier_extensions_and_implicit_rules_are_errors():
    modified = {
        **condition(A, "Patient/9"),
        "modifierExtension": [{"url": "https://example.org/not"}],
    }
    reading = from_bundle(bundle(modified))
    assert [i.code for i in reading.issues if i.is_error] == ["extension"]
    ruled = bundle(condition(A, "Patient/9"), implicitRules="https://example.org/rules")
    assert [i.code for i in from_bundle(ruled).issues if i.is_error] == ["not-supported"]
    assert from_bundle(ruled).records == reading.records == ()


# Writing


def lab(**more):
    return LabResult(status="final", test=CodeableConcept(text="B12"), **more)


def name(value):
    return Identifier(system="urn:acc", value=value)


def test_two_results_with_one_accession_number_are_two_entries():
    labs = (lab(identifier=(name("1"),)), lab(identifier=(name("1"),), value_string="x"))
    written = to_bundle(TherapyRecord(lab_results=labs))["entry"]
    assert len({item["fullUrl"] for item in written}) == 2
    assert [item["request"].get("ifNoneExist") for item in written] == [None, None]


def test_equal_records_without_identifier_have_different_full_urls():
    written = to_bundle(TherapyRecord(lab_results=(lab(), lab(), lab())))["entry"]
    assert len({item["fullUrl"] for item in written}) == 3


def test_a_reaction_is_created_without_a_condition_on_its_identifier():
    record = TherapyRecord(reactions=(Reaction(actuality="actual", identifier=name("r")),))
    assert to_bundle(record)["entry"][0]["request"] == {"method": "POST", "url": "AdverseEvent"}


def test_a_record_with_a_uuid_as_id_has_it_as_full_url():
    uuid = "0b4ce5a2-3c1d-4a53-9c7c-1d3f0e6b8a11"
    cause = Condition(id=uuid, code=CodeableConcept(text="x"))
    record = TherapyRecord(
        conditions=(cause, Condition(stage=(), recorder=Reference(reference=f"urn:uuid:{uuid}")))
    )
    written = to_bundle(record)
    assert written["entry"][0]["fullUrl"] == f"urn:uuid:{uuid}"
    assert from_bundle(written).records == (record,)
    assert from_bundle(written).issues == ()


# Changing


STRANGE = {"meta": {"source": "x"}, "_code": {"id": "1"}}


@pytest.mark.parametrize("known", [{}, {"id": "2"}, {"identifier": [NAMES[0]]}])
def test_a_changed_record_updates_its_entry(known):
    before = bundle(condition("urn:x", "Patient/1", **STRANGE, **known))
    (record,) = from_bundle(before).records
    new = msgspec.structs.replace(record.conditions[0], code=CodeableConcept(text="y"))
    after = update_bundle(before, [msgspec.structs.replace(record, conditions=(new,))])
    expected = {**before["entry"][0]["resource"], "code": {"text": "y"}}
    assert after["entry"] == [{**before["entry"][0], "resource": expected}]


@pytest.mark.parametrize(
    "expected", [NAMES[::-1], NAMES[:1], [NAMES[0], {"system": "x", "value": "y"}]]
)
def test_a_patient_with_changed_identifiers_updates_its_entry(expected):
    before = bundle(patient(A, identifier=NAMES, **STRANGE), condition(A, "Patient/1"))
    (record,) = from_bundle(before).records
    names = tuple(Identifier(**item) for item in expected)
    new = msgspec.structs.replace(record.patient, identifier=names)
    after = update_bundle(before, [msgspec.structs.replace(record, patient=new)])
    assert after["entry"][0]["fullUrl"] == f"{A}/Patient/1"
    assert after["entry"][0]["resource"]["meta"] == STRANGE["meta"]
    assert after["entry"][0]["resource"]["identifier"] == expected
    assert len(after["entry"]) == 2


def test_a_bundle_updated_with_no_records_has_no_entries():
    assert update_bundle(bundle(patient(A)), []) == {"resourceType": "Bundle", "type": "collection"}


def test_3000_patients_with_one_identifier_are_updated_in_reasonable_time():
    same = [patient(A, identifier=[NAMES[0]], gender=str(i)) for i in range(3000)]
    before = bundle(*({"resource": item["resource"]} for item in same))
    records = from_bundle(before).records
    changed = TherapyRecord(patient=Patient(gender="x", identifier=records[0].patient.identifier))
    assert len(update_bundle(before, [*records[1:], changed])["entry"]) == 3000
