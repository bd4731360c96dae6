"""Date parameters: dates, periods and timings as intervals of microseconds.

https://hl7.org/fhir/R4/search.html#date
"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from fhir_b12.server.search.criteria import ColumnMatch, Criterion, RangeMatch
from fhir_b12.server.search.parameters import Parameter, Path
from fhir_b12.server.search.text_values import split_prefix, unescape
from fhir_b12.server.search.types.parameter_type import (
    Indexer,
    IndexWriter,
    InvalidValueError,
    ParameterType,
)
from fhir_b12.server.sql.expressions import Column, Condition

EARLIEST, LATEST = -(2**62), 2**62  #: µs since 1970, before and after every date
_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)
_EPOCH = date(1970, 1, 1).toordinal()
_SECOND = 1_000_000  #: µs
_DAY = 86_400 * _SECOND


def date_interval(text: str) -> tuple[int, int] | None:
    """Return the half-open interval of a date, µs since 1970 UTC; None for an invalid date.

    A date without an offset is in UTC.
    """
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, digits, offset = match.groups()
    try:
        start = (date(int(year), int(month or 1), int(day or 1)).toordinal() - _EPOCH) * _DAY
        if month is None:
            return start, (date(int(year) + 1, 1, 1).toordinal() - _EPOCH) * _DAY
        if day is None:
            after = int(year) * 12 + int(month)
            end = date(after // 12, after % 12 + 1, 1)
            return start, (end.toordinal() - _EPOCH) * _DAY
    except ValueError:
        return None
    if hour is None:
        return start, start + _DAY
    if int(hour) > 23 or int(minute) > 59 or int(second or 0) > 60:
        return None
    start += (int(hour) * 60 + int(minute)) * 60 * _SECOND
    if offset not in {None, "Z"}:
        distance = (int(offset[1:3]) * 60 + int(offset[4:])) * 60 * _SECOND
        start += -distance if offset[0] == "+" else distance
    if second is None:
        return start, start + 60 * _SECOND
    start += int(second) * _SECOND
    if not digits:
        return start, start + _SECOND
    start += int(digits[:6].ljust(6, "0"))
    return start, start + max(10 ** (6 - len(digits)), 1)


# --- index


def _indexer(path: Path, _: str, __: str) -> Indexer:
    """Return the indexer of dates, Periods and Timings."""
    key = path.key

    def index(writer: IndexWriter, value: Any, part: int) -> None:
        interval = date_interval(value) if isinstance(value, str) else _period_interval(value)
        if interval is not None:
            writer.ranges.add((key, interval[0], interval[1], "", part))

    return index


def _period_interval(value: Any) -> tuple[int, int] | None:
    """Return the interval of a Period, or from the first to the last event of a Timing."""
    if not isinstance(value, dict):
        return None
    repeat = value.get("repeat")
    bounds = repeat.get("boundsPeriod") if isinstance(repeat, dict) else None
    if isinstance(bounds, dict):
        return _period_interval(bounds)
    events = value.get("event")
    if isinstance(events, list):
        intervals = [x for e in events if isinstance(e, str) and (x := date_interval(e))]
        return (min(a for a, _ in intervals), max(b for _, b in intervals)) if intervals else None
    start, end = value.get("start"), value.get("end")
    first = date_interval(start) if isinstance(start, str) else None
    last = date_interval(end) if isinstance(end, str) else None
    if first is None and last is None:
        return None
    return (first[0] if first else EARLIEST), (last[1] if last else LATEST)


# --- criteria


def _inside(low: Column, high: Column, start: int, end: int) -> Condition:
    return (low >= start) & (high <= end)


#: condition on an indexed interval, by prefix; the value is the half-open interval start to end
_COMPARISONS: Mapping[str, Callable[[Column, Column, int, int], Condition]] = {
    "eq": _inside,
    "ne": lambda low, high, start, end: ~_inside(low, high, start, end),
    "gt": lambda _, high, __, end: high > end,
    "lt": lambda low, _, start, __: low < start,
    "ge": lambda low, high, start, end: (high > end) | _inside(low, high, start, end),
    "le": lambda low, high, start, end: (low < start) | _inside(low, high, start, end),
    "sa": lambda low, _, __, end: low >= end,
    "eb": lambda _, high, start, __: high <= start,
    "ap": lambda low, high, start, end: (low < end + _DAY) & (high > start - _DAY),
}


def _comparison(value: str) -> Callable[[Column, Column], Condition]:
    prefix, text = split_prefix(unescape(value).replace(" ", "+"))
    interval = date_interval(text)
    if interval is None:
        message = "write a date, 2026-03-09 or 2026-03-09T09:15:00Z, after eq, ge, lt, ..."
        raise InvalidValueError(message)
    compare, (start, end) = _COMPARISONS[prefix], interval
    return lambda low, high: compare(low, high, start, end)


def _criterion(parameter: Parameter, value: str, _: str) -> Criterion:
    """Return the criterion of `date=ge2026-03-09`."""
    compare = _comparison(value)
    return RangeMatch(parameter.keys, lambda t: compare(t.low, t.high))


def last_updated_criterion(value: str) -> Criterion:
    """Return the criterion of `_lastUpdated=ge2026-03-09`.

    Raises:
        InvalidValueError: the value is not a date.

    """
    compare = _comparison(value)
    return ColumnMatch(lambda r: compare(r.updated, r.updated.plus(1)))


TYPE = ParameterType(indexer=_indexer, criteria={"": _criterion}, is_range=True)
