"""Invariants of administrative and document resources.

https://hl7.org/fhir/R4/administration-module.html and https://hl7.org/fhir/R4/foundation-module.html
"""

from typing import Any

from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.invariants.comparison import is_not_after
from fhir_b12.validation.invariants.predicates import (
    allow_only_if,
    count,
    exists,
    forbid_both,
    has_coding,
    is_other_than,
    items,
    require_any,
    require_exactly_one,
)

JsonObject = dict[str, Any]

_MAY_LACK_TIMES = {"proposed", "cancelled", "waitlist"}  #: status of an Appointment


# --- people and organizations

pat_1 = require_any("name", "telecom", "address", "organization")
org_1 = ipn_1 = require_any("identifier", "name")


def org_2(node: JsonObject, _: ResourceContext) -> bool:
    """An organization must not have a home address."""
    return node.get("use") != "home"


org_3 = org_2


# --- appointments: https://hl7.org/fhir/R4/appointment.html

app_1 = require_any("type", "actor")
apr_1 = require_any("participantType", "actor")


def app_2(node: JsonObject, _: ResourceContext) -> bool:
    """`start` and end must both be present, or both absent."""
    return exists(node, "start") == exists(node, "end")


def app_3(node: JsonObject, _: ResourceContext) -> bool:
    """Only a proposed, waitlisted or cancelled appointment may lack start and end."""
    return (exists(node, "start") and exists(node, "end")) or node.get("status") in _MAY_LACK_TIMES


app_4 = allow_only_if("cancelationReason", "status", "no-show", "cancelled")


# --- tasks, reports and parameters


def inv_1(node: JsonObject, context: ResourceContext) -> bool:
    """One key has three rules: for Task, TestReport actions and Parameters.parameter."""
    if context.type == "Task":
        return _is_modified_after_authored(node)
    if context.type == "TestReport":
        return exists(node, "operation") != exists(node, "assert")
    return _has_one_content(node)


def _is_modified_after_authored(node: JsonObject) -> bool:
    """A task must not be modified before it is authored; undecidable is broken."""
    if not exists(node, "lastModified") or not exists(node, "authoredOn"):
        return True
    return is_not_after(node.get("authoredOn"), node.get("lastModified"))


def _has_one_content(node: JsonObject) -> bool:
    """A parameter must have exactly one of value, resource and part."""
    is_set = any(name.startswith(("value", "_value")) for name in node)
    return is_set + ("resource" in node) + ("part" in node) == 1


# --- consent, documents, lists

ppc_1 = require_any("policy", "policyRule")


def _has_patient(node: JsonObject, code: str) -> bool:
    """Return True if a consent has a patient or another scope.

    R4's expression names the system 'something', so a scope with a real system never breaks it.
    """
    return "patient" in node or not has_coding(node, "scope", "something", code)


def ppc_2(node: JsonObject, _: ResourceContext) -> bool:
    """A privacy consent must have a patient."""
    return _has_patient(node, "patient-privacy")


def ppc_3(node: JsonObject, _: ResourceContext) -> bool:
    """A research consent must have a patient."""
    return _has_patient(node, "research")


def ppc_4(node: JsonObject, _: ResourceContext) -> bool:
    """An advance directive must have a patient."""
    return _has_patient(node, "adr")


def ppc_5(node: JsonObject, _: ResourceContext) -> bool:
    """A treatment consent must have a patient."""
    return _has_patient(node, "treatment")


cmp_1 = require_any("text", "entry", "section")
cmp_2 = lst_1 = forbid_both("emptyReason", "entry")


def lst_2(node: JsonObject, _: ResourceContext) -> bool:
    """An entry may only be deleted in a list with mode changes."""
    return node.get("mode") == "changes" or not _any_entry(node, "deleted")


def lst_3(node: JsonObject, _: ResourceContext) -> bool:
    """An entry may only have a date in a list with mode working."""
    return node.get("mode") == "working" or not _any_entry(node, "date")


def _any_entry(node: JsonObject, name: str) -> bool:
    return any(exists(entry, name) for entry in items(node, "entry"))


def grp_1(node: JsonObject, _: ResourceContext) -> bool:
    """A group may only have members if it is actual."""
    return "member" not in node or node.get("actual") is True


def lnk_1(node: JsonObject, _: ResourceContext) -> bool:
    """A linkage must have at least two items."""
    return count(node, "item") > 1


sev_1 = forbid_both("name", "query")
ces_1 = require_exactly_one("category", "productOrService")


def mrp_1(node: JsonObject, _: ResourceContext) -> bool:
    """A data-collection report must not have groups."""
    return "group" not in node or is_other_than(node, "type", "data-collection")
