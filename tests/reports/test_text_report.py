"""The text report: folding, colours, sums."""

import re

import msgspec

from fhir_b12.issues import Issue
from fhir_b12.reports import Checked, Found, Options, render
from fhir_b12.reports.file_results import tally
from fhir_b12.reports.rule_descriptions import explain, known
from fhir_b12.reports.text_report import statistics
from tests.reports.samples import NARRATIVE, SAMPLE, STATUS

SGR = re.compile(r"\x1b\[[\d;]*m")


def heads(text):
    return [
        line for line in text.splitlines() if re.match(r"(fatal|error|warning|info)\w*\[", line)
    ]


def test_colours_change_nothing_but_colour():
    plain = render(SAMPLE, "text", Options())
    coloured = render(SAMPLE, "text", Options(colour=True))
    assert "\x1b" not in plain
    assert coloured != plain
    assert SGR.sub("", coloured) == plain


def test_findings_that_differ_in_their_place_alone_are_folded_unless_one_asks():
    assert len(heads(render(SAMPLE[:1], "text", Options()))) == 2
    assert len(heads(render(SAMPLE[:1], "text", Options(verbose=True)))) == 3


def test_what_can_be_mended_is_not_folded_with_what_cannot():
    found = (Found(issue=STATUS), Found(issue=msgspec.structs.replace(STATUS, fix=())))
    text = render([Checked(file="a.json", found=found)], "text", Options())
    assert [("[*]" in head) for head in heads(text)] == [True, False]


def test_of_many_lines_some_are_named():
    found = tuple(Found(issue=msgspec.structs.replace(NARRATIVE[0], line=n)) for n in range(1, 99))
    text = render([Checked(file="a.json", found=found)], "text", Options())
    assert "  = and 97 more like it: lines 2, 3, 4, 5, 6, 7, ...\n" in text


def test_of_much_that_was_not_checked_some_is_named_unless_one_asks():
    issues = tuple(Issue("information", "incomplete", "", f"{n} is not here") for n in range(9))
    result = Checked(file="a.json", unchecked=issues)
    lines = render([result], "text", Options()).splitlines()
    assert lines[3:5] == [
        "not checked: 3 is not here",
        "not checked: 5 other things; --verbose names them",
    ]
    assert len(render([result], "text", Options(verbose=True)).splitlines()) == 10


def test_a_clean_file_is_one_line():
    text = render([Checked(file="a.json", resources=2)], "text", Options())
    assert text == "No findings in 2 resources of 1 file.\n"


def test_sums_are_said_as_people_say_them():
    none = dict.fromkeys(("fatal", "error", "warning", "information"), 0)
    assert tally(none) == "no findings"
    assert tally(none | {"fatal": 1, "error": 1}) == "2 errors"
    assert tally(none | {"error": 1, "information": 2}) == "1 error, 2 for information"


def test_statistics_count_by_rule_the_most_frequent_first():
    *rules, speed = statistics(SAMPLE)
    assert [line.split() for line in rules] == [
        ["2", "warning", "dom-6"],
        ["1", "error", "[*]", "required-binding"],
        ["1", "fatal", "json-structure"],
        ["1", "information", "dose"],
    ]
    assert speed == ("5 resources, 1,000 bytes in 250 ms of work: 20 resources/s, 0.0 MB/s")


def test_every_rule_has_words_and_a_source():
    rules = known()
    assert len({rule.id for rule in rules}) == len(rules)
    assert [rule.id for rule in rules if not rule.says or not rule.why or not rule.source] == []
    assert [rule.id for rule in rules if re.search(r"\{\w+\}", rule.says)] == []


def test_an_invariant_is_explained_by_its_key():
    assert explain("obs-6").expression == "dataAbsentReason.empty() or value.empty()"
    assert explain("no-such-rule") is None


def test_a_rule_that_a_profile_brought_is_told_by_what_it_said():
    issue = Issue("error", "invariant", "Observation", "must be", rule="us-1", stage="profiles")
    text = render([Checked(file="a.json", found=(Found(issue=issue),))], "html", Options())
    assert "A profile that was asked for or declared says so." in text
