"""The laws of whole records: to a Bundle and back, and changed in one."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from fhir_b12 import records
from fhir_b12.bundles import from_bundle, to_bundle, update_bundle
from fhir_b12.datatypes import Identifier, Reference
from fhir_b12.paths import leaves
from fhir_b12.records import TherapyRecord
from tests.conftest import examples
from tests.laws.strategies import record

CLINIC = "https://clinic.example/id"
PATIENT = Reference(identifier=Identifier(system=CLINIC, value="p"))
few = examples(150)


def owned(value, name):
    """The same record as the patient's own, under a name that no other has."""
    identifier = Identifier(system=CLINIC, value=name)
    own = {"identifier": (identifier,)} if isinstance(value, records.Identified) else {}
    own |= {"identifier": identifier} if isinstance(value, records.Reaction) else {}
    if hasattr(value, "patient"):
        own["patient"] = PATIENT
    if isinstance(value, records.FollowUp):
        own["participant"] = (records.Attendee(actor=PATIENT),)
    return msgspec.structs.replace(value, **own)


@st.composite
def therapies(draw):
    kinds = draw(st.lists(st.sampled_from(list(TherapyRecord.LISTS)), max_size=4))
    lists = {}
    for kind in kinds:
        field = TherapyRecord.LISTS[kind]
        name = f"{field}-{draw(st.integers(0, 3))}"
        held = lists.setdefault(field, {})
        held[name] = owned(draw(record(kind)), name)
    patient = owned(draw(record(records.Patient)), "p")
    return TherapyRecord(
        patient=patient, **{field: tuple(held.values()) for field, held in lists.items()}
    )


@given(therapies())
@few
def test_a_whole_record_comes_back_the_same(wanted):
    bundle = to_bundle(wanted)
    reading = from_bundle(bundle)
    assert reading.issues == ()
    assert reading.records == (wanted,)
    assert [entry.path for entry in reading.ledger] == [path for path, _ in leaves(bundle)]
    assert reading.ledger.residue == ()


@given(therapies())
@few
def test_putting_back_what_was_read_leaves_the_bundle_as_it_is(wanted):
    bundle = to_bundle(wanted)
    assert update_bundle(bundle, from_bundle(bundle).records) is bundle


@given(therapies(), therapies())
@few
def test_what_is_put_into_a_bundle_is_there(old, new):
    bundle = to_bundle(old)
    before = msgspec.json.encode(bundle)
    changed = update_bundle(bundle, [new])
    (found,) = from_bundle(changed).records
    for field in TherapyRecord.__struct_fields__:
        assert in_any_order(getattr(found, field)) == in_any_order(getattr(new, field))
    assert msgspec.json.encode(bundle) == before, "update_bundle must not change its input"


def in_any_order(held):
    return sorted(map(repr, held)) if isinstance(held, tuple) else held
