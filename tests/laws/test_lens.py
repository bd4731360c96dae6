"""The laws that every table keeps, for generated records and data that no table knows.

GetPut: what is written reads back the same, without issues and without residue.
PutGet: writing back what was read changes nothing, whatever the table does not know.
Put: what is written is read, and unknown data stays in every element that did not change.
Locality: a field that changes touches only its own elements.
Conservation: every leaf is in the ledger once.
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
from tests.laws.strategies import choice_of, record

EACH_RECORD = pytest.mark.parametrize("kind", records.RECORDS, ids=lambda kind: kind.__name__)
few = examples(60)

#: Data that no table knows, at the top of a resource.
UNKNOWN = {"_odd": {"id": "s1"}, "text": {"status": "empty"}, "meta": {"versionId": "7"}}


def with_unknown(resource):
    """Return a copy of a resource with data that no table knows in every object of it."""
    number = iter(range(1_000_000))

    def add(node):
        if isinstance(node, list):
            return [add(item) for item in node]
        if not isinstance(node, dict):
            return node
        # an extension is read as it is, so nothing in it is unknown
        copy = {name: value if name == "extension" else add(value) for name, value in node.items()}
        return {**copy, "unknown": [next(number), {"b": None}], "_odd": {"id": f"s{next(number)}"}}

    return {**add(resource), **UNKNOWN}


def elements(lens, resource, fields):
    """Return what is at the elements of some fields of a resource."""
    return {
        (row.field, way.path): at(resource, way.path)
        for row in lens.table.rows
        if row.field in fields
        for way in row.ways
    }


def fields_with(lens, field):
    """Return the fields that spell one choice with a field, or that share an element with it."""
    choices = choice_of(lens)
    paths = {row.field: {way.element for way in row.ways} for row in lens.table.rows}
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
def test_what_is_written_reads_back_the_same(kind, data):
    written = data.draw(record(kind))
    lens = _by_record()[kind]
    reading = lens.from_fhir(to_fhir(written))
    assert reading.issues == ()
    assert reading.record == written
    assert [entry for entry in reading.ledger if entry.kind == "residue"] == []


@EACH_RECORD
@given(data=st.data())
@few
def test_writing_back_what_was_read_changes_nothing(kind, data):
    written = data.draw(record(kind))
    resource = with_unknown(to_fhir(written))
    lens = _by_record()[kind]
    reading = lens.from_fhir(resource)
    assert reading.issues == ()
    assert reading.record == written
    assert msgspec.json.encode(lens.update(resource, reading.record)) == msgspec.json.encode(
        resource
    )


@EACH_RECORD
@given(data=st.data())
@few
def test_what_is_put_is_read_and_unknown_data_stays(kind, data):
    old, new = data.draw(record(kind)), data.draw(record(kind))
    resource = with_unknown(to_fhir(old))
    before = msgspec.json.encode(resource)
    lens = _by_record()[kind]
    changed = lens.update(resource, new)
    assert lens.from_fhir(changed).record == new
    assert {name: changed[name] for name in UNKNOWN} == UNKNOWN
    links = {link.instead_of for link in lens.table.links} | {"contained"}
    equal = {
        field
        for field in kind.__struct_fields__
        if field not in links and same(getattr(old, field), getattr(new, field))
    }
    equal = {field for field in equal if fields_with(lens, field) <= equal}
    assert elements(lens, changed, equal) == elements(lens, resource, equal)
    assert msgspec.json.encode(resource) == before, "update must not change its input"


@EACH_RECORD
@given(data=st.data())
@few
def test_a_field_that_changes_touches_only_its_own_elements(kind, data):
    old, new = data.draw(record(kind)), data.draw(record(kind))
    lens = _by_record()[kind]
    field = data.draw(st.sampled_from(kind.__struct_fields__))
    group = fields_with(lens, field)
    required = {f.name for f in msgspec.structs.fields(kind) if f.required}
    cleared = {
        name: () if isinstance(getattr(old, name), tuple) else None for name in group - required
    }
    only = msgspec.structs.replace(old, **{**cleared, field: getattr(new, field)})
    resource = with_unknown(to_fhir(old))
    changed = lens.update(resource, only)
    own = {way.element for row in lens.table.rows if row.field in group for way in row.ways}
    own |= {"contained"} if {link.field for link in lens.table.links} & group else set()
    before, after = dict(leaves(resource)), dict(leaves(changed))
    touched = {p for p in before.keys() | after.keys() if before.get(p) != after.get(p)}
    assert [path for path in touched if not path.startswith(tuple(own))] == []


@EACH_RECORD
@given(data=st.data())
@few
def test_every_leaf_is_in_the_ledger_once(kind, data):
    resource = with_unknown(to_fhir(data.draw(record(kind))))
    ledger = from_fhir(resource).ledger
    assert [entry.path for entry in ledger] == [path for path, _ in leaves(resource)]
    assert sum(ledger.counts().values()) == len(ledger)
    assert {entry.path.rpartition(".")[2] for entry in ledger.residue} >= {"versionId"}
    unknown = [entry for entry in ledger if ".unknown[" in f".{entry.path}"]
    assert {entry.kind for entry in unknown} == {"residue"}
