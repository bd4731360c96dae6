"""Code systems with an index of their concepts.  https://hl7.org/fhir/R4/codesystem.html"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import msgspec

MAX_CONCEPTS = 500_000  #: a larger code system needs a terminology server

_INACTIVE = frozenset({"retired", "inactive"})
_PARENT, _CHILD = "parent", "child"


class Undecided(Exception):  # noqa: N818 - it never leaves the terminology
    """The loaded definitions cannot decide a question; the message is the reason."""


class Concept(msgspec.Struct, frozen=True):
    """One concept of a code system."""

    code: str
    display: str | None = None
    displays: tuple[tuple[str | None, str], ...] = ()  #: (language, text) of its designations
    properties: tuple[tuple[str, str], ...] = ()
    parents: tuple[str, ...] = ()

    @property
    def statuses(self) -> frozenset[str]:
        """The values of its property `status`.  https://hl7.org/fhir/R4/codesystem-concept-properties.html"""
        return frozenset(value for name, value in self.properties if name == "status")

    @property
    def is_inactive(self) -> bool:
        """True if the concept must no longer be used."""
        return ("inactive", "true") in self.properties or bool(self.statuses & _INACTIVE)

    @property
    def is_deprecated(self) -> bool:
        """True if the concept may be used but should not be in new data."""
        names = {name for name, _ in self.properties}
        return "deprecated" in self.statuses or "deprecationDate" in names

    def property_values(self, name: str) -> tuple[str, ...]:
        """Return the values of a property; `code`, `display` and `parent` count as such."""
        if name in {"code", "concept"}:
            return (self.code,)
        if name == "display":
            return (self.display,) if self.display else ()
        if name == _PARENT:
            return self.parents
        return tuple(value for known, value in self.properties if known == name)

    def displays_in(self, language: str | None) -> list[str]:
        """Return the displays that are right in a language; those without one always are."""
        primary = (language or "en").partition("-")[0].lower()
        fitting = [
            text
            for tag, text in self.displays
            if tag is None or tag.partition("-")[0].lower() == primary
        ]
        return [self.display, *fitting] if self.display else fitting


class CodeSystem:
    """The concepts of a CodeSystem resource, read on first use."""

    def __init__(self, resource: dict[str, Any]) -> None:
        self._resource = resource
        self.url: str = str(resource.get("url", ""))
        self.version: str | None = resource.get("version")
        self.content = resource.get("content")
        self._concepts: dict[str, Concept] | None = None
        self._is_too_large = False
        self.is_case_sensitive = resource.get("caseSensitive") is True

    @property
    def is_complete(self) -> bool:
        """True if all its codes are listed, so that any other code is invalid."""
        return self.content == "complete"

    @property
    def is_usable(self) -> bool:
        """True if its codes can be validated; those of examples and supplements cannot."""
        return self.content in {"complete", "fragment"}

    @property
    def concepts(self) -> dict[str, Concept]:
        """The concepts by code, at any depth.

        Raises:
            Undecided: There are more than MAX_CONCEPTS.

        """
        if self._concepts is None:
            self._concepts = self._read()
        if not self._concepts and self._is_too_large:
            raise Undecided(f"{self.url} has more than {MAX_CONCEPTS:,} concepts")
        return self._concepts

    def _read(self) -> dict[str, Concept]:
        concepts: dict[str, Concept] = {}
        rows: list[tuple[dict[str, Any], str | None]] = [
            (row, None) for row in objects(self._resource, "concept")
        ]
        rows.reverse()
        more_parents: dict[str, list[str]] = {}
        while rows:
            row, parent = rows.pop()
            code = row.get("code")
            if not isinstance(code, str):
                continue
            if len(concepts) >= MAX_CONCEPTS:
                self._is_too_large = True
                return {}
            concept = _concept(code, row, parent)
            concepts.setdefault(code, concept)
            for child in concept.property_values(_CHILD):
                more_parents.setdefault(child, []).append(code)
            rows.extend((child, code) for child in reversed(list(objects(row, "concept"))))
        for child, parents in more_parents.items():
            if child in concepts:
                merged = dict.fromkeys((*concepts[child].parents, *parents))
                concepts[child] = msgspec.structs.replace(concepts[child], parents=tuple(merged))
        return concepts

    @cached_property
    def codes(self) -> frozenset[str]:
        """The codes of all concepts."""
        return frozenset(self.concepts)

    @cached_property
    def _folded(self) -> dict[str, str]:
        return {code.lower(): code for code in reversed(self.concepts)}

    @cached_property
    def _children(self) -> dict[str, list[str]]:
        children: dict[str, list[str]] = {}
        for concept in self.concepts.values():
            for parent in concept.parents:
                children.setdefault(parent, []).append(concept.code)
        return children

    def find(self, code: str) -> Concept | None:
        """Return the concept of a code, None if unknown; case matters if `is_case_sensitive`."""
        concept = self.concepts.get(code)
        if concept is None and not self.is_case_sensitive:
            right = self._folded.get(code.lower())
            return None if right is None else self.concepts[right]
        return concept

    def near(self, code: str) -> str | None:
        """Return the one code that differs only in case and outer white space, None if unclear."""
        folded = code.strip().lower()
        matches = [known for known in self.concepts if known.lower() == folded]
        return matches[0] if len(matches) == 1 else None

    def descendants(self, code: str) -> frozenset[str]:
        """Return a code and all codes below it, empty for an unknown code."""
        if code not in self.concepts:
            return frozenset()
        codes, pending = {code}, [code]
        while pending:
            for child in self._children.get(pending.pop(), ()):
                if child not in codes:
                    codes.add(child)
                    pending.append(child)
        return frozenset(codes)

    def ancestors(self, code: str) -> frozenset[str]:
        """Return a code and all codes above it, empty for an unknown code."""
        if code not in self.concepts:
            return frozenset()
        codes, pending = {code}, [code]
        while pending:
            for parent in self.concepts[pending.pop()].parents:
                if parent not in codes and parent in self.concepts:
                    codes.add(parent)
                    pending.append(parent)
        return frozenset(codes)


def objects(owner: Any, name: str) -> Iterator[dict[str, Any]]:
    """Return the objects in a list of a definition whose shape was not checked."""
    rows = owner.get(name) if isinstance(owner, dict) else None
    return (row for row in (rows if isinstance(rows, list) else ()) if isinstance(row, dict))


def _concept(code: str, row: dict[str, Any], parent: str | None) -> Concept:
    display = row.get("display")
    properties = tuple(_properties(row))
    parents = [value for name, value in properties if name == _PARENT]
    return Concept(
        code,
        display if isinstance(display, str) else None,
        tuple(_designations(row)),
        properties,
        tuple(dict.fromkeys([*([parent] if parent else []), *parents])),
    )


def _designations(row: dict[str, Any]) -> Iterator[tuple[str | None, str]]:
    for designation in objects(row, "designation"):
        text, language = designation.get("value"), designation.get("language")
        if isinstance(text, str):
            yield (language if isinstance(language, str) else None), text


def _properties(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for property_ in objects(row, "property"):
        value = next((value for key, value in property_.items() if key.startswith("value")), None)
        if isinstance(value, dict):
            value = value.get("code")
        if isinstance(value, bool):
            value = "true" if value else "false"
        if value is not None:
            yield str(property_.get("code")), str(value)
