"""Plausibility rules on data that may be correct but looks like a mistake.

They judge no patient and no treatment, but data that do not fit together: number and unit, route
and product, two dates. The sender knows which is right, so a finding is a warning at most.
Messages: rules/plausibility.toml; switches and numbers: mappings/plausibility.toml.

A validator may have `switched_off` and `switched_on` (ids such as "MED-02") and `now`, a `DateTime`
after which nothing can be done already.
"""

from collections.abc import Callable

from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import Finding, Findings
from fhir_b12.validation.plausibility.accessors import JsonObject
from fhir_b12.validation.plausibility.conditions import (
    check_condition,
    check_encounter,
    check_procedure,
)
from fhir_b12.validation.plausibility.cross_resource import check_across_resources
from fhir_b12.validation.plausibility.medications import (
    check_administration,
    check_order,
    check_statement,
)
from fhir_b12.validation.plausibility.observations import check_observation

__all__ = ["Findings", "check_across_resources", "check_plausibility"]

_CHECKS: dict[str, Callable[[JsonObject, ResourceContext, list[Finding]], None]] = {
    "Condition": check_condition,
    "Encounter": check_encounter,
    "MedicationAdministration": check_administration,
    "MedicationRequest": check_order,
    "MedicationStatement": check_statement,
    "Observation": check_observation,
    "Procedure": check_procedure,
}


def check_plausibility(
    resource: JsonObject, context: ResourceContext, findings: list[Finding]
) -> None:
    """Check one resource and the resources that it references.

    Args:
        resource: The resource, of which the shape was checked.
        context: Its context.
        findings: Findings are appended, with paths that start at the resource.

    """
    check = _CHECKS.get(context.type)
    if check is not None:
        check(resource, context, findings)
