"""Invariants of clinical resources: observations, medication, conditions, plans.

https://hl7.org/fhir/R4/clinicalsummary-module.html
"""

from decimal import Decimal
from typing import Any

from fhir_b12.aliases import UCUM
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.invariants.comparison import is_not_after
from fhir_b12.validation.invariants.predicates import (
    choice_exists,
    count,
    exists,
    forbid_both,
    has_coding,
    items,
    json_names,
    require_any,
    require_exactly_one,
    require_with,
)

JsonObject = dict[str, Any]

_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
_VALUES = json_names(
    "valueQuantity",
    "valueCodeableConcept",
    "valueString",
    "valueBoolean",
    "valueInteger",
    "valueRange",
    "valueRatio",
    "valueSampledData",
    "valueTime",
    "valueDateTime",
    "valuePeriod",
)
_ABATEMENTS = json_names(
    "abatementDateTime", "abatementAge", "abatementPeriod", "abatementRange", "abatementString"
)


# --- Observation: https://hl7.org/fhir/R4/observation.html

obs_3 = require_any("low", "high", "text")


def obs_6(node: JsonObject, _: ResourceContext) -> bool:
    """`dataAbsentReason` must not be present beside a value."""
    return "dataAbsentReason" not in node or _VALUES.isdisjoint(node)


def obs_7(node: JsonObject, _: ResourceContext) -> bool:
    """A component must not have the code of the Observation, if that has a value.

    All elements of the Observation's coding are compared; the component's coding may have more.
    """
    if "component" not in node or _VALUES.isdisjoint(node):
        return True
    parts = items(node, "component", "code", "coding")
    return not any(
        all(part.get(name) == value for name, value in whole.items())
        for whole in items(node, "code", "coding")
        for part in parts
    )


# --- medication: https://hl7.org/fhir/R4/medications-module.html

mad_1 = require_any("dose", "rateRatio", "rateQuantity")


def mdd_1(node: JsonObject, _: ResourceContext) -> bool:
    """A medication must not be handed over before it is prepared; undecidable is broken."""
    if not exists(node, "whenHandedOver") or not exists(node, "whenPrepared"):
        return True
    return is_not_after(node.get("whenPrepared"), node.get("whenHandedOver"))


imm_1 = require_any("documentType", "reference")
imr_1 = require_any("vaccineCode", "targetDisease")


# --- Condition: https://hl7.org/fhir/R4/condition.html

con_1 = require_any("summary", "assessment")
con_2 = require_any("code", "detail")


def con_3(_node: JsonObject, _: ResourceContext) -> bool:
    """A problem list item must have a clinicalStatus; never broken.

    R4's expression compares a CodeableConcept with a string and never fails. The expression that
    the reference validator uses instead calls `empty()` on a boolean and never fails either. The
    rule as it is meant is only a warning.
    """
    return True


def con_4(node: JsonObject, _: ResourceContext) -> bool:
    """A condition with an abatement must be inactive, in remission or resolved."""
    if _ABATEMENTS.isdisjoint(node):
        return True
    system = f"{_TERMINOLOGY}/condition-clinical"
    return has_coding(node, "clinicalStatus", system, "resolved", "remission", "inactive")


def con_5(node: JsonObject, _: ResourceContext) -> bool:
    """A condition that was entered in error must not have a clinicalStatus."""
    if "clinicalStatus" not in node:
        return True
    system = f"{_TERMINOLOGY}/condition-ver-status"
    return not has_coding(node, "verificationStatus", system, "entered-in-error")


# --- AllergyIntolerance: https://hl7.org/fhir/R4/allergyintolerance.html


def ait_1(node: JsonObject, _: ResourceContext) -> bool:
    """An allergy must have a clinicalStatus unless it was entered in error."""
    return "clinicalStatus" in node or _withdrawn(node)


def ait_2(node: JsonObject, _: ResourceContext) -> bool:
    """An allergy that was entered in error must not have a clinicalStatus."""
    return "clinicalStatus" not in node or not _withdrawn(node)


def _withdrawn(node: JsonObject) -> bool:
    system = f"{_TERMINOLOGY}/allergyintolerance-verification"
    return has_coding(node, "verificationStatus", system, "entered-in-error")


# --- other findings


def fhs_1(node: JsonObject, _: ResourceContext) -> bool:
    """`age` and born must not both be present."""
    return not (choice_exists(node, "age") and choice_exists(node, "born"))


def fhs_2(node: JsonObject, _: ResourceContext) -> bool:
    """`estimatedAge` may only be present beside an age."""
    return not exists(node, "estimatedAge") or choice_exists(node, "age")


def ras_1(node: Any, _: ResourceContext) -> bool:
    """A range of probabilities must be in percent; a decimal has neither low nor high."""
    if not isinstance(node, dict):
        return True
    ends = [node[name] for name in ("low", "high") if name in node]
    return all(end.get("code") == "%" and end.get("system") == UCUM for end in ends)


def ras_2(node: JsonObject, _: ResourceContext) -> bool:
    """A probability must not exceed 100; R4's expression is also broken if it is absent."""
    value = node.get("probabilityDecimal")
    return not isinstance(value, Decimal | int) or value <= 100


def msq_3(node: JsonObject, _: ResourceContext) -> bool:
    """`coordinateSystem` must be 0 or 1."""
    return node.get("coordinateSystem") in {0, 1}


def msq_5(node: JsonObject, _: ResourceContext) -> bool:
    """`chromosome` and genomeBuild must both be present, or both absent."""
    return exists(node, "chromosome") == exists(node, "genomeBuild")


def msq_6(node: JsonObject, _: ResourceContext) -> bool:
    """The reference sequence must be identified in exactly one of four ways."""
    names = ("genomeBuild", "referenceSeqId", "referenceSeqPointer", "referenceSeqString")
    return sum(count(node, name) for name in names) == 1


# --- plans and requests

prr_1 = require_with("orderDetail", "code")
rqg_1 = require_exactly_one("resource", "action")
nor_1 = require_any("oralDiet", "supplement", "enteralFormula")
cpl_3 = forbid_both("detail", "reference")


def gol_1(node: JsonObject, _: ResourceContext) -> bool:
    """A target with a detail must have a measure."""
    return exists(node, "measure") or not choice_exists(node, "detail")


def ctm_1(node: JsonObject, context: ResourceContext) -> bool:
    """`onBehalfOf` is only allowed for a practitioner; an unresolved member may be one."""
    if "onBehalfOf" not in node:
        return True
    reference = node.get("member", {}).get("reference")
    member = context.resolve(reference) if isinstance(reference, str) else None
    return member is None or member.type == "Practitioner"


def mea_1(node: JsonObject, _: ResourceContext) -> bool:
    """A stratifier must have either a criterion or components."""
    criterion = json_names("code", "description", "criteria")
    stratifiers = items(node, "group", "stratifier")
    return all(("component" in item) == criterion.isdisjoint(item) for item in stratifiers)


def mrp_2(node: JsonObject, _: ResourceContext) -> bool:
    """A stratum must have either a value or components."""
    strata = items(node, "group", "stratifier", "stratum")
    return all(("component" in item) != ("value" in item) for item in strata)
