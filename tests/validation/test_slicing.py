"""Slices: what tells them apart, how many there must be, in which order."""

import pytest

from fhir_b12.validation.profiles.discriminators import SlicingError, parse_path
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


def identified(*systems, **facts):
    return patient(identifier=[{"system": f"urn:{name}"} for name in systems], **facts)


def by_system(name, *slices, rules="open", ordered=None):
    """Identifiers sliced by system, each slice once at most."""
    return profile(
        name,
        "Patient",
        sliced("Patient.identifier", ("value", "system"), rules=rules, ordered=ordered),
        *(
            item
            for key, least in slices
            for item in (
                element(f"Patient.identifier:{key}", min=least, max="1"),
                element(f"Patient.identifier:{key}.system", min=1, fixedUri=f"urn:{key}"),
            )
        ),
    )


def test_slice_cardinality_is_reported_at_the_parent_and_unmatched_values_at_themselves():
    closed = by_system("closed", ("a", 1), ("b", 0), rules="closed")
    assert rules_broken_by(identified("a", "b"), closed, against=["closed"]) == []
    assert rules_broken_by(identified("b", "b", "c"), closed, against=["closed"]) == [
        ("profile-slice-min", "Patient"),
        ("profile-slice-max", "Patient"),
        ("profile-no-slice", "Patient.identifier[2]"),
    ]


def test_open_slicing_allows_unmatched_values():
    open_ = by_system("open", ("a", 1))
    assert rules_broken_by(identified("a", "c", "c"), open_, against=["open"]) == []


def test_rules_of_a_slice_apply_only_to_its_values():
    bounded = profile(
        "bounded",
        "Patient",
        sliced("Patient.identifier", ("value", "system")),
        element("Patient.identifier:a", min=0),
        element("Patient.identifier:a.system", min=1, fixedUri="urn:a"),
        element("Patient.identifier:a.value", min=1),
    )
    assert rules_broken_by(identified("b", "a"), bounded, against=["bounded"]) == [
        ("profile-min", "Patient.identifier[1]")
    ]


@pytest.mark.parametrize(
    ("systems", "expected"),
    [
        ("ab", []),
        ("axb", []),
        ("bxa", []),
        ("ba", [("profile-slice-order", "Patient.identifier[1]")]),
    ],
)
def test_ordered_slices_must_be_in_the_order_of_the_profile(systems, expected):
    ordered = by_system("ordered", ("a", 0), ("b", 0), ordered=True)
    assert rules_broken_by(identified(*systems), ordered, against=["ordered"]) == expected


def test_with_open_at_end_unmatched_values_must_be_last_unlike_in_hl7s_validator():
    ending = by_system("ending", ("a", 0), rules="openAtEnd", ordered=True)
    assert rules_broken_by(identified("a", "x"), ending, against=["ending"]) == []
    assert rules_broken_by(identified("x", "a"), ending, against=["ending"]) == [
        ("profile-slice-end", "Patient.identifier[0]")
    ]


def test_a_value_that_matches_two_slices_is_reported():
    twins = profile(
        "twins",
        "Patient",
        sliced("Patient.identifier", ("value", "system")),
        element("Patient.identifier:a", max="2"),
        element("Patient.identifier:a.system", min=1, fixedUri="urn:a"),
        element("Patient.identifier:b", max="2"),
        element("Patient.identifier:b.system", min=1, fixedUri="urn:a"),
    )
    assert rules_broken_by(identified("a"), twins, against=["twins"]) == [
        ("profile-two-slices", "Patient.identifier[0]")
    ]


def test_a_slice_that_cannot_be_identified_is_a_fault_of_the_profile_reported_once_per_value():
    vague = profile(
        "vague",
        "Patient",
        sliced("Patient.identifier", ("value", "system")),
        element("Patient.identifier:a", min=1),
    )
    assert rules_broken_by(identified("a", "b"), vague, against=["vague"]) == [
        ("profile-slicing", "Patient.identifier[0]"),
        ("profile-slicing", "Patient.identifier[1]"),
    ]


def test_a_slice_of_a_slice_is_identified_by_the_discriminators_of_the_outer_slice():
    nested = profile(
        "nested",
        "Patient",
        sliced("Patient.identifier", ("value", "system")),
        sliced("Patient.identifier:a", ("value", "use"), min=1, max="2"),
        element("Patient.identifier:a.system", min=1, fixedUri="urn:a"),
        element("Patient.identifier:a/official", min=1, max="1"),
        element("Patient.identifier:a/official.use", min=1, fixedCode="official"),
    )

    def used(*uses):
        return patient(identifier=[{"system": "urn:a", "use": use} for use in uses])

    assert rules_broken_by(used("official", "old"), nested, against=["nested"]) == []
    assert rules_broken_by(used("old"), nested, against=["nested"]) == [
        ("profile-slice-min", "Patient")
    ]
    assert rules_broken_by(used("official", "old", "old"), nested, against=["nested"]) == [
        ("profile-slice-max", "Patient")
    ]


def test_all_discriminators_must_match():
    home = profile(
        "home",
        "Patient",
        sliced("Patient.telecom", ("value", "system"), ("value", "use")),
        element("Patient.telecom:home", min=1),
        element("Patient.telecom:home.system", min=1, fixedCode="phone"),
        element("Patient.telecom:home.use", min=1, fixedCode="home"),
    )
    work, private = ({"system": "phone", "use": use, "value": "1"} for use in ("work", "home"))
    assert rules_broken_by(patient(telecom=[work, private]), home, against=["home"]) == []
    assert rules_broken_by(patient(telecom=[work]), home, against=["home"]) == [
        ("profile-slice-min", "Patient")
    ]


def test_a_discriminator_of_type_exists_identifies_slices():
    dated = profile(
        "dated",
        "Patient",
        sliced("Patient.telecom", ("exists", "period")),
        element("Patient.telecom:dated", min=1),
        element("Patient.telecom:dated.rank", min=1),
        element("Patient.telecom:dated.period", min=1),
        element("Patient.telecom:undated", max="1"),
        element("Patient.telecom:undated.period", max="0"),
    )
    phone = {"system": "phone", "value": "1"}
    resource = patient(telecom=[{**phone, "period": {"start": "2020"}}, phone, phone])
    assert rules_broken_by(resource, dated, against=["dated"]) == [
        ("profile-slice-max", "Patient"),
        ("profile-min", "Patient.telecom[0]"),
    ]


def test_a_pattern_above_the_discriminator_identifies_slices_unlike_in_hl7s_validator():
    parts = profile(
        "parts",
        "Observation",
        sliced("Observation.component", ("value", "code.coding.code")),
        element("Observation.component:a", min=1),
        element(
            "Observation.component:a.code",
            patternCodeableConcept={"coding": [{"system": "urn:c", "code": "a"}]},
        ),
        element("Observation.component:a.value[x]", min=1),
    )
    codes = [{"code": {"coding": [{"system": "urn:c", "code": code}]}} for code in "ba"]
    assert rules_broken_by(observation(component=codes), parts, against=["parts"]) == [
        ("profile-min", "Observation.component[1]")
    ]


def test_a_choice_is_sliced_by_type():
    typed = profile(
        "typed",
        "Observation",
        sliced("Observation.value[x]", ("type", "$this")),
        element("Observation.value[x]:valueQuantity", type=types("Quantity")),
        element("Observation.value[x]:valueQuantity.unit", min=1),
        element("Observation.value[x]:valueString", type=types("string"), maxLength=2),
    )
    assert rules_broken_by(observation(valueQuantity={"value": 1}), typed, against=["typed"]) == [
        ("profile-min", "Observation.value")
    ]
    assert rules_broken_by(observation(valueString="abc"), typed, against=["typed"]) == [
        ("profile-length", "Observation.value")
    ]
    assert rules_broken_by(observation(valueInteger=1), typed, against=["typed"]) == []


def test_a_discriminator_with_of_type_identifies_slices():
    cast = profile(
        "cast",
        "Observation",
        sliced("Observation.component", ("pattern", "value.ofType(CodeableConcept)")),
        element("Observation.component:a", min=1),
        element(
            "Observation.component:a.value[x]",
            min=1,
            type=types("CodeableConcept"),
            patternCodeableConcept={"coding": [{"system": "urn:v", "code": "a"}]},
        ),
        element("Observation.component:a.interpretation", min=1),
    )
    coded = {"coding": [{"system": "urn:v", "code": "a"}]}
    components = [
        {"code": {"text": "c"}, "valueString": "a"},
        {"code": {"text": "d"}, "valueCodeableConcept": coded},
    ]
    assert rules_broken_by(observation(component=components), cast, against=["cast"]) == [
        ("profile-min", "Observation.component[1]")
    ]


def test_a_discriminator_with_an_extension_identifies_slices():
    kinds = profile(
        "kinds",
        "Patient",
        sliced("Patient.identifier", ("value", "extension('urn:kind').value")),
        element("Patient.identifier:a", min=1),
        sliced("Patient.identifier:a.extension", ("value", "url")),
        element("Patient.identifier:a.extension:kind", min=1, max="1"),
        element("Patient.identifier:a.extension:kind.url", fixedUri="urn:kind"),
        element("Patient.identifier:a.extension:kind.value[x]", type=types("code"), fixedCode="k"),
        element("Patient.identifier:a.value", min=1),
    )
    resource = patient(
        identifier=[{"extension": [{"url": "urn:kind", "valueCode": kind}]} for kind in "jk"]
    )
    findings = rules_broken_by(resource, kinds, against=["kinds"])
    assert findings == [("profile-min", "Patient.identifier[1]")]


CLINIC = {"resourceType": "Organization", "id": "g", "name": "G"}
DOCTOR = {"resourceType": "Practitioner", "id": "q"}


def test_a_discriminator_on_the_type_of_a_reference_target_identifies_slices():
    kinds = profile(
        "led",
        "Patient",
        sliced("Patient.generalPractitioner", ("type", "resolve()")),
        element(
            "Patient.generalPractitioner:org",
            min=1,
            type=types("Reference", targetProfile=[R4 + "Organization"]),
        ),
        element("Patient.generalPractitioner:org.display", min=1),
    )
    both = patient(
        contained=[CLINIC, DOCTOR],
        generalPractitioner=[{"reference": "#q"}, {"reference": "#g"}],
    )
    assert rules_broken_by(both, kinds, against=["led"]) == [
        ("profile-min", "Patient.generalPractitioner[1]")
    ]
    elsewhere = patient(generalPractitioner=[{"reference": "Organization/1"}])
    assert rules_broken_by(elsewhere, kinds, against=["led"]) == [("profile-slice-min", "Patient")]


def test_a_discriminator_on_the_profile_of_a_reference_target_identifies_slices():
    strict = profile("strict", "Organization", element("Organization.telecom", min=1))
    judged = profile(
        "judged",
        "Patient",
        sliced("Patient.generalPractitioner", ("profile", "resolve()"), rules="closed"),
        element(
            "Patient.generalPractitioner:org",
            min=1,
            type=types("Reference", targetProfile=[HOME + "strict"]),
        ),
    )
    reached = {**CLINIC, "telecom": [{"system": "phone", "value": "1"}]}
    resource = patient(
        contained=[reached, {**CLINIC, "id": "h"}],
        generalPractitioner=[{"reference": "#g"}, {"reference": "#h"}],
    )
    assert rules_broken_by(resource, strict, judged, against=["judged"]) == [
        ("profile-no-slice", "Patient.generalPractitioner[1]")
    ]


def test_a_discriminator_of_type_position_identifies_slices():
    first = profile(
        "first",
        "Patient",
        sliced("Patient.name", ("position", "$this")),
        element("Patient.name:first", min=1, max="1"),
        element("Patient.name:first.family", min=1),
        element("Patient.name:second", max="1"),
        element("Patient.name:second.given", min=1),
    )
    names = [{"given": ["A"]}, {"family": "B"}, {"text": "x"}]
    assert rules_broken_by(patient(name=names), first, against=["first"]) == [
        ("profile-min", "Patient.name[0]"),
        ("profile-min", "Patient.name[1]"),
    ]


@pytest.mark.parametrize("path", ["a b", "where(x)", "a..b", "extension(3)", "a | b"])
def test_a_discriminator_path_that_r4_does_not_allow_is_rejected(path):
    with pytest.raises(SlicingError):
        parse_path(path)


@pytest.mark.parametrize(
    ("path", "read"),
    [
        ("$this", []),
        ("code.coding.code", ["code", "coding", "code"]),
        ("$this.resolve().code", ["resolve", "code"]),
        ("extension('urn:a').value", ["extension", "value"]),
        ('extension("urn:a.b").value.ofType(Coding)', ["extension", "value", "type"]),
        ("(value as Coding).code", ["value", "type", "code"]),
    ],
)
def test_a_discriminator_path_is_parsed_into_steps(path, read):
    assert [step.name if step.what == "name" else step.what for step in parse_path(path)] == read


def test_many_slices_and_many_values_take_bounded_time():
    many = profile(
        "many",
        "Patient",
        sliced("Patient.identifier", ("value", "use")),
        *(element(f"Patient.identifier:s{number}", max="1") for number in range(300)),
    )
    resource = identified(*(f"x{number}" for number in range(300)))
    assert len(rules_broken_by(resource, many, against=["many"])) == 300
