"""The laws of whole records: written to a Bundle, read back and updated in it."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from fhir_b12 import records
from fhir_b12.bundles import from_bundle, to_bundle, update_bundle
from fhir_b12.datatypes import Identifier, Reference
from fhir_b12.paths import leaves
from fhir_b12.records import TherapyRecord
from tests.conftest import examples
from tests.laws.strategies import draw_record

CLINIC = "https://clinic.example/id"
PATIENT = Reference(identifier=Identifier(system=CLINIC, value="p"))
few = examples(150)


def assign_to_patient(value, name):
    """Return a record of the patient with a unique identifier."""
    identifier = Identifier(system=CLINIC, value=name)
    own = {"identifier": (identifier,)} if isinstance(value, records.Identified) else {}
    own |= {"identifier": identifier} if isinstance(value, records.Reaction) else {}
    if hasattr(value, "patient"):
        own["patient"] = PATIENT
    if isinstance(value, records.FollowUp):
        own["participant"] = (records.Attendee(actor=PATIENT),)
    return msgspec.structs.replace(value, **own)


@st.composite
def draw_therapy_records(draw):
    record_types = draw(st.lists(st.sampled_from(list(TherapyRecord.LISTS)), max_size=4))
    lists = {}
    for record_type in record_types:
        field = TherapyRecord.LISTS[record_type]
        name = f"{field}-{draw(st.integers(0, 3))}"
        records_by_name = lists.setdefault(field, {})
        records_by_name[name] = assign_to_patient(draw(draw_record(record_type)), name)
    patient = assign_to_patient(draw(draw_record(records.Patient)), "p")
    return TherapyRecord(
        patient=patient,
        **{field: tuple(records_by_name.values()) for field, records_by_name in lists.items()},
    )


@given(draw_therapy_records())
@few
def test_a_therapy_record_reads_back_equal_from_its_bundle(expected):
    bundle = to_bundle(expected)
    reading = from_bundle(bundle)
    assert reading.issues == ()
    assert reading.records == (expected,)
    assert [entry.path for entry in reading.ledger] == [path for path, _ in leaves(bundle)]
    assert reading.ledger.residue == ()


@given(draw_therapy_records())
@few
def test_an_update_with_unchanged_records_returns_the_same_bundle(expected):
    bundle = to_bundle(expected)
    assert update_bundle(bundle, from_bundle(bundle).records) is bundle


@given(draw_therapy_records(), draw_therapy_records())
@few
def test_an_updated_record_is_read_back_from_the_bundle(old, new):
    bundle = to_bundle(old)
    before = msgspec.json.encode(bundle)
    changed = update_bundle(bundle, [new])
    (result,) = from_bundle(changed).records
    for field in TherapyRecord.__struct_fields__:
        assert in_any_order(getattr(result, field)) == in_any_order(getattr(new, field))
    assert msgspec.json.encode(bundle) == before, "update_bundle must not change its input"


def in_any_order(value):
    return sorted(map(repr, value)) if isinstance(value, tuple) else value
