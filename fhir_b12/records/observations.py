"""Observations: laboratory results, vital signs, lifestyle, outcomes."""

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
    """The laboratory's own range.  https://hl7.org/fhir/R4/observation.html

    Attributes:
        low: Low Range, if relevant.
        high: High Range, if relevant.
        type: Reference range qualifier.
        applies_to: Reference range population.
        age: Applicable age range, if relevant.
        text: Text based reference range in an observation.

    """

    low: Quantity | None = None
    high: Quantity | None = None
    type: CodeableConcept | None = None
    applies_to: tuple[CodeableConcept, ...] = ()
    age: Range | None = None
    text: str | None = None


class Component(Part, frozen=True, kw_only=True):
    """One of several results of an observation, e.g. systolic pressure.

    Attributes:
        code: Type of component observation.
        value_quantity: Actual component result, as Quantity.
        value_codeable_concept: Actual component result, as CodeableConcept.
        value_string: Actual component result, as string.
        value_boolean: Actual component result, as boolean.
        value_integer: Actual component result, as integer.
        value_range: Actual component result, as Range.
        value_ratio: Actual component result, as Ratio.
        value_sampled_data: Actual component result, as SampledData.
        value_time: Actual component result, as time.
        value_date_time: Actual component result, as dateTime.
        value_period: Actual component result, as Period.
        data_absent_reason: Why the component result is missing.
        interpretation: High, low, normal, etc.
        reference_range: Provides guide for interpretation of component result.

    """

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
    """Fields of all observations.  https://hl7.org/fhir/R4/observation.html

    Attributes:
        status: registered | preliminary | final | amended | ...
        test: What was measured or asked, e.g. a LOINC code.
        category: Classification of type of observation.
        patient: Who and/or what the observation is about.
        focus: What the observation is about, when it is not about the subject of record.
        session: Encounter during which the observation was made.
        order: Orders that the observation fulfills.
        part_of: Part of referenced event.
        collected: When the result was true of the patient, e.g. when the specimen was taken.
        collected_period: When the result was true of the patient, as Period.
        collected_timing: When the result was true of the patient, as Timing.
        issued: Date/Time this version was made available.
        performer: Who is responsible for the observation.
        value: Result as a quantity, with UCUM unit and, beyond a limit, a comparator.
        value_concept: Actual result, as CodeableConcept.
        value_string: Actual result, as string.
        value_boolean: Actual result, as boolean.
        value_integer: Actual result, as integer.
        value_range: Actual result, as Range.
        value_ratio: Actual result, as Ratio.
        value_sampled_data: Actual result, as SampledData.
        value_time: Actual result, as time.
        value_date_time: Actual result, as dateTime.
        value_period: Actual result, as Period.
        absent: Why there is no value.
        interpretation: High, low, normal, etc.
        note: Comments about the observation.
        body_site: Observed body part.
        method: How it was done.
        specimen: Specimen used for this observation.
        device: (Measurement) Device.
        reference_range: Provides guide for interpretation.
        has_member: Related resource that belongs to the Observation group.
        derived_from: Related measurements the observation is made from.
        component: Component results.

    """

    status: str
    test: CodeableConcept
    category: tuple[CodeableConcept, ...] = ()
    patient: Reference | None = None
    focus: tuple[Reference, ...] = ()
    session: Reference | None = None
    order: tuple[Reference, ...] = ()
    part_of: tuple[Reference, ...] = ()
    collected: DateTime | None = None
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
    absent: CodeableConcept | None = None
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
    """One laboratory result: B12, holotranscobalamin, MMA, homocysteine, blood count, ...

    Attributes:
        category: Category; `laboratory` by default.

    """

    category: tuple[CodeableConcept, ...] = LABORATORY

    def __post_init__(self) -> None:
        as_default(self, "category", LABORATORY)


class VitalSign(Observed, frozen=True, kw_only=True):
    """Vital sign during an infusion: blood pressure, pulse, temperature, saturation.

    Attributes:
        category: Category; `vital-signs` by default.

    """

    category: tuple[CodeableConcept, ...] = VITAL_SIGNS

    def __post_init__(self) -> None:
        as_default(self, "category", VITAL_SIGNS)


class Lifestyle(Observed, frozen=True, kw_only=True):
    """Lifestyle of the patient: vegan or vegetarian diet, athletic activity, age group.

    Attributes:
        category: Category; `social-history` by default.

    """

    category: tuple[CodeableConcept, ...] = SOCIAL_HISTORY

    def __post_init__(self) -> None:
        as_default(self, "category", SOCIAL_HISTORY)


class Outcome(Observed, frozen=True, kw_only=True):
    """Outcome of the therapy over time: energy, mood, cognition, sleep, numbness, scores.

    Any observation that is neither laboratory, vital sign nor social history reads as one.

    Attributes:
        category: Category; `survey` by default.

    """

    category: tuple[CodeableConcept, ...] = SURVEY

    def __post_init__(self) -> None:
        as_default(self, "category", SURVEY)
