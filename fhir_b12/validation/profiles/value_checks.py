"""What a profile says of one value, each saying a small test.  https://hl7.org/fhir/R4/elementdefinition.html

A test gets an item and appends findings whose path starts at the item.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

from fhir_b12 import units
from fhir_b12.aliases import UCUM
from fhir_b12.datatypes import Quantity
from fhir_b12.dates import DateTime
from fhir_b12.definitions import R4
from fhir_b12.fhirpath import FhirPathError
from fhir_b12.fhirpath import compile as compiled
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.fhirpath_environment import FhirPathEnvironment
from fhir_b12.validation.findings import Finding, is_error
from fhir_b12.validation.profiles import errata
from fhir_b12.validation.profiles.discriminators import Item, Judge
from fhir_b12.validation.profiles.fixed_values import check_fixed, check_pattern, matcher, same
from fhir_b12.validation.profiles.snapshot_tree import Facts
from fhir_b12.validation.terminology.bindings import check_binding

Found = list[Finding]
ValueTest = Callable[[Item, ResourceContext, Found], None]

_BOUND = frozenset(
    {"code", "Coding", "CodeableConcept", "Quantity", "uri", "string", "url", "canonical"}
)
_LENGTH = frozenset({"string", "code", "uri", "url", "canonical", "markdown", "id", "oid", "uuid"})
#: a rule on one type of a choice, which of others says nothing
_IF_IT_IS = re.compile(r"\s*\$this\s+is\s+(?:FHIR\.)?(?P<kind>[A-Za-z]\w*)\s+implies\b").match
_DATES = frozenset({"date", "dateTime", "instant"})


def fixed(wanted: Any, profile: str) -> ValueTest:
    """fixed[x]."""

    def test(item: Item, _context: ResourceContext, found: Found) -> None:
        if item.value is not None and (isinstance(wanted, dict) or not same(item.value, wanted)):
            check_fixed(item.value, wanted, item.kind, profile, found)
        beside = item.companion if item.value is not None else None
        if isinstance(beside, dict) and "extension" in beside:
            found.append(Finding("profile-fixed-extension", profile=profile))

    return test


def pattern(wanted: Any, profile: str) -> ValueTest:
    """pattern[x]."""
    fits = matcher(wanted)

    def test(item: Item, _context: ResourceContext, found: Found) -> None:
        if item.value is not None and fits(item.value) is not True:
            check_pattern(item.value, wanted, item.kind, profile, found)

    return test


def bound(strength: str, value_set: str, ceiling: str | None) -> ValueTest:
    """Binding."""

    def test(item: Item, context: ResourceContext, found: Found) -> None:
        if item.kind in _BOUND:
            check_binding(item.value, item.kind, strength, value_set, ceiling, context, found)

    return test


def length(most: int, profile: str) -> ValueTest:
    """MaxLength."""

    def test(item: Item, _context: ResourceContext, found: Found) -> None:
        if isinstance(item.value, str) and len(item.value) > most and item.kind in _LENGTH:
            found.append(
                Finding("profile-length", most=most, count=len(item.value), profile=profile)
            )

    return test


def limit(bound_: Any, profile: str, *, upper: bool) -> ValueTest:
    """minValue[x] or maxValue[x]; one that is counted from today would need a clock."""
    rule = "profile-too-great" if upper else "profile-too-small"

    def test(item: Item, _context: ResourceContext, found: Found) -> None:
        if item.value is None:
            return
        beyond = _beyond(item, bound_, upper=upper)
        if beyond:
            shown = bound_.get("value") if isinstance(bound_, dict) else bound_
            found.append(Finding(rule, limit=str(shown), profile=profile))

    return test


def _beyond(item: Item, limit_: Any, *, upper: bool) -> bool:
    value = item.value
    if isinstance(limit_, dict):
        value, limit_ = _alike(value, limit_)
    if isinstance(value, int | float | Decimal) and isinstance(limit_, int | float | Decimal):
        return value > limit_ if upper else value < limit_
    if isinstance(value, str) and isinstance(limit_, str):
        if item.kind == "time":
            return value > limit_ if upper else value < limit_
        if item.kind in _DATES:
            return _is_after(value, limit_) if upper else _is_after(limit_, value)
    return False


def _alike(value: Any, limit_: Facts) -> tuple[Any, Any]:
    """The numbers of two quantities in the same unit; nothing where they cannot be compared."""
    if not isinstance(value, dict) or value.get("system") != limit_.get("system"):
        return None, None
    number, code, wanted = value.get("value"), value.get("code"), limit_.get("code")
    if code == wanted:
        return number, limit_.get("value")
    if not isinstance(code, str) or not isinstance(wanted, str):
        return None, None
    if not isinstance(number, int | float | Decimal):
        return None, None
    quantity = Quantity(value=Decimal(str(number)), unit=code, system=UCUM, code=code)
    converted = units.convert(quantity, wanted).value
    if value.get("system") != UCUM or converted is None:
        return None, None
    return converted.value, limit_.get("value")


def _is_after(one: str, other: str) -> bool:
    if "T" not in one and "T" not in other:  # of dates alone the place does not matter
        length = min(len(one), len(other))
        return one[:length] > other[:length]
    try:
        return DateTime(one) > DateTime(other)
    except ValueError:
        return False


def constraint(
    facts: Mapping[str, Any], profile: str, *, vital_sign: bool = False
) -> ValueTest | None:
    """A rule in FHIRPath; None where there is none to be had.

    https://hl7.org/fhir/R4/conformance-rules.html#constraints
    """
    text, key = facts.get("expression"), str(facts.get("key", ""))
    if not isinstance(text, str):
        return None
    text = errata.expression(text, key, vital_sign=vital_sign)
    severity: Any = "warning" if facts.get("severity") == "warning" else "error"
    told: dict[str, Any] = {"key": key, "human": str(facts.get("human", "")), "profile": profile}
    try:
        expression = compiled(text)
    except FhirPathError as error:
        reason = str(error)
        return lambda _item, _context, found: found.append(
            Finding("profile-expression", reason=reason, **told)
        )

    only = _IF_IT_IS(text)
    kind = only["kind"] if only is not None and text.count("implies") == 1 else None

    def test(item: Item, context: ResourceContext, found: Found) -> None:
        if kind is not None and not _is_of(item.kind, kind):
            return
        try:
            held = expression.holds(
                item.value, item.kind, FhirPathEnvironment.of(context), item.companion
            )
        except FhirPathError as error:
            found.append(Finding("profile-untold", reason=str(error), **told))
            return
        if not held:
            found.append(Finding("profile-constraint", severity=severity, **told))

    return test


@cache
def _is_of(kind: str, wanted: str) -> bool:
    """True of a type and of those derived from it."""
    each: str | None = kind
    while each is not None and each != wanted:
        each = R4.base(each)
    return each is not None


def profiled(urls: Mapping[str, Sequence[str]], check: Callable[..., bool | None]) -> ValueTest:
    """type.profile of data types: one of them must be kept."""

    def test(item: Item, context: ResourceContext, found: Found) -> None:
        wanted = urls.get(item.kind) or urls.get("Resource")
        if wanted is None or not isinstance(item.value, dict):
            return
        if len(wanted) == 1:
            if check(item, wanted[0], context, found) is None:
                found.append(Finding("profile-type-unknown", profile=wanted[0]))
            return
        tried: list[list[Finding]] = []
        for url in wanted:
            tried.append([])
            if check(item, url, context, tried[-1]) is None:
                tried[-1].append(Finding("profile-type-unknown", profile=url))
            if not any(map(is_error, tried[-1])):
                found += tried[-1]
                return
        found.append(Finding("profile-none-fits", profiles=", ".join(sorted(wanted))))
        for each in tried:
            found += each

    return test


def targets(
    urls: Sequence[str], type_of: Callable[[str], str | None], judge: Judge, profile: str
) -> ValueTest:
    """type.targetProfile: what a reference that can be followed must lead to.

    https://hl7.org/fhir/R4/references.html#target
    """
    kinds: dict[str, str | None] = {}

    def test(item: Item, context: ResourceContext, found: Found) -> None:
        value = item.value
        if item.kind != "Reference" or not isinstance(value, dict):
            return
        reference = value.get("reference")
        if not isinstance(reference, str) or not reference:
            return
        if not kinds:
            kinds.update({url: type_of(url) for url in urls})
        for url in (url for url, kind in kinds.items() if kind is None):
            found.append(Finding("profile-target-unknown", target=url, profile=profile))
        wanted = ", ".join(sorted({kind for kind in kinds.values() if kind}))
        said = value.get("type")
        if isinstance(said, str) and said.rpartition("/")[2] not in kinds.values():
            found.append(Finding("profile-target-said", wanted=wanted, profile=profile))
        target = context.resolve(reference)
        if target is None:
            return
        fitting = [url for url, kind in kinds.items() if kind == target.type]
        if not fitting:
            found.append(
                Finding("profile-target-type", wanted=wanted, kind=target.type, profile=profile)
            )
            return
        if any(url == f"{_TYPES}{target.type}" for url in fitting):
            return
        there = Item(target.resource, None, target.type, target)
        if not any(judge(there, url, target) for url in fitting):
            found.append(
                Finding(
                    "profile-target", wanted=", ".join(fitting), kind=target.type, profile=profile
                )
            )

    return test


def aggregated(modes: Sequence[str], profile: str) -> ValueTest:
    """type.aggregation: where what a reference leads to must be.

    https://hl7.org/fhir/R4/valueset-resource-aggregation-mode.html
    """

    def test(item: Item, context: ResourceContext, found: Found) -> None:
        reference = item.value.get("reference") if isinstance(item.value, dict) else None
        if not isinstance(reference, str) or not reference:
            return
        if reference.startswith("#"):
            here = "contained"
        else:
            here = "referenced" if context.resolve(reference) is None else "bundled"
        if here not in modes and not (here == "bundled" and "referenced" in modes):
            found.append(
                Finding("profile-aggregation", wanted=", ".join(modes), here=here, profile=profile)
            )

    return test


_TYPES = "http://hl7.org/fhir/StructureDefinition/"


def allows_any_target(urls: Sequence[str]) -> bool:
    """True where any resource may be meant."""
    return not urls or f"{_TYPES}Resource" in urls
