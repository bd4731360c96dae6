"""A record in a few words, for people: what, how much, when."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from fhir_b12.datatypes import (
    Annotation,
    CodeableConcept,
    Coding,
    DateTime,
    Dosage,
    HumanName,
    Period,
    Quantity,
    Range,
    Ratio,
    Reference,
)
from fhir_b12.records import Component, Medication, Observed, Record, ReferenceRange, names

#: Where a record says it; the first that holds something is taken.
_WHAT = ("name", "test", "bag", "drug", "code", "event", "type", "description")
_MUCH = ("value", "value_concept", "value_string", "dose", "gender")
_WHEN = (
    "birth_date", "collected", "given", "performed", "performed_period", "onset", "taken", "period",
    "date", "start", "due", "authored",
)  # fmt: skip


def kinds(records: Iterable[Record]) -> Counter[str]:
    """How many records of each kind, in the order they come."""
    return Counter(type(record).__name__ for record in records)


def name(record: Record) -> str | None:
    """The record's own business identifier, as `value`."""
    return next((each.value for each in names(record) if each.value), None)


def parts(record: Record) -> tuple[str | None, str | None, str | None]:
    """What the record is about, how much, and when; None where it does not say."""
    return _first(record, _WHAT), _first(record, _MUCH), _first(record, _WHEN)


def line(record: Record) -> str:
    """`Serum vitamin B12, mass, <150 pg/mL, 2026-02-23`"""
    return ", ".join(part for part in parts(record) if part)


def _first(record: Record, fields: Iterable[str]) -> str | None:
    found = (words(getattr(record, field, None)) for field in fields)
    return next((text for text in found if text), None)


def words(value: Any) -> str | None:
    """A value of a record in words, None for one that has none; of several the first."""
    match value:
        case tuple() if value:
            return words(value[0])
        case str() if value:
            return value
        case DateTime():
            return value.text
        case Period():
            return words(value.start)
        case Quantity() if value.value is not None:
            return f"{value.comparator or ''}{value.value} {value.unit or value.code or ''}".strip()
        case CodeableConcept():
            coded = (words(coding) for coding in value.coding)
            return value.text or next(filter(None, coded), None)
        case Coding() | Reference():
            return value.display or getattr(value, "code", None)
        case HumanName():
            return value.text or " ".join(filter(None, [*value.given, value.family])) or None
        case Medication():
            return words(value.code)
        case Annotation() | Dosage():
            return value.text
    return None


def whole(value: Any) -> str | None:
    """A value in words with all of its parts: both ends of a span, each of several."""
    match value:
        case tuple():
            return ", ".join(filter(None, map(whole, value))) or None
        case bool():
            return "yes" if value else "no"
        case int():
            return str(value)
        case Period():
            return _span(value.start, value.end)
        case Range():
            return _span(value.low, value.high)
        case ReferenceRange():
            return value.text or _span(value.low, value.high)
        case Ratio():
            return " per ".join(filter(None, map(words, (value.numerator, value.denominator))))
        case Component():
            return " ".join(filter(None, (words(value.code), result(value)))) or None
        case Dosage() if value.text is None:
            doses = value.dose_and_rate
            return whole(tuple(each.dose_quantity or each.dose_range for each in doses))
    return words(value)


def result(observed: Observed | Component) -> str | None:
    """What was found, in whichever of its types it is said; None where no value is there."""
    fields = (name for name in observed.__struct_fields__ if name.partition("_")[0] == "value")
    return " ".join(filter(None, (whole(getattr(observed, name)) for name in fields))) or None


def _span(first: Any, last: Any) -> str | None:
    start, end = words(first), words(last)
    if start and end:
        return f"{start} to {end}"
    return (start and f"from {start}") or (end and f"up to {end}")
