"""A record in a few words, for people: what, how much, when."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from fhir_b12.datatypes import CodeableConcept, DateTime, HumanName, Period, Quantity
from fhir_b12.records import Medication, Record, names

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
            coded = (coding.display or coding.code for coding in value.coding)
            return value.text or next(filter(None, coded), None)
        case HumanName():
            return value.text or " ".join(filter(None, [*value.given, value.family])) or None
        case Medication():
            return words(value.code)
    return None
