"""Invariants of every resource and of Bundles.

https://hl7.org/fhir/R4/domainresource.html and https://hl7.org/fhir/R4/bundle.html
"""

from collections.abc import Iterator
from typing import Any

from fhir_b12.definitions import R4
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.invariants.predicates import distinct, exists, is_other_than, require_any
from fhir_b12.validation.narrative import find_local_links

JsonObject = dict[str, Any]

_LINK_TYPES = frozenset({"uri", "url", "canonical"})
_HISTORY = "history"
_WITH_REQUEST = {"batch", "transaction", _HISTORY}
_WITH_RESPONSE = {"batch-response", "transaction-response", _HISTORY}


# --- contained resources: https://hl7.org/fhir/R4/references.html#contained


def dom_2(node: JsonObject, _: ResourceContext) -> bool:
    """A contained resource must not contain resources."""
    return "contained" not in node or not any(
        "contained" in resource for resource in node["contained"]
    )


def dom_3(node: JsonObject, _: ResourceContext) -> bool:
    """A contained resource must be referenced, or reference its container."""
    return "contained" not in node or not find_orphans(node)


def dom_4(node: JsonObject, _: ResourceContext) -> bool:
    """A contained resource must not have meta.versionId or meta.lastUpdated."""
    return "contained" not in node or not any(
        exists(meta, "versionId") or exists(meta, "lastUpdated") for meta in _metas(node)
    )


def dom_5(node: JsonObject, _: ResourceContext) -> bool:
    """A contained resource must not have a security label."""
    return "contained" not in node or not any("security" in meta for meta in _metas(node))


def _metas(node: JsonObject) -> list[JsonObject]:
    return [resource["meta"] for resource in node["contained"] if "meta" in resource]


def dom_6(node: JsonObject, context: ResourceContext) -> bool:
    """A resource should have a narrative unless it is contained.

    The reference validator only reports it if best practices are requested.
    """
    return context.container is not None or "div" in node.get("text", ())


def find_orphans(node: JsonObject) -> list[int]:
    """Return the indices of contained resources that have no use.

    A contained resource must be referenced from outside of `contained`, or reference its
    container, or be referenced by a contained resource that does one of these.
    """
    contained = node["contained"]
    links_by_index = [set(_local_links(resource, "")) for resource in contained]
    used = {index for index, links in enumerate(links_by_index) if "" in links}
    used_ids = set(_local_links({**node, "contained": []}, ""))
    used_ids = used_ids.union(*(links_by_index[index] for index in used))
    while used_ids:
        added = {
            index
            for index, resource in enumerate(contained)
            if index not in used and resource.get("id") in used_ids
        }
        used |= added
        used_ids = set().union(*(links_by_index[index] for index in added))
    return [index for index in range(len(contained)) if index not in used]


def _local_links(part: Any, path: str) -> Iterator[str]:
    """Yield the ids that references, links and the narrative refer to by `#`."""
    if isinstance(part, dict):
        path = part.get("resourceType", path)
        for name, value in part.items():
            yield from _local_links(value, f"{path}.{name}")
    elif isinstance(part, list):
        for item in part:
            yield from _local_links(item, path)
    elif isinstance(part, str) and part[:1] == "#":
        if _is_link(path):
            yield part[1:]
    elif isinstance(part, str) and path.endswith("text.div"):
        yield from find_local_links(part)


def _is_link(path: str) -> bool:
    """Return True if the element at a path is a reference, url or canonical."""
    if path.endswith(".reference"):
        return True
    element = R4.element(path)
    return element is not None and not _LINK_TYPES.isdisjoint(element.types)


# --- Bundle: https://hl7.org/fhir/R4/bundle.html


def bdl_1(node: JsonObject, _: ResourceContext) -> bool:
    """Only a searchset and a history may have a total."""
    return not exists(node, "total") or node.get("type") in {"searchset", _HISTORY}


def bdl_2(node: JsonObject, _: ResourceContext) -> bool:
    """Only entries of a searchset may have a search."""
    if node.get("type") == "searchset":
        return True
    return not any("search" in entry for entry in node.get("entry", ()))


def bdl_3(node: JsonObject, _: ResourceContext) -> bool:
    """Every entry of a batch, transaction or history must have a request, no other entry."""
    return _entries_have(node, "request", _WITH_REQUEST)


def bdl_4(node: JsonObject, _: ResourceContext) -> bool:
    """Every entry of a response or history must have a response, no other entry."""
    return _entries_have(node, "response", _WITH_RESPONSE)


def _entries_have(node: JsonObject, name: str, bundle_types: set[str]) -> bool:
    if "entry" not in node:
        return True
    if not exists(node, "type"):
        return False
    expected = node.get("type") in bundle_types
    return all((name in entry) == expected for entry in node["entry"])


bdl_5 = require_any("resource", "request", "response")


def bdl_7(node: JsonObject, _: ResourceContext) -> bool:
    """`fullUrl` and version must be unique, except in a history."""
    if node.get("type") == _HISTORY:
        return True
    return distinct(
        f"{entry['fullUrl']}{entry.get('resource', {}).get('meta', {}).get('versionId', '')}"
        for entry in node.get("entry", ())
        if "fullUrl" in entry
    )


def bdl_8(node: JsonObject, _: ResourceContext) -> bool:
    """`fullUrl` must not have a version; R4's expression is also broken if it is absent."""
    return "/_history/" not in node.get("fullUrl", "")


def bdl_9(node: JsonObject, _: ResourceContext) -> bool:
    """A document must have an identifier with system and value."""
    identifier = node.get("identifier", {})
    is_complete = exists(identifier, "system") and exists(identifier, "value")
    return is_other_than(node, "type", "document") or is_complete


def bdl_10(node: JsonObject, _: ResourceContext) -> bool:
    """A document must have a timestamp."""
    return is_other_than(node, "type", "document") or "timestamp" in node


def bdl_11(node: JsonObject, _: ResourceContext) -> bool:
    """The first entry of a document must be a Composition."""
    return is_other_than(node, "type", "document") or _first_type(node) == "Composition"


def bdl_12(node: JsonObject, _: ResourceContext) -> bool:
    """The first entry of a message must be a MessageHeader."""
    return is_other_than(node, "type", "message") or _first_type(node) == "MessageHeader"


def _first_type(node: JsonObject) -> Any:
    entries = node.get("entry")
    return entries[0].get("resource", {}).get("resourceType") if entries else None
