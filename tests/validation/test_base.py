"""R4's base rules, each broken and each kept; the cases are data."""

import json
import re
from pathlib import Path

import pytest

from fhir_b12 import data
from fhir_b12.validation import Validator, validate
from fhir_b12.validation.findings import rules

HERE = Path(__file__).parent
CASES = json.loads((HERE / "cases" / "base.json").read_text("utf-8"))
STAGES = ("bundle", "declared", "references", "structure")
#: broken by what is too large for a line of cases
ELSEWHERE = {"too-deep", "long-text"}
VALIDATOR = Validator(plausibility=False)


@pytest.mark.parametrize("case", CASES, ids=[case["it"] for case in CASES])
def test_all_that_is_wrong_is_said_and_nothing_else(case):
    report = VALIDATOR.validate(case["given"])
    found = [[each.severity, each.rule, each.expression, each.pointer] for each in report]
    assert found == case["found"]


def test_every_base_rule_is_broken_by_a_case():
    broken = {row[1] for case in CASES for row in case["found"]}
    stated = {name for name, rule in rules().items() if rule.stage in STAGES}
    assert stated - broken - ELSEWHERE == set()


def test_what_is_nested_too_deeply_is_refused_whole():
    value = {"resourceType": "Patient"}
    value["extension"] = [value]
    (issue,) = validate(value)
    assert (issue.severity, issue.rule, issue.expression) == ("error", "too-deep", "$this")


def test_a_text_of_more_than_a_megabyte_is_too_long():
    (issue,) = validate({"resourceType": "Basic", "code": {"text": "a" * (1024 * 1024 + 1)}})
    assert (issue.severity, issue.rule, issue.expression) == (
        "error",
        "long-text",
        "Basic.code.text",
    )


def test_every_rule_that_the_code_speaks_of_is_stated_and_the_other_way_round():
    package = Path(data.__file__).parent / "validation"
    source = "\n".join(path.read_text("utf-8") for path in package.rglob("*.py"))
    quoted = set(re.findall(r'"([a-z0-9]+(?:-[a-z0-9]+)*)"', source))
    named = {name for name, rule in rules().items() if rule.stage != "plausibility"}
    assert named - quoted == set()
    spoken = set(re.findall(r'Finding\(\s*"([^"]+)"', source))
    assert spoken - rules().keys() == set()


@pytest.mark.parametrize("rule", rules().values(), ids=list(rules()))
def test_a_rule_says_what_why_and_where_it_is_written(rule):
    assert rule.message
    assert rule.why
    assert rule.source.startswith("http") or rule.stage == "plausibility"
    assert rule.source
    # the message of a finding names a patient's value in no other way than this
    assert "{value!" not in rule.message


def test_lines_and_columns_are_those_of_the_text():
    text = '{\n  "resourceType": "Patient",\n  "birthDate": "2021-02-29",\n  "staus": 1\n}'
    report = validate(text, positions=True)
    assert [(each.rule, each.line, each.column) for each in report] == [
        ("date", 3, 16),
        ("unknown-element", 4, 12),
    ]


def test_faults_of_json_do_not_hide_what_else_is_wrong():
    text = '\ufeff{"resourceType": "Patient", "id": "a", "id": "b", "active": "yes"}'
    report = validate(text)
    assert [(each.stage, each.severity, each.expression) for each in report] == [
        ("json", "warning", "$this"),
        ("json", "error", "Patient.id"),
        ("structure", "error", "Patient.active"),
    ]


def test_a_text_that_is_no_json_is_said_to_be_none():
    report = validate('{"resourceType": "Patient", ')
    assert [(each.stage, each.severity) for each in report] == [("json", "fatal")]
    assert (report.valid, report.worst, report.resources) == (False, "fatal", 0)


def test_a_patients_value_is_shown_only_to_who_asks():
    given = {"resourceType": "Patient", "birthDate": "Maja"}
    (issue,) = validate(given)
    assert issue.message.startswith("the value is not a valid date: write YYYY, ")
    (issue,) = validate(given, show_values=True)
    assert issue.message.startswith("Maja is not a valid date: write YYYY, ")


def test_items_that_are_taken_out_do_not_move_the_places_of_others():
    names = [None, {"family": ""}, "x", {"family": "", "use": "bad"}]
    report = validate({"resourceType": "Patient", "name": names})
    assert [(each.rule, each.pointer) for each in report] == [
        ("not-null", "/name/0"),
        ("empty-primitive", "/name/1/family"),
        ("not-object", "/name/2"),
        ("empty-primitive", "/name/3/family"),
        ("required-binding", "/name/3/use"),
    ]


def test_a_report_counts_says_and_gives_an_outcome():
    report = validate({"resourceType": "Patient", "gender": "M", "active": "yes"})
    assert report.counts == {"error": 2}
    assert (report.valid, report.worst, report.resources, len(report)) == (False, "error", 1, 2)
    outcome = report.outcome()
    assert outcome["resourceType"] == "OperationOutcome"
    assert validate(outcome).valid
    assert repr(report) == "<Report of 1 resources: 2 error>"


def test_what_could_not_be_checked_is_said():
    coding = {"system": "http://clinic.example/codes", "code": "x"}
    report = validate({"resourceType": "Basic", "code": {"coding": [coding]}})
    assert [each.message for each in report.unchecked] == [
        "http://clinic.example/codes: the code system is not here"
    ]
    assert list(report) == []


def test_a_profile_that_is_asked_for_must_be_known():
    with pytest.raises(ValueError, match="is not known: load the package"):
        validate({"resourceType": "Patient"}, profiles=["http://clinic.example/p"])
