"""What is mixed, given, ordered and taken."""

from fhir_b12.datatypes import (
    Annotation,
    CodeableConcept,
    DateTime,
    Dosage,
    Identifier,
    Json,
    Period,
    Quantity,
    Ratio,
    Reference,
)
from fhir_b12.records.base import Identified, Part, Performer


class Ingredient(Part, frozen=True, kw_only=True):
    """What is in the bag: the B12 (active) and the diluent."""

    item_codeable_concept: CodeableConcept | None = None
    item_reference: Reference | None = None
    is_active: bool | None = None
    strength: Ratio | None = None


class Batch(Part, frozen=True, kw_only=True):
    """The lot."""

    lot_number: str | None = None
    expiration_date: DateTime | None = None


class Medication(Identified, frozen=True, kw_only=True):
    """A drug or an infusion bag.  https://hl7.org/fhir/R4/medication.html"""

    code: CodeableConcept | None = None
    status: str | None = None
    manufacturer: Reference | None = None
    form: CodeableConcept | None = None
    amount: Ratio | None = None  #: volume of the bag, e.g. 250 mL per 1
    ingredient: tuple[Ingredient, ...] = ()
    batch: Batch | None = None


class Infusion(Identified, frozen=True, kw_only=True):
    """One intravenous administration.  https://hl7.org/fhir/R4/medicationadministration.html

    Either `drug` (given as a concept), `bag` (what was mixed) or `medication` (a link).
    """

    status: str
    drug: CodeableConcept | None = None
    bag: Medication | None = None
    medication: Reference | None = None
    patient: Reference | None = None
    session: Reference | None = None
    given: Period | None = None  #: start and end; a start alone where no more is known
    category: CodeableConcept | None = None
    status_reason: tuple[CodeableConcept, ...] = ()  #: why not done or stopped
    reason: tuple[CodeableConcept, ...] = ()
    reason_reference: tuple[Reference, ...] = ()
    order: Reference | None = None
    performer: tuple[Performer, ...] = ()
    device: tuple[Reference, ...] = ()  #: pump, cannula
    note: tuple[Annotation, ...] = ()
    supporting: tuple[Reference, ...] = ()
    part_of: tuple[Reference, ...] = ()
    event_history: tuple[Reference, ...] = ()
    instantiates: tuple[str | None, ...] = ()
    dosage_text: str | None = None
    route: CodeableConcept | None = None
    site: CodeableConcept | None = None
    method: CodeableConcept | None = None
    dose: Quantity | None = None  #: mass of B12 given, e.g. 1000 ug
    rate: Quantity | None = None  #: e.g. 500 mL/h
    rate_ratio: Ratio | None = None  #: e.g. 250 mL per 30 min
    dosage_extension: tuple[Json, ...] = ()


class DispenseRequest(Part, frozen=True, kw_only=True):
    """What the pharmacy is to supply."""

    validity_period: Period | None = None
    number_of_repeats_allowed: int | None = None
    quantity: Quantity | None = None
    expected_supply_duration: Quantity | None = None
    performer: Reference | None = None


class Substitution(Part, frozen=True, kw_only=True):
    """Whether another product may be given."""

    allowed_boolean: bool | None = None
    allowed_codeable_concept: CodeableConcept | None = None
    reason: CodeableConcept | None = None


class InfusionOrder(Identified, frozen=True, kw_only=True):
    """What was ordered, how much, how often, how many times.

    https://hl7.org/fhir/R4/medicationrequest.html; every medication order reads as one, its
    `dosage` says by which route.
    """

    status: str
    intent: str
    drug: CodeableConcept | None = None
    bag: Medication | None = None
    medication: Reference | None = None
    patient: Reference | None = None
    status_reason: CodeableConcept | None = None
    category: tuple[CodeableConcept, ...] = ()
    priority: str | None = None
    do_not_perform: bool | None = None
    reported: bool | None = None
    reported_by: Reference | None = None
    session: Reference | None = None
    supporting: tuple[Reference, ...] = ()
    authored: DateTime | None = None
    requester: Reference | None = None
    performer: Reference | None = None
    performer_type: CodeableConcept | None = None
    recorder: Reference | None = None
    reason: tuple[CodeableConcept, ...] = ()
    reason_reference: tuple[Reference, ...] = ()
    instantiates: tuple[str | None, ...] = ()
    instantiates_uri: tuple[str | None, ...] = ()
    based_on: tuple[Reference, ...] = ()
    group: Identifier | None = None
    course_of_therapy: CodeableConcept | None = None
    insurance: tuple[Reference, ...] = ()
    note: tuple[Annotation, ...] = ()
    dosage: tuple[Dosage, ...] = ()  #: `timing.repeat`: how many sessions, how far apart
    dispense: DispenseRequest | None = None
    substitution: Substitution | None = None
    prior: Reference | None = None
    detected_issue: tuple[Reference, ...] = ()
    event_history: tuple[Reference, ...] = ()


class MedicationUse(Identified, frozen=True, kw_only=True):
    """What the patient takes.  https://hl7.org/fhir/R4/medicationstatement.html

    Its mechanism, where it interferes with B12, follows from `drug`.
    """

    status: str
    drug: CodeableConcept | None = None
    bag: Medication | None = None
    medication: Reference | None = None
    patient: Reference | None = None
    session: Reference | None = None
    status_reason: tuple[CodeableConcept, ...] = ()
    category: CodeableConcept | None = None
    based_on: tuple[Reference, ...] = ()
    part_of: tuple[Reference, ...] = ()
    taken: DateTime | None = None
    taken_period: Period | None = None
    asserted: DateTime | None = None
    source: Reference | None = None
    derived_from: tuple[Reference, ...] = ()
    reason: tuple[CodeableConcept, ...] = ()
    reason_reference: tuple[Reference, ...] = ()
    note: tuple[Annotation, ...] = ()
    dosage: tuple[Dosage, ...] = ()
