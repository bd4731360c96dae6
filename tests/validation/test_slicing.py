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
    sliced,
    told,
    types,
)


def identified(*systems, **facts):
    return patient(identifier=[{"system": f"urn:{each}"} for each in systems], **facts)


def by_system(name, *slices, rules="open", ordered=None):
    """Identifiers sliced by system, each slice once at most."""
    return profile(
        name,
        "Patient",
        sliced("Patient.identifier", ("value", "system"), rules=rules, ordered=ordered),
        *(
            each
            for key, least in slices
            for each in (
                element(f"Patient.identifier:{key}", min=least, max="1"),
                element(f"Patient.identifier:{key}.system", min=1, fixedUri=f"urn:{key}"),
            )
        ),
    )


def test_slices_are_counted_at_the_parent_and_strangers_told_where_they_stand():
    closed = by_system("closed", ("a", 1), ("b", 0), rules="closed")
    assert told(identified("a", "b"), closed, against=["closed"]) == []
    assert told(identified("b", "b", "c"), closed, against=["closed"]) == [
        ("profile-slice-min", "Patient"),
        ("profile-slice-max", "Patient"),
        ("profile-no-slice", "Patient.identifier[2]"),
    ]


def test_open_slicing_lets_strangers_be():
    open_ = by_system("open", ("a", 1))
    assert told(identified("a", "c", "c"), open_, against=["open"]) == []


def test_what_a_slice_says_holds_for_its_values_alone():
    bounded = profile(
        "bounded",
        "Patient",
        sliced("Patient.identifier", ("value", "system")),
        element("Patient.identifier:a", min=0),
        element("Patient.identifier:a.system", min=1, fixedUri="urn:a"),
        element("Patient.identifier:a.value", min=1),
    )
    assert told(identified("b", "a"), bounded, against=["bounded"]) == [
        ("profile-min", "Patient.identifier[1]")
    ]


@pytest.mark.parametrize(
    ("systems", "found"),
    [
        ("ab", []),
        ("axb", []),
        ("bxa", []),
        ("ba", [("profile-slice-order", "Patient.identifier[1]")]),
    ],
)
def test_ordered_slices_follow_one_another_as_in_the_profile(systems, found):
    ordered = by_system("ordered", ("a", 0), ("b", 0), ordered=True)
    assert told(identified(*systems), ordered, against=["ordered"]) == found


def test_where_slicing_is_open_at_the_end_strangers_come_last_though_the_reference_does_not_look():
    ending = by_system("ending", ("a", 0), rules="openAtEnd", ordered=True)
    assert told(identified("a", "x"), ending, against=["ending"]) == []
    assert told(identified("x", "a"), ending, against=["ending"]) == [
        ("profile-slice-end", "Patient.identifier[0]")
    ]


def test_a_value_of_two_slices_is_told():
    twins = profile(
        "twins",
        "Patient",
        sliced("Patient.identifier", ("value", "system")),
        element("Patient.identifier:a", max="2"),
        element("Patient.identifier:a.system", min=1, fixedUri="urn:a"),
        element("Patient.identifier:b", max="2"),
        element("Patient.identifier:b.system", min=1, fixedUri="urn:a"),
    )
    assert told(identified("a"), twins, against=["twins"]) == [
        ("profile-two-slices", "Patient.identifier[0]")
    ]


def test_a_slice_that_nothing_tells_apart_is_the_fault_of_the_profile_told_once_a_value():
    vague = profile(
        "vague",
        "Patient",
        sliced("Patient.identifier", ("value", "system")),
        element("Patient.identifier:a", min=1),
    )
    assert told(identified("a", "b"), vague, against=["vague"]) == [
        ("profile-slicing", "Patient.identifier[0]"),
        ("profile-slicing", "Patient.identifier[1]"),
    ]


def test_slices_of_a_slice_are_told_by_its_own_discriminators():
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
        return patient(identifier=[{"system": "urn:a", "use": each} for each in uses])

    assert told(used("official", "old"), nested, against=["nested"]) == []
    assert told(used("old"), nested, against=["nested"]) == [("profile-slice-min", "Patient")]
    assert told(used("official", "old", "old"), nested, against=["nested"]) == [
        ("profile-slice-max", "Patient")
    ]


def test_several_discriminators_hold_together():
    home = profile(
        "home",
        "Patient",
        sliced("Patient.telecom", ("value", "system"), ("value", "use")),
        element("Patient.telecom:home", min=1),
        element("Patient.telecom:home.system", min=1, fixedCode="phone"),
        element("Patient.telecom:home.use", min=1, fixedCode="home"),
    )
    work, private = ({"system": "phone", "use": use, "value": "1"} for use in ("work", "home"))
    assert told(patient(telecom=[work, private]), home, against=["home"]) == []
    assert told(patient(telecom=[work]), home, against=["home"]) == [
        ("profile-slice-min", "Patient")
    ]


def test_slices_are_told_by_whether_something_is_there():
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
    assert told(resource, dated, against=["dated"]) == [
        ("profile-slice-max", "Patient"),
        ("profile-min", "Patient.telecom[0]"),
    ]


def test_a_pattern_on_the_way_to_a_discriminator_tells_too_though_the_reference_does_not_see_it():
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
    codes = [{"code": {"coding": [{"system": "urn:c", "code": each}]}} for each in "ba"]
    assert told(observation(component=codes), parts, against=["parts"]) == [
        ("profile-min", "Observation.component[1]")
    ]


def test_a_choice_is_sliced_by_its_type():
    typed = profile(
        "typed",
        "Observation",
        sliced("Observation.value[x]", ("type", "$this")),
        element("Observation.value[x]:valueQuantity", type=types("Quantity")),
        element("Observation.value[x]:valueQuantity.unit", min=1),
        element("Observation.value[x]:valueString", type=types("string"), maxLength=2),
    )
    assert told(observation(valueQuantity={"value": 1}), typed, against=["typed"]) == [
        ("profile-min", "Observation.value")
    ]
    assert told(observation(valueString="abc"), typed, against=["typed"]) == [
        ("profile-length", "Observation.value")
    ]
    assert told(observation(valueInteger=1), typed, against=["typed"]) == []


def test_a_choice_within_is_told_by_of_type():
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
    assert told(observation(component=components), cast, against=["cast"]) == [
        ("profile-min", "Observation.component[1]")
    ]


def test_slices_are_told_by_an_extension():
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
        identifier=[{"extension": [{"url": "urn:kind", "valueCode": each}]} for each in "jk"]
    )
    found = told(resource, kinds, against=["kinds"])
    assert found == [("profile-min", "Patient.identifier[1]")]


CLINIC = {"resourceType": "Organization", "id": "g", "name": "G"}
DOCTOR = {"resourceType": "Practitioner", "id": "q"}


def test_slices_are_told_by_the_type_of_what_a_reference_leads_to():
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
    assert told(both, kinds, against=["led"]) == [("profile-min", "Patient.generalPractitioner[1]")]
    elsewhere = patient(generalPractitioner=[{"reference": "Organization/1"}])
    assert told(elsewhere, kinds, against=["led"]) == [("profile-slice-min", "Patient")]


def test_slices_are_told_by_the_profile_of_what_a_reference_leads_to():
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
    assert told(resource, strict, judged, against=["judged"]) == [
        ("profile-no-slice", "Patient.generalPractitioner[1]")
    ]


def test_slices_are_told_by_position():
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
    assert told(patient(name=names), first, against=["first"]) == [
        ("profile-min", "Patient.name[0]"),
        ("profile-min", "Patient.name[1]"),
    ]


@pytest.mark.parametrize("path", ["a b", "where(x)", "a..b", "extension(3)", "a | b"])
def test_a_discriminator_that_r4_does_not_permit_is_refused(path):
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
def test_the_steps_of_a_discriminator(path, read):
    assert [each.name if each.what == "name" else each.what for each in parse_path(path)] == read


def test_many_slices_and_many_values_take_bounded_time():
    many = profile(
        "many",
        "Patient",
        sliced("Patient.identifier", ("value", "use")),
        *(element(f"Patient.identifier:s{number}", max="1") for number in range(300)),
    )
    resource = identified(*(f"x{number}" for number in range(300)))
    assert len(told(resource, many, against=["many"])) == 300
