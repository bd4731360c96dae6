"""Rules that profiles add to R4; locations are those of HL7's validator unless named otherwise."""

import json
from decimal import Decimal

import pytest

from fhir_b12.definitions.packages import of_resources
from fhir_b12.validation import Validator
from fhir_b12.validation.profiles.fixed_values import is_same_primitive
from fhir_b12.validation.profiles.vital_signs import implied_profiles
from tests.validation.profiling import (
    HOME,
    R4,
    element,
    observation,
    patient,
    profile,
    rules_broken_by,
    sliced,
    types,
)

UCUM = "http://unitsofmeasure.org"


def test_a_missing_element_is_reported_at_its_parent_by_r4_or_by_the_profile_not_by_both():
    strict = profile(
        "strict",
        "Observation",
        element("Observation.code", min=1),
        element("Observation.subject", min=1),
        element("Observation.component.interpretation", min=1, max="1"),
    )
    resource = observation(component=[{"code": {"text": "x"}}, {"code": {"text": "y"}}])
    assert rules_broken_by(resource, strict, against=["strict"]) == [
        ("profile-min", "Observation"),
        ("profile-min", "Observation.component[0]"),
        ("profile-min", "Observation.component[1]"),
    ]
    del resource["code"]
    assert sorted(rules_broken_by(resource, strict, against=["strict"])) == [
        ("min", "Observation"),
        ("profile-min", "Observation"),
        ("profile-min", "Observation.component[0]"),
        ("profile-min", "Observation.component[1]"),
    ]


def test_a_prohibited_element_is_reported_at_its_parent():
    bars = profile("bars", "Patient", element("Patient.photo", max="0"))
    assert rules_broken_by(patient(photo=[{"title": "x"}]), bars, against=["bars"]) == [
        ("profile-max", "Patient")
    ]


def test_a_value_of_a_removed_type_is_reported_with_its_parts_that_the_allowed_type_lacks():
    only = profile(
        "only", "Observation", element("Observation.effective[x]", type=types("dateTime"))
    )
    resource = observation(effectivePeriod={"start": "2020-01-01"})
    assert rules_broken_by(resource, only, against=["only"]) == [
        ("profile-type", "Observation.effective"),
        ("profile-not-allowed", "Observation.effective.start"),
    ]


def test_a_value_of_none_of_several_allowed_types_is_reported_at_its_parent():
    two = profile(
        "two", "Observation", element("Observation.value[x]", type=types("Quantity", "string"))
    )
    assert rules_broken_by(observation(valueBoolean=True), two, against=["two"]) == [
        ("profile-types", "Observation")
    ]


FIXED = profile(
    "fixed",
    "Observation",
    element("Observation.status", fixedCode="final"),
    element(
        "Observation.code",
        fixedCodeableConcept={"coding": [{"system": "urn:c", "code": "x"}], "text": "t"},
    ),
    element("Observation.subject", fixedReference={"reference": "Patient/1"}),
    element(
        "Observation.value[x]", type=types("Quantity"), fixedQuantity={"value": 1, "unit": "kg"}
    ),
)


def test_a_fixed_value_is_compared_as_a_whole():
    right = {
        "code": {"coding": [{"system": "urn:c", "code": "x"}], "text": "t"},
        "subject": {"reference": "Patient/1"},
        "valueQuantity": {"value": 1, "unit": "kg"},
    }
    assert rules_broken_by(observation(**right), FIXED, against=["fixed"]) == []
    wrong = {
        "code": {"text": "t"},
        "subject": {"reference": "Patient/2", "display": "d"},
        "valueQuantity": {"value": 2},
    }
    assert rules_broken_by(observation(**wrong), FIXED, against=["fixed"]) == [
        ("profile-fixed-count", "Observation.code"),
        ("profile-fixed", "Observation.subject.reference"),
        ("profile-fixed-more", "Observation.subject.display"),
        ("profile-fixed", "Observation.value.value"),
        ("profile-fixed-missing", "Observation.value.unit"),
    ]


PATTERN = profile(
    "pattern",
    "Observation",
    element(
        "Observation.code",
        patternCodeableConcept={
            "coding": [{"system": "urn:c", "code": "x"}, {"system": "urn:c", "code": "y"}]
        },
    ),
)


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ("xy", []),
        ("zyx", []),
        ("y", [("profile-fixed-count", "Observation.code")]),
        ("yz", [("profile-pattern-coding", "Observation.code")]),
    ],
)
def test_a_pattern_requires_its_codings_in_any_order_and_allows_others(codes, expected):
    code = {"coding": [{"system": "urn:c", "code": code, "display": code} for code in codes]}
    assert rules_broken_by(observation(code=code), PATTERN, against=["pattern"]) == expected


LIMITS = profile(
    "limits",
    "Observation",
    element("Observation.issued", minValueInstant="2020-01-01T00:00:00Z"),
    element("Observation.referenceRange.text", maxLength=3),
    element(
        "Observation.component.value[x]",
        type=types("Quantity"),
        minValueQuantity={"value": 1, "system": UCUM, "code": "kg"},
        maxValueQuantity={"value": 2, "system": UCUM, "code": "kg"},
    ),
)


def test_values_and_lengths_beyond_limits_are_reported_in_any_unit():
    weights = [(0.5, "kg"), (1500, "g"), (2500, "g"), (3, "kg"), (1, "kg"), (9, "cm")]
    resource = observation(
        issued="2019-12-31T23:59:59Z",
        referenceRange=[{"text": "abcd"}, {"text": "abc"}],
        component=[
            {
                "code": {"text": "c"},
                "valueQuantity": {"value": number, "system": UCUM, "code": unit, "unit": unit},
            }
            for number, unit in weights
        ],
    )
    assert rules_broken_by(resource, LIMITS, against=["limits"]) == [
        ("profile-too-small", "Observation.issued"),
        ("profile-length", "Observation.referenceRange[0].text"),
        ("profile-too-small", "Observation.component[0].value"),
        ("profile-too-great", "Observation.component[2].value"),
        ("profile-too-great", "Observation.component[3].value"),
    ]


def test_a_date_is_checked_against_both_limits_unlike_in_hl7s_validator():
    dates = profile(
        "dates",
        "Patient",
        element("Patient.birthDate", minValueDate="1900-01-01", maxValueDate="2000-01-01"),
    )
    assert rules_broken_by(patient(birthDate="1899-12"), dates, against=["dates"]) == [
        ("profile-too-small", "Patient.birthDate")
    ]
    assert rules_broken_by(patient(birthDate="2001"), dates, against=["dates"]) == [
        ("profile-too-great", "Patient.birthDate")
    ]


def rule(key, expression, severity="error"):
    return {"key": key, "severity": severity, "human": key, "expression": expression}


def test_a_violated_constraint_is_reported_by_its_key_at_its_element():
    rules = profile(
        "rules",
        "Patient",
        element("Patient.birthDate", constraint=[rule("r-4", "$this > @1900-01-01")]),
        element("Patient.contact", constraint=[rule("r-3", "telecom.exists()")]),
        root={
            "constraint": [
                rule("r-1", "name.exists()"),
                rule("r-2", "active.exists()", "warning"),
            ]
        },
    )
    resource = patient(birthDate="1800-01-01", contact=[{"name": {"text": "x"}}])
    assert rules_broken_by(resource, rules, against=["rules"], worse_than="information") == [
        ("r-1", "Patient"),
        ("r-2", "Patient"),
        ("r-4", "Patient.birthDate"),
        ("r-3", "Patient.contact[0]"),
    ]


def test_an_invalid_expression_is_reported_as_a_fault_of_the_profile():
    broken = profile("broken", "Patient", root={"constraint": [rule("b-1", "name.exists(")]})
    assert rules_broken_by(patient(), broken, against=["broken"]) == [("b-1", "Patient")]


NAMED = profile("named", "HumanName", element("HumanName.family", min=1))
WORDED = profile("worded", "HumanName", element("HumanName.text", min=1))


def test_an_element_must_conform_to_the_profile_of_its_type_or_to_one_of_several():
    uses = profile(
        "uses",
        "Patient",
        element("Patient.name", type=types("HumanName", profile=[HOME + "named"])),
        element(
            "Patient.contact.name",
            type=types("HumanName", profile=[HOME + "named", HOME + "worded"]),
        ),
    )
    contacts = [{"name": name} for name in ({"text": "T"}, {"family": "F"}, {"given": ["G"]})]
    resource = patient(name=[{"text": "T"}, {"family": "F"}], contact=contacts)
    assert rules_broken_by(resource, uses, NAMED, WORDED, against=["uses"]) == [
        ("profile-min", "Patient.name[0]"),
        ("profile-none-fits", "Patient.contact[2].name"),
        ("profile-min", "Patient.contact[2].name"),
        ("profile-min", "Patient.contact[2].name"),
    ]


def test_unknown_profiles_of_types_and_targets_are_reported():
    unknown = profile(
        "unknown",
        "Patient",
        element("Patient.name", type=types("HumanName", profile=[HOME + "nowhere"])),
        element(
            "Patient.managingOrganization",
            type=types("Reference", targetProfile=[HOME + "nowhere-else"]),
        ),
    )
    resource = patient(name=[{"text": "x"}], **clinic())
    assert rules_broken_by(resource, unknown, against=["unknown"]) == [
        ("profile-type-unknown", "Patient.name[0]"),
        ("profile-target-unknown", "Patient.managingOrganization"),
        ("profile-target-type", "Patient.managingOrganization"),
    ]


def clinic(**facts):
    """A contained Organization and the reference to it."""
    organization = {"resourceType": "Organization", "id": "g", "name": "G", **facts}
    return {"contained": [organization], "managingOrganization": {"reference": "#g"}}


STRICT = profile("strict", "Organization", element("Organization.telecom", min=1))
TARGETS = profile(
    "targets",
    "Patient",
    element(
        "Patient.generalPractitioner",
        type=types("Reference", targetProfile=[R4 + "Organization"], aggregation=["contained"]),
    ),
    element(
        "Patient.managingOrganization", type=types("Reference", targetProfile=[HOME + "strict"])
    ),
)


def test_the_target_of_a_reference_must_conform_if_it_is_loaded():
    phone = [{"system": "phone", "value": "1"}]
    assert (
        rules_broken_by(patient(**clinic(telecom=phone)), STRICT, TARGETS, against=["targets"])
        == []
    )
    assert rules_broken_by(patient(**clinic()), STRICT, TARGETS, against=["targets"]) == [
        ("profile-target", "Patient.managingOrganization")
    ]
    elsewhere = patient(managingOrganization={"reference": "Organization/1"})
    assert rules_broken_by(elsewhere, STRICT, TARGETS, against=["targets"]) == []


def test_a_reference_must_have_the_right_target_type_and_aggregation():
    doctor = {"resourceType": "Practitioner", "id": "q"}
    resource = patient(
        contained=[doctor],
        generalPractitioner=[{"reference": "#q"}, {"reference": "Organization/1"}],
    )
    assert rules_broken_by(resource, STRICT, TARGETS, against=["targets"]) == [
        ("profile-target-type", "Patient.generalPractitioner[0]"),
        ("profile-aggregation", "Patient.generalPractitioner[1]"),
    ]


def test_validation_of_circular_references_ends():
    circle = profile(
        "circle",
        "Organization",
        element("Organization.partOf", type=types("Reference", targetProfile=[HOME + "circle"])),
    )
    urls = [f"urn:uuid:0ff8b8b6-6d2b-4a0e-9e6b-0f1f6a1c1a0{number}" for number in (1, 2)]
    claims = {"profile": [HOME + "circle"]}
    entries = [
        {
            "fullUrl": url,
            "resource": {
                "resourceType": "Organization",
                "meta": claims,
                "name": "x",
                "partOf": {"reference": other},
            },
        }
        for url, other in zip(urls, reversed(urls), strict=True)
    ]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    assert rules_broken_by(bundle, circle) == []


def test_bundle_entries_are_checked_against_the_profiles_of_their_slices():
    full = profile(
        "full",
        "Bundle",
        sliced("Bundle.entry", ("type", "resource"), rules="closed"),
        element("Bundle.entry:who", min=1, max="1"),
        element(
            "Bundle.entry:who.resource",
            min=1,
            type=types("Organization", profile=[HOME + "strict"]),
        ),
    )
    url = "urn:uuid:0ff8b8b6-6d2b-4a0e-9e6b-0f1f6a1c1a0"
    entries = [
        {"fullUrl": f"{url}1", "resource": {"resourceType": "Organization", "name": "x"}},
        {"fullUrl": f"{url}2", "resource": {"resourceType": "Patient"}},
    ]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    assert rules_broken_by(bundle, full, STRICT, against=["full"]) == [
        ("profile-min", "Bundle.entry[0].resource"),
        ("profile-no-slice", "Bundle.entry[1]"),
    ]


def test_a_derived_profile_has_the_rules_of_its_base():
    base = profile("base", "Patient", element("Patient.gender", min=1), abstract=True)
    derived = profile("derived", "Patient", element("Patient.name", min=1), base=HOME + "base")
    assert rules_broken_by(patient(), base, derived, against=["derived"]) == [
        ("profile-min", "Patient"),
        ("profile-min", "Patient"),
    ]


def test_an_imposed_profile_is_checked_too():
    imposed = profile("imposed", "Patient", element("Patient.gender", min=1))
    imposing = profile(
        "imposing",
        "Patient",
        extension=[
            {"url": R4 + "structuredefinition-imposeProfile", "valueCanonical": HOME + "imposed"}
        ],
    )
    assert rules_broken_by(patient(), imposed, imposing, against=["imposing"]) == [
        ("profile-min", "Patient")
    ]


def test_a_profile_of_another_resource_type_is_reported():
    assert rules_broken_by(patient(), FIXED, against=["fixed"]) == [
        ("profile-resource-type", "Patient")
    ]


def test_rules_do_not_apply_below_a_content_reference_to_r4():
    form = profile("form", "Questionnaire", element("Questionnaire.item.text", min=1))
    inner = {"linkId": "2", "type": "string"}
    resource = {
        "resourceType": "Questionnaire",
        "id": "q",
        "status": "active",
        "item": [{"linkId": "1", "type": "group", "item": [inner]}],
    }
    assert rules_broken_by(resource, form, against=["form"]) == [
        ("profile-min", "Questionnaire.item[0]")
    ]


@pytest.mark.parametrize(
    "differential",
    [
        [{"id": "Patient.nothing", "path": "Patient.nothing", "min": 1}],
        [{"path": None}, {"id": 3}],
        [{"id": "Patient.name", "path": "Patient.name", "type": [{"code": "Patient.name"}]}],
    ],
)
def test_an_invalid_profile_gives_findings_and_no_exception(differential):
    invalid = profile("invalid", "Patient")
    invalid["differential"]["element"] = differential
    try:
        findings = rules_broken_by(patient(name=[{"text": "x"}]), invalid, against=["invalid"])
    except ValueError:  # refused as a definition
        return
    assert {rule for rule, _ in findings} <= {"profile-unusable"}


# --- vital signs


def coded(code, system="http://loinc.org"):
    return observation(code={"coding": [{"system": system, "code": code}]})


def test_only_observations_with_a_code_imply_a_profile():
    assert implied_profiles(patient()) == ()
    assert implied_profiles(observation()) == ()
    assert implied_profiles(coded("1")) == ()


def test_the_profiles_of_r4_examples_are_implied_by_their_codes(fixtures):
    declared, implied = [], []
    for name in ("heart-rate", "respiratory-rate", "body-height", "bmi", "blood-pressure"):
        text = (fixtures / "r4-examples" / "Observation" / f"Observation-{name}.json").read_text()
        resource = json.loads(text)
        declared.append(implied_profiles(resource)[0].removeprefix(R4))
        resource["meta"] = {}
        implied.append(implied_profiles(resource)[0].removeprefix(R4))
    assert declared == implied == ["heartrate", "resprate", "bodyheight", "bmi", "bp"]


def test_a_profile_is_compiled_once_for_a_set_of_definitions():
    validator = Validator((), [of_resources("tests", [FIXED])], plausibility=False)
    first = validator.validate(observation(), profiles=[HOME + "fixed"])
    second = validator.validate(observation(), profiles=[HOME + "fixed"])
    assert [str(issue) for issue in first] == [str(issue) for issue in second]


# --- messages


def messages_of(resource, *definitions, against):
    validator = Validator((), [of_resources("tests", definitions)], plausibility=False)
    report = validator.validate(resource, profiles=[HOME + name for name in against])
    return [issue.message for issue in report if issue.is_error]


def test_messages_name_the_element_the_rule_of_the_profile_and_the_remedy():
    strict = profile(
        "strict",
        "Observation",
        element(
            "Observation.subject", min=1, type=types("Reference", targetProfile=[R4 + "Patient"])
        ),
        element("Observation.note", min=2),
        element("Observation.bodySite", max="0"),
        element("Observation.value[x]", type=types("Quantity")),
        element("Observation.value[x].code", fixedCode="mm[Hg]"),
        sliced("Observation.category", ("pattern", "$this")),
        element(
            "Observation.category:us-core",
            min=1,
            patternCodeableConcept={
                "coding": [{"system": "http://x/observation-category", "code": "laboratory"}]
            },
        ),
    )
    resource = observation(
        note=[{"text": "x"}],
        bodySite={"text": "x"},
        valueQuantity={"value": 1, "system": UCUM, "code": "kPa"},
    )
    url = HOME + "strict"
    assert sorted(messages_of(resource, strict, against=["strict"])) == [
        f"bodySite is present 1 times, allowed at most 0 by profile {url}: remove the others",
        f"must be exactly 'mm[Hg]' (fixed by profile {url})",
        (
            f"no category matches required slice `us-core` (min 1) of profile {url}: "
            "add observation-category#laboratory"
        ),
        f"note is required (min 2, 1 present) by profile {url}: add it",
        f"subject is required (min 1) by profile {url}: add a reference to Patient",
    ]


@pytest.mark.parametrize(
    ("discriminator", "constraint", "example"),
    [
        (("value", "use"), element("Patient.telecom:a.use", fixedCode="home"), "use 'home'"),
        (("exists", "rank"), element("Patient.telecom:a.rank", min=1), "a value with rank"),
        (("exists", "rank"), element("Patient.telecom:a.rank", max="0"), "a value without rank"),
    ],
)
def test_the_message_of_a_missing_slice_says_what_to_add(discriminator, constraint, example):
    slices = profile(
        "slices",
        "Patient",
        sliced("Patient.telecom", discriminator),
        element("Patient.telecom:a", min=1),
        constraint,
    )
    (message,) = messages_of(patient(), slices, against=["slices"])
    assert message.endswith(example)


# --- exactness


def test_decimals_are_compared_as_written_and_booleans_are_no_numbers():
    assert is_same_primitive(True, True)
    assert not is_same_primitive(1, True)
    assert not is_same_primitive(True, 1)
    assert not is_same_primitive(Decimal("1.0"), Decimal("1.00"))
    assert is_same_primitive(Decimal("1.00"), Decimal("1.00"))
    assert not is_same_primitive("1", 1)


def test_a_fixed_primitive_has_no_extension():
    exact = profile("exact", "Patient", element("Patient.gender", fixedCode="male"))
    extended = patient(gender="male", _gender={"extension": [{"url": "urn:x", "valueCode": "y"}]})
    broken = rules_broken_by(extended, exact, against=["exact"])
    assert ("profile-fixed-extension", "Patient.gender") in broken


def test_best_practices_are_not_checked():
    practice = {
        "url": R4 + "elementdefinition-bestpractice",
        "valueBoolean": True,
    }
    row = rule("bp-1", "name.exists()") | {"extension": [practice]}
    best = profile("best", "Patient", root={"constraint": [row]})
    assert rules_broken_by(patient(), best, against=["best"]) == []


def test_a_constraint_on_one_type_of_a_choice_is_not_evaluated_for_others():
    row = rule("t-1", "$this is Quantity implies $this.value > 5 and $this.unit.exists()")
    typed = profile("typed", "Observation", element("Observation.value[x]", constraint=[row]))
    low = observation(valueQuantity={"value": 1, "unit": "kg"})
    assert rules_broken_by(low, typed, against=["typed"]) == [("t-1", "Observation.value")]
    assert rules_broken_by(observation(valueString="1"), typed, against=["typed"]) == []


@pytest.mark.parametrize(
    ("modes", "broken"),
    [(["referenced"], []), (["bundled"], []), (["contained"], ["profile-aggregation"])],
)
def test_a_bundled_target_also_counts_as_referenced(modes, broken):
    travel = profile(
        "travel",
        "Patient",
        element(
            "Patient.managingOrganization",
            type=types("Reference", targetProfile=[R4 + "Organization"], aggregation=modes),
        ),
    )
    urls = [f"urn:uuid:0ff8b8b6-6d2b-4a0e-9e6b-0f1f6a1c1a0{number}" for number in (1, 2)]
    declared = {"meta": {"profile": [HOME + "travel"]}}
    resources = [
        patient(managingOrganization={"reference": urls[1]}, **declared),
        {"resourceType": "Organization", "name": "x"},
    ]
    entries = [
        {"fullUrl": url, "resource": resource}
        for url, resource in zip(urls, resources, strict=True)
    ]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    assert [rule_ for rule_, _ in rules_broken_by(bundle, travel)] == broken
