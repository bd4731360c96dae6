"""Validation of resources and extensions against profiles.  https://hl7.org/fhir/R4/profiling.html

The snapshot of a profile is compiled on first use, once for each set of definitions, into the rules
that it adds to R4; R4's own rules are checked elsewhere.
"""

from typing import Any

from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.extensions import check_extension, check_extensions
from fhir_b12.validation.findings import Finding
from fhir_b12.validation.profiles.registry import profile_registry
from fhir_b12.validation.profiles.vital_signs import implied_profiles

__all__ = ["check_extension", "check_extensions", "check_profile", "implied_profiles"]


def check_profile(
    node: dict[str, Any], structure_url: str, context: ResourceContext, findings: list[Finding]
) -> None:
    """Check a resource against a profile and the profiles that it imposes.

    An unknown profile is not reported. Of extensions only the number is checked, for
    `check_extensions` does the rest.

    Args:
        node: The resource.
        structure_url: Canonical url of the profile.
        context: The context of the resource.
        findings: Findings are appended, with paths that start at the resource.

    """
    profile_registry(context).check_resource(node, structure_url, context, findings)
