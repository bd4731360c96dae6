"""What ails the patient, what was done, and what went wrong."""

from fhir_b12.datatypes import (
    Annotation,
    CodeableConcept,
    Coding,
    DateTime,
    Identifier,
    Period,
    Quantity,
    Range,
    Reference,
)
from fhir_b12.records.base import Identified, Part, Performer, Record, as_default

SESSION_STEP = CodeableConcept(
    coding=(Coding(system="https://fhir-b12.org/CodeSystem/procedure-kind", code="session-step"),)
)


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


class ProcedureBase(Identified, frozen=True, kw_only=True):
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


class Procedure(ProcedureBase, frozen=True, kw_only=True):
    """What was done to the patient: gastrectomy, bypass, ileal resection, any other.

    Its mechanism, where it removes an absorption site, follows from `code`.
    """


class SessionStep(ProcedureBase, frozen=True, kw_only=True):
    """One step of a session: check-in review, antisepsis, cannulation, removal, dressing."""

    category: CodeableConcept | None = SESSION_STEP

    def __post_init__(self) -> None:
        as_default(self, "category", SESSION_STEP)


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
