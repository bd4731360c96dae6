"""A patient's therapy in order of time, as JSON or as a page without scripts."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import cache
from itertools import groupby
from typing import Any

import msgspec
from flask import Response, request

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
from fhir_b12.server.fhir.context import facade
from fhir_b12.server.therapy.charts import charts
from fhir_b12.server.therapy.pages import html
from fhir_b12.server.therapy.records import answer, of_patient, told


class TimelineEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a patient's therapy, past or planned."""

    date: str | None  #: with the precision of the record
    end: str | None
    dated: str | None  #: the field with the date
    kind: str
    status: str | None
    title: str
    detail: str
    resource: str  #: `Observation/1`


_UNDONE = frozenset({"not-done", "cancelled", "noshow", "not-taken", "revoked"})
#: Labels of the events that a page shows folded, for each session has many of them.
_FOLDED = frozenset(
    each.timeline.label for each in RECORD_TYPES if each.timeline and each.timeline.folded
)


def timeline(name: str) -> Response:
    """Answer with the events of a patient's therapy in order of time, as JSON or as a page.

    Dates keep their precision; events without a date come last.
    """
    records, issues = of_patient(name)
    events = events_of(records)
    if request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html":
        response: Response = html("timeline.html", **_page(records, events), issues=issues)
    else:
        patient = next((plain.to_plain(record)["patient"] for record in records), None)
        rows = msgspec.to_builtins(events)
        response = answer({"patient": patient, "entries": rows, "issues": told(issues)})
    response.vary.add("Accept")
    return response


def events_of(records: Iterable[TherapyRecord]) -> list[TimelineEvent]:
    """Return the events of therapy records, the oldest first, those without a date last."""
    events = [
        _event(therapy, record, shown)
        for therapy in records
        for record in therapy
        if (shown := BY_RECORD[type(record)].timeline) is not None
    ]
    return sorted(events, key=lambda event: (event.date is None, event.date and begins(event.date)))


def begins(text: str) -> Fraction:
    """Return the start of a date in seconds since 0001-01-01; a date without offset is UTC."""
    whole = f"{text}{'0000-01-01'[len(text) :]}"
    return DateTime(whole if "T" in whole else f"{whole}T00:00:00Z").interval[0]


def _event(therapy: TherapyRecord, record: Record, shown: Timeline) -> TimelineEvent:
    dated, when = next(
        ((name, value) for name in shown.dates if (value := getattr(record, name)) is not None),
        (None, None),
    )
    period = when if isinstance(when, Period) else Period(start=when)
    start, end = (period.start, period.end) if period.start else (period.end, None)
    title = summary.parts(record)[0]
    if isinstance(record, Infusion | InfusionOrder | MedicationUse):
        title = summary.words(therapy.medication(record))
    return TimelineEvent(
        date=start.text if start else None,
        end=end.text if end else None,
        dated=dated.removesuffix("_period") if dated and start else None,
        kind=shown.label,
        status=getattr(record, "status", None),
        title=title or shown.label,
        detail="; ".join(_details(record, shown)),
        resource=f"{_resource_types()[type(record)]}/{record.id}",
    )


def _details(record: Record, shown: Timeline) -> Iterator[str]:
    if isinstance(record, Observed) and (result := summary.result(record)):
        yield result
    for field, word in shown.details.items():
        if text := summary.whole(getattr(record, field)):
            yield f"{word} {text}".strip()


@cache
def _resource_types() -> dict[type[Record], str]:
    """Return the resource type of each record class."""
    return {each.record: each.resource for each in map(table.load, table.ORDER)}


def _page(records: Iterable[TherapyRecord], events: Iterable[TimelineEvent]) -> dict[str, Any]:
    """Return the variables of the page's template, the events by day."""
    days = []
    for day, group in groupby(events, lambda event: (event.date or "")[:10]):
        of_day = list(group)
        folded = [event for event in of_day if event.kind in _FOLDED]
        days.append((day, [event for event in of_day if event.kind not in _FOLDED], folded))
    return {
        "base": facade().config.base,
        "patient": next((record.patient for record in records), None),
        "charts": charts(result for record in records for result in record.lab_results),
        "days": days,
        "undone": _UNDONE,
        "said": summary.whole,
    }
