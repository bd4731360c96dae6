"""Invalid profiles: generating a snapshot raises an error with the reason, quickly."""

import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_b12.definitions.errors import DefinitionError
from tests.profiling import BY_CODE, OWN, R4, element, generate_snapshot, profile


def error_of(*definitions):
    with pytest.raises(DefinitionError) as error:
        generate_snapshot(*definitions)
    return str(error.value).removeprefix(definitions[-1]["url"] + ": ")


X = element("Observation")
INVALID = {
    "no base": (
        profile("x", X) | {"baseDefinition": None},
        "snapshot and baseDefinition are missing: add",
    ),
    "unknown base": (
        profile("x", X, base=OWN + "y"),
        f"unknown baseDefinition {OWN}y: add its package",
    ),
    "itself as base": (profile("x", X, base=OWN + "x"), f"circular baseDefinition {OWN}x"),
    "another type": (
        profile("x", X, base=R4 + "Patient"),
        "differential: Observation: must begin with Patient, the type of the base",
    ),
    "a new type": (
        profile("x", X, derivation="specialization", type="Sample"),
        "snapshot is required for a new type: add it",
    ),
    "unknown element": (
        profile("x", element("Observation.valu")),
        "differential: Observation.valu: not an element of the base: correct the path",
    ),
    "unknown choice": (
        profile("x", element("Observation.valueAddress")),
        "differential: Observation.valueAddress: not an element of the base",
    ),
    "below a string": (
        profile("x", element("Observation.issued.value.x")),
        "differential: Observation.issued.value: child elements are unknown: add the package",
    ),
    "below an unknown type": (
        profile(
            "x", element("Observation.code", type=[{"code": "Zz"}]), element("Observation.code.a")
        ),
        "differential: Observation.code: child elements are unknown: add the package",
    ),
    "slices without slicing": (
        profile("x", element("Observation.category:a"), element("Observation.category:b")),
        "differential: Observation.category: slicing is missing: add slicing",
    ),
    "two roots": (
        profile("x", X, element("Patient.name")),
        "differential: Patient.name: path must begin with Observation: correct it",
    ),
    "twice": (
        profile(
            "x",
            element("Observation.component", slicing=BY_CODE),
            element("Observation.component:a.value[x]", min=1),
            element("Observation.component:a.valueQuantity", min=1),
        ),
        "differential: Observation.component.valueQuantity: changed twice, under two names",
    ),
    "too deep": (
        profile("x", element("Questionnaire" + ".item" * 50)),
        "differential: path of an element is empty, invalid or deeper than 40",
    ),
    "an empty step": (
        profile("x", {"path": "Observation..code"}),
        "differential: path of an element is empty, invalid or deeper than 40",
    ),
    "no path": (
        profile("x", X, {"path": "x"}) | {"differential": {"element": [{}]}},
        "differential: Object missing",
    ),
    "an invalid max": (
        profile("x", element("Observation.code", max="many")),
        "differential: Observation.code: max must be '*' or a number",
    ),
    "invalid differential": (
        profile("x", X) | {"differential": 3},
        "differential.element is missing or empty: add it",
    ),
    "invalid elements": (
        profile("x", X) | {"differential": {"element": {}}},
        "differential.element is missing or empty: add it",
    ),
    "elements that are strings": (
        profile("x", X) | {"differential": {"element": ["x"]}},
        "differential: Expected `object`, got `str`",
    ),
    "an invalid type": (
        profile("x", element("Observation.code", type=[{"code": 3}])),
        "differential: Expected `str`, got `int`",
    ),
    "too many elements": (
        profile("x", X, *[element(f"Observation.category:{n}") for n in range(100_000)]),
        "differential: more than 50,000 elements",
    ),
    "too many elements in the slices": (
        profile(
            "x",
            element("Observation.component", slicing=BY_CODE),
            *[element(f"Observation.component:{n}") for n in range(20_000)],
        ),
        "snapshot would have more than 50,000 elements",
    ),
}


@pytest.mark.parametrize("case", INVALID)
def test_an_invalid_profile_raises_an_error_with_the_reason_quickly(case):
    definition, reason = INVALID[case]
    started = time.thread_time()
    message = error_of(definition)
    assert message[: len(reason)] == reason
    assert time.thread_time() - started < 5


def test_circular_bases_raise_an_error_for_each_profile():
    around = [profile(name, X, base=OWN + after) for name, after in ("ab", "bc", "ca")]
    assert "circular baseDefinition" in error_of(*around)
    assert "circular baseDefinition" in error_of(*around[1:], around[0])


def test_too_many_nested_bases_raise_an_error():
    chain = [profile(str(number), X, base=f"{OWN}{number + 1}") for number in range(2000)]
    assert "more than 40 nested base definitions" in error_of(*chain[1:], chain[0])


def test_snapshots_of_mutually_dependent_profiles_are_generated():
    def quantity_with(name, other):
        row = {"code": "Quantity", "profile": [OWN + other]}
        return profile(
            name,
            element("Quantity.extension:e", type=[{"code": "Extension", "profile": [OWN + "e"]}]),
            kind="complex-type",
        ), row

    quantity, row = quantity_with("q", "q")
    extension = profile(
        "e",
        element("Extension.value[x]", type=[row]),
        element("Extension.value[x].unit", min=1),
        kind="complex-type",
    )
    assert generate_snapshot(quantity, extension)["Extension.value[x].unit"]["min"] == 1
    assert "Quantity.extension:e" in generate_snapshot(extension, quantity)


def snapshot_of(*rows):
    whole = profile("base", element("Observation"))
    return whole | {"snapshot": {"element": list(rows)}}


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (["x"], "Expected `object`"),
        ([element("Observation"), element("Patient")], "Patient is a second root"),
        ([element("Observation.code")], "has no parent: add it"),
        ([element("Observation"), element("Observation.code.text")], "has no parent"),
        (
            [
                element("Observation"),
                element("Observation.component", contentReference="#Observation.component"),
            ],
            "differential: Observation.component.code: not an element of the base",
        ),
        (
            [element("Observation"), element("Observation.component", contentReference="#A.b")],
            "unknown contentReference #A.b",
        ),
    ],
)
def test_an_invalid_snapshot_of_the_base_raises_an_error(rows, reason):
    rows = [row if isinstance(row, str) else {"min": 0, "max": "1"} | row for row in rows]
    derived = profile("x", element("Observation.component.code.text"), base=OWN + "base")
    assert reason in error_of(snapshot_of(*rows), derived)


VALID = profile(
    "x",
    element("Observation", constraint=[{"key": "a", "severity": "error", "human": "x"}]),
    element("Observation.category", slicing=BY_CODE, min=1),
    element("Observation.category:a", min=1, patternCodeableConcept={"text": "x"}),
    element(
        "Observation.valueQuantity", type=[{"code": "Quantity", "profile": [R4 + "SimpleQuantity"]}]
    ),
    element("Observation.valueQuantity.unit", binding={"strength": "required", "valueSet": "x"}),
    element("Observation.component.referenceRange.low", condition=["a"], extension=[]),
)
JSON = st.sampled_from(
    [None, True, -1, 2**70, 0.5, "", "x", "a.b", "..", ":", "[x]", [], [[]], {}, {"a": {}}]
)


def paths_in(node, path=()):
    yield path
    rows = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    for key, value in rows:
        yield from paths_in(value, (*path, key))


PATHS = [path for path in paths_in(VALID["differential"]["element"]) if path]


@given(path=st.sampled_from(PATHS), value=JSON)
def test_any_value_in_a_differential_gives_a_snapshot_or_a_definition_error(path, value):
    definition = json.loads(json.dumps(VALID))
    node = definition["differential"]["element"]
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    with contextlib.suppress(DefinitionError):
        generate_snapshot(definition)
