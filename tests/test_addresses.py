"""Who and what is meant, in Bundles of one server, of several, and of none."""

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


def whose(reading):
    """The gender of each patient and how many conditions are theirs."""
    return [
        (record.patient and record.patient.gender, len(record.conditions))
        for record in reading.records
    ]


A, B = "http://a.example/fhir", "http://b.example/fhir"


def test_patients_of_two_servers_are_two_though_they_share_an_id():
    entries = [
        patient(A, gender="male"), patient(B, gender="female"),
        condition(A, "Patient/1"), condition(B, "Patient/1"),
    ]  # fmt: skip
    reading = from_bundle(bundle(*entries))
    assert (whose(reading), reading.issues) == ([("male", 1), ("female", 1)], ())


def test_a_relative_reference_is_to_its_own_server_and_to_no_other():
    reading = from_bundle(bundle(patient(A, gender="male"), condition(B, "Patient/1")))
    assert whose(reading) == [("male", 0), (None, 1)]


def test_a_relative_reference_that_fits_two_entries_leads_to_none_and_says_so():
    loose = {"resource": condition(A, "Patient/1")["resource"]}
    reading = from_bundle(bundle(patient(A), patient(B), loose))
    assert [(i.code, i.expression) for i in reading.issues] == [
        ("multiple-matches", "Bundle.entry[2].resource")
    ]
    assert whose(reading) == [(None, 0), (None, 0), (None, 1)]


NAMES = [{"system": "urn:old", "value": "7"}, {"system": "urn:mrn", "value": "1"}]


@pytest.mark.parametrize(
    "reference",
    [{"identifier": NAMES[0]}, {"identifier": NAMES[1]}, {"identifier": {**NAMES[1], "use": "usual"}},
     {"reference": "Patient?identifier=urn:mrn|1"}, {"reference": f"{A}/Patient?identifier=urn:mrn|1"}],
)  # fmt: skip
def test_a_patient_is_found_by_any_identifier(reference):
    entries = bundle(patient(A, gender="male", identifier=NAMES), condition(A, reference))
    assert whose(from_bundle(entries)) == [("male", 1)]


def test_the_number_of_a_patient_may_be_that_of_a_visit_too():
    visit = {"resourceType": "Encounter", "status": "finished", "identifier": [NAMES[1]]}
    visit["subject"] = {"identifier": NAMES[1]}
    reading = from_bundle(
        bundle(patient(A, identifier=[NAMES[1]]), entry(f"{A}/Encounter/1", visit))
    )
    assert reading.issues == ()
    assert [len(record.sessions) for record in reading.records] == [1]


def test_an_appointment_is_the_patients_and_not_the_doctors():
    doctor = entry("urn:uuid:d", {"resourceType": "Practitioner"})
    one, other = (entry(f"urn:uuid:{n}", {"resourceType": "Patient", "gender": n}) for n in "pq")
    actors = [{"actor": {"reference": f"urn:uuid:{n}"}} for n in "dq"]
    visit = entry(
        "urn:uuid:v", {"resourceType": "Appointment", "status": "booked", "participant": actors}
    )
    reading = from_bundle(bundle(doctor, one, other, visit))
    assert [len(record.follow_ups) for record in reading.records] == [0, 1]


def test_a_named_medication_goes_with_the_patient_who_got_it():
    lot = {"resourceType": "Medication", "identifier": [NAMES[1]], "code": {"text": "B12"}}
    given = {
        "resourceType": "MedicationAdministration", "status": "completed",
        "medicationReference": {"reference": "urn:uuid:m"}, "subject": {"reference": "urn:uuid:q"},
        "dosage": {"route": {"text": "IV"}},
    }  # fmt: skip
    people = [entry(f"urn:uuid:{n}", {"resourceType": "Patient"}) for n in "pq"]
    reading = from_bundle(bundle(*people, entry("urn:uuid:m", lot), entry("urn:uuid:i", given)))
    assert [(len(r.medications), len(r.infusions)) for r in reading.records] == [(0, 0), (1, 1)]


def test_what_was_deleted_or_superseded_is_not_read():
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


def test_rules_that_change_the_meaning_of_a_bundle_or_an_entry_are_never_passed_over():
    odd = {**condition(A, "Patient/9"), "modifierExtension": [{"url": "https://example.org/not"}]}
    reading = from_bundle(bundle(odd))
    assert [i.code for i in reading.issues if i.is_error] == ["extension"]
    ruled = bundle(condition(A, "Patient/9"), implicitRules="https://example.org/rules")
    assert [i.code for i in from_bundle(ruled).issues if i.is_error] == ["not-supported"]
    assert from_bundle(ruled).records == reading.records == ()


# Writing


def lab(**more):
    return LabResult(status="final", test=CodeableConcept(text="B12"), **more)


def name(value):
    return Identifier(system="urn:acc", value=value)


def test_two_results_of_one_accession_number_stay_two():
    labs = (lab(identifier=(name("1"),)), lab(identifier=(name("1"),), value_string="x"))
    made = to_bundle(TherapyRecord(lab_results=labs))["entry"]
    assert len({each["fullUrl"] for each in made}) == 2
    assert [each["request"].get("ifNoneExist") for each in made] == [None, None]


def test_equal_records_without_a_name_have_addresses_of_their_own():
    made = to_bundle(TherapyRecord(lab_results=(lab(), lab(), lab())))["entry"]
    assert len({each["fullUrl"] for each in made}) == 3


def test_a_reaction_is_not_searched_for_by_what_r4_cannot_search():
    record = TherapyRecord(reactions=(Reaction(actuality="actual", identifier=name("r")),))
    assert to_bundle(record)["entry"][0]["request"] == {"method": "POST", "url": "AdverseEvent"}


def test_a_record_whose_id_is_its_uuid_keeps_its_address():
    uuid = "0b4ce5a2-3c1d-4a53-9c7c-1d3f0e6b8a11"
    cause = Condition(id=uuid, code=CodeableConcept(text="x"))
    record = TherapyRecord(
        conditions=(cause, Condition(stage=(), recorder=Reference(reference=f"urn:uuid:{uuid}")))
    )
    made = to_bundle(record)
    assert made["entry"][0]["fullUrl"] == f"urn:uuid:{uuid}"
    assert from_bundle(made).records == (record,)
    assert from_bundle(made).issues == ()


# Changing


STRANGE = {"meta": {"source": "x"}, "_code": {"id": "1"}}


@pytest.mark.parametrize("known", [{}, {"id": "2"}, {"identifier": [NAMES[0]]}])
def test_a_changed_record_is_known_again(known):
    before = bundle(condition("urn:x", "Patient/1", **STRANGE, **known))
    (record,) = from_bundle(before).records
    new = msgspec.structs.replace(record.conditions[0], code=CodeableConcept(text="y"))
    after = update_bundle(before, [msgspec.structs.replace(record, conditions=(new,))])
    wanted = {**before["entry"][0]["resource"], "code": {"text": "y"}}
    assert after["entry"] == [{**before["entry"][0], "resource": wanted}]


@pytest.mark.parametrize(
    "wanted", [NAMES[::-1], NAMES[:1], [NAMES[0], {"system": "x", "value": "y"}]]
)
def test_a_patient_whose_numbers_change_keeps_the_entry(wanted):
    before = bundle(patient(A, identifier=NAMES, **STRANGE), condition(A, "Patient/1"))
    (record,) = from_bundle(before).records
    names = tuple(Identifier(**each) for each in wanted)
    new = msgspec.structs.replace(record.patient, identifier=names)
    after = update_bundle(before, [msgspec.structs.replace(record, patient=new)])
    assert after["entry"][0]["fullUrl"] == f"{A}/Patient/1"
    assert after["entry"][0]["resource"]["meta"] == STRANGE["meta"]
    assert after["entry"][0]["resource"]["identifier"] == wanted
    assert len(after["entry"]) == 2


def test_a_bundle_of_which_all_is_gone_has_no_entries():
    assert update_bundle(bundle(patient(A)), []) == {"resourceType": "Bundle", "type": "collection"}


def test_many_equal_names_are_told_apart_in_time():
    same = [patient(A, identifier=[NAMES[0]], gender=str(i)) for i in range(3000)]
    before = bundle(*({"resource": each["resource"]} for each in same))
    records = from_bundle(before).records
    changed = TherapyRecord(patient=Patient(gender="x", identifier=records[0].patient.identifier))
    assert len(update_bundle(before, [*records[1:], changed])["entry"]) == 3000
