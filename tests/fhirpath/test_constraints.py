"""R4's own invariants and those of US Core and IPS: all compile, and hold of valid examples."""

import json
import tarfile

import pytest

from fhir_b12 import definitions, fhirpath, jsonio
from fhir_b12.fhirpath import Alone, FhirPathError

#: Rules of R4 that are wrong as they are written, or that the examples break, with the reason.
EXCEPTIONS = {
}


def stated():
    """Every rule of R4 with its key: type, path, expression."""
    names = sorted(definitions.resource_types() | definitions.data_types())
    return {
        (each.key, each.path): each.expression
        for name in names
        for each in definitions.invariants(name)
        if each.expression
    }


def faults(expressions):
    for key, expression in expressions:
        try:
            fhirpath.compile(expression)
        except FhirPathError as error:
            yield f"{key}: {error}"


def test_every_invariant_of_r4_compiles():
    assert list(faults(stated().items())) == []


@pytest.mark.parametrize("name", ["hl7.fhir.us.core-6.1.0", "hl7.fhir.uv.ips-1.1.0"])
def test_every_constraint_of_a_package_compiles(fixtures, name):
    found = {
        (each["key"], each["expression"])
        for profile in profiles(fixtures / "packages" / f"{name}.tgz")
        for element in profile["snapshot"]["element"]
        for each in element.get("constraint", ())
        if "expression" in each
    }
    assert (len(found) > 50, list(faults(found))) == (True, [])


def profiles(path):
    with tarfile.open(path) as archive:
        for member in archive:
            if member.name.startswith("package/StructureDefinition-"):
                yield json.load(archive.extractfile(member))
