"""Conversion of quantities between UCUM units; mappings never convert.

https://ucum.org/ucum

    convert(Quantity(value=Decimal(180), unit="pg/mL"), "pmol/L", "cobalamin").value
    # Quantity(value=Decimal("133"), unit="pmol/L", system=..., code="pmol/L")

A conversion calculates with exact fractions and rounds once, half to even, to the number of
significant figures of the measured value. Every written digit counts, trailing zeros of a whole
number too: `180` has three figures, `180.00` has five. So 1.50 mg are `1.50E+3` ug, which FHIR
allows, because `1500` would have a fourth figure; an exponent is written only in this case.
A temperature keeps its decimal places instead, a duration stays exact (3 wk are 21 d, not 2E+1),
and zero stays unchanged.

A value that cannot be converted gives an Issue, not an exception. Data: mappings/units.toml and
mappings/codes/analytes.toml.
"""

from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Any, Generic, TypeVar

import msgspec
from msgspec.structs import replace

from fhir_b12 import aliases, data
from fhir_b12.datatypes import Quantity, Range
from fhir_b12.issues import Issue
from fhir_b12.records import Observed, ReferenceRange
from fhir_b12.ucum import Powers, Unit, UnitError, add_powers, parse

T = TypeVar("T")
Bounds = TypeVar("Bounds", Range, ReferenceRange)
Result = TypeVar("Result", bound=Observed)

_PROPERTIES = {
    "mass": "molar_mass",
    "equivalents": "charge",
}  #: dimension -> property of the analyte that converts it to amount of substance
_WIDEST = 400  #: digits, and powers of ten, of a value that can be converted
_EXACT = Context(prec=2 * _WIDEST)


class Converted(msgspec.Struct, Generic[T], frozen=True):
    """Result of a conversion: the value, None if it cannot be converted, and the issues."""

    value: T | None
    issues: tuple[Issue, ...] = ()


class _Refusal(Exception):  # noqa: N818 - never leaves this module
    """Signal that a quantity cannot be converted: FHIR issue code, element, message."""

    def __init__(self, code: str, element: str, message: str) -> None:
        super().__init__(message)
        self.code, self.element, self.message = code, element, message


def convert(
    quantity: Quantity,
    to: str,
    analyte: str | None = None,
    *,
    figures: int = 0,
    at: str = "Quantity",
) -> Converted[Quantity]:
    """Convert a quantity to another unit; its comparator and extensions stay.

    A quantity that already has the unit is returned unchanged.

    Args:
        quantity: the measured value, with a UCUM code or a known text as its unit.
        to: UCUM code of the target, or a known text for one.
        analyte: key of codes/analytes.toml; required, and used, only between mass, amount of
            substance and equivalents.
        figures: least number of significant figures of the result.
        at: FHIRPath of the quantity, for the issues.

    Returns:
        The converted quantity, or no value and an issue.

    """
    try:
        return Converted(_convert(quantity, to, analyte, figures))
    except _Refusal as refusal:
        where = f"{at}.{refusal.element}" if refusal.element else at
        return Converted(None, (Issue("error", refusal.code, where, refusal.message),))


def convert_range(
    bounds: Bounds,
    to: str,
    analyte: str | None = None,
    *,
    figures: int = 0,
    at: str = "Range",
) -> Converted[Bounds]:
    """Convert a range to another unit: both bounds, or neither.

    The text of a reference range is not converted, which gives a warning.

    Args:
        bounds: a Range or a ReferenceRange.
        to: UCUM code of the target, or a known text for one.
        analyte: key of codes/analytes.toml; see `convert`.
        figures: least number of significant figures of the bounds.
        at: FHIRPath of the range, for the issues.

    Returns:
        The converted range, or no value and the issues.

    """
    fields: dict[str, Quantity | None] = {}
    issues: list[Issue] = []
    for name in ("low", "high"):
        bound: Quantity | None = getattr(bounds, name)
        if bound is not None:
            converted = convert(bound, to, analyte, figures=figures, at=f"{at}.{name}")
            fields[name] = converted.value
            issues += converted.issues
    if issues:
        return Converted(None, tuple(issues))
    if isinstance(bounds, ReferenceRange) and bounds.text is not None:
        what = "the text of the range is not converted: read it in its original unit"
        issues.append(Issue("warning", "incomplete", f"{at}.text", what))
    return Converted(replace(bounds, **fields), tuple(issues))


def convert_result(
    result: Result, to: str, analyte: str | None = None, *, at: str = "Observation"
) -> Converted[Result]:
    """Convert the value and the reference ranges of a result to another unit, all or none.

    Bounds get no fewer figures than the value, because it is compared with them. A warning reports
    that rounding moves the value across a bound. Components, notes, interpretation and the code of
    the test stay unchanged. Many codes of tests imply mass or amount of substance: a conversion
    from one to the other gives a warning to replace the code.

    Args:
        result: an observation with a value or a range.
        to: UCUM code of the target, or a known text for one.
        analyte: key of codes/analytes.toml; `codes.table("lab_tests").find(result.test).analyte`.
        at: FHIRPath of the observation, for the issues.

    Returns:
        The converted result with warnings, or no value and the issues.

    """
    value, value_range = result.value, result.value_range or Range()
    measured = [part for part in (value, value_range.low, value_range.high) if part is not None]
    if not measured:
        what = "the result has no quantity to convert: add a value"
        return Converted(None, (Issue("error", "required", f"{at}.valueQuantity", what),))
    fields: dict[str, Any] = {}
    issues: list[Issue] = []
    if value is not None:
        converted = convert(value, to, analyte, at=f"{at}.valueQuantity")
        fields["value"] = converted.value
        issues += converted.issues
    if result.value_range is not None:
        converted_range = convert_range(result.value_range, to, analyte, at=f"{at}.valueRange")
        fields["value_range"] = converted_range.value
        issues += converted_range.issues
    figures = max(_count_figures(part.value) for part in measured)
    ranges = [
        convert_range(reference, to, analyte, figures=figures, at=f"{at}.referenceRange[{i}]")
        for i, reference in enumerate(result.reference_range)
    ]
    fields["reference_range"] = tuple(reference.value for reference in ranges)
    issues += [issue for reference in ranges for issue in reference.issues]
    if any(issue.is_error for issue in issues):
        return Converted(None, tuple(issue for issue in issues if issue.is_error))
    changed = replace(result, **fields)
    issues += _check_bounds(result, changed, at)
    if _difference(_parse_unit(measured[0]), _parse_target(to)).get("mass"):
        what = "the code of the test may imply mass or amount: use one that fits the new unit"
        issues.append(Issue("warning", "business-rule", f"{at}.code", what))
    return Converted(changed, tuple(issues))


def _check_bounds(result: Observed, changed: Observed, at: str) -> Iterator[Issue]:
    """Yield a warning for each bound across which rounding has moved the value."""
    if result.value is None or changed.value is None:
        return
    pairs = zip(result.reference_range, changed.reference_range, strict=True)
    for i, (old, new) in enumerate(pairs):
        for name in ("low", "high"):
            before, after = getattr(old, name), getattr(new, name)
            if before is None or before.code != result.value.code:
                continue
            was, now = (
                before.value.compare(result.value.value),
                after.value.compare(changed.value.value),
            )
            if was != now:
                what = (
                    "rounding moves the value across this bound: compare them in the original unit"
                )
                yield Issue("warning", "value", f"{at}.referenceRange[{i}].{name}", what)


def code_of(unit: str) -> str:
    """Return the UCUM code of a spelling, `ug` for `mcg`; any other text unchanged."""
    return aliases.units().get(unit, unit)


def _convert(quantity: Quantity, to: str, analyte: str | None, figures: int) -> Quantity:
    """Return a quantity in another unit; raise _Refusal if it cannot be converted."""
    target, source, value = _parse_target(to), _parse_unit(quantity), quantity.value
    if value is None:
        raise _Refusal("required", "value", "the value is missing: add the number to convert")
    if quantity.code == code_of(to):
        return quantity
    factor = _factor(source, target, analyte)
    if _is_too_wide(value):
        raise _Refusal("value", "value", f"not a number of at most {_WIDEST} digits: correct it")
    if source.offset or target.offset:
        value = _convert_temperature(value, source, target)
    else:
        exact = source.dimension == {"time": 1} and factor.denominator == 1
        least = _count_figures(_EXACT.multiply(value, factor.numerator)) if exact else 0
        value = _multiply(value, factor, max(figures, least, _count_figures(value)))
    if _is_too_wide(value):
        raise _Refusal(
            "value", "", f"the result has over {_WIDEST} digits: use a unit of similar size"
        )
    code = code_of(to)
    return replace(quantity, value=value, unit=code, system=aliases.UCUM, code=code)


def _parse_target(to: str) -> Unit:
    """Return the unit of a target; raise _Refusal if it is unknown."""
    try:
        return parse(code_of(to))
    except UnitError as error:
        raise _Refusal("code-invalid", "", f"no conversion to {to!r}: {error}") from error


def _parse_unit(quantity: Quantity) -> Unit:
    """Return the unit of a quantity, by its code or by a known spelling."""
    if quantity.system not in {None, aliases.UCUM}:
        what = "the unit is not of the UCUM system: add its UCUM code"
        raise _Refusal("code-invalid", "system", what)
    if quantity.code is None:
        what = "the unit has no code, and its text is not a known spelling: add its UCUM code"
        raise _Refusal("required", "code", what)
    for code in (quantity.code, code_of(quantity.code)):
        try:
            return parse(code)
        except UnitError:
            continue
    what = "the code is not a known UCUM unit: correct it, or add it to mappings/units.toml"
    raise _Refusal("code-invalid", "code", what)


def _difference(source: Unit, target: Unit) -> Powers:
    """Return the dimensions in which two units differ.

    One of the units may name the things counted: `{beats}/min` equals `/min`.
    """
    difference = add_powers(
        source.dimension, {name: -power for name, power in target.dimension.items()}
    )
    plain = [
        {name: power for name, power in unit.dimension.items() if name[0] != "{" or power < 0}
        for unit in (source, target)
    ]
    named_once = source.dimension == plain[0] or target.dimension == plain[1]
    return {} if plain[0] == plain[1] != {} and named_once else difference


def _factor(source: Unit, target: Unit, analyte: str | None) -> Fraction:
    """Return the factor from one unit to the other."""
    factor, difference = source.factor / target.factor, _difference(source, target)
    ratios = {**source.cancelled, **target.cancelled}
    if (
        difference
        and difference.keys() <= {"amount", *_PROPERTIES}
        and not sum(difference.values())
        and not ratios
    ):
        return factor * _analyte_factor(difference, source, target, analyte)
    if difference:
        raise _Refusal("not-supported", "", _explain_difference(difference, source, target))
    alike = source.cancelled == target.cancelled
    if not alike and ("amount" in ratios or (source.cancelled and target.cancelled)):
        what = "ratios of amounts, of masses and of volumes do not convert to each other"
        raise _Refusal("not-supported", "", what)
    return factor


def _analyte_factor(
    difference: Powers, source: Unit, target: Unit, analyte: str | None
) -> Fraction:
    """Return the factor between mass, equivalents and amount of substance of one analyte."""
    properties = {name: prop for name, prop in _PROPERTIES.items() if name in difference}
    rows = data.toml("codes/analytes.toml")
    analytes = [key for key, row in rows.items() if row.keys() >= set(properties.values())]
    if analyte not in analytes:
        needed = " and ".join(properties.values()).replace("_", " ")
        what = (
            f"{source.kind} to {target.kind} needs an analyte, for its {needed}: "
            f"use one of {', '.join(analytes)}"
        )
        raise _Refusal("required" if analyte is None else "not-found", "", what)
    factor = Fraction(1)
    for name, prop in properties.items():
        factor /= Fraction(rows[analyte][prop]) ** difference[name]
    return factor


def _explain_difference(difference: Powers, source: Unit, target: Unit) -> str:
    """Return why units of different dimensions do not convert to each other."""
    for row in data.toml("units.toml")["atoms"].values():
        if row.get("arbitrary") and row["dimension"] in difference:
            return f"{row['name']}: {row['arbitrary']}, so it does not convert to other units"
    if any(name[0] == "{" for name in difference):
        return "the units name different things in braces: use one annotation for both"
    return f"{source.kind} does not convert to {target.kind}"


def _is_too_wide(value: Decimal) -> bool:
    _, digits, exponent = value.as_tuple()
    return not isinstance(exponent, int) or len(digits) > _WIDEST or abs(exponent) > _WIDEST


def _count_figures(value: Decimal | None) -> int:
    return 0 if value is None else len(value.as_tuple().digits)


def _multiply(value: Decimal, factor: Fraction, figures: int) -> Decimal:
    """Return the value times a factor, rounded to a number of significant figures."""
    if not value:
        return value
    exact = Fraction(value) * factor
    context = Context(prec=figures, rounding=ROUND_HALF_EVEN)
    rounded = context.divide(Decimal(exact.numerator), Decimal(exact.denominator))
    return context.quantize(rounded, Decimal((0, (1,), rounded.adjusted() - figures + 1)))


def _convert_temperature(value: Decimal, source: Unit, target: Unit) -> Decimal:
    """Convert a temperature to another scale, with the same number of decimal places."""
    exponent = value.as_tuple().exponent
    kelvin = Fraction(value) * source.factor + source.offset
    steps = (kelvin - target.offset) / target.factor / Fraction(10) ** int(exponent)
    return Decimal(f"{round(steps)}E{exponent}")
