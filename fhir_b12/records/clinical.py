"""Conditions, procedures and reactions."""

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
    """Stage or grade of a condition.

    Attributes:
        summary: Simple summary (disease specific).
        assessment: Formal record of assessment.
        type: Kind of staging.

    """

    summary: CodeableConcept | None = None
    assessment: tuple[Reference, ...] = ()
    type: CodeableConcept | None = None


class Evidence(Part, frozen=True, kw_only=True):
    """Evidence for a diagnosis.

    Attributes:
        code: Manifestation/symptom.
        detail: Supporting information found elsewhere.

    """

    code: tuple[CodeableConcept, ...] = ()
    detail: tuple[Reference, ...] = ()


class Condition(Identified, frozen=True, kw_only=True):
    """A diagnosis or a symptom.  https://hl7.org/fhir/R4/condition.html

    Its mechanism of impaired absorption, where it has one, follows from `code`.

    Attributes:
        code: Identification of the condition, problem or diagnosis.
        clinical_status: active | recurrence | relapse | inactive | remission | resolved.
        verification_status: unconfirmed | provisional | differential | confirmed | refuted |
            entered-in-error.
        category: problem-list-item | encounter-diagnosis.
        severity: Subjective severity of condition.
        body_site: Anatomical location, if relevant.
        patient: Patient who has the condition.
        session: Encounter created as part of.
        onset: Estimated or actual date, date-time, or age, as dateTime.
        onset_age: Age at onset, UCUM, e.g. 52 a.
        onset_period: Estimated or actual date, date-time, or age, as Period.
        onset_range: Estimated or actual date, date-time, or age, as Range.
        onset_string: Estimated or actual date, date-time, or age, as string.
        abatement: When in resolution/remission, as dateTime.
        abatement_age: Age at abatement, UCUM, e.g. 60 a.
        abatement_period: When in resolution/remission, as Period.
        abatement_range: When in resolution/remission, as Range.
        abatement_string: When in resolution/remission, as string.
        recorded: Date record was first recorded.
        recorder: Who recorded the condition.
        asserter: Person who asserts this condition.
        stage: Stage/grade, usually assessed formally.
        evidence: Supporting evidence.
        note: Additional information about the Condition.

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
    """A device that was implanted, changed or removed.

    Attributes:
        action: Kind of change to device.
        manipulated: Device that was changed.

    """

    action: CodeableConcept | None = None
    manipulated: Reference | None = None


class ProcedureBase(Identified, frozen=True, kw_only=True):
    """Fields of all procedures.  https://hl7.org/fhir/R4/procedure.html

    Attributes:
        status: preparation | in-progress | not-done | on-hold | stopped | completed | entered-in-
            error | unknown.
        code: Identification of the procedure.
        category: Classification of the procedure.
        instantiates: Instantiates FHIR protocol or definition.
        instantiates_uri: Instantiates external protocol or definition.
        status_reason: Reason for current status.
        based_on: A request for this procedure.
        part_of: Part of referenced event.
        patient: Who the procedure was performed on.
        session: Encounter created as part of.
        performed: When the procedure was performed, as dateTime.
        performed_period: When the procedure was performed, as Period.
        performed_string: When the procedure was performed, as string.
        performed_age: When the procedure was performed, as Age.
        performed_range: When the procedure was performed, as Range.
        recorder: Who recorded the procedure.
        asserter: Person who asserts this procedure.
        performer: The people who performed the procedure.
        location: Where the procedure happened.
        reason: Coded reason procedure performed.
        reason_reference: The justification that the procedure was performed.
        body_site: Target body sites.
        outcome: The result of procedure.
        report: Any report resulting from the procedure.
        complication: Complication following the procedure.
        complication_detail: A condition that is a result of the procedure.
        follow_up: Instructions for follow up.
        note: Additional information about the procedure.
        focal_device: Manipulated, implanted, or removed device.
        used: Coded items used during the procedure.
        used_reference: Items used during procedure.

    """

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
    """A procedure: gastrectomy, bypass, ileal resection, any other.

    Its mechanism, where it removes an absorption site, follows from `code`.
    """


class SessionStep(ProcedureBase, frozen=True, kw_only=True):
    """One step of a session: check-in review, antisepsis, cannulation, removal, dressing.

    Attributes:
        category: Category; `session-step` by default.

    """

    category: CodeableConcept | None = SESSION_STEP

    def __post_init__(self) -> None:
        as_default(self, "category", SESSION_STEP)


class Causality(Part, frozen=True, kw_only=True):
    """Assessment of whether the suspect caused the reaction.

    Attributes:
        assessment: Assessment of if the entity caused the event.
        product_relatedness: AdverseEvent.suspectEntity.causalityProductRelatedness.
        author: AdverseEvent.suspectEntity.causalityAuthor.
        method: ProbabilityScale | Bayesian | Checklist.

    """

    assessment: CodeableConcept | None = None
    product_relatedness: str | None = None
    author: Reference | None = None
    method: CodeableConcept | None = None


class SuspectEntity(Part, frozen=True, kw_only=True):
    """A suspected cause of a reaction.

    Attributes:
        instance: Refers to the specific entity that caused the adverse event.
        causality: Information on the possible cause of the event.

    """

    instance: Reference | None = None
    causality: tuple[Causality, ...] = ()


class Reaction(Record, frozen=True, kw_only=True):
    """A reaction to an infusion.  https://hl7.org/fhir/R4/adverseevent.html

    Attributes:
        identifier: Business identifier for the event.
        actuality: actual | potential.
        category: product-problem | product-quality | product-use-error | wrong-dose | incorrect-
            prescribing-information | wrong-technique | wrong-route-of-administration | wrong-rate
            | wrong-duration | wrong-time | expired-drug | medical-device-use-error | problem-
            different-manufacturer | unsafe-physical-environment.
        event: Type of the event itself in relation to the subject.
        patient: Subject impacted by event.
        session: Encounter created as part of.
        date: When the event occurred.
        detected: When the event was detected.
        recorded: When the event was recorded.
        resulting_condition: Effect on the subject due to this event.
        location: Location where adverse event occurred.
        seriousness: Seriousness of the event.
        severity: mild | moderate | severe.
        outcome: resolved | recovering | ongoing | resolvedWithSequelae | fatal | unknown.
        recorder: Who recorded the adverse event.
        contributor: Who was involved in the adverse event or the potential adverse event.
        suspect: The suspected agent causing the adverse event.
        medical_history: AdverseEvent.subjectMedicalHistory.
        reference_document: AdverseEvent.referenceDocument.
        study: AdverseEvent.study.

    """

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
