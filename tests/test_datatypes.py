"""Data types: read exactly or refused, one spelling for what is spelled in several ways."""

import copy
import pickle
from decimal import Decimal

import msgspec
import pytest

from fhir_b12.datatypes import (
    CodeableConcept,
    Coding,
    Date,
    DateTime,
    Instant,
    Number,
    Quantity,
    TimingRepeat,
    convert,
)
from fhir_b12.jsonio import loads, read_lines
from fhir_b12.mapping.codecs import builtins
from fhir_b12.records import RECORDS, LabResult
from tests.conftest import fixtures_root
from tests.requirements import EXAMPLES, skip_missing

PRIMITIVES = fixtures_root() / "primitives"
KINDS = {
    "date": Date, "date_time": DateTime, "instant": Instant, "decimal": Number, "boolean": bool,
    "integer": int, "string": str,
}  # fmt: skip
#: An empty string is wrong by the specification and says nothing that could be lost.
LET_PASS = {("string", "")}


def is_read(value, kind):
    try:
        convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("sort", ["valid", "invalid"])
def test_a_primitive_is_read_if_the_public_suite_calls_it_valid(name, sort):
    path = PRIMITIVES / f"{name}.{sort}.ndjson"
    if not path.exists():
        skip_missing(EXAMPLES, f"no file {path}; set FHIR_B12_FIXTURES")
    with path.open("rb") as stream:
        values = [value for _, value in read_lines(stream) if value is not None]
    assert values
    wrong = [v for v in values if is_read(v, KINDS[name]) != (sort == "valid")]
    assert [v for v in wrong if (name, v) not in LET_PASS] == []


@pytest.mark.parametrize("value", ["1.5", 1.5, True, None, [], {}])
def test_a_measured_number_is_a_json_number_with_its_digits(value):
    assert not is_read({"value": value}, Quantity) or value is None


def test_whole_numbers_are_decimals_and_are_written_as_they_came():
    quantity = convert(loads('{"value": 180}'), Quantity)
    assert (type(quantity.value), quantity.value) == (Decimal, 180)
    assert builtins(quantity) == {"value": 180}
    repeat = convert({"period": 2, "count": 3}, TimingRepeat)
    assert [type(repeat.period), type(repeat.count)] == [Decimal, int]


@pytest.mark.parametrize("digits", ["1.50", "0.10", "1E+2", "-0.0", "180.00", "1E-7"])
def test_digits_stay(digits):
    assert str(convert({"value": loads(digits)}, Quantity).value) == digits


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"unit": "mcg"}, ("ug", "ug")),
        ({"unit": "µg", "system": "http://unitsofmeasure.org"}, ("ug", "ug")),
        ({"unit": "micrograms", "code": "ug"}, ("micrograms", "ug")),
        ({"unit": "mcg", "system": "https://clinic.example/units"}, ("mcg", None)),
        ({"unit": "no such unit"}, ("no such unit", None)),
    ],
)
def test_a_known_unit_without_code_gets_its_code(said, meant):
    quantity = Quantity(**said)
    assert (quantity.unit, quantity.code) == meant


def test_a_system_has_one_spelling():
    spelled = {
        Coding(system=text, code="x").system
        for text in ("http://loinc.org", "http://loinc.org/", "urn:oid:2.16.840.1.113883.6.1")
    }
    assert spelled == {"http://loinc.org"}


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_a_record_is_frozen_and_takes_keywords_only(kind):
    fields = {field.name: "x" for field in msgspec.structs.fields(kind) if field.required}
    record = kind(**fields)
    with pytest.raises(AttributeError):
        record.id = "1"
    with pytest.raises(TypeError):
        kind("x")
    assert kind.__doc__


def test_a_record_can_be_compared_copied_and_pickled():
    value = Quantity(value=Decimal("1.50"), unit="mcg")
    record = LabResult(
        status="final", test=CodeableConcept(text="x"), value=value, collected=DateTime("2026")
    )
    assert copy.deepcopy(record) == record
    assert pickle.loads(pickle.dumps(record)) == record
    assert msgspec.structs.replace(record, status="amended") != record
