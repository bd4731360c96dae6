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
    return f"Bundle.{path}" if path.startswith("entry") else f"$this{path}"


class Index:
    """What is at which address, and what goes by which business identifier."""

    def __init__(self, found: list[Found]) -> None:
        self.issues: list[Issue] = []
        self.names: dict[str, Key] = {}  #: path -> the business identifier that no other has
        self.resources: dict[str, dict[str, Any]] = {}  #: path -> resource
        self._at: dict[str, str] = {}  #: full URL -> path
        self._local: dict[str, list[str]] = {}  #: `Type/id` -> paths
        self._based: set[str] = set()  #: paths whose full URL has a server's base
        self._identified: dict[Key, list[str]] = {}  #: any of a resource's identifiers -> paths
        owners: dict[Key, list[str]] = {}
        for path, url, resource in found:
            if not isinstance(resource, dict):
                continue
            self.resources[path] = resource
            self._add(path, url, resource)
            names = list(_names(resource))
            for name in dict.fromkeys(names):
                self._identified.setdefault(name, []).append(path)
            if names:
                owners.setdefault(names[0], []).append(path)
        for name, paths in owners.items():
            self._own(name, paths)

    def _own(self, name: Key, paths: list[str]) -> None:
        if len(paths) == 1:
            self.names[paths[0]] = name
            return
        first: dict[object, str] = {}
        for path in paths:
            kind = self.resources[path].get("resourceType")
            before = first.setdefault(str(kind), path)
            if before != path:
                what = f"same business identifier as {before}: keep one, or name them apart"
                self.issues.append(Issue("warning", "duplicate", where(path), what))

    def _add(self, path: str, url: str | None, resource: dict[str, Any]) -> None:
        if url is not None:
            if url in self._at:
                what = f"same fullUrl as {self._at[url]}: only the first is referred to"
                self.issues.append(Issue("warning", "duplicate", where(path), what))
            self._at.setdefault(url, path)
            if url.startswith("http"):
                self._based.add(path)
        kind, name = resource.get("resourceType"), resource.get("id")
        if isinstance(kind, str) and isinstance(name, str):
            self._local.setdefault(f"{kind}/{name}", []).append(path)

    def find(self, text: str, url: str | None) -> str | None:
        """Where a reference in the resource at `url` leads inside the Bundle.

        A relative one means the server that its own resource came from, and no other's resource of
        the same id. Where no server is named it means the one entry of that type and id.
        """
        text = text.partition("/_history/")[0]
        if "?" in text:
            return self._asked(text)
        if "://" in text or text.startswith("urn:"):
            return self._at.get(text)
        alike = self._local.get(text, [])
        if url is not None and url.startswith("http"):
            found = self._at.get(f"{url.rsplit('/', 2)[0]}/{text}")
            alike = [found] if found else [path for path in alike if path not in self._based]
        return alike[0] if len(alike) == 1 else None

    def named(self, name: Key, kind: str | None = None) -> str | None:
        """What alone has a business identifier, of all resources or of one type."""
        paths = [
            path
            for path in self._identified.get(name, ())
            if kind is None or self.resources[path].get("resourceType") == kind
        ]
        return paths[0] if len(paths) == 1 else None

    def _asked(self, text: str) -> str | None:
        """What a search by business identifier leads to, and nothing but that.

        https://hl7.org/fhir/R4/bundle.html#trules (conditional references)
        """
        address, _, query = text.partition("?")
        parameters = parse_qsl(query, keep_blank_values=True)
        if len(parameters) != 1 or parameters[0][0] != "identifier":
            return None
        system, _, value = parameters[0][1].partition("|")
        return self.named((system, value), address.rpartition("/")[2])

    def resolver(self, url: str | None) -> Callable[[Reference], dict[str, Any] | None]:
        """What a reference leads to, unless it has a name of its own: then it is a record's."""

        def resolve(reference: Reference) -> dict[str, Any] | None:
            path = self.find(reference.reference or "", url)
            return None if path is None or path in self.names else self.resources[path]

        return resolve

    def path(self, reference: Reference, url: str | None, kind: str | None = None) -> str | None:
        """Where a reference leads inside the Bundle, by address or by business identifier."""
        name = reference.identifier
        if reference.reference is None and name is not None and name.system and name.value:
            return self.named((name.system, name.value), kind)
        return self.find(reference.reference or "", url)

    def _unfound(self, text: str, path: str) -> Iterator[Issue]:
        if text.startswith("urn:"):
            what = "a reference leads to no entry of the Bundle: add the entry or mend it"
            yield Issue("warning", "not-found", where(path), what)
        elif len(self._local.get(text, ())) > 1:
            what = "a reference fits several entries: give them the fullUrl of their server"
            yield Issue("warning", "multiple-matches", where(path), what)

    def linker(
        self, url: str | None, path: str, written: dict[Key, str], issues: list[Issue]
    ) -> Callable[[Reference], Reference]:
        """Addresses inside the Bundle become business identifiers, noted in `written`."""

        def link(reference: Reference) -> Reference:
            text = reference.reference
            if text is None or text.startswith("#") or reference.identifier is not None:
                return reference
            found = self.find(text, url)
            if found is None:
                issues.extend(self._unfound(text, path))
                return reference
            name = self.names.get(found)
            if "/_history/" in text:
                return reference  # a business identifier would not say which version
            if name is None or written.setdefault(name, text) != text:
                return reference
            return references.with_identifier(reference, name)

        return link


def _names(resource: dict[str, Any]) -> Iterator[Key]:
    listed = resource.get("identifier")
    for each in listed if isinstance(listed, list) else [listed]:
        if isinstance(each, dict):
            system, value = each.get("system"), each.get("value")
            if isinstance(system, str) and isinstance(value, str) and system and value:
                yield system, value
