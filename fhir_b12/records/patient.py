"""Who is treated."""

from fhir_b12.datatypes import (
    Address,
    Attachment,
    CodeableConcept,
    ContactPoint,
    Date,
    DateTime,
    HumanName,
    Period,
    Reference,
)
from fhir_b12.records.base import Identified, Part


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
