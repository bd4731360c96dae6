"""What a differential may hold that makes no snapshot: an error with its reason, in a moment."""

import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_b12.definitions.errors import DefinitionError
from tests.profiling import BY_CODE, OWN, R4, element, generate_snapshot, profile


def fault(*definitions):
    with pytest.raises(DefinitionError) as error:
        generate_snapshot(*definitions)
    return str(error.value).removeprefix(definitions[-1]["url"] + ": ")


X = element("Observation")
ODD = {
    "no base": (profile("x", X) | {"baseDefinition": None}, "has neither a snapshot nor a base"),
    "unknown base": (profile("x", X, base=OWN + "y"), f"its baseDefinition {OWN}y is not known"),
    "itself as base": (profile("x", X, base=OWN + "x"), "its baseDefinition leads back to itself"),
    "another type": (
        profile("x", X, base=R4 + "Patient"),
        "differential: Observation: its base is",
    ),
    "a new type": (
        profile("x", X, derivation="specialization", type="Sample"),
        "a new type needs a snapshot",
    ),
    "unknown element": (
        profile("x", element("Observation.valu")),
        "differential: Observation.valu: its base has no such element",
    ),
    "unknown choice": (
        profile("x", element("Observation.valueAddress")),
        "differential: Observation.valueAddress: its base has no such element",
    ),
    "below a string": (
        profile("x", element("Observation.issued.value.x")),
        "differential: Observation.issued.value: nothing is known of what stands below it",
    ),
    "below an unknown type": (
        profile(
            "x", element("Observation.code", type=[{"code": "Zz"}]), element("Observation.code.a")
        ),
        "differential: Observation.code: nothing is known of what stands below it",
    ),
    "slices without slicing": (
        profile("x", element("Observation.category:a"), element("Observation.category:b")),
        "differential: Observation.category: is a slice, and nothing says what it is sliced by",
    ),
    "two roots": (
        profile("x", X, element("Patient.name")),
        "differential: Patient.name is of another type",
    ),
    "twice": (
        profile(
            "x",
            element("Observation.component", slicing=BY_CODE),
            element("Observation.component:a.value[x]", min=1),
            element("Observation.component:a.valueQuantity", min=1),
        ),
        "differential: Observation.component.valueQuantity: is changed twice, under two names",
    ),
    "too deep": (
        profile("x", element("Questionnaire" + ".item" * 50)),
        "differential: an element's path is empty, broken or too long",
    ),
    "an empty step": (
        profile("x", {"path": "Observation..code"}),
        "differential: an element's path is empty, broken or too long",
    ),
    "no path": (
        profile("x", X, {"path": "x"}) | {"differential": {"element": [{}]}},
        "differential: Object missing",
    ),
    "an odd max": (
        profile("x", element("Observation.code", max="many")),
        "differential: Observation.code: max must be * or a number",
    ),
    "odd differential": (profile("x", X) | {"differential": 3}, "has no differential"),
    "odd elements": (profile("x", X) | {"differential": {"element": {}}}, "has no differential"),
    "elements that are none": (
        profile("x", X) | {"differential": {"element": ["x"]}},
        "differential: Expected `object`, got `str`",
    ),
    "an odd type": (
        profile("x", element("Observation.code", type=[{"code": 3}])),
        "differential: Expected `str`, got `int`",
    ),
    "too many elements": (
        profile("x", X, *[element(f"Observation.category:{n}") for n in range(100_000)]),
        "has more than 50,000 elements",
    ),
    "slices of too much": (
        profile(
            "x",
            element("Observation.component", slicing=BY_CODE),
            *[element(f"Observation.component:{n}") for n in range(20_000)],
        ),
        "its snapshot would have more than 50,000 elements",
    ),
}


@pytest.mark.parametrize("case", ODD)
def test_what_cannot_be_made_is_an_error_with_its_reason_in_a_moment(case):
    definition, reason = ODD[case]
    started = time.thread_time()
    told = fault(definition)
    assert told[: len(reason)] == reason
    assert time.thread_time() - started < 5


def test_bases_that_lead_in_a_circle_are_an_error_for_each():
    around = [profile(name, X, base=OWN + after) for name, after in ("ab", "bc", "ca")]
    assert "leads back to itself" in fault(*around)
    assert "leads back to itself" in fault(*around[1:], around[0])


def test_bases_without_end_are_an_error():
    chain = [profile(str(number), X, base=f"{OWN}{number + 1}") for number in range(2000)]
    assert "more than 40 definitions build on each other" in fault(*chain[1:], chain[0])


def test_profiles_on_types_that_need_each_other_are_made():
    def one(name, other):
        row = {"code": "Quantity", "profile": [OWN + other]}
        return profile(
            name,
            element("Quantity.extension:e", type=[{"code": "Extension", "profile": [OWN + "e"]}]),
            kind="complex-type",
        ), row

    quantity, row = one("q", "q")
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
        ([element("Observation"), element("Patient")], "has two roots"),
        ([element("Observation.code")], "stands below nothing"),
        ([element("Observation"), element("Observation.code.text")], "stands below nothing"),
        (
            [
                element("Observation"),
                element("Observation.component", contentReference="#Observation.component"),
            ],
            "differential: Observation.component.code: its base has no such element",
        ),
        (
            [element("Observation"), element("Observation.component", contentReference="#A.b")],
            "what it repeats, #A.b, is not known",
        ),
    ],
)
def test_a_broken_snapshot_of_a_base_is_an_error(rows, reason):
    rows = [each if isinstance(each, str) else {"min": 0, "max": "1"} | each for each in rows]
    derived = profile("x", element("Observation.component.code.text"), base=OWN + "base")
    assert reason in fault(snapshot_of(*rows), derived)


SOUND = profile(
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


def places(node, path=()):
    yield path
    rows = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    for key, value in rows:
        yield from places(value, (*path, key))


PLACES = [path for path in places(SOUND["differential"]["element"]) if path]


@given(place=st.sampled_from(PLACES), value=JSON)
def test_whatever_stands_in_a_differential_is_made_or_refused(place, value):
    definition = json.loads(json.dumps(SOUND))
    node = definition["differential"]["element"]
    for step in place[:-1]:
        node = node[step]
    node[place[-1]] = value
    with contextlib.suppress(DefinitionError):
        generate_snapshot(definition)
