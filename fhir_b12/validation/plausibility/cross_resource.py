"""Advice on resources that do not go together: each finding stands with the one it speaks of.

Each rule walks the lists of one patient once, or looks back by bisection.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any, Protocol

from fhir_b12 import codes
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import Finding
from fhir_b12.validation.plausibility import chart as charted
from fhir_b12.validation.plausibility.accessors import Moment, amount, shown
from fhir_b12.validation.plausibility.chart import Chart, Dose, Lab
from fhir_b12.validation.plausibility.rule_config import facts, say


class FoundByContext(Protocol):
    """The findings of each context by its number: a list of lists, or a dict of them."""

    def __getitem__(self, at: int, /) -> list[Finding]: ...


class Joint:
    """The resources that are looked at together, and where what is found goes."""

    def __init__(self, contexts: Sequence[ResourceContext], found: FoundByContext) -> None:
        self.contexts = contexts
        self.found = found

    def say(self, at: int, rule: str, *path: str | int, **values: Any) -> None:
        """Tell it of one resource, unless the rule is off."""
        say(self.contexts[at], self.found[at], rule, *path, **values)


def check_joint(contexts: Sequence[ResourceContext], found: FoundByContext) -> None:
    """Every rule on what a Bundle or list holds of each patient."""
    joint = Joint(contexts, found)
    for chart in charted.charts(contexts):
        for check in _CHECKS:
            check(chart, joint)


def _dated(doses: list[Dose]) -> tuple[list[tuple[int, float]], list[Moment]]:
    """The moments of doses in order, and what they are sorted by."""
    moments = sorted((dose.when for dose in doses if dose.when), key=lambda when: when.order)
    return [each.order for each in moments], moments


def _last_before(
    order: list[tuple[int, float]], moments: list[Moment], when: Moment
) -> Moment | None:
    place = bisect_left(order, when.order)
    return moments[place - 1] if place else None


def _drawn_soon(chart: Chart, joint: Joint) -> None:
    """OBS-06: a level drawn days after a dose."""
    rule = facts("OBS-06")
    doses = [each for each in chart.doses if each.is_given and each.route in rule.routes]
    if not doses:
        return
    order, moments = _dated(doses)
    for lab in chart.labs:
        if lab.test not in rule.tests or lab.when is None:
            continue
        dose = _last_before(order, moments, lab.when)
        apart = None if dose is None else dose.days_to(lab.when)
        if apart is not None and apart < rule.days:
            joint.say(lab.at, "OBS-06", days=rule.days)


def _disturbed(chart: Chart, joint: Joint) -> None:
    """OBS-10: a colorimetric test hours after grams of hydroxocobalamin."""
    rule = facts("OBS-10")
    assert rule.least is not None
    doses = [
        dose
        for dose in chart.doses
        if dose.is_given and dose.given.drugs & rule.drugs and (dose.grams or 0) >= rule.least
    ]
    if not doses:
        return
    order, moments = _dated(doses)
    for lab in chart.labs:
        if lab.test not in rule.tests or lab.when is None:
            continue
        dose = _last_before(order, moments, lab.when)
        apart = None if dose is None else dose.hours_to(lab.when)
        if apart is not None and apart < rule.hours:
            joint.say(lab.at, "OBS-10", hours=rule.hours, least=rule.least, unit=rule.unit)


def _with_kidneys(chart: Chart, joint: Joint) -> None:
    """OBS-08: a marker and a low eGFR."""
    rule = facts("OBS-08")
    assert rule.unit is not None
    assert rule.below is not None
    low = sorted(
        lab.when.day
        for lab in chart.labs
        if lab.test in rule.beside
        and lab.when is not None
        and (held := amount(lab.node.get("valueQuantity"), rule.unit)) is not None
        and held < rule.below
    )
    for lab in chart.labs if low else ():
        if lab.test in rule.tests and lab.when is not None:
            place = bisect_left(low, lab.when.day - rule.days)
            if place < len(low) and low[place] <= lab.when.day + rule.days:
                joint.say(lab.at, "OBS-08", limit=rule.below, days=rule.days)


def _twice(chart: Chart, joint: Joint) -> None:
    """OBS-12: one sample's test in two units that disagree."""
    group = {test: pair for pair in facts("OBS-01").siblings for test in pair}
    first: dict[Any, Lab] = {}
    for lab in chart.labs:
        pair = group.get(lab.test)
        if pair is None or lab.when is None or lab.when.second is None:
            continue
        other = first.setdefault((pair, lab.when), lab)
        if other.unit in {None, lab.unit} or lab.unit is None or other.unit is None:
            continue
        analyte = codes.table("lab_tests")[lab.test].analyte
        own, told = charted.value(lab), amount(other.node.get("valueQuantity"), lab.unit, analyte)
        percent = facts("OBS-12").percent
        if (
            own is None
            or told is None
            or not _apart(own, told, percent, _step(lab, other, analyte))
        ):
            continue
        quantity = lab.node["valueQuantity"]
        joint.say(lab.at, "OBS-12", "valueQuantity", value=shown(quantity), percent=percent)


def _step(lab: Lab, other: Lab, analyte: str | None) -> Decimal:
    """By how much rounding alone can move the two apart, in the unit of the first."""
    total = Decimal(0)
    for each in (lab, other):
        digits = Decimal(each.node["valueQuantity"]["value"]).as_tuple().exponent
        half = Decimal(5).scaleb(int(digits) - 1)
        step = {**each.node["valueQuantity"], "value": half}
        total += amount(step, lab.unit or "", analyte) or 0
    return total


def _apart(own: Decimal, told: Decimal, percent: int, step: Decimal) -> bool:
    return abs(own - told) > max(own, told) * percent / 100 + step


def _falling(chart: Chart, joint: Joint) -> None:
    """OBS-13: a falling level that nobody flagged."""
    rule = facts("OBS-13")
    if chart.used.isdisjoint(rule.drugs):
        return
    for labs in charted.by_time([lab for lab in chart.labs if lab.test in rule.tests]):
        for before, last in pairwise(labs):
            was, now, low = charted.value(before), charted.value(last), charted.own_low(last)
            if was is None or now is None or low is None or "interpretation" in last.node:
                continue
            if now < was and now < low:
                joint.say(last.at, "OBS-13", "valueQuantity")


def _both_ways(chart: Chart, joint: Joint) -> None:
    """MED-11: the same drug not given and given in one session."""
    missed: dict[Any, set[str]] = {}
    for dose in chart.doses:
        if dose.status == "not-done" and dose.session is not None:
            missed.setdefault(dose.session, set()).update(dose.given.drugs)
    for dose in chart.doses if missed else ():
        if dose.is_given and dose.given.b12 & missed.get(dose.session, set()):
            joint.say(dose.at, "MED-11", "status")


def _unordered(chart: Chart, joint: Joint) -> None:
    """MED-12: a dose that does not name the order that is there."""
    for dose in chart.doses if chart.ordered else ():
        if dose.is_given and not dose.has_order and dose.given.b12 & chart.ordered:
            joint.say(dose.at, "MED-12")


def _warned(chart: Chart, joint: Joint) -> None:
    """SAF-01, SAF-02: what the label of the drug warns of."""
    drugs = facts("SAF-01").drugs
    for dose in chart.doses:
        if not dose.is_given:
            continue
        if chart.warned and dose.given.drugs & drugs:
            joint.say(dose.at, "SAF-01", dose.given.place)
        if chart.allergies:
            joint.say(dose.at, "SAF-02", dose.given.place)


def _low_potassium(chart: Chart, joint: Joint) -> None:
    """SAF-03: a low potassium just before a dose."""
    rule = facts("SAF-03")
    low = [
        lab.when
        for lab in chart.labs
        if lab.test in rule.tests
        and lab.when is not None
        and (held := charted.value(lab)) is not None
        and (bound := charted.own_low(lab)) is not None
        and held < bound
    ]
    if not low:
        return
    moments = sorted(low, key=lambda when: when.order)
    order = [each.order for each in moments]
    for dose in chart.doses:
        if dose.is_given and dose.when is not None:
            before = _last_before(order, moments, dose.when)
            apart = None if before is None else before.hours_to(dose.when)
            if apart is not None and apart <= rule.hours:
                joint.say(dose.at, "SAF-03", hours=rule.hours)


def _unlinked(chart: Chart, joint: Joint) -> None:
    """SAF-06: an anaphylaxis after a dose that names no suspect."""
    if not chart.reactions:
        return
    order, moments = _dated([dose for dose in chart.doses if dose.is_given])
    for at, when in chart.reactions:
        # a reaction at the very start of the infusion is after it
        dose = _last_before(order, moments, when._replace(second=(when.second or 0) + 1))
        apart = None if dose is None else dose.hours_to(when)
        if apart is not None and apart <= facts("SAF-06").hours:
            joint.say(at, "SAF-06", "event", hours=facts("SAF-06").hours)


_CHECKS: tuple[Callable[[Chart, Joint], None], ...] = (
    _drawn_soon,
    _with_kidneys,
    _disturbed,
    _twice,
    _falling,
    _both_ways,
    _unordered,
    _warned,
    _low_potassium,
    _unlinked,
)
