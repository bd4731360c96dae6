"""Every format of the sample as it must be, and what holds of every report in every format."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator
from junitparser import JUnitXml

from fhir_b12 import data
from fhir_b12.cli import commands
from fhir_b12.reports import FORMATS, Checked, Found, Options, render
from tests.reports.samples import MENDED, RESULTS, SAMPLE, STATUS

HERE = Path(__file__).parent
EXPECTED = sorted((HERE / "expected").iterdir())
OPTIONS = Options(version="1.2.3")
REPORT = Draft202012Validator(json.loads(data.read(data.reports(), "report.schema.json")))
SARIF = Draft202012Validator(json.loads((HERE / "sarif.schema.json").read_text("utf-8")))


@pytest.mark.parametrize("path", EXPECTED, ids=lambda path: path.name)
def test_the_sample_is_reported_as_it_stands(path):
    assert render(SAMPLE, path.stem, OPTIONS) == path.read_text("utf-8")


def test_each_format_but_the_page_stands_as_an_example():
    assert {path.stem for path in EXPECTED} == set(FORMATS) - {"html"}


def test_the_command_line_names_every_format():
    assert set(commands._REPORTS) == set(FORMATS)


@settings(max_examples=60)
@given(RESULTS)
def test_any_result_is_reported_in_every_format(results):
    for form in FORMATS:
        for options in (OPTIONS, Options(show_values=True, colour=True, verbose=True)):
            written = render(results, form, options)
            written.encode()
            assert "\0" not in written
            assert "\u202e" not in written


@settings(max_examples=60)
@given(RESULTS)
def test_what_programs_read_is_what_its_schema_says(results):
    for options in (OPTIONS, Options(show_values=True)):
        REPORT.validate(json.loads(render(results, "json", options)))
        SARIF.validate(json.loads(render(results, "sarif", options)))
    finding = Draft202012Validator(REPORT.schema["$defs"]["finding"] | {"$defs": {}})
    for line in render(results, "ndjson", OPTIONS).splitlines():
        told = json.loads(line)
        del told["file"]
        assert "trouble" in told or finding.is_valid(told)


@settings(max_examples=60)
@given(RESULTS)
def test_any_junit_report_is_read_by_a_reader_of_junit(results):
    suites = JUnitXml.fromroot(ET.fromstring(render(results, "junit", OPTIONS)))
    cases = [case for suite in suites for case in suite]
    assert len(cases) == sum(max(len(result.parts), 1) for result in results)
    failures = [case for case in cases if any(each._tag == "failure" for each in case.result)]
    assert len(failures) == suites.failures
    assert bool(suites.failures) == any(i.is_error for result in results for i in result.issues)


def test_junit_has_a_suite_a_file_and_a_case_a_resource():
    suites = JUnitXml.fromstring(render(SAMPLE, "junit", OPTIONS).encode())
    assert [(suite.name, suite.tests, suite.failures, suite.errors) for suite in suites] == [
        ("feed/bundle.json", 3, 1, 0),
        ("all.ndjson", 2, 1, 0),
        ("clean.json", 1, 0, 0),
        ("absent.json", 1, 0, 1),
    ]


def test_one_clean_file_is_an_outcome_that_says_so():
    outcome = json.loads(render([Checked(file="a.json", resources=1)], "outcome", OPTIONS))
    assert outcome["resourceType"] == "OperationOutcome"
    assert [issue["severity"] for issue in outcome["issue"]] == ["information"]


def test_a_remedy_is_told_only_where_values_may_be_shown():
    result = Checked(file="a.json", found=(Found(issue=STATUS),))
    for options, told in ((OPTIONS, None), (Options(show_values=True), list(MENDED))):
        (finding,) = json.loads(render([result], "json", options))["files"][0]["findings"]
        assert (finding["fixable"], finding.get("fix")) == (True, told)


def test_fingerprints_stay_when_lines_shift_and_differ_within_a_file():
    def marks(*lines):
        found = [Found(issue=msgspec.structs.replace(STATUS, line=line)) for line in lines]
        log = json.loads(render([Checked(file="a.json", found=tuple(found))], "sarif", OPTIONS))
        return [each["partialFingerprints"]["fhirB12/v1"] for each in log["runs"][0]["results"]]

    assert marks(18, 30) == marks(20, 32)
    assert len(set(marks(18, 30))) == 2
