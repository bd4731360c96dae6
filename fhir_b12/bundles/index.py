"""Index of the resources of a Bundle, to resolve references.

https://hl7.org/fhir/R4/bundle.html#references
"""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl

from fhir_b12 import references
from fhir_b12.datatypes import Reference
from fhir_b12.issues import Issue
from fhir_b12.references import Key

Located = tuple[str, str | None, Any]  #: path, full URL, resource


def resources_in(bundle: Any) -> Iterator[Located]:
    """Yield the resources of a Bundle's entries, of a list, or the single resource, with path."""
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


def expression_of(path: str) -> str:
    """Return the FHIRPath of a path, `Bundle.entry[0].resource`."""
    return f"Bundle.{path}" if path.startswith("entry") else f"$this{path}"


class Index:
    """The resources of a Bundle by address and by business identifier."""

    def __init__(self, located: list[Located]) -> None:
        self.issues: list[Issue] = []
        self.names: dict[str, Key] = {}  #: path -> business identifier, if no other resource has it
        self.resources: dict[str, dict[str, Any]] = {}  #: path -> resource
        self._at: dict[str, str] = {}  #: full URL -> path
        self._local: dict[str, list[str]] = {}  #: `Type/id` -> paths
        self._based: set[str] = set()  #: paths of resources with an http full URL
        self._identified: dict[Key, list[str]] = {}  #: business identifier -> paths
        owners: dict[Key, list[str]] = {}
        for path, url, resource in located:
            if not isinstance(resource, dict):
                continue
            self.resources[path] = resource
            self._add(path, url, resource)
            names = list(_identifiers(resource))
            for name in dict.fromkeys(names):
                self._identified.setdefault(name, []).append(path)
            if names:
                owners.setdefault(names[0], []).append(path)
        for name, paths in owners.items():
            self._set_owner(name, paths)

    def _set_owner(self, name: Key, paths: list[str]) -> None:
        if len(paths) == 1:
            self.names[paths[0]] = name
            return
        first: dict[object, str] = {}
        for path in paths:
            resource_type = self.resources[path].get("resourceType")
            before = first.setdefault(str(resource_type), path)
            if before != path:
                what = f"same business identifier as {before}: remove one or change its identifier"
                self.issues.append(Issue("warning", "duplicate", expression_of(path), what))

    def _add(self, path: str, url: str | None, resource: dict[str, Any]) -> None:
        if url is not None:
            if url in self._at:
                what = f"same fullUrl as {self._at[url]}, which references resolve to: change it"
                self.issues.append(Issue("warning", "duplicate", expression_of(path), what))
            self._at.setdefault(url, path)
            if url.startswith("http"):
                self._based.add(path)
        resource_type, resource_id = resource.get("resourceType"), resource.get("id")
        if isinstance(resource_type, str) and isinstance(resource_id, str):
            self._local.setdefault(f"{resource_type}/{resource_id}", []).append(path)

    def find(self, text: str, url: str | None) -> str | None:
        """Return the path of the resource that a reference of the resource at `url` refers to.

        A relative reference means the server of its own resource, not another server's resource
        with the same id. If no server is known, it means the only entry with that type and id.
        """
        text = text.partition("/_history/")[0]
        if "?" in text:
            return self._find_by_search(text)
        if "://" in text or text.startswith("urn:"):
            return self._at.get(text)
        candidates = self._local.get(text, [])
        if url is not None and url.startswith("http"):
            path = self._at.get(f"{url.rsplit('/', 2)[0]}/{text}")
            candidates = (
                [path] if path else [other for other in candidates if other not in self._based]
            )
        return candidates[0] if len(candidates) == 1 else None

    def named(self, name: Key, resource_type: str | None = None) -> str | None:
        """Return the path of the only resource with a business identifier, None if not unique."""
        paths = [
            path
            for path in self._identified.get(name, ())
            if resource_type is None or self.resources[path].get("resourceType") == resource_type
        ]
        return paths[0] if len(paths) == 1 else None

    def _find_by_search(self, text: str) -> str | None:
        """Return the path that a conditional reference with `identifier` alone refers to.

        https://hl7.org/fhir/R4/bundle.html#trules (conditional references)
        """
        address, _, query = text.partition("?")
        parameters = parse_qsl(query, keep_blank_values=True)
        if len(parameters) != 1 or parameters[0][0] != "identifier":
            return None
        system, _, value = parameters[0][1].partition("|")
        return self.named((system, value), address.rpartition("/")[2])

    def resolver(self, url: str | None) -> Callable[[Reference], dict[str, Any] | None]:
        """Return a function that resolves references to resources without business identifier.

        A resource with a business identifier is a record of its own and is not resolved.
        """

        def resolve(reference: Reference) -> dict[str, Any] | None:
            """Return the resource of a reference, None if unknown or a record of its own."""
            path = self.find(reference.reference or "", url)
            return None if path is None or path in self.names else self.resources[path]

        return resolve

    def path(
        self, reference: Reference, url: str | None, resource_type: str | None = None
    ) -> str | None:
        """Return the path of a reference's target, by address or by business identifier."""
        name = reference.identifier
        if reference.reference is None and name is not None and name.system and name.value:
            return self.named((name.system, name.value), resource_type)
        return self.find(reference.reference or "", url)

    def _unresolved(self, text: str, path: str) -> Iterator[Issue]:
        if text.startswith("urn:"):
            what = (
                "reference to an entry that the Bundle does not have: add the entry or correct it"
            )
            yield Issue("warning", "not-found", expression_of(path), what)
        elif len(self._local.get(text, ())) > 1:
            what = (
                "reference that several entries match: give the entries the fullUrl of their server"
            )
            yield Issue("warning", "multiple-matches", expression_of(path), what)

    def linker(
        self, url: str | None, path: str, written: dict[Key, str], issues: list[Issue]
    ) -> Callable[[Reference], Reference]:
        """Return a function that replaces addresses by business identifiers.

        The addresses are added to `written`, and references without a target to `issues`.
        """

        def link(reference: Reference) -> Reference:
            """Return the reference with a business identifier if its target has one."""
            text = reference.reference
            if text is None or text.startswith("#") or reference.identifier is not None:
                return reference
            target = self.find(text, url)
            if target is None:
                issues.extend(self._unresolved(text, path))
                return reference
            name = self.names.get(target)
            if "/_history/" in text:
                return reference  # a business identifier would not say which version
            if name is None or written.setdefault(name, text) != text:
                return reference
            return references.with_identifier(reference, name)

        return link


def _identifiers(resource: dict[str, Any]) -> Iterator[Key]:
    listed = resource.get("identifier")
    for identifier in listed if isinstance(listed, list) else [listed]:
        if isinstance(identifier, dict):
            system, value = identifier.get("system"), identifier.get("value")
            if isinstance(system, str) and isinstance(value, str) and system and value:
                yield system, value
