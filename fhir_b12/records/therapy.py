"""The whole record of one patient."""

import typing
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
    """The whole record of one patient. Its records refer to each other by business identifier.

    A record type is listed here by one field; `fhir_b12.records.registry` says the rest about it.
    """

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

    LISTS: ClassVar[dict[type[Record], str]]  #: record class -> field with the list of its records

    def __iter__(self) -> Iterator[Record]:
        """Yield every record, the patient first."""
        return (record for _, record in self.located())

    def located(self) -> Iterator[tuple[str, Record]]:
        """Yield every record with its path in the plain JSON: `patient`, `infusions[0]`."""
        if self.patient is not None:
            yield "patient", self.patient
        encoded = {field.name: field.encode_name for field in msgspec.structs.fields(type(self))}
        for field in self.LISTS.values():
            for index, record in enumerate(getattr(self, field)):
                yield f"{encoded[field]}[{index}]", record

    def medication(
        self, use: "Infusion | InfusionOrder | MedicationUse"
    ) -> CodeableConcept | Medication | Reference | None:
        """Return what was given, ordered or taken.

        Args:
            use: a record of this therapy record with a medication.

        Returns:
            The drug, the bag, or the Medication of this record that `use.medication` refers to;
            the reference itself if its target is not in this record, None if nothing is known.

        """
        link = use.medication
        if use.drug is not None or use.bag is not None or link is None:
            return use.drug or use.bag
        by_name = {(name.system, name.value): m for m in self.medications for name in m.identifier}
        name = link.identifier
        return link if name is None else by_name.get((name.system, name.value), link)


def names(record: Record) -> tuple[Identifier, ...]:
    """Return the business identifiers of a record; other records refer to it by the first."""
    if isinstance(record, Identified):
        return record.identifier
    identifier = getattr(record, "identifier", None)
    return () if identifier is None else (identifier,)


def _lists() -> dict[type[Record], str]:
    """Return the fields of TherapyRecord that are lists, by the class of their records."""
    hints = typing.get_type_hints(TherapyRecord)
    items = {name: typing.get_args(hints[name])[0] for name in TherapyRecord.__struct_fields__}
    return {item: name for name, item in items.items() if name != "patient"}


TherapyRecord.LISTS = _lists()
#: Every record class, in the order of the fields of TherapyRecord.
RECORDS: tuple[type[Record], ...] = (Patient, *TherapyRecord.LISTS)
