"""Plausibility rules on results: unit, magnitude, reference range and code.

https://hl7.org/fhir/R4/observation.html
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, NamedTuple

from fhir_b12 import aliases, codes, data, ucum
from fhir_b12.codes import CodeEntry
from fhir_b12.ucum import Unit
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import Finding, prepend_path
from fhir_b12.validation.plausibility.accessors import (
    JsonObject,
    find_entry,
    format_quantity,
    unit_of,
    value_in,
)
from fhir_b12.validation.plausibility.future_dates import check_future
from fhir_b12.validation.plausibility.rule_config import add_finding, rule_config

_TRAILING_UNIT = re.compile(r"\d\s*([^\d\s.,;:()\-][^\s;()]*)\s*$", re.ASCII)
_DONE_STATUSES = frozenset({"final", "amended", "corrected"})


def check_observation(
    resource: JsonObject, context: ResourceContext, findings: list[Finding]
) -> None:
    """Check an Observation and its components."""
    if resource.get("status") == "entered-in-error":
        return
    _check_measurement(resource, context, findings)
    for index, component in enumerate(resource.get("component", ())):
        mark = len(findings)
        _check_measurement(component, context, findings)
        if len(findings) > mark:
            prepend_path(findings, mark, "component", index)
    check_future(resource, context, findings, "effective", _DONE_STATUSES)


def _check_measurement(node: JsonObject, context: ResourceContext, findings: list[Finding]) -> None:
    """Check an Observation or a component."""
    test = find_entry("lab_tests", node.get("code"))
    if test is None:
        _check_check_digits(node.get("code"), context, findings)
    quantity = node.get("valueQuantity")
    if quantity is None:
        return
    unit = unit_of(quantity)
    if unit is None:
        return
    problem = _find_unit_problem(test.key if test else None, unit)
    if problem is not None:
        _report_unit_problem(problem, quantity, context, findings)
    elif test is not None and test.key in _tests_with_limits():
        _check_magnitude(test, quantity, context, findings)
    for index, range_ in enumerate(node.get("referenceRange", ())):
        mark = len(findings)
        _check_range(test, quantity, range_, context, findings)
        if len(findings) > mark:
            prepend_path(findings, mark, "referenceRange", index)


# --- units


class UnitProblem(NamedTuple):
    """A unit that is misspelled, or that measures something else than the test."""

    ucum_code: str | None  #: the code that a misspelled unit means
    expected: str = ""  #: what the test measures: "a mass concentration"
    actual: str = ""  #: what the unit measures
    sibling: str = ""  #: the codes of the same test in such a unit: "LOINC 2132-9"


def _report_unit_problem(
    problem: UnitProblem,
    quantity: JsonObject,
    context: ResourceContext,
    findings: list[Finding],
) -> None:
    if problem.ucum_code is not None:
        report_unit_spelling(problem.ucum_code, quantity, context, findings, "valueQuantity")
        return
    add_finding(
        context,
        findings,
        "OBS-01",
        "valueQuantity",
        value=format_quantity(quantity),
        expected=problem.expected,
        actual=problem.actual,
        code=f" ({problem.sibling})" if problem.sibling else "",
    )


def report_unit_spelling(
    ucum_code: str,
    quantity: JsonObject,
    context: ResourceContext,
    findings: list[Finding],
    *path: str | int,
) -> None:
    """Report a unit that is not a UCUM code, with the code that it means."""
    if quantity.get("system") is None or quantity.get("code") is None:
        add_finding(context, findings, "OBS-03-text", *path, unit=ucum_code)
        return
    fix = ({"op": "replace", "path": "/code", "value": ucum_code},)
    add_finding(context, findings, "OBS-03", *path, unit=ucum_code, fix=fix)


@lru_cache(maxsize=1024)
def correct_spelling(unit: str) -> str | None:
    """Return the UCUM code that a misspelled unit means, None if it is correct or unknown."""
    ucum_code = _ucum_code_of(unit)
    if ucum_code is None or ucum_code == unit or _parse_unit(unit) is not None:
        return None
    return ucum_code


def _ucum_code_of(unit: str) -> str | None:
    """Return the UCUM code of a known spelling, also in another case."""
    return aliases.units().get(unit) or aliases.cased_units().get(unit.lower())


def _parse_unit(unit: str) -> Unit | None:
    try:
        return ucum.parse(unit)
    except ucum.UnitError:
        return None


@lru_cache(maxsize=4096)
def _find_unit_problem(test_key: str | None, unit: str) -> UnitProblem | None:
    """Return what is wrong with a unit for a test, None if nothing is or it is unclear."""
    ucum_code, parsed = _ucum_code_of(unit), _parse_unit(unit)
    if parsed is None and ucum_code is None:
        return None
    test = None if test_key is None else codes.table("lab_tests")[test_key]
    if test is not None and test.unit is not None:
        expected = ucum.parse(test.unit)
        if parsed is not None and _is_comparable(parsed, expected, test.analyte):
            return None
        # K/uL is kelvin to UCUM, but thousands to those who write it
        intended = None if ucum_code is None else ucum.parse(ucum_code)
        if intended is not None and not _is_comparable(intended, expected, test.analyte):
            return _find_mismatch(test, expected, intended)
        if intended is None and parsed is not None:
            return _find_mismatch(test, expected, parsed)
    return UnitProblem(ucum_code) if parsed is None or (test and test.unit) else None


def _find_mismatch(test: CodeEntry, expected: Unit, actual: Unit) -> UnitProblem | None:
    dimension = _dimension_of(expected)
    if not dimension and "%" not in (test.unit or "") and not expected.cancelled:
        return None  # a score or an index differs between methods
    if any(name in _arbitrary_dimensions() for name in dimension):
        return None
    if not _dimension_of(actual) and actual.dimension:
        return None
    sibling = _find_sibling(test, actual)
    return UnitProblem(None, _name_dimension(expected), _name_dimension(actual), sibling)


def _is_comparable(unit: Unit, expected: Unit, analyte: str | None) -> bool:
    """Return True if two units have the same dimension, and ratios the same parts."""
    own, other = _dimension_of(unit), _dimension_of(expected)
    if analyte is not None and "charge" in data.toml("codes/analytes.toml")[analyte]:
        own = {("amount" if k == "equivalents" else k): n for k, n in own.items()}
    if own != other:
        return False
    own_parts, other_parts = unit.cancelled.keys(), expected.cancelled.keys()
    return not (own_parts and other_parts and own_parts != other_parts)


def _dimension_of(unit: Unit) -> dict[str, int]:
    """Return the dimension of a unit without its annotations in braces."""
    return {name: power for name, power in unit.dimension.items() if name[0] != "{"}


@cache
def _arbitrary_dimensions() -> frozenset[str]:
    """Return the dimensions of arbitrary units such as [iU]."""
    rows = data.toml("units.toml")["atoms"].values()
    return frozenset(row["dimension"] for row in rows if "arbitrary" in row)


def _name_dimension(unit: Unit) -> str:
    """Return what a unit measures, in words: "a mass concentration"."""
    dimension = _dimension_of(unit)
    if not dimension:
        ratio = "/".join(sorted(unit.cancelled))
        return f"a ratio of {ratio}" if ratio else "a plain number"
    for name, code in data.toml("units.toml")["kinds"].items():
        if ucum.parse(code).dimension == dimension:
            return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
    return "another kind of quantity"


def _find_sibling(test: CodeEntry, unit: Unit) -> str:
    """Return the codes of the same test in such a unit, "" if there are none."""
    for pair in rule_config("OBS-01").siblings:
        if test.key in pair:
            sibling = codes.table("lab_tests")[pair[0] if pair[1] == test.key else pair[1]]
            if sibling.unit and _is_comparable(unit, ucum.parse(sibling.unit), None):
                return "LOINC " + ", ".join(str(coding.code) for coding in sibling.codings)
    return ""


# --- magnitudes and reference ranges


@cache
def _tests_with_limits() -> frozenset[str]:
    return rule_config("OBS-04").tests


def _check_magnitude(
    test: CodeEntry, quantity: JsonObject, context: ResourceContext, findings: list[Finding]
) -> None:
    """OBS-04: a result that looks a thousandfold wrong."""
    config = rule_config("OBS-04")
    assert config.unit is not None
    value = value_in(quantity, config.unit, test.analyte)
    if value is None:
        return
    for side, limit in (("above", config.above), ("below", config.below)):
        if limit is not None and (value > limit if side == "above" else value < limit):
            add_finding(
                context,
                findings,
                "OBS-04",
                "valueQuantity",
                value=format_quantity(quantity),
                side=side,
                limit=limit,
                unit=config.unit,
            )


def _check_range(
    test: CodeEntry | None,
    quantity: JsonObject,
    range_: JsonObject,
    context: ResourceContext,
    findings: list[Finding],
) -> None:
    """OBS-02: a reference range in another unit than the value."""
    unit = unit_of(quantity) or ""
    for name, range_unit in _units_of_range(range_):
        if range_unit != unit and not _has_same_scale(unit, range_unit):
            add_finding(context, findings, "OBS-02", name, value=format_quantity(quantity))
            return
    if test is not None and "low" in range_ and "type" not in range_:
        _check_lower_bound(test, range_["low"], context, findings)


def _units_of_range(range_: JsonObject) -> Iterator[tuple[str, str]]:
    """Yield the units of a range's bounds, or of its text if it has no bounds."""
    for name in ("low", "high"):
        if (unit := unit_of(range_.get(name))) is not None:
            yield name, unit
    text = range_.get("text")
    if text and "low" not in range_ and "high" not in range_:
        trailing = _TRAILING_UNIT.search(text)
        if trailing is not None and (code := aliases.units().get(trailing[1])) is not None:
            yield "text", code


@lru_cache(maxsize=1024)
def _has_same_scale(one: str, other: str) -> bool:
    """Return True if numbers in two units can be compared, or if a unit is unknown."""
    known = aliases.units()
    first, second = (_parse_unit(known.get(unit, unit)) for unit in (one, other))
    if first is None or second is None:
        return True
    return first.factor == second.factor and _dimension_of(first) == _dimension_of(second)


def _check_lower_bound(
    test: CodeEntry, low: JsonObject, context: ResourceContext, findings: list[Finding]
) -> None:
    """OBS-05: total B12 with the range of active B12, or the reverse."""
    config = rule_config("OBS-05")
    low_from, low_to = config.low_from.get(test.key), config.low_to.get(test.key)
    if low_from is None and low_to is None:
        return
    assert config.unit is not None
    value = value_in(low, config.unit)
    if value is None or value <= Decimal(0):
        return
    if (low_from is not None and value >= low_from) or (low_to is not None and value <= low_to):
        tests = codes.table("lab_tests")
        other = next(key for key in (*config.low_from, *config.low_to) if key != test.key)
        texts = {"test": test.text, "other": tests[other].text}
        add_finding(context, findings, "OBS-05", "low", **texts)


# --- codes


def _check_check_digits(
    concept: JsonObject | None, context: ResourceContext, findings: list[Finding]
) -> None:
    """OBS-14: a LOINC code with a wrong check digit."""
    for index, coding in enumerate((concept or {}).get("coding", ())):
        code = coding.get("code")
        if code.__class__ is not str or not _is_loinc(coding.get("system")):
            continue
        if codes.has_mod_10_check_digit(code) is False:
            add_finding(context, findings, "OBS-14", "code", "coding", index, "code")


def _is_loinc(system: Any) -> bool:
    uri = data.toml("codes/systems.toml")["loinc"]["uri"]
    return bool(system == uri or aliases.systems().get(system) == uri)
