"""Invariants of every resource and of Bundles.

https://hl7.org/fhir/R4/domainresource.html and https://hl7.org/fhir/R4/bundle.html
"""

from collections.abc import Iterator
from typing import Any

from fhir_b12.definitions import R4
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.invariants.predicates import differs, distinct, has, needs
from fhir_b12.validation.narrative import anchors

Node = dict[str, Any]

_LINKS = frozenset({"uri", "url", "canonical"})
_HISTORY = "history"
_ASKED = {"batch", "transaction", _HISTORY}
_ANSWERED = {"batch-response", "transaction-response", _HISTORY}


# --- contained resources: https://hl7.org/fhir/R4/references.html#contained


def dom_2(node: Node, _: ResourceContext) -> bool:
    """What is contained contains nothing."""
    return "contained" not in node or not any("contained" in each for each in node["contained"])


def dom_3(node: Node, _: ResourceContext) -> bool:
    """What is contained is referred to, or refers to what contains it."""
    return "contained" not in node or not find_orphans(node)


def dom_4(node: Node, _: ResourceContext) -> bool:
    """What is contained has no version of its own."""
    return "contained" not in node or not any(
        has(meta, "versionId") or has(meta, "lastUpdated") for meta in _metas(node)
    )


def dom_5(node: Node, _: ResourceContext) -> bool:
    """What is contained has no security label."""
    return "contained" not in node or not any("security" in meta for meta in _metas(node))


def _metas(node: Node) -> list[Node]:
    return [each["meta"] for each in node["contained"] if "meta" in each]


def dom_6(node: Node, context: ResourceContext) -> bool:
    """A resource that is not contained has a narrative.

    The reference validator says this only to those who ask for best practice.
    """
    return context.container is not None or "div" in node.get("text", ())


def find_orphans(node: Node) -> list[int]:
    """Which contained resources nobody refers to, and that do not refer to what contains them.

    One that only another contained resource refers to counts if that other one does.
    """
    contained = node["contained"]
    inner = [set(_local(each, "")) for each in contained]
    known = set(_local({**node, "contained": []}, ""))
    kept = {n for n, refs in enumerate(inner) if "" in refs}
    waiting = known.union(*(inner[n] for n in kept))
    while waiting:
        found = {
            n for n, each in enumerate(contained) if n not in kept and each.get("id") in waiting
        }
        kept |= found
        waiting = set().union(*(inner[n] for n in found))
    return [n for n in range(len(contained)) if n not in kept]


def _local(part: Any, at: str) -> Iterator[str]:
    """The ids that references, links and the narrative's anchors name by `#`."""
    if isinstance(part, dict):
        at = part.get("resourceType", at)
        for name, value in part.items():
            yield from _local(value, f"{at}.{name}")
    elif isinstance(part, list):
        for each in part:
            yield from _local(each, at)
    elif isinstance(part, str) and part[:1] == "#":
        if _is_link(at):
            yield part[1:]
    elif isinstance(part, str) and at.endswith("text.div"):
        yield from anchors(part)


def _is_link(at: str) -> bool:
    if at.endswith(".reference"):
        return True
    found = R4.element(at)
    return found is not None and not _LINKS.isdisjoint(found.types)


# --- Bundle: https://hl7.org/fhir/R4/bundle.html


def bdl_1(node: Node, _: ResourceContext) -> bool:
    """Only a search or history has a total."""
    return not has(node, "total") or node.get("type") in {"searchset", _HISTORY}


def bdl_2(node: Node, _: ResourceContext) -> bool:
    """Only a search says how an entry was found."""
    if node.get("type") == "searchset":
        return True
    return not any("search" in entry for entry in node.get("entry", ()))


def bdl_3(node: Node, _: ResourceContext) -> bool:
    """Each entry of a batch, transaction or history has its request, no other has one."""
    return _each_entry(node, "request", _ASKED)


def bdl_4(node: Node, _: ResourceContext) -> bool:
    """Each entry of an answer or history has its response, no other has one."""
    return _each_entry(node, "response", _ANSWERED)


def _each_entry(node: Node, name: str, kinds: set[str]) -> bool:
    if "entry" not in node:
        return True
    if not has(node, "type"):
        return False
    expected = node.get("type") in kinds
    return all((name in entry) == expected for entry in node["entry"])


bdl_5 = needs("resource", "request", "response")


def bdl_7(node: Node, _: ResourceContext) -> bool:
    """No fullUrl stands twice with one version, save in a history."""
    if node.get("type") == _HISTORY:
        return True
    return distinct(
        f"{entry['fullUrl']}{entry.get('resource', {}).get('meta', {}).get('versionId', '')}"
        for entry in node.get("entry", ())
        if "fullUrl" in entry
    )


def bdl_8(node: Node, _: ResourceContext) -> bool:
    """A fullUrl names no version; R4's expression is broken by an absent one too, mended."""
    return "/_history/" not in node.get("fullUrl", "")


def bdl_9(node: Node, _: ResourceContext) -> bool:
    """A document has an identifier with system and value."""
    identifier = node.get("identifier", {})
    right = has(identifier, "system") and has(identifier, "value")
    return differs(node, "type", "document") or right


def bdl_10(node: Node, _: ResourceContext) -> bool:
    """A document has its date."""
    return differs(node, "type", "document") or "timestamp" in node


def bdl_11(node: Node, _: ResourceContext) -> bool:
    """A document starts with its Composition."""
    return differs(node, "type", "document") or _first_type(node) == "Composition"


def bdl_12(node: Node, _: ResourceContext) -> bool:
    """A message starts with its MessageHeader."""
    return differs(node, "type", "message") or _first_type(node) == "MessageHeader"


def _first_type(node: Node) -> Any:
    entries = node.get("entry")
    return entries[0].get("resource", {}).get("resourceType") if entries else None
