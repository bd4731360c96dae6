"""A Bundle: its entries by fullUrl, and what holds of them together.  https://hl7.org/fhir/R4/bundle.html

Everything here is linear in the number of entries and references.
"""

import re
from collections.abc import Iterator
from typing import Any

from fhir_b12.definitions import R4
from fhir_b12.references import walk_references
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import Finding, Path

_RESTFUL = re.compile(
    r"(?P<base>https?://\S+/)(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64})"
    r"(?:/_history/[A-Za-z0-9\-.]{1,64})?"
).fullmatch
_ABSOLUTE = re.compile(r"[a-zA-Z][a-zA-Z0-9+.\-]*:").match
_RELATIVE = re.compile(
    r"(?P<name>[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64})(?:/_history/(?P<version>[A-Za-z0-9\-.]{1,64}))?"
).fullmatch
_HISTORY = re.compile(r"(.+)/_history/([A-Za-z0-9\-.]{1,64})").fullmatch
_NO_URL_NEEDED = {"transaction", "transaction-response", "batch", "batch-response"}
#: what a document or a message begins with
_FIRST = {"document": "Composition", "message": "MessageHeader"}
_ONCE = {"self", "first", "previous", "prev", "next", "last"}


class EntryIndex:
    """The entries of one Bundle, to be found by fullUrl."""

    def __init__(self, context: ResourceContext) -> None:
        bundle = context.resource
        self.type: str | None = bundle.get("type")
        self.contexts: list[ResourceContext | None] = []
        self._by_url: dict[str, list[int]] = {}
        self._by_name: dict[str, int] = {}
        self.without_url: set[int] = set()  #: ids of contexts that refer and have no fullUrl
        self._by_resource: dict[int, ResourceContext] = {}
        for index, entry in enumerate(bundle.get("entry", ())):
            resource, url = entry.get("resource"), entry.get("fullUrl")
            here = None
            if resource is not None:
                here = ResourceContext(
                    resource,
                    context.validator,
                    bundle_entries=self,
                    full_url=url,
                    fast=context.fast,
                )
                self._by_resource[id(resource)] = here
                self._by_name.setdefault(f"{here.type}/{resource.get('id')}", index)
                if url is not None:
                    self._by_url.setdefault(url, []).append(index)
            self.contexts.append(here)

    def again(self) -> Iterator[tuple[int, int]]:
        """The entries whose fullUrl and version an earlier one has, and which that is."""
        for indices in self._by_url.values():
            if len(indices) < 2:
                continue
            first: dict[Any, int] = {}
            for index in indices:
                here = self.contexts[index]
                assert here is not None
                version = here.resource.get("meta", {}).get("versionId")
                if version in first:
                    yield index, first[version]
                first.setdefault(version, index)

    def of(self, resource: dict[str, Any]) -> ResourceContext:
        """The surroundings of the resource of one of the entries."""
        return self._by_resource[id(resource)]

    def find(self, reference: str, base: str | None) -> ResourceContext | None:
        """The entry a reference means, as seen from the entry of that fullUrl."""
        found = self.matches(reference, base)
        return self.contexts[found[0]] if found else None

    def matches(self, reference: str, base: str | None) -> list[int]:
        """The indices of the entries a reference means: one where all is well."""
        url = self._absolute(reference, base)
        if url is None:
            return []
        exact = self._by_url.get(url)
        if exact is not None:
            return exact
        versioned = _HISTORY(url)
        if versioned is None:
            return []
        return [
            index
            for index in self._by_url.get(versioned[1], ())
            if self._version(index) == versioned[2]
        ]

    def like(self, reference: str) -> int | None:
        """The entry that has the type and id of a relative reference, whatever its fullUrl."""
        match = _RELATIVE(reference)
        return self._by_name.get(match["name"]) if match else None

    def unversioned(self, reference: str, base: str | None) -> bool:
        """Whether the reference names a version and its target is here and says none."""
        versioned = _HISTORY(self._absolute(reference, base) or "")
        if versioned is None:
            return False
        return any(self._version(index) is None for index in self._by_url.get(versioned[1], ()))

    def _absolute(self, reference: str, base: str | None) -> str | None:
        if _ABSOLUTE(reference):
            return reference
        place = _RESTFUL(base) if base else None
        return f"{place['base']}{reference}" if place else None

    def _version(self, index: int) -> str | None:
        context = self.contexts[index]
        meta = context.resource.get("meta", {}) if context else {}
        version: str | None = meta.get("versionId")
        return version


def check_from_entry(reference: str, context: ResourceContext, found: list[Finding]) -> None:
    """A reference of a resource in a Bundle, beside its text and type."""
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
            found.append(Finding("relative-without-fullurl"))
            return
    if relative and not _RELATIVE(reference):
        found.append(Finding("relative-format"))
        return
    matches = entries.matches(reference, base)
    if len(matches) > 1:
        found.append(Finding("reference-ambiguous"))
    elif not matches:
        if entries.unversioned(reference, base):
            found.append(Finding("version-undeclared"))
        other = entries.like(reference) if relative else None
        if other is not None:
            found.append(Finding("other-fullurl", index=other))
        elif reference.startswith("urn:"):
            found.append(Finding("urn-elsewhere"))


def check_entry(entry: dict[str, Any], kind: str | None, found: list[Finding]) -> None:
    """The fullUrl of one entry."""
    url, resource = entry.get("fullUrl"), entry.get("resource")
    if not isinstance(url, str):
        if kind not in _NO_URL_NEEDED and "_fullUrl" not in entry:
            found.append(Finding("entry-needs-fullurl"))
        return
    if not _ABSOLUTE(url):
        found.append(Finding("fullurl-absolute"))
        return
    place = _RESTFUL(url)
    if resource is None or place is None or not R4.is_resource(place["type"]):
        return
    name = resource.get("id")
    if name is None:
        found.append(Finding("fullurl-no-id"))
    elif not url.endswith(f"/{resource['resourceType']}/{name}"):
        found.append(Finding("fullurl-id"))


def check_bundle(bundle: dict[str, Any], entries: EntryIndex, found: list[Finding]) -> None:
    """What holds of the entries together, by the type of the Bundle."""
    kind = bundle.get("type")
    _check_links(bundle, found)
    if kind == "searchset":
        _check_search(bundle, found)
    if kind != "history":
        found += [
            Finding("fullurl-again", "entry", index, "fullUrl", first=first)
            for index, first in entries.again()
        ]
    first = _FIRST.get(kind or "")
    if first is None:
        return
    if not entries.contexts:
        found.append(Finding("no-entries"))
    elif entries.contexts[0] is None or entries.contexts[0].type != first:
        found.append(Finding("document-first", "entry", 0, "resource", type=kind, first=first))
    else:
        _check_story(entries, entries.contexts[0], found)


def _check_links(bundle: dict[str, Any], found: list[Finding]) -> None:
    seen: set[str] = set()
    for index, link in enumerate(bundle.get("link", ())):
        relation = link.get("relation")
        if relation in _ONCE and relation in seen:
            found.append(Finding("link-twice", "link", index, "relation"))
        seen.add(relation)


def _check_search(bundle: dict[str, Any], found: list[Finding]) -> None:
    urls = [link.get("url") for link in bundle.get("link", ()) if link.get("relation") == "self"]
    if not urls:
        found.append(Finding("search-self"))
    entries = bundle.get("entry", ())
    modes = [entry.get("search", {}).get("mode") for entry in entries]
    if entries and not all(modes):
        found.append(Finding("search-mode"))
    searched = str(urls[0]).partition("?")[0].rpartition("/")[2] if urls else ""
    if not R4.is_resource(searched):
        return
    for index, (entry, mode) in enumerate(zip(entries, modes, strict=True)):
        kind = entry.get("resource", {}).get("resourceType")
        if mode == "match" and kind not in {None, searched}:
            place = ("entry", index, "resource")
            found.append(Finding("search-type", *place, expected=searched, found=kind))


# --- documents and messages


def _check_story(entries: EntryIndex, first: ResourceContext, found: list[Finding]) -> None:
    """That the first entry leads to all others, and what it leads to is there."""
    links, document = [], entries.type == "document"
    for index, context in enumerate(entries.contexts):
        targets: list[int] = []
        references = _references(context.resource) if context else ()
        own = _own_places(first.resource) if document and index == 0 else {}
        for path, reference in references:
            hit = entries.matches(reference, context.full_url if context else None)
            targets += hit
            if not hit:
                here = ("entry", index, "resource", *path)
                found += _missing(entries, here, reference, own.get(path))
        links.append(targets)
    forward = _reached({0}, links)
    back = _reached(forward, _reversed(links), links)
    for index, context in enumerate(entries.contexts):
        if context is None or index in forward:
            continue
        if index not in back:
            found.append(
                Finding("document-orphan" if document else "message-orphan", "entry", index)
            )
        elif document and context.type != "Provenance":
            found.append(Finding("document-reverse", "entry", index))


def _missing(entries: EntryIndex, here: Path, reference: str, own: str | None) -> list[Finding]:
    """What is wrong with a reference that no fullUrl matches."""
    other = entries.like(reference)
    if other is not None:
        place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in here)
        rule = "document-entry" if own else "other-entry"
        return [Finding(rule, *here, index=other, place=f"Bundle{place}")]
    return [Finding("document-target", *here, name=own, first="Composition")] if own else []


def _own_places(composition: dict[str, Any]) -> dict[Path, str]:
    """The places of a Composition whose targets a document must hold."""
    places: dict[Path, str] = {}
    for path, _ in _references(composition):
        names = tuple(step for step in path if isinstance(step, str))
        if (
            names in _MUST_HOLD
            or tuple(n for n in names if n != "section") in _MUST_HOLD_IN_SECTION
        ):
            places[path] = ".".join(names)
    return places


#: https://hl7.org/fhir/R4/documents.html#content
_MUST_HOLD = {("subject",), ("encounter",), ("author",), ("custodian",), ("attester", "party")}
_MUST_HOLD_IN_SECTION = {("entry",), ("focus",)}


def _references(resource: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield path and text of each reference that leads out of the resource."""
    for path, node in walk_references(resource):
        text: str = node["reference"]
        if not text.startswith("#"):
            yield path, text


def _reversed(links: list[list[int]]) -> list[list[int]]:
    back: list[list[int]] = [[] for _ in links]
    for index, targets in enumerate(links):
        for target in targets:
            back[target].append(index)
    return back


def _reached(start: set[int], *graphs: list[list[int]]) -> set[int]:
    """What can be reached along the links of the graphs."""
    seen, left = set(start), list(start)
    while left:
        here = left.pop()
        for graph in graphs:
            for target in graph[here]:
                if target not in seen:
                    seen.add(target)
                    left.append(target)
    return seen
