"""Dates and times of FHIRPath with their precision, compared component by component.

http://hl7.org/fhirpath/N1/#date-time-and-datetime-comparison

FHIRPath knows more forms than FHIR does (hours without minutes, times without an offset), so these
are separate from `fhir_b12.dates`. Two values that differ only in precision compare as None.
"""

import re
from calendar import monthrange
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Literal

from fhir_b12.dates import is_calendar_day, offset_seconds

TemporalType = Literal["Date", "DateTime", "Time"]

_FORM = re.compile(
    r"(?:(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d))?)?)?"
    r"(?P<T>T(?:(?P<hour>\d\d)(?::(?P<minute>\d\d)(?::(?P<second>\d\d(?:\.\d+)?))?)?)?"
    r"(?P<offset>Z|[+-]\d\d:\d\d)?)?",
    re.ASCII,
)
_WORDS = ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")
#: Calendar durations, singular and plural -> singular: `1 day`, `2 days`.
DURATIONS = {word: word for word in _WORDS} | {f"{word}s": word for word in _WORDS}
#: Calendar durations that equal a UCUM unit; UCUM's months and years are not calendar durations.
#: http://hl7.org/fhirpath/N1/#time-valued-quantities
UCUM_DURATIONS = {
    "week": "wk",
    "day": "d",
    "hour": "h",
    "minute": "min",
    "second": "s",
    "millisecond": "ms",
}
_DURATION_OF_UNIT = {code: word for word, code in UCUM_DURATIONS.items()}
_SECONDS = {"week": 604_800, "day": 86_400, "hour": 3600, "minute": 60, "second": 1}
_DAY = 86_400
#: The largest UTC offset: how far a time without an offset may be off.
_MAX_OFFSET = 14 * 3600
_MAX_TEXT_LENGTH = 80  #: characters; there may be many digits of a second
_HOUR = 3  #: index of the hour in the parts

Parts = tuple[int | Decimal, ...]


class Temporal:
    """A Date, DateTime or Time; `parts` are year, month, ... as far as they are given.

    Year, month and day of a Time are 1.
    """

    __slots__ = ("_in_utc", "name", "offset", "parts", "text")

    def __init__(
        self, name: TemporalType, parts: Parts, offset: int | None, text: str = ""
    ) -> None:
        self.name = name
        self.parts = parts
        self.offset = offset  #: minutes east of UTC; None if missing
        self.text = text or _format(name, parts, offset)
        self._in_utc: Parts | None = None

    @classmethod
    def literal(cls, text: str) -> "Temporal | None":
        """Parse a literal, `@2026-03` or `@T09:15`; None if it is no valid date or time."""
        if text.startswith("@T"):
            return read("Time", text[2:])
        return read("DateTime" if "T" in text else "Date", text[1:])

    @property
    def is_time(self) -> bool:
        """True for a Time, which is never equal to a Date or DateTime and has no order with one."""
        return self.name == "Time"

    @property
    def in_utc(self) -> Parts:
        """The parts in UTC if the offset is known, else as they are."""
        if self._in_utc is None:
            self._in_utc = self.parts
            if self.offset and len(self.parts) > _HOUR:
                self._in_utc = _add_seconds(self.parts, -60 * self.offset) or self.parts
        return self._in_utc

    def compare(self, other: "Temporal") -> int | None:
        """Return -1, 0 or 1, or None if the precision does not allow to decide.

        Raises:
            TypeError: Only one of them is a Time.

        """
        if self.is_time is not other.is_time:
            raise TypeError
        timed = len(self.parts) > _HOUR and len(other.parts) > _HOUR
        if timed and (self.offset is None) != (other.offset is None):
            return self._compare_without_offset(other)
        return _compare_parts(self.in_utc, other.in_utc)

    def _compare_without_offset(self, other: "Temporal") -> int | None:
        """Compare with one offset missing; None unless all offsets give the same result."""
        early, late = (_add_seconds(self.parts, by) for by in (-_MAX_OFFSET, _MAX_OFFSET))
        base = other.in_utc
        if self.offset is not None:
            base = self.in_utc
            early, late = (_add_seconds(other.parts, by) for by in (-_MAX_OFFSET, _MAX_OFFSET))
        if early is None or late is None:
            return None
        results = {_compare_parts(early, base), _compare_parts(late, base)}
        if len(results) > 1 or None in results:
            return None
        one = results.pop()
        return one if self.offset is None or one is None else -one

    def key(self) -> tuple[object, ...]:
        """Return a hashable key, equal for equal values; a DateTime of a day equals the Date."""
        timed = len(self.parts) > _HOUR
        return (
            "Time" if self.is_time else "DateTime",
            self.in_utc,
            self.offset is None if timed else None,
        )

    def add(self, amount: Decimal, unit: str) -> "Temporal | None":
        """Add an amount of a unit; None if the result is outside of the calendar.

        http://hl7.org/fhirpath/N1/#datetime-arithmetic

        Raises:
            ValueError: The unit is no calendar duration.

        """
        word = _DURATION_OF_UNIT.get(unit, unit)
        if word not in _WORDS or (self.is_time and word in {"year", "month", "week", "day"}):
            raise ValueError
        if abs(amount) > 10**12:
            return None
        if word in {"year", "month"}:
            return self._replace_parts(
                _add_months(self.parts, int(amount) * (12 if word == "year" else 1))
            )
        if word == "millisecond":
            amount, word = amount / 1000, "second"
        if word != "second":
            amount = Decimal(int(amount))
        return self._replace_parts(self._add_span(amount, word))

    def _replace_parts(self, parts: Parts | None) -> "Temporal | None":
        return None if parts is None else Temporal(self.name, parts, self.offset)

    def _add_span(self, amount: Decimal, word: str) -> Parts | None:
        """Add weeks to seconds; a value less precise than the unit changes by whole parts only."""
        precision, seconds = len(self.parts), amount * _SECONDS[word]
        if precision < 3:
            days = int(seconds / _DAY)
            # the specification counts a month as 30 days, a year as 365
            return _add_months(
                self.parts, int(days / 30) if precision == 2 else 12 * int(days / 365)
            )
        unit = {3: _DAY, 4: 3600, 5: 60}.get(precision, 0)
        if unit:
            seconds = Decimal(int(seconds / unit) * unit)
        return _add_seconds(self.parts, seconds, wrap=self.is_time)


def read(name: TemporalType, text: str) -> Temporal | None:
    """Parse a Date, DateTime or Time of FHIR; None if the text is invalid."""
    return _read(name, text) if len(text) <= _MAX_TEXT_LENGTH else None


@lru_cache(maxsize=4096)
def _read(name: TemporalType, text: str) -> Temporal | None:
    match = _FORM.fullmatch(f"T{text}" if name == "Time" else text)
    if match is None or (match["year"] is None) != (name == "Time"):
        return None
    if (name == "Date" and match["T"]) or (name == "Time" and match["offset"]):
        return None
    if match["hour"] is None and (match["offset"] or name == "Time"):
        return None
    if match["hour"] and name == "DateTime" and match["day"] is None:
        return None
    days = [1, 1, 1] if name == "Time" else [int(group) for group in match.group(1, 2, 3) if group]
    clock = [int(group) for group in match.group("hour", "minute") if group]
    parts: Parts = (*days, *clock, *([Decimal(match["second"])] if match["second"] else []))
    return Temporal(name, parts, _minutes(match["offset"]), text) if _is_real(parts) else None


def _minutes(offset: str | None) -> int | None:
    return None if offset is None else offset_seconds(offset) // 60


def _is_real(parts: Parts) -> bool:
    if not is_calendar_day(*(int(part) for part in (*parts, 1, 1)[:3])):
        return False
    # 60 is the leap second, which FHIR permits
    return all(part < limit for part, limit in zip(parts[_HOUR:], (24, 60, 61), strict=False))


def _compare_parts(left: Parts, right: Parts) -> int | None:
    for one, other in zip(left, right, strict=False):
        if one != other:
            return -1 if one < other else 1
    return 0 if len(left) == len(right) else None


def _add_seconds(parts: Parts, seconds: Decimal | int, *, wrap: bool = False) -> Parts | None:
    """Add seconds to parts and keep their precision; with `wrap` the day does not change."""
    year, month, day = (int(part) for part in parts[:3])
    hour, minute, second = (*parts[_HOUR:], 0, 0, 0)[:3]
    total = hour * 3600 + minute * 60 + second + Decimal(seconds)
    days, rest = int(total // _DAY), total % _DAY
    if rest < 0:
        days, rest = days - 1, rest + _DAY
    ordinal = date(year, month, day).toordinal() + (0 if wrap else days)
    if not 1 <= ordinal <= date.max.toordinal():
        return None
    moved = date.fromordinal(ordinal)
    clock = (int(rest // 3600), int(rest % 3600 // 60), rest % 60)
    return (moved.year, moved.month, moved.day, *clock)[: len(parts)]


def _add_months(parts: Parts, months: int) -> Parts | None:
    """Add months to parts; a missing day becomes the last day of the month."""
    if len(parts) == 1:
        year = int(parts[0]) + int(months / 12)
        return (year,) if 1 <= year <= 9999 else None
    years, month = divmod(int(parts[0]) * 12 + int(parts[1]) - 1 + months, 12)
    if not 1 <= years <= 9999:
        return None
    if len(parts) == 2:
        return (years, month + 1)
    day = min(int(parts[2]), monthrange(years, month + 1)[1])
    return (years, month + 1, day, *parts[_HOUR:])


def _format(name: TemporalType, parts: Parts, offset: int | None) -> str:
    days = "-".join(f"{int(part):0{4 if i == 0 else 2}}" for i, part in enumerate(parts[:_HOUR]))
    clock = ":".join(
        f"{part:02}" if isinstance(part, int) else _seconds(part) for part in parts[_HOUR:]
    )
    if name == "Time":
        return clock
    if not clock:
        return days
    return f"{days}T{clock}{_format_offset(offset)}"


def _format_offset(offset: int | None) -> str:
    if not offset:
        return "" if offset is None else "Z"
    hours, minutes = divmod(abs(offset), 60)
    return f"{'-' if offset < 0 else '+'}{hours:02}:{minutes:02}"


def _seconds(value: Decimal) -> str:
    text = f"{value:f}"
    return text if len(text.partition(".")[0]) > 1 else f"0{text}"
