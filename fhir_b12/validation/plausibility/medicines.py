"""Advice on a medicine that was given or ordered: dose, route, time, rate, bag, order, session.

https://hl7.org/fhir/R4/medicationadministration.html
"""

from collections.abc import Iterator
from decimal import Decimal

from fhir_b12 import codes
from fhir_b12.dates import DateTime
from fhir_b12.validation.context import Context
from fhir_b12.validation.findings import Finding
from fhir_b12.validation.plausibility.conditions import check_reasons
from fhir_b12.validation.plausibility.facts import facts, say
from fhir_b12.validation.plausibility.future import check_future
from fhir_b12.validation.plausibility.reading import (
    VOID,
    Medicine,
    Node,
    amount,
    item,
    meaning,
    medicine,
    minutes,
    number,
    referred,
    shown,
    unit_of,
)
from fhir_b12.validation.plausibility.results import say_spelling, spelling

_GIVEN = frozenset({"in-progress", "completed", "stopped"})


def check_administration(resource: Node, context: Context, found: list[Finding]) -> None:
    """One dose or infusion.  https://hl7.org/fhir/R4/medicationadministration.html"""
    status = resource.get("status")
    if status == "entered-in-error":
        return
    dosage: Node = resource.get("dosage", {})
    _check_numbers(dosage, status in _GIVEN, context, found)
    _check_moment(resource, dosage, context, found)
    _check_rate(resource, dosage, context, found)
    check_reasons(resource, context, found, "effective")
    check_future(resource, context, found, "effective", _GIVEN)
    given = medicine(resource, context)
    if given is None or not given.b12:
        return
    _check_dose(given, dosage, context, found, "dosage")
    _check_route(given, dosage, context, found)
    _check_order(resource, dosage, context, found)
    if status == "completed":
        _check_length(given, resource, dosage, context, found)
        _check_bag(given, dosage, context, found)


def check_order(resource: Node, context: Context, found: list[Finding]) -> None:
    """One order.  https://hl7.org/fhir/R4/medicationrequest.html"""
    _check_dosages(resource, "dosageInstruction", context, found)


def check_use(resource: Node, context: Context, found: list[Finding]) -> None:
    """What a patient takes.  https://hl7.org/fhir/R4/medicationstatement.html"""
    _check_dosages(resource, "dosage", context, found)


def _check_dosages(resource: Node, name: str, context: Context, found: list[Finding]) -> None:
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
    given: Medicine, dosage: Node, context: Context, found: list[Finding], *path: str | int
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
    text = " ".join(dosage.get("text", "").lower().split())
    if len(found) == before and any(word in text for word in limits.words):
        say(context, found, "MED-01-text", *path, "text")


def _check_numbers(dosage: Node, is_given: bool, context: Context, found: list[Finding]) -> None:
    """Nothing or less than nothing given; units that UCUM does not know."""
    places = [
        ("dose",),
        ("rateQuantity",),
        ("rateRatio", "numerator"),
        ("rateRatio", "denominator"),
    ]
    for path in places:
        quantity = dosage.get(path[0])
        if quantity is not None and len(path) > 1:
            quantity = quantity.get(path[1])
        if quantity is None:
            continue
        value = number(quantity)
        if is_given and value is not None and value <= 0:
            say(context, found, "MED-13", "dosage", *path, value=shown(quantity))
        unit = unit_of(quantity)
        if unit is not None and (meant := spelling(unit)) is not None:
            say_spelling(meant, quantity, context, found, "dosage", *path)


def _check_route(given: Medicine, dosage: Node, context: Context, found: list[Finding]) -> None:
    """Drugs whose label names other routes."""
    route = meaning("routes", dosage.get("route"))
    if route is None:
        return
    rule = facts("MED-02")
    if route.key in rule.routes and not given.drugs.isdisjoint(rule.drugs):
        say(context, found, "MED-02", "dosage", "route")
    rule = facts("MED-03")
    if route.key not in rule.routes or given.drugs.isdisjoint(rule.drugs):
        return
    if rule.exactly in _strengths(given, rule.unit or "", context):
        say(context, found, "MED-03", "dosage", "route", limit=rule.exactly, unit=rule.unit)


def _strengths(given: Medicine, unit: str, context: Context) -> list[Decimal]:
    """The strengths of the vitamin B12 in a product, in a mass per volume."""
    mass, _, volume = unit.partition("/")
    found = []
    for part in (given.product or {}).get("ingredient", ()):
        drug = meaning("drugs", item(part, context))
        strength = part.get("strength", {})
        top, bottom = amount(strength.get("numerator"), mass), strength.get("denominator")
        below = amount(bottom, volume)
        if drug is not None and drug.role == "b12" and top is not None and below:
            found.append(top / below)
    return found


def _check_moment(resource: Node, dosage: Node, context: Context, found: list[Finding]) -> None:
    """A rate and no time to run; a time outside the visit."""
    period = resource.get("effectivePeriod")
    if period is not None and minutes(period) == 0 and not dosage.keys().isdisjoint(_RATES):
        say(context, found, "MED-04", "effectivePeriod")
    visit = referred(resource.get("context"), context, "Encounter")
    if visit is None or resource.get("status") not in _GIVEN:
        return
    span = visit.resource.get("period", {})
    own = period or {name: resource.get("effectiveDateTime") for name in ("start", "end")}
    for side, earlier, later in (
        ("before", own.get("end"), span.get("start")),
        ("after", span.get("end"), own.get("start")),
    ):
        if earlier and later and _is_before(earlier, later):
            place = "effectivePeriod" if period else "effectiveDateTime"
            say(context, found, "SES-01", place, side=side)


_RATES = frozenset({"rateQuantity", "rateRatio"})


def _is_before(earlier: str, later: str) -> bool:
    try:
        return DateTime(earlier) < DateTime(later)
    except ValueError:
        return False


def _check_length(
    given: Medicine, resource: Node, dosage: Node, context: Context, found: list[Finding]
) -> None:
    """An infusion that takes a moment, or a day."""
    period, rule = resource.get("effectivePeriod"), facts("MED-05")
    route = meaning("routes", dosage.get("route"))
    if period is None or route is None or route.key not in rule.routes:
        return
    lasted = minutes(period)
    if lasted is None or lasted <= 0 or rule.below is None or rule.above is None:
        return
    own = [rule.below_for[key] for key in given.drugs if key in rule.below_for]
    least = max(own, default=rule.below)
    side, limit = ("shorter", least) if lasted < least else ("longer", rule.above)
    if least <= lasted <= rule.above or (side == "shorter" and _is_push(dosage, rule.words)):
        return
    say(
        context,
        found,
        "MED-05",
        "effectivePeriod",
        value=f"{period['start']} to {period['end']}",
        side=side,
        limit=limit,
    )


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
    held = amount(dosage.get("rateQuantity"), f"{unit}/min")
    if held is not None:
        return held
    ratio = dosage.get("rateRatio", {})
    top, bottom = amount(ratio.get("numerator"), unit), amount(ratio.get("denominator"), "min")
    return None if top is None or not bottom else top / bottom


def _check_rate(resource: Node, dosage: Node, context: Context, found: list[Finding]) -> None:
    """Rate times time against the dose, or against the volume of the bag."""
    if resource.get("status") != "completed" or dosage.keys().isdisjoint(_RATES):
        return
    lasted = minutes(resource.get("effectivePeriod"))
    if not lasted or lasted < 0:
        return
    for unit in ("mL", "ug"):
        rate = _rate(dosage, unit)
        if rate is None or rate <= 0:
            continue
        total, what = amount(dosage.get("dose"), unit), "the dose"
        if total is None and unit == "mL":
            total, what = _bag(resource, context), "the volume of the bag"
        if total is not None and _differs(rate * lasted, total, facts("MED-06").percent):
            place = "rateQuantity" if "rateQuantity" in dosage else "rateRatio"
            percent = facts("MED-06").percent
            say(context, found, "MED-06", "dosage", place, percent=percent, what=what)


def _bag(resource: Node, context: Context) -> Decimal | None:
    held = referred(resource.get("medicationReference"), context, "Medication")
    return None if held is None else _volume(held.resource)


def _volume(product: Node) -> Decimal | None:
    """What a bag holds, in mL: its amount, per one."""
    ratio = product.get("amount", {})
    per = number(ratio.get("denominator"))
    return amount(ratio.get("numerator"), "mL") if per in (None, 1) else None


def _differs(one: Decimal, other: Decimal, percent: int) -> bool:
    return abs(one - other) * 100 > percent * other


def _check_bag(given: Medicine, dosage: Node, context: Context, found: list[Finding]) -> None:
    """The dose against what was put into a bag made up with a diluent."""
    product, dose = given.product, amount(dosage.get("dose"), "ug")
    if product is None or dose is None:
        return
    table = codes.table("drugs")
    if not any(table[key].role == "diluent" for key in given.drugs):
        return
    held = [_content(part, product) for part in _active(product, context)]
    percent = facts("MED-07").percent
    if len(held) == 1 and held[0] is not None and _differs(dose, held[0], percent):
        value = shown(dosage["dose"])
        say(context, found, "MED-07", "dosage", "dose", value=value, percent=percent)


def _active(product: Node, context: Context) -> Iterator[Node]:
    for part in product.get("ingredient", ()):
        drug = meaning("drugs", item(part, context))
        if drug is not None and drug.role == "b12":
            yield part


def _content(part: Node, product: Node) -> Decimal | None:
    """How much of an ingredient is in the whole bag, in ug."""
    strength = part.get("strength", {})
    mass, per = amount(strength.get("numerator"), "ug"), strength.get("denominator")
    if mass is None:
        return None
    if per is None or (unit_of(per) in {None, "1"} and number(per) in (None, 1)):
        return mass
    volume, whole = amount(per, "mL"), _volume(product)
    return None if not volume or whole is None else mass / volume * whole


def _check_order(resource: Node, dosage: Node, context: Context, found: list[Finding]) -> None:
    """The order that a dose names: one that does not hold, or one given in full and yet not."""
    status = resource.get("status")
    order = referred(resource.get("request"), context, "MedicationRequest")
    if order is None:
        return
    held = order.resource.get("status")
    if status in _GIVEN and held in VOID:
        say(context, found, "MED-12-void", "request", status=held)
    if status in {"stopped", "not-done"} and _is_whole(dosage, order.resource):
        rule = "MED-10" if status == "stopped" else "MED-10-not-done"
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
