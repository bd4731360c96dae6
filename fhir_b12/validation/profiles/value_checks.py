"""Checks that a profile adds to one value.  https://hl7.org/fhir/R4/elementdefinition.html

Each function compiles one part of an ElementDefinition into a check.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from fhir_b12 import units
from fhir_b12.aliases import UCUM
from fhir_b12.datatypes import Quantity
from fhir_b12.dates import DateTime
from fhir_b12.fhirpath import FhirPathError
from fhir_b12.fhirpath import compile as compile_expression
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.fhirpath_environment import FhirPathEnvironment
from fhir_b12.validation.findings import Finding, Findings, is_error
from fhir_b12.validation.profiles import errata
from fhir_b12.validation.profiles.element_values import ConformsTo, ElementValue, ValueCheck
from fhir_b12.validation.profiles.fixed_values import (
    check_fixed,
    check_pattern,
    compile_pattern,
    is_same_primitive,
)
from fhir_b12.validation.profiles.r4_types import is_subtype
from fhir_b12.validation.profiles.snapshot_tree import STRUCTURE
from fhir_b12.validation.terminology.bindings import check_binding

_BINDABLE = frozenset(
    {"code", "Coding", "CodeableConcept", "Quantity", "uri", "string", "url", "canonical"}
)
_TEXTS = frozenset({"string", "code", "uri", "url", "canonical", "markdown", "id", "oid", "uuid"})
_DATES = frozenset({"date", "dateTime", "instant"})
#: a constraint on one type of a choice, which is always true of the others
_ON_ONE_TYPE = re.compile(r"\s*\$this\s+is\s+(?:FHIR\.)?(?P<type>[A-Za-z]\w*)\s+implies\b").match


def fixed(expected: Any, profile: str) -> ValueCheck:
    """Return the check of fixed[x]."""

    def check(item: ElementValue, _context: ResourceContext, findings: Findings) -> None:
        value = item.value
        if value is not None and (
            isinstance(expected, dict) or not is_same_primitive(value, expected)
        ):
            check_fixed(value, expected, item.type, profile, findings)
        companion = item.companion if value is not None else None
        if isinstance(companion, dict) and "extension" in companion:
            findings.append(Finding("profile-fixed-extension", profile=profile))

    return check


def pattern(expected: Any, profile: str) -> ValueCheck:
    """Return the check of pattern[x]."""
    matches = compile_pattern(expected)

    def check(item: ElementValue, _context: ResourceContext, findings: Findings) -> None:
        if item.value is not None and matches(item.value) is not True:
            check_pattern(item.value, expected, item.type, profile, findings)

    return check


def binding(strength: str, value_set: str, max_value_set: str | None) -> ValueCheck:
    """Return the check of a binding."""

    def check(item: ElementValue, context: ResourceContext, findings: Findings) -> None:
        if item.type in _BINDABLE:
            check_binding(
                item.value, item.type, strength, value_set, max_value_set, context, findings
            )

    return check


def max_length(limit_: int, profile: str) -> ValueCheck:
    """Return the check of maxLength."""

    def check(item: ElementValue, _context: ResourceContext, findings: Findings) -> None:
        value = item.value
        if isinstance(value, str) and len(value) > limit_ and item.type in _TEXTS:
            findings.append(
                Finding("profile-length", max=limit_, count=len(value), profile=profile)
            )

    return check


def limit(limit_: Any, profile: str, *, upper: bool) -> ValueCheck:
    """Return the check of minValue[x], or of maxValue[x] if `upper`.

    Limits relative to the current date are not checked, for no clock is read.
    """
    rule = "profile-too-great" if upper else "profile-too-small"

    def check(item: ElementValue, _context: ResourceContext, findings: Findings) -> None:
        if item.value is None:
            return
        if _is_beyond(item, limit_, upper=upper):
            text = limit_.get("value") if isinstance(limit_, dict) else limit_
            findings.append(Finding(rule, limit=str(text), profile=profile))

    return check


def _is_beyond(item: ElementValue, limit_: Any, *, upper: bool) -> bool:
    value = item.value
    if isinstance(limit_, dict):
        value, limit_ = _in_same_unit(value, limit_)
    if isinstance(value, int | float | Decimal) and isinstance(limit_, int | float | Decimal):
        return value > limit_ if upper else value < limit_
    if isinstance(value, str) and isinstance(limit_, str):
        if item.type == "time":
            return value > limit_ if upper else value < limit_
        if item.type in _DATES:
            return _is_after(value, limit_) if upper else _is_after(limit_, value)
    return False


def _in_same_unit(value: Any, limit_: dict[str, Any]) -> tuple[Any, Any]:
    """Return the numbers of two quantities in the same unit; None if they cannot be compared."""
    if not isinstance(value, dict) or value.get("system") != limit_.get("system"):
        return None, None
    number, code, limit_code = value.get("value"), value.get("code"), limit_.get("code")
    if code == limit_code:
        return number, limit_.get("value")
    if not isinstance(code, str) or not isinstance(limit_code, str):
        return None, None
    if not isinstance(number, int | float | Decimal):
        return None, None
    quantity = Quantity(value=Decimal(str(number)), unit=code, system=UCUM, code=code)
    converted = units.convert(quantity, limit_code).value
    if value.get("system") != UCUM or converted is None:
        return None, None
    return converted.value, limit_.get("value")


def _is_after(one: str, other: str) -> bool:
    if "T" not in one and "T" not in other:  # time zones do not matter for dates alone
        length = min(len(one), len(other))
        return one[:length] > other[:length]
    try:
        return DateTime(one) > DateTime(other)
    except ValueError:
        return False


def constraint(
    row: Mapping[str, Any], profile: str, *, is_vital_sign: bool = False
) -> ValueCheck | None:
    """Return the check of a FHIRPath constraint, None if it has no expression.

    https://hl7.org/fhir/R4/conformance-rules.html#constraints
    """
    text, key = row.get("expression"), str(row.get("key", ""))
    if not isinstance(text, str):
        return None
    text = errata.correct_expression(text, key, is_vital_sign=is_vital_sign)
    severity: Any = "warning" if row.get("severity") == "warning" else "error"
    values: dict[str, Any] = {"key": key, "human": str(row.get("human", "")), "profile": profile}
    try:
        expression = compile_expression(text)
    except FhirPathError as error:
        reason = str(error)
        return lambda _item, _context, findings: findings.append(
            Finding("profile-expression", reason=reason, **values)
        )

    on_one_type = _ON_ONE_TYPE(text)
    is_single = on_one_type is not None and text.count("implies") == 1
    only_type = on_one_type["type"] if on_one_type is not None and is_single else None

    def check(item: ElementValue, context: ResourceContext, findings: Findings) -> None:
        if only_type is not None and not is_subtype(item.type, only_type):
            return
        try:
            is_satisfied = expression.is_satisfied(
                item.value, item.type, FhirPathEnvironment.of(context), item.companion
            )
        except FhirPathError as error:
            findings.append(Finding("profile-untold", reason=str(error), **values))
            return
        if not is_satisfied:
            findings.append(Finding("profile-constraint", severity=severity, **values))

    return check


def type_profiles(
    urls: Mapping[str, Sequence[str]], check_profile: Callable[..., bool | None]
) -> ValueCheck:
    """Return the check of type.profile: a value must conform to one of its type's profiles."""

    def check(item: ElementValue, context: ResourceContext, findings: Findings) -> None:
        profiles = urls.get(item.type) or urls.get("Resource")
        if profiles is None or not isinstance(item.value, dict):
            return
        if len(profiles) == 1:
            if check_profile(item, profiles[0], context, findings) is None:
                findings.append(Finding("profile-type-unknown", profile=profiles[0]))
            return
        by_profile: list[Findings] = []
        for url in profiles:
            own: Findings = []
            by_profile.append(own)
            if check_profile(item, url, context, own) is None:
                own.append(Finding("profile-type-unknown", profile=url))
            if not any(map(is_error, own)):
                findings += own
                return
        findings.append(Finding("profile-none-fits", profiles=", ".join(sorted(profiles))))
        for own in by_profile:
            findings += own

    return check


def targets(
    urls: Sequence[str],
    type_of: Callable[[str], str | None],
    conforms_to: ConformsTo,
    profile: str,
) -> ValueCheck:
    """Return the check of type.targetProfile, for references that can be resolved.

    https://hl7.org/fhir/R4/references.html#target
    """
    types: dict[str, str | None] = {}

    def check(item: ElementValue, context: ResourceContext, findings: Findings) -> None:
        value = item.value
        if item.type != "Reference" or not isinstance(value, dict):
            return
        reference = value.get("reference")
        if not isinstance(reference, str) or not reference:
            return
        if not types:
            types.update({url: type_of(url) for url in urls})
        for url in (url for url, name in types.items() if name is None):
            findings.append(Finding("profile-target-unknown", target=url, profile=profile))
        allowed = ", ".join(sorted({name for name in types.values() if name}))
        stated = value.get("type")
        if isinstance(stated, str) and stated.rpartition("/")[2] not in types.values():
            findings.append(Finding("profile-target-said", allowed=allowed, profile=profile))
        target = context.resolve(reference)
        if target is None:
            return
        candidates = [url for url, name in types.items() if name == target.type]
        if not candidates:
            findings.append(
                Finding("profile-target-type", allowed=allowed, type=target.type, profile=profile)
            )
            return
        if any(url == f"{STRUCTURE}{target.type}" for url in candidates):
            return
        resource = ElementValue(target.resource, None, target.type, target)
        if not any(conforms_to(resource, url, target) for url in candidates):
            findings.append(
                Finding(
                    "profile-target",
                    allowed=" or ".join(candidates),
                    type=target.type,
                    profile=profile,
                )
            )

    return check


def aggregation(modes: Sequence[str], profile: str) -> ValueCheck:
    """Return the check of type.aggregation: where the target of a reference must be.

    https://hl7.org/fhir/R4/valueset-resource-aggregation-mode.html
    """

    def check(item: ElementValue, context: ResourceContext, findings: Findings) -> None:
        reference = item.value.get("reference") if isinstance(item.value, dict) else None
        if not isinstance(reference, str) or not reference:
            return
        if reference.startswith("#"):
            actual = "contained"
        else:
            actual = "referenced" if context.resolve(reference) is None else "bundled"
        if actual not in modes and not (actual == "bundled" and "referenced" in modes):
            findings.append(
                Finding(
                    "profile-aggregation",
                    allowed=" or ".join(modes),
                    actual=actual,
                    profile=profile,
                )
            )

    return check


def allows_any_target(urls: Sequence[str]) -> bool:
    """Return True if a reference may lead to any resource."""
    return not urls or f"{STRUCTURE}Resource" in urls
