"""Every record type is declared once, and a part that is missing is named."""

import importlib
import pkgutil

import msgspec
import pytest

from fhir_b12 import data, records
from fhir_b12.mapping import table
from fhir_b12.records import RECORD_TYPES, LabResult, TherapyRecord, registry

BY_NAME = {record_type.record.__name__: record_type for record_type in RECORD_TYPES}


def test_every_record_class_of_the_package_is_declared():
    for module in pkgutil.iter_modules(records.__path__):
        importlib.import_module(f"fhir_b12.records.{module.name}")
    assert list(registry.faults(RECORD_TYPES)) == []


def test_a_class_without_a_record_type_is_named():
    missing = [record_type for record_type in RECORD_TYPES if record_type.record is not LabResult]
    with pytest.raises(TypeError) as error:
        registry.check(tuple(missing))
    assert str(error.value).splitlines() == [
        "LabResult has no RecordType: add it to RECORD_TYPES in fhir_b12.records.registry",
        "TherapyRecord.lab_results has no RecordType: add one for LabResult",
    ]


def test_a_class_without_a_field_in_the_therapy_record_is_named(monkeypatch):
    lists = {record: field for record, field in TherapyRecord.LISTS.items() if record != LabResult}
    monkeypatch.setattr(TherapyRecord, "LISTS", lists)
    assert list(registry.faults(RECORD_TYPES)) == [
        "LabResult has no field in TherapyRecord: add `lab_results: tuple[LabResult, ...] = ()`"
    ]


def test_a_class_declared_twice_is_named():
    assert list(registry.faults((*RECORD_TYPES, BY_NAME["LabResult"]))) == [
        "LabResult is declared twice in RECORD_TYPES: keep one"
    ]


@pytest.mark.parametrize("part", ["title", "amount", "date"])
def test_an_unknown_field_in_a_declaration_is_named(part):
    wrong = msgspec.structs.replace(BY_NAME["LabResult"], **{part: ("tset",)})
    others = [record_type for record_type in RECORD_TYPES if record_type.record is not LabResult]
    assert list(registry.faults((*others, wrong))) == [
        "the RecordType of LabResult names field 'tset', which LabResult does not have"
    ]


@pytest.mark.parametrize("part", ["record", "title", "amount", "date", "timeline"])
def test_no_part_of_a_declaration_has_a_default(part):
    parts = msgspec.structs.asdict(BY_NAME["LabResult"])
    del parts[part]
    with pytest.raises(TypeError, match=part):
        registry.RecordType(**parts)


@pytest.mark.parametrize("record_type", RECORD_TYPES, ids=lambda record_type: record_type.table)
def test_a_record_type_has_its_list_its_table_and_its_export(record_type):
    record = record_type.record
    assert getattr(records, record.__name__) is record
    assert record.__name__ in records.__all__
    assert record_type.list_name in TherapyRecord.__struct_fields__
    mapping = table.load(record_type.table)
    assert mapping.record is record
    assert mapping.profile


def test_a_record_type_without_a_table_is_named(monkeypatch):
    monkeypatch.setattr(data, "read", lambda folder, name: (folder / "no" / name).read_bytes())
    data.toml.cache_clear()
    try:
        with pytest.raises(data.TableError, match=r"^lab_result\.toml: the file is missing"):
            table.load.__wrapped__("lab_result")
    finally:
        monkeypatch.undo()
        data.toml.cache_clear()


def test_the_order_of_tables_leaves_the_rest_to_the_last_of_a_resource_type():
    without_condition = [
        (table.load(name).resource, name) for name in table.ORDER if not table.load(name).when
    ]
    for resource, name in without_condition:
        same = [other for other in table.ORDER if table.load(other).resource == resource]
        assert same[-1] == name
