"""Invariants of administrative and document resources.

https://hl7.org/fhir/R4/administration-module.html and https://hl7.org/fhir/R4/foundation-module.html
"""

from typing import Any

from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.invariants.comparison import not_after
from fhir_b12.validation.invariants.predicates import (
    coded,
    count,
    differs,
    has,
    items,
    just_one,
    needs,
    not_both,
    only_where,
)

Node = dict[str, Any]

_MAY_WAIT = {"proposed", "cancelled", "waitlist"}  #: an Appointment without start and end


# --- people and organizations

pat_1 = needs("name", "telecom", "address", "organization")
org_1 = ipn_1 = needs("identifier", "name")


def org_2(node: Node, _: ResourceContext) -> bool:
    """An organization has no home."""
    return node.get("use") != "home"


org_3 = org_2


# --- appointments: https://hl7.org/fhir/R4/appointment.html

app_1 = needs("type", "actor")
apr_1 = needs("participantType", "actor")


def app_2(node: Node, _: ResourceContext) -> bool:
    """Start and end, or neither."""
    return has(node, "start") == has(node, "end")


def app_3(node: Node, _: ResourceContext) -> bool:
    """Only what is proposed, waiting or cancelled has no start and end."""
    return (has(node, "start") and has(node, "end")) or node.get("status") in _MAY_WAIT


app_4 = only_where("cancelationReason", "status", "no-show", "cancelled")


# --- tasks, reports and parameters


def inv_1(node: Node, context: ResourceContext) -> bool:
    """Three rules of one key: of a Task, of a TestReport's action, of a Parameters' parameter."""
    if context.type == "Task":
        return _task_in_order(node)
    if context.type == "TestReport":
        return has(node, "operation") != has(node, "assert")
    return _one_parameter(node)


def _task_in_order(node: Node) -> bool:
    """Modified after it was authored; what cannot be told is broken."""
    if not has(node, "lastModified") or not has(node, "authoredOn"):
        return True
    return not_after(node.get("authoredOn"), node.get("lastModified"))


def _one_parameter(node: Node) -> bool:
    """Exactly one of value, resource and parts."""
    is_set = any(name.startswith(("value", "_value")) for name in node)
    return is_set + ("resource" in node) + ("part" in node) == 1


# --- consent, documents, lists

ppc_1 = needs("policy", "policyRule")


def _has_patient(node: Node, code: str) -> bool:
    """R4's own expression names the system 'something': a scope in a real one never breaks it."""
    return "patient" in node or not coded(node, "scope", "something", code)


def ppc_2(node: Node, _: ResourceContext) -> bool:
    """A consent to privacy has its patient."""
    return _has_patient(node, "patient-privacy")


def ppc_3(node: Node, _: ResourceContext) -> bool:
    """A consent to research has its patient."""
    return _has_patient(node, "research")


def ppc_4(node: Node, _: ResourceContext) -> bool:
    """An advance directive has its patient."""
    return _has_patient(node, "adr")


def ppc_5(node: Node, _: ResourceContext) -> bool:
    """A consent to treatment has its patient."""
    return _has_patient(node, "treatment")


cmp_1 = needs("text", "entry", "section")
cmp_2 = lst_1 = not_both("emptyReason", "entry")


def lst_2(node: Node, _: ResourceContext) -> bool:
    """Only a list of changes has deleted entries."""
    return node.get("mode") == "changes" or not _any_entry(node, "deleted")


def lst_3(node: Node, _: ResourceContext) -> bool:
    """Only a working list has dates of entries."""
    return node.get("mode") == "working" or not _any_entry(node, "date")


def _any_entry(node: Node, name: str) -> bool:
    return any(has(each, name) for each in items(node, "entry"))


def grp_1(node: Node, _: ResourceContext) -> bool:
    """Only an actual group has members."""
    return "member" not in node or node.get("actual") is True


def lnk_1(node: Node, _: ResourceContext) -> bool:
    """Two items at least."""
    return count(node, "item") > 1


sev_1 = not_both("name", "query")
ces_1 = just_one("category", "productOrService")


def mrp_1(node: Node, _: ResourceContext) -> bool:
    """A report that only collects data has no groups."""
    return "group" not in node or differs(node, "type", "data-collection")
