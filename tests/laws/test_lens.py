"""The laws of every mapping table, for generated records and unmapped data.

GetPut: a written record reads back equal, without issues and without residue.
PutGet: an update with the record that was read changes nothing, including unmapped data.
Put: an updated record is read back, and unchanged elements keep their unmapped data.
Locality: a changed field changes only its own elements.
Conservation: every leaf is in the ledger exactly once.
"""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_b12 import records
from fhir_b12.mapping.codecs import same
from fhir_b12.mapping.lens import _by_record, from_fhir, to_fhir
from fhir_b12.paths import at, leaves
from tests.conftest import examples
from tests.laws.strategies import choice_of, draw_record

EACH_RECORD = pytest.mark.parametrize(
    "record_type", records.RECORDS, ids=lambda kind: kind.__name__
)
few = examples(60)

#: Unmapped data at the top level of a resource.
UNKNOWN = {"_other": {"id": "s1"}, "text": {"status": "empty"}, "meta": {"versionId": "7"}}


def with_unknown(resource):
    """Return a copy of a resource with unmapped data in every object."""
    number = iter(range(1_000_000))

    def add(node):
        if isinstance(node, list):
            return [add(item) for item in node]
        if not isinstance(node, dict):
            return node
        # an extension is read as it is, so nothing in it is unknown
        copy = {name: value if name == "extension" else add(value) for name, value in node.items()}
        return {
            **copy,
            "unknown": [next(number), {"b": None}],
            "_other": {"id": f"s{next(number)}"},
        }

    return {**add(resource), **UNKNOWN}


def elements(lens, resource, fields):
    """Return the values of the elements of some fields of a resource."""
    return {
        (row.field, mapping.path): at(resource, mapping.path)
        for row in lens.table.rows
        if row.field in fields
        for mapping in row.ways
    }


def fields_with(lens, field):
    """Return the fields that have a choice or an element in common with a field."""
    choices = choice_of(lens)
    paths = {row.field: {mapping.element for mapping in row.ways} for row in lens.table.rows}
    own = paths.get(field, set())
    return {
        other
        for other in lens.table.record.__struct_fields__
        if other == field
        or (choices.get(other) is not None and choices.get(other) == choices.get(field))
        or own & paths.get(other, set())
    }


@EACH_RECORD
@given(data=st.data())
@few
def test_getput_a_written_record_reads_back_equal(record_type, data):
    written = data.draw(draw_record(record_type))
    lens = _by_record()[record_type]
    reading = lens.from_fhir(to_fhir(written))
    assert reading.issues == ()
    assert reading.record == written
    assert [entry for entry in reading.ledger if entry.kind == "residue"] == []


@EACH_RECORD
@given(data=st.data())
@few
def test_putget_an_unchanged_record_changes_nothing(record_type, data):
    written = data.draw(draw_record(record_type))
    resource = with_unknown(to_fhir(written))
    lens = _by_record()[record_type]
    reading = lens.from_fhir(resource)
    assert reading.issues == ()
    assert reading.record == written
    assert msgspec.json.encode(lens.update(resource, reading.record)) == msgspec.json.encode(
        resource
    )


@EACH_RECORD
@given(data=st.data())
@few
def test_put_an_updated_record_is_read_back_and_unmapped_data_stays(record_type, data):
    old, new = data.draw(draw_record(record_type)), data.draw(draw_record(record_type))
    resource = with_unknown(to_fhir(old))
    before = msgspec.json.encode(resource)
    lens = _by_record()[record_type]
    changed = lens.update(resource, new)
    assert lens.from_fhir(changed).record == new
    assert {name: changed[name] for name in UNKNOWN} == UNKNOWN
    links = {link.instead_of for link in lens.table.links} | {"contained"}
    equal = {
        field
        for field in record_type.__struct_fields__
        if field not in links and same(getattr(old, field), getattr(new, field))
    }
    equal = {field for field in equal if fields_with(lens, field) <= equal}
    assert elements(lens, changed, equal) == elements(lens, resource, equal)
    assert msgspec.json.encode(resource) == before, "update must not change its input"


@EACH_RECORD
@given(data=st.data())
@few
def test_locality_a_changed_field_changes_only_its_own_elements(record_type, data):
    old, new = data.draw(draw_record(record_type)), data.draw(draw_record(record_type))
    lens = _by_record()[record_type]
    field = data.draw(st.sampled_from(record_type.__struct_fields__))
    group = fields_with(lens, field)
    required = {f.name for f in msgspec.structs.fields(record_type) if f.required}
    cleared = {
        name: () if isinstance(getattr(old, name), tuple) else None for name in group - required
    }
    only = msgspec.structs.replace(old, **{**cleared, field: getattr(new, field)})
    resource = with_unknown(to_fhir(old))
    changed = lens.update(resource, only)
    own = {mapping.element for row in lens.table.rows if row.field in group for mapping in row.ways}
    own |= {"contained"} if {link.field for link in lens.table.links} & group else set()
    before, after = dict(leaves(resource)), dict(leaves(changed))
    touched = {p for p in before.keys() | after.keys() if before.get(p) != after.get(p)}
    assert [path for path in touched if not path.startswith(tuple(own))] == []


@EACH_RECORD
@given(data=st.data())
@few
def test_conservation_every_leaf_is_in_the_ledger_once(record_type, data):
    resource = with_unknown(to_fhir(data.draw(draw_record(record_type))))
    ledger = from_fhir(resource).ledger
    assert [entry.path for entry in ledger] == [path for path, _ in leaves(resource)]
    assert sum(ledger.counts().values()) == len(ledger)
    assert {entry.path.rpartition(".")[2] for entry in ledger.residue} >= {"versionId"}
    unknown = [entry for entry in ledger if ".unknown[" in f".{entry.path}"]
    assert {entry.kind for entry in unknown} == {"residue"}
