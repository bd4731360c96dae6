"""Check resources and extensions against profiles.  https://hl7.org/fhir/R4/profiling.html

A profile's snapshot is compiled when it is first met, once for a set of definitions, into what it
adds to R4; what R4's base rules say is checked elsewhere and not said again here.
"""

from typing import Any

from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.extensions import check_extension, check_extensions
from fhir_b12.validation.findings import Finding
from fhir_b12.validation.profiles.registry import profiles_of
from fhir_b12.validation.profiles.vital_signs import implied_profiles

__all__ = ["check_extension", "check_extensions", "check_profile", "implied_profiles"]


def check_profile(
    node: dict[str, Any], structure_url: str, context: ResourceContext, found: list[Finding]
) -> None:
    """A resource against a profile and those it imposes; nothing is said of an unknown one.

    `context` is that of the resource. Extensions are checked by `check_extensions`, whatever the
    profile says of them but how many there are.
    """
    profiles_of(context).check_resource(node, structure_url, context, found)
