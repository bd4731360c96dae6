"""Invariants of the data types.  https://hl7.org/fhir/R4/datatypes.html"""

from decimal import Decimal
from typing import Any

from fhir_b12.aliases import UCUM
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.invariants.comparison import is_not_after, is_not_greater
from fhir_b12.validation.invariants.predicates import (
    exists,
    forbid_both,
    json_names,
    require_any,
    require_exactly_one,
    require_with,
)
from fhir_b12.validation.narrative import get_verdict

_CURRENCY = "urn:iso:std:iso:4217"
_NO_VALUE = frozenset({"id", "_id", "extension", "url"})
_MEALS = frozenset({"C", "CM", "CD", "CV"})
_TIMING = json_names("timingTiming", "timingReference", "timingDate", "timingDateTime")


def ele_1(node: Any, _: ResourceContext) -> bool:
    """An element must have a value or children.

    R4's expression requires more than an id; the reference validator accepts an id alone.
    """
    return not isinstance(node, dict) or len(node) > 0


def ext_1(node: dict[str, Any], _: ResourceContext) -> bool:
    """An extension must have either extensions or a value.

    An extension has no children but id, extension, url and value[x].
    """
    return ("extension" in node) == _NO_VALUE.issuperset(node)


def ref_1(node: dict[str, Any], context: ResourceContext) -> bool:
    """A local reference must lead to a contained resource, or by `#` alone to the container.

    R4's expression forbids `#`; the reference validator uses a corrected one.
    """
    reference = node.get("reference")
    if not isinstance(reference, str) or reference[:1] != "#" or reference == "#":
        return True
    return reference[1:] in context.contained()


def per_1(node: dict[str, Any], _: ResourceContext) -> bool:
    """`start` must not be after end; undecidable is broken."""
    start, end = node.get("start"), node.get("end")
    return start is None or end is None or is_not_after(start, end)


def qty_3(node: dict[str, Any], _: ResourceContext) -> bool:
    """A unit with a code must have a system."""
    return "code" not in node or "system" in node or exists(node, "system")


def sqty_1(node: dict[str, Any], _: ResourceContext) -> bool:
    """A comparator must not be present."""
    return not exists(node, "comparator")


def age_1(node: dict[str, Any], _: ResourceContext) -> bool:
    """An age must have a UCUM code and be greater than zero."""
    value = node.get("value")
    return _of_system(node, UCUM) and (value is None or value > 0)


def cnt_3(node: dict[str, Any], _: ResourceContext) -> bool:
    """A count must be a whole number with the UCUM code 1."""
    one = not exists(node, "code") or node.get("code") == "1"
    return _of_system(node, UCUM) and one and _is_whole(node.get("value"))


def dis_1(node: dict[str, Any], _: ResourceContext) -> bool:
    """A distance must have a UCUM code."""
    return _of_system(node, UCUM)


def mqty_1(node: dict[str, Any], _: ResourceContext) -> bool:
    """An amount of money must have a currency code."""
    return _of_system(node, _CURRENCY)


def drt_1(node: dict[str, Any], _: ResourceContext) -> bool:
    """A duration with a code must have the UCUM system and a value."""
    return not exists(node, "code") or (node.get("system") == UCUM and exists(node, "value"))


def _of_system(node: dict[str, Any], system: str) -> bool:
    has_coding = exists(node, "code") or not exists(node, "value")
    return has_coding and (not exists(node, "system") or node.get("system") == system)


def _is_whole(value: Any) -> bool:
    """Return True for a number without a decimal point."""
    if isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        return isinstance(exponent, int) and exponent >= 0
    return not isinstance(value, float)


def rng_2(node: dict[str, Any], _: ResourceContext) -> bool:
    """`low` must not exceed high; undecidable is broken."""
    low, high = node.get("low"), node.get("high")
    return low is None or high is None or is_not_greater(low, high)


def rat_1(node: dict[str, Any], _: ResourceContext) -> bool:
    """`numerator` and denominator must both be present, or both absent beside an extension."""
    top = "numerator" in node
    return top == ("denominator" in node) and (top or "extension" in node)


att_1 = require_with("data", "contentType")


def cpt_2(node: dict[str, Any], _: ResourceContext) -> bool:
    """A contact point with a value must have a system."""
    return "system" in node or not exists(node, "value") or exists(node, "system")


exp_1 = require_any("expression", "reference")
drq_1 = require_exactly_one("path", "searchParam")
drq_2 = require_exactly_one("path", "searchParam")


def trd_1(node: dict[str, Any], _: ResourceContext) -> bool:
    """`timing` and data must not both be present."""
    return "data" not in node or _TIMING.isdisjoint(node)


trd_2 = require_with("condition", "data")


def trd_3(node: dict[str, Any], _: ResourceContext) -> bool:
    """A named event must have a name, a periodic one a timing, a data event data."""
    if not exists(node, "type"):
        return exists(node, "name") and not _TIMING.isdisjoint(node) and "data" in node
    trigger_type = node.get("type", "")
    if trigger_type == "named-event":
        return exists(node, "name")
    if trigger_type == "periodic":
        return not _TIMING.isdisjoint(node)
    return "data" in node or not str(trigger_type).startswith("data-")


# --- Timing.repeat: https://hl7.org/fhir/R4/datatypes.html#Timing

tim_1 = require_with("duration", "durationUnit")
tim_2 = require_with("period", "periodUnit")


def tim_4(node: dict[str, Any], _: ResourceContext) -> bool:
    """`duration` must not be negative; a duration without a value is broken."""
    return not exists(node, "duration") or _not_negative(node.get("duration"))


def tim_5(node: dict[str, Any], _: ResourceContext) -> bool:
    """`period` must not be negative; a period without a value is broken."""
    return not exists(node, "period") or _not_negative(node.get("period"))


def _not_negative(value: Any) -> bool:
    return value is not None and value >= 0


tim_6 = require_with("periodMax", "period")
tim_7 = require_with("durationMax", "duration")
tim_8 = require_with("countMax", "count")


def tim_9(node: dict[str, Any], _: ResourceContext) -> bool:
    """An offset needs a `when` that is not a meal.

    R4's `when in (...)` is only true of several values if all are meals; the reference validator
    uses a corrected expression, in which none may be one.
    """
    if not exists(node, "offset"):
        return True
    return exists(node, "when") and _MEALS.isdisjoint(node.get("when", ()))


tim_10 = forbid_both("timeOfDay", "when")


# --- Narrative.div: https://hl7.org/fhir/R4/narrative.html, see also `check_narrative`


def txt_1(div: str, _: ResourceContext) -> bool:
    """A narrative must be well-formed and have only allowed elements and attributes."""
    return _UNPLAIN.isdisjoint(rule for rule, _ in get_verdict(div).faults)


def txt_2(div: str, _: ResourceContext) -> bool:
    """A narrative must have content."""
    return _UNREADABLE.isdisjoint(rule for rule, _ in get_verdict(div).faults)


_UNREADABLE = frozenset({"narrative-malformed", "narrative-empty"})
_UNPLAIN = frozenset({"narrative-malformed", "narrative-element", "narrative-attribute"})
