"""The data of one patient that cross-resource rules compare."""

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.plausibility.accessors import (
    VOID_STATUSES,
    JsonObject,
    MedicationContent,
    Moment,
    broader_codes,
    coding_pairs,
    find_entry,
    medication_of,
    moment_of,
    parse_moment,
    texts_of,
    unit_of,
    value_in,
)
from fhir_b12.validation.plausibility.rule_config import rule_config, rule_configs


class Dose(NamedTuple):
    """A MedicationAdministration of vitamin B12."""

    context_index: int  #: of its context in the list that is checked
    medication: MedicationContent
    status: str
    moment: Moment | None
    route: str | None  #: key of routes.toml
    grams: Decimal | None
    session: Any  #: identity of its Encounter, see `reference_key`
    has_order: bool  #: whether it references an order

    @property
    def is_given(self) -> bool:
        """True if the patient received some of it."""
        return self.status in {"in-progress", "completed", "stopped"}


class ResultValue(NamedTuple):
    """An Observation of a test that some cross-resource rule looks at."""

    context_index: int  #: of its context in the list that is checked
    test: str  #: key of lab_tests.toml
    moment: Moment | None
    unit: str | None
    node: JsonObject


class PatientChart:
    """The doses, results and conditions of one patient."""

    def __init__(self) -> None:
        self.doses: list[Dose] = []
        self.results: list[ResultValue] = []
        self.contraindications: list[int] = []  #: contexts of conditions that a label warns of
        self.allergies: list[int] = []  #: contexts of active allergies to cobalt or cobalamin
        self.reactions: list[tuple[int, Moment]] = []  #: anaphylaxis without a suspect
        self.drugs_in_use: set[str] = set()
        self.ordered_drugs: set[str] = set()  #: of orders that are or were in force


def build_charts(contexts: Sequence[ResourceContext]) -> list[PatientChart]:
    """Return a chart for each patient; resources without a patient are skipped."""
    charts: dict[Any, PatientChart] = {}
    for index, context in enumerate(contexts):
        collect = _COLLECTORS.get(context.type)
        if collect is None or context.resource.get("status") == "entered-in-error":
            continue
        resource = context.resource
        patient = reference_key(resource.get("subject") or resource.get("patient"), context)
        if patient is not None:
            chart = charts.get(patient)
            if chart is None:
                chart = charts[patient] = PatientChart()
            collect(chart, index, resource, context)
    return list(charts.values())


def reference_key(reference: JsonObject | None, context: ResourceContext) -> Any:
    """Return the identity of a reference's target: of the resource if loaded, else its address."""
    if reference is None:
        return None
    text = reference.get("reference")
    if text.__class__ is str:
        target = context.resolve(text)
        return text if target is None else id(target.resource)
    identifier = reference.get("identifier", {})
    return (identifier.get("system"), identifier.get("value")) if identifier.get("value") else None


@cache
def _compared_tests() -> frozenset[str]:
    """Return the tests that some cross-resource rule looks at."""
    configured = [config.tests | config.beside for config in rule_configs().values()]
    siblings = [frozenset(pair) for pair in rule_config("OBS-01").siblings]
    return frozenset().union(*configured, *siblings)


def _collect_result(
    chart: PatientChart, index: int, resource: JsonObject, _: ResourceContext
) -> None:
    test = find_entry("lab_tests", resource.get("code"))
    if test is not None and test.key in _compared_tests():
        unit = unit_of(resource.get("valueQuantity"))
        chart.results.append(ResultValue(index, test.key, moment_of(resource), unit, resource))


def _collect_dose(
    chart: PatientChart, index: int, resource: JsonObject, context: ResourceContext
) -> None:
    medication = medication_of(resource, context)
    if medication is None or not medication.b12_drugs:
        return
    dosage = resource.get("dosage", {})
    route = find_entry("routes", dosage.get("route"))
    chart.doses.append(
        Dose(
            index,
            medication,
            resource.get("status", ""),
            moment_of(resource),
            None if route is None else route.key,
            value_in(dosage.get("dose"), "g"),
            reference_key(resource.get("context"), context),
            "request" in resource,
        )
    )


def _collect_condition(
    chart: PatientChart, index: int, resource: JsonObject, _: ResourceContext
) -> None:
    if not _is_active(resource):
        return
    config, concept = rule_config("SAF-01"), resource.get("code")
    entry = find_entry("conditions", concept)
    broader = broader_codes("conditions", config.conditions, config.systems)
    if coding_pairs(concept) & broader or (entry is not None and entry.key in config.conditions):
        chart.contraindications.append(index)


def _collect_allergy(
    chart: PatientChart, index: int, resource: JsonObject, _: ResourceContext
) -> None:
    concept = resource.get("code")
    if concept is None or not _is_active(resource):
        return
    drug = find_entry("drugs", concept)
    has_known_text = set(texts_of(concept)) & set(rule_config("SAF-02").words)
    if has_known_text or (drug is not None and drug.role == "b12"):
        chart.allergies.append(index)


def _collect_reaction(
    chart: PatientChart, index: int, resource: JsonObject, _: ResourceContext
) -> None:
    moment = parse_moment(resource.get("date"))
    is_potential = resource.get("actuality") == "potential"
    if moment is None or is_potential or "suspectEntity" in resource:
        return
    entry = find_entry("reactions", resource.get("event"))
    if entry is not None and entry.key in rule_config("SAF-06").reactions:
        chart.reactions.append((index, moment))


def _collect_order(
    chart: PatientChart, index: int, resource: JsonObject, context: ResourceContext
) -> None:
    _collect_use(chart, index, resource, context)
    is_void = resource.get("status") in VOID_STATUSES
    medication = None if is_void else medication_of(resource, context)
    if medication is not None:
        chart.ordered_drugs |= medication.drugs


def _collect_use(
    chart: PatientChart, _index: int, resource: JsonObject, context: ResourceContext
) -> None:
    if resource.get("status") != "active" or "end" in resource.get("effectivePeriod", {}):
        return
    medication = medication_of(resource, context)
    if medication is not None:
        chart.drugs_in_use |= medication.drugs


_INACTIVE = frozenset({"inactive", "remission", "resolved"})
_REFUTED = frozenset({"refuted", "entered-in-error"})


def _is_active(resource: JsonObject) -> bool:
    """Return True unless a condition or allergy is inactive or refuted."""
    statuses = (("clinicalStatus", _INACTIVE), ("verificationStatus", _REFUTED))
    return not any(
        code in closed for name, closed in statuses for _, code in coding_pairs(resource.get(name))
    )


_COLLECTORS: dict[str, Callable[[PatientChart, int, JsonObject, ResourceContext], None]] = {
    "AdverseEvent": _collect_reaction,
    "AllergyIntolerance": _collect_allergy,
    "Condition": _collect_condition,
    "MedicationAdministration": _collect_dose,
    "MedicationRequest": _collect_order,
    "MedicationStatement": _collect_use,
    "Observation": _collect_result,
}


def own_lower_bound(result: ResultValue) -> Decimal | None:
    """Return the lower bound of a result's own reference range in its unit, None if unclear."""
    ranges = result.node.get("referenceRange", ())
    if len(ranges) != 1 or result.unit is None:
        return None
    low = ranges[0].get("low")
    return value_in(low, result.unit) if unit_of(low) is not None else None


def own_value(result: ResultValue) -> Decimal | None:
    """Return the number of a result in its own unit, None if it has a comparator or no number."""
    return None if result.unit is None else value_in(result.node.get("valueQuantity"), result.unit)


def series_by_time(results: list[ResultValue]) -> Iterator[list[ResultValue]]:
    """Yield the results of each test and unit, the earliest first."""
    groups: dict[Any, list[ResultValue]] = {}
    for result in results:
        if result.moment is not None:
            groups.setdefault((result.test, result.unit), []).append(result)
    for group in groups.values():
        yield sorted(group, key=lambda result: (result.moment or Moment(0, None)).order)
