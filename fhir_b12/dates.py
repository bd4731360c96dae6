"""FHIR dates and times with text, precision and offset, compared as intervals.

https://hl7.org/fhir/R4/datatypes.html#dateTime
"""

import re
from calendar import monthrange
from datetime import date, datetime
from fractions import Fraction
from typing import ClassVar, Self

_PARTS = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:T(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d(?:\.\d+)?)"
    r"(?P<offset>Z|[+-]\d\d:\d\d))?)?)?",
    re.ASCII,
)
_DAY = 86_400
_LAST_DAY = date.max.toordinal()
#: A date without an offset may be any place's: the world's clocks span UTC-12 to UTC+14.
_WEST, _EAST = 12 * 3600, 14 * 3600

Interval = tuple[Fraction, Fraction]


class DateTime:
    """A FHIR dateTime as it was written: `2026`, `2026-03` or `2026-03-09T09:15:00+01:00`.

    Equal when written alike. `a < b` says that all of `a` lies before all of `b`; of two that
    overlap neither is less than the other.

    Raises:
        ValueError: the text is no dateTime of FHIR or no day of the calendar.

    """

    __slots__ = ("_interval", "text")
    name: ClassVar[str] = "dateTime"
    forms: ClassVar[str] = "YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss+zz:zz"

    def __init__(self, text: str) -> None:
        match = _PARTS.fullmatch(text)
        if match is None or not self._allows(match) or not (_is_day(text) or _real(match)):
            raise ValueError(f"not a FHIR {self.name}: write {self.forms}, a real day and time")
        self.text = text
        self._interval: Interval | None = None

    @staticmethod
    def _allows(match: re.Match[str]) -> bool:
        return match is not None

    @property
    def precision(self) -> str:
        """`year`, `month`, `day` or `second`."""
        return {4: "year", 7: "month", 10: "day"}.get(len(self.text), "second")

    @property
    def day_number(self) -> int | None:
        """The calendar day as written, counted from 0001-01-01; None for a month or a year."""
        return date.fromisoformat(self.text[:10]).toordinal() if len(self.text) >= 10 else None

    @property
    def offset(self) -> str | None:
        """`Z` or `+01:00` as written; None for a date, which has none."""
        match = _PARTS.fullmatch(self.text)
        return match["offset"] if match else None

    @property
    def interval(self) -> Interval:
        """Start and exclusive end in seconds since 0001-01-01 UTC."""
        if self._interval is None:
            match = _PARTS.fullmatch(self.text)
            assert match is not None
            self._interval = _interval(match)
        return self._interval

    def overlaps(self, other: "DateTime") -> bool:
        """Return whether both may mean the same moment."""
        return self.interval[0] < other.interval[1] and other.interval[0] < self.interval[1]

    def __lt__(self, other: Self) -> bool:
        return self.interval[1] <= other.interval[0]

    def __gt__(self, other: Self) -> bool:
        return other.interval[1] <= self.interval[0]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DateTime) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.text!r})"


class Date(DateTime):
    """A FHIR date: `1961`, `1961-07` or `1961-07-30`."""

    __slots__ = ()
    name = "date"
    forms = "YYYY, YYYY-MM or YYYY-MM-DD"

    @staticmethod
    def _allows(match: re.Match[str]) -> bool:
        return match["hour"] is None


class Instant(DateTime):
    """A FHIR instant: a moment known to the second at least, with its offset."""

    __slots__ = ()
    name = "instant"
    forms = "YYYY-MM-DDThh:mm:ss.sss+zz:zz"

    @staticmethod
    def _allows(match: re.Match[str]) -> bool:
        return match["hour"] is not None


def utc_parts(text: str) -> tuple[int, ...] | None:
    """Return the parts of a date or dateTime, of a moment in UTC, to compare it with others.

    Args:
        text: A date or dateTime. An offset may be missing, and is then taken for `Z`, or be one
            that no place has, up to 23:59: other checks report such values.

    Returns:
        Year, month and day as far as they are given; hour, minute, second and millisecond follow
        if there is a time. None if the text is no date or lies outside of the years 1 to 9999.

    """
    match = _PARTS.fullmatch(text) or _PARTS.fullmatch(f"{text}Z")
    if match is None or not _real(match, _DAY - 1):
        return None
    if match["hour"] is None:
        return tuple(int(part) for part in match.group("year", "month", "day") if part)
    start, digits = _utc_second(match)
    days, second = divmod(start, _DAY)
    if not 1 <= days <= _LAST_DAY:
        return None
    day = date.fromordinal(days)
    clock = (second // 3600, second % 3600 // 60, second % 60, int(f"{digits}000"[:3]))
    return (day.year, day.month, day.day, *clock)


def _is_day(text: str) -> bool:
    """Return True for most valid dates quickly; False if `_real` must decide."""
    if len(text) < 10:
        return False
    try:
        if len(text) == 10:
            date.fromisoformat(text)
            return True
        # the standard library knows no leap second, and offsets beyond those of FHIR
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return text[-1] == "Z" or (text[-5:-3] < "14" and text[-2:] < "60")


def is_calendar_day(year: int, month: int, day: int) -> bool:
    """Return True if the Gregorian calendar has such a day in the years 1 to 9999."""
    return 1 <= year <= 9999 and 1 <= month <= 12 and 1 <= day <= monthrange(year, month)[1]


def _real(match: re.Match[str], max_offset: int = _EAST) -> bool:
    if not is_calendar_day(*(int(part or 1) for part in match.group("year", "month", "day"))):
        return False
    if match["hour"] is None:
        return True
    # 60 is the leap second, which FHIR's own pattern admits
    inside = int(match["hour"]) < 24 and int(match["minute"]) < 60
    inside = inside and int(match["second"][:2]) <= 60
    return (
        inside and abs(offset_seconds(match["offset"])) <= max_offset and match["offset"][4:] < "60"
    )


def offset_seconds(text: str) -> int:
    """Return the seconds that a clock with an offset, `Z` or `+01:00`, is ahead of UTC."""
    if text == "Z":
        return 0
    seconds = int(text[1:3]) * 3600 + int(text[4:6]) * 60
    return -seconds if text[0] == "-" else seconds


def _interval(match: re.Match[str]) -> Interval:
    if match["hour"] is None:
        year, month, day = int(match["year"]), int(match["month"] or 1), int(match["day"] or 1)
        start = date(year, month, day).toordinal() * _DAY
        days = 1 if match["day"] else _days(year, month if match["month"] else None)
        return Fraction(start - _EAST), Fraction(start + days * _DAY + _WEST)
    start, digits = _utc_second(match)
    parts = 10 ** len(digits)  # whole numbers as long as they do: adding Fractions is slow
    first = start * parts + int(digits or 0)
    return Fraction(first, parts), Fraction(first + 1, parts)


def _utc_second(match: re.Match[str]) -> tuple[int, str]:
    """Return the second of a moment, UTC, counted from 0001-01-01, and its decimals."""
    start = date(int(match["year"]), int(match["month"]), int(match["day"])).toordinal() * _DAY
    second, _, digits = match["second"].partition(".")
    start += int(match["hour"]) * 3600 + int(match["minute"]) * 60 + int(second)
    return start - offset_seconds(match["offset"]), digits


def _days(year: int, month: int | None) -> int:
    if month is not None:
        return monthrange(year, month)[1]
    return date(year, 12, 31).timetuple().tm_yday
