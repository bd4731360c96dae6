"""What a Bundle or list of resources holds of each patient, as far as joint rules look at it."""

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.plausibility.accessors import (
    VOID,
    Medicine,
    Moment,
    Node,
    amount,
    happened,
    meaning,
    medicine,
    moment,
    pairs,
    unit_of,
    wider,
    words,
)
from fhir_b12.validation.plausibility.rule_config import all_facts, facts


class Dose(NamedTuple):
    """A dose or infusion of vitamin B12."""

    at: int  #: which of the contexts
    given: Medicine
    status: str
    when: Moment | None
    route: str | None
    grams: Decimal | None
    session: Any
    has_order: bool  #: whether it names one

    @property
    def is_given(self) -> bool:
        """Whether the patient got some of it."""
        return self.status in {"in-progress", "completed", "stopped"}


class Lab(NamedTuple):
    """A result of a test that a joint rule looks at."""

    at: int
    test: str  #: key of lab_tests.toml
    when: Moment | None
    unit: str | None
    node: Node


class Chart:
    """Of one patient: what joint rules compare, each with the number of its context."""

    def __init__(self) -> None:
        self.doses: list[Dose] = []
        self.labs: list[Lab] = []
        self.warned: list[int] = []  #: active conditions that a label warns of
        self.allergies: list[int] = []  #: active, to cobalt or cobalamin
        self.reactions: list[tuple[int, Moment]] = []  #: anaphylaxis without a suspect
        self.used: set[str] = set()  #: drugs in use
        self.ordered: set[str] = set()  #: drugs of orders that hold, or held


def charts(contexts: Sequence[ResourceContext]) -> list[Chart]:
    """One chart a patient; what names no patient is left out, for it cannot be compared."""
    found: dict[Any, Chart] = {}
    for at, context in enumerate(contexts):
        gather = _GATHER.get(context.type)
        if gather is None or context.resource.get("status") == "entered-in-error":
            continue
        resource = context.resource
        who = target(resource.get("subject") or resource.get("patient"), context)
        if who is not None:
            chart = found.get(who)
            if chart is None:
                chart = found[who] = Chart()
            gather(chart, at, resource, context)
    return list(found.values())


def target(reference: Node | None, context: ResourceContext) -> Any:
    """What tells the target of a reference from others: itself where it is here, else its name."""
    if reference is None:
        return None
    text = reference.get("reference")
    if text.__class__ is str:
        held = context.resolve(text)
        return text if held is None else id(held.resource)
    name = reference.get("identifier", {})
    return (name.get("system"), name.get("value")) if name.get("value") else None


@cache
def _tests() -> frozenset[str]:
    """The tests that joint rules look at."""
    named = [each.tests | each.beside for each in all_facts().values()]
    pairs = [frozenset(pair) for pair in facts("OBS-01").siblings]
    return frozenset().union(*named, *pairs)


def _lab(chart: Chart, at: int, resource: Node, _: ResourceContext) -> None:
    test = meaning("lab_tests", resource.get("code"))
    if test is not None and test.key in _tests():
        unit = unit_of(resource.get("valueQuantity"))
        chart.labs.append(Lab(at, test.key, happened(resource), unit, resource))


def _dose(chart: Chart, at: int, resource: Node, context: ResourceContext) -> None:
    given = medicine(resource, context)
    if given is None or not given.b12:
        return
    dosage = resource.get("dosage", {})
    route = meaning("routes", dosage.get("route"))
    chart.doses.append(
        Dose(
            at,
            given,
            resource.get("status", ""),
            happened(resource),
            None if route is None else route.key,
            amount(dosage.get("dose"), "g"),
            target(resource.get("context"), context),
            "request" in resource,
        )
    )


def _condition(chart: Chart, at: int, resource: Node, _: ResourceContext) -> None:
    if not _is_active(resource):
        return
    rule, concept = facts("SAF-01"), resource.get("code")
    entry = meaning("conditions", concept)
    coded = pairs(concept) & wider("conditions", rule.conditions, rule.systems)
    if coded or (entry is not None and entry.key in rule.conditions):
        chart.warned.append(at)


def _allergy(chart: Chart, at: int, resource: Node, _: ResourceContext) -> None:
    concept = resource.get("code")
    if concept is None or not _is_active(resource):
        return
    drug = meaning("drugs", concept)
    named = set(words(concept)) & set(facts("SAF-02").words)
    if named or (drug is not None and drug.role == "b12"):
        chart.allergies.append(at)


def _adverse(chart: Chart, at: int, resource: Node, _: ResourceContext) -> None:
    when = moment(resource.get("date"))
    if when is None or resource.get("actuality") == "potential" or "suspectEntity" in resource:
        return
    entry = meaning("reactions", resource.get("event"))
    if entry is not None and entry.key in facts("SAF-06").reactions:
        chart.reactions.append((at, when))


def _order(chart: Chart, at: int, resource: Node, context: ResourceContext) -> None:
    _use(chart, at, resource, context)
    asked = None if resource.get("status") in VOID else medicine(resource, context)
    if asked is not None:
        chart.ordered |= asked.drugs


def _use(chart: Chart, _at: int, resource: Node, context: ResourceContext) -> None:
    if resource.get("status") != "active" or "end" in resource.get("effectivePeriod", {}):
        return
    taken = medicine(resource, context)
    if taken is not None:
        chart.used |= taken.drugs


_OVER = frozenset({"inactive", "remission", "resolved"})
_REFUTED = frozenset({"refuted", "entered-in-error"})


def _is_active(resource: Node) -> bool:
    """Whether a condition or an allergy is neither over nor withdrawn."""
    states = (("clinicalStatus", _OVER), ("verificationStatus", _REFUTED))
    return not any(
        code in closed for name, closed in states for _, code in pairs(resource.get(name))
    )


_GATHER: dict[str, Callable[[Chart, int, Node, ResourceContext], None]] = {
    "AdverseEvent": _adverse,
    "AllergyIntolerance": _allergy,
    "Condition": _condition,
    "MedicationAdministration": _dose,
    "MedicationRequest": _order,
    "MedicationStatement": _use,
    "Observation": _lab,
}


def own_low(lab: Lab) -> Decimal | None:
    """The lower bound of a result's own range, in its unit."""
    bounds = lab.node.get("referenceRange", ())
    if len(bounds) != 1 or lab.unit is None:
        return None
    low = bounds[0].get("low")
    return amount(low, lab.unit) if unit_of(low) is not None else None


def value(lab: Lab) -> Decimal | None:
    """A result's number in its unit; None where it is no plain one."""
    return None if lab.unit is None else amount(lab.node.get("valueQuantity"), lab.unit)


def by_time(labs: list[Lab]) -> Iterator[list[Lab]]:
    """The results of each test and unit, the earliest first."""
    groups: dict[Any, list[Lab]] = {}
    for lab in labs:
        if lab.when is not None:
            groups.setdefault((lab.test, lab.unit), []).append(lab)
    for group in groups.values():
        yield sorted(group, key=lambda lab: (lab.when or Moment(0, None)).order)
