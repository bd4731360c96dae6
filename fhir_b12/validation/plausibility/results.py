"""Advice on a result: its unit, its size, its range, its code.

https://hl7.org/fhir/R4/observation.html
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, NamedTuple

from fhir_b12 import aliases, codes, data, units
from fhir_b12.codes import CodeEntry
from fhir_b12.units import Unit
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import Finding, prepend_path
from fhir_b12.validation.plausibility.accessors import Node, amount, meaning, shown, unit_of
from fhir_b12.validation.plausibility.future import check_future
from fhir_b12.validation.plausibility.rule_config import facts, say

_TRAILING_UNIT = re.compile(r"\d\s*([^\d\s.,;:()\-][^\s;()]*)\s*$", re.ASCII)


def check_observation(resource: Node, context: ResourceContext, found: list[Finding]) -> None:
    """A result and its components."""
    if resource.get("status") == "entered-in-error":
        return
    _check_measured(resource, context, found)
    for i, part in enumerate(resource.get("component", ())):
        mark = len(found)
        _check_measured(part, context, found)
        if len(found) > mark:
            prepend_path(found, mark, "component", i)
    check_future(resource, context, found, "effective", {"final", "amended", "corrected"})


def _check_measured(node: Node, context: ResourceContext, found: list[Finding]) -> None:
    test = meaning("lab_tests", node.get("code"))
    if test is None:
        _check_digits(node.get("code"), context, found)
    value = node.get("valueQuantity")
    if value is None:
        return
    unit = unit_of(value)
    if unit is None:
        return
    trouble = _trouble(test.key if test else None, unit)
    if trouble is not None:
        _say_trouble(trouble, value, context, found)
    elif test is not None and test.key in _sizes():
        _check_size(test, value, context, found)
    for i, bounds in enumerate(node.get("referenceRange", ())):
        mark = len(found)
        _check_range(test, value, bounds, context, found)
        if len(found) > mark:
            prepend_path(found, mark, "referenceRange", i)


class Trouble(NamedTuple):
    """What is wrong with a unit: the UCUM code meant, or the kinds that differ."""

    meant: str | None
    expected: str = ""
    found: str = ""
    sibling: str = ""  #: the codes of the test that the unit would fit


def _say_trouble(
    trouble: Trouble, value: Node, context: ResourceContext, found: list[Finding]
) -> None:
    if trouble.meant is None:
        code = f", as for {trouble.sibling}" if trouble.sibling else ""
        say(
            context,
            found,
            "OBS-01",
            "valueQuantity",
            value=shown(value),
            expected=trouble.expected,
            found=trouble.found,
            code=code,
        )
        return
    say_spelling(trouble.meant, value, context, found, "valueQuantity")


def say_spelling(
    meant: str, quantity: Node, context: ResourceContext, found: list[Finding], *path: str | int
) -> None:
    """A unit that people write and UCUM does not know, with the code that it stands for."""
    if quantity.get("system") is None or quantity.get("code") is None:
        say(context, found, "OBS-03-text", *path, unit=meant)
        return
    fix = ({"op": "replace", "path": "/code", "value": meant},)
    say(context, found, "OBS-03", *path, unit=meant, fix=fix)


@lru_cache(maxsize=1024)
def spelling(unit: str) -> str | None:
    """The UCUM code a unit stands for that is none; None where it is one, or unknown."""
    meant = _meant(unit)
    if meant is None or meant == unit or _parsed(unit) is not None:
        return None
    return meant


def _meant(unit: str) -> str | None:
    """The UCUM code of a spelling we know, or of a code in capitals."""
    return aliases.units().get(unit) or aliases.cased_units().get(unit.lower())


def _parsed(unit: str) -> Unit | None:
    try:
        return units.parse(unit)
    except units.UnitError:
        return None


@lru_cache(maxsize=4096)
def _trouble(test: str | None, unit: str) -> Trouble | None:
    """What is wrong with this unit for this test; None where nothing is, or nobody can tell."""
    meant, parsed = _meant(unit), _parsed(unit)
    if parsed is None and meant is None:
        return None
    wanted = None if test is None else codes.table("lab_tests")[test]
    if wanted is not None and wanted.unit is not None:
        expected = units.parse(wanted.unit)
        if parsed is not None and _fits(parsed, expected, wanted.analyte):
            return None
        # K/uL is kelvin to UCUM; to whoever wrote it, thousands
        other = None if meant is None else units.parse(meant)
        if other is not None and not _fits(other, expected, wanted.analyte):
            return _mismatch(wanted, expected, other)
        if other is None and parsed is not None:
            return _mismatch(wanted, expected, parsed)
    return Trouble(meant) if parsed is None or (wanted and wanted.unit) else None


def _mismatch(test: CodeEntry, expected: Unit, other: Unit) -> Trouble | None:
    dimension = _plain(expected)
    if not dimension and "%" not in (test.unit or "") and not expected.cancelled:
        return None  # a score, an index: each method has its own
    if any(name in _arbitrary() for name in dimension):
        return None
    if not _plain(other) and other.dimension:
        return None
    return Trouble(None, _kind(expected), _kind(other), _sibling(test, other))


def _fits(unit: Unit, expected: Unit, analyte: str | None) -> bool:
    left, right = _plain(unit), _plain(expected)
    if analyte is not None and "charge" in data.toml("codes/analytes.toml")[analyte]:
        left = {("amount" if k == "equivalents" else k): n for k, n in left.items()}
    if left != right:
        return False
    one, other = unit.cancelled.keys(), expected.cancelled.keys()
    return not (one and other and one != other)


def _plain(unit: Unit) -> dict[str, int]:
    """The dimension without what is only named in braces."""
    return {name: power for name, power in unit.dimension.items() if name[0] != "{"}


@cache
def _arbitrary() -> frozenset[str]:
    rows = data.toml("units.toml")["atoms"].values()
    return frozenset(row["dimension"] for row in rows if "arbitrary" in row)


def _kind(unit: Unit) -> str:
    """What such a unit measures: `a mass concentration`."""
    plain = _plain(unit)
    if not plain:
        ratio = "/".join(sorted(unit.cancelled))
        return f"a ratio of {ratio}" if ratio else "a plain number"
    for name, code in data.toml("units.toml")["kinds"].items():
        if units.parse(code).dimension == plain:
            return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
    return "another kind of quantity"


def _sibling(test: CodeEntry, unit: Unit) -> str:
    """The code of the same measurement in such a unit."""
    for pair in facts("OBS-01").siblings:
        if test.key in pair:
            other = codes.table("lab_tests")[pair[0] if pair[1] == test.key else pair[1]]
            if other.unit and _fits(unit, units.parse(other.unit), None):
                return "LOINC " + ", ".join(str(each.code) for each in other.codings)
    return ""


@cache
def _sizes() -> frozenset[str]:
    return facts("OBS-04").tests


def _check_size(
    test: CodeEntry, value: Node, context: ResourceContext, found: list[Finding]
) -> None:
    limits = facts("OBS-04")
    assert limits.unit is not None
    held = amount(value, limits.unit, test.analyte)
    if held is None:
        return
    for side, limit in (("above", limits.above), ("below", limits.below)):
        if limit is not None and (held > limit if side == "above" else held < limit):
            say(
                context,
                found,
                "OBS-04",
                "valueQuantity",
                value=shown(value),
                side=side,
                limit=limit,
                unit=limits.unit,
            )


def _check_range(
    test: CodeEntry | None,
    value: Node,
    bounds: Node,
    context: ResourceContext,
    found: list[Finding],
) -> None:
    unit = unit_of(value) or ""
    for name, other in _units_of(bounds):
        if other != unit and not _same_scale(unit, other):
            say(context, found, "OBS-02", name, value=shown(value))
            return
    if test is not None and "low" in bounds and "type" not in bounds:
        _check_cut_off(test, bounds["low"], context, found)


def _units_of(bounds: Node) -> Iterator[tuple[str, str]]:
    """The unit of each bound, and of a range that is only told in words."""
    for name in ("low", "high"):
        if (unit := unit_of(bounds.get(name))) is not None:
            yield name, unit
    text = bounds.get("text")
    if text and "low" not in bounds and "high" not in bounds:
        told = _TRAILING_UNIT.search(text)
        if told is not None and (code := aliases.units().get(told[1])) is not None:
            yield "text", code


@lru_cache(maxsize=1024)
def _same_scale(one: str, other: str) -> bool:
    """Whether a number in one unit may be compared with a number in the other, or who can tell."""
    known = aliases.units()
    left, right = (_parsed(known.get(each, each)) for each in (one, other))
    if left is None or right is None:
        return True
    return left.factor == right.factor and _plain(left) == _plain(right)


def _check_cut_off(
    test: CodeEntry, low: Node, context: ResourceContext, found: list[Finding]
) -> None:
    """Total B12 judged by the range of active B12, and the other way round."""
    bounds = facts("OBS-05")
    start, end = bounds.low_from.get(test.key), bounds.low_to.get(test.key)
    if start is None and end is None:
        return
    assert bounds.unit is not None
    held = amount(low, bounds.unit)
    if held is None or held <= Decimal(0):
        return
    if (start is not None and held >= start) or (end is not None and held <= end):
        tests = codes.table("lab_tests")
        other = next(key for key in (*bounds.low_from, *bounds.low_to) if key != test.key)
        say(context, found, "OBS-05", "low", test=test.text, other=tests[other].text)


def _check_digits(concept: Node | None, context: ResourceContext, found: list[Finding]) -> None:
    for i, coding in enumerate((concept or {}).get("coding", ())):
        code = coding.get("code")
        if code.__class__ is not str or not _is_loinc(coding.get("system")):
            continue
        if codes.has_mod_10_check_digit(code) is False:
            say(context, found, "OBS-14", "code", "coding", i, "code")


def _is_loinc(system: Any) -> bool:
    uri = data.toml("codes/systems.toml")["loinc"]["uri"]
    return bool(system == uri or aliases.systems().get(system) == uri)
