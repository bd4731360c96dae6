"""What a B12 infusion clinic keeps, as frozen values; every record travels as one FHIR resource.

Fields carry FHIR's names or the ward's. A code is kept as the sender wrote it: whether it concerns
B12 is looked up (`fhir_b12.codes`), never stored. A missing value is None, never zero.
"""

from collections.abc import Iterator
from typing import ClassVar

import msgspec
from msgspec.structs import force_setattr

from fhir_b12.datatypes import (
    Address,
    Annotation,
    Attachment,
    Backbone,
    CodeableConcept,
    Coding,
    ContactPoint,
    Date,
    DateTime,
    Dosage,
    HumanName,
    Identifier,
    Instant,
    Json,
    Period,
    Quantity,
    Range,
    Ratio,
    Reference,
    SampledData,
    Timing,
)


def _category(code: str) -> tuple[CodeableConcept, ...]:
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    return (CodeableConcept(coding=(Coding(system=system, code=code),)),)


LABORATORY = _category("laboratory")
VITAL_SIGNS = _category("vital-signs")
SOCIAL_HISTORY = _category("social-history")
SURVEY = _category("survey")
SESSION_STEP = CodeableConcept(
    coding=(Coding(system="https://fhir-b12.org/CodeSystem/procedure-kind", code="session-step"),)
)


def _as_default(record: "Record", name: str, default: object) -> None:
    """An equal value becomes the default itself: equal records are then written alike."""
    value = getattr(record, name)
    if value is not default and value == default:
        force_setattr(record, name, default)


class Record(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel", gc=False
):
    """What every record has."""

    id: str | None = None  #: the logical id on the server it came from
    language: str | None = None
    contained: tuple[Json, ...] = ()  #: resources that live inside this one, as they came
    extension: tuple[Json, ...] = ()  #: extensions, as they came


class Identified(Record, frozen=True, kw_only=True):
    """A record with business identifiers.

    The first is the record's own name in its clinic: other records refer to it, and a second
    sending of the same record is recognised by it.
    """

    identifier: tuple[Identifier, ...] = ()


class Part(Backbone, frozen=True, kw_only=True):
    """A part of a record that repeats."""


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
        _as_default(self, "category", LABORATORY)


class VitalSign(Observed, frozen=True, kw_only=True):
    """What is monitored during an infusion: pressure, pulse, temperature, saturation."""

    category: tuple[CodeableConcept, ...] = VITAL_SIGNS

    def __post_init__(self) -> None:
        _as_default(self, "category", VITAL_SIGNS)


class Lifestyle(Observed, frozen=True, kw_only=True):
    """How the patient lives: vegan or vegetarian diet, athletic activity, age group."""

    category: tuple[CodeableConcept, ...] = SOCIAL_HISTORY

    def __post_init__(self) -> None:
        _as_default(self, "category", SOCIAL_HISTORY)


class Outcome(Observed, frozen=True, kw_only=True):
    """What is reported or found over time: energy, mood, cognition, sleep, numbness, scores.

    Any observation that is neither laboratory, vital sign nor social history reads as one.
    """

    category: tuple[CodeableConcept, ...] = SURVEY

    def __post_init__(self) -> None:
        _as_default(self, "category", SURVEY)


class Communication(Part, frozen=True, kw_only=True):
    """A language the patient speaks."""

    language: CodeableConcept | None = None
    preferred: bool | None = None


class Contact(Part, frozen=True, kw_only=True):
    """Whom to call for the patient."""

    relationship: tuple[CodeableConcept, ...] = ()
    name: HumanName | None = None
    telecom: tuple[ContactPoint, ...] = ()
    address: Address | None = None
    gender: str | None = None
    organization: Reference | None = None
    period: Period | None = None


class PatientLink(Part, frozen=True, kw_only=True):
    """Another record of the same person."""

    other: Reference | None = None
    type: str | None = None


class Patient(Identified, frozen=True, kw_only=True):
    """Who is treated.  https://hl7.org/fhir/R4/patient.html"""

    active: bool | None = None
    name: tuple[HumanName, ...] = ()
    telecom: tuple[ContactPoint, ...] = ()
    gender: str | None = None
    birth_date: Date | None = None
    deceased: bool | None = None
    deceased_at: DateTime | None = None
    address: tuple[Address, ...] = ()
    marital_status: CodeableConcept | None = None
    multiple_birth: bool | None = None
    multiple_birth_order: int | None = None
    photo: tuple[Attachment, ...] = ()
    contact: tuple[Contact, ...] = ()
    communication: tuple[Communication, ...] = ()
    general_practitioner: tuple[Reference, ...] = ()
    managing_organization: Reference | None = None
    link: tuple[PatientLink, ...] = ()


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


class Performer(Part, frozen=True, kw_only=True):
    """Who did it, as what."""

    function: CodeableConcept | None = None
    actor: Reference | None = None
    on_behalf_of: Reference | None = None


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


class Stage(Part, frozen=True, kw_only=True):
    """How far a condition has gone."""

    summary: CodeableConcept | None = None
    assessment: tuple[Reference, ...] = ()
    type: CodeableConcept | None = None


class Evidence(Part, frozen=True, kw_only=True):
    """What supports a diagnosis."""

    code: tuple[CodeableConcept, ...] = ()
    detail: tuple[Reference, ...] = ()


class Condition(Identified, frozen=True, kw_only=True):
    """A diagnosis or a symptom.  https://hl7.org/fhir/R4/condition.html

    Its mechanism of impaired absorption, where it has one, follows from `code`.
    """

    code: CodeableConcept | None = None
    clinical_status: CodeableConcept | None = None
    verification_status: CodeableConcept | None = None
    category: tuple[CodeableConcept, ...] = ()
    severity: CodeableConcept | None = None
    body_site: tuple[CodeableConcept, ...] = ()
    patient: Reference | None = None
    session: Reference | None = None
    onset: DateTime | None = None
    onset_age: Quantity | None = None
    onset_period: Period | None = None
    onset_range: Range | None = None
    onset_string: str | None = None
    abatement: DateTime | None = None
    abatement_age: Quantity | None = None
    abatement_period: Period | None = None
    abatement_range: Range | None = None
    abatement_string: str | None = None
    recorded: DateTime | None = None
    recorder: Reference | None = None
    asserter: Reference | None = None
    stage: tuple[Stage, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    note: tuple[Annotation, ...] = ()


class FocalDevice(Part, frozen=True, kw_only=True):
    """A device put in, changed or taken out."""

    action: CodeableConcept | None = None
    manipulated: Reference | None = None


class Done(Identified, frozen=True, kw_only=True):
    """What all procedures hold.  https://hl7.org/fhir/R4/procedure.html"""

    status: str
    code: CodeableConcept | None = None
    category: CodeableConcept | None = None
    instantiates: tuple[str | None, ...] = ()
    instantiates_uri: tuple[str | None, ...] = ()
    status_reason: CodeableConcept | None = None
    based_on: tuple[Reference, ...] = ()
    part_of: tuple[Reference, ...] = ()
    patient: Reference | None = None
    session: Reference | None = None
    performed: DateTime | None = None
    performed_period: Period | None = None
    performed_string: str | None = None
    performed_age: Quantity | None = None
    performed_range: Range | None = None
    recorder: Reference | None = None
    asserter: Reference | None = None
    performer: tuple[Performer, ...] = ()
    location: Reference | None = None
    reason: tuple[CodeableConcept, ...] = ()
    reason_reference: tuple[Reference, ...] = ()
    body_site: tuple[CodeableConcept, ...] = ()
    outcome: CodeableConcept | None = None
    report: tuple[Reference, ...] = ()
    complication: tuple[CodeableConcept, ...] = ()
    complication_detail: tuple[Reference, ...] = ()
    follow_up: tuple[CodeableConcept, ...] = ()
    note: tuple[Annotation, ...] = ()
    focal_device: tuple[FocalDevice, ...] = ()
    used: tuple[CodeableConcept, ...] = ()
    used_reference: tuple[Reference, ...] = ()


class Procedure(Done, frozen=True, kw_only=True):
    """What was done to the patient: gastrectomy, bypass, ileal resection, any other.

    Its mechanism, where it removes an absorption site, follows from `code`.
    """


class SessionStep(Done, frozen=True, kw_only=True):
    """One step of a session: check-in review, antisepsis, cannulation, removal, dressing."""

    category: CodeableConcept | None = SESSION_STEP

    def __post_init__(self) -> None:
        _as_default(self, "category", SESSION_STEP)


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


class Causality(Part, frozen=True, kw_only=True):
    """How far the suspect is held to be the cause."""

    assessment: CodeableConcept | None = None
    product_relatedness: str | None = None
    author: Reference | None = None
    method: CodeableConcept | None = None


class SuspectEntity(Part, frozen=True, kw_only=True):
    """What may have caused a reaction."""

    instance: Reference | None = None
    causality: tuple[Causality, ...] = ()


class Reaction(Record, frozen=True, kw_only=True):
    """A reaction to an infusion.  https://hl7.org/fhir/R4/adverseevent.html"""

    identifier: Identifier | None = None
    actuality: str
    category: tuple[CodeableConcept, ...] = ()
    event: CodeableConcept | None = None
    patient: Reference | None = None
    session: Reference | None = None
    date: DateTime | None = None
    detected: DateTime | None = None
    recorded: DateTime | None = None
    resulting_condition: tuple[Reference, ...] = ()
    location: Reference | None = None
    seriousness: CodeableConcept | None = None
    severity: CodeableConcept | None = None
    outcome: CodeableConcept | None = None
    recorder: Reference | None = None
    contributor: tuple[Reference, ...] = ()
    suspect: tuple[SuspectEntity, ...] = ()
    medical_history: tuple[Reference, ...] = ()
    reference_document: tuple[Reference, ...] = ()
    study: tuple[Reference, ...] = ()


class StatusHistory(Part, frozen=True, kw_only=True):
    """A status the visit had."""

    status: str | None = None
    period: Period | None = None


class ClassHistory(Part, frozen=True, kw_only=True):
    """A class the visit had."""

    class_: Coding | None = msgspec.field(default=None, name="class")
    period: Period | None = None


class SessionParticipant(Part, frozen=True, kw_only=True):
    """Who took part in the visit."""

    type: tuple[CodeableConcept, ...] = ()
    period: Period | None = None
    individual: Reference | None = None


class SessionDiagnosis(Part, frozen=True, kw_only=True):
    """What the visit was for."""

    condition: Reference | None = None
    use: CodeableConcept | None = None
    rank: int | None = None


class SessionLocation(Part, frozen=True, kw_only=True):
    """Where the visit was."""

    location: Reference | None = None
    status: str | None = None
    physical_type: CodeableConcept | None = None
    period: Period | None = None


class Hospitalization(Part, frozen=True, kw_only=True):
    """An admission."""

    pre_admission_identifier: Identifier | None = None
    origin: Reference | None = None
    admit_source: CodeableConcept | None = None
    re_admission: CodeableConcept | None = None
    diet_preference: tuple[CodeableConcept, ...] = ()
    special_courtesy: tuple[CodeableConcept, ...] = ()
    special_arrangement: tuple[CodeableConcept, ...] = ()
    destination: Reference | None = None
    discharge_disposition: CodeableConcept | None = None


class Session(Identified, frozen=True, kw_only=True):
    """One visit, tying infusion, steps and vital signs together.

    https://hl7.org/fhir/R4/encounter.html
    """

    status: str
    class_: Coding | None = msgspec.field(default=None, name="class")
    status_history: tuple[StatusHistory, ...] = ()
    class_history: tuple[ClassHistory, ...] = ()
    type: tuple[CodeableConcept, ...] = ()
    service_type: CodeableConcept | None = None
    priority: CodeableConcept | None = None
    patient: Reference | None = None
    episode: tuple[Reference, ...] = ()
    based_on: tuple[Reference, ...] = ()
    participant: tuple[SessionParticipant, ...] = ()
    appointment: tuple[Reference, ...] = ()
    period: Period | None = None
    length: Quantity | None = None
    reason: tuple[CodeableConcept, ...] = ()
    reason_reference: tuple[Reference, ...] = ()
    diagnosis: tuple[SessionDiagnosis, ...] = ()
    account: tuple[Reference, ...] = ()
    hospitalization: Hospitalization | None = None
    location: tuple[SessionLocation, ...] = ()
    service_provider: Reference | None = None
    part_of: Reference | None = None


class Attendee(Part, frozen=True, kw_only=True):
    """Who is to come."""

    type: tuple[CodeableConcept, ...] = ()
    actor: Reference | None = None
    required: str | None = None
    status: str | None = None
    period: Period | None = None


class FollowUp(Identified, frozen=True, kw_only=True):
    """The next session, as an appointment.  https://hl7.org/fhir/R4/appointment.html"""

    status: str
    cancelation_reason: CodeableConcept | None = None
    service_category: tuple[CodeableConcept, ...] = ()
    service_type: tuple[CodeableConcept, ...] = ()
    specialty: tuple[CodeableConcept, ...] = ()
    appointment_type: CodeableConcept | None = None
    reason: tuple[CodeableConcept, ...] = ()
    reason_reference: tuple[Reference, ...] = ()
    priority: int | None = None
    description: str | None = None
    supporting: tuple[Reference, ...] = ()
    start: Instant | None = None
    end: Instant | None = None
    minutes: int | None = None
    slot: tuple[Reference, ...] = ()
    created: DateTime | None = None
    comment: str | None = None
    patient_instruction: str | None = None
    based_on: tuple[Reference, ...] = ()
    participant: tuple[Attendee, ...] = ()
    requested_period: tuple[Period, ...] = ()


class FollowUpOrder(Identified, frozen=True, kw_only=True):
    """The next laboratory test or visit, as an order.

    https://hl7.org/fhir/R4/servicerequest.html
    """

    status: str
    intent: str
    instantiates: tuple[str | None, ...] = ()
    instantiates_uri: tuple[str | None, ...] = ()
    based_on: tuple[Reference, ...] = ()
    replaces: tuple[Reference, ...] = ()
    requisition: Identifier | None = None
    category: tuple[CodeableConcept, ...] = ()
    priority: str | None = None
    do_not_perform: bool | None = None
    code: CodeableConcept | None = None
    detail: tuple[CodeableConcept, ...] = ()
    quantity: Quantity | None = None
    quantity_ratio: Ratio | None = None
    quantity_range: Range | None = None
    patient: Reference | None = None
    session: Reference | None = None
    due: DateTime | None = None
    due_period: Period | None = None
    due_timing: Timing | None = None
    as_needed: bool | None = None
    as_needed_for: CodeableConcept | None = None
    authored: DateTime | None = None
    requester: Reference | None = None
    performer_type: CodeableConcept | None = None
    performer: tuple[Reference, ...] = ()
    location: tuple[CodeableConcept, ...] = ()
    location_reference: tuple[Reference, ...] = ()
    reason: tuple[CodeableConcept, ...] = ()
    reason_reference: tuple[Reference, ...] = ()
    insurance: tuple[Reference, ...] = ()
    supporting: tuple[Reference, ...] = ()
    specimen: tuple[Reference, ...] = ()
    body_site: tuple[CodeableConcept, ...] = ()
    note: tuple[Annotation, ...] = ()
    patient_instruction: str | None = None
    relevant_history: tuple[Reference, ...] = ()


class TherapyRecord(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel", gc=False
):
    """A patient's whole record. Records refer to each other by business identifier."""

    patient: Patient | None = None
    sessions: tuple[Session, ...] = ()
    infusions: tuple[Infusion, ...] = ()
    orders: tuple[InfusionOrder, ...] = ()
    steps: tuple[SessionStep, ...] = ()
    vital_signs: tuple[VitalSign, ...] = ()
    lab_results: tuple[LabResult, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    lifestyles: tuple[Lifestyle, ...] = ()
    conditions: tuple[Condition, ...] = ()
    procedures: tuple[Procedure, ...] = ()
    medication_uses: tuple[MedicationUse, ...] = ()
    medications: tuple[Medication, ...] = ()
    reactions: tuple[Reaction, ...] = ()
    follow_ups: tuple[FollowUp, ...] = ()
    follow_up_orders: tuple[FollowUpOrder, ...] = ()

    LISTS: ClassVar[dict[type[Record], str]] = {
        Session: "sessions",
        Infusion: "infusions",
        InfusionOrder: "orders",
        SessionStep: "steps",
        VitalSign: "vital_signs",
        LabResult: "lab_results",
        Outcome: "outcomes",
        Lifestyle: "lifestyles",
        Condition: "conditions",
        Procedure: "procedures",
        MedicationUse: "medication_uses",
        Medication: "medications",
        Reaction: "reactions",
        FollowUp: "follow_ups",
        FollowUpOrder: "follow_up_orders",
    }

    def __iter__(self) -> Iterator[Record]:
        """Every record, the patient first."""
        return (record for _, record in self.places())

    def places(self) -> Iterator[tuple[str, Record]]:
        """Every record with its place in this one, `patient` or `infusions[0]`."""
        if self.patient is not None:
            yield "patient", self.patient
        encoded = {field.name: field.encode_name for field in msgspec.structs.fields(type(self))}
        for field in self.LISTS.values():
            for index, record in enumerate(getattr(self, field)):
                yield f"{encoded[field]}[{index}]", record

    def medication(
        self, use: "Infusion | InfusionOrder | MedicationUse"
    ) -> CodeableConcept | Medication | Reference | None:
        """What was given, ordered or taken: the drug, the bag, or what the link leads to here."""
        link = use.medication
        if use.drug is not None or use.bag is not None or link is None:
            return use.drug or use.bag
        named = {(name.system, name.value): m for m in self.medications for name in m.identifier}
        name = link.identifier
        return link if name is None else named.get((name.system, name.value), link)


def names(record: Record) -> tuple[Identifier, ...]:
    """The business identifiers of a record, its own name first."""
    if isinstance(record, Identified):
        return record.identifier
    identifier = getattr(record, "identifier", None)
    return () if identifier is None else (identifier,)


RECORDS: tuple[type[Record], ...] = (Patient, *TherapyRecord.LISTS)
