"""The records of a B12 infusion clinic as frozen values; each is mapped to one FHIR resource.

Fields have names of FHIR or of the clinic; `help(LabResult)` describes each. A code is stored as
it was written; whether it concerns B12 is looked up (`fhir_b12.codes`). A missing value is None.
"""

from fhir_b12.records.base import Identified, Part, Performer, Record
from fhir_b12.records.clinical import (
    Causality,
    Condition,
    Evidence,
    FocalDevice,
    Procedure,
    ProcedureBase,
    Reaction,
    SessionStep,
    Stage,
    SuspectEntity,
)
from fhir_b12.records.medicines import (
    Batch,
    DispenseRequest,
    Infusion,
    InfusionOrder,
    Ingredient,
    Medication,
    MedicationUse,
    Substitution,
)
from fhir_b12.records.observations import (
    Component,
    LabResult,
    Lifestyle,
    Observed,
    Outcome,
    ReferenceRange,
    VitalSign,
)
from fhir_b12.records.patient import Communication, Contact, Patient, PatientLink
from fhir_b12.records.registry import BY_RECORD, RECORD_TYPES, RecordType
from fhir_b12.records.therapy import RECORDS, TherapyRecord, names
from fhir_b12.records.visits import (
    Attendee,
    ClassHistory,
    FollowUp,
    FollowUpOrder,
    Hospitalization,
    Session,
    SessionDiagnosis,
    SessionLocation,
    SessionParticipant,
    StatusHistory,
)

__all__ = [
    "BY_RECORD",
    "RECORDS",
    "RECORD_TYPES",
    "Attendee",
    "Batch",
    "Causality",
    "ClassHistory",
    "Communication",
    "Component",
    "Condition",
    "Contact",
    "DispenseRequest",
    "Evidence",
    "FocalDevice",
    "FollowUp",
    "FollowUpOrder",
    "Hospitalization",
    "Identified",
    "Infusion",
    "InfusionOrder",
    "Ingredient",
    "LabResult",
    "Lifestyle",
    "Medication",
    "MedicationUse",
    "Observed",
    "Outcome",
    "Part",
    "Patient",
    "PatientLink",
    "Performer",
    "Procedure",
    "ProcedureBase",
    "Reaction",
    "Record",
    "RecordType",
    "ReferenceRange",
    "Session",
    "SessionDiagnosis",
    "SessionLocation",
    "SessionParticipant",
    "SessionStep",
    "Stage",
    "StatusHistory",
    "Substitution",
    "SuspectEntity",
    "TherapyRecord",
    "VitalSign",
    "names",
]
