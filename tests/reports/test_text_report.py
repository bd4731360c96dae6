"""The text report: grouping, colours, totals."""

import re

import msgspec

from fhir_b12.issues import Issue
from fhir_b12.reports import FileFinding, FileResult, ReportOptions, render
from fhir_b12.reports.file_results import format_counts, pluralize
from fhir_b12.reports.rule_descriptions import all_rules, describe_rule
from fhir_b12.reports.text_report import format_statistics
from tests.reports.samples import NARRATIVE, SAMPLE, STATUS

SGR = re.compile(r"\x1b\[[\d;]*m")


def heads(text):
    return [
        line for line in text.splitlines() if re.match(r"(fatal|error|warning|info)\w*\[", line)
    ]


def render_text(*issues, **options):
    findings = tuple(FileFinding(issue=issue) for issue in issues)
    return render([FileResult(file="a.json", findings=findings)], "text", ReportOptions(**options))


def test_colours_add_escape_codes_and_nothing_else():
    plain = render(SAMPLE, "text", ReportOptions())
    coloured = render(SAMPLE, "text", ReportOptions(colour=True))
    assert "\x1b" not in plain
    assert coloured != plain
    assert SGR.sub("", coloured) == plain


def test_findings_that_differ_only_in_location_are_grouped_unless_verbose():
    assert len(heads(render(SAMPLE[:1], "text", ReportOptions()))) == 2
    assert len(heads(render(SAMPLE[:1], "text", ReportOptions(verbose=True)))) == 3


def test_fixable_findings_are_not_grouped_with_others():
    text = render_text(STATUS, msgspec.structs.replace(STATUS, fix=()))
    assert [("[*]" in head) for head in heads(text)] == [True, False]
    assert text.splitlines()[-1] == (
        "[*] 1 finding can be fixed with --fix; --fix --dry-run shows the changes."
    )


def test_a_group_lists_its_first_lines():
    text = render_text(*(msgspec.structs.replace(NARRATIVE[0], line=n) for n in range(1, 99)))
    assert "  = and 97 more like it: lines 2, 3, 4, 5, 6, 7, ...\n" in text


def test_only_the_first_reasons_for_not_checking_are_listed_unless_verbose():
    issues = tuple(Issue("information", "incomplete", "", f"{n} is unknown") for n in range(9))
    result = FileResult(file="a.json", unchecked=issues)
    lines = render([result], "text", ReportOptions()).splitlines()
    assert lines[3:5] == [
        "not checked: 3 is unknown",
        "not checked: 5 more reasons; --verbose lists them",
    ]
    assert len(render([result], "text", ReportOptions(verbose=True)).splitlines()) == 10


def test_a_clean_file_is_one_line():
    text = render([FileResult(file="a.json", resources=2)], "text", ReportOptions())
    assert text == "No findings in 2 resources of 1 file.\n"


def test_numbers_have_singular_and_plural_nouns():
    assert [pluralize(n, "error") for n in (0, 1, 2000)] == ["0 errors", "1 error", "2,000 errors"]


def test_counts_are_formatted_with_fatal_issues_as_errors():
    none = dict.fromkeys(("fatal", "error", "warning", "information"), 0)
    assert format_counts(none) == "no findings"
    assert format_counts(none | {"fatal": 1, "error": 1}) == "2 errors"
    assert format_counts(none | {"error": 1, "information": 2}) == "1 error, 2 for information"


def test_statistics_count_findings_by_rule_most_frequent_first():
    *rules, speed = format_statistics(SAMPLE)
    assert [line.split() for line in rules] == [
        ["2", "warning", "dom-6"],
        ["1", "error", "[*]", "required-binding"],
        ["1", "fatal", "json-structure"],
        ["1", "information", "dose"],
    ]
    assert speed == "5 resources, 1,000 bytes in 250 ms: 20 resources/s, 0.0 MB/s"


def test_every_rule_has_a_message_a_rationale_and_a_source():
    rules = all_rules()
    assert len({rule.id for rule in rules}) == len(rules)
    assert [r.id for r in rules if not r.message or not r.rationale or not r.source] == []
    assert [rule.id for rule in rules if re.search(r"\{\w+\}", rule.message)] == []


def test_rules_are_listed_by_stage_in_the_order_of_validation():
    stages = list(dict.fromkeys(rule.stage for rule in all_rules()))
    assert stages[:3] == ["json", "structure", "invariants"]


def test_an_invariant_is_described_by_its_key():
    assert describe_rule("obs-6").expression == "dataAbsentReason.empty() or value.empty()"
    assert describe_rule("no-such-rule") is None


def test_a_rule_of_a_profile_is_described_by_its_issue():
    issue = Issue("error", "invariant", "Observation", "must be", rule="us-1", stage="profiles")
    result = FileResult(file="a.json", findings=(FileFinding(issue=issue),))
    text = render([result], "html", ReportOptions())
    assert "Required by a profile that the resource declares" in text
