"""Which profiles are loaded: unknown urls and versions are explained; constraints are searched by key."""

import pytest

from fhir_b12.definitions.canonicals import Canonicals
from fhir_b12.definitions.packages import of_resources
from fhir_b12.validation import Validator
from fhir_b12.validation.profiles import built_in
from fhir_b12.validation.profiles.constraints import find_constraints
from fhir_b12.validation.profiles.unknown_profiles import (
    explain_unknown_profile,
    similar_profiles,
    unknown_profile_finding,
)
from tests.validation.profiling import HOME, element, patient, profile


def constraint(key, **changes):
    row = {"key": key, "severity": "error", "human": f"{key} holds", "expression": "name.exists()"}
    return row | changes


PATIENT = profile(
    "clinic-patient",
    "Patient",
    element("Patient.contact", constraint=[constraint("clinic-2", severity="warning")]),
    root={"constraint": [constraint("clinic-1")]},
    version="6.1.0",
)
CHILD = profile(
    "clinic-child",
    "Patient",
    root={"constraint": [constraint("clinic-1")]},
    base=PATIENT["url"],
)
PERSON = profile("clinic-person", "Person", root={"constraint": [constraint("clinic-1")]})
PACKAGE = of_resources("clinic", [PATIENT, CHILD, PERSON])
URL = PATIENT["url"]


@pytest.fixture(scope="module")
def canonicals():
    return Canonicals([PACKAGE], built_in.LATE)


def messages(url):
    report = Validator((), [PACKAGE]).validate(patient(meta={"profile": [url]}))
    return [(issue.rule, issue.severity, issue.pointer, issue.message) for issue in report]


def test_a_declared_version_that_is_not_loaded_is_reported_with_the_loaded_version():
    assert messages(f"{URL}|9.0.0") == [
        (
            "profile-version-unknown",
            "warning",
            "/meta/profile/0",
            (
                f"version 9.0.0 of profile {URL} is declared and version 6.1.0 is loaded, so it was not"
                f" checked: load version 9.0.0, or declare {URL}|6.1.0"
            ),
        )
    ]


def test_the_loaded_version_can_be_declared():
    declared = [rule for rule, *_ in messages(f"{URL}|6.1.0")]
    assert declared == ["clinic-1"]


def test_a_misspelled_declared_profile_gets_a_suggestion():
    assert messages(f"{HOME}clinic-pateint") == [
        (
            "profile-unknown",
            "warning",
            "/meta/profile/0",
            (
                f"profile {HOME}clinic-pateint is not known, so it was not checked "
                f"(did you mean {URL}?): load the package that defines it"
            ),
        )
    ]


def test_a_profile_that_resembles_none_gets_no_suggestion():
    ((_, _, _, message),) = messages("http://elsewhere.example/zzz")
    assert message == (
        "profile http://elsewhere.example/zzz is not known, so it was not checked: "
        "load the package that defines it"
    )


def test_a_version_of_a_url_that_is_not_loaded_at_all_is_an_unknown_profile():
    assert [rule for rule, *_ in messages("http://elsewhere.example/zzz|1.0")] == [
        "profile-unknown"
    ]


@pytest.mark.parametrize(
    ("requested", "message"),
    [
        (
            f"{URL}|9.0.0",
            (
                f"profile {URL} is loaded in version 6.1.0, not in version 9.0.0: "
                f"load a package with version 9.0.0, or ask for {URL}|6.1.0"
            ),
        ),
        (
            f"{HOME}clinic-pateint",
            (
                f"profile {HOME}clinic-pateint is not known (did you mean {URL}?): "
                "load the package that defines it"
            ),
        ),
        (
            "http://elsewhere.example/zzz",
            "profile http://elsewhere.example/zzz is not known: load the package that defines it",
        ),
    ],
)
def test_a_requested_profile_that_is_unknown_is_refused_with_the_remedy(requested, message):
    with pytest.raises(ValueError, match="profile") as caught:
        Validator([requested], [PACKAGE])
    assert str(caught.value) == message
    assert explain_unknown_profile(requested, Canonicals([PACKAGE])) == message


def test_suggestions_include_r4_profiles_and_built_in_profiles(canonicals):
    assert similar_profiles("bodyweigth", canonicals) == (
        "http://hl7.org/fhir/StructureDefinition/bodyweight",
    )
    assert similar_profiles("http://x/b12-infusoin", canonicals)[0] == (
        "https://fhir-b12.org/StructureDefinition/b12-infusion"
    )


def test_suggestions_for_declared_profiles_are_limited_in_number():
    canonicals = Canonicals([PACKAGE])
    hints = [
        unknown_profile_finding(f"http://x/{number}/clinic-pateint", canonicals).values["hint"]
        for number in range(60)
    ]
    assert [bool(hint) for hint in hints] == [True] * 50 + [False] * 10
    repeated = unknown_profile_finding("http://x/0/clinic-pateint", canonicals)
    assert repeated.values["hint"] == hints[0]


def test_a_constraint_is_found_with_the_profiles_that_define_it(canonicals):
    constraints = find_constraints("clinic-1", canonicals)
    assert [row.profile for row in constraints] == [URL, PERSON["url"]]  # not those that inherit it
    first = constraints[0]
    assert (first.key, first.severity, first.human) == ("clinic-1", "error", "clinic-1 holds")
    assert (first.expression, first.element) == ("name.exists()", "Patient")
    assert first.package == str(PACKAGE)


def test_a_constraint_of_an_element_names_the_element(canonicals):
    (only,) = find_constraints("clinic-2", canonicals)
    assert (only.element, only.severity) == ("Patient.contact", "warning")


def test_a_constraint_of_a_built_in_profile_is_found(canonicals):
    (only,) = find_constraints("b12-no-step", canonicals)
    assert only.profile.startswith("https://fhir-b12.org/StructureDefinition/")


@pytest.mark.parametrize("key", ["clinic-3", "CLINIC-1", "ele-1", ""])
def test_a_key_that_no_loaded_profile_defines_is_not_found(canonicals, key):
    assert find_constraints(key, canonicals) == []


def test_constraints_of_us_core_are_found(fixtures):
    package = fixtures / "packages" / "hl7.fhir.us.core-6.1.0.tgz"
    canonicals = Validator((), [package]).canonicals
    constraints = find_constraints("us-core-1", canonicals)
    assert {row.human for row in constraints} == {"Datetime must be at least to day."}
    assert {row.package for row in constraints} == {"hl7.fhir.us.core#6.1.0"}
