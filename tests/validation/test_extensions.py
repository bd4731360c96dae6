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


def build_extension(name, **facts):
    """Return one of the extensions defined here."""
    return {"url": HOME + name, **facts}


def build_patient(*extensions, **facts):
    return patient(name=[{"family": "f", "extension": list(extensions)}], **facts)


@pytest.mark.parametrize(
    ("facts", "expected"),
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
def test_an_extension_must_have_the_value_of_its_definition(facts, expected):
    assert sorted(
        rules_broken_by(build_patient(build_extension("simple", **facts)), SIMPLE)
    ) == sorted(expected)


def test_a_finding_on_the_context_of_use_is_located_at_the_owner():
    resource = patient(
        extension=[build_extension("simple", valueCode="x")],
        contact=[
            {"name": {"family": "f", "extension": [build_extension("simple", valueCode="x")]}}
        ],
    )
    assert rules_broken_by(resource, SIMPLE) == [
        ("extension-place", "Patient"),
        ("extension-place", "Patient.contact[0].name"),
    ]


@pytest.mark.parametrize(
    ("where", "allowed"),
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
def test_a_context_names_an_element_by_path_or_by_type(where, allowed):
    used = extension("used", value("boolean"), where=[where])
    findings = rules_broken_by(build_patient(build_extension("used", valueBoolean=True)), used)
    assert findings == ([] if allowed else [("extension-place", NAME)])


@pytest.mark.parametrize("where", ["Observation", "DomainResource", "Resource"])
def test_a_context_may_name_a_base_type_of_the_resource(where):
    used = extension("used", value("boolean"), where=[where])
    assert (
        rules_broken_by(observation(extension=[build_extension("used", valueBoolean=True)]), used)
        == []
    )


@pytest.mark.parametrize("where", ["Observation.value[x]", "Quantity", "Observation.valueQuantity"])
def test_a_context_may_name_a_choice_or_one_of_its_types(where):
    used = extension("used", value("boolean"), where=[where])
    quantity = {"value": 1, "extension": [build_extension("used", valueBoolean=True)]}
    assert rules_broken_by(observation(valueQuantity=quantity), used) == []


@pytest.mark.parametrize(
    ("where", "allowed"), [("date", True), ("Patient.birthDate", True), ("string", False)]
)
def test_a_context_may_name_a_primitive(where, allowed):
    used = extension("used", value("boolean"), where=[where])
    inner = {"extension": [build_extension("used", valueBoolean=True)]}
    findings = rules_broken_by(patient(birthDate="2000-01-01", _birthDate=inner), used)
    assert findings == ([] if allowed else [("extension-place", "Patient.birthDate")])


def test_a_context_of_a_recursive_element_includes_nested_ones():
    used = extension("used", value("boolean"), where=["Questionnaire.item"])
    has_it = [build_extension("used", valueBoolean=True)]
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
    within = build_extension(
        "complex", extension=[part, build_extension("inner", valueBoolean=True)]
    )
    assert rules_broken_by(patient(extension=[within]), COMPLEX, inner) == []
    assert rules_broken_by(
        patient(extension=[build_extension("inner", valueBoolean=True)]), COMPLEX, inner
    ) == [("extension-place", "Patient")]


def test_a_context_may_be_a_fhirpath_and_have_an_invariant():
    path = {"type": "fhirpath", "expression": "Patient.name.where(use = 'official')"}
    official = extension("official", value("boolean"), context=[path])
    family = extension(
        "family", value("boolean"), where=["HumanName"], contextInvariant=["family.exists()"]
    )
    both = [
        build_extension("official", valueBoolean=True),
        build_extension("family", valueBoolean=True),
    ]
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
    good = build_extension("complex", extension=[{"url": "a", **code}, {"url": "b", **quantity}])
    assert rules_broken_by(patient(extension=[good]), COMPLEX) == []
    bad = build_extension(
        "complex", extension=[{"url": "b", **quantity}] * 2 + [{"url": "c", **code}]
    )
    assert rules_broken_by(patient(extension=[bad]), COMPLEX) == [
        ("profile-slice-min", "Patient.extension[0]"),
        ("profile-slice-max", "Patient.extension[0]"),
        ("extension-part", "Patient.extension[0].extension[2]"),
    ]


def test_only_modifier_extensions_are_allowed_in_modifier_extension():
    meant = build_extension("modifies", valueBoolean=True)
    assert rules_broken_by(observation(modifierExtension=[meant]), MODIFIES) == []
    assert rules_broken_by(observation(extension=[meant]), MODIFIES) == [
        ("extension-not-modifier", "Observation.extension[0]")
    ]
    plain = build_extension("complex", extension=[{"url": "a", "valueCode": "x"}])
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
    path = f"{NAME}.extension[0]"
    assert rules_broken_by(build_patient({"url": "m", "valueCode": "x"}), SIMPLE) == [
        ("extension-relative", path)
    ]
    versioned = {"url": f"{HOME}simple|1.0", "valueCode": "x"}
    assert rules_broken_by(build_patient(versioned), SIMPLE) == [
        ("extension-version", path),
        ("profile-fixed", f"{path}.url"),
    ]


def test_an_extension_without_a_url_is_an_error():
    assert ("extension-no-url", "Patient.extension[0]") in rules_broken_by(
        patient(extension=[{"valueCode": "x"}])
    )


def test_a_part_of_an_extension_without_url_must_have_an_absolute_url():
    nested = {"extension": [{"url": "a", "valueCode": "x"}]}
    assert ("extension-relative", "Patient.extension[0].extension[0]") in rules_broken_by(
        patient(extension=[nested])
    )


def test_extensions_of_contained_resources_are_checked_in_their_resource_type():
    used = extension("used", value("boolean"), where=["Organization"])
    clinic = {
        "resourceType": "Organization",
        "id": "g",
        "name": "G",
        "extension": [build_extension("used", valueBoolean=True)],
    }
    resource = patient(contained=[clinic], managingOrganization={"reference": "#g"})
    assert rules_broken_by(resource, used) == []


RECORDED_BY = extension("recorded", value("code"), where=["Patient.birthDate", "string"])


def profile_of_primitive(name, path):
    """Return a profile that requires exactly one extension of a primitive."""
    slice_ = element(
        f"{path}.extension:w", min=1, max="1",
        type=types("Extension", profile=[HOME + "recorded"]),
    )  # fmt: skip
    return profile(name, "Patient", sliced(f"{path}.extension", ("value", "url")), slice_)


@pytest.mark.parametrize(
    ("companion", "expected"),
    [
        ({"extension": [build_extension("recorded", valueCode="a")]}, []),
        (None, [("profile-slice-min", "Patient.birthDate")]),
        ({"id": "a"}, [("profile-slice-min", "Patient.birthDate")]),
        (
            {
                "extension": [
                    build_extension("recorded", valueCode="a"),
                    build_extension("recorded", valueCode="b"),
                ]
            },
            [("profile-slice-max", "Patient.birthDate")],
        ),
    ],
)
def test_a_profile_applies_to_the_extensions_of_a_primitive(companion, expected):
    facts = {"birthDate": "2000-01-01"} | ({"_birthDate": companion} if companion else {})
    definitions = (RECORDED_BY, profile_of_primitive("dated", "Patient.birthDate"))
    assert rules_broken_by(patient(**facts), *definitions, against=["dated"]) == expected


def test_a_profile_applies_to_each_item_of_a_list_of_primitives():
    name = {
        "family": "f",
        "given": ["a", "b"],
        "_given": [{"extension": [build_extension("recorded", valueCode="a")]}, None],
    }
    definitions = (RECORDED_BY, profile_of_primitive("named", "Patient.name.given"))
    assert rules_broken_by(patient(name=[name]), *definitions, against=["named"]) == [
        ("profile-slice-min", "Patient.name[0].given[1]")
    ]


def test_a_missing_primitive_does_not_need_the_required_extension():
    definitions = (RECORDED_BY, profile_of_primitive("dated", "Patient.birthDate"))
    assert rules_broken_by(patient(), *definitions, against=["dated"]) == []
