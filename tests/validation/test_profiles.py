"""What profiles ask for beyond R4: the places are those of HL7's validator unless said otherwise."""

import json

import pytest

from fhir_b12.definitions.packages import of_resources
from fhir_b12.validation import Validator
from fhir_b12.validation.profiles.checks import implied_profiles
from tests.validation.profiling import (
    HOME,
    R4,
    element,
    observation,
    patient,
    profile,
    sliced,
    told,
    types,
)

UCUM = "http://unitsofmeasure.org"


def test_what_a_profile_asks_for_is_missed_at_the_parent_and_what_r4_asks_for_is_not_said_twice():
    asks = profile(
        "asks",
        "Observation",
        element("Observation.code", min=1),
        element("Observation.subject", min=1),
        element("Observation.component.interpretation", min=1, max="1"),
    )
    resource = observation(component=[{"code": {"text": "x"}}, {"code": {"text": "y"}}])
    assert told(resource, asks, against=["asks"]) == [
        ("profile-min", "Observation"),
        ("profile-min", "Observation.component[0]"),
        ("profile-min", "Observation.component[1]"),
    ]
    del resource["code"]
    assert ("min", "Observation") in told(resource, asks, against=["asks"])


def test_what_a_profile_forbids_is_told_at_the_parent():
    bars = profile("bars", "Patient", element("Patient.photo", max="0"))
    assert told(patient(photo=[{"title": "x"}]), bars, against=["bars"]) == [
        ("profile-max", "Patient")
    ]


def test_a_value_of_a_type_left_out_is_told_with_what_the_right_type_has_no_place_for():
    only = profile(
        "only", "Observation", element("Observation.effective[x]", type=types("dateTime"))
    )
    resource = observation(effectivePeriod={"start": "2020-01-01"})
    assert told(resource, only, against=["only"]) == [
        ("profile-type", "Observation.effective"),
        ("profile-not-allowed", "Observation.effective.start"),
    ]


def test_a_value_of_none_of_several_types_is_told_at_the_parent():
    two = profile(
        "two", "Observation", element("Observation.value[x]", type=types("Quantity", "string"))
    )
    assert told(observation(valueBoolean=True), two, against=["two"]) == [
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


def test_a_fixed_value_is_the_whole_value():
    right = {
        "code": {"coding": [{"system": "urn:c", "code": "x"}], "text": "t"},
        "subject": {"reference": "Patient/1"},
        "valueQuantity": {"value": 1, "unit": "kg"},
    }
    assert told(observation(**right), FIXED, against=["fixed"]) == []
    wrong = {
        "code": {"text": "t"},
        "subject": {"reference": "Patient/2", "display": "d"},
        "valueQuantity": {"value": 2},
    }
    assert told(observation(**wrong), FIXED, against=["fixed"]) == [
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
    ("codes", "found"),
    [
        ("xy", []),
        ("zyx", []),
        ("y", [("profile-fixed-count", "Observation.code")]),
        ("yz", [("profile-pattern-coding", "Observation.code")]),
    ],
)
def test_a_pattern_asks_for_its_codings_in_any_order_and_others_may_be_there(codes, found):
    code = {"coding": [{"system": "urn:c", "code": each, "display": each} for each in codes]}
    assert told(observation(code=code), PATTERN, against=["pattern"]) == found


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


def test_values_and_lengths_beyond_their_limits_are_told_whatever_the_unit():
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
    assert told(resource, LIMITS, against=["limits"]) == [
        ("profile-too-small", "Observation.issued"),
        ("profile-length", "Observation.referenceRange[0].text"),
        ("profile-too-small", "Observation.component[0].value"),
        ("profile-too-great", "Observation.component[2].value"),
        ("profile-too-great", "Observation.component[3].value"),
    ]


def test_a_date_is_held_to_both_limits_though_the_reference_holds_it_to_the_lower_alone():
    dates = profile(
        "dates",
        "Patient",
        element("Patient.birthDate", minValueDate="1900-01-01", maxValueDate="2000-01-01"),
    )
    assert told(patient(birthDate="1899-12"), dates, against=["dates"]) == [
        ("profile-too-small", "Patient.birthDate")
    ]
    assert told(patient(birthDate="2001"), dates, against=["dates"]) == [
        ("profile-too-great", "Patient.birthDate")
    ]


def rule(key, expression, severity="error"):
    return {"key": key, "severity": severity, "human": key, "expression": expression}


def test_constraints_are_told_by_their_keys_where_they_stand():
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
    assert told(resource, rules, against=["rules"], worse_than="information") == [
        ("r-1", "Patient"),
        ("r-2", "Patient"),
        ("r-4", "Patient.birthDate"),
        ("r-3", "Patient.contact[0]"),
    ]


def test_an_expression_that_nobody_can_read_is_the_fault_of_the_profile():
    broken = profile("broken", "Patient", root={"constraint": [rule("b-1", "name.exists(")]})
    assert told(patient(), broken, against=["broken"]) == [("b-1", "Patient")]


NAMED = profile("named", "HumanName", element("HumanName.family", min=1))
WORDED = profile("worded", "HumanName", element("HumanName.text", min=1))


def test_an_element_must_keep_the_profile_of_its_type_and_one_of_several():
    uses = profile(
        "uses",
        "Patient",
        element("Patient.name", type=types("HumanName", profile=[HOME + "named"])),
        element(
            "Patient.contact.name",
            type=types("HumanName", profile=[HOME + "named", HOME + "worded"]),
        ),
    )
    contacts = [{"name": each} for each in ({"text": "T"}, {"family": "F"}, {"given": ["G"]})]
    resource = patient(name=[{"text": "T"}, {"family": "F"}], contact=contacts)
    assert told(resource, uses, NAMED, WORDED, against=["uses"]) == [
        ("profile-min", "Patient.name[0]"),
        ("profile-none-fits", "Patient.contact[2].name"),
        ("profile-min", "Patient.contact[2].name"),
        ("profile-min", "Patient.contact[2].name"),
    ]


def test_profiles_of_types_and_targets_that_are_not_known_are_named():
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
    assert told(resource, unknown, against=["unknown"]) == [
        ("profile-type-unknown", "Patient.name[0]"),
        ("profile-target-unknown", "Patient.managingOrganization"),
        ("profile-target-type", "Patient.managingOrganization"),
    ]


def clinic(**facts):
    """A contained Organization and the reference to it."""
    held = {"resourceType": "Organization", "id": "g", "name": "G", **facts}
    return {"contained": [held], "managingOrganization": {"reference": "#g"}}


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


def test_what_a_reference_leads_to_must_conform_and_what_is_not_here_is_not_judged():
    phone = [{"system": "phone", "value": "1"}]
    assert told(patient(**clinic(telecom=phone)), STRICT, TARGETS, against=["targets"]) == []
    assert told(patient(**clinic()), STRICT, TARGETS, against=["targets"]) == [
        ("profile-target", "Patient.managingOrganization")
    ]
    elsewhere = patient(managingOrganization={"reference": "Organization/1"})
    assert told(elsewhere, STRICT, TARGETS, against=["targets"]) == []


def test_a_reference_must_lead_to_the_right_type_and_travel_as_the_profile_says():
    doctor = {"resourceType": "Practitioner", "id": "q"}
    resource = patient(
        contained=[doctor],
        generalPractitioner=[{"reference": "#q"}, {"reference": "Organization/1"}],
    )
    assert told(resource, STRICT, TARGETS, against=["targets"]) == [
        ("profile-target-type", "Patient.generalPractitioner[0]"),
        ("profile-aggregation", "Patient.generalPractitioner[1]"),
    ]


def test_resources_that_refer_to_one_another_in_a_circle_are_judged_to_an_end():
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
    assert told(bundle, circle) == []


def test_entries_and_contained_resources_are_held_to_the_profiles_of_their_places():
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
    assert told(bundle, full, STRICT, against=["full"]) == [
        ("profile-min", "Bundle.entry[0].resource"),
        ("profile-no-slice", "Bundle.entry[1]"),
    ]


def test_a_derived_profile_asks_for_what_its_base_asks_for():
    base = profile("base", "Patient", element("Patient.gender", min=1), abstract=True)
    derived = profile("derived", "Patient", element("Patient.name", min=1), base=HOME + "base")
    assert told(patient(), base, derived, against=["derived"]) == [
        ("profile-min", "Patient"),
        ("profile-min", "Patient"),
    ]


def test_a_profile_that_another_imposes_is_kept_too():
    imposed = profile("imposed", "Patient", element("Patient.gender", min=1))
    imposing = profile(
        "imposing",
        "Patient",
        extension=[
            {"url": R4 + "structuredefinition-imposeProfile", "valueCanonical": HOME + "imposed"}
        ],
    )
    assert told(patient(), imposed, imposing, against=["imposing"]) == [("profile-min", "Patient")]


def test_a_profile_of_another_type_is_refused():
    assert told(patient(), FIXED, against=["fixed"]) == [("profile-resource-type", "Patient")]


def test_below_a_content_reference_stands_what_r4_says():
    form = profile("form", "Questionnaire", element("Questionnaire.item.text", min=1))
    inner = {"linkId": "2", "type": "string"}
    resource = {
        "resourceType": "Questionnaire",
        "id": "q",
        "status": "active",
        "item": [{"linkId": "1", "type": "group", "item": [inner]}],
    }
    assert told(resource, form, against=["form"]) == [("profile-min", "Questionnaire.item[0]")]


@pytest.mark.parametrize(
    "differential",
    [
        [{"id": "Patient.nothing", "path": "Patient.nothing", "min": 1}],
        [{"path": None}, {"id": 3}],
        [{"id": "Patient.name", "path": "Patient.name", "type": [{"code": "Patient.name"}]}],
    ],
)
def test_a_profile_that_makes_no_sense_ends_in_findings_and_no_exception(differential):
    odd = profile("odd", "Patient")
    odd["differential"]["element"] = differential
    try:
        found = told(patient(name=[{"text": "x"}]), odd, against=["odd"])
    except ValueError:  # refused as a definition
        return
    assert {rule for rule, _ in found} <= {"profile-unusable"}


# --- vital signs


def coded(code, system="http://loinc.org"):
    return observation(code={"coding": [{"system": system, "code": code}]})


def test_only_observations_with_a_code_imply_a_profile():
    assert implied_profiles(patient()) == ()
    assert implied_profiles(observation()) == ()
    assert implied_profiles(coded("1")) == ()


def test_the_profiles_of_r4_examples_are_implied_by_their_codes(fixtures):
    said, implied = [], []
    for name in ("heart-rate", "respiratory-rate", "body-height", "bmi", "blood-pressure"):
        text = (fixtures / "r4-examples" / "Observation" / f"Observation-{name}.json").read_text()
        resource = json.loads(text)
        said.append(implied_profiles(resource)[0].removeprefix(R4))
        resource["meta"] = {}
        implied.append(implied_profiles(resource)[0].removeprefix(R4))
    assert said == implied == ["heartrate", "resprate", "bodyheight", "bmi", "bp"]


def test_a_profile_is_compiled_once_for_a_set_of_definitions():
    validator = Validator((), [of_resources("tests", [FIXED])], plausibility=False)
    first = validator.validate(observation(), profiles=[HOME + "fixed"])
    second = validator.validate(observation(), profiles=[HOME + "fixed"])
    assert [str(each) for each in first] == [str(each) for each in second]
