"""Plausibility rules on diagnoses: what the code does not say, and when the condition began.

https://hl7.org/fhir/R4/condition.html
"""

from fhir_b12 import codes
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import Finding
from fhir_b12.validation.plausibility.accessors import (
    JsonObject,
    broader_codes,
    coding_pairs,
    is_before,
    resolve_as,
    texts_of,
)
from fhir_b12.validation.plausibility.rule_config import add_finding, rule_config


def check_condition(
    resource: JsonObject, context: ResourceContext, findings: list[Finding]
) -> None:
    """Report a code that is too broad, or that means something else than its text."""
    concept = resource.get("code")
    if concept is None:
        return
    pairs = coding_pairs(concept)
    config = rule_config("CND-01")
    broader = broader_codes("conditions", config.conditions, config.systems)
    if pairs and pairs <= broader and not any(map(_names_b12, texts_of(concept))):
        add_finding(context, findings, "CND-01", "code")
    config = rule_config("CND-03")
    table = codes.table("conditions")
    symptom = table[config.words_of or ""]
    text = " ".join(concept.get("text", "").lower().split())
    if text in symptom.spellings:
        for key in config.conditions:
            if any((coding.system, coding.code) in pairs for coding in table[key].codings):
                add_finding(context, findings, "CND-03", "code")


def _names_b12(text: str) -> bool:
    return "b12" in text or "b-12" in text or "b 12" in text or "cobalamin" in text


def check_encounter(
    resource: JsonObject, context: ResourceContext, findings: list[Finding]
) -> None:
    """Report a manifestation that is ranked first.  https://hl7.org/fhir/R4/encounter.html"""
    for index, diagnosis in enumerate(resource.get("diagnosis", ())):
        if diagnosis.get("rank") != 1:
            continue
        condition = resolve_as(diagnosis.get("condition"), context, "Condition")
        if condition is None:
            continue
        config = rule_config("CND-02")
        pairs = coding_pairs(condition.resource.get("code"))
        if pairs & broader_codes("conditions", config.conditions, config.systems):
            add_finding(context, findings, "CND-02", "diagnosis", index)


def check_procedure(
    resource: JsonObject, context: ResourceContext, findings: list[Finding]
) -> None:
    """Report a reason that began later.  https://hl7.org/fhir/R4/procedure.html"""
    if resource.get("status") != "entered-in-error":
        check_reasons(resource, context, findings, "performed")


def check_reasons(
    resource: JsonObject, context: ResourceContext, findings: list[Finding], stem: str
) -> None:
    """Report reasons that began after the resource was done; `stem` names its choice of dates."""
    if "reasonReference" not in resource:
        return
    done = resource.get(f"{stem}DateTime") or resource.get(f"{stem}Period", {}).get("end")
    for index, reference in enumerate(resource["reasonReference"]):
        condition = resolve_as(reference, context, "Condition")
        if condition is None:
            continue
        reason = condition.resource
        onset = reason.get("onsetDateTime") or reason.get("onsetPeriod", {}).get("start")
        if is_before(done, onset):
            add_finding(context, findings, "CND-04", "reasonReference", index)
