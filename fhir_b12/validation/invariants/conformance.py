"""Invariants of the conformance and terminology resources.

https://hl7.org/fhir/R4/conformance-module.html and https://hl7.org/fhir/R4/terminology-module.html
"""

import re
from typing import Any

from fhir_b12.definitions import R4
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.invariants.predicates import (
    Invariant,
    at_most_one,
    count,
    differs,
    distinct,
    entails,
    has,
    integer,
    items,
    just_one,
    needs,
    not_both,
    only_where,
    values,
)

Node = dict[str, Any]

_NAME = re.compile(r"[A-Z][A-Za-z0-9_]{0,254}\n?", re.ASCII)  # FHIRPath's `$` lets a line end
_RESOURCE_TYPES = "http://hl7.org/fhir/ValueSet/resource-types"


def _usable_name(node: Node, _: ResourceContext) -> bool:
    """A name can be used in programs; R4's expression is broken by an absent one too, mended."""
    return not has(node, "name") or _NAME.fullmatch(node.get("name", "")) is not None


adf_0 = cid_0 = cmd_0 = cpb_0 = cpd_0 = csd_0 = ees_0 = esc_0 = evd_0 = evi_0 = evv_0 = _usable_name
gdf_0 = ig_0 = lib_0 = mea_0 = msd_0 = nsd_0 = opd_0 = pdf_0 = que_0 = red_0 = rsd_0 = _usable_name
rvs_0 = sdf_0 = smp_0 = spd_0 = tcp_0 = tst_0 = vsd_0 = _usable_name


# --- CapabilityStatement, TerminologyCapabilities

cpb_1 = needs("rest", "messaging", "document")
cpb_2 = tcp_2 = needs("description", "software", "implementation")


def cpb_3(node: Node, _: ResourceContext) -> bool:
    """Only an instance has end-points for messages."""
    return node.get("kind") == "instance" or not items(node, "messaging", "endpoint")


def cpb_7(node: Node, _: ResourceContext) -> bool:
    """No document has the profile and mode of another."""
    return distinct(f"{d.get('profile', '')}{d.get('mode', '')}" for d in items(node, "document"))


def cpb_9(node: Node, _: ResourceContext) -> bool:
    """No type of resource is described twice."""
    return distinct(values(items(node, "resource"), "type"))


def cpb_12(node: Node, _: ResourceContext) -> bool:
    """No search parameter's name stands twice."""
    return distinct(values(items(node, "searchParam"), "name"))


def cpb_14(node: Node, _: ResourceContext) -> bool:
    """An instance has its implementation."""
    return "implementation" in node or differs(node, "kind", "instance")


tcp_3 = cpb_14


def cpb_15(node: Node, _: ResourceContext) -> bool:
    """A capability has software and no implementation."""
    right = "implementation" not in node and "software" in node
    return right or differs(node, "kind", "capability")


tcp_4 = cpb_15


def cpb_16(node: Node, _: ResourceContext) -> bool:
    """Requirements have neither software nor implementation."""
    right = "implementation" not in node and "software" not in node
    return right or differs(node, "kind", "requirements")


tcp_5 = cpb_16


def tcp_1(node: Node, _: ResourceContext) -> bool:
    """Of several versions each has a code."""
    versions = items(node, "version")
    return len(versions) < 2 or all(has(each, "code") for each in versions)


# --- CodeSystem, ValueSet, ConceptMap, NamingSystem


def csd_1(node: Node, _: ResourceContext) -> bool:
    """No code stands twice, whatever its level."""
    codes = values(items(node, "concept"), "code")
    waiting: list[Any] = [part for name, part in node.items() if name != "concept"]
    waiting += items(node, "concept")
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            codes += values(items(part, "concept"), "code")
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    return distinct(codes)


vsd_1 = needs("valueSet", "system")


def vsd_2(node: Node, _: ResourceContext) -> bool:
    """Concepts and filters have a system."""
    return has(node, "system") or not ("concept" in node or "filter" in node)


vsd_3 = not_both("concept", "filter")
vsd_6 = needs("code", "display")


def vsd_9(node: Node, _: ResourceContext) -> bool:
    """What is not abstract has a code."""
    return has(node, "code") or node.get("abstract") is True


vsd_10 = entails("code", "system")


def cmd_1(node: Node, _: ResourceContext) -> bool:
    """A narrower or inexact target has a comment."""
    if has(node, "comment") or not has(node, "equivalence"):
        return True
    return node.get("equivalence") not in {"narrower", "inexact"}


def cmd_2(node: Node, _: ResourceContext) -> bool:
    """The mode `fixed` has its code."""
    return has(node, "code") or differs(node, "mode", "fixed")


def cmd_3(node: Node, _: ResourceContext) -> bool:
    """The mode `other-map` has its url."""
    return has(node, "url") or differs(node, "mode", "other-map")


def nsd_1(node: Node, _: ResourceContext) -> bool:
    """A root system has no uuid."""
    names = items(node, "uniqueId")
    return differs(node, "kind", "root") or all(differs(each, "type", "uuid") for each in names)


def nsd_2(node: Node, _: ResourceContext) -> bool:
    """No type of identifier has two that are preferred."""
    preferred = [each for each in items(node, "uniqueId") if each.get("preferred") is True]
    return distinct(values(preferred, "type"))


# --- OperationDefinition, SearchParameter, StructureMap, MessageDefinition, ImplementationGuide

opd_1 = needs("type", "part")
opd_2 = only_where("searchType", "type", "string")


def opd_3(node: Node, _: ResourceContext) -> bool:
    """Target profiles are for references.

    R4 knows Reference and canonical; the reference validator allows every type of resource too.
    """
    if not has(node, "targetProfile") or node.get("type") in {"Reference", "canonical"}:
        return True
    known = R4.value_set(_RESOURCE_TYPES)
    return known is not None and any(node.get("type") in codes for codes in known.values())


spd_1 = entails("xpath", "xpathUsage")
spd_2 = only_where("chain", "type", "reference")
smp_1 = entails("element", "context")
smp_2 = entails("context", "contextType")


def md_1(node: Node, _: ResourceContext) -> bool:
    """A max is `*` or a positive number."""
    return node.get("max") == "*" or (integer(node.get("max")) or 0) > 0


def ig_1(node: Node, _: ResourceContext) -> bool:
    """A resource's grouping is defined."""
    groups = set(values(items(node, "grouping"), "id"))
    return groups.issuperset(values(items(node, "resource"), "groupingId"))


def ig_2(node: Node, _: ResourceContext) -> bool:
    """A resource's version of FHIR is one of the guide's."""
    known = set(node.get("fhirVersion", ()))
    listed = values(items(node, "definition", "resource"), "fhirVersion")
    return all(known.issuperset(each) for each in listed)


# --- TestScript, TestReport: https://hl7.org/fhir/R4/testscript.html

tst_1 = tst_2 = inv_2 = just_one("operation", "assert")


def tst_3(node: Node, _: ResourceContext) -> bool:
    """Not expression, header field and path all at once."""
    return not (has(node, "expression") and has(node, "headerField") and has(node, "path"))


def tst_4(node: Node, _: ResourceContext) -> bool:
    """A capability is required or validated."""
    capabilities = items(node, "capability")
    return any(has(each, "required") or has(each, "validated") for each in capabilities)


_one_assertion: Invariant = at_most_one(
    "contentType",
    "expression",
    "headerField",
    "minimumId",
    "navigationLinks",
    "path",
    "requestMethod",
    "resource",
    "responseCode",
    "response",
    "validateProfileId",
)


def tst_5(node: Node, context: ResourceContext) -> bool:
    """One assertion."""
    return "extension" in node or _one_assertion(node, context)


tst_6 = tst_5


def tst_7(node: Node, _: ResourceContext) -> bool:
    """A source, or one of target, url and params, or an operation that needs none."""
    if (
        has(node, "sourceId")
        or sum(count(node, each) for each in ("targetId", "url", "params")) == 1
    ):
        return True
    kinds = {"capabilities", "search", "transaction", "history"}
    return node.get("type", {}).get("code") in kinds


tst_8 = tst_9 = tst_7
_source = needs("compareToSourceExpression", "compareToSourcePath")


def tst_10(node: Node, context: ResourceContext) -> bool:
    """A source to compare with comes with its expression or path."""
    return has(node, "compareToSourceId") == _source(node, context)


tst_11 = tst_10


def tst_12(node: Node, _: ResourceContext) -> bool:
    """Of a request no response is asserted."""
    if not has(node, "direction") or node.get("direction") == "response":
        return True
    no_response = not has(node, "response") and not has(node, "responseCode")
    return no_response and node.get("direction") == "request"


tst_13 = tst_12
