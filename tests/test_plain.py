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
from tests.laws.test_bundles import therapies

COURSE = loads(data.read(data.mappings().joinpath("demo"), "course.json"))
VALIDATOR = Draft202012Validator(schema())
LAB = {"status": "final", "test": {"text": "Vitamin B12"}}


def told(value):
    record, issues = from_plain(value)
    assert (record is None) == bool(issues)
    return [(issue.code, issue.expression, issue.message) for issue in issues]


@given(therapies())
@examples(40)
def test_a_record_comes_back_the_same_from_its_json(record):
    plain = to_plain(record)
    assert VALIDATOR.is_valid(plain)
    assert from_plain(loads(dumps(plain))) == (record, ())


def test_the_demo_is_written_as_it_was_read():
    record, issues = from_plain(COURSE)
    assert issues == ()
    assert from_plain(to_plain(record)) == (record, ())
    assert dumps(to_plain(record)["labResults"][0]["value"]) == dumps(
        COURSE["labResults"][0]["value"]
    )


@given(st.data())
@examples(300)
def test_what_is_read_is_right_by_the_schema_and_what_is_refused_says_why(data):
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


def test_the_schema_is_a_schema():
    Draft202012Validator.check_schema(schema())


def test_everything_wrong_is_told_at_once_with_its_path_and_remedy():
    value = {
        "patient": {"birthDate": "2026-02-30", "gender": 5, "brithDate": "2026"},
        "labResults": [
            {**LAB, "value": {"value": "180.00"}, "issued": "2026-03-09"},
            {"status": "final", "note": {"text": "x"}},
            7,
        ],
        "sesions": [],
    }
    assert sorted(told(value)) == sorted([
        ("structure", "$.patient.gender", "write a string in quotes"),
        ("structure", "$.patient.brithDate", "no such field; did you mean birthDate?"),
        ("structure", "$.labResults[0].value.value", "write a number without quotes"),
        ("value", "$.labResults[0].issued", "write a FHIR instant: YYYY-MM-DDThh:mm:ss.sss+zz:zz"),
        ("structure", "$.labResults[1].note", "write a list in brackets"),
        ("required", "$.labResults[1]", "test is missing: give it a value"),
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
def test_a_date_that_the_schema_takes_is_read_unless_the_calendar_lacks_it(text):
    value = {"labResults": [{**LAB, "collected": text}]}
    taken = VALIDATOR.is_valid(value)
    assert taken == (from_plain(value)[0] is not None) or text == "2026-02-30"


@pytest.mark.parametrize("value", [None, 7, "x", [], [COURSE], True])
def test_what_is_no_object_is_no_record(value):
    assert told(value) == [("structure", "$", "write an object in braces")]


def test_a_binary_float_is_no_measured_number():
    ((code, path, message),) = told({"labResults": [{**LAB, "value": {"value": 1.5}}]})
    assert (code, path) == ("structure", "$.labResults[0].value.value")
    assert "fhir_b12.loads" in message


@pytest.mark.parametrize(
    "number", [Decimal("1.50"), Decimal("1E+2"), Decimal("-0.0"), Decimal("0.10"), 7]
)
def test_a_number_keeps_its_digits(number):
    record, _ = from_plain({"labResults": [{**LAB, "value": {"value": number}}]})
    assert dumps(to_plain(record)["labResults"][0]["value"]["value"]) == dumps(number)


def test_a_modifier_extension_is_not_taken():
    assert told({"conditions": [{"modifierExtension": [{"url": "https://example.org"}]}]}) == [
        ("structure", "$.conditions[0].modifierExtension", "no such field; did you mean extension?")
    ]


def test_what_is_read_is_not_changed():
    before = copy.deepcopy(COURSE)
    from_plain(COURSE)
    assert before == COURSE


def test_messages_hold_no_value():
    value = copy.deepcopy(COURSE)
    value["patient"]["name"] = "Sørensen"
    value["patient"]["gender"] = ["Sørensen"]
    value["patient"]["birthDate"] = "Sørensen"
    assert len(told(value)) == 3
    assert "Sørensen" not in str(told(value))
