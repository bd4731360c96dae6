"""Records in a few words for readers: what, how much, when."""

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
from fhir_b12.records import (
    BY_RECORD,
    Component,
    Medication,
    Observed,
    Record,
    ReferenceRange,
    names,
)


def count_by_class(records: Iterable[Record]) -> Counter[str]:
    """Return how many records of each class there are, in the order they come."""
    return Counter(type(record).__name__ for record in records)


def name(record: Record) -> str | None:
    """Return the value of the first business identifier of a record that has one."""
    return next((identifier.value for identifier in names(record) if identifier.value), None)


def parts(record: Record) -> tuple[str | None, str | None, str | None]:
    """Return what a record is about, how much, and when; None for each part without a value."""
    shown = BY_RECORD[type(record)]
    return _first(record, shown.title), _first(record, shown.amount), _first(record, shown.date)


def line(record: Record) -> str:
    """Return a record in one line: `Serum vitamin B12, mass, <150 pg/mL, 2026-02-23`."""
    return ", ".join(part for part in parts(record) if part)


def _first(record: Record, fields: Iterable[str]) -> str | None:
    texts = (words(getattr(record, field)) for field in fields)
    return next((text for text in texts if text), None)


def words(value: Any) -> str | None:
    """Return a value of a record as text, None if it has none; of a list, the first item."""
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
    """Return a value as text with all its parts: both ends of a period, every item of a list."""
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
            return whole(tuple(dose.dose_quantity or dose.dose_range for dose in doses))
    return words(value)


def result(observed: Observed | Component) -> str | None:
    """Return the value of an observation as text, whatever its type; None if it has no value."""
    fields = (name for name in observed.__struct_fields__ if name.partition("_")[0] == "value")
    return " ".join(filter(None, (whole(getattr(observed, name)) for name in fields))) or None


def _span(first: Any, last: Any) -> str | None:
    start, end = words(first), words(last)
    if start and end:
        return f"{start} to {end}"
    return (start and f"from {start}") or (end and f"up to {end}")
