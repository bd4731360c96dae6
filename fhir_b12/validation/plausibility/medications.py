"""Plausibility rules on medication that was given, ordered or taken.

https://hl7.org/fhir/R4/medicationadministration.html
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import cache

from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import Finding
from fhir_b12.validation.plausibility.accessors import (
    VOID_STATUSES,
    JsonObject,
    MedicationContent,
    find_entry,
    format_quantity,
    is_before,
    medication_of,
    minutes_of,
    number_of,
    resolve_as,
    unit_of,
    value_in,
)
from fhir_b12.validation.plausibility.conditions import check_reasons
from fhir_b12.validation.plausibility.future_dates import check_future
from fhir_b12.validation.plausibility.observations import correct_spelling, report_unit_spelling
from fhir_b12.validation.plausibility.rule_config import add_finding, rule_config

_GIVEN_STATUSES = frozenset({"in-progress", "completed", "stopped"})


class Administration:
    """A MedicationAdministration with what several rules need, looked up once."""

    def __init__(self, resource: JsonObject, context: ResourceContext) -> None:
        self.resource = resource
        self.status = resource.get("status")
        self.is_given = self.status in _GIVEN_STATUSES
        self.dosage: JsonObject = resource.get("dosage", {})
        self.has_rate = "rateQuantity" in self.dosage or "rateRatio" in self.dosage
        self.period: JsonObject | None = resource.get("effectivePeriod")
        self.minutes = minutes_of(self.period)
        self.medication = medication_of(resource, context)
        product = None if self.medication is None else self.medication.product
        self.volume = None if product is None else _volume_of(product)  #: of the bag, mL


def check_administration(
    resource: JsonObject, context: ResourceContext, findings: list[Finding]
) -> None:
    """Check one dose or infusion.  https://hl7.org/fhir/R4/medicationadministration.html"""
    if resource.get("status") == "entered-in-error":
        return
    given = Administration(resource, context)
    _check_numbers(given, context, findings)
    _check_time(given, context, findings)
    _check_rate(given, context, findings)
    check_reasons(resource, context, findings, "effective")
    check_future(resource, context, findings, "effective", _GIVEN_STATUSES)
    if given.medication is None or not given.medication.b12_drugs:
        return
    _check_dose(given.medication, given.dosage, context, findings, "dosage")
    route = find_entry("routes", given.dosage.get("route"))
    if route is not None:
        _check_route(given.medication, route.key, context, findings)
        _check_duration(given, given.medication, route.key, context, findings)
    _check_order_of(given, context, findings)
    _check_bag(given, given.medication, context, findings)


def check_order(resource: JsonObject, context: ResourceContext, findings: list[Finding]) -> None:
    """Check one order.  https://hl7.org/fhir/R4/medicationrequest.html"""
    _check_dosages(resource, "dosageInstruction", context, findings)


def check_statement(
    resource: JsonObject, context: ResourceContext, findings: list[Finding]
) -> None:
    """Check what a patient takes.  https://hl7.org/fhir/R4/medicationstatement.html"""
    _check_dosages(resource, "dosage", context, findings)


def _check_dosages(
    resource: JsonObject, name: str, context: ResourceContext, findings: list[Finding]
) -> None:
    if name not in resource or resource.get("status") == "entered-in-error":
        return
    medication = medication_of(resource, context)
    if medication is None or medication.drugs.isdisjoint(rule_config("MED-01").drugs):
        return
    for index, dosage in enumerate(resource[name]):
        _check_dose(medication, dosage, context, findings, name, index)


def _doses_of(dosage: JsonObject) -> Iterator[tuple[tuple[str | int, ...], JsonObject]]:
    """Yield path and Quantity of each dose of a dosage, given or ordered."""
    if "dose" in dosage:
        yield ("dose",), dosage["dose"]
    for index, row in enumerate(dosage.get("doseAndRate", ())):
        if "doseQuantity" in row:
            yield ("doseAndRate", index, "doseQuantity"), row["doseQuantity"]


def _check_dose(
    medication: MedicationContent,
    dosage: JsonObject,
    context: ResourceContext,
    findings: list[Finding],
    *path: str | int,
) -> None:
    """MED-01: milligrams where micrograms were meant."""
    config = rule_config("MED-01")
    if medication.drugs.isdisjoint(config.drugs) or config.unit is None or config.above is None:
        return
    mark = len(findings)
    for steps, dose in _doses_of(dosage):
        value = value_in(dose, config.unit)
        if value is not None and value > config.above:
            add_finding(
                context,
                findings,
                "MED-01",
                *path,
                *steps,
                value=format_quantity(dose),
                limit=config.above,
                unit=config.unit,
            )
    text = dosage.get("text")
    if text and len(findings) == mark and _pattern_of(config.words).search(text):
        add_finding(context, findings, "MED-01-text", *path, "text")


@cache
def _pattern_of(words: tuple[str, ...]) -> re.Pattern[str]:
    """Return a pattern that finds any of some words, in any case and spacing."""
    spaced = [r"\s+".join(map(re.escape, text.split())) for text in words]
    return re.compile("|".join(spaced), re.IGNORECASE)


_QUANTITIES: tuple[tuple[str, ...], ...] = (
    ("dose",),
    ("rateQuantity",),
    ("rateRatio", "numerator"),
    ("rateRatio", "denominator"),
)


def _check_numbers(
    given: Administration, context: ResourceContext, findings: list[Finding]
) -> None:
    """MED-13, OBS-03: doses and rates that are not positive; units that are not UCUM."""
    for path in _QUANTITIES:
        quantity = given.dosage.get(path[0])
        if quantity is not None and len(path) > 1:
            quantity = quantity.get(path[1])
        if quantity is None:
            continue
        value = number_of(quantity)
        if given.is_given and value is not None and value <= 0:
            text = format_quantity(quantity)
            add_finding(context, findings, "MED-13", "dosage", *path, value=text)
        unit = unit_of(quantity)
        if unit is not None and (ucum_code := correct_spelling(unit)) is not None:
            report_unit_spelling(ucum_code, quantity, context, findings, "dosage", *path)


def _check_route(
    medication: MedicationContent, route: str, context: ResourceContext, findings: list[Finding]
) -> None:
    """MED-02, MED-03: a route that the label of the drug does not allow."""
    config = rule_config("MED-02")
    if route in config.routes and not medication.drugs.isdisjoint(config.drugs):
        add_finding(context, findings, "MED-02", "dosage", "route")
    config = rule_config("MED-03")
    if route not in config.routes or medication.drugs.isdisjoint(config.drugs):
        return
    if config.exactly in _strengths_of(medication, config.unit or ""):
        values = {"limit": config.exactly, "unit": config.unit}
        add_finding(context, findings, "MED-03", "dosage", "route", **values)


def _strengths_of(medication: MedicationContent, unit: str) -> list[Decimal]:
    """Return the strengths of vitamin B12 in a product; the unit is a mass per volume."""
    mass, _, volume = unit.partition("/")
    strengths = []
    for ingredient in medication.b12_ingredients:
        strength = ingredient.get("strength", {})
        numerator = value_in(strength.get("numerator"), mass)
        denominator = value_in(strength.get("denominator"), volume)
        if numerator is not None and denominator:
            strengths.append(numerator / denominator)
    return strengths


def _check_time(given: Administration, context: ResourceContext, findings: list[Finding]) -> None:
    """MED-04, SES-01: a rate without duration; an administration outside its session."""
    if given.minutes == 0 and given.has_rate:
        add_finding(context, findings, "MED-04", "effectivePeriod")
    session = resolve_as(given.resource.get("context"), context, "Encounter")
    if session is None or not given.is_given:
        return
    period = session.resource.get("period", {})
    if given.period is not None:
        name, start, end = "effectivePeriod", given.period.get("start"), given.period.get("end")
    else:
        name, start = "effectiveDateTime", given.resource.get("effectiveDateTime")
        end = start
    if is_before(end, period.get("start")):
        add_finding(context, findings, "SES-01", name, side="before")
    if is_before(period.get("end"), start):
        add_finding(context, findings, "SES-01", name, side="after")


def _check_duration(
    given: Administration,
    medication: MedicationContent,
    route: str,
    context: ResourceContext,
    findings: list[Finding],
) -> None:
    """MED-05: an infusion that is too short or too long."""
    period, minutes, config = given.period, given.minutes, rule_config("MED-05")
    if given.status != "completed" or route not in config.routes:
        return
    if period is None or minutes is None or minutes <= 0:
        return
    if config.below is None or config.above is None:
        return
    own = [config.below_for[key] for key in medication.drugs if key in config.below_for]
    shortest = max(own, default=config.below)
    if shortest <= minutes <= config.above:
        return
    if minutes < shortest and _is_push(given.dosage, config.words):
        return
    side, limit = ("shorter", shortest) if minutes < shortest else ("longer", config.above)
    values = {"value": f"{period['start']} to {period['end']}", "side": side, "limit": limit}
    add_finding(context, findings, "MED-05", "effectivePeriod", **values)


def _is_push(dosage: JsonObject, words: tuple[str, ...]) -> bool:
    """Return True if the texts of a dosage name a push or bolus."""
    texts = [dosage.get("text", "")]
    for name in ("method", "route"):
        concept = dosage.get(name, {})
        texts += [concept.get("text", "")]
        texts += [coding.get("display", "") for coding in concept.get("coding", ())]
    return any(word in text.lower() for word in words for text in texts)


def _rate_of(dosage: JsonObject, unit: str) -> Decimal | None:
    """Return the rate in a unit per minute."""
    quantity = dosage.get("rateQuantity")
    if quantity is not None:
        return value_in(quantity, f"{unit}/min")
    ratio = dosage.get("rateRatio", {})
    numerator = value_in(ratio.get("numerator"), unit)
    minutes = None if numerator is None else value_in(ratio.get("denominator"), "min")
    return None if numerator is None or not minutes else numerator / minutes


def _check_rate(given: Administration, context: ResourceContext, findings: list[Finding]) -> None:
    """MED-06: rate times duration is not the dose or the volume of the bag."""
    if given.status != "completed" or not given.has_rate:
        return
    if not given.minutes or given.minutes < 0:
        return
    dosage, percent = given.dosage, rule_config("MED-06").percent
    for unit in ("mL", "ug"):
        rate = _rate_of(dosage, unit)
        if rate is None:
            continue
        total, what = value_in(dosage.get("dose"), unit), "the dose"
        if total is None and unit == "mL":
            total, what = given.volume, "the volume of the bag"
        if rate > 0 and total is not None and _differs(rate * given.minutes, total, percent):
            name = "rateQuantity" if "rateQuantity" in dosage else "rateRatio"
            add_finding(context, findings, "MED-06", "dosage", name, percent=percent, what=what)
        return  # a rate is a volume or a mass per time, never both


def _volume_of(product: JsonObject) -> Decimal | None:
    """Return the volume of a bag in mL: the amount of the Medication."""
    ratio = product.get("amount", {})
    denominator = number_of(ratio.get("denominator"))
    return value_in(ratio.get("numerator"), "mL") if denominator in (None, 1) else None


def _differs(one: Decimal, other: Decimal, percent: int) -> bool:
    return abs(one - other) * 100 > percent * other


def _check_bag(
    given: Administration,
    medication: MedicationContent,
    context: ResourceContext,
    findings: list[Finding],
) -> None:
    """MED-07: the dose is not the content of a bag made up with a diluent."""
    if given.status != "completed" or not medication.is_diluted:
        return
    if len(medication.b12_ingredients) != 1:
        return
    dose = value_in(given.dosage.get("dose"), "ug")
    content = _content_of(medication.b12_ingredients[0], given.volume)
    percent = rule_config("MED-07").percent
    if dose is not None and content is not None and _differs(dose, content, percent):
        text = format_quantity(given.dosage["dose"])
        add_finding(context, findings, "MED-07", "dosage", "dose", value=text, percent=percent)


def _content_of(ingredient: JsonObject, bag_volume: Decimal | None) -> Decimal | None:
    """Return the mass of an ingredient in the whole bag, in ug; the volume is in mL."""
    strength = ingredient.get("strength", {})
    mass, denominator = value_in(strength.get("numerator"), "ug"), strength.get("denominator")
    if mass is None:
        return None
    if denominator is None:
        return mass
    if unit_of(denominator) in {None, "1"} and number_of(denominator) in (None, 1):
        return mass
    volume = value_in(denominator, "mL")
    return None if not volume or bag_volume is None else mass / volume * bag_volume


def _check_order_of(
    given: Administration, context: ResourceContext, findings: list[Finding]
) -> None:
    """MED-10, MED-12: an order that is not in force, or that was not given in full."""
    order = resolve_as(given.resource.get("request"), context, "MedicationRequest")
    if order is None:
        return
    status = order.resource.get("status")
    if given.is_given and status in VOID_STATUSES:
        add_finding(context, findings, "MED-12-void", "request", status=status)
    if given.status in {"stopped", "not-done"} and _is_ordered_dose(given.dosage, order.resource):
        rule = "MED-10" if given.status == "stopped" else "MED-10-not-done"
        add_finding(context, findings, rule, "dosage", "dose")


def _is_ordered_dose(dosage: JsonObject, order: JsonObject) -> bool:
    """Return True if the dose equals that of the order, in whatever unit."""
    dose = value_in(dosage.get("dose"), "ug")
    ordered = [
        value_in(quantity, "ug")
        for instruction in order.get("dosageInstruction", ())
        for _, quantity in _doses_of(instruction)
    ]
    return dose is not None and len(ordered) == 1 and ordered[0] == dose
