"""R4's own invariants and those of US Core and IPS: all compile, and hold of valid examples."""

import json
import tarfile
from functools import cache
from itertools import chain

import pytest

from fhir_b12 import fhirpath, jsonio
from fhir_b12.definitions import R4
from fhir_b12.fhirpath import FhirPathError, StandaloneEnvironment
from fhir_b12.fhirpath.evaluation import Evaluation, children
from fhir_b12.fhirpath.types import types_of
from fhir_b12.fhirpath.values import DataNode

PACKAGES = ["hl7.fhir.us.core-6.1.0", "hl7.fhir.uv.ips-1.1.0"]
#: Rules of R4 that valid examples break as they are written, and why.
EXCEPTIONS = {
    "que-7": "it says Boolean, FHIRPath's, where FHIR's boolean is meant; R5 says boolean",
    "ref-1": "of a Reference without a reference it is undecided, which is not true",
    "bdl-8": "of an entry without a fullUrl it is undecided, which is not true",
}
#: What the elements that its examples have are held to; the rest stands in slices.
OF_US_CORE = [
    "us-core-1",
    "us-core-2",
    "us-core-3",
    "us-core-4",
    "us-core-6",
    "us-core-7",
    "vs-1",
    "vs-2",
    "vs-3",
]
#: SimpleQuantity and MoneyQuantity state theirs at Quantity; who uses them says so.
PROFILES_OF_QUANTITY = {"SimpleQuantity", "MoneyQuantity"}


def r4_rules():
    """Return all invariants of R4 with an expression."""
    names = (R4.resource_types | R4.data_types) - PROFILES_OF_QUANTITY
    rules = chain.from_iterable(map(R4.invariants, sorted(names)))
    return [rule for rule in rules if rule.expression]


@cache
def rules_by_path():
    rules = {}
    for rule in r4_rules():
        rules.setdefault(rule.path, {})[rule.key] = rule
    return rules


def compile_errors(expressions):
    for expression in expressions:
        try:
            fhirpath.compile(expression)
        except FhirPathError as error:
            yield f"{expression}: {error}"


def violated_keys(node, environment):
    """Yield the keys of violated rules of severity error at a node and its descendants."""
    if node.type_info.is_resource and node.parent is not None:
        inner = StandaloneEnvironment(node.value)
        if node.parent.type_info.is_resource:  # contained
            inner.root_resource = environment.root_resource
        environment = inner
    for path in {node.type_info.path, *node.type_info.ancestors}:
        for key, rule in rules_by_path().get(path, {}).items():
            expression = fhirpath.compile(rule.expression)
            arguments = (node.value, node.type_info.path, environment, node.companion)
            if rule.severity == "error" and not expression.is_satisfied(*arguments):
                yield key
    for child in children([node], Evaluation(node, environment)):
        yield from violated_keys(child, environment)


def test_every_invariant_of_r4_compiles():
    expressions = {rule.expression for rule in r4_rules()}
    assert (len(expressions) > 150, list(compile_errors(sorted(expressions)))) == (True, [])


def test_the_official_examples_satisfy_the_invariants(fixtures):
    violated = set()
    for path in sorted((fixtures / "r4-examples").rglob("*.json")):
        resource = jsonio.loads(path.read_bytes())
        violated |= set(
            violated_keys(
                DataNode(resource, types_of(R4).of_resource(resource)),
                StandaloneEnvironment(resource),
            )
        )
    assert violated == set(EXCEPTIONS)


@pytest.mark.parametrize("name", PACKAGES)
def test_every_constraint_of_a_package_compiles(fixtures, name):
    expressions = {
        constraint["expression"]
        for profile in profiles(fixtures, name)
        for element in profile["snapshot"]["element"]
        for constraint in element.get("constraint", ())
        if "expression" in constraint
    }
    assert (len(expressions) > 20, list(compile_errors(sorted(expressions)))) == (True, [])


def test_the_examples_of_us_core_satisfy_its_constraints(fixtures):
    known = {profile["url"]: profile for profile in profiles(fixtures, PACKAGES[0])}
    checked, violated = set(), set()
    for path in sorted((fixtures / "us-core").rglob("*.json")):
        resource = jsonio.loads(path.read_bytes())
        for url in resource.get("meta", {}).get("profile", ()):
            for key, is_satisfied in check_constraints(resource, known.get(url.partition("|")[0])):
                checked.add(key)
                violated |= set() if is_satisfied else {key, path.name}
    assert (checked, violated) == (set(OF_US_CORE), set())


def check_constraints(resource, profile):
    """Yield key and result of the constraints that a profile adds to unsliced elements."""
    core = {constraint.expression for constraint in r4_rules()}
    environment = StandaloneEnvironment(resource)
    for element in profile["snapshot"]["element"] if profile else ():
        if ":" in element["id"]:
            continue
        _, _, path = element["path"].partition(".")
        locator = fhirpath.compile(path.replace("[x]", "") or "$this")
        for node in locator.locate(resource, resource["resourceType"], environment):
            for constraint in element.get("constraint", ()):
                if (expression := constraint.get("expression")) and expression not in core:
                    arguments = (node.value, node.type_path, environment, node.companion)
                    yield constraint["key"], fhirpath.compile(expression).is_satisfied(*arguments)


def profiles(fixtures, name):
    with tarfile.open(fixtures / "packages" / f"{name}.tgz") as archive:
        for member in archive:
            if member.name.startswith("package/StructureDefinition-"):
                yield json.load(archive.extractfile(member))
