"""A patient's therapy in order of time, as JSON or as a page without scripts."""

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from functools import cache
from itertools import groupby
from typing import Any, NamedTuple

import msgspec
from flask import Response, request

from fhir_b12 import plain
from fhir_b12.datatypes import DateTime, Period
from fhir_b12.mapping import table
from fhir_b12.records import (
    Condition,
    FollowUp,
    FollowUpOrder,
    Infusion,
    InfusionOrder,
    LabResult,
    Lifestyle,
    MedicationUse,
    Observed,
    Outcome,
    Procedure,
    Reaction,
    Record,
    Session,
    SessionStep,
    TherapyRecord,
    VitalSign,
    summary,
)
from fhir_b12.server.fhir.context import facade
from fhir_b12.server.therapy.charts import charts
from fhir_b12.server.therapy.pages import html
from fhir_b12.server.therapy.records import answer, of_patient, told


class Kind(NamedTuple):
    """How records of a class stand in a timeline."""

    name: str
    dates: tuple[str, ...]  #: the fields that may say when; the first that does
    details: Mapping[str, str]  #: the fields that tell more, and the word before each


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was, or is to be."""

    date: str | None  #: as precise as it was written
    end: str | None
    dated: str | None  #: the field that says when
    kind: str
    status: str | None
    title: str
    detail: str
    resource: str  #: `Observation/1`


_WHY = {"status_reason": "because:", "note": ""}
_ORDERED = {"do_not_perform": "not to be done:", "dosage": "", "intent": "intent:"} | _WHY
_DONE = {"body_site": "", "reason": "for", "outcome": "outcome:", "complication": ""} | _WHY
_FOUND = {"component": "", "absent": "no value:", "interpretation": "",
          "reference_range": "range", "note": ""}  # fmt: skip
_OBSERVED = ("collected", "collected_period", "issued")
_PERFORMED = ("performed", "performed_period")
KINDS: dict[type[Record], Kind] = {
    Session: Kind("session", ("period",), {"length": "", "reason": "for"}),
    Infusion: Kind("infusion", ("given",), {
        "dose": "", "rate": "at", "rate_ratio": "at", "route": "", "site": "", "dosage_text": "",
    } | _WHY),
    InfusionOrder: Kind("order", ("authored",), _ORDERED),
    SessionStep: Kind("step", _PERFORMED, _DONE),
    VitalSign: Kind("vital sign", _OBSERVED, _FOUND),
    LabResult: Kind("laboratory", _OBSERVED, _FOUND),
    Outcome: Kind("outcome", _OBSERVED, _FOUND),
    Lifestyle: Kind("way of living", _OBSERVED, _FOUND),
    Condition: Kind("condition", ("onset", "onset_period", "recorded"), {
        "severity": "", "body_site": "", "onset_age": "onset at", "onset_range": "onset at",
        "onset_string": "onset:", "abatement": "until", "abatement_period": "until",
        "abatement_age": "until", "abatement_range": "until", "abatement_string": "until",
        "clinical_status": "", "verification_status": "", "note": "",
    }),
    Procedure: Kind("procedure", _PERFORMED, {
        "performed_age": "at", "performed_range": "at", "performed_string": "",
    } | _DONE),
    MedicationUse: Kind("medicine", ("taken", "taken_period", "asserted"), _ORDERED),
    Reaction: Kind("adverse event", ("date", "detected", "recorded"), {
        "severity": "", "seriousness": "", "outcome": "outcome:", "actuality": "",
    }),
    FollowUp: Kind("appointment", ("start",), {
        "end": "until", "cancelation_reason": "because:", "comment": "",
    }),
    FollowUpOrder: Kind("follow-up order", ("due", "due_period", "authored"), _ORDERED),
}  # fmt: skip
_UNDONE = frozenset({"not-done", "cancelled", "noshow", "not-taken", "revoked"})
_FOLDED = ("step", "vital sign")  #: there are many in each session


def timeline(name: str) -> Response:
    """What was found, given, done and felt, and what is to be, in order of time.

    Dates are as precise as they were written; entries without one stand at the end. A browser
    gets a page.
    """
    records, issues = of_patient(name)
    found = entries(records)
    if request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html":
        made: Response = html("timeline.html", **_shown(records, found), issues=issues)
    else:
        patient = next((plain.to_plain(each)["patient"] for each in records), None)
        rows = msgspec.to_builtins(found)
        made = answer({"patient": patient, "entries": rows, "issues": told(issues)})
    made.vary.add("Accept")
    return made


def entries(records: Iterable[TherapyRecord]) -> list[Entry]:
    """The entries of records, the oldest first, those without a date last."""
    found = [_entry(record, each) for record in records for each in record if type(each) in KINDS]
    return sorted(found, key=lambda each: (each.date is None, each.date and begins(each.date)))


def begins(text: str) -> Fraction:
    """Where a date begins, in seconds; a date without an offset is taken for UTC."""
    whole = f"{text}{'0000-01-01'[len(text) :]}"
    return DateTime(whole if "T" in whole else f"{whole}T00:00:00Z").interval[0]


def _entry(record: TherapyRecord, each: Record) -> Entry:
    kind = KINDS[type(each)]
    dated, when = next(
        ((field, value) for field in kind.dates if (value := getattr(each, field)) is not None),
        (None, None),
    )
    span = when if isinstance(when, Period) else Period(start=when)
    begun, end = (span.start, span.end) if span.start else (span.end, None)
    what = summary.parts(each)[0]
    if isinstance(each, Infusion | InfusionOrder | MedicationUse):
        what = summary.words(record.medication(each))
    return Entry(
        date=begun.text if begun else None,
        end=end.text if end else None,
        dated=dated.removesuffix("_period") if dated and begun else None,
        kind=kind.name,
        status=getattr(each, "status", None),
        title=what or kind.name,
        detail="; ".join(_details(each, kind)),
        resource=f"{_types()[type(each)]}/{each.id}",
    )


def _details(each: Record, kind: Kind) -> Iterator[str]:
    if isinstance(each, Observed) and (found := summary.result(each)):
        yield found
    for field, word in kind.details.items():
        if said := summary.whole(getattr(each, field, None)):
            yield f"{word} {said}".strip()


@cache
def _types() -> dict[type[Record], str]:
    """The resource type of each record."""
    return {each.record: each.resource for each in map(table.load, table.ORDER)}


def _shown(records: Iterable[TherapyRecord], found: Iterable[Entry]) -> dict[str, Any]:
    """What the page shows, by day."""
    days = []
    for day, group in groupby(found, lambda each: (each.date or "")[:10]):
        here = list(group)
        folded = [each for each in here if each.kind in _FOLDED]
        days.append((day, [each for each in here if each.kind not in _FOLDED], folded))
    return {
        "base": facade().config.base,
        "patient": next((each.patient for each in records), None),
        "charts": charts(result for record in records for result in record.lab_results),
        "days": days,
        "undone": _UNDONE,
        "said": summary.whole,
    }
