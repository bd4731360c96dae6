"""Index the entries of a Bundle and check them together.  https://hl7.org/fhir/R4/bundle.html

Everything here is linear in the number of entries and references.
"""

import re
from collections.abc import Iterator
from typing import Any

from fhir_b12.definitions import R4
from fhir_b12.references import walk_references
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import Finding, Path

_RESTFUL_URL = re.compile(
    r"(?P<base>https?://\S+/)(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64})"
    r"(?:/_history/[A-Za-z0-9\-.]{1,64})?"
).fullmatch
_ABSOLUTE = re.compile(r"[a-zA-Z][a-zA-Z0-9+.\-]*:").match
_RELATIVE = re.compile(
    r"(?P<target>[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64})(?:/_history/(?P<version>[A-Za-z0-9\-.]{1,64}))?"
).fullmatch
_VERSIONED_URL = re.compile(r"(.+)/_history/([A-Za-z0-9\-.]{1,64})").fullmatch
_FULL_URL_OPTIONAL = {"transaction", "transaction-response", "batch", "batch-response"}
#: type of the first entry by type of the Bundle
_FIRST_TYPE = {"document": "Composition", "message": "MessageHeader"}
_UNIQUE_RELATIONS = {"self", "first", "previous", "prev", "next", "last"}


class EntryIndex:
    """The entries of one Bundle, indexed by fullUrl and by type and id.

    Attributes:
        type: Bundle.type.
        contexts: Context of each entry's resource; None for an entry without a resource.
        without_url: id() of the contexts of entries that have references but no fullUrl.

    """

    def __init__(self, context: ResourceContext) -> None:
        bundle = context.resource
        self.type: str | None = bundle.get("type")
        self.contexts: list[ResourceContext | None] = []
        self.without_url: set[int] = set()
        self._by_url: dict[str, list[int]] = {}
        self._by_type_and_id: dict[str, int] = {}
        self._by_resource: dict[int, ResourceContext] = {}
        for index, entry in enumerate(bundle.get("entry", ())):
            resource, url = entry.get("resource"), entry.get("fullUrl")
            entry_context = None
            if resource is not None:
                entry_context = ResourceContext(
                    resource,
                    context.validator,
                    bundle_entries=self,
                    full_url=url,
                    fast=context.fast,
                )
                self._by_resource[id(resource)] = entry_context
                type_and_id = f"{entry_context.type}/{resource.get('id')}"
                self._by_type_and_id.setdefault(type_and_id, index)
                if url is not None:
                    self._by_url.setdefault(url, []).append(index)
            self.contexts.append(entry_context)

    @classmethod
    def of(cls, bundle: ResourceContext) -> "EntryIndex":
        """Return the index of a Bundle, from the context of the Bundle; it is built once."""
        index: EntryIndex | None = bundle.cache.get(cls)
        if index is None:
            index = bundle.cache[cls] = cls(bundle)
        return index

    def duplicates(self) -> Iterator[tuple[int, int]]:
        """Yield each entry that has fullUrl and version of an earlier one, and that one."""
        for indices in self._by_url.values():
            if len(indices) < 2:
                continue
            first_by_version: dict[Any, int] = {}
            for index in indices:
                version_id = self._version_id(index)
                if version_id in first_by_version:
                    yield index, first_by_version[version_id]
                first_by_version.setdefault(version_id, index)

    def context_of(self, resource: dict[str, Any]) -> ResourceContext:
        """Return the context of the resource of one of the entries."""
        return self._by_resource[id(resource)]

    def find(self, reference: str, base: str | None) -> ResourceContext | None:
        """Return the entry a reference resolves to, from an entry with the fullUrl `base`."""
        matches = self.matches(reference, base)
        return self.contexts[matches[0]] if matches else None

    def matches(self, reference: str, base: str | None) -> list[int]:
        """Return the indices of the entries a reference resolves to; more than one is a fault."""
        url = _absolute_url(reference, base)
        if url is None:
            return []
        exact = self._by_url.get(url)
        if exact is not None:
            return exact
        versioned = _VERSIONED_URL(url)
        if versioned is None:
            return []
        return [
            index
            for index in self._by_url.get(versioned[1], ())
            if self._version_id(index) == versioned[2]
        ]

    def find_by_type_and_id(self, reference: str) -> int | None:
        """Return the entry with type and id of a relative reference, whatever its fullUrl."""
        match = _RELATIVE(reference)
        return self._by_type_and_id.get(match["target"]) if match else None

    def lacks_version_id(self, reference: str, base: str | None) -> bool:
        """Return True if a versioned reference leads to an entry without a meta.versionId."""
        versioned = _VERSIONED_URL(_absolute_url(reference, base) or "")
        if versioned is None:
            return False
        indices = self._by_url.get(versioned[1], ())
        return any(self._version_id(index) is None for index in indices)

    def _version_id(self, index: int) -> str | None:
        context = self.contexts[index]
        meta = context.resource.get("meta", {}) if context else {}
        version_id: str | None = meta.get("versionId")
        return version_id


def _absolute_url(reference: str, base: str | None) -> str | None:
    """Return the url of a reference; None for a relative one without the url of a server."""
    if _ABSOLUTE(reference):
        return reference
    server = _RESTFUL_URL(base) if base else None
    return f"{server['base']}{reference}" if server else None


def check_reference_from_entry(
    reference: str, context: ResourceContext, findings: list[Finding]
) -> None:
    """Check that a reference of a resource in a Bundle can be resolved.

    https://hl7.org/fhir/R4/bundle.html#references
    """
    root = context.root
    entries = root.bundle_entries
    assert isinstance(entries, EntryIndex)
    base = root.full_url
    relative = not _ABSOLUTE(reference)
    if base is None and entries.type in {"transaction-response", "batch-response"}:
        return
    if base is None:
        entries.without_url.add(id(root))
        if relative:
            findings.append(Finding("relative-without-fullurl"))
            return
    if relative and not _RELATIVE(reference):
        findings.append(Finding("relative-format"))
        return
    matches = entries.matches(reference, base)
    if len(matches) > 1:
        findings.append(Finding("reference-ambiguous"))
    elif not matches:
        if entries.lacks_version_id(reference, base):
            findings.append(Finding("version-undeclared"))
        other = entries.find_by_type_and_id(reference) if relative else None
        if other is not None:
            findings.append(Finding("other-fullurl", index=other))
        elif reference.startswith("urn:"):
            findings.append(Finding("urn-elsewhere"))


def check_entry(entry: dict[str, Any], bundle_type: str | None, findings: list[Finding]) -> None:
    """Check the fullUrl of one entry.  https://hl7.org/fhir/R4/bundle.html#bundle-unique"""
    url, resource = entry.get("fullUrl"), entry.get("resource")
    if not isinstance(url, str):
        if bundle_type not in _FULL_URL_OPTIONAL and "_fullUrl" not in entry:
            findings.append(Finding("entry-needs-fullurl"))
        return
    if not _ABSOLUTE(url):
        findings.append(Finding("fullurl-absolute"))
        return
    server = _RESTFUL_URL(url)
    if resource is None or server is None or not R4.is_resource(server["type"]):
        return
    resource_id = resource.get("id")
    if resource_id is None:
        findings.append(Finding("fullurl-no-id"))
    elif not url.endswith(f"/{resource['resourceType']}/{resource_id}"):
        findings.append(Finding("fullurl-id"))


def check_bundle(bundle: dict[str, Any], entries: EntryIndex, findings: list[Finding]) -> None:
    """Check the entries together, by the type of the Bundle."""
    bundle_type = bundle.get("type")
    _check_links(bundle, findings)
    if bundle_type == "searchset":
        _check_searchset(bundle, findings)
    if bundle_type != "history":
        findings += [
            Finding("fullurl-again", "entry", index, "fullUrl", first=first)
            for index, first in entries.duplicates()
        ]
    first_type = _FIRST_TYPE.get(bundle_type or "")
    if first_type is None:
        return
    if not entries.contexts:
        findings.append(Finding("no-entries"))
    elif entries.contexts[0] is None or entries.contexts[0].type != first_type:
        path = ("entry", 0, "resource")
        findings.append(Finding("document-first", *path, type=bundle_type, first=first_type))
    else:
        _check_document_or_message(entries, entries.contexts[0], findings)


def _check_links(bundle: dict[str, Any], findings: list[Finding]) -> None:
    relations: set[str] = set()
    for index, link in enumerate(bundle.get("link", ())):
        relation = link.get("relation")
        if relation in _UNIQUE_RELATIONS and relation in relations:
            findings.append(Finding("link-twice", "link", index, "relation", relation=relation))
        relations.add(relation)


def _check_searchset(bundle: dict[str, Any], findings: list[Finding]) -> None:
    urls = [link.get("url") for link in bundle.get("link", ()) if link.get("relation") == "self"]
    if not urls:
        findings.append(Finding("search-self"))
    entries = bundle.get("entry", ())
    modes = [entry.get("search", {}).get("mode") for entry in entries]
    if entries and not all(modes):
        findings.append(Finding("search-mode"))
    searched_type = str(urls[0]).partition("?")[0].rpartition("/")[2] if urls else ""
    if not R4.is_resource(searched_type):
        return
    for index, (entry, mode) in enumerate(zip(entries, modes, strict=True)):
        actual_type = entry.get("resource", {}).get("resourceType")
        if mode == "match" and actual_type not in {None, searched_type}:
            path = ("entry", index, "resource")
            values = {"expected": searched_type, "actual": actual_type}
            findings.append(Finding("search-type", *path, **values))


# --- documents and messages


def _check_document_or_message(
    entries: EntryIndex, first: ResourceContext, findings: list[Finding]
) -> None:
    """Check that all entries are reachable from the first one, and its references resolve.

    https://hl7.org/fhir/R4/documents.html#content
    """
    is_document = entries.type == "document"
    links = _resolve_references(entries, first, findings, is_document=is_document)
    reachable = _reachable({0}, links)
    reachable_backwards = _reachable(reachable, _reverse(links), links)
    for index, context in enumerate(entries.contexts):
        if context is None or index in reachable:
            continue
        if index not in reachable_backwards:
            rule = "document-orphan" if is_document else "message-orphan"
            findings.append(Finding(rule, "entry", index))
        elif is_document and context.type != "Provenance":
            findings.append(Finding("document-reverse", "entry", index))


def _resolve_references(
    entries: EntryIndex, first: ResourceContext, findings: list[Finding], *, is_document: bool
) -> list[list[int]]:
    """Return the entries that each entry refers to; report references that do not resolve."""
    links: list[list[int]] = []
    for index, context in enumerate(entries.contexts):
        targets: list[int] = []
        references = _outward_references(context.resource) if context else ()
        required = _required_targets(first.resource) if is_document and index == 0 else {}
        for path, reference in references:
            matches = entries.matches(reference, context.full_url if context else None)
            targets += matches
            if not matches:
                entry_path = ("entry", index, "resource", *path)
                findings += _unresolved_findings(entries, entry_path, reference, required.get(path))
        links.append(targets)
    return links


def _unresolved_findings(
    entries: EntryIndex, path: Path, reference: str, required_element: str | None
) -> list[Finding]:
    """Return the findings on a reference that matches no fullUrl."""
    other = entries.find_by_type_and_id(reference)
    if other is not None:
        location = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
        rule = "document-entry" if required_element else "other-entry"
        return [Finding(rule, *path, index=other, location=f"Bundle{location}")]
    if required_element:
        return [Finding("document-target", *path, name=required_element, first="Composition")]
    return []


def _required_targets(composition: dict[str, Any]) -> dict[Path, str]:
    """Return the references of a Composition whose targets a document must contain."""
    elements: dict[Path, str] = {}
    for path, _ in _outward_references(composition):
        names = tuple(step for step in path if isinstance(step, str))
        names_in_section = tuple(name for name in names if name != "section")
        if names in _REQUIRED_TARGETS or names_in_section in _REQUIRED_TARGETS_OF_SECTION:
            elements[path] = ".".join(names)
    return elements


#: https://hl7.org/fhir/R4/documents.html#content
_REQUIRED_TARGETS = {
    ("subject",),
    ("encounter",),
    ("author",),
    ("custodian",),
    ("attester", "party"),
}
_REQUIRED_TARGETS_OF_SECTION = {("entry",), ("focus",)}


def _outward_references(resource: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield path and text of each reference that leads out of the resource."""
    for path, node in walk_references(resource):
        text: str = node["reference"]
        if not text.startswith("#"):
            yield path, text


def _reverse(links: list[list[int]]) -> list[list[int]]:
    sources: list[list[int]] = [[] for _ in links]
    for index, targets in enumerate(links):
        for target in targets:
            sources[target].append(index)
    return sources


def _reachable(start: set[int], *graphs: list[list[int]]) -> set[int]:
    """Return the nodes that can be reached along the links of any of the graphs."""
    reached, stack = set(start), list(start)
    while stack:
        node = stack.pop()
        for graph in graphs:
            for target in graph[node]:
                if target not in reached:
                    reached.add(target)
                    stack.append(target)
    return reached
