"""Every report format: the exact text of a sample, and properties of any report."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator
from junitparser import JUnitXml

from fhir_b12 import data
from fhir_b12.cli import validate_arguments
from fhir_b12.reports import FORMATS, FileFinding, FileResult, ReportOptions, render
from tests.reports.samples import FIX, RESULTS, SAMPLE, STATUS

HERE = Path(__file__).parent
EXPECTED = sorted((HERE / "expected").iterdir())
OPTIONS = ReportOptions(version="1.2.3")
REPORT = Draft202012Validator(json.loads(data.read(data.reports(), "report.schema.json")))
SARIF = Draft202012Validator(json.loads((HERE / "sarif.schema.json").read_text("utf-8")))


@pytest.mark.parametrize("path", EXPECTED, ids=lambda path: path.name)
def test_the_sample_is_rendered_as_expected(path):
    assert render(SAMPLE, path.stem, OPTIONS) == path.read_text("utf-8")


def test_every_format_except_html_has_an_expected_file():
    assert {path.stem for path in EXPECTED} == set(FORMATS) - {"html"}


def test_the_command_line_offers_every_format():
    assert set(validate_arguments.REPORT_FORMATS) == set(FORMATS)


def test_an_unknown_format_raises_key_error():
    with pytest.raises(KeyError, match="pdf"):
        render(SAMPLE, "pdf", OPTIONS)


@settings(max_examples=60)
@given(RESULTS)
def test_any_result_can_be_rendered_in_every_format(results):
    for name in FORMATS:
        for options in (OPTIONS, ReportOptions(show_values=True, colour=True, verbose=True)):
            text = render(results, name, options)
            text.encode()
            assert "\0" not in text
            assert "\u202e" not in text


@settings(max_examples=60)
@given(RESULTS)
def test_reports_for_programs_are_valid_against_their_schema(results):
    for options in (OPTIONS, ReportOptions(show_values=True)):
        REPORT.validate(json.loads(render(results, "json", options)))
        SARIF.validate(json.loads(render(results, "sarif", options)))
    finding = Draft202012Validator(REPORT.schema["$defs"]["finding"] | {"$defs": {}})
    for line in render(results, "ndjson", OPTIONS).splitlines():
        row = json.loads(line)
        del row["file"]
        assert "trouble" in row or finding.is_valid(row)


@settings(max_examples=60)
@given(RESULTS)
def test_any_junit_report_can_be_read_by_a_junit_parser(results):
    suites = JUnitXml.fromroot(ET.fromstring(render(results, "junit", OPTIONS)))
    cases = [case for suite in suites for case in suite]
    assert len(cases) == sum(max(len(result.parts), 1) for result in results)
    failures = [case for case in cases if any(child._tag == "failure" for child in case.result)]
    assert len(failures) == suites.failures
    assert bool(suites.failures) == any(i.is_error for result in results for i in result.issues)


def test_junit_has_one_suite_for_each_file_and_one_case_for_each_resource():
    suites = JUnitXml.fromstring(render(SAMPLE, "junit", OPTIONS).encode())
    assert [(suite.name, suite.tests, suite.failures, suite.errors) for suite in suites] == [
        ("feed/bundle.json", 3, 1, 0),
        ("all.ndjson", 2, 1, 0),
        ("clean.json", 1, 0, 0),
        ("absent.json", 1, 0, 1),
    ]


def test_the_outcome_of_one_clean_file_is_informational():
    outcome = json.loads(render([FileResult(file="a.json", resources=1)], "outcome", OPTIONS))
    assert outcome["resourceType"] == "OperationOutcome"
    assert [issue["severity"] for issue in outcome["issue"]] == ["information"]


def test_a_fix_is_included_only_if_values_may_be_shown():
    result = FileResult(file="a.json", findings=(FileFinding(issue=STATUS),))
    for options, fix in ((OPTIONS, None), (ReportOptions(show_values=True), list(FIX))):
        (finding,) = json.loads(render([result], "json", options))["files"][0]["findings"]
        assert (finding["fixable"], finding.get("fix")) == (True, fix)


def test_fingerprints_ignore_shifted_lines_and_differ_within_a_file():
    def fingerprints(*lines):
        issues = [msgspec.structs.replace(STATUS, line=line) for line in lines]
        findings = tuple(FileFinding(issue=issue) for issue in issues)
        log = json.loads(render([FileResult(file="a.json", findings=findings)], "sarif", OPTIONS))
        return [row["partialFingerprints"]["fhirB12/v1"] for row in log["runs"][0]["results"]]

    assert fingerprints(18, 30) == fingerprints(20, 32)
    assert len(set(fingerprints(18, 30))) == 2
