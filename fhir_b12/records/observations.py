"""What is measured or asked: laboratory, vital signs, way of living, outcomes."""

from fhir_b12.datatypes import (
    Annotation,
    CodeableConcept,
    Coding,
    DateTime,
    Instant,
    Period,
    Quantity,
    Range,
    Ratio,
    Reference,
    SampledData,
    Timing,
)
from fhir_b12.records.base import Identified, Part, as_default


def _category(code: str) -> tuple[CodeableConcept, ...]:
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    return (CodeableConcept(coding=(Coding(system=system, code=code),)),)


LABORATORY = _category("laboratory")
VITAL_SIGNS = _category("vital-signs")
SOCIAL_HISTORY = _category("social-history")
SURVEY = _category("survey")


class ReferenceRange(Part, frozen=True, kw_only=True):
    """The laboratory's own range.  https://hl7.org/fhir/R4/observation.html"""

    low: Quantity | None = None
    high: Quantity | None = None
    type: CodeableConcept | None = None
    applies_to: tuple[CodeableConcept, ...] = ()
    age: Range | None = None
    text: str | None = None


class Component(Part, frozen=True, kw_only=True):
    """One of several results under one head, e.g. systolic pressure."""

    code: CodeableConcept | None = None
    value_quantity: Quantity | None = None
    value_codeable_concept: CodeableConcept | None = None
    value_string: str | None = None
    value_boolean: bool | None = None
    value_integer: int | None = None
    value_range: Range | None = None
    value_ratio: Ratio | None = None
    value_sampled_data: SampledData | None = None
    value_time: str | None = None
    value_date_time: DateTime | None = None
    value_period: Period | None = None
    data_absent_reason: CodeableConcept | None = None
    interpretation: tuple[CodeableConcept, ...] = ()
    reference_range: tuple[ReferenceRange, ...] = ()


class Observed(Identified, frozen=True, kw_only=True):
    """What all observations hold.  https://hl7.org/fhir/R4/observation.html"""

    status: str
    test: CodeableConcept  #: what was measured or asked
    category: tuple[CodeableConcept, ...] = ()
    patient: Reference | None = None
    focus: tuple[Reference, ...] = ()
    session: Reference | None = None  #: the visit
    order: tuple[Reference, ...] = ()  #: what asked for it
    part_of: tuple[Reference, ...] = ()
    collected: DateTime | None = None  #: when it was true of the patient
    collected_period: Period | None = None
    collected_timing: Timing | None = None
    issued: Instant | None = None
    performer: tuple[Reference, ...] = ()
    value: Quantity | None = None
    value_concept: CodeableConcept | None = None
    value_string: str | None = None
    value_boolean: bool | None = None
    value_integer: int | None = None
    value_range: Range | None = None
    value_ratio: Ratio | None = None
    value_sampled_data: SampledData | None = None
    value_time: str | None = None
    value_date_time: DateTime | None = None
    value_period: Period | None = None
    absent: CodeableConcept | None = None  #: why there is no value
    interpretation: tuple[CodeableConcept, ...] = ()
    note: tuple[Annotation, ...] = ()
    body_site: CodeableConcept | None = None
    method: CodeableConcept | None = None
    specimen: Reference | None = None
    device: Reference | None = None
    reference_range: tuple[ReferenceRange, ...] = ()
    has_member: tuple[Reference, ...] = ()
    derived_from: tuple[Reference, ...] = ()
    component: tuple[Component, ...] = ()


class LabResult(Observed, frozen=True, kw_only=True):
    """One laboratory result: B12, holotranscobalamin, MMA, homocysteine, blood count, ..."""

    category: tuple[CodeableConcept, ...] = LABORATORY

    def __post_init__(self) -> None:
        as_default(self, "category", LABORATORY)


class VitalSign(Observed, frozen=True, kw_only=True):
    """What is monitored during an infusion: pressure, pulse, temperature, saturation."""

    category: tuple[CodeableConcept, ...] = VITAL_SIGNS

    def __post_init__(self) -> None:
        as_default(self, "category", VITAL_SIGNS)


class Lifestyle(Observed, frozen=True, kw_only=True):
    """How the patient lives: vegan or vegetarian diet, athletic activity, age group."""

    category: tuple[CodeableConcept, ...] = SOCIAL_HISTORY

    def __post_init__(self) -> None:
        as_default(self, "category", SOCIAL_HISTORY)


class Outcome(Observed, frozen=True, kw_only=True):
    """What is reported or found over time: energy, mood, cognition, sleep, numbness, scores.

    Any observation that is neither laboratory, vital sign nor social history reads as one.
    """

    category: tuple[CodeableConcept, ...] = SURVEY

    def __post_init__(self) -> None:
        as_default(self, "category", SURVEY)
