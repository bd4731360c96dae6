"""Bindings and codings: locations and severities are those of HL7's validator."""

import pytest

from fhir_b12 import data
from fhir_b12.definitions.canonicals import Canonicals
from fhir_b12.validation import Validator
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import rules
from fhir_b12.validation.terminology.bindings import (
    check_binding,
    check_codeable_concept,
    check_coding,
    check_identifier,
    check_quantity,
)
from fhir_b12.validation.terminology.service import Terminology
from fhir_b12.validation.terminology.system_aliases import canonical_system
from tests.validation.test_terminology import (
    BASE,
    COLOURS,
    ELSEWHERE,
    SYSTEM,
    Definitions,
    value_set,
)

FEW = value_set("few", {"system": SYSTEM, "concept": [{"code": "red"}, {"code": "ruby"}]})
ALL = value_set("all", {"system": SYSTEM})
MIXED = value_set("mixed", {"system": SYSTEM}, {"system": ELSEWHERE})
ABSENT = f"{BASE}/ValueSet/absent"
RED = {"system": SYSTEM, "code": "red"}
GREEN = {"system": SYSTEM, "code": "green"}
BLUE = {"system": SYSTEM, "code": "blue"}
WITHOUT_CODE = "warning code concept-without-code"
STRANGE = {"system": ELSEWHERE, "code": "a"}


class ValidationServices:
    """What a validator offers to checks."""

    def __init__(self, definitions):
        self.canonicals = definitions
        self.terminology = Terminology(definitions)


def resource_context(**resource):
    loose = {**COLOURS, "url": f"{BASE}/CodeSystem/loose", "caseSensitive": False}
    part = {**COLOURS, "url": f"{BASE}/CodeSystem/part", "content": "fragment"}
    definitions = Definitions(COLOURS, loose, part, FEW, ALL, MIXED)
    return ResourceContext(
        {"resourceType": "Observation", **resource}, ValidationServices(definitions)
    )


def describe(findings):
    """Return severity, location and rule of each finding: `error code[0].system unknown-code`."""
    return [
        f"{finding.severity or rules()[finding.rule].severity} {location(finding)} {finding.rule}"
        for finding in findings
    ]


def location(finding):
    steps = (
        f"[{step}]" if isinstance(step, int) else f".{step}" for step in reversed(finding.path)
    )
    return "".join(steps).lstrip(".") or "."


def binding_findings(value, kind, strength, url=FEW["url"], ceiling=None):
    context, findings = resource_context(), []
    check_binding(value, kind, strength, url, ceiling, context, findings)
    return describe(findings)


def findings_of(check, value, **resource):
    findings = []
    check(value, resource_context(**resource), findings)
    return describe(findings)


def concept(*codings, **more):
    return {"coding": list(codings), **more}


# --- bindings


@pytest.mark.parametrize("kind", ["code", "string", "uri", "Coding", "Quantity", "CodeableConcept"])
@pytest.mark.parametrize(
    ("strength", "expected"),
    [
        ("required", ["error . required-binding"]),
        ("extensible", ["warning . extensible-binding"]),
        ("preferred", ["information . preferred-binding"]),
        ("example", []),
    ],
)
def test_the_strength_of_a_binding_decides_the_severity(kind, strength, expected):
    value = {"Coding": BLUE, "Quantity": BLUE, "CodeableConcept": concept(BLUE)}.get(kind, "blue")
    inside = {"Coding": RED, "Quantity": RED, "CodeableConcept": concept(RED)}.get(kind, "red")
    assert binding_findings(value, kind, strength) == expected
    assert binding_findings(inside, kind, strength) == []


@pytest.mark.parametrize(
    ("value", "kind", "strength", "expected"),
    [
        ("blue", "code", "extensible", []),
        ("green", "code", "extensible", ["error . maximum-binding"]),
        ("green", "code", "preferred", ["error . maximum-binding"]),
        ("blue", "code", "required", ["error . required-binding"]),
        (BLUE, "Coding", "extensible", []),
        (STRANGE, "Coding", "extensible", ["error . maximum-binding"]),
        (STRANGE, "Coding", "preferred", ["information . preferred-binding"]),
        (concept(BLUE), "CodeableConcept", "extensible", ["warning . extensible-binding"]),
        (
            concept(STRANGE),
            "CodeableConcept",
            "extensible",
            ["error . maximum-binding", "warning . extensible-binding"],
        ),
        ({"text": "red"}, "CodeableConcept", "extensible", ["error . maximum-coding"]),
    ],
)
def test_a_code_outside_the_maximum_value_set_is_an_error(value, kind, strength, expected):
    assert binding_findings(value, kind, strength, ceiling=ALL["url"]) == expected


@pytest.mark.parametrize(
    ("strength", "expected"),
    [
        ("required", ["error . required-coding"]),
        ("extensible", ["warning . extensible-coding"]),
        ("preferred", []),
    ],
)
def test_a_concept_with_text_alone_is_reported_by_strength(strength, expected):
    assert binding_findings({"text": "red"}, "CodeableConcept", strength) == expected
    assert (
        binding_findings(concept({"id": "x"}, text="red"), "CodeableConcept", strength) == expected
    )


@pytest.mark.parametrize(
    ("codings", "expected"),
    [
        ([RED, STRANGE], []),
        ([STRANGE, BLUE], ["error . required-binding"]),
        ([RED, GREEN], ["error . required-binding"]),  # one invalid coding invalidates the concept
        ([{**RED, "display": "Blue"}], []),  # the display has a finding of its own
        ([{"code": "red"}], []),  # unambiguous: one system, codes listed
        ([{"code": "blue"}], ["error . required-binding"]),
        ([{"system": SYSTEM}], ["error . required-binding"]),
        ([{**RED, "version": "9"}], []),
    ],
)
def test_one_coding_in_the_value_set_is_enough_if_no_coding_is_invalid(codings, expected):
    assert binding_findings(concept(*codings), "CodeableConcept", "required") == expected


def test_a_code_without_system_is_not_in_a_value_set_of_a_whole_code_system():
    findings = binding_findings(concept({"code": "red"}), "CodeableConcept", "required", ALL["url"])
    assert findings == ["error . required-binding"]


@pytest.mark.parametrize("kind", ["Coding", "Quantity"])
@pytest.mark.parametrize("value", [{"code": "red"}, {"system": SYSTEM}, {"display": "Red"}])
def test_a_coding_without_system_or_code_is_not_checked_against_its_binding(kind, value):
    assert binding_findings(value, kind, "required") == []


@pytest.mark.parametrize("kind", ["code", "Coding", "CodeableConcept"])
@pytest.mark.parametrize("url", [MIXED["url"], ABSENT])
def test_an_undecided_code_is_no_finding(kind, url):
    value = {"Coding": STRANGE, "CodeableConcept": concept(STRANGE)}.get(kind, "a")
    assert binding_findings(value, kind, "required", url) == []


def test_an_extension_does_not_replace_a_required_code():
    assert binding_findings(None, "code", "required") == ["error . code-missing"]
    assert binding_findings(None, "code", "extensible") == []


def test_a_code_that_differs_in_case_or_white_space_gets_a_fix():
    findings = []
    for code in ("RED", " red", "green"):
        check_binding(code, "code", "required", FEW["url"], None, resource_context(), findings)
    fix = ({"op": "replace", "path": "", "value": "red"},)
    assert [finding.fix for finding in findings] == [fix, fix, ()]
    assert [finding.values["hint"] for finding in findings] == [": use one of red"] * 3


def test_an_inactive_code_is_a_warning():
    assert binding_findings("ruby", "code", "required") == ["warning . inactive-code"]


# --- codings without a binding


@pytest.mark.parametrize(
    ("coding", "alone", "in_concept"),
    [
        (RED, [], []),
        (GREEN, ["error code unknown-code"], ["error code unknown-code"]),
        (STRANGE, [], []),
        (
            {"system": f"{BASE}/CodeSystem/part", "code": "green"},
            ["warning code code-outside-fragment"],
            ["warning code code-outside-fragment"],
        ),
        (
            {"system": f"{BASE}/CodeSystem/loose", "code": "RED"},
            ["information code code-case"],
            ["information code code-case"],
        ),
        ({**RED, "version": "9", "display": "Blue"}, [], []),
        ({**RED, "version": "1.0", "display": "Red"}, [], []),
        (
            {"code": "red"},
            ["warning . coding-without-system"],
            ["warning . concept-without-system"],
        ),
        ({"display": "Red"}, [], ["warning . concept-without-system"]),
        ({"system": SYSTEM}, [], [WITHOUT_CODE]),
        ({"system": SYSTEM, "code": " "}, [WITHOUT_CODE], [WITHOUT_CODE]),
        ({"system": ELSEWHERE}, [], []),
        ({"id": "x"}, [], []),
        ({"system": "colours", "code": "red"}, ["error . relative-system"], []),
        ({"system": ALL["url"], "code": "red"}, ["error . value-set-as-system"], []),
        (
            {"system": SYSTEM, "code": "ruby"},
            ["warning . inactive-code"],
            ["warning . inactive-code"],
        ),
        (
            {"system": SYSTEM, "code": "cold"},
            ["warning . deprecated-code"],
            ["warning . deprecated-code"],
        ),
    ],
)
def test_a_coding_is_validated_alone_and_in_a_concept(coding, alone, in_concept):
    assert findings_of(check_coding, coding) == alone
    within = [text.replace(" ", " coding[0].", 1).replace("..", ".") for text in in_concept]
    within = [text.replace("coding[0]. ", "coding[0] ") for text in within]
    assert findings_of(check_codeable_concept, concept(coding)) == within


def test_an_empty_coding_beside_others_lacks_a_system():
    findings = findings_of(check_codeable_concept, concept({"id": "x"}, RED))
    assert findings == ["warning coding[0] concept-without-system"]


def test_a_binding_moves_the_location_of_an_invalid_system():
    findings = []
    for system in ("colours", ALL["url"]):
        coding = {"system": system, "code": "red"}
        check_coding(coding, resource_context(), findings, bound=True)
        check_quantity(coding, resource_context(), findings, bound=True)
    assert (
        describe(findings)
        == ["error system relative-system"] * 2 + ["error system value-set-as-system"] * 2
    )


@pytest.mark.parametrize(
    ("display", "language", "expected"),
    [
        ("Red", None, []),
        ("rED", None, []),
        ("Crimson", None, []),
        ("Rot", None, ["error display wrong-display"]),
        ("Rot", "de-AT", []),
        ("Red", "de", []),
        ("Blue", None, ["error display wrong-display"]),
        ("Re-d", None, ["error display wrong-display"]),
        (" red", None, ["error display display-spacing"]),
    ],
)
def test_a_display_must_be_one_of_its_code_in_the_language(display, language, expected):
    resource = {"language": language} if language else {}
    assert findings_of(check_coding, {**RED, "display": display}, **resource) == expected


def test_a_display_of_a_code_without_display_is_an_error():
    assert findings_of(check_coding, {**BLUE, "display": "Blue"}) == [
        "error display display-of-none"
    ]


def test_a_display_that_differs_in_white_space_gets_a_fix():
    findings = []
    check_coding({**RED, "display": "Red "}, resource_context(), findings)
    assert [finding.fix for finding in findings] == [
        ({"op": "replace", "path": "", "value": "Red"},)
    ]


# --- misspelled code systems

LOINC = "http://loinc.org"


@pytest.mark.parametrize(
    ("spelling", "severity"),
    [
        ("http://loinc.org/", "warning"),
        ("HTTP://LOINC.ORG", "error"),  # HL7's validator does not count it as absolute
        ("https://loinc.org", "warning"),
        ("urn:oid:2.16.840.1.113883.6.1", "warning"),
        ("2.16.840.1.113883.6.1", "error"),
        ("LOINC", "error"),
        ("loinc", "error"),
        (" http://loinc.org", "error"),
    ],
)
def test_a_misspelled_code_system_is_reported_with_the_canonical_uri_as_fix(spelling, severity):
    coding = {"system": spelling, "code": "2132-9"}
    fix = ({"op": "replace", "path": "", "value": LOINC},)
    for check, value, expected in (
        (check_coding, coding, f"{severity} system misspelled-system"),
        (check_quantity, coding, f"{severity} system misspelled-system"),
        (
            check_codeable_concept,
            concept(RED, coding),
            "warning coding[1].system misspelled-system",
        ),
    ):
        findings = []
        check(value, resource_context(), findings)
        assert describe(findings) == [expected]
        assert [(finding.fix, finding.values["canonical"]) for finding in findings] == [
            (fix, LOINC)
        ]


@pytest.mark.parametrize("system", [LOINC, ELSEWHERE, "http://loinc.org/vs"])
def test_a_system_that_is_canonical_or_unknown_is_not_misspelled(system):
    coding = {"system": system, "code": "2132-9"}
    assert (
        findings_of(check_coding, coding)
        == findings_of(check_codeable_concept, concept(coding))
        == []
    )


def test_every_name_and_alias_of_a_code_system_gives_its_canonical_uri():
    for row in data.toml("codes/systems.toml").values():
        assert canonical_system(row["uri"]) is None
        for spelling in (*row.get("aliases", ()), *row.get("names", ())):
            assert canonical_system(spelling) == row["uri"]


def test_the_fix_of_a_misspelled_system_makes_a_resource_valid():
    code = {"coding": [{"system": "LOINC", "code": "2132-9"}]}
    resource = {"resourceType": "Observation", "status": "final", "code": code}
    report = Validator(plausibility=False).validate(resource)
    (issue,) = (issue for issue in report if issue.stage == "terminology")
    pointer = "/code/coding/0/system"
    assert (issue.rule, issue.pointer) == ("misspelled-system", pointer)
    assert issue.fix == ({"op": "replace", "path": pointer, "value": LOINC},)
    assert issue.message == f"system is not the canonical URI of the code system: use {LOINC}"
    code["coding"][0]["system"] = LOINC
    assert Validator(plausibility=False).validate(resource).valid


# --- Quantity and Identifier


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ({"system": "http://unitsofmeasure.org", "code": "pg/mL"}, []),
        ({"system": "http://unitsofmeasure.org", "code": "frobnitz"}, []),
        ({"system": "http://unitsofmeasure.org", "code": "pg per mL"}, ["error code unknown-code"]),
        ({"unit": "tablets"}, []),
        ({"code": "mg"}, []),  # reported by qty-3
        ({"system": SYSTEM}, []),
        (GREEN, ["error code unknown-code"]),
        ({"system": "units", "code": "mg"}, ["error . relative-system"]),
        ({"system": "ucum", "code": "mg"}, ["error system misspelled-system"]),
    ],
)
def test_the_unit_of_a_quantity_is_validated(quantity, expected):
    assert findings_of(check_quantity, quantity) == expected


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        ({"value": "1"}, []),
        ({"system": "http://example.org", "value": "1"}, []),
        ({"system": "hospital", "value": "1"}, ["error . identifier-system"]),
        ({"system": "urn:ietf:rfc:3986", "value": "urn:oid:2.16"}, []),
        ({"system": "urn:ietf:rfc:3986", "value": "mailto:a@example.org"}, []),
        ({"system": "urn:ietf:rfc:3986", "value": "2.16"}, ["error . identifier-uri"]),
    ],
)
def test_the_system_of_an_identifier_must_be_absolute(identifier, expected):
    assert findings_of(check_identifier, identifier) == expected


# --- limits and languages


def test_an_invalid_coding_is_undecided_against_a_value_set_that_is_not_loaded():
    assert binding_findings(concept(GREEN), "CodeableConcept", "required", ABSENT) == []


def test_a_coding_in_a_version_that_is_not_loaded_is_undecided():
    context, findings = resource_context(), []
    coding = {**RED, "version": "9"}
    for value, type_name in ((coding, "Coding"), (concept(coding), "CodeableConcept")):
        context.validator.terminology.forget_unchecked()
        check_binding(value, type_name, "required", FEW["url"], None, context, findings)
        assert [row.reason for row in context.validator.terminology.unchecked] == [
            "version 9 of the code system is not here"
        ]
    assert findings == []


def test_a_message_lists_the_codes_of_small_value_sets_only():
    rows = [{"code": f"c{number:02}"} for number in range(13)]
    small = value_set("small", {"system": ELSEWHERE, "concept": rows[:12]})
    large = value_set("large", {"system": ELSEWHERE, "concept": rows})
    services = ValidationServices(Definitions(small, large))
    context = ResourceContext({"resourceType": "Observation"}, services)
    findings = []
    for url in (small["url"], large["url"]):
        check_binding("x", "code", "required", url, None, context, findings)
    listed = ", ".join(row["code"] for row in rows[:12])
    assert [finding.values["hint"] for finding in findings] == [
        f": use one of {listed}",
        ": use one of its codes",
    ]


def test_the_language_of_the_containing_resource_decides_for_contained_displays():
    outer = resource_context(language="de")
    inner = ResourceContext({"resourceType": "Basic"}, outer.validator, container=outer)
    findings = []
    check_coding({**RED, "display": "Rot"}, inner, findings)
    assert findings == []


def test_a_clean_coding_is_validated_again_in_a_resource_with_another_language():
    context = resource_context()
    findings = []
    check_coding({**RED, "display": "Crimson"}, context, findings)
    german = ResourceContext({"resourceType": "Basic", "language": "de"}, context.validator)
    check_coding({**RED, "display": "Red"}, context, findings)
    assert findings == []
    check_coding({**RED, "display": "Rot"}, german, findings)
    assert findings == []
    check_coding({**RED, "display": "Rot"}, context, findings)
    assert describe(findings) == ["error display wrong-display"]


def test_a_display_that_is_right_in_english_is_not_remembered_for_other_languages():
    english = {"code": "red", "designation": [{"language": "en", "value": "Scarlet"}]}
    services = ValidationServices(Definitions({**COLOURS, "concept": [english]}))
    coding = {**RED, "display": "Scarlet"}
    findings = []
    for language in ({}, {"language": "de"}):
        context = ResourceContext({"resourceType": "Basic", **language}, services)
        check_coding(coding, context, findings)
    assert describe(findings) == ["error display display-of-none"]


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (check_coding, STRANGE),
        (check_quantity, STRANGE),
        (check_codeable_concept, concept(STRANGE)),
    ],
)
def test_a_coding_that_was_not_checked_is_unchecked_in_every_report(check, value):
    context = resource_context()
    terminology = context.validator.terminology
    for _ in range(2):
        terminology.forget_unchecked()
        check(value, context, [])
        assert [row.canonical for row in terminology.unchecked] == [ELSEWHERE]


# --- R4's own


def test_bindings_of_r4_are_checked_without_a_server():
    context = ResourceContext({"resourceType": "Condition"}, ValidationServices(Canonicals()))
    hl7, base = "http://terminology.hl7.org/CodeSystem", "http://hl7.org/fhir/ValueSet"
    clinical = f"{base}/condition-clinical"
    language, all_languages = f"{base}/languages", f"{base}/all-languages"
    rows = [
        (concept({"system": f"{hl7}/condition-clinical", "code": "active"}), clinical, "required"),
        (concept({"system": f"{hl7}/condition-clinical", "code": "gone"}), clinical, "required"),
        ("active", f"{base}/observation-status|4.0.1", "required"),
        ("de-AT-1996", language, "preferred"),
        ("austrian german", language, "preferred"),
    ]
    findings = []
    for value, url, strength in rows:
        kind = "code" if isinstance(value, str) else "CodeableConcept"
        ceiling = all_languages if url == language else None
        check_binding(value, kind, strength, url, ceiling, context, findings)
    assert describe(findings) == [
        "error . required-binding",
        "error . required-binding",
        "information . preferred-binding",
        "error . maximum-binding",
    ]


def test_every_placeholder_of_a_terminology_message_is_known():
    values = dict.fromkeys(
        ("value", "system", "code", "display", "displays", "value_set", "hint", "canonical"), "x"
    )
    own = [rule for rule in rules().values() if rule.stage == "terminology"]
    assert [rule.id for rule in own if "{" in rule.message.format(**values)] == []
