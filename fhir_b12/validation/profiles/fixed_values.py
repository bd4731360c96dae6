"""Comparison with fixed[x] and pattern[x].  https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.fixed_x_

A fixed value is the whole value. A pattern names parts that must be present, others may be; each
item of a list in a pattern must be matched by some item of the value.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from fhir_b12.validation.findings import Finding, Findings, prepend_path


def check_fixed(
    value: Any, expected: Any, type_name: str, profile: str, findings: Findings
) -> None:
    """Report each difference between a value and a fixed value."""
    _compare(value, expected, type_name, profile, findings, exact=True)


def check_pattern(
    value: Any, expected: Any, type_name: str, profile: str, findings: Findings
) -> None:
    """Report each part of a pattern that a value does not match."""
    _compare(value, expected, type_name, profile, findings, exact=False)


def compile_pattern(pattern: Any) -> Callable[[Any], bool]:
    """Return a test that is True for values that match a pattern."""
    if isinstance(pattern, dict):
        parts = [(name, compile_pattern(part)) for name, part in pattern.items()]

        def has_parts(value: Any) -> bool:
            if not isinstance(value, dict):
                return False
            for name, matches_part in parts:  # a loop takes half the time of `all`
                if name not in value or not matches_part(value[name]):
                    return False
            return True

        return has_parts
    if isinstance(pattern, list):
        tests = [compile_pattern(part) for part in pattern]

        def has_items(value: Any) -> bool:
            return isinstance(value, list) and all(any(map(test, value)) for test in tests)

        return has_items
    if isinstance(pattern, str):
        return lambda value: bool(value == pattern)
    return lambda value: is_same_primitive(value, pattern)


def matches_pattern(value: Any, pattern: Any) -> bool:
    """Return True if a value matches a pattern."""
    return compile_pattern(pattern)(value) is True


def is_same_primitive(value: Any, expected: Any) -> bool:
    """Return True for equal primitives; decimals are compared as written, so 1.0 is not 1.00.

    https://hl7.org/fhir/R4/datatypes.html#decimal
    """
    if isinstance(expected, bool) or isinstance(value, bool):
        return value is expected
    if isinstance(expected, int | float | Decimal):
        return isinstance(value, int | float | Decimal) and str(value) == str(expected)
    return bool(value == expected)


def _compare(
    value: Any, expected: Any, type_name: str, profile: str, findings: Findings, *, exact: bool
) -> None:
    if isinstance(expected, dict) and isinstance(value, dict):
        if type_name == "CodeableConcept":
            _compare_concept(value, expected, profile, findings, exact=exact)
        else:
            _compare_object(value, expected, profile, findings, exact=exact)
    elif isinstance(expected, dict) or isinstance(value, dict):
        return  # the check of types reports a value of another type
    elif not is_same_primitive(value, expected):
        findings.append(Finding("profile-fixed", expected=_format(expected), profile=profile))


def _compare_object(
    value: dict[str, Any],
    expected: dict[str, Any],
    profile: str,
    findings: Findings,
    *,
    exact: bool,
) -> None:
    for name, part in expected.items():
        if name.startswith("_") or name in {"id", "extension"}:
            continue
        if name not in value:
            findings.append(
                Finding(
                    "profile-fixed-missing",
                    name,
                    name=name,
                    expected=_format(part),
                    profile=profile,
                )
            )
        elif isinstance(part, list):
            _compare_list(value[name], part, name, profile, findings, exact=exact)
        else:
            mark = len(findings)
            type_name = "CodeableConcept" if isinstance(part, dict) and "coding" in part else ""
            _compare(value[name], part, type_name, profile, findings, exact=exact)
            prepend_path(findings, mark, name)
    if exact:
        for name in value:
            if name == "extension" and name not in expected:
                findings.append(Finding("profile-fixed-extension", profile=profile))
            elif name not in expected and name != "id" and not name.startswith("_"):
                findings.append(Finding("profile-fixed-more", name, name=name, profile=profile))


def _compare_list(
    value: list[Any],
    expected: list[Any],
    name: str,
    profile: str,
    findings: Findings,
    *,
    exact: bool,
) -> None:
    if len(value) < len(expected) or (exact and len(value) != len(expected)):
        findings.append(_wrong_count(name, len(expected), len(value), profile))
        return
    for index, part in enumerate(expected):
        if exact or not any(matches_pattern(item, part) for item in value):
            mark = len(findings)
            _compare(value[index], part, "", profile, findings, exact=exact)
            prepend_path(findings, mark, name, index)


def _compare_concept(
    value: dict[str, Any],
    expected: dict[str, Any],
    profile: str,
    findings: Findings,
    *,
    exact: bool,
) -> None:
    """Compare a CodeableConcept as HL7's validator does.

    The finding for a missing coding of a pattern is located at the concept.
    """
    codings, parts = value.get("coding", []), expected.get("coding", [])
    if exact and len(codings) == len(parts):
        _compare_object(value, expected, profile, findings, exact=True)
        return
    if exact or len(codings) < len(parts):
        findings.append(_wrong_count("coding", len(parts), len(codings), profile))
        parts = []
    for part in parts:
        if not any(matches_pattern(coding, part) for coding in codings):
            findings.append(
                Finding("profile-pattern-coding", expected=format_coding(part), profile=profile)
            )
    other_parts = {name: part for name, part in expected.items() if name != "coding"}
    other_values = {name: part for name, part in value.items() if name != "coding"}
    _compare_object(other_values, other_parts, profile, findings, exact=exact)


def _wrong_count(name: str, expected: int, count: int, profile: str) -> Finding:
    return Finding(
        "profile-fixed-count", name=name, expected=expected, count=count, profile=profile
    )


def format_coding(coding: dict[str, Any]) -> str:
    """Return a coding of a profile as `system#code`."""
    return f"{coding.get('system', '')}#{coding.get('code', '')}"


def _format(expected: Any) -> str:
    """Return a value of a profile as messages show it; strings get quotes."""
    if isinstance(expected, bool):
        return str(expected).lower()
    if isinstance(expected, dict | list):
        return "that the profile defines"
    return f"'{expected}'" if isinstance(expected, str) else str(expected)
