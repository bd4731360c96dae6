"""Extensions: context of use, value and parts, and unknown extensions."""

import pytest

from tests.validation.profiling import (
    HOME,
    element,
    extension,
    observation,
    patient,
    profile,
    rules_broken_by,
    sliced,
    types,
    value,
)

SIMPLE = extension("simple", value("code"), where=["Patient.name"])
COMPLEX = extension(
    "complex",
    sliced("Extension.extension", ("value", "url")),
    element("Extension.extension:a", min=1, max="1"),
    element("Extension.extension:a.url", fixedUri="a"),
    element("Extension.extension:a.value[x]", min=1, type=types("code")),
    element("Extension.extension:b", max="1"),
    element("Extension.extension:b.url", fixedUri="b"),
    element("Extension.extension:b.value[x]", min=1, type=types("Quantity")),
    element("Extension.value[x]", max="0"),
)
MODIFIES = extension("modifies", value("boolean"), where=["Observation"], modifier=True)
NAME = "Patient.name[0]"


def has(name, **facts):
    """One extension of ours."""
    return {"url": HOME + name, **facts}


def named(*extensions, **facts):
    return patient(name=[{"family": "f", "extension": list(extensions)}], **facts)


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        ({"valueCode": "x"}, []),
        ({"valueString": "x"}, [("extension-type", f"{NAME}.extension[0]")]),
        (
            {},
            [
                ("ext-1", f"{NAME}.extension[0]"),
                ("extension-no-value", f"{NAME}.extension[0]"),
                ("profile-min", f"{NAME}.extension[0]"),
            ],
        ),
        (
            {"extension": [{"url": "a", "valueCode": "x"}]},
            [
                ("extension-not-complex", f"{NAME}.extension[0]"),
                ("profile-max", f"{NAME}.extension[0]"),
                ("profile-min", f"{NAME}.extension[0]"),
                ("extension-part", f"{NAME}.extension[0].extension[0]"),
            ],
        ),
    ],
)
def test_an_extension_must_have_the_value_of_its_definition(facts, found):
    assert sorted(rules_broken_by(named(has("simple", **facts)), SIMPLE)) == sorted(found)


def test_a_finding_on_the_context_of_use_is_located_at_the_owner():
    resource = patient(
        extension=[has("simple", valueCode="x")],
        contact=[{"name": {"family": "f", "extension": [has("simple", valueCode="x")]}}],
    )
    assert rules_broken_by(resource, SIMPLE) == [
        ("extension-place", "Patient"),
        ("extension-place", "Patient.contact[0].name"),
    ]


@pytest.mark.parametrize(
    ("where", "right"),
    [
        ("Element", True),
        ("HumanName", True),
        ("HumanName.period", False),
        ("Patient", False),
        ("Patient.name", True),
        ("Patient.contact.name", False),
        ("Resource", False),
        ("BackboneElement", False),
    ],
)
def test_a_context_names_an_element_by_path_or_by_type(where, right):
    used = extension("used", value("boolean"), where=[where])
    found = rules_broken_by(named(has("used", valueBoolean=True)), used)
    assert found == ([] if right else [("extension-place", NAME)])


@pytest.mark.parametrize("where", ["Observation", "DomainResource", "Resource"])
def test_a_context_may_name_a_base_type_of_the_resource(where):
    used = extension("used", value("boolean"), where=[where])
    assert rules_broken_by(observation(extension=[has("used", valueBoolean=True)]), used) == []


@pytest.mark.parametrize("where", ["Observation.value[x]", "Quantity", "Observation.valueQuantity"])
def test_a_context_may_name_a_choice_or_one_of_its_types(where):
    used = extension("used", value("boolean"), where=[where])
    quantity = {"value": 1, "extension": [has("used", valueBoolean=True)]}
    assert rules_broken_by(observation(valueQuantity=quantity), used) == []


@pytest.mark.parametrize(
    ("where", "right"), [("date", True), ("Patient.birthDate", True), ("string", False)]
)
def test_a_context_may_name_a_primitive(where, right):
    used = extension("used", value("boolean"), where=[where])
    inner = {"extension": [has("used", valueBoolean=True)]}
    found = rules_broken_by(patient(birthDate="2000-01-01", _birthDate=inner), used)
    assert found == ([] if right else [("extension-place", "Patient.birthDate")])


def test_a_context_of_a_recursive_element_includes_nested_ones():
    used = extension("used", value("boolean"), where=["Questionnaire.item"])
    has_it = [has("used", valueBoolean=True)]
    inner = {"linkId": "2", "type": "string", "extension": has_it}
    form = {
        "resourceType": "Questionnaire",
        "id": "q",
        "status": "active",
        "item": [{"linkId": "1", "type": "group", "text": "t", "item": [inner]}],
    }
    assert rules_broken_by(form, used) == []


def test_a_context_may_be_the_url_of_an_extension():
    context = [{"type": "extension", "expression": HOME + "complex"}]
    inner = extension("inner", value("boolean"), context=context)
    part = {"url": "a", "valueCode": "x"}
    within = has("complex", extension=[part, has("inner", valueBoolean=True)])
    assert rules_broken_by(patient(extension=[within]), COMPLEX, inner) == []
    assert rules_broken_by(
        patient(extension=[has("inner", valueBoolean=True)]), COMPLEX, inner
    ) == [("extension-place", "Patient")]


def test_a_context_may_be_a_fhirpath_and_have_an_invariant():
    path = {"type": "fhirpath", "expression": "Patient.name.where(use = 'official')"}
    official = extension("official", value("boolean"), context=[path])
    family = extension(
        "family", value("boolean"), where=["HumanName"], contextInvariant=["family.exists()"]
    )
    both = [has("official", valueBoolean=True), has("family", valueBoolean=True)]
    names = [
        {"use": "official", "family": "f", "extension": both},
        {"use": "old", "text": "t", "extension": both},
    ]
    assert rules_broken_by(patient(name=names), official, family) == [
        ("extension-place", "Patient.name[1]"),
        ("extension-condition", "Patient.name[1]"),
    ]


def test_parts_of_a_complex_extension_must_be_defined():
    code, quantity = {"valueCode": "x"}, {"valueQuantity": {"value": 1}}
    good = has("complex", extension=[{"url": "a", **code}, {"url": "b", **quantity}])
    assert rules_broken_by(patient(extension=[good]), COMPLEX) == []
    bad = has("complex", extension=[{"url": "b", **quantity}] * 2 + [{"url": "c", **code}])
    assert rules_broken_by(patient(extension=[bad]), COMPLEX) == [
        ("profile-slice-min", "Patient.extension[0]"),
        ("profile-slice-max", "Patient.extension[0]"),
        ("extension-part", "Patient.extension[0].extension[2]"),
    ]


def test_only_modifier_extensions_are_allowed_in_modifier_extension():
    meant = has("modifies", valueBoolean=True)
    assert rules_broken_by(observation(modifierExtension=[meant]), MODIFIES) == []
    assert rules_broken_by(observation(extension=[meant]), MODIFIES) == [
        ("extension-not-modifier", "Observation.extension[0]")
    ]
    plain = has("complex", extension=[{"url": "a", "valueCode": "x"}])
    assert rules_broken_by(observation(modifierExtension=[plain]), COMPLEX) == [
        ("extension-modifier", "Observation.modifierExtension[0]")
    ]


def test_an_unknown_extension_is_no_error_and_an_unknown_modifier_a_warning():
    unknown = {"url": "http://nowhere.test/x", "valueBoolean": True}
    resource = observation(extension=[unknown], modifierExtension=[unknown])
    assert rules_broken_by(resource, worse_than="information") == [
        ("extension-unknown-modifier", "Observation.modifierExtension[0]")
    ]


def test_the_url_must_be_absolute_without_a_version():
    place = f"{NAME}.extension[0]"
    assert rules_broken_by(named({"url": "m", "valueCode": "x"}), SIMPLE) == [
        ("extension-relative", place)
    ]
    versioned = {"url": f"{HOME}simple|1.0", "valueCode": "x"}
    assert rules_broken_by(named(versioned), SIMPLE) == [
        ("extension-version", place),
        ("profile-fixed", f"{place}.url"),
    ]


def test_an_extension_without_a_url_is_an_error():
    assert ("extension-no-url", "Patient.extension[0]") in rules_broken_by(
        patient(extension=[{"valueCode": "x"}])
    )


def test_a_part_of_what_has_no_url_must_be_absolute():
    nested = {"extension": [{"url": "a", "valueCode": "x"}]}
    assert ("extension-relative", "Patient.extension[0].extension[0]") in rules_broken_by(
        patient(extension=[nested])
    )


def test_extensions_of_contained_resources_stand_in_those():
    used = extension("used", value("boolean"), where=["Organization"])
    clinic = {
        "resourceType": "Organization",
        "id": "g",
        "name": "G",
        "extension": [has("used", valueBoolean=True)],
    }
    resource = patient(contained=[clinic], managingOrganization={"reference": "#g"})
    assert rules_broken_by(resource, used) == []


WITNESSED = extension("witnessed", value("code"), where=["Patient.birthDate", "string"])


def of_primitive(name, place):
    """A profile that asks for one extension, and one only, beside the value of a primitive."""
    slice_ = element(
        f"{place}.extension:w", min=1, max="1",
        type=types("Extension", profile=[HOME + "witnessed"]),
    )  # fmt: skip
    return profile(name, "Patient", sliced(f"{place}.extension", ("value", "url")), slice_)


@pytest.mark.parametrize(
    ("companion", "found"),
    [
        ({"extension": [has("witnessed", valueCode="a")]}, []),
        (None, [("profile-slice-min", "Patient.birthDate")]),
        ({"id": "a"}, [("profile-slice-min", "Patient.birthDate")]),
        (
            {"extension": [has("witnessed", valueCode="a"), has("witnessed", valueCode="b")]},
            [("profile-slice-max", "Patient.birthDate")],
        ),
    ],
)
def test_a_profile_is_held_to_beside_the_value_of_a_primitive(companion, found):
    facts = {"birthDate": "2000-01-01"} | ({"_birthDate": companion} if companion else {})
    definitions = (WITNESSED, of_primitive("dated", "Patient.birthDate"))
    assert rules_broken_by(patient(**facts), *definitions, against=["dated"]) == found


def test_each_item_of_a_list_of_primitives_is_held_to_it():
    name = {
        "family": "f",
        "given": ["a", "b"],
        "_given": [{"extension": [has("witnessed", valueCode="a")]}, None],
    }
    definitions = (WITNESSED, of_primitive("named", "Patient.name.given"))
    assert rules_broken_by(patient(name=[name]), *definitions, against=["named"]) == [
        ("profile-slice-min", "Patient.name[0].given[1]")
    ]


def test_what_is_not_there_lacks_no_extension():
    definitions = (WITNESSED, of_primitive("dated", "Patient.birthDate"))
    assert rules_broken_by(patient(), *definitions, against=["dated"]) == []
