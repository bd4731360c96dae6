"""The record types: everything about a record class that other parts of the project need.

`RECORD_TYPES` is the only list of record types. From it and from the field of TherapyRecord derive
the mapping tables and their order, summaries, the timeline and the resource types of the server.
A type that lacks a part is refused when this module is imported.
"""

import re
from collections.abc import Iterator, Mapping

import msgspec

from fhir_b12.records.base import Record
from fhir_b12.records.clinical import Condition, Procedure, Reaction, SessionStep
from fhir_b12.records.medicines import Infusion, InfusionOrder, Medication, MedicationUse
from fhir_b12.records.observations import LabResult, Lifestyle, Outcome, VitalSign
from fhir_b12.records.patient import Patient
from fhir_b12.records.therapy import TherapyRecord
from fhir_b12.records.visits import FollowUp, FollowUpOrder, Session


class Timeline(msgspec.Struct, frozen=True):
    """How the records of one class appear in a patient's timeline."""

    label: str  #: name of the type, for readers: "laboratory"
    dates: tuple[str, ...]  #: fields with the date, in order of preference
    details: Mapping[str, str]  #: fields shown beside the title, each with the word before it
    folded: bool = False  #: whether pages show it folded, for each session has many


class RecordType(msgspec.Struct, frozen=True, kw_only=True):
    """One record type. All parts are required: None and () say that there is nothing to show."""

    record: type[Record]
    title: tuple[str, ...]  #: fields that say what the record is about; the first with a value
    amount: tuple[str, ...]  #: fields that say how much; the first with a value
    date: tuple[str, ...]  #: fields that say when, for summaries; the first with a value
    timeline: Timeline | None  #: None for records that are not events

    @property
    def table(self) -> str:
        """Name of the mapping table: `lab_result` for LabResult."""
        return re.sub("(?<!^)(?=[A-Z])", "_", self.record.__name__).lower()

    @property
    def list_name(self) -> str:
        """Field of TherapyRecord with the records of this type: `lab_results`."""
        return "patient" if self.record is Patient else TherapyRecord.LISTS[self.record]

    @property
    def fields(self) -> set[str]:
        """The names of all fields that summaries and the timeline show."""
        timeline = self.timeline
        shown = {*timeline.dates, *timeline.details} if timeline is not None else set()
        return {*self.title, *self.amount, *self.date, *shown}


_REASONS = {"status_reason": "because:", "note": ""}
_ORDERED = {"do_not_perform": "not to be done:", "dosage": "", "intent": "intent:"} | _REASONS
_REQUESTED = {"do_not_perform": "not to be done:", "intent": "intent:", "note": ""}
_DRUG = ("bag", "drug")
_OBSERVED = ("collected", "collected_period", "issued")
_RESULT = ("value", "value_concept", "value_string")
_RESULT_DETAILS = {
    "component": "", "absent": "no value:", "interpretation": "", "reference_range": "range",
    "note": "",
}  # fmt: skip
_PERFORMED = ("performed", "performed_period")
_PROCEDURE_DETAILS = {
    "body_site": "", "reason": "for", "outcome": "outcome:", "complication": "",
} | _REASONS  # fmt: skip


def _observation(record: type[Record], label: str, *, folded: bool = False) -> RecordType:
    """Return the type of an Observation: only class and timeline differ."""
    return RecordType(
        record=record,
        title=("test",),
        amount=_RESULT,
        date=("collected",),
        timeline=Timeline(label, _OBSERVED, _RESULT_DETAILS, folded),
    )


#: Every record type. Of several for one resource type, the first whose table reads a resource gets
#: it, so a table that reads all that is left stands last: Outcome, Procedure.
RECORD_TYPES: tuple[RecordType, ...] = (
    RecordType(
        record=Patient, title=("name",), amount=("gender",), date=("birth_date",), timeline=None
    ),
    _observation(LabResult, "laboratory"),
    _observation(VitalSign, "vital sign", folded=True),
    _observation(Lifestyle, "way of living"),
    _observation(Outcome, "outcome"),
    RecordType(record=Medication, title=("code",), amount=(), date=(), timeline=None),
    RecordType(
        record=Infusion,
        title=_DRUG,
        amount=("dose",),
        date=("given",),
        timeline=Timeline(
            "infusion",
            ("given",),
            {"dose": "", "rate": "at", "rate_ratio": "at", "route": "", "site": "",
             "dosage_text": ""} | _REASONS,
        ),
    ),
    RecordType(
        record=InfusionOrder,
        title=_DRUG,
        amount=(),
        date=("authored",),
        timeline=Timeline("order", ("authored",), _ORDERED),
    ),
    RecordType(
        record=Condition,
        title=("code",),
        amount=(),
        date=("onset",),
        timeline=Timeline(
            "condition",
            ("onset", "onset_period", "recorded"),
            {
                "severity": "", "body_site": "", "onset_age": "onset at",
                "onset_range": "onset at", "onset_string": "onset:", "abatement": "until",
                "abatement_period": "until", "abatement_age": "until",
                "abatement_range": "until", "abatement_string": "until", "clinical_status": "",
                "verification_status": "", "note": "",
            },
        ),
    ),
    RecordType(
        record=SessionStep,
        title=("code",),
        amount=(),
        date=_PERFORMED,
        timeline=Timeline("step", _PERFORMED, _PROCEDURE_DETAILS, folded=True),
    ),
    RecordType(
        record=Procedure,
        title=("code",),
        amount=(),
        date=_PERFORMED,
        timeline=Timeline(
            "procedure",
            _PERFORMED,
            {"performed_age": "at", "performed_range": "at", "performed_string": ""}
            | _PROCEDURE_DETAILS,
        ),
    ),
    RecordType(
        record=MedicationUse,
        title=_DRUG,
        amount=(),
        date=("taken",),
        timeline=Timeline(
            "medicine", ("taken", "taken_period", "asserted"), {"dosage": ""} | _REASONS
        ),
    ),
    RecordType(
        record=Reaction,
        title=("event",),
        amount=(),
        date=("date",),
        timeline=Timeline(
            "adverse event",
            ("date", "detected", "recorded"),
            {"severity": "", "seriousness": "", "outcome": "outcome:", "actuality": ""},
        ),
    ),
    RecordType(
        record=Session,
        title=("type",),
        amount=(),
        date=("period",),
        timeline=Timeline("session", ("period",), {"length": "", "reason": "for"}),
    ),
    RecordType(
        record=FollowUp,
        title=("description",),
        amount=(),
        date=("start",),
        timeline=Timeline(
            "appointment",
            ("start",),
            {"end": "until", "cancelation_reason": "because:", "comment": ""},
        ),
    ),
    RecordType(
        record=FollowUpOrder,
        title=("code",),
        amount=(),
        date=("due", "authored"),
        timeline=Timeline("follow-up order", ("due", "due_period", "authored"), _REQUESTED),
    ),
)  # fmt: skip


def faults(record_types: tuple[RecordType, ...]) -> Iterator[str]:
    """Yield what is missing or wrong in the declarations of the record types, and the remedy."""
    declared = [record_type.record for record_type in record_types]
    for record in _concrete(Record):
        if record not in declared and record.__module__.startswith(f"{__package__}."):
            yield f"{record.__name__} has no RecordType: add it to RECORD_TYPES in {__name__}"
    for record in dict.fromkeys(declared):
        if declared.count(record) > 1:
            yield f"{record.__name__} is declared twice in RECORD_TYPES: keep one"
    lists: dict[type[Record], str] = {Patient: "patient", **TherapyRecord.LISTS}
    for record_type in record_types:
        name = record_type.record.__name__
        if record_type.record not in lists:
            line = f"{record_type.table}s: tuple[{name}, ...] = ()"
            yield f"{name} has no field in TherapyRecord: add `{line}`"
        for field in sorted(record_type.fields - set(record_type.record.__struct_fields__)):
            yield f"the RecordType of {name} names field {field!r}, which {name} does not have"
    for record, field in lists.items():
        if record not in declared:
            yield f"TherapyRecord.{field} has no RecordType: add one for {record.__name__}"


def _concrete(base: type[Record]) -> Iterator[type[Record]]:
    """Yield the subclasses of a class that have no subclasses of their own."""
    for record in base.__subclasses__():
        if record.__subclasses__():
            yield from _concrete(record)
        else:
            yield record


def check(record_types: tuple[RecordType, ...]) -> None:
    """Check the declarations of the record types.

    Raises:
        TypeError: a part is missing or wrong; the message lists all of them.

    """
    messages = dict.fromkeys(faults(record_types))
    if messages:
        raise TypeError("\n".join(messages))


check(RECORD_TYPES)
BY_RECORD: Mapping[type[Record], RecordType] = {
    record_type.record: record_type for record_type in RECORD_TYPES
}
#: Names of the mapping tables, in the order in which they are tried.
TABLES: tuple[str, ...] = tuple(record_type.table for record_type in RECORD_TYPES)
