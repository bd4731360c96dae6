"""Where something was found: what slices, constraints and searches build on."""

from decimal import Decimal

import pytest

from fhir_b12 import fhirpath
from fhir_b12.fhirpath import FhirPathError, LocatedValue, StandaloneEnvironment

OBSERVATION = {
    "resourceType": "Observation",
    "status": "final",
    "_status": {"id": "s"},
    "code": {"coding": [{"code": "a"}, {"code": "b"}]},
    "contained": [{"resourceType": "Patient", "id": "p", "name": [{"given": ["Ada", None]}]}],
    "subject": {"reference": "#p"},
    "extension": [{"url": "http://example.org/x", "valueCode": "c"}],
    "component": [{"valueInteger": 3}, {"valueQuantity": {"value": Decimal("1.50")}}],
    "_issued": {"extension": [{"url": "http://example.org/y", "valueString": "z"}]},
}
PATIENT = OBSERVATION["contained"][0]


def locate(expression, node=OBSERVATION, kind="Observation", companion=None):
    return fhirpath.compile(expression).locate(
        node, kind, StandaloneEnvironment(OBSERVATION), companion
    )


def paths(expression, *where):
    return [located.path for located in locate(expression, *where)]


@pytest.mark.parametrize(
    ("discriminator", "expected"),
    [
        ("$this", [()]),
        ("status", [("status",)]),
        ("code.coding", [("code", "coding", 0), ("code", "coding", 1)]),
        ("code.coding.code", [("code", "coding", 0, "code"), ("code", "coding", 1, "code")]),
        ("extension('http://example.org/x').value", [("extension", 0, "valueCode")]),
        ("component.value.ofType(integer)", [("component", 0, "valueInteger")]),
        ("component.value.ofType(Quantity).value", [("component", 1, "valueQuantity", "value")]),
        ("component[1].value", [("component", 1, "valueQuantity")]),
        ("contained.name.given", [("contained", 0, "name", 0, "given", 0)]),
        ("issued.extension", [("_issued", "extension", 0)]),
        ("status.id", [("_status", "id")]),
        ("value", []),
        ("component.count()", [None]),
        ("code.coding.exists()", [None]),
    ],
)
def test_a_discriminator_finds_its_nodes(discriminator, expected):
    assert paths(discriminator) == expected


def test_a_node_has_value_type_and_companion():
    assert locate("status") == [
        LocatedValue(("status",), "final", "code", "code", {"id": "s"}, OBSERVATION)
    ]


def test_a_primitive_with_only_extensions_has_no_value():
    companion = OBSERVATION["_issued"]
    assert locate("issued") == [
        LocatedValue(("issued",), None, "instant", "instant", companion, OBSERVATION)
    ]


def test_a_backbone_element_has_the_path_of_its_definition():
    assert [(located.type, located.type_path) for located in locate("component")] == [
        ("BackboneElement", "Observation.component")
    ] * 2


def test_a_resolved_reference_begins_a_new_path():
    assert locate("subject.resolve()") == [
        LocatedValue((), PATIENT, "Patient", "Patient", None, PATIENT)
    ]
    assert [
        (located.path, located.origin) for located in locate("subject.resolve().name.given")
    ] == [(("name", 0, "given", 0), PATIENT)]


def test_a_computed_value_has_no_path():
    assert locate("component.count()") == [
        LocatedValue(None, 2, "System.Integer", "System.Integer")
    ]


def test_an_evaluation_can_start_within_a_resource():
    component = OBSERVATION["component"][1]
    assert paths("value.value", component, "Observation.component") == [("valueQuantity", "value")]
    assert paths("%resource.status", component, "Observation.component") == [("status",)]


def test_an_evaluation_can_start_at_a_primitive():
    results = locate("extension.value", None, "instant", OBSERVATION["_issued"])
    assert [(located.path, located.value) for located in results] == [
        (("extension", 0, "valueString"), "z")
    ]


def test_an_evaluation_can_start_at_a_concrete_choice_name():
    expression = fhirpath.compile("$this is Quantity and value > 1")
    node = OBSERVATION["component"][1]["valueQuantity"]
    assert expression.is_satisfied(
        node, "Observation.component.valueQuantity", StandaloneEnvironment(OBSERVATION)
    )


def test_an_unknown_type_raises_an_error():
    with pytest.raises(FhirPathError, match=r"R4 has no type Observation\.nothing"):
        locate("$this", {}, "Observation.nothing")


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("{}", False),
        ("false", False),
        ("true", True),
        ("status", True),
        ("status.single() = 'final'", True),
        ("code.coding", True),
        ("value", False),
        ("value = 1", False),
        ("(value = 1).not()", False),
        ("component.value.ofType(integer) = 0", False),
        ("0", True),
    ],
)
def test_a_constraint_is_satisfied_as_in_the_reference_implementation(expression, holds):
    assert (
        fhirpath.compile(expression).is_satisfied(
            OBSERVATION, "Observation", StandaloneEnvironment(OBSERVATION)
        )
        is holds
    )


def test_resource_and_root_resource_are_distinguished():
    around = StandaloneEnvironment(PATIENT)
    around.root_resource = OBSERVATION
    expression = fhirpath.compile("%resource.name.given | %rootResource.status")
    assert expression.evaluate(PATIENT, "Patient", around) == ["Ada", "final"]


def test_now_without_a_time_in_the_environment_raises_an_error():
    with pytest.raises(FhirPathError, match="current time is unknown"):
        fhirpath.compile("now()").evaluate(
            OBSERVATION, "Observation", StandaloneEnvironment(OBSERVATION)
        )


def test_trace_calls_the_environment():
    heard = []
    around = StandaloneEnvironment(OBSERVATION)
    around.trace = lambda name, values: heard.append((name, values))
    fhirpath.compile("code.coding.trace('codes', code).count()").evaluate(
        OBSERVATION, "Observation", around
    )
    assert heard == [("codes", ["a", "b"])]


def test_html_checks_calls_the_environment():
    around = StandaloneEnvironment(OBSERVATION)
    around.html_checks = lambda text: text == "good"
    check = fhirpath.compile("htmlChecks()")
    assert [check.is_satisfied(text, "xhtml", around) for text in ("good", "bad")] == [True, False]
