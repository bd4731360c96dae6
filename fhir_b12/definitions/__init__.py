"""Definitions of FHIR: releases, packages, and snapshots of profiles.

A `Release` answers what the specification says of types and elements; `R4` is the one that ships
with the library. `packages` opens packages of profiles, `canonicals` finds definitions by url.
"""

from fhir_b12 import data
from fhir_b12.definitions.release import (
    Codes,
    Element,
    Invariant,
    Release,
    SearchComponent,
    SearchParameter,
)

__all__ = [
    "R4",
    "Codes",
    "Element",
    "Invariant",
    "Release",
    "SearchComponent",
    "SearchParameter",
]

#: FHIR R4, 4.0.1.  https://hl7.org/fhir/R4/
R4 = Release("R4", "4.0.1", data.definitions())
