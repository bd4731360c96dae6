"""Plausibility rules that compare resources; a finding is reported on the resource to look at.

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
from fhir_b12.validation.plausibility.accessors import Moment, format_quantity, value_in
from fhir_b12.validation.plausibility.patient_chart import (
    Dose,
    PatientChart,
    ResultValue,
    build_charts,
    own_lower_bound,
    own_value,
    series_by_time,
)
from fhir_b12.validation.plausibility.rule_config import add_finding, rule_config


class FindingsByIndex(Protocol):
    """The findings of each context by its index: a list of lists, or a dict of lists."""

    def __getitem__(self, index: int, /) -> list[Finding]:
        """Return the findings of one context."""
        ...


class CrossResourceFindings:
    """The contexts that are compared, and their findings."""

    def __init__(self, contexts: Sequence[ResourceContext], findings: FindingsByIndex) -> None:
        self.contexts = contexts
        self.findings = findings

    def add(self, index: int, rule: str, *path: str | int, **values: Any) -> None:
        """Append a finding to those of one context, unless its rule is off."""
        add_finding(self.contexts[index], self.findings[index], rule, *path, **values)


def check_across_resources(contexts: Sequence[ResourceContext], findings: FindingsByIndex) -> None:
    """Check the resources of a Bundle or list against each other, in linear time.

    Args:
        contexts: The resources; those of different patients are not compared.
        findings: `findings[i]` gets the findings on `contexts[i]`, with paths that start at its
            resource.

    """
    report = CrossResourceFindings(contexts, findings)
    for chart in build_charts(contexts):
        for check in _CHECKS:
            check(chart, report)


def _sort_moments(doses: list[Dose]) -> tuple[list[tuple[int, float]], list[Moment]]:
    """Return the sort keys and the moments of doses, the earliest first."""
    moments = sorted(
        (dose.moment for dose in doses if dose.moment), key=lambda moment: moment.order
    )
    return [moment.order for moment in moments], moments


def _last_before(
    keys: list[tuple[int, float]], moments: list[Moment], moment: Moment
) -> Moment | None:
    position = bisect_left(keys, moment.order)
    return moments[position - 1] if position else None


def _check_dose_before_sample(chart: PatientChart, report: CrossResourceFindings) -> None:
    """OBS-06: a level collected days after a dose."""
    config = rule_config("OBS-06")
    doses = [dose for dose in chart.doses if dose.is_given and dose.route in config.routes]
    if not doses:
        return
    keys, moments = _sort_moments(doses)
    for result in chart.results:
        if result.test not in config.tests or result.moment is None:
            continue
        last_dose = _last_before(keys, moments, result.moment)
        days = None if last_dose is None else last_dose.days_to(result.moment)
        if days is not None and days < config.days:
            report.add(result.context_index, "OBS-06", days=config.days)


def _check_colorimetry(chart: PatientChart, report: CrossResourceFindings) -> None:
    """OBS-10: a colorimetric test hours after grams of hydroxocobalamin."""
    config = rule_config("OBS-10")
    assert config.least is not None
    doses = [
        dose
        for dose in chart.doses
        if dose.is_given
        and dose.medication.drugs & config.drugs
        and (dose.grams or 0) >= config.least
    ]
    if not doses:
        return
    keys, moments = _sort_moments(doses)
    for result in chart.results:
        if result.test not in config.tests or result.moment is None:
            continue
        last_dose = _last_before(keys, moments, result.moment)
        hours = None if last_dose is None else last_dose.hours_to(result.moment)
        if hours is not None and hours < config.hours:
            values = {"hours": config.hours, "least": config.least, "unit": config.unit}
            report.add(result.context_index, "OBS-10", **values)


def _check_renal_function(chart: PatientChart, report: CrossResourceFindings) -> None:
    """OBS-08: a marker and a low eGFR."""
    config = rule_config("OBS-08")
    assert config.unit is not None
    assert config.below is not None
    low_days = sorted(
        result.moment.day
        for result in chart.results
        if result.test in config.beside
        and result.moment is not None
        and (value := value_in(result.node.get("valueQuantity"), config.unit)) is not None
        and value < config.below
    )
    for result in chart.results if low_days else ():
        if result.test in config.tests and result.moment is not None:
            position = bisect_left(low_days, result.moment.day - config.days)
            last_day = result.moment.day + config.days
            if position < len(low_days) and low_days[position] <= last_day:
                report.add(result.context_index, "OBS-08", limit=config.below, days=config.days)


def _check_same_test_in_two_units(chart: PatientChart, report: CrossResourceFindings) -> None:
    """OBS-12: results of one test and moment in two units that disagree."""
    pairs = {test: pair for pair in rule_config("OBS-01").siblings for test in pair}
    percent = rule_config("OBS-12").percent
    first: dict[Any, ResultValue] = {}
    for result in chart.results:
        pair = pairs.get(result.test)
        if pair is None or result.moment is None or result.moment.second is None:
            continue
        other = first.setdefault((pair, result.moment), result)
        if other.unit in {None, result.unit} or result.unit is None or other.unit is None:
            continue
        analyte = codes.table("lab_tests")[result.test].analyte
        value = own_value(result)
        other_value = value_in(other.node.get("valueQuantity"), result.unit, analyte)
        if value is None or other_value is None:
            continue
        rounding = _rounding(result, other, analyte)
        if abs(value - other_value) > max(value, other_value) * percent / 100 + rounding:
            text = format_quantity(result.node["valueQuantity"])
            report.add(result.context_index, "OBS-12", "valueQuantity", value=text, percent=percent)


def _rounding(result: ResultValue, other: ResultValue, analyte: str | None) -> Decimal:
    """Return by how much rounding can move two results apart, in the unit of the first."""
    total = Decimal(0)
    for node in (result.node, other.node):
        exponent = Decimal(node["valueQuantity"]["value"]).as_tuple().exponent
        half_step = Decimal(5).scaleb(int(exponent) - 1)
        quantity = {**node["valueQuantity"], "value": half_step}
        total += value_in(quantity, result.unit or "", analyte) or 0
    return total


def _check_falling_level(chart: PatientChart, report: CrossResourceFindings) -> None:
    """OBS-13: a falling level without interpretation."""
    config = rule_config("OBS-13")
    if chart.drugs_in_use.isdisjoint(config.drugs):
        return
    results = [result for result in chart.results if result.test in config.tests]
    for series in series_by_time(results):
        for previous, last in pairwise(series):
            before, now, low = own_value(previous), own_value(last), own_lower_bound(last)
            if before is None or now is None or low is None or "interpretation" in last.node:
                continue
            if now < before and now < low:
                report.add(last.context_index, "OBS-13", "valueQuantity")


def _check_given_and_not_done(chart: PatientChart, report: CrossResourceFindings) -> None:
    """MED-11: the same drug given and not done in one session."""
    not_done: dict[Any, set[str]] = {}
    for dose in chart.doses:
        if dose.status == "not-done" and dose.session is not None:
            not_done.setdefault(dose.session, set()).update(dose.medication.drugs)
    for dose in chart.doses if not_done else ():
        if dose.is_given and dose.medication.b12_drugs & not_done.get(dose.session, set()):
            report.add(dose.context_index, "MED-11", "status")


def _check_missing_order(chart: PatientChart, report: CrossResourceFindings) -> None:
    """MED-12: a dose without a reference to an order that is present."""
    for dose in chart.doses if chart.ordered_drugs else ():
        has_match = dose.medication.b12_drugs & chart.ordered_drugs
        if dose.is_given and not dose.has_order and has_match:
            report.add(dose.context_index, "MED-12")


def _check_label_warnings(chart: PatientChart, report: CrossResourceFindings) -> None:
    """SAF-01, SAF-02: a condition or allergy that the label of the drug warns of."""
    drugs = rule_config("SAF-01").drugs
    for dose in chart.doses:
        if not dose.is_given:
            continue
        if chart.contraindications and dose.medication.drugs & drugs:
            report.add(dose.context_index, "SAF-01", dose.medication.element)
        if chart.allergies:
            report.add(dose.context_index, "SAF-02", dose.medication.element)


def _check_low_potassium(chart: PatientChart, report: CrossResourceFindings) -> None:
    """SAF-03: a low potassium shortly before a dose."""
    config = rule_config("SAF-03")
    low = [
        result.moment
        for result in chart.results
        if result.test in config.tests
        and result.moment is not None
        and (value := own_value(result)) is not None
        and (bound := own_lower_bound(result)) is not None
        and value < bound
    ]
    if not low:
        return
    moments = sorted(low, key=lambda moment: moment.order)
    keys = [moment.order for moment in moments]
    for dose in chart.doses:
        if dose.is_given and dose.moment is not None:
            previous = _last_before(keys, moments, dose.moment)
            hours = None if previous is None else previous.hours_to(dose.moment)
            if hours is not None and hours <= config.hours:
                report.add(dose.context_index, "SAF-03", hours=config.hours)


def _check_reaction_without_suspect(chart: PatientChart, report: CrossResourceFindings) -> None:
    """SAF-06: an anaphylaxis after a dose, without a suspect."""
    if not chart.reactions:
        return
    limit = rule_config("SAF-06").hours
    keys, moments = _sort_moments([dose for dose in chart.doses if dose.is_given])
    for index, moment in chart.reactions:
        # a reaction in the first second of the infusion counts as later
        just_after = moment._replace(second=(moment.second or 0) + 1)
        last_dose = _last_before(keys, moments, just_after)
        hours = None if last_dose is None else last_dose.hours_to(moment)
        if hours is not None and hours <= limit:
            report.add(index, "SAF-06", "event", hours=limit)


_CHECKS: tuple[Callable[[PatientChart, CrossResourceFindings], None], ...] = (
    _check_dose_before_sample,
    _check_renal_function,
    _check_colorimetry,
    _check_same_test_in_two_units,
    _check_falling_level,
    _check_given_and_not_done,
    _check_missing_order,
    _check_label_warnings,
    _check_low_potassium,
    _check_reaction_without_suspect,
)
