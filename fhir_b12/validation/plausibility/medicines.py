"""Advice on a medicine that was given or ordered: dose, route, time, rate, bag, order, session.

https://hl7.org/fhir/R4/medicationadministration.html
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import cache

from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import Finding
from fhir_b12.validation.plausibility.accessors import (
    VOID,
    Medicine,
    Node,
    amount,
    is_before,
    meaning,
    medicine,
    minutes,
    number,
    referred,
    shown,
    unit_of,
)
from fhir_b12.validation.plausibility.conditions import check_reasons
from fhir_b12.validation.plausibility.future import check_future
from fhir_b12.validation.plausibility.results import say_spelling, spelling
from fhir_b12.validation.plausibility.rule_config import facts, say

_GIVEN = frozenset({"in-progress", "completed", "stopped"})


class Given:
    """A MedicationAdministration, with what several rules ask of it looked up once."""

    def __init__(self, resource: Node, context: ResourceContext) -> None:
        self.resource = resource
        self.status = resource.get("status")
        self.is_given = self.status in _GIVEN
        self.dosage: Node = resource.get("dosage", {})
        self.has_rate = "rateQuantity" in self.dosage or "rateRatio" in self.dosage
        self.period: Node | None = resource.get("effectivePeriod")
        self.lasted = minutes(self.period)
        self.medicine = medicine(resource, context)
        product = None if self.medicine is None else self.medicine.product
        self.volume = None if product is None else _volume(product)  #: of the bag, mL


def check_administration(resource: Node, context: ResourceContext, found: list[Finding]) -> None:
    """One dose or infusion.  https://hl7.org/fhir/R4/medicationadministration.html"""
    if resource.get("status") == "entered-in-error":
        return
    given = Given(resource, context)
    _check_numbers(given, context, found)
    _check_moment(given, context, found)
    _check_rate(given, context, found)
    check_reasons(resource, context, found, "effective")
    check_future(resource, context, found, "effective", _GIVEN)
    if given.medicine is None or not given.medicine.b12:
        return
    _check_dose(given.medicine, given.dosage, context, found, "dosage")
    route = meaning("routes", given.dosage.get("route"))
    if route is not None:
        _check_route(given.medicine, route.key, context, found)
        _check_length(given, given.medicine, route.key, context, found)
    _check_order(given, context, found)
    _check_bag(given, given.medicine, context, found)


def check_order(resource: Node, context: ResourceContext, found: list[Finding]) -> None:
    """One order.  https://hl7.org/fhir/R4/medicationrequest.html"""
    _check_dosages(resource, "dosageInstruction", context, found)


def check_use(resource: Node, context: ResourceContext, found: list[Finding]) -> None:
    """What a patient takes.  https://hl7.org/fhir/R4/medicationstatement.html"""
    _check_dosages(resource, "dosage", context, found)


def _check_dosages(
    resource: Node, name: str, context: ResourceContext, found: list[Finding]
) -> None:
    if name not in resource or resource.get("status") == "entered-in-error":
        return
    taken = medicine(resource, context)
    if taken is None or taken.drugs.isdisjoint(facts("MED-01").drugs):
        return
    for i, dosage in enumerate(resource[name]):
        _check_dose(taken, dosage, context, found, name, i)


def _doses(dosage: Node) -> Iterator[tuple[tuple[str | int, ...], Node]]:
    """Every dose of a dosage and where it stands: one when given, several when ordered."""
    if "dose" in dosage:
        yield ("dose",), dosage["dose"]
    for i, each in enumerate(dosage.get("doseAndRate", ())):
        if "doseQuantity" in each:
            yield ("doseAndRate", i, "doseQuantity"), each["doseQuantity"]


def _check_dose(
    given: Medicine, dosage: Node, context: ResourceContext, found: list[Finding], *path: str | int
) -> None:
    """Milligrams where micrograms were meant."""
    limits = facts("MED-01")
    if given.drugs.isdisjoint(limits.drugs) or limits.unit is None or limits.above is None:
        return
    before = len(found)
    for steps, dose in _doses(dosage):
        held = amount(dose, limits.unit)
        if held is not None and held > limits.above:
            say(
                context,
                found,
                "MED-01",
                *path,
                *steps,
                value=shown(dose),
                limit=limits.above,
                unit=limits.unit,
            )
    text = dosage.get("text")
    if text and len(found) == before and _wording(limits.words).search(text):
        say(context, found, "MED-01-text", *path, "text")


@cache
def _wording(words: tuple[str, ...]) -> re.Pattern[str]:
    """What finds any of some words in a text, whatever its case and spaces."""
    spaced = [r"\s+".join(map(re.escape, each.split())) for each in words]
    return re.compile("|".join(spaced), re.IGNORECASE)


_MEASURED: tuple[tuple[str, ...], ...] = (
    ("dose",),
    ("rateQuantity",),
    ("rateRatio", "numerator"),
    ("rateRatio", "denominator"),
)


def _check_numbers(given: Given, context: ResourceContext, found: list[Finding]) -> None:
    """Nothing or less than nothing given; units that UCUM does not know."""
    for path in _MEASURED:
        quantity = given.dosage.get(path[0])
        if quantity is not None and len(path) > 1:
            quantity = quantity.get(path[1])
        if quantity is None:
            continue
        value = number(quantity)
        if given.is_given and value is not None and value <= 0:
            say(context, found, "MED-13", "dosage", *path, value=shown(quantity))
        unit = unit_of(quantity)
        if unit is not None and (meant := spelling(unit)) is not None:
            say_spelling(meant, quantity, context, found, "dosage", *path)


def _check_route(
    given: Medicine, route: str, context: ResourceContext, found: list[Finding]
) -> None:
    """Drugs whose label names other routes."""
    rule = facts("MED-02")
    if route in rule.routes and not given.drugs.isdisjoint(rule.drugs):
        say(context, found, "MED-02", "dosage", "route")
    rule = facts("MED-03")
    if route not in rule.routes or given.drugs.isdisjoint(rule.drugs):
        return
    if rule.exactly in _strengths(given, rule.unit or ""):
        say(context, found, "MED-03", "dosage", "route", limit=rule.exactly, unit=rule.unit)


def _strengths(given: Medicine, unit: str) -> list[Decimal]:
    """The strengths of the vitamin B12 in a product, in a mass per volume."""
    mass, _, volume = unit.partition("/")
    found = []
    for part in given.active:
        strength = part.get("strength", {})
        top = amount(strength.get("numerator"), mass)
        below = amount(strength.get("denominator"), volume)
        if top is not None and below:
            found.append(top / below)
    return found


def _check_moment(given: Given, context: ResourceContext, found: list[Finding]) -> None:
    """A rate and no time to run; a time outside the visit."""
    if given.lasted == 0 and given.has_rate:
        say(context, found, "MED-04", "effectivePeriod")
    visit = referred(given.resource.get("context"), context, "Encounter")
    if visit is None or not given.is_given:
        return
    span = visit.resource.get("period", {})
    if given.period is not None:
        place, start, end = "effectivePeriod", given.period.get("start"), given.period.get("end")
    else:
        place, start = "effectiveDateTime", given.resource.get("effectiveDateTime")
        end = start
    if is_before(end, span.get("start")):
        say(context, found, "SES-01", place, side="before")
    if is_before(span.get("end"), start):
        say(context, found, "SES-01", place, side="after")


def _check_length(
    given: Given, drug: Medicine, route: str, context: ResourceContext, found: list[Finding]
) -> None:
    """An infusion that takes a moment, or a day."""
    period, lasted, rule = given.period, given.lasted, facts("MED-05")
    if given.status != "completed" or route not in rule.routes:
        return
    if period is None or lasted is None or lasted <= 0 or rule.below is None or rule.above is None:
        return
    own = [rule.below_for[key] for key in drug.drugs if key in rule.below_for]
    least = max(own, default=rule.below)
    if least <= lasted <= rule.above or (lasted < least and _is_push(given.dosage, rule.words)):
        return
    side, limit = ("shorter", least) if lasted < least else ("longer", rule.above)
    value = f"{period['start']} to {period['end']}"
    say(context, found, "MED-05", "effectivePeriod", value=value, side=side, limit=limit)


def _is_push(dosage: Node, words: tuple[str, ...]) -> bool:
    """Whether the words of a dosage say that it was no infusion."""
    said = [dosage.get("text", "")]
    for name in ("method", "route"):
        concept = dosage.get(name, {})
        said += [concept.get("text", "")]
        said += [coding.get("display", "") for coding in concept.get("coding", ())]
    return any(word in text.lower() for word in words for text in said)


def _rate(dosage: Node, unit: str) -> Decimal | None:
    """How much of a unit runs in a minute."""
    quantity = dosage.get("rateQuantity")
    if quantity is not None:
        return amount(quantity, f"{unit}/min")
    ratio = dosage.get("rateRatio", {})
    top = amount(ratio.get("numerator"), unit)
    time = None if top is None else amount(ratio.get("denominator"), "min")
    return None if top is None or not time else top / time


def _check_rate(given: Given, context: ResourceContext, found: list[Finding]) -> None:
    """Rate times time against the dose, or against the volume of the bag."""
    if given.status != "completed" or not given.has_rate or not given.lasted or given.lasted < 0:
        return
    dosage, rule = given.dosage, facts("MED-06")
    for unit in ("mL", "ug"):
        rate = _rate(dosage, unit)
        if rate is None:
            continue
        total, what = amount(dosage.get("dose"), unit), "the dose"
        if total is None and unit == "mL":
            total, what = given.volume, "the volume of the bag"
        if rate > 0 and total is not None and _differs(rate * given.lasted, total, rule.percent):
            place = "rateQuantity" if "rateQuantity" in dosage else "rateRatio"
            say(context, found, "MED-06", "dosage", place, percent=rule.percent, what=what)
        return  # a rate is by volume or by mass


def _volume(product: Node) -> Decimal | None:
    """What a bag holds, in mL: its amount, per one."""
    ratio = product.get("amount", {})
    per = number(ratio.get("denominator"))
    return amount(ratio.get("numerator"), "mL") if per in (None, 1) else None


def _differs(one: Decimal, other: Decimal, percent: int) -> bool:
    return abs(one - other) * 100 > percent * other


def _check_bag(
    given: Given, drug: Medicine, context: ResourceContext, found: list[Finding]
) -> None:
    """The dose against what was put into a bag made up with a diluent."""
    if given.status != "completed" or not drug.is_diluted or len(drug.active) != 1:
        return
    dose, held = amount(given.dosage.get("dose"), "ug"), _content(drug.active[0], given.volume)
    percent = facts("MED-07").percent
    if dose is not None and held is not None and _differs(dose, held, percent):
        value = shown(given.dosage["dose"])
        say(context, found, "MED-07", "dosage", "dose", value=value, percent=percent)


def _content(part: Node, whole: Decimal | None) -> Decimal | None:
    """How much of an ingredient is in the whole bag of so many mL, in ug."""
    strength = part.get("strength", {})
    mass, per = amount(strength.get("numerator"), "ug"), strength.get("denominator")
    if mass is None:
        return None
    if per is None or (unit_of(per) in {None, "1"} and number(per) in (None, 1)):
        return mass
    volume = amount(per, "mL")
    return None if not volume or whole is None else mass / volume * whole


def _check_order(given: Given, context: ResourceContext, found: list[Finding]) -> None:
    """The order that a dose names: one that does not hold, or one given in full and yet not."""
    order = referred(given.resource.get("request"), context, "MedicationRequest")
    if order is None:
        return
    held = order.resource.get("status")
    if given.is_given and held in VOID:
        say(context, found, "MED-12-void", "request", status=held)
    if given.status in {"stopped", "not-done"} and _is_whole(given.dosage, order.resource):
        rule = "MED-10" if given.status == "stopped" else "MED-10-not-done"
        say(context, found, rule, "dosage", "dose")


def _is_whole(dosage: Node, order: Node) -> bool:
    """Whether the dose is that of the order, however either writes it."""
    dose = amount(dosage.get("dose"), "ug")
    ordered = [
        amount(each, "ug")
        for instruction in order.get("dosageInstruction", ())
        for _, each in _doses(instruction)
    ]
    return dose is not None and len(ordered) == 1 and ordered[0] == dose
