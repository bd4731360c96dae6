"""A therapy record as plain JSON: there and back, and all that is wrong told at once."""

import copy
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from fhir_b12 import data
from fhir_b12.jsonio import dumps, loads
from fhir_b12.plain import from_plain, schema, to_plain
from tests.conftest import examples
from tests.laws.test_bundles import draw_therapy_records

COURSE = loads(data.read(data.mappings().joinpath("demo"), "course.json"))
VALIDATOR = Draft202012Validator(schema())
LAB = {"status": "final", "test": {"text": "Vitamin B12"}}


def issues_of(value):
    record, issues = from_plain(value)
    assert (record is None) == bool(issues)
    return [(issue.code, issue.expression, issue.message) for issue in issues]


@given(draw_therapy_records())
@examples(40)
def test_a_record_reads_back_equal_from_its_json(record):
    plain = to_plain(record)
    assert VALIDATOR.is_valid(plain)
    assert from_plain(loads(dumps(plain))) == (record, ())


def test_the_demo_record_is_written_exactly_as_it_was_read():
    record, issues = from_plain(COURSE)
    assert issues == ()
    assert from_plain(to_plain(record)) == (record, ())
    assert dumps(to_plain(record)["labResults"][0]["value"]) == dumps(
        COURSE["labResults"][0]["value"]
    )


@given(st.data())
@examples(300)
def test_json_is_read_if_valid_by_the_schema_and_otherwise_an_error_with_a_reason(data):
    """The reader is quick and the schema thorough: they may not disagree."""
    value = mutated(copy.deepcopy(SMALL), data.draw(st.randoms(use_true_random=False)))
    record, issues = from_plain(value)
    assert (record is None) == bool(issues)
    if record is not None:
        assert VALIDATOR.is_valid(value)


SMALL = {name: held[:1] if isinstance(held, list) else held for name, held in COURSE.items()}
ODD = [
    None,
    True,
    7,
    Decimal("7.0"),
    "",
    "x",
    "2026-02-30",
    "2026-02-28",
    [],
    [None],
    {},
    {"x": 1},
    [{}],
]


def mutated(value, random):
    """The value with something odd in one or two places."""
    for _ in range(random.randint(1, 2)):
        node = random.choice(list(containers(value)))
        key = random.choice(list(node) if isinstance(node, dict) else range(len(node) or 1))
        if isinstance(node, dict) and random.random() < 0.3:
            node[random.choice(["x", "modifierExtension", "code", "value"])] = node.pop(key)
        elif isinstance(node, dict) or node:
            node[key] = random.choice(ODD)
    return value


def containers(node):
    if isinstance(node, dict | list):
        if node or isinstance(node, list):
            yield node
        for child in node.values() if isinstance(node, dict) else node:
            yield from containers(child)


def test_the_json_schema_is_valid():
    Draft202012Validator.check_schema(schema())


def test_all_issues_are_reported_at_once_with_path_and_remedy():
    value = {
        "patient": {"birthDate": "2026-02-30", "gender": 5, "brithDate": "2026"},
        "labResults": [
            {**LAB, "value": {"value": "180.00"}, "issued": "2026-03-09"},
            {"status": "final", "note": {"text": "x"}},
            7,
        ],
        "sesions": [],
    }
    assert sorted(issues_of(value)) == sorted([
        ("structure", "$.patient.gender", "write a string in quotes"),
        ("structure", "$.patient.brithDate", "no such field; did you mean birthDate?"),
        ("structure", "$.labResults[0].value.value", "write a number without quotes"),
        ("value", "$.labResults[0].issued", "write a FHIR instant: YYYY-MM-DDThh:mm:ss.sss+zz:zz"),
        ("structure", "$.labResults[1].note", "write a list in brackets"),
        ("required", "$.labResults[1]", "test is missing: add a value"),
        ("structure", "$.labResults[2]", "write an object in braces"),
        ("structure", "$.sesions", "no such field; did you mean sessions?"),
        (
            "value",
            "$.patient.birthDate",
            "not a FHIR date: write YYYY, YYYY-MM or YYYY-MM-DD, a real day and time",
        ),
    ])  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["2026", "2026-13", "2026-02-30", "2026\n", "٢٠٢٦", "2026-03-09T24:00:00Z", "2026-03-09T09:15:00Z",
     "2026-03-09T09:15:60+14:00", "2026-03-09T09:15:00+14:01", "2026-03-09T09:15:00.1-13:59", "26"],
)  # fmt: skip
def test_a_date_valid_by_the_schema_is_read_if_it_exists(text):
    value = {"labResults": [{**LAB, "collected": text}]}
    taken = VALIDATOR.is_valid(value)
    assert taken == (from_plain(value)[0] is not None) or text == "2026-02-30"


@pytest.mark.parametrize("value", [None, 7, "x", [], [COURSE], True])
def test_json_that_is_no_object_is_an_error(value):
    assert issues_of(value) == [("structure", "$", "write an object in braces")]


def test_a_float_is_an_error_for_a_decimal():
    ((code, path, message),) = issues_of({"labResults": [{**LAB, "value": {"value": 1.5}}]})
    assert (code, path) == ("structure", "$.labResults[0].value.value")
    assert "fhir_b12.loads" in message


@pytest.mark.parametrize(
    "number", [Decimal("1.50"), Decimal("1E+2"), Decimal("-0.0"), Decimal("0.10"), 7]
)
def test_a_number_keeps_its_digits(number):
    record, _ = from_plain({"labResults": [{**LAB, "value": {"value": number}}]})
    assert dumps(to_plain(record)["labResults"][0]["value"]["value"]) == dumps(number)


def test_a_modifier_extension_is_an_error():
    assert issues_of({"conditions": [{"modifierExtension": [{"url": "https://example.org"}]}]}) == [
        ("structure", "$.conditions[0].modifierExtension", "no such field; did you mean extension?")
    ]


def test_reading_does_not_change_its_input():
    before = copy.deepcopy(COURSE)
    from_plain(COURSE)
    assert before == COURSE


def test_messages_have_no_values_of_the_data():
    value = copy.deepcopy(COURSE)
    value["patient"]["name"] = "Sørensen"
    value["patient"]["gender"] = ["Sørensen"]
    value["patient"]["birthDate"] = "Sørensen"
    assert len(issues_of(value)) == 3
    assert "Sørensen" not in str(issues_of(value))
