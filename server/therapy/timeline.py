"""A patient's therapy in chronological order, as JSON or as an HTML page without scripts."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import cache
from itertools import groupby
from typing import Any

import msgspec
from flask import Response

from fhir_b12 import plain
from fhir_b12.datatypes import DateTime, Period
from fhir_b12.mapping import table
from fhir_b12.records import (
    BY_RECORD,
    Infusion,
    InfusionOrder,
    MedicationUse,
    Observed,
    Record,
    TherapyRecord,
    summary,
)
from fhir_b12.records.registry import RECORD_TYPES, Timeline
from fhir_b12.server.context import RequestContext
from fhir_b12.server.therapy.charts import build_charts
from fhir_b12.server.therapy.html_pages import html_response
from fhir_b12.server.therapy.records import (
    issues_to_json,
    plain_response,
    records_of_patient,
)


class TimelineEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a therapy, past or planned."""

    date: str | None  #: with the precision of the record
    end: str | None
    dated: str | None  #: the field that has the date
    kind: str
    status: str | None
    title: str
    detail: str
    resource: str  #: `Observation/1`


_UNDONE = frozenset({"not-done", "cancelled", "noshow", "not-taken", "revoked"})
#: Labels of the events that the page shows collapsed, for each session has many of them.
_FOLDED = frozenset(
    record_type.timeline.label
    for record_type in RECORD_TYPES
    if record_type.timeline and record_type.timeline.folded
)


def read_timeline(context: RequestContext, resource_id: str) -> Response:
    """Read the therapy of a patient in chronological order.

    Dates have the precision of the record; events without a date come last. A browser gets an HTML
    page.
    """
    records, issues = records_of_patient(context, resource_id)
    events = timeline_events(records)
    accept = context.request.accept_mimetypes
    response: Response
    if accept.best_match(["application/json", "text/html"]) == "text/html":
        values = _page_values(records, events)
        base = context.config.base
        response = html_response("timeline.html", base=base, **values, issues=issues)
    else:
        patient = next((plain.to_plain(record)["patient"] for record in records), None)
        rows = msgspec.to_builtins(events)
        response = plain_response(
            {"patient": patient, "entries": rows, "issues": issues_to_json(issues)}
        )
    response.vary.add("Accept")
    return response


def timeline_events(records: Iterable[TherapyRecord]) -> list[TimelineEvent]:
    """Return the events of records, oldest first; those without a date come last."""
    events = [
        _event(record, part, display)
        for record in records
        for part in record
        if (display := BY_RECORD[type(part)].timeline) is not None
    ]
    return sorted(
        events, key=lambda event: (event.date is None, event.date and date_start(event.date))
    )


def date_start(text: str) -> Fraction:
    """Return when a date starts, in seconds; one without an offset is taken as UTC."""
    full = f"{text}{'0000-01-01'[len(text) :]}"
    return DateTime(full if "T" in full else f"{full}T00:00:00Z").interval[0]


def _event(record: TherapyRecord, part: Record, display: Timeline) -> TimelineEvent:
    dated, when = next(
        ((field, value) for field in display.dates if (value := getattr(part, field)) is not None),
        (None, None),
    )
    period = when if isinstance(when, Period) else Period(start=when)
    date, end = (period.start, period.end) if period.start else (period.end, None)
    title = summary.parts(part)[0]
    if isinstance(part, Infusion | InfusionOrder | MedicationUse):
        title = summary.words(record.medication(part))
    return TimelineEvent(
        date=date.text if date else None,
        end=end.text if end else None,
        dated=dated.removesuffix("_period") if dated and date else None,
        kind=display.label,
        status=getattr(part, "status", None),
        title=title or display.label,
        detail="; ".join(_details(part, display)),
        resource=f"{_resource_types()[type(part)]}/{part.id}",
    )


def _details(part: Record, display: Timeline) -> Iterator[str]:
    if isinstance(part, Observed) and (result := summary.result(part)):
        yield result
    for field, words in display.details.items():
        if text := summary.whole(getattr(part, field)):
            yield f"{words} {text}".strip()


@cache
def _resource_types() -> dict[type[Record], str]:
    """Return the resource type of each class of records."""
    return {loaded.record: loaded.resource for loaded in map(table.load, table.ORDER)}


def _page_values(
    records: Iterable[TherapyRecord], events: Iterable[TimelineEvent]
) -> dict[str, Any]:
    """Return the values of the template: the events by day, the charts, the patient."""
    days = []
    for day, group in groupby(events, lambda event: (event.date or "")[:10]):
        of_day = list(group)
        folded = [event for event in of_day if event.kind in _FOLDED]
        days.append((day, [event for event in of_day if event.kind not in _FOLDED], folded))
    return {
        "patient": next((record.patient for record in records), None),
        "charts": build_charts(result for record in records for result in record.lab_results),
        "days": days,
        "undone": _UNDONE,
        "format": summary.whole,
    }
