"""Invariants of clinical resources: observations, medication, conditions, plans.

https://hl7.org/fhir/R4/clinicalsummary-module.html
"""

from decimal import Decimal
from typing import Any

from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.invariants.comparison import not_after
from fhir_b12.validation.invariants.predicates import (
    chosen,
    coded,
    count,
    entails,
    has,
    items,
    just_one,
    names,
    needs,
    not_both,
)

Node = dict[str, Any]

_UCUM = "http://unitsofmeasure.org"
_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
_VALUES = names(
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
_ABATEMENTS = names(
    "abatementDateTime", "abatementAge", "abatementPeriod", "abatementRange", "abatementString"
)


# --- Observation: https://hl7.org/fhir/R4/observation.html

obs_3 = needs("low", "high", "text")


def obs_6(node: Node, _: ResourceContext) -> bool:
    """Not both a value and the reason why there is none."""
    return "dataAbsentReason" not in node or _VALUES.isdisjoint(node)


def obs_7(node: Node, _: ResourceContext) -> bool:
    """No component has the code of the whole that has a value.

    All that the whole's coding says counts; the reference validator lets the component's say more.
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

mad_1 = needs("dose", "rateRatio", "rateQuantity")


def mdd_1(node: Node, _: ResourceContext) -> bool:
    """Handed over after it was prepared; what cannot be told is broken."""
    if not has(node, "whenHandedOver") or not has(node, "whenPrepared"):
        return True
    return not_after(node.get("whenPrepared"), node.get("whenHandedOver"))


imm_1 = needs("documentType", "reference")
imr_1 = needs("vaccineCode", "targetDisease")


# --- Condition: https://hl7.org/fhir/R4/condition.html

con_1 = needs("summary", "assessment")
con_2 = needs("code", "detail")


def con_3(_node: Node, _: ResourceContext) -> bool:
    """Nothing.

    R4's expression compares a CodeableConcept with a text and so never fails; the reference
    validator's mended one takes `empty()` of a boolean and never fails either. The rule as it is
    meant would only warn.
    """
    return True


def con_4(node: Node, _: ResourceContext) -> bool:
    """What has abated is inactive, in remission or resolved."""
    if _ABATEMENTS.isdisjoint(node):
        return True
    system = f"{_TERMINOLOGY}/condition-clinical"
    return coded(node, "clinicalStatus", system, "resolved", "remission", "inactive")


def con_5(node: Node, _: ResourceContext) -> bool:
    """What was entered in error has no clinical status."""
    if "clinicalStatus" not in node:
        return True
    system = f"{_TERMINOLOGY}/condition-ver-status"
    return not coded(node, "verificationStatus", system, "entered-in-error")


# --- AllergyIntolerance: https://hl7.org/fhir/R4/allergyintolerance.html


def ait_1(node: Node, _: ResourceContext) -> bool:
    """What was not entered in error has a clinical status."""
    return "clinicalStatus" in node or _withdrawn(node)


def ait_2(node: Node, _: ResourceContext) -> bool:
    """What was entered in error has no clinical status."""
    return "clinicalStatus" not in node or not _withdrawn(node)


def _withdrawn(node: Node) -> bool:
    system = f"{_TERMINOLOGY}/allergyintolerance-verification"
    return coded(node, "verificationStatus", system, "entered-in-error")


# --- other findings


def fhs_1(node: Node, _: ResourceContext) -> bool:
    """Not both an age and a birth."""
    return not (chosen(node, "age") and chosen(node, "born"))


def fhs_2(node: Node, _: ResourceContext) -> bool:
    """Only an age can be estimated."""
    return not has(node, "estimatedAge") or chosen(node, "age")


def ras_1(node: Any, _: ResourceContext) -> bool:
    """A range of probabilities is in per cent; the choice's decimal has neither low nor high."""
    if not isinstance(node, dict):
        return True
    ends = [node[name] for name in ("low", "high") if name in node]
    return all(end.get("code") == "%" and end.get("system") == _UCUM for end in ends)


def ras_2(node: Node, _: ResourceContext) -> bool:
    """A probability is 100 at most; R4's expression is broken by an absent one too, mended."""
    value = node.get("probabilityDecimal")
    return not isinstance(value, Decimal | int) or value <= 100


def msq_3(node: Node, _: ResourceContext) -> bool:
    """Coordinates start at 0 or 1."""
    return node.get("coordinateSystem") in {0, 1}


def msq_5(node: Node, _: ResourceContext) -> bool:
    """A chromosome and its genome build stand together."""
    return has(node, "chromosome") == has(node, "genomeBuild")


def msq_6(node: Node, _: ResourceContext) -> bool:
    """One way of naming the reference sequence."""
    ways = ("genomeBuild", "referenceSeqId", "referenceSeqPointer", "referenceSeqString")
    return sum(count(node, name) for name in ways) == 1


# --- plans and requests

prr_1 = entails("orderDetail", "code")
rqg_1 = just_one("resource", "action")
nor_1 = needs("oralDiet", "supplement", "enteralFormula")
cpl_3 = not_both("detail", "reference")


def gol_1(node: Node, _: ResourceContext) -> bool:
    """A target's detail has its measure."""
    return has(node, "measure") or not chosen(node, "detail")


def ctm_1(node: Node, context: ResourceContext) -> bool:
    """Only a practitioner takes part on behalf of another; who is not here may be one."""
    if "onBehalfOf" not in node:
        return True
    reference = node.get("member", {}).get("reference")
    member = context.resolve(reference) if isinstance(reference, str) else None
    return member is None or member.type == "Practitioner"


def mea_1(node: Node, _: ResourceContext) -> bool:
    """A stratifier is one criterion or components."""
    alone = names("code", "description", "criteria")
    stratifiers = items(node, "group", "stratifier")
    return all(("component" in each) == alone.isdisjoint(each) for each in stratifiers)


def mrp_2(node: Node, _: ResourceContext) -> bool:
    """A stratum has a value or components."""
    strata = items(node, "group", "stratifier", "stratum")
    return all(("component" in each) != ("value" in each) for each in strata)
