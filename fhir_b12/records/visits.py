"""Sessions, appointments and orders of follow-up."""

import msgspec

from fhir_b12.datatypes import (
    Annotation,
    CodeableConcept,
    Coding,
    DateTime,
    Identifier,
    Instant,
    Period,
    Quantity,
    Range,
    Ratio,
    Reference,
    Timing,
)
from fhir_b12.records.base import Identified, Part


class StatusHistory(Part, frozen=True, kw_only=True):
    """A past status of the visit.

    Attributes:
        status: planned | arrived | triaged | in-progress | onleave | finished | cancelled | ...
        period: The time that the episode was in the specified status.

    """

    status: str | None = None
    period: Period | None = None


class ClassHistory(Part, frozen=True, kw_only=True):
    """A past class of the visit.

    Attributes:
        class_: inpatient | outpatient | ambulatory | emergency | ...
        period: The time that the episode was in the specified class.

    """

    class_: Coding | None = msgspec.field(default=None, name="class")
    period: Period | None = None


class SessionParticipant(Part, frozen=True, kw_only=True):
    """A participant of the visit.

    Attributes:
        type: Role of participant in encounter.
        period: Period of time during the encounter that the participant participated.
        individual: Persons involved in the encounter other than the patient.

    """

    type: tuple[CodeableConcept, ...] = ()
    period: Period | None = None
    individual: Reference | None = None


class SessionDiagnosis(Part, frozen=True, kw_only=True):
    """A diagnosis that the visit was for.

    Attributes:
        condition: The diagnosis or procedure relevant to the encounter.
        use: Role that this diagnosis has within the encounter (e.g. admission, billing, discharge
            …).
        rank: Ranking of the diagnosis (for each role type).

    """

    condition: Reference | None = None
    use: CodeableConcept | None = None
    rank: int | None = None


class SessionLocation(Part, frozen=True, kw_only=True):
    """A location of the visit.

    Attributes:
        location: Location the encounter takes place.
        status: planned | active | reserved | completed.
        physical_type: The physical type of the location (usually the level in the location
            hierachy - bed room ward etc.).
        period: Time period during which the patient was present at the location.

    """

    location: Reference | None = None
    status: str | None = None
    physical_type: CodeableConcept | None = None
    period: Period | None = None


class Hospitalization(Part, frozen=True, kw_only=True):
    """An admission.

    Attributes:
        pre_admission_identifier: Pre-admission identifier.
        origin: The location/organization from which the patient came before admission.
        admit_source: From where patient was admitted (physician referral, transfer).
        re_admission: The type of hospital re-admission that has occurred (if any). If the value
            is absent, then this is not identified as a readmission.
        diet_preference: Diet preferences reported by the patient.
        special_courtesy: Special courtesies (VIP, board member).
        special_arrangement: Wheelchair, translator, stretcher, etc.
        destination: Location/organization to which the patient is discharged.
        discharge_disposition: Category or kind of location after discharge.

    """

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

    Attributes:
        status: planned | arrived | triaged | in-progress | onleave | finished | cancelled | ...
        class_: Class of the encounter, e.g. ambulatory.
        status_history: List of past encounter statuses.
        class_history: List of past encounter classes.
        type: Specific type of encounter.
        service_type: Specific type of service.
        priority: Indicates the urgency of the encounter.
        patient: The patient or group present at the encounter.
        episode: Episode(s) of care that this encounter should be recorded against.
        based_on: The ServiceRequest that initiated this encounter.
        participant: List of participants involved in the encounter.
        appointment: The appointment that scheduled this encounter.
        period: The start and end time of the encounter.
        length: Duration of the encounter without absences, UCUM, e.g. 45 min.
        reason: Coded reason the encounter takes place.
        reason_reference: Reason the encounter takes place (reference).
        diagnosis: The list of diagnosis relevant to this encounter.
        account: The set of accounts that may be used for billing for this Encounter.
        hospitalization: Details about the admission to a healthcare service.
        location: List of locations where the patient has been.
        service_provider: The organization (facility) responsible for this encounter.
        part_of: Another Encounter this encounter is part of.

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
    """A participant of an appointment.

    Attributes:
        type: Role of participant in the appointment.
        actor: Person, Location/HealthcareService or Device.
        required: required | optional | information-only.
        status: accepted | declined | tentative | needs-action.
        period: Participation period of the actor.

    """

    type: tuple[CodeableConcept, ...] = ()
    actor: Reference | None = None
    required: str | None = None
    status: str | None = None
    period: Period | None = None


class FollowUp(Identified, frozen=True, kw_only=True):
    """The next session, as an appointment.  https://hl7.org/fhir/R4/appointment.html

    Attributes:
        status: proposed | pending | booked | arrived | fulfilled | cancelled | noshow | entered-
            in-error | checked-in | waitlist.
        cancelation_reason: The coded reason for the appointment being cancelled.
        service_category: A broad categorization of the service that is to be performed during
            this appointment.
        service_type: The specific service that is to be performed during this appointment.
        specialty: The specialty of a practitioner that would be required to perform the service
            requested in this appointment.
        appointment_type: The style of appointment or patient that has been booked in the slot
            (not service type).
        reason: Coded reason this appointment is scheduled.
        reason_reference: Reason the appointment is to take place (resource).
        priority: Used to make informed decisions if needing to re-prioritize.
        description: Shown on a subject line in a meeting request, or appointment list.
        supporting: Additional information to support the appointment.
        start: When appointment is to take place.
        end: When appointment is to conclude.
        minutes: Planned duration in minutes.
        slot: The slots that this appointment is filling.
        created: The date that this appointment was initially created.
        comment: Additional comments.
        patient_instruction: Detailed information and instructions for the patient.
        based_on: The service request this appointment is allocated to assess.
        participant: Participants involved in appointment.
        requested_period: Potential date/time interval(s) requested to allocate the appointment
            within.

    """

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

    Attributes:
        status: draft | active | on-hold | revoked | completed | entered-in-error | unknown.
        intent: proposal | plan | directive | order | original-order | reflex-order | filler-order
            | instance-order | option.
        instantiates: Instantiates FHIR protocol or definition.
        instantiates_uri: Instantiates external protocol or definition.
        based_on: What request fulfills.
        replaces: What request replaces.
        requisition: Composite Request ID.
        category: Classification of service.
        priority: routine | urgent | asap | stat.
        do_not_perform: True if service/procedure should not be performed.
        code: What is being requested/ordered.
        detail: Additional order information.
        quantity: Service amount, as Quantity.
        quantity_ratio: Service amount, as Ratio.
        quantity_range: Service amount, as Range.
        patient: Individual or Entity the service is ordered for.
        session: Encounter in which the request was created.
        due: When service should occur, as dateTime.
        due_period: When service should occur, as Period.
        due_timing: When service should occur, as Timing.
        as_needed: Preconditions for service, as boolean.
        as_needed_for: Preconditions for service, as CodeableConcept.
        authored: Date request signed.
        requester: Who/what is requesting service.
        performer_type: Performer role.
        performer: Requested performer.
        location: Requested location.
        location_reference: Requested location.
        reason: Explanation/Justification for procedure or service.
        reason_reference: Explanation/Justification for service or service.
        insurance: Associated insurance coverage.
        supporting: Additional clinical information.
        specimen: Procedure Samples.
        body_site: Location on Body.
        note: Comments.
        patient_instruction: Patient or consumer-oriented instructions.
        relevant_history: Request provenance.

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
