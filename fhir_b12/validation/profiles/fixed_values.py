"""Compare a value with fixed[x] or pattern[x].  https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.fixed_x_

What is fixed is the whole value; a pattern names what must be there, and more may be. Of a list in
a pattern each item must be matched by some item of the value.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from fhir_b12.validation.findings import Finding, prepend_path

Found = list[Finding]


def check_fixed(value: Any, wanted: Any, kind: str, profile: str, found: Found) -> None:
    """The value must be just this one."""
    _check(value, wanted, kind, profile, found, exact=True)


def check_pattern(value: Any, wanted: Any, kind: str, profile: str, found: Found) -> None:
    """The value must have all that the pattern has, which is found not to be so."""
    _check(value, wanted, kind, profile, found, exact=False)


def matcher(pattern: Any) -> Callable[[Any], bool]:
    """The test of a pattern, read once: True of a value that has all that the pattern has."""
    if isinstance(pattern, dict):
        parts = [(name, matcher(part)) for name, part in pattern.items()]

        def has_parts(value: Any) -> bool:
            if not isinstance(value, dict):
                return False
            for name, test in parts:  # noqa: SIM110 - a loop takes half the time
                if name not in value or not test(value[name]):
                    return False
            return True

        return has_parts
    if isinstance(pattern, list):
        tests = [matcher(part) for part in pattern]

        def has_items(value: Any) -> bool:
            return isinstance(value, list) and all(any(map(test, value)) for test in tests)

        return has_items
    if isinstance(pattern, str):
        return lambda value: bool(value == pattern)
    return lambda value: same(value, pattern)


def matches(value: Any, pattern: Any) -> bool:
    """True where a value has all that a pattern has."""
    return matcher(pattern)(value) is True


def same(value: Any, wanted: Any) -> bool:
    """True of two equal primitives; decimals are compared as they are written: 1.0 is not 1.00.

    https://hl7.org/fhir/R4/datatypes.html#decimal
    """
    if isinstance(wanted, bool) or isinstance(value, bool):
        return value is wanted
    if isinstance(wanted, int | float | Decimal):
        return isinstance(value, int | float | Decimal) and str(value) == str(wanted)
    return bool(value == wanted)


def _check(value: Any, wanted: Any, kind: str, profile: str, found: Found, *, exact: bool) -> None:
    if isinstance(wanted, dict) and isinstance(value, dict):
        if kind == "CodeableConcept":
            _check_concept(value, wanted, profile, found, exact=exact)
        else:
            _check_object(value, wanted, profile, found, exact=exact)
    elif not (isinstance(wanted, dict) or isinstance(value, dict) or same(value, wanted)):
        # what is of another type is told by the check of types
        found.append(Finding("profile-fixed", wanted=_shown(wanted), profile=profile))


def _check_object(
    value: dict[str, Any], wanted: dict[str, Any], profile: str, found: Found, *, exact: bool
) -> None:
    for name, part in wanted.items():
        if name.startswith("_") or name in {"id", "extension"}:
            continue
        if name not in value:
            found.append(
                Finding(
                    "profile-fixed-missing", name, name=name, wanted=_shown(part), profile=profile
                )
            )
        elif isinstance(part, list):
            _check_list(value[name], part, name, profile, found, exact=exact)
        else:
            mark = len(found)
            kind = "CodeableConcept" if isinstance(part, dict) and "coding" in part else ""
            _check(value[name], part, kind, profile, found, exact=exact)
            prepend_path(found, mark, name)
    if exact:
        for name in value:
            if name == "extension" and name not in wanted:
                found.append(Finding("profile-fixed-extension", profile=profile))
            elif name not in wanted and name != "id" and not name.startswith("_"):
                found.append(Finding("profile-fixed-more", name, name=name, profile=profile))


def _check_list(
    value: list[Any], wanted: list[Any], name: str, profile: str, found: Found, *, exact: bool
) -> None:
    if len(value) < len(wanted) or (exact and len(value) != len(wanted)):
        found.append(
            Finding(
                "profile-fixed-count",
                name=name,
                wanted=len(wanted),
                count=len(value),
                profile=profile,
            )
        )
        return
    for index, part in enumerate(wanted):
        if exact or not any(matches(item, part) for item in value):
            mark = len(found)
            _check(value[index], part, "", profile, found, exact=exact)
            prepend_path(found, mark, name, index)


def _check_concept(
    value: dict[str, Any], wanted: dict[str, Any], profile: str, found: Found, *, exact: bool
) -> None:
    """As the reference does it: a pattern's missing coding is told of the whole concept."""
    codings, parts = value.get("coding", []), wanted.get("coding", [])
    if exact and len(codings) == len(parts):
        _check_object(value, wanted, profile, found, exact=True)
        return
    if exact or len(codings) < len(parts):
        found.append(
            Finding(
                "profile-fixed-count",
                name="coding",
                wanted=len(parts),
                count=len(codings),
                profile=profile,
            )
        )
        parts = []
    for part in parts:
        if not any(matches(coding, part) for coding in codings):
            found.append(Finding("profile-pattern-coding", wanted=_coding(part), profile=profile))
    rest = {name: part for name, part in wanted.items() if name != "coding"}
    others = {name: part for name, part in value.items() if name != "coding"}
    _check_object(others, rest, profile, found, exact=exact)


def _coding(part: dict[str, Any]) -> str:
    """A coding of the profile in words: `system#code`."""
    return f"{part.get('system', '')}#{part.get('code', '')}"


def _shown(wanted: Any) -> str:
    if isinstance(wanted, bool):
        return str(wanted).lower()
    if isinstance(wanted, dict | list):
        return "what the profile has"
    return str(wanted)
