"""Data types: exact reading of valid JSON, errors for invalid JSON, normalized codes."""

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
#: Invalid by the specification but accepted: an empty string has no content to lose.
ACCEPTED = {("string", "")}


def can_convert(value, kind):
    try:
        convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("validity", ["valid", "invalid"])
def test_a_primitive_is_read_if_and_only_if_the_public_suite_calls_it_valid(name, validity):
    path = PRIMITIVES / f"{name}.{validity}.ndjson"
    if not path.exists():
        skip_missing(EXAMPLES, f"no file {path}; set FHIR_B12_FIXTURES")
    with path.open("rb") as stream:
        values = [value for _, value in read_lines(stream) if value is not None]
    assert values
    wrong = [v for v in values if can_convert(v, KINDS[name]) != (validity == "valid")]
    assert [v for v in wrong if (name, v) not in ACCEPTED] == []


@pytest.mark.parametrize("value", ["1.5", 1.5, True, None, [], {}])
def test_a_decimal_must_be_a_json_number_read_as_decimal(value):
    assert not can_convert({"value": value}, Quantity) or value is None


def test_whole_numbers_of_decimal_elements_are_decimals_written_without_a_point():
    quantity = convert(loads('{"value": 180}'), Quantity)
    assert (type(quantity.value), quantity.value) == (Decimal, 180)
    assert builtins(quantity) == {"value": 180}
    repeat = convert({"period": 2, "count": 3}, TimingRepeat)
    assert [type(repeat.period), type(repeat.count)] == [Decimal, int]


@pytest.mark.parametrize("digits", ["1.50", "0.10", "1E+2", "-0.0", "180.00", "1E-7"])
def test_a_decimal_keeps_its_digits(digits):
    assert str(convert({"value": loads(digits)}, Quantity).value) == digits


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"unit": "mcg"}, ("ug", "ug")),
        ({"unit": "µg", "system": "http://unitsofmeasure.org"}, ("ug", "ug")),
        ({"unit": "micrograms", "code": "ug"}, ("micrograms", "ug")),
        ({"unit": "mcg", "system": "https://clinic.example/units"}, ("mcg", None)),
        ({"unit": "no such unit"}, ("no such unit", None)),
    ],
)
def test_a_known_unit_text_without_code_gets_its_ucum_code(fields, expected):
    quantity = Quantity(**fields)
    assert (quantity.unit, quantity.code) == expected


def test_aliases_of_a_system_become_its_canonical_uri():
    spelled = {
        Coding(system=text, code="x").system
        for text in ("http://loinc.org", "http://loinc.org/", "urn:oid:2.16.840.1.113883.6.1")
    }
    assert spelled == {"http://loinc.org"}


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_a_record_is_frozen_and_has_keyword_arguments_only(kind):
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
