"""Truth tables of FHIRPath's Boolean operators.  http://hl7.org/fhirpath/N1/#boolean-logic

T is true, F is false and - is empty. A table's rows are the left operand, its columns the right.
"""

import pytest

from fhir_b12 import fhirpath
from fhir_b12.fhirpath import StandaloneEnvironment

PATIENT = {"resourceType": "Patient", "active": True, "deceasedBoolean": False}
#: Each operand in several spellings: literals, an element, an operator and a function.
SPELLINGS = {
    "T": ("true", "active", "(1 = 1)", "active.exists()"),
    "F": ("false", "deceased", "(1 = 2)", "name.exists()"),
    "-": ("{}", "name", "({} = 1)", "name.use.startsWith('a')"),
}
VALUES = {"T": [True], "F": [False], "-": []}
TABLES = {
    "and": {"T": "TF-", "F": "FFF", "-": "-F-"},
    "or": {"T": "TTT", "F": "TF-", "-": "T--"},
    "xor": {"T": "FT-", "F": "TF-", "-": "---"},
    "implies": {"T": "TF-", "F": "TTT", "-": "T--"},
}
CELLS = [
    pytest.param(left, operator, right, result, id=f"{left} {operator} {right} = {result}")
    for operator, table in TABLES.items()
    for left, results in table.items()
    for right, result in zip("TF-", results, strict=True)
]


def evaluate(expression):
    return fhirpath.compile(expression).evaluate(PATIENT, "Patient", StandaloneEnvironment(PATIENT))


@pytest.mark.parametrize(("left", "operator", "right", "result"), CELLS)
def test_a_cell_of_a_truth_table(left, operator, right, result):
    for one in SPELLINGS[left]:
        for other in SPELLINGS[right]:
            expression = f"{one} {operator} {other}"
            assert evaluate(expression) == VALUES[result], expression


@pytest.mark.parametrize(("left", "operator", "right", "result"), CELLS)
def test_a_constraint_is_satisfied_if_the_result_is_true(left, operator, right, result):
    for one in SPELLINGS[left]:
        for other in SPELLINGS[right]:
            expression = fhirpath.compile(f"{one} {operator} {other}")
            assert expression.is_satisfied(PATIENT, "Patient", StandaloneEnvironment(PATIENT)) is (
                result == "T"
            )


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("{} and {} and false", "F"),
        ("{} and true and {}", "-"),
        ("false and {} and true", "F"),
        ("true and {} and false", "F"),
        ("{} or {} or true", "T"),
        ("{} or false or {}", "-"),
        ("true or {} or false", "T"),
        ("false or {} or true", "T"),
    ],
)
def test_a_chain_of_three_operands_is_settled_by_any_of_them(expression, result):
    assert evaluate(expression) == VALUES[result]


@pytest.mark.parametrize(("operand", "result"), [("T", "F"), ("F", "T"), ("-", "-")])
def test_not_negates_a_value_and_leaves_empty_empty(operand, result):
    for spelling in SPELLINGS[operand]:
        assert evaluate(f"{spelling}.not()") == VALUES[result], spelling


@pytest.mark.parametrize("operator", ["=", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "in"])
def test_an_operator_with_an_empty_left_operand_is_empty(operator):
    assert evaluate(f"{{}} {operator} 1") == []
    assert evaluate(f"name {operator} 1") == []


@pytest.mark.parametrize("operator", ["=", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/"])
def test_an_operator_with_an_empty_right_operand_is_empty(operator):
    assert evaluate(f"1 {operator} {{}}") == []
    assert evaluate(f"1 {operator} name") == []


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("{} ~ {}", [True]),
        ("{} !~ {}", [False]),
        ("1 ~ {}", [False]),
        ("1 in {}", [False]),
        ("{} contains 1", [False]),
        ("{} | {}", []),
        ("{} | 1", [1]),
        ("'a' & {}", ["a"]),
        ("{}.empty()", [True]),
        ("{}.exists()", [False]),
        ("{}.all(false)", [True]),
        ("{}.where(true)", []),
        ("{}.count()", [0]),
        ("iif({}, 'yes', 'no')", ["no"]),
        ("active.where({})", []),
        ("active.all({})", [False]),
        ("active.exists({})", [False]),
    ],
)
def test_an_empty_collection_is_no_value(expression, result):
    assert evaluate(expression) == result
