"""Charts of laboratory results over time: points of a small drawing."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from fhir_b12.datatypes import Quantity
from fhir_b12.dates import DateTime, Interval
from fhir_b12.records import LabResult, ReferenceRange, summary

WIDTH, HEIGHT = 300, 80  #: of the drawing without its margin, in pixels


class Point(NamedTuple):
    """One result: its position in the drawing, and its texts."""

    x: float  #: middle of the interval that the date covers
    left: float  #: start of that interval
    right: float  #: end of that interval
    y: float
    date: str
    text: str  #: value with its comparator, digit for digit
    is_bound: bool  #: True if the value has a comparator: less or more than was measurable


class Chart(NamedTuple):
    """All results of one test in one unit."""

    title: str
    unit: str
    points: tuple[Point, ...]
    top: str  #: highest value of the axis
    bottom: str  #: lowest value of the axis
    range: str | None  #: reference range of the newest result that has one
    band: tuple[float, float] | None  #: top and height of that range in the drawing


def build_charts(results: Iterable[LabResult]) -> list[Chart]:
    """Build a chart per code and unit with two or more numbers, the longest first."""
    series: dict[tuple[str | None, ...], list[LabResult]] = {}
    for result in results:
        value = result.value
        if value is not None and value.value is not None and _date(result) is not None:
            coding = next(iter(result.test.coding), None)
            code = (coding.system, coding.code) if coding else (None, result.test.text)
            unit = value.code or value.unit
            series.setdefault((*code, unit), []).append(result)
    charts = [
        _build_chart(sorted(points, key=_interval)) for points in series.values() if len(points) > 1
    ]
    return sorted(charts, key=lambda chart: -len(chart.points))


def _date(result: LabResult) -> DateTime | None:
    period = result.collected_period
    return result.collected or (period.start if period else None)


def _interval(result: LabResult) -> Interval:
    date = _date(result)
    assert date is not None
    return date.interval


def _build_chart(results: Sequence[LabResult]) -> Chart:
    values = [result.value for result in results if result.value is not None]
    unit = values[0].unit or values[0].code or ""
    ranges = (limits for result in reversed(results) for limits in result.reference_range)
    reference = next(ranges, None)
    low, high = (_range_limit(reference, name, values[0]) for name in ("low", "high"))
    numbers = [
        number for number in (*(value.value for value in values), low, high) if number is not None
    ]
    bottom, top = min(numbers), max(numbers)
    first, last = _interval(results[0])[0], max(_interval(result)[1] for result in results)

    def x(moment: Fraction) -> float:
        return round(WIDTH * float((moment - first) / (last - first)), 1)

    def y(number: Decimal) -> float:
        share = float((top - number) / (top - bottom)) if top > bottom else 1 / 2
        return round(HEIGHT * share, 1)

    points = []
    for result, value in zip(results, values, strict=True):
        left, right = _interval(result)
        assert value.value is not None
        points.append(
            Point(
                x=x((left + right) / 2), left=x(left), right=x(right), y=y(value.value),
                date=str(_date(result)), text=f"{value.comparator or ''}{value.value}",
                is_bound=value.comparator is not None,
            )
        )  # fmt: skip
    band = None
    if low is not None or high is not None:
        band_top = 0 if high is None else y(high)
        band = (band_top, (HEIGHT if low is None else y(low)) - band_top)
    return Chart(
        title=summary.words(results[0].test) or "laboratory",
        unit=unit,
        points=tuple(points),
        top=str(top),
        bottom=str(bottom),
        range=summary.whole(reference) if band else None,
        band=band,
    )


def _range_limit(reference: ReferenceRange | None, name: str, value: Quantity) -> Decimal | None:
    """Return `low` or `high` of a range, None if it is missing or in another unit."""
    limit: Quantity | None = getattr(reference, name, None)
    if limit is None or (limit.code or limit.unit) not in {None, value.code or value.unit}:
        return None
    return limit.value
