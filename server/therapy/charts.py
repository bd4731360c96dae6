"""The results of each laboratory test by time, as points of a small drawing."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from fhir_b12.datatypes import Quantity
from fhir_b12.dates import DateTime, Interval
from fhir_b12.records import LabResult, ReferenceRange, summary

WIDTH, HEIGHT = 300, 80  #: of the drawing, without its margin


class Point(NamedTuple):
    """One result: where it stands in the drawing, and what it says."""

    x: float  #: the middle of what its date may mean
    left: float
    right: float
    y: float
    date: str
    text: str  #: with its comparator, digit for digit
    is_bound: bool  #: below or above what was measured


class Chart(NamedTuple):
    """All results of one test in one unit."""

    title: str
    unit: str
    points: tuple[Point, ...]
    top: str
    bottom: str
    range: str | None  #: of the newest result that has one
    band: tuple[float, float] | None  #: top and height of the range


def charts(results: Iterable[LabResult]) -> list[Chart]:
    """A chart for each code and unit with two numbers or more, those with most points first."""
    found: dict[tuple[str | None, ...], list[LabResult]] = {}
    for result in results:
        value = result.value
        if value is not None and value.value is not None and _when(result) is not None:
            coding = next(iter(result.test.coding), None)
            code = (coding.system, coding.code) if coding else (None, result.test.text)
            unit = value.code or value.unit
            found.setdefault((*code, unit), []).append(result)
    made = [_chart(sorted(each, key=_interval)) for each in found.values() if len(each) > 1]
    return sorted(made, key=lambda chart: -len(chart.points))


def _when(result: LabResult) -> DateTime | None:
    period = result.collected_period
    return result.collected or (period.start if period else None)


def _interval(result: LabResult) -> Interval:
    when = _when(result)
    assert when is not None
    return when.interval


def _chart(results: Sequence[LabResult]) -> Chart:
    values = [result.value for result in results if result.value is not None]
    unit = values[0].unit or values[0].code or ""
    given = (each for result in reversed(results) for each in result.reference_range)
    own = next(given, None)
    low, high = (_bound(own, name, values[0]) for name in ("low", "high"))
    shown = [each for each in (*(value.value for value in values), low, high) if each is not None]
    bottom, top = min(shown), max(shown)
    first, last = _interval(results[0])[0], max(_interval(result)[1] for result in results)

    def x(moment: Fraction) -> float:
        return round(WIDTH * float((moment - first) / (last - first)), 1)

    def y(value: Decimal) -> float:
        return round(
            HEIGHT * float((top - value) / (top - bottom)) if top > bottom else HEIGHT / 2, 1
        )

    points = []
    for result, value in zip(results, values, strict=True):
        left, right = _interval(result)
        assert value.value is not None
        points.append(
            Point(
                x=x((left + right) / 2), left=x(left), right=x(right), y=y(value.value),
                date=str(_when(result)), text=f"{value.comparator or ''}{value.value}",
                is_bound=value.comparator is not None,
            )
        )  # fmt: skip
    band = None
    if low is not None or high is not None:
        head = 0 if high is None else y(high)
        band = (head, (HEIGHT if low is None else y(low)) - head)
    title = summary.words(results[0].test) or "laboratory"
    return Chart(
        title,
        unit,
        tuple(points),
        str(top),
        str(bottom),
        summary.whole(own) if band else None,
        band,
    )


def _bound(own: ReferenceRange | None, name: str, value: Quantity) -> Decimal | None:
    """An end of a range, if it is in the unit of the results."""
    bound: Quantity | None = getattr(own, name, None)
    if bound is None or (bound.code or bound.unit) not in {None, value.code or value.unit}:
        return None
    return bound.value
