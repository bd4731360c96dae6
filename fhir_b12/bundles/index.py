"""The resources of one Bundle, by every address that they can be referred to.

https://hl7.org/fhir/R4/bundle.html#references
"""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl

from fhir_b12 import references
from fhir_b12.datatypes import Reference
from fhir_b12.issues import Issue
from fhir_b12.references import Key

Found = tuple[str, str | None, Any]  #: path, full URL, resource


def places(bundle: Any) -> Iterator[Found]:
    """Where resources stand: the entries of a Bundle, the items of a list, or the one there is."""
    if isinstance(bundle, list):
        yield from ((f"[{i}]", None, resource) for i, resource in enumerate(bundle))
    elif isinstance(bundle, dict) and bundle.get("resourceType") == "Bundle":
        entries = bundle.get("entry")
        for i, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(entry, dict) and isinstance(entry.get("resource"), dict):
                url = entry.get("fullUrl")
                url = url if isinstance(url, str) else None
                yield f"entry[{i}].resource", url, entry["resource"]
    else:
        yield "", None, bundle


def where(path: str) -> str:
    """The FHIRPath of a place."""
    return f"Bundle.{path}" if path.startswith("entry") else path or "$this"


class Index:
    """What is at which address, and what goes by which business identifier."""

    def __init__(self, found: list[Found]) -> None:
        self.issues: list[Issue] = []
        self.at: dict[str, tuple[str, dict[str, Any]]] = {}
        self.names: dict[str, Key] = {}  #: path -> the business identifier that no other has
        self.named: dict[Key, str] = {}  #: and back
        self.resources: dict[str, dict[str, Any]] = {}  #: path -> resource
        owners: dict[Key, list[str]] = {}
        for path, url, resource in found:
            if not isinstance(resource, dict):
                continue
            self.resources[path] = resource
            self._add(path, url, resource)
            name = _first_name(resource)
            if name is not None:
                owners.setdefault(name, []).append(path)
        for name, paths in owners.items():
            if len(paths) == 1:
                self.names[paths[0]] = name
                self.named[name] = paths[0]
                continue
            for path in paths[1:]:
                what = f"same business identifier as {paths[0]}: keep one, or name them apart"
                self.issues.append(Issue("warning", "duplicate", where(path), what))

    def _add(self, path: str, url: str | None, resource: dict[str, Any]) -> None:
        if url is not None:
            if url in self.at:
                what = f"same fullUrl as {self.at[url][0]}: only the first is referred to"
                self.issues.append(Issue("warning", "duplicate", where(path), what))
            self.at.setdefault(url, (path, resource))
        kind, name = resource.get("resourceType"), resource.get("id")
        if isinstance(kind, str) and isinstance(name, str):
            self.at.setdefault(f"{kind}/{name}", (path, resource))

    def find(self, text: str, url: str | None) -> tuple[str, dict[str, Any]] | None:
        """What a reference in the resource at `url` leads to inside the Bundle."""
        text = text.partition("/_history/")[0]
        found = self.at.get(text)
        if found is None and "?" in text:
            return self._asked(text)
        if found is None and url is not None and url.startswith("http") and "://" not in text:
            base = url.rsplit("/", 2)[0]
            found = self.at.get(f"{base}/{text}")
        return found

    def _asked(self, text: str) -> tuple[str, dict[str, Any]] | None:
        """What a search by business identifier leads to, and nothing but that.

        https://hl7.org/fhir/R4/bundle.html#trules (conditional references)
        """
        kind, _, query = text.partition("?")
        parameters = parse_qsl(query, keep_blank_values=True)
        if len(parameters) != 1 or parameters[0][0] != "identifier":
            return None
        system, _, value = parameters[0][1].partition("|")
        path = self.named.get((system, value))
        found = None if path is None else self.resources[path]
        return (path, found) if path and found and found.get("resourceType") == kind else None

    def resolver(self, url: str | None) -> Callable[[Reference], dict[str, Any] | None]:
        """What a reference leads to, unless it has a name of its own: then it is a record's."""

        def resolve(reference: Reference) -> dict[str, Any] | None:
            found = self.find(reference.reference or "", url)
            return None if found is None or found[0] in self.names else found[1]

        return resolve

    def path(self, reference: Reference, url: str | None) -> str | None:
        """Where a reference leads inside the Bundle, by address or by business identifier."""
        name = references.key(reference)
        if name is not None:
            return self.named.get(name)
        found = self.find(reference.reference or "", url)
        return None if found is None else found[0]

    def linker(
        self, url: str | None, path: str, written: dict[Key, str], issues: list[Issue]
    ) -> Callable[[Reference], Reference]:
        """Addresses inside the Bundle become business identifiers, noted in `written`."""

        def link(reference: Reference) -> Reference:
            text = reference.reference
            if text is None or text.startswith("#") or reference.identifier is not None:
                return reference
            found = self.find(text, url)
            if found is not None and "/_history/" in text:
                return reference  # a business identifier would not say which version
            if found is None:
                if text.startswith("urn:"):
                    what = "a reference leads to no entry of the Bundle: add the entry or mend it"
                    issues.append(Issue("warning", "not-found", where(path), what))
                return reference
            name = self.names.get(found[0])
            if name is None or written.setdefault(name, text) != text:
                return reference
            return references.by_key(reference, name)

        return link


def _first_name(resource: dict[str, Any]) -> Key | None:
    listed = resource.get("identifier")
    first = listed[0] if isinstance(listed, list) and listed else listed
    if not isinstance(first, dict):
        return None
    system, value = first.get("system"), first.get("value")
    if isinstance(system, str) and isinstance(value, str) and system and value:
        return system, value
    return None
