"""Advice on a diagnosis: what its code does not say, and when it began.

https://hl7.org/fhir/R4/condition.html
"""

from fhir_b12 import codes
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import Finding
from fhir_b12.validation.plausibility.accessors import (
    Node,
    is_before,
    pairs,
    referred,
    wider,
    words,
)
from fhir_b12.validation.plausibility.rule_config import facts, say


def check_condition(resource: Node, context: ResourceContext, found: list[Finding]) -> None:
    """A code that says too little, or another thing than the text beside it."""
    concept = resource.get("code")
    if concept is None:
        return
    known = pairs(concept)
    rule = facts("CND-01")
    vague = wider("conditions", rule.conditions, rule.systems)
    if known and known <= vague and not any(_names_b12(text) for text in words(concept)):
        say(context, found, "CND-01", "code")
    rule = facts("CND-03")
    table = codes.table("conditions")
    symptom = table[rule.words_of or ""]
    said = " ".join(concept.get("text", "").lower().split())
    if said in symptom.spellings:
        for key in rule.conditions:
            if any((each.system, each.code) in known for each in table[key].codings):
                say(context, found, "CND-03", "code")


def _names_b12(text: str) -> bool:
    return "b12" in text or "b-12" in text or "b 12" in text or "cobalamin" in text


def check_encounter(resource: Node, context: ResourceContext, found: list[Finding]) -> None:
    """A manifestation in the first place.  https://hl7.org/fhir/R4/encounter.html"""
    for i, diagnosis in enumerate(resource.get("diagnosis", ())):
        if diagnosis.get("rank") != 1:
            continue
        held = referred(diagnosis.get("condition"), context, "Condition")
        if held is None:
            continue
        rule = facts("CND-02")
        coded = pairs(held.resource.get("code"))
        if coded & wider("conditions", rule.conditions, rule.systems):
            say(context, found, "CND-02", "diagnosis", i)


def check_procedure(resource: Node, context: ResourceContext, found: list[Finding]) -> None:
    """A reason that came later.  https://hl7.org/fhir/R4/procedure.html"""
    if resource.get("status") != "entered-in-error":
        check_reasons(resource, context, found, "performed")


def check_reasons(
    resource: Node, context: ResourceContext, found: list[Finding], stem: str
) -> None:
    """Conditions that are the reason for what was done before they began."""
    if "reasonReference" not in resource:
        return
    done = resource.get(f"{stem}DateTime") or resource.get(f"{stem}Period", {}).get("end")
    for i, reference in enumerate(resource["reasonReference"]):
        held = referred(reference, context, "Condition")
        if held is None:
            continue
        reason = held.resource
        began = reason.get("onsetDateTime") or reason.get("onsetPeriod", {}).get("start")
        if is_before(done, began):
            say(context, found, "CND-04", "reasonReference", i)
