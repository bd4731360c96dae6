"""Sessions that were and sessions to come."""

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
