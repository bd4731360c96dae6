"""The patient."""

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
    """A language the patient speaks.

    Attributes:
        language: The language which can be used to communicate with the patient about his or her
            health.
        preferred: Language preference indicator.

    """

    language: CodeableConcept | None = None
    preferred: bool | None = None


class Contact(Part, frozen=True, kw_only=True):
    """A contact person of the patient.

    Attributes:
        relationship: The kind of relationship.
        name: A name associated with the contact person.
        telecom: A contact detail for the person.
        address: Address for the contact person.
        gender: male | female | other | unknown.
        organization: Organization that is associated with the contact.
        period: The period during which this contact person or organization is valid to be
            contacted relating to this patient.

    """

    relationship: tuple[CodeableConcept, ...] = ()
    name: HumanName | None = None
    telecom: tuple[ContactPoint, ...] = ()
    address: Address | None = None
    gender: str | None = None
    organization: Reference | None = None
    period: Period | None = None


class PatientLink(Part, frozen=True, kw_only=True):
    """Another record of the same person.

    Attributes:
        other: The other patient or related person resource that the link refers to.
        type: replaced-by | replaces | refer | seealso.

    """

    other: Reference | None = None
    type: str | None = None


class Patient(Identified, frozen=True, kw_only=True):
    """The patient who is treated.  https://hl7.org/fhir/R4/patient.html

    Attributes:
        active: Whether this patient's record is in active use.
        name: A name associated with the patient.
        telecom: A contact detail for the individual.
        gender: male | female | other | unknown.
        birth_date: The date of birth for the individual.
        deceased: Indicates if the individual is deceased or not, as boolean.
        deceased_at: Indicates if the individual is deceased or not, as dateTime.
        address: An address for the individual.
        marital_status: Marital (civil) status of a patient.
        multiple_birth: Whether patient is part of a multiple birth, as boolean.
        multiple_birth_order: Whether patient is part of a multiple birth, as integer.
        photo: Image of the patient.
        contact: A contact party (e.g. guardian, partner, friend) for the patient.
        communication: A language which may be used to communicate with the patient about his or
            her health.
        general_practitioner: Patient's nominated primary care provider.
        managing_organization: Organization that is the custodian of the patient record.
        link: Link to another patient resource that concerns the same actual person.

    """

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
