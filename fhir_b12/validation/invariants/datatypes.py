"""Invariants of the data types.  https://hl7.org/fhir/R4/datatypes.html"""

from decimal import Decimal
from typing import Any

from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.invariants.comparison import not_after, not_more
from fhir_b12.validation.invariants.predicates import (
    entails,
    has,
    just_one,
    names,
    needs,
    not_both,
)
from fhir_b12.validation.narrative import judge

_UCUM = "http://unitsofmeasure.org"
_CURRENCY = "urn:iso:std:iso:4217"
_NO_VALUE = frozenset({"id", "_id", "extension", "url"})
_MEALS = frozenset({"C", "CM", "CD", "CV"})
_TIMING = names("timingTiming", "timingReference", "timingDate", "timingDateTime")


def ele_1(node: Any, _: ResourceContext) -> bool:
    """Something is there.

    R4's expression wants more than an id; the reference validator is content with that.
    """
    return not isinstance(node, dict) or len(node) > 0


def ext_1(node: dict[str, Any], _: ResourceContext) -> bool:
    """Either extensions or a value.

    An extension has no children but id, extension, url and value[x].
    """
    return ("extension" in node) == _NO_VALUE.issuperset(node)


def ref_1(node: dict[str, Any], context: ResourceContext) -> bool:
    """A local reference means a contained resource, or by `#` alone the one that contains.

    R4's expression forbids `#`; the reference validator has it mended.
    """
    reference = node.get("reference")
    if not isinstance(reference, str) or reference[:1] != "#" or reference == "#":
        return True
    return reference[1:] in context.contained()


def per_1(node: dict[str, Any], _: ResourceContext) -> bool:
    """The start does not come after the end; what cannot be told is broken."""
    start, end = node.get("start"), node.get("end")
    return start is None or end is None or not_after(start, end)


def qty_3(node: dict[str, Any], _: ResourceContext) -> bool:
    """A code has its system."""
    return "code" not in node or "system" in node or has(node, "system")


def sqty_1(node: dict[str, Any], _: ResourceContext) -> bool:
    """No comparator."""
    return not has(node, "comparator")


def age_1(node: dict[str, Any], _: ResourceContext) -> bool:
    """A value has a code, a system is UCUM, the value is positive."""
    value = node.get("value")
    return _of_system(node, _UCUM) and (value is None or value > 0)


def cnt_3(node: dict[str, Any], _: ResourceContext) -> bool:
    """A value has a code, which is 1, a system is UCUM, the value is whole."""
    one = not has(node, "code") or node.get("code") == "1"
    return _of_system(node, _UCUM) and one and _is_whole(node.get("value"))


def dis_1(node: dict[str, Any], _: ResourceContext) -> bool:
    """A value has a code, a system is UCUM."""
    return _of_system(node, _UCUM)


def mqty_1(node: dict[str, Any], _: ResourceContext) -> bool:
    """A value has a code, a system is that of currencies."""
    return _of_system(node, _CURRENCY)


def drt_1(node: dict[str, Any], _: ResourceContext) -> bool:
    """A code has UCUM as its system and a value."""
    return not has(node, "code") or (node.get("system") == _UCUM and has(node, "value"))


def _of_system(node: dict[str, Any], system: str) -> bool:
    coded = has(node, "code") or not has(node, "value")
    return coded and (not has(node, "system") or node.get("system") == system)


def _is_whole(value: Any) -> bool:
    """Written without a point."""
    if isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        return isinstance(exponent, int) and exponent >= 0
    return not isinstance(value, float)


def rng_2(node: dict[str, Any], _: ResourceContext) -> bool:
    """The low does not exceed the high; what cannot be told is broken."""
    low, high = node.get("low"), node.get("high")
    return low is None or high is None or not_more(low, high)


def rat_1(node: dict[str, Any], _: ResourceContext) -> bool:
    """Numerator and denominator, or neither and an extension."""
    top = "numerator" in node
    return top == ("denominator" in node) and (top or "extension" in node)


att_1 = entails("data", "contentType")


def cpt_2(node: dict[str, Any], _: ResourceContext) -> bool:
    """A value has a system."""
    return "system" in node or not has(node, "value") or has(node, "system")


exp_1 = needs("expression", "reference")
drq_1 = just_one("path", "searchParam")
drq_2 = just_one("path", "searchParam")


def trd_1(node: dict[str, Any], _: ResourceContext) -> bool:
    """Not both a timing and data."""
    return "data" not in node or _TIMING.isdisjoint(node)


trd_2 = entails("condition", "data")


def trd_3(node: dict[str, Any], _: ResourceContext) -> bool:
    """A named event has a name, a periodic one a timing, a data event data."""
    if not has(node, "type"):
        return has(node, "name") and not _TIMING.isdisjoint(node) and "data" in node
    kind = node.get("type", "")
    if kind == "named-event":
        return has(node, "name")
    if kind == "periodic":
        return not _TIMING.isdisjoint(node)
    return "data" in node or not str(kind).startswith("data-")


# --- Timing.repeat: https://hl7.org/fhir/R4/datatypes.html#Timing

tim_1 = entails("duration", "durationUnit")
tim_2 = entails("period", "periodUnit")


def tim_4(node: dict[str, Any], _: ResourceContext) -> bool:
    """A duration is not negative; one without a value breaks this."""
    return not has(node, "duration") or _not_negative(node.get("duration"))


def tim_5(node: dict[str, Any], _: ResourceContext) -> bool:
    """A period is not negative; one without a value breaks this."""
    return not has(node, "period") or _not_negative(node.get("period"))


def _not_negative(value: Any) -> bool:
    return value is not None and value >= 0


tim_6 = entails("periodMax", "period")
tim_7 = entails("durationMax", "duration")
tim_8 = entails("countMax", "count")


def tim_9(node: dict[str, Any], _: ResourceContext) -> bool:
    """An offset has a when, and that no mere meal.

    R4's `when in (...)` holds of several only if all are meals; the reference validator has it
    mended to none.
    """
    if not has(node, "offset"):
        return True
    return has(node, "when") and _MEALS.isdisjoint(node.get("when", ()))


tim_10 = not_both("timeOfDay", "when")


# --- Narrative.div: https://hl7.org/fhir/R4/narrative.html, where `check_narrative` says more


def txt_1(div: str, _: ResourceContext) -> bool:
    """Well-formed, of permitted elements and attributes."""
    return _UNPLAIN.isdisjoint(rule for rule, _ in judge(div).faults)


def txt_2(div: str, _: ResourceContext) -> bool:
    """Something to read."""
    return _UNREADABLE.isdisjoint(rule for rule, _ in judge(div).faults)


_UNREADABLE = frozenset({"narrative-malformed", "narrative-empty"})
_UNPLAIN = frozenset({"narrative-malformed", "narrative-element", "narrative-attribute"})
