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


def stated():
    """Every rule of R4 with an expression."""
    names = (R4.resource_types | R4.data_types) - PROFILES_OF_QUANTITY
    rules = chain.from_iterable(map(R4.invariants, sorted(names)))
    return [each for each in rules if each.expression]


@cache
def by_place():
    found = {}
    for each in stated():
        found.setdefault(each.path, {})[each.key] = each
    return found


def faults(expressions):
    for expression in expressions:
        try:
            fhirpath.compile(expression)
        except FhirPathError as error:
            yield f"{expression}: {error}"


def broken(node, around):
    """The key of each rule of gravity error that does not hold at a node or below it."""
    if node.type_info.is_resource and node.parent is not None:
        inner = StandaloneEnvironment(node.value)
        if node.parent.type_info.is_resource:  # contained
            inner.root_resource = around.root_resource
        around = inner
    for place in {node.type_info.path, *node.type_info.ancestors}:
        for key, rule in by_place().get(place, {}).items():
            expression = fhirpath.compile(rule.expression)
            facts = (node.value, node.type_info.path, around, node.companion)
            if rule.severity == "error" and not expression.is_satisfied(*facts):
                yield key
    for child in children([node], Evaluation(node, around)):
        yield from broken(child, around)


def test_every_invariant_of_r4_compiles():
    found = {each.expression for each in stated()}
    assert (len(found) > 150, list(faults(sorted(found)))) == (True, [])


def test_the_invariants_hold_of_the_official_examples(fixtures):
    found = set()
    for path in sorted((fixtures / "r4-examples").rglob("*.json")):
        resource = jsonio.loads(path.read_bytes())
        found |= set(
            broken(
                DataNode(resource, types_of(R4).of_resource(resource)),
                StandaloneEnvironment(resource),
            )
        )
    assert found == set(EXCEPTIONS)


@pytest.mark.parametrize("name", PACKAGES)
def test_every_constraint_of_a_package_compiles(fixtures, name):
    found = {
        each["expression"]
        for profile in profiles(fixtures, name)
        for element in profile["snapshot"]["element"]
        for each in element.get("constraint", ())
        if "expression" in each
    }
    assert (len(found) > 20, list(faults(sorted(found)))) == (True, [])


def test_the_constraints_of_us_core_hold_of_its_examples(fixtures):
    known = {each["url"]: each for each in profiles(fixtures, PACKAGES[0])}
    checked, found = set(), set()
    for path in sorted((fixtures / "us-core").rglob("*.json")):
        resource = jsonio.loads(path.read_bytes())
        for url in resource.get("meta", {}).get("profile", ()):
            for key, is_satisfied in judged(resource, known.get(url.partition("|")[0])):
                checked.add(key)
                found |= set() if is_satisfied else {key, path.name}
    assert (checked, found) == (set(OF_US_CORE), set())


def judged(resource, profile):
    """Key and outcome of each constraint a profile adds to elements that are no slices."""
    core = {each.expression for each in stated()}
    around = StandaloneEnvironment(resource)
    for element in profile["snapshot"]["element"] if profile else ():
        if ":" in element["id"]:
            continue
        _, _, path = element["path"].partition(".")
        where = fhirpath.compile(path.replace("[x]", "") or "$this")
        for place in where.locate(resource, resource["resourceType"], around):
            for each in element.get("constraint", ()):
                if (expression := each.get("expression")) and expression not in core:
                    facts = (place.value, place.type_path, around, place.companion)
                    yield each["key"], fhirpath.compile(expression).is_satisfied(*facts)


def profiles(fixtures, name):
    with tarfile.open(fixtures / "packages" / f"{name}.tgz") as archive:
        for member in archive:
            if member.name.startswith("package/StructureDefinition-"):
                yield json.load(archive.extractfile(member))
