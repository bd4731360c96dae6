"""UCUM units and conversion between them; mappings never convert.

https://ucum.org/ucum

    convert(Quantity(value=Decimal(180), unit="pg/mL"), "pmol/L", "cobalamin").value
    # Quantity(value=Decimal("133"), unit="pmol/L", system=..., code="pmol/L")

A conversion counts with exact fractions and rounds once, half to even, to as many significant
figures as the measured value has. Every written digit counts, trailing zeros of a whole number too:
`180` has three figures, `180.00` has five. So 1.50 mg are `1.50E+3` ug, which FHIR allows, where
`1500` would claim a fourth figure; digits without exponent are written wherever that is not so.
A temperature keeps its decimal places instead, a span of time is counted and stays exact (3 wk are
21 d, not 2E+1), and zero is written as it came.

Bad data is a value: what cannot be converted comes back as an Issue. Data: mappings/units.toml and
mappings/codes/analytes.toml.
"""

import re
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any, Generic, TypeVar

import msgspec
from msgspec.structs import replace

from fhir_b12 import aliases, data
from fhir_b12.datatypes import Quantity, Range
from fhir_b12.issues import Issue
from fhir_b12.records import Observed, ReferenceRange

T = TypeVar("T")
Bounds = TypeVar("Bounds", Range, ReferenceRange)
Result = TypeVar("Result", bound=Observed)
Powers = dict[str, int]  #: dimension, or `{annotation}` -> its power, never 0

_LONGEST_CODE = 100  #: characters; keeps parentheses shallow
_FACTS = {"mass": "molar_mass", "equivalents": "charge"}  #: what makes a dimension an amount
_WIDEST = 400  #: digits, and powers of ten, of a value that can be converted
_EXACT = Context(prec=2 * _WIDEST)
_COMPONENT = re.compile(
    r"(?:(?P<symbol>10[*^]|(?:[A-Za-z_%']|\[[^\[\]{}\s]+\])+)(?P<power>[+-]?\d{1,2})?"
    r"|(?P<factor>[1-9]\d{0,8}))?(?P<label>\{[!-z|~]*\})?",
    re.ASCII,
)


class UnitError(ValueError):
    """A text that is no UCUM unit known here; the message says why."""


class Unit(msgspec.Struct, frozen=True):
    """What a UCUM code means: a factor to the base units of its dimension.

    `{annotations}` count as dimensions: a `{score}` is no number of anything else.
    """

    factor: Fraction = Fraction(1)
    dimension: Powers = {}
    cancelled: Powers = {}  #: what a ratio is a ratio of: mass in ug/g, amount in mmol/mol
    offset: Fraction = Fraction(0)  #: base units at the scale's zero: 273.15 K for Cel

    def __mul__(self, other: "Unit") -> "Unit":
        """Both together, as in `mL.kg`; a scale with an offset stands alone."""
        if self == ONE:
            return other
        if other == ONE:
            return self
        if self.offset or other.offset:
            raise UnitError("a temperature scale stands alone; use K in a product")
        names = self.dimension.keys() & other.dimension.keys()
        opposite = {
            name: min(abs(self.dimension[name]), abs(other.dimension[name]))
            for name in names
            if self.dimension[name] * other.dimension[name] < 0
        }
        return Unit(
            self.factor * other.factor,
            _sum(self.dimension, other.dimension),
            _sum(_sum(self.cancelled, other.cancelled), opposite),
        )

    def __pow__(self, power: int) -> "Unit":
        """As in `m2` or `s-1`."""
        if power == 1:
            return self
        if self.offset:
            raise UnitError("a temperature scale has no powers; use K")
        return Unit(
            self.factor**power,
            {name: each * power for name, each in self.dimension.items() if power},
            {name: each * abs(power) for name, each in self.cancelled.items() if power},
        )

    @property
    def kind(self) -> str:
        """What such a unit measures, in words: `mass concentration`."""
        plain = {name: power for name, power in self.dimension.items() if name[0] != "{"}
        for name, code in data.toml("units.toml")["kinds"].items():
            if parse(code).dimension == plain:
                return str(name)
        return " ".join(f"{name}^{power}" for name, power in sorted(plain.items()))


ONE = Unit()


def _sum(left: Powers, right: Powers) -> Powers:
    both = {name: left.get(name, 0) + right.get(name, 0) for name in {**left, **right}}
    return {name: power for name, power in both.items() if power}


@lru_cache(maxsize=1024)
def parse(code: str) -> Unit:
    """Return the meaning of a UCUM code.  https://ucum.org/ucum#section-Syntax-Rules

    Raises:
        UnitError: it is no UCUM, or has a unit that is not in mappings/units.toml.

    """
    if not code or len(code) > _LONGEST_CODE:
        raise UnitError(f"a unit has 1 to {_LONGEST_CODE} characters")
    unit, end = _product(code, ONE, 0) if code[0] == "/" else _term(code, 0)
    if end < len(code):
        raise UnitError(f"not a UCUM unit from its character {end + 1} on")
    return unit


def _term(code: str, start: int) -> tuple[Unit, int]:
    """Parse a component and those joined to it; return where they end too."""
    return _product(code, *_component(code, start))


def _product(code: str, unit: Unit, end: int) -> tuple[Unit, int]:
    """From left to right: `a/b.c` is `c` times `a/b`."""
    while code[end : end + 1] in {".", "/"}:
        sign = 1 if code[end] == "." else -1
        part, end = _component(code, end + 1)
        unit *= part**sign
    return unit, end


def _component(code: str, start: int) -> tuple[Unit, int]:
    if code.startswith("(", start):
        unit, end = _term(code, start + 1)
        if not code.startswith(")", end):
            raise UnitError(f"the parenthesis at character {start + 1} does not close")
        return unit, end + 1
    found = _COMPONENT.match(code, start)
    if found is None or found.end() == start:
        raise UnitError(f"not a UCUM unit from its character {start + 1} on")
    unit = Unit(Fraction(found["factor"] or 1))
    if found["symbol"]:
        unit = _simple(found["symbol"]) ** int(found["power"] or 1)
    if found["label"]:
        unit *= Unit(dimension={found["label"]: 1})
    return unit, found.end()


def _simple(symbol: str) -> Unit:
    """Look up an atom, or a prefix and a metric atom: `min` is a minute, `mm` a millimetre."""
    atoms, prefixes = (data.toml("units.toml")[name] for name in ("atoms", "prefixes"))
    if symbol in atoms:
        return _atom(symbol)
    for size in (1, 2):
        prefix, rest = symbol[:size], symbol[size:]
        if prefix in prefixes and atoms.get(rest, {}).get("metric"):
            atom = _atom(rest)
            return replace(atom, factor=atom.factor * Fraction(10) ** prefixes[prefix])
    raise UnitError(f"unknown unit {symbol!r}; add it to mappings/units.toml")


@cache
def _atom(symbol: str) -> Unit:
    row = data.toml("units.toml")["atoms"][symbol]
    if "dimension" in row:
        return Unit(dimension={row["dimension"]: 1})
    unit, value = parse(row["unit"]), Fraction(row["value"])
    return Unit(unit.factor * value, unit.dimension, offset=Fraction(row.get("offset", 0)) * value)


class Converted(msgspec.Struct, Generic[T], frozen=True):
    """What came of a conversion: the value where there is one, and what is to be said of it."""

    value: T | None
    issues: tuple[Issue, ...] = ()


class _Refusal(Exception):  # noqa: N818 - it never leaves this module
    """Why a quantity is not converted: FHIR issue code, element, message."""

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
    """Convert a quantity to another unit; comparator and extensions are kept.

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
        return Converted(_converted(quantity, to, analyte, figures))
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

    The text of a reference range is not converted; a warning says so.

    Args:
        bounds: a Range or a ReferenceRange.
        to: UCUM code of the target, or a known text for one.
        analyte: key of codes/analytes.toml; see `convert`.
        figures: least number of significant figures of the bounds.
        at: FHIRPath of the range, for the issues.

    Returns:
        The converted range, or no value and the issues.

    """
    done: dict[str, Quantity | None] = {}
    issues: list[Issue] = []
    for name in ("low", "high"):
        bound: Quantity | None = getattr(bounds, name)
        if bound is not None:
            converted = convert(bound, to, analyte, figures=figures, at=f"{at}.{name}")
            done[name] = converted.value
            issues += converted.issues
    if issues:
        return Converted(None, tuple(issues))
    if isinstance(bounds, ReferenceRange) and bounds.text is not None:
        what = "range is text: not converted, so read it in the unit it was written for"
        issues.append(Issue("warning", "incomplete", f"{at}.text", what))
    return Converted(replace(bounds, **done), tuple(issues))


def convert_result(
    result: Result, to: str, analyte: str | None = None, *, at: str = "Observation"
) -> Converted[Result]:
    """Convert the value and the reference ranges of a result to another unit, all or none.

    Bounds get no fewer figures than the value, because it is judged by them; a warning says if
    rounding moves the value across a bound. Components, notes, interpretation and the code of the
    test stay as they are. Many codes of tests say mass or amount of substance: a warning asks for
    the other code.

    Args:
        result: an observation with a value or a range.
        to: UCUM code of the target, or a known text for one.
        analyte: key of codes/analytes.toml; `codes.table("lab_tests").find(result.test).analyte`.
        at: FHIRPath of the observation, for the issues.

    Returns:
        The converted result with warnings, or no value and the issues.

    """
    value, between = result.value, result.value_range or Range()
    measured = [each for each in (value, between.low, between.high) if each is not None]
    if not measured:
        what = "the result has no quantity, so nothing of it converts"
        return Converted(None, (Issue("error", "required", f"{at}.valueQuantity", what),))
    done: dict[str, Any] = {}
    issues: list[Issue] = []
    if value is not None:
        converted = convert(value, to, analyte, at=f"{at}.valueQuantity")
        done["value"] = converted.value
        issues += converted.issues
    if result.value_range is not None:
        span = convert_range(result.value_range, to, analyte, at=f"{at}.valueRange")
        done["value_range"] = span.value
        issues += span.issues
    figures = max(_figures(each.value) for each in measured)
    ranges = [
        convert_range(each, to, analyte, figures=figures, at=f"{at}.referenceRange[{i}]")
        for i, each in enumerate(result.reference_range)
    ]
    done["reference_range"] = tuple(each.value for each in ranges)
    issues += [issue for each in ranges for issue in each.issues]
    if any(issue.is_error for issue in issues):
        return Converted(None, tuple(issue for issue in issues if issue.is_error))
    changed = replace(result, **done)
    issues += _crossed(result, changed, at)
    if _apart(_unit(measured[0]), _target(to)).get("mass"):
        what = "the code of a test may say mass or amount: give the one that fits the new unit"
        issues.append(Issue("warning", "business-rule", f"{at}.code", what))
    return Converted(changed, tuple(issues))


def _crossed(result: Observed, changed: Observed, at: str) -> Iterator[Issue]:
    """Where rounding has moved the value to another side of a bound that was in its unit."""
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
                what = "rounding moves the value across this bound: judge it in the unit it came in"
                yield Issue("warning", "value", f"{at}.referenceRange[{i}].{name}", what)


def code_of(unit: str) -> str:
    """Return the UCUM code of a spelling: `ug` for `mcg`; else the text itself."""
    return aliases.units().get(unit, unit)


def _converted(quantity: Quantity, to: str, analyte: str | None, figures: int) -> Quantity:
    target, source, value = _target(to), _unit(quantity), quantity.value
    if value is None:
        raise _Refusal("required", "value", "there is no value to convert")
    if quantity.code == code_of(to):
        return quantity
    factor = _factor(source, target, analyte)
    if _too_wide(value):
        raise _Refusal("value", "value", f"no number of at most {_WIDEST} digits: correct it")
    if source.offset or target.offset:
        value = _reading(value, source, target)
    else:
        exact = source.dimension == {"time": 1} and factor.denominator == 1
        least = _figures(_EXACT.multiply(value, factor.numerator)) if exact else 0
        value = _scaled(value, factor, max(figures, least, _figures(value)))
    if _too_wide(value):
        raise _Refusal("value", "", f"the result has over {_WIDEST} digits: take a nearer unit")
    code = code_of(to)
    return replace(quantity, value=value, unit=code, system=aliases.UCUM, code=code)


def _target(to: str) -> Unit:
    try:
        return parse(code_of(to))
    except UnitError as error:
        raise _Refusal("code-invalid", "", f"no conversion to {to!r}: {error}") from error


def _unit(quantity: Quantity) -> Unit:
    """Return the unit of a quantity, by its code or by a known spelling."""
    if quantity.system not in {None, aliases.UCUM}:
        what = "the unit is of another system than UCUM: give its UCUM code"
        raise _Refusal("code-invalid", "system", what)
    if quantity.code is None:
        what = "the unit has no code, and its text is no known spelling: give its UCUM code"
        raise _Refusal("required", "code", what)
    for code in (quantity.code, code_of(quantity.code)):
        try:
            return parse(code)
        except UnitError:
            continue
    what = "the code is no UCUM unit known here: correct it, or add the unit to mappings/units.toml"
    raise _Refusal("code-invalid", "code", what)


def _apart(source: Unit, target: Unit) -> Powers:
    """Return the dimensions in which two units differ.

    What is counted may be named on one side only: `{beats}/min` are `/min`.
    """
    apart = _sum(source.dimension, {name: -power for name, power in target.dimension.items()})
    plain = [
        {name: power for name, power in unit.dimension.items() if name[0] != "{" or power < 0}
        for unit in (source, target)
    ]
    named_once = source.dimension == plain[0] or target.dimension == plain[1]
    return {} if plain[0] == plain[1] != {} and named_once else apart


def _factor(source: Unit, target: Unit, analyte: str | None) -> Fraction:
    """Return the factor from one unit to the other."""
    factor, apart = source.factor / target.factor, _apart(source, target)
    ratios = {**source.cancelled, **target.cancelled}
    if apart and apart.keys() <= {"amount", *_FACTS} and not sum(apart.values()) and not ratios:
        return factor * _per_analyte(apart, source, target, analyte)
    if apart:
        raise _Refusal("not-supported", "", _why(apart, source, target))
    alike = source.cancelled == target.cancelled
    if not alike and ("amount" in ratios or (source.cancelled and target.cancelled)):
        what = "ratios of amounts, of masses and of volumes are no parts of one another"
        raise _Refusal("not-supported", "", what)
    return factor


def _per_analyte(apart: Powers, source: Unit, target: Unit, analyte: str | None) -> Fraction:
    """From mass and equivalents to amount of substance, or back, for one analyte."""
    facts = {name: fact for name, fact in _FACTS.items() if name in apart}
    rows = data.toml("codes/analytes.toml")
    able = [key for key, row in rows.items() if row.keys() >= set(facts.values())]
    if analyte not in able:
        needed = " and ".join(facts.values()).replace("_", " ")
        what = (
            f"{source.kind} to {target.kind} needs an analyte, for its {needed}: "
            f"there are {', '.join(able)}"
        )
        raise _Refusal("required" if analyte is None else "not-found", "", what)
    factor = Fraction(1)
    for name, fact in facts.items():
        factor /= Fraction(rows[analyte][fact]) ** apart[name]
    return factor


def _why(apart: Powers, source: Unit, target: Unit) -> str:
    for row in data.toml("units.toml")["atoms"].values():
        if row.get("arbitrary") and row["dimension"] in apart:
            return f"{row['name']}: {row['arbitrary']}, so it converts to nothing but itself"
    if any(name[0] == "{" for name in apart):
        return "the units name different things in braces: what they count, or per what"
    return f"{source.kind} does not convert to {target.kind}"


def _too_wide(value: Decimal) -> bool:
    _, digits, exponent = value.as_tuple()
    return not isinstance(exponent, int) or len(digits) > _WIDEST or abs(exponent) > _WIDEST


def _figures(value: Decimal | None) -> int:
    return 0 if value is None else len(value.as_tuple().digits)


def _scaled(value: Decimal, factor: Fraction, figures: int) -> Decimal:
    """Return the value times a factor, rounded to so many figures."""
    if not value:
        return value
    exact = Fraction(value) * factor
    context = Context(prec=figures, rounding=ROUND_HALF_EVEN)
    rounded = context.divide(Decimal(exact.numerator), Decimal(exact.denominator))
    return context.quantize(rounded, Decimal((0, (1,), rounded.adjusted() - figures + 1)))


def _reading(value: Decimal, source: Unit, target: Unit) -> Decimal:
    """Convert a temperature to another scale, to the decimal places of this one."""
    exponent = value.as_tuple().exponent
    kelvin = Fraction(value) * source.factor + source.offset
    steps = (kelvin - target.offset) / target.factor / Fraction(10) ** int(exponent)
    return Decimal(f"{round(steps)}E{exponent}")
