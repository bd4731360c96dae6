"""Advice on data that may be right and looks as if something went wrong on its way.

Nothing here judges a patient or a treatment: number and unit, route and product, two dates do not
fit each other, and the sender knows which is right. So it is a warning at most.
Rules: rules/plausibility.toml; their switches and numbers: mappings/plausibility.toml.

A validator may offer `switched_off` and `switched_on` (ids such as "MED-02") and `now`, a
`DateTime` beyond which nothing can be done already.
"""

from collections.abc import Callable, Sequence

from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import Finding
from fhir_b12.validation.plausibility.accessors import Node
from fhir_b12.validation.plausibility.conditions import (
    check_condition,
    check_encounter,
    check_procedure,
)
from fhir_b12.validation.plausibility.cross_resource import FoundByContext, check_joint
from fhir_b12.validation.plausibility.medicines import check_administration, check_order, check_use
from fhir_b12.validation.plausibility.results import check_observation

__all__ = ["check_plausibility", "check_together"]

_CHECKS: dict[str, Callable[[Node, ResourceContext, list[Finding]], None]] = {
    "Condition": check_condition,
    "Encounter": check_encounter,
    "MedicationAdministration": check_administration,
    "MedicationRequest": check_order,
    "MedicationStatement": check_use,
    "Observation": check_observation,
    "Procedure": check_procedure,
}


def check_plausibility(resource: Node, context: ResourceContext, found: list[Finding]) -> None:
    """What one resource says, with what its references lead to; well-shaped JSON."""
    check = _CHECKS.get(context.type)
    if check is not None:
        check(resource, context, found)


def check_together(contexts: Sequence[ResourceContext], found: FoundByContext) -> None:
    """What the resources of a Bundle or list say of each patient, in time linear to their number.

    `found[i]` takes the findings on `contexts[i]`, with paths that start at its resource.
    """
    check_joint(contexts, found)
