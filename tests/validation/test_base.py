"""The base rules of R4: cases that follow and break each rule."""

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
#: rules that only large resources break, which have tests of their own
WITHOUT_CASE = {"too-deep", "long-text"}
VALIDATOR = Validator(plausibility=False)


@pytest.mark.parametrize("case", CASES, ids=[case["it"] for case in CASES])
def test_a_case_has_exactly_its_findings(case):
    report = VALIDATOR.validate(case["given"])
    findings = [[issue.severity, issue.rule, issue.expression, issue.pointer] for issue in report]
    assert findings == case["found"]


def test_every_base_rule_is_broken_by_a_case():
    broken = {row[1] for case in CASES for row in case["found"]}
    base_rules = {rule_id for rule_id, rule in rules().items() if rule.stage in STAGES}
    assert base_rules - broken - WITHOUT_CASE == set()


def test_a_resource_with_too_many_levels_has_one_finding():
    value = {"resourceType": "Patient"}
    value["extension"] = [value]
    (issue,) = validate(value)
    assert (issue.severity, issue.rule, issue.expression) == ("error", "too-deep", "$this")


def test_a_string_of_more_than_one_megabyte_is_too_long():
    (issue,) = validate({"resourceType": "Basic", "code": {"text": "a" * (1024 * 1024 + 1)}})
    assert (issue.severity, issue.rule, issue.expression) == (
        "error",
        "long-text",
        "Basic.code.text",
    )


def test_rules_in_the_code_and_in_the_rule_files_are_the_same():
    package = Path(data.__file__).parent / "validation"
    source = "\n".join(path.read_text("utf-8") for path in package.rglob("*.py"))
    quoted = set(re.findall(r'"([a-z0-9]+(?:-[a-z0-9]+)*)"', source))
    stated = {rule_id for rule_id, rule in rules().items() if rule.stage != "plausibility"}
    assert stated - quoted == set()
    used = set(re.findall(r'Finding\(\s*"([^"]+)"', source))
    assert used - rules().keys() == set()


@pytest.mark.parametrize("rule", rules().values(), ids=list(rules()))
def test_a_rule_has_a_message_a_reason_and_a_source(rule):
    assert rule.message
    assert rule.why
    assert rule.source.startswith("http") or rule.stage == "plausibility"
    assert rule.source
    # {value} is hidden unless requested; a conversion would not be
    assert "{value!" not in rule.message


def test_issues_have_line_and_column_of_the_text():
    text = '{\n  "resourceType": "Patient",\n  "birthDate": "2021-02-29",\n  "staus": 1\n}'
    report = validate(text, positions=True)
    assert [(issue.rule, issue.line, issue.column) for issue in report] == [
        ("date", 3, 16),
        ("unknown-element", 4, 12),
    ]


def test_json_faults_do_not_hide_faults_of_the_resource():
    text = '\ufeff{"resourceType": "Patient", "id": "a", "id": "b", "active": "yes"}'
    report = validate(text)
    assert [(issue.stage, issue.severity, issue.expression) for issue in report] == [
        ("json", "warning", "$this"),
        ("json", "error", "Patient.id"),
        ("structure", "error", "Patient.active"),
    ]


def test_a_text_that_is_not_json_is_a_fatal_issue():
    report = validate('{"resourceType": "Patient", ')
    assert [(issue.stage, issue.severity) for issue in report] == [("json", "fatal")]
    assert (report.valid, report.worst, report.resources) == (False, "fatal", 0)


def test_a_message_has_a_patients_value_only_on_request():
    patient = {"resourceType": "Patient", "birthDate": "Maja"}
    (issue,) = validate(patient)
    assert issue.message.startswith("the value is not a valid date: write YYYY, ")
    (issue,) = validate(patient, show_values=True)
    assert issue.message.startswith("Maja is not a valid date: write YYYY, ")


def test_removed_items_do_not_change_the_pointers_of_others():
    names = [None, {"family": ""}, "x", {"family": "", "use": "bad"}]
    report = validate({"resourceType": "Patient", "name": names})
    assert [(issue.rule, issue.pointer) for issue in report] == [
        ("not-null", "/name/0"),
        ("empty-primitive", "/name/1/family"),
        ("not-object", "/name/2"),
        ("empty-primitive", "/name/3/family"),
        ("required-binding", "/name/3/use"),
    ]


def test_a_report_has_counts_severity_and_an_operation_outcome():
    report = validate({"resourceType": "Patient", "gender": "M", "active": "yes"})
    assert report.counts == {"error": 2}
    assert (report.valid, report.worst, report.resources, len(report)) == (False, "error", 1, 2)
    outcome = report.outcome()
    assert outcome["resourceType"] == "OperationOutcome"
    assert validate(outcome).valid
    assert repr(report) == "<Report of 1 resources: 2 error>"


def test_an_unknown_code_system_is_reported_as_unchecked():
    coding = {"system": "http://clinic.example/codes", "code": "x"}
    report = validate({"resourceType": "Basic", "code": {"coding": [coding]}})
    assert [issue.message for issue in report.unchecked] == [
        "http://clinic.example/codes: the code system is not here"
    ]
    assert list(report) == []


def test_validate_raises_value_error_for_an_unknown_profile():
    with pytest.raises(ValueError, match="is not known: load the package"):
        validate({"resourceType": "Patient"}, profiles=["http://clinic.example/p"])
