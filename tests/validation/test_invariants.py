"""The invariants of R4 hold or are broken as in R4 and the reference validator."""

import bz2
import json
import random
from decimal import Decimal
from pathlib import Path

import pytest

from fhir_b12 import fhirpath
from fhir_b12.definitions import R4
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.invariants import FUNCTIONS, find_orphans
from fhir_b12.validation.invariants.comparison import is_not_after
from fhir_b12.validation.structure.normalization import Normalizer
from tests.validation.walk import visits

CASES = json.loads(
    (Path(__file__).parent / "cases" / "invariants.json").read_text("utf-8"), parse_float=Decimal
)
RULES = [
    rule for name in sorted(R4.resource_types | R4.data_types) for rule in R4.invariants(name)
] + [rule for name in ("SimpleQuantity", "MoneyQuantity") for rule in R4.invariants(name)]
KEYS = {rule.key for rule in RULES}
WARNINGS = {rule.key for rule in RULES if rule.severity == "warning"}
PLACES = {key: sorted({rule.path for rule in RULES if rule.key == key}) for key in KEYS}

#: Invariants that no well-shaped node breaks, with the reason.
UNBREAKABLE = {
    "cid-0": "R4's ChargeItemDefinition has no name",
    "con-3": "the reference validator's expression never fails",
    "eld-11": "R4's expression never fails",
    "ele-1": "an empty object is reported by the structure checks",
}
#: Invariants of types that no element of R4 has.
UNUSED = {"mqty-1"}


def broken_keys(resource):
    return {
        rule.key
        for rule, _, node, context in visits(resource)
        if rule.key in FUNCTIONS and not FUNCTIONS[rule.key](node, context)
    }


def applicable_keys(resource):
    return {rule.key for rule, *_ in visits(resource)}


def test_every_invariant_of_r4_has_a_function():
    assert KEYS - set(FUNCTIONS) == set()
    assert set(FUNCTIONS) - KEYS == set()


def test_every_invariant_has_cases():
    assert sorted(CASES) == sorted(KEYS)
    assert {k for k, case in CASES.items() if not case["holds"]} == UNUSED
    assert {k for k, case in CASES.items() if not case["broken"]} == UNUSED | set(UNBREAKABLE)


@pytest.mark.parametrize("key", sorted(set(CASES)))
def test_an_invariant_holds_or_is_broken_as_its_cases_state(key):
    verdicts = {
        kind: [key in broken_keys(resource) for resource in resources]
        for kind, resources in CASES[key].items()
    }
    assert verdicts == {
        "holds": [False] * len(CASES[key]["holds"]),
        "broken": [True] * len(CASES[key]["broken"]),
    }


@pytest.mark.parametrize("key", sorted(set(CASES) - UNUSED))
def test_an_invariant_applies_in_its_cases(key):
    assert any(key in applicable_keys(each) for each in CASES[key]["holds"] + CASES[key]["broken"])


@pytest.mark.parametrize(
    ("node", "holds"),
    [
        ({}, True),
        ({"value": 5, "code": "EUR", "system": "urn:iso:std:iso:4217"}, True),
        ({"value": 5, "code": "EUR"}, True),
        ({"value": 5}, False),
        ({"value": 5, "code": "EUR", "system": "http://example.org"}, False),
    ],
)
def test_money_must_have_a_currency(node, holds):
    assert FUNCTIONS["mqty-1"](node, ResourceContext({"resourceType": "Invoice"}, None)) == holds


def test_inv_1_has_a_different_rule_for_each_resource_type():
    node = {"name": "a", "operation": {}, "authoredOn": "2026", "lastModified": "2025"}
    verdicts = {
        name: FUNCTIONS["inv-1"](node, ResourceContext({"resourceType": name}, None))
        for name in ("Task", "TestReport", "Parameters")
    }
    assert verdicts == {"Task": False, "TestReport": True, "Parameters": False}


def test_find_orphans_returns_indices_of_contained_resources():
    resource = {
        "resourceType": "Patient",
        "contained": [
            {"resourceType": "Organization", "id": "used"},
            {"resourceType": "Organization", "id": "lost"},
            {"resourceType": "Organization", "id": "parent", "partOf": {"reference": "#used"}},
            {"resourceType": "Organization", "id": "child", "partOf": {"reference": "#"}},
            {"resourceType": "Organization"},
        ],
        "managingOrganization": {"reference": "#used"},
    }
    assert find_orphans(resource) == [1, 2, 4]


def recorded_outcomes(root):
    """Yield name, operator, resource and the reference's error keys of examples and mutants."""
    for folder in ("r4-examples", "us-core", "ips"):
        files = {path.name: path for path in (root / folder).glob("*/*.json")}
        with bz2.open(root / "reference_outcomes" / f"{folder}.ndjson.bz2", "rt") as lines:
            for row in map(json.loads, lines):
                text = row.get("text")
                if text is None and row["source"] not in files:
                    continue
                normalizer = Normalizer()
                text = text or files[row["source"]].read_text("utf-8")
                resource = normalizer.normalize(json.loads(text, parse_float=Decimal))
                if not normalizer.findings:  # the reference stops early at malformed elements
                    yield row["source"], row["operator"], resource, error_keys(row["issues"])


def error_keys(issues):
    """Return the keys of R4's invariants among errors."""
    rules = [issue.get("rule") or "" for issue in issues if issue["severity"] == "error"]
    named = {rule.rpartition("#")[2] for rule in rules}
    return (named & KEYS) | ({"dom-3"} if any(rule.endswith("_DOM3") for rule in rules) else set())


def test_examples_and_mutants_break_the_invariants_of_the_reference(fixtures):
    wrong, number = [], 0
    for name, operator, resource, keys in recorded_outcomes(fixtures):
        number += 1
        ours = broken_keys(resource) - WARNINGS
        if (ours - OF_PRIMITIVES != keys - OF_PRIMITIVES) and (name, operator) not in DIFFERENCES:
            wrong.append((name, operator, sorted(ours), sorted(keys)))
    assert wrong == []
    assert number > 1500


#: Examples with a difference, and its reason.
DIFFERENCES = {
    ("some-day-smoker.json", "reversed_period"): (
        "the profile forbids the Period, so the reference does not check its content"
    ),
}
#: Invariants of primitives, which have no function.
OF_PRIMITIVES = {"ele-1"}


# --- comparison with R4's expressions

#: Functions that follow the reference validator instead of R4's expression, with the reason.
ERRATA = {
    "bdl-8": "an absent fullUrl breaks R4's expression",
    "con-3": "R4's expression is treated as satisfied",
    "dom-3": "links in the narrative and references of other contained resources count too",
    "dom-6": "a contained resource needs no narrative",
    "eld-19": "the whole path must match; R4's expression accepts a part",
    "eld-20": "the whole path must match; R4's expression accepts a part",
    "ele-1": "an id alone is enough",
    "obs-7": "a component may have more codings than the Observation",
    "opd-3": "any type of resource may have target profiles",
    "per-1": "FHIRPath cannot compare an invalid date",
    "que-7": "R4's expression spells boolean with a capital",
    "que-12": "R4's words say two, its expression three",
    "ras-2": "an absent probability breaks R4's expression",
    "ref-1": "`#` alone refers to the containing resource",
    "sqty-1": "R4 has no comparator there, so FHIRPath finds none",
    "tim-9": "every meal is checked if there are several",
}


class Environment:
    """The environment of a FHIRPath expression."""

    def __init__(self, context):
        self.resource, self.root_resource = context.resource, context.root.resource
        self._context = context

    def resolve(self, reference):
        there = self._context.resolve(reference)
        return (there.resource, there.type) if there else None

    def member_of(self, _url, _item):
        return None

    def conforms_to(self, _url, _node):
        return None


def differing_keys(resource):
    """Yield the keys whose function and expression differ for an element of a resource."""
    for rule, path, node, context in visits(resource):
        if not rule.expression or rule.key.startswith("txt-"):
            continue
        try:
            holds = fhirpath.compile(rule.expression).is_satisfied(node, path, Environment(context))
        except fhirpath.FhirPathError:
            holds = None
        if holds != FUNCTIONS[rule.key](node, context):
            yield rule.key


def test_functions_agree_with_r4s_expressions_on_the_cases():
    resources = [resource for case in CASES.values() for kind in case.values() for resource in kind]
    keys = {key for resource in resources for key in differing_keys(resource)}
    named = {key for key in keys if not key.endswith("-0")}  # an absent name breaks R4's expression
    assert named == set(ERRATA)


def test_functions_agree_with_r4s_expressions_on_the_examples(fixtures):
    keys = set()
    for path in sorted((fixtures / "r4-examples").glob("*/*.json")):
        keys.update(differing_keys(json.loads(path.read_text("utf-8"), parse_float=Decimal)))
    assert {key for key in keys if not key.endswith("-0")} <= set(ERRATA)


# --- totality


def draw_node(path, draw, depth=2):
    """Return a random well-shaped node at a path; values may be wrong and parts absent."""
    names = [name for name in R4.children(path) if name != "resourceType"]
    chosen = draw.sample(names, min(len(names), draw.randint(0, 6)))
    drawn = {name: _value(f"{path}.{name}", draw, depth) for name in chosen}
    return {name: value for name, value in drawn.items() if value not in (None, [], {})}


def _value(path, draw, depth):
    definition = R4.element(path)
    (kind, *_) = definition.types or ("BackboneElement",)
    if not R4.is_primitive(kind) and (depth == 0 or kind in {"Resource", "Extension"}):
        return None
    many = 1 if definition.max == 1 else draw.randint(1, 2)
    if R4.is_primitive(kind):
        values = [_primitive(definition, draw) for _ in range(many)]
    else:
        values = [draw_node(path, draw, depth - 1) for _ in range(many)]
    values = [value for value in values if value != {}]
    return values if definition.max != 1 else next(iter(values), None)


def _primitive(definition, draw):
    """Return a random value of a primitive's JSON type, valid or not."""
    kind = definition.types[0]
    if kind == "boolean":
        return draw.choice([True, False])
    if kind in {"integer", "positiveInt", "unsignedInt"}:
        return draw.randint(-3, 3)
    if kind == "decimal":
        return draw.choice([Decimal("-1.5"), Decimal(0), Decimal("1E+9"), 3, Decimal("100.0")])
    known = sorted(R4.required_codes(definition) or ())
    return draw.choice(
        ["", " ", "junk", "2026-13-45", "2026-01", "#", "#x", "*", "A.b", "2", *known]
    )


@pytest.mark.parametrize("key", sorted(set(CASES)))
def test_no_function_raises_for_a_well_shaped_node(key):
    draw = random.Random(key)
    paths = [path for path in PLACES[key] if R4.children(path)][:3]
    for path in paths:
        owner = path.partition(".")[0]
        for _ in range(60):
            resource = {"resourceType": owner if R4.is_resource(owner) else "Patient"}
            node = draw_node(path, draw)
            if path == owner == resource["resourceType"]:
                node = resource = {**resource, **node}
            assert FUNCTIONS[key](node, ResourceContext(resource, None)) in (True, False)


def test_is_not_after_is_false_if_it_cannot_be_decided():
    undecided = [
        ("2026", "2026-01"),
        ("2026-01-01", "2026-01-01T10:00:00Z"),
        ("2026-01-01T23:30:00-05:00", "2026-01-02"),
        ("junk", "2026"),
        ("2026", "2025-13"),
        ("2026-02-30", "2026-03-01"),
        (None, "2026"),
        (3, 4),
    ]
    assert [pair for pair in undecided if is_not_after(*pair)] == []


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("2026", "2026"),
        ("2026", "2027-01"),
        ("2026-01-01T15:00:00Z", "2026-01-02"),
        ("2026-01-01T10:00:00+02:00", "2026-01-01T09:00:00Z"),
        ("2026-01-01T10:00:00Z", "2026-01-01T10:00:00.000Z"),
        ("2026-01-01T10:00:60Z", "2026-01-01T10:01:00Z"),
        ("2026-01-01T10:01:00Z", "2026-01-01T10:00:60Z"),
        ("2026-01-01T10:00:00.123456789Z", "2026-01-01T10:00:00.123456780Z"),
    ],
)
def test_moments_are_compared_in_utc_to_the_millisecond(first, last):
    assert is_not_after(first, last)
