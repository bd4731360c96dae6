"""Invariants of the conformance and terminology resources.

https://hl7.org/fhir/R4/conformance-module.html and https://hl7.org/fhir/R4/terminology-module.html
"""

import re
from typing import Any

from fhir_b12.definitions import R4
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.invariants.predicates import (
    Invariant,
    allow_at_most_one,
    allow_only_if,
    count,
    distinct,
    exists,
    forbid_both,
    integer,
    is_other_than,
    items,
    require_any,
    require_exactly_one,
    require_with,
    values,
)

JsonObject = dict[str, Any]

_NAME = re.compile(r"[A-Z][A-Za-z0-9_]{0,254}\n?", re.ASCII)  # FHIRPath's `$` lets a line end
_RESOURCE_TYPES = "http://hl7.org/fhir/ValueSet/resource-types"


def _usable_name(node: JsonObject, _: ResourceContext) -> bool:
    """A name must be usable as an identifier in code; R4's expression is broken if absent."""
    return not exists(node, "name") or _NAME.fullmatch(node.get("name", "")) is not None


adf_0 = cid_0 = cmd_0 = cpb_0 = cpd_0 = csd_0 = ees_0 = esc_0 = evd_0 = evi_0 = evv_0 = _usable_name
gdf_0 = ig_0 = lib_0 = mea_0 = msd_0 = nsd_0 = opd_0 = pdf_0 = que_0 = red_0 = rsd_0 = _usable_name
rvs_0 = sdf_0 = smp_0 = spd_0 = tcp_0 = tst_0 = vsd_0 = _usable_name


# --- CapabilityStatement, TerminologyCapabilities

cpb_1 = require_any("rest", "messaging", "document")
cpb_2 = tcp_2 = require_any("description", "software", "implementation")


def cpb_3(node: JsonObject, _: ResourceContext) -> bool:
    """Only a capability statement of an instance may have messaging endpoints."""
    return node.get("kind") == "instance" or not items(node, "messaging", "endpoint")


def cpb_7(node: JsonObject, _: ResourceContext) -> bool:
    """Documents must be unique by profile and mode."""
    return distinct(f"{d.get('profile', '')}{d.get('mode', '')}" for d in items(node, "document"))


def cpb_9(node: JsonObject, _: ResourceContext) -> bool:
    """Resource types must be unique."""
    return distinct(values(items(node, "resource"), "type"))


def cpb_12(node: JsonObject, _: ResourceContext) -> bool:
    """Names of search parameters must be unique."""
    return distinct(values(items(node, "searchParam"), "name"))


def cpb_14(node: JsonObject, _: ResourceContext) -> bool:
    """A statement of kind instance must have an implementation."""
    return "implementation" in node or is_other_than(node, "kind", "instance")


tcp_3 = cpb_14


def cpb_15(node: JsonObject, _: ResourceContext) -> bool:
    """A statement of kind capability must have software and no implementation."""
    is_complete = "implementation" not in node and "software" in node
    return is_complete or is_other_than(node, "kind", "capability")


tcp_4 = cpb_15


def cpb_16(node: JsonObject, _: ResourceContext) -> bool:
    """A statement of kind requirements must have neither software nor implementation."""
    is_complete = "implementation" not in node and "software" not in node
    return is_complete or is_other_than(node, "kind", "requirements")


tcp_5 = cpb_16


def tcp_1(node: JsonObject, _: ResourceContext) -> bool:
    """Each of several versions must have a code."""
    versions = items(node, "version")
    return len(versions) < 2 or all(exists(item, "code") for item in versions)


# --- CodeSystem, ValueSet, ConceptMap, NamingSystem


def csd_1(node: JsonObject, _: ResourceContext) -> bool:
    """Codes must be unique in all levels of a code system."""
    codes = values(items(node, "concept"), "code")
    stack: list[Any] = [part for name, part in node.items() if name != "concept"]
    stack += items(node, "concept")
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            codes += values(items(part, "concept"), "code")
            stack += part.values()
        elif isinstance(part, list):
            stack += part
    return distinct(codes)


vsd_1 = require_any("valueSet", "system")


def vsd_2(node: JsonObject, _: ResourceContext) -> bool:
    """A value set with concepts or filters must have a system."""
    return exists(node, "system") or not ("concept" in node or "filter" in node)


vsd_3 = forbid_both("concept", "filter")
vsd_6 = require_any("code", "display")


def vsd_9(node: JsonObject, _: ResourceContext) -> bool:
    """A concept of an expansion must have a code unless it is abstract."""
    return exists(node, "code") or node.get("abstract") is True


vsd_10 = require_with("code", "system")


def cmd_1(node: JsonObject, _: ResourceContext) -> bool:
    """A narrower or inexact target must have a comment."""
    if exists(node, "comment") or not exists(node, "equivalence"):
        return True
    return node.get("equivalence") not in {"narrower", "inexact"}


def cmd_2(node: JsonObject, _: ResourceContext) -> bool:
    """Mode fixed must have a code."""
    return exists(node, "code") or is_other_than(node, "mode", "fixed")


def cmd_3(node: JsonObject, _: ResourceContext) -> bool:
    """Mode other-map must have a url."""
    return exists(node, "url") or is_other_than(node, "mode", "other-map")


def nsd_1(node: JsonObject, _: ResourceContext) -> bool:
    """A root system must not have a uuid."""
    identifiers = items(node, "uniqueId")
    return is_other_than(node, "kind", "root") or all(
        is_other_than(item, "type", "uuid") for item in identifiers
    )


def nsd_2(node: JsonObject, _: ResourceContext) -> bool:
    """Only one identifier of each type may be preferred."""
    preferred = [item for item in items(node, "uniqueId") if item.get("preferred") is True]
    return distinct(values(preferred, "type"))


# --- OperationDefinition, SearchParameter, StructureMap, MessageDefinition, ImplementationGuide

opd_1 = require_any("type", "part")
opd_2 = allow_only_if("searchType", "type", "string")


def opd_3(node: JsonObject, _: ResourceContext) -> bool:
    """TargetProfile is only allowed for references.

    R4 names Reference and canonical; the reference validator also allows every resource type.
    """
    if not exists(node, "targetProfile") or node.get("type") in {"Reference", "canonical"}:
        return True
    known = R4.value_set(_RESOURCE_TYPES)
    return known is not None and any(node.get("type") in codes for codes in known.values())


spd_1 = require_with("xpath", "xpathUsage")
spd_2 = allow_only_if("chain", "type", "reference")
smp_1 = require_with("element", "context")
smp_2 = require_with("context", "contextType")


def md_1(node: JsonObject, _: ResourceContext) -> bool:
    """`max` must be `*` or a positive number."""
    return node.get("max") == "*" or (integer(node.get("max")) or 0) > 0


def ig_1(node: JsonObject, _: ResourceContext) -> bool:
    """The groupingId of a resource must be the id of a grouping."""
    groups = set(values(items(node, "grouping"), "id"))
    return groups.issuperset(values(items(node, "resource"), "groupingId"))


def ig_2(node: JsonObject, _: ResourceContext) -> bool:
    """The FHIR version of a resource must be one of the guide's."""
    known = set(node.get("fhirVersion", ()))
    listed = values(items(node, "definition", "resource"), "fhirVersion")
    return all(known.issuperset(item) for item in listed)


# --- TestScript, TestReport: https://hl7.org/fhir/R4/testscript.html

tst_1 = tst_2 = inv_2 = require_exactly_one("operation", "assert")


def tst_3(node: JsonObject, _: ResourceContext) -> bool:
    """expression, headerField and path must not all be present."""
    return not (exists(node, "expression") and exists(node, "headerField") and exists(node, "path"))


def tst_4(node: JsonObject, _: ResourceContext) -> bool:
    """A capability must be required or validated."""
    capabilities = items(node, "capability")
    return any(exists(item, "required") or exists(item, "validated") for item in capabilities)


_one_assertion: Invariant = allow_at_most_one(
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


def tst_5(node: JsonObject, context: ResourceContext) -> bool:
    """Only one assertion is allowed."""
    return "extension" in node or _one_assertion(node, context)


tst_6 = tst_5


def tst_7(node: JsonObject, _: ResourceContext) -> bool:
    """sourceId, one of targetId, url and params, or an operation that needs none, is required."""
    if (
        exists(node, "sourceId")
        or sum(count(node, item) for item in ("targetId", "url", "params")) == 1
    ):
        return True
    kinds = {"capabilities", "search", "transaction", "history"}
    return node.get("type", {}).get("code") in kinds


tst_8 = tst_9 = tst_7
_source = require_any("compareToSourceExpression", "compareToSourcePath")


def tst_10(node: JsonObject, context: ResourceContext) -> bool:
    """`compareToSourceId` needs an expression or a path, and only then they are allowed."""
    return exists(node, "compareToSourceId") == _source(node, context)


tst_11 = tst_10


def tst_12(node: JsonObject, _: ResourceContext) -> bool:
    """Response assertions are not allowed for a request."""
    if not exists(node, "direction") or node.get("direction") == "response":
        return True
    no_response = not exists(node, "response") and not exists(node, "responseCode")
    return no_response and node.get("direction") == "request"


tst_13 = tst_12
