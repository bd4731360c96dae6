"""All that a clinic keeps of one patient."""

from collections.abc import Iterator
from typing import ClassVar

import msgspec

from fhir_b12.datatypes import CodeableConcept, Identifier, Reference
from fhir_b12.records.base import Identified, Record
from fhir_b12.records.clinical import Condition, Procedure, Reaction, SessionStep
from fhir_b12.records.medicines import Infusion, InfusionOrder, Medication, MedicationUse
from fhir_b12.records.observations import LabResult, Lifestyle, Outcome, VitalSign
from fhir_b12.records.patient import Patient
from fhir_b12.records.visits import FollowUp, FollowUpOrder, Session


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
