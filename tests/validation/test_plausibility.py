"""Plausibility rules: cases with a finding, without one, and close to the limit."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

from fhir_b12 import plain
from fhir_b12.bundles import to_bundle
from fhir_b12.data import mappings, read
from fhir_b12.dates import DateTime
from fhir_b12.jsonio import loads
from fhir_b12.validation import Validator, validate
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import rules
from fhir_b12.validation.plausibility import check_across_resources, check_plausibility
from fhir_b12.validation.plausibility.rule_config import omitted_rules, rule_configs

HERE = Path(__file__).parent / "plausibility"
ROOT = Path(__file__).resolve().parents[2]
RESOURCES = loads((HERE / "resources.json").read_bytes())
CASES = {
    (rule, name): case
    for file in ("observations", "medications", "conditions")
    for rule, cases in loads((HERE / f"{file}.json").read_bytes()).items()
    for name, case in cases.items()
}


def merged(node, change):
    """A resource with some of it changed; null takes away."""
    if not isinstance(node, dict) or not isinstance(change, dict):
        return change
    unchanged = {name: value for name, value in node.items() if name not in change}
    changed = {name: merged(node.get(name), new) for name, new in change.items() if new is not None}
    return unchanged | changed


class CaseServices:
    """A validator that offers switches and a moment, and the other resources of a Bundle."""

    def __init__(self, case):
        self.switched_on = frozenset(case.get("on", ()))
        self.switched_off = frozenset(case.get("off", ()))
        self.now = DateTime(case["now"]) if "now" in case else None
        self.contexts = [
            ResourceContext(merged(RESOURCES[name], change), self, bundle_entries=self)
            for name, change in case["of"]
        ]

        self.named = {f"{c.type}/{c.resource['id']}": c for c in reversed(self.contexts)}

    def find(self, reference, _base):
        return self.named.get(reference)


def findings_of(case):
    contexts = CaseServices(case).contexts
    findings = [[] for _ in contexts]
    for context, own in zip(contexts, findings, strict=True):
        check_plausibility(context.resource, context, own)
    check_across_resources(contexts, findings)
    return findings


@pytest.mark.parametrize(("rule", "name"), CASES, ids=lambda part: part)
def test_each_case_gives_exactly_its_findings(rule, name):
    findings = findings_of(CASES[rule, name])
    described = [
        " ".join(map(str, (at, finding.rule, *reversed(finding.path))))
        for at, own in enumerate(findings)
        for finding in own
    ]
    assert described == CASES[rule, name]["found"]
    assert {finding.values["key"] for own in findings for finding in own} <= {rule}
    if "fix" in CASES[rule, name]:
        patches = [finding.fix for own in findings for finding in own]
        assert patches == [({"op": "replace", "path": "/code", "value": CASES[rule, name]["fix"]},)]


#: Wordings that are information; all others are warnings.
INFORMATION = {
    "CND-01",
    "MED-10-not-done",
    "MED-12",
    "OBS-03-text",
    "OBS-06",
    "OBS-08",
    "OBS-13",
    "SAF-03",
}
HOME = "http://example.org/fhir"
CASES_WITH_FINDINGS = [(rule, name) for (rule, name), case in CASES.items() if case["found"]]


def plausibility_issues(case, **options):
    """Return the plausibility issues of the resources of a case in a Bundle."""
    resources = [merged(RESOURCES[name], change) for name, change in case["of"]]
    entries = [
        {"fullUrl": f"{HOME}/{resource['resourceType']}/{resource['id']}", "resource": resource}
        for resource in resources
    ]
    options = {
        "switched_on": case.get("on", ()),
        "switched_off": case.get("off", ()),
        "now": DateTime(case["now"]) if "now" in case else None,
        "terminology": False,
        **options,
    }
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    report = Validator(**options).validate(bundle)
    return [issue for issue in report if issue.stage == "plausibility"]


@pytest.mark.parametrize(("rule", "name"), CASES, ids=lambda part: part)
def test_a_report_has_each_finding_with_rule_severity_and_location(rule, name):
    expected = []
    for line in CASES[rule, name]["found"]:
        at, wording, *path = line.split()
        severity = "information" if wording in INFORMATION else "warning"
        expected.append((rule, severity, "/".join(["/entry", at, "resource", *path])))
    issues = [
        (issue.rule, issue.severity, issue.pointer)
        for issue in plausibility_issues(CASES[rule, name])
    ]
    assert sorted(issues) == sorted(expected)


@pytest.mark.parametrize(("rule", "name"), CASES_WITH_FINDINGS, ids=lambda part: part)
def test_a_rule_or_the_whole_stage_can_be_switched_off(rule, name):
    case = CASES[rule, name]
    assert plausibility_issues(case, switched_off={rule}) == []
    assert plausibility_issues(case, plausibility=False) == []


CODES = {"unit", "system", "url", "status", "resourceType"}


def patient_values(node):
    """Yield numbers with units, dates, texts and names of a resource, without codes and links."""
    if isinstance(node, str):
        yield node.lower()
    elif isinstance(node, list):
        for part in node:
            yield from patient_values(part)
    elif isinstance(node, dict):
        if "value" in node and "unit" in node:
            yield f"{node['value']} {node['unit']}".lower()
        for key, part in node.items():
            if key not in CODES and not (key == "code" and isinstance(part, str)):
                yield from patient_values(part)


@pytest.mark.parametrize(("rule", "name"), CASES_WITH_FINDINGS, ids=lambda part: part)
def test_no_message_shows_a_value_of_the_patient(rule, name):
    case = CASES[rule, name]
    resources = [merged(RESOURCES[part], change) for part, change in case["of"]]
    own = " ".join(entry.message.lower() for key, entry in rules().items() if key.startswith(rule))
    values = {text for text in patient_values(resources) if text not in f"{own} of the bag"}
    message = " ".join(issue.message.lower() for issue in plausibility_issues(case))
    assert [
        value for value in values if re.search(rf"(?<![\w.]){re.escape(value)}\b", message)
    ] == []


def test_a_value_is_shown_with_show_values():
    case = {"of": [["mma", {"valueQuantity": {"value": 350}}]]}
    (hidden,), (visible,) = plausibility_issues(case), plausibility_issues(case, show_values=True)
    assert hidden.message.startswith("the value is above 10 umol/L")
    assert visible.message.startswith("350 umol/L is above 10 umol/L")


@pytest.mark.parametrize("rule", rule_configs())
def test_each_rule_has_positive_negative_and_borderline_cases(rule):
    cases = [case for (own, _), case in CASES.items() if own == rule]
    assert [bool(case["found"]) for case in cases].count(True) >= 1
    assert [bool(case["found"]) for case in cases].count(False) >= 1
    assert any(case.get("near") for case in cases)


def test_messages_and_configuration_have_the_same_rules():
    worded = {name[:6] for name, rule in rules().items() if rule.stage == "plausibility"}
    assert worded == set(rule_configs())
    assert {name[:6] for name in worded} - set(rules()) == set()


def test_a_plausibility_finding_is_never_an_error():
    own = [rule for rule in rules().values() if rule.stage == "plausibility"]
    assert {rule.severity for rule in own} == {"warning", "information"}
    assert {
        finding.severity for case in CASES.values() for own in findings_of(case) for finding in own
    } == {None}


def test_every_placeholder_of_a_message_is_filled():
    filled = {}
    for case in CASES.values():
        for finding in (finding for own in findings_of(case) for finding in own):
            filled.setdefault(finding.rule, set(finding.values))
            rules()[finding.rule].message.format(**finding.values)
    assert set(filled) == {name for name, rule in rules().items() if rule.stage == "plausibility"}


def test_the_documentation_lists_every_rule_with_its_state():
    text = (ROOT / "docs" / "plausibility.md").read_text("utf-8")
    table = dict(re.findall(r"^\| ([A-Z]{3}-\d\d) \| (on|off|left out) \|", text, re.MULTILINE))
    own = {name: "on" if facts.on else "off" for name, facts in rule_configs().items()}
    assert table == own | dict.fromkeys(omitted_rules(), "left out")


def test_every_rule_has_a_source():
    table = tomllib.loads((ROOT / "mappings" / "plausibility.toml").read_text("utf-8"))
    rows = {name: row for name, row in table.items() if name != "omitted"}
    assert [name for name, row in rows.items() if not row.get("source")] == []
    own = [rule for rule in rules().values() if rule.stage == "plausibility"]
    links = ("https://hl7.org/fhir/R4/", "https://ucum.org/ucum")
    assert [rule.id for rule in own if not rule.why] == []
    assert [
        rule.id
        for rule in own
        if rule.source != table[rule.id[:6]]["source"] and not rule.source.startswith(links)
    ] == []


def test_the_demo_has_two_findings():
    record, _ = plain.from_plain(loads(read(mappings().joinpath("demo"), "course.json")))
    own = {name for name, rule in rules().items() if rule.stage == "plausibility"}
    broken = [
        issue.rule
        for issue in validate(to_bundle(record))
        if issue.rule in {name[:6] for name in own}
    ]
    assert sorted(broken) == ["MED-02", "MED-10"]


def test_the_effort_is_linear_in_the_number_of_resources():
    def calls(n):
        case = {
            "of": [["injection", {}], ["b12-mass", {}], ["b12-moles", {}], ["metformin", {}]] * n
        }
        contexts = CaseServices(case).contexts
        findings = [[] for _ in contexts]
        counted = [0]

        def count(*_):
            counted[0] += 1

        sys.setprofile(count)
        try:
            check_across_resources(contexts, findings)
        finally:
            sys.setprofile(None)
        return counted[0]

    calls(10)
    assert calls(1000) < 11 * calls(100)
