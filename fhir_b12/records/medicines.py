"""Medications: mixed, administered, ordered and taken."""

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
    """An ingredient of an infusion bag: the B12 (active) or the diluent.

    Attributes:
        item_codeable_concept: The actual ingredient or content, as CodeableConcept.
        item_reference: The actual ingredient or content, as Reference.
        is_active: Active ingredient indicator.
        strength: Amount of the ingredient, UCUM, e.g. 1000 ug per 250 mL.

    """

    item_codeable_concept: CodeableConcept | None = None
    item_reference: Reference | None = None
    is_active: bool | None = None
    strength: Ratio | None = None


class Batch(Part, frozen=True, kw_only=True):
    """The lot of a medication.

    Attributes:
        lot_number: Identifier assigned to batch.
        expiration_date: When batch will expire.

    """

    lot_number: str | None = None
    expiration_date: DateTime | None = None


class Medication(Identified, frozen=True, kw_only=True):
    """A drug or an infusion bag.  https://hl7.org/fhir/R4/medication.html

    Attributes:
        code: Codes that identify this medication.
        status: active | inactive | entered-in-error.
        manufacturer: Manufacturer of the item.
        form: powder | tablets | capsule | ...
        amount: Volume of the bag, UCUM, e.g. 250 mL per 1.
        ingredient: Active or inactive ingredient.
        batch: Details about packaged medications.

    """

    code: CodeableConcept | None = None
    status: str | None = None
    manufacturer: Reference | None = None
    form: CodeableConcept | None = None
    amount: Ratio | None = None
    ingredient: tuple[Ingredient, ...] = ()
    batch: Batch | None = None


class Infusion(Identified, frozen=True, kw_only=True):
    """One intravenous administration.  https://hl7.org/fhir/R4/medicationadministration.html

    Either `drug` (given as a concept), `bag` (what was mixed) or `medication` (a link).

    Attributes:
        status: in-progress | not-done | on-hold | completed | entered-in-error | stopped |
            unknown.
        drug: Drug that was given, as a concept.
        bag: Infusion bag with its ingredients, if the medication is a mixture.
        medication: Reference to the Medication that was given.
        patient: Who received medication.
        session: Encounter or Episode of Care administered as part of.
        given: Start and end of the infusion; only the start if the end is unknown.
        category: Type of medication usage.
        status_reason: Why not done or stopped.
        reason: Reason administration performed.
        reason_reference: Condition or observation that supports why the medication was
            administered.
        order: Request administration performed against.
        performer: Who performed the medication administration and what they did.
        device: Devices used, e.g. pump and cannula.
        note: Information about the administration.
        supporting: Additional information to support administration.
        part_of: Part of referenced event.
        event_history: A list of events of interest in the lifecycle.
        instantiates: Instantiates protocol or definition.
        dosage_text: Free text dosage instructions e.g. SIG.
        route: Path of substance into body.
        site: Body site administered to.
        method: How drug was administered.
        dose: Mass of B12 that was given, UCUM, e.g. 1000 ug.
        rate: Rate of the infusion, UCUM, e.g. 500 mL/h.
        rate_ratio: Rate of the infusion as a ratio, e.g. 250 mL per 30 min.
        dosage_extension: Extensions of the dosage, as JSON.

    """

    status: str
    drug: CodeableConcept | None = None
    bag: Medication | None = None
    medication: Reference | None = None
    patient: Reference | None = None
    session: Reference | None = None
    given: Period | None = None
    category: CodeableConcept | None = None
    status_reason: tuple[CodeableConcept, ...] = ()
    reason: tuple[CodeableConcept, ...] = ()
    reason_reference: tuple[Reference, ...] = ()
    order: Reference | None = None
    performer: tuple[Performer, ...] = ()
    device: tuple[Reference, ...] = ()
    note: tuple[Annotation, ...] = ()
    supporting: tuple[Reference, ...] = ()
    part_of: tuple[Reference, ...] = ()
    event_history: tuple[Reference, ...] = ()
    instantiates: tuple[str | None, ...] = ()
    dosage_text: str | None = None
    route: CodeableConcept | None = None
    site: CodeableConcept | None = None
    method: CodeableConcept | None = None
    dose: Quantity | None = None
    rate: Quantity | None = None
    rate_ratio: Ratio | None = None
    dosage_extension: tuple[Json, ...] = ()


class DispenseRequest(Part, frozen=True, kw_only=True):
    """What the pharmacy is asked to supply.

    Attributes:
        validity_period: Time period supply is authorized for.
        number_of_repeats_allowed: Number of refills authorized.
        quantity: Amount of medication to supply per dispense.
        expected_supply_duration: Number of days supply per dispense.
        performer: Intended dispenser.

    """

    validity_period: Period | None = None
    number_of_repeats_allowed: int | None = None
    quantity: Quantity | None = None
    expected_supply_duration: Quantity | None = None
    performer: Reference | None = None


class Substitution(Part, frozen=True, kw_only=True):
    """Whether the pharmacy may substitute another product.

    Attributes:
        allowed_boolean: Whether substitution is allowed or not, as boolean.
        allowed_codeable_concept: Whether substitution is allowed or not, as CodeableConcept.
        reason: Why should (not) substitution be made.

    """

    allowed_boolean: bool | None = None
    allowed_codeable_concept: CodeableConcept | None = None
    reason: CodeableConcept | None = None


class InfusionOrder(Identified, frozen=True, kw_only=True):
    """An order of infusions: drug, dose, interval and number.

    https://hl7.org/fhir/R4/medicationrequest.html; every medication order reads as one, its
    `dosage` says by which route.

    Attributes:
        status: active | on-hold | cancelled | completed | entered-in-error | stopped | draft |
            unknown.
        intent: proposal | plan | order | original-order | reflex-order | filler-order | instance-
            order | option.
        drug: Drug that is ordered, as a concept.
        bag: Infusion bag with its ingredients, if the medication is a mixture.
        medication: Reference to the Medication that is ordered.
        patient: Who or group medication request is for.
        status_reason: Reason for current status.
        category: Type of medication usage.
        priority: routine | urgent | asap | stat.
        do_not_perform: True if request is prohibiting action.
        reported: Reported rather than primary record, as boolean.
        reported_by: Reported rather than primary record, as Reference.
        session: Encounter created as part of encounter/admission/stay.
        supporting: Information to support ordering of the medication.
        authored: When request was initially authored.
        requester: Who/What requested the Request.
        performer: Intended performer of administration.
        performer_type: Desired kind of performer of the medication administration.
        recorder: Person who entered the request.
        reason: Reason or indication for ordering or not ordering the medication.
        reason_reference: Condition or observation that supports why the prescription is being
            written.
        instantiates: Instantiates FHIR protocol or definition.
        instantiates_uri: Instantiates external protocol or definition.
        based_on: What request fulfills.
        group: Composite request this is part of.
        course_of_therapy: Overall pattern of medication administration.
        insurance: Associated insurance coverage.
        note: Information about the prescription.
        dosage: Dose, rate, route and timing; `timing.repeat` has number and interval of sessions.
        dispense: Medication supply authorization.
        substitution: Any restrictions on medication substitution.
        prior: An order/prescription that is being replaced.
        detected_issue: Clinical Issue with action.
        event_history: A list of events of interest in the lifecycle.

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
    dosage: tuple[Dosage, ...] = ()
    dispense: DispenseRequest | None = None
    substitution: Substitution | None = None
    prior: Reference | None = None
    detected_issue: tuple[Reference, ...] = ()
    event_history: tuple[Reference, ...] = ()


class MedicationUse(Identified, frozen=True, kw_only=True):
    """A medication that the patient takes.  https://hl7.org/fhir/R4/medicationstatement.html

    Its mechanism, where it interferes with B12, follows from `drug`.

    Attributes:
        status: active | completed | entered-in-error | intended | stopped | on-hold | unknown |
            not-taken.
        drug: Drug that is taken, as a concept.
        bag: Medication with its ingredients, if it is a mixture.
        medication: Reference to the Medication that is taken.
        patient: Who is/was taking the medication.
        session: Encounter / Episode associated with MedicationStatement.
        status_reason: Reason for current status.
        category: Type of medication usage.
        based_on: Fulfils plan, proposal or order.
        part_of: Part of referenced event.
        taken: The date/time or interval when the medication is/was/will be taken, as dateTime.
        taken_period: The date/time or interval when the medication is/was/will be taken, as
            Period.
        asserted: When the statement was asserted?.
        source: Person or organization that provided the information about the taking of this
            medication.
        derived_from: Additional supporting information.
        reason: Reason for why the medication is being/was taken.
        reason_reference: Condition or observation that supports why the medication is being/was
            taken.
        note: Further information about the statement.
        dosage: Details of how medication is/was taken or should be taken.

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
