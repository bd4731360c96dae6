"""A code system, made ready for looking up.  https://hl7.org/fhir/R4/codesystem.html"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import msgspec

MOST_CONCEPTS = 500_000  #: what is larger belongs on a terminology server

_INACTIVE = frozenset({"retired", "inactive"})
_PARENT, _CHILD = "parent", "child"


class Undecided(Exception):  # noqa: N818 - it never leaves the terminology
    """Why something cannot be told here."""


class Concept(msgspec.Struct, frozen=True):
    """One code and what is said of it."""

    code: str
    display: str | None = None
    displays: tuple[tuple[str | None, str], ...] = ()  #: (language, text) of its designations
    properties: tuple[tuple[str, str], ...] = ()
    parents: tuple[str, ...] = ()

    @property
    def statuses(self) -> frozenset[str]:
        """What its property `status` says.  https://hl7.org/fhir/R4/codesystem-concept-properties.html"""
        return frozenset(value for name, value in self.properties if name == "status")

    @property
    def is_inactive(self) -> bool:
        """True of one that is no longer to be used."""
        return ("inactive", "true") in self.properties or bool(self.statuses & _INACTIVE)

    @property
    def is_deprecated(self) -> bool:
        """True of one that will go: it may be used, but should not."""
        names = {name for name, _ in self.properties}
        return "deprecated" in self.statuses or "deprecationDate" in names

    def says(self, name: str) -> tuple[str, ...]:
        """The values of a property, `display` and `parent` among them."""
        if name in {"code", "concept"}:
            return (self.code,)
        if name == "display":
            return (self.display,) if self.display else ()
        if name == _PARENT:
            return self.parents
        return tuple(value for each, value in self.properties if each == name)

    def accepts(self, language: str | None) -> list[str]:
        """The displays that are right in a language: its own, and those of no language."""
        first = (language or "en").partition("-")[0].lower()
        fitting = [
            text
            for tongue, text in self.displays
            if tongue is None or tongue.partition("-")[0].lower() == first
        ]
        return [self.display, *fitting] if self.display else fitting


class CodeSystem:
    """The concepts of a CodeSystem resource, read when first asked for."""

    def __init__(self, resource: dict[str, Any]) -> None:
        self._resource = resource
        self.url: str = str(resource.get("url", ""))
        self.version: str | None = resource.get("version")
        self.content = resource.get("content")
        self._concepts: dict[str, Concept] | None = None
        self._is_too_large = False
        self.is_cased = resource.get("caseSensitive") is True

    @property
    def is_complete(self) -> bool:
        """Whether a code that is not in it is none."""
        return self.content == "complete"

    @property
    def is_usable(self) -> bool:
        """Whether anything can be said of its codes: examples and supplements say nothing."""
        return self.content in {"complete", "fragment"}

    @property
    def concepts(self) -> dict[str, Concept]:
        """Every concept by its code, however deep.

        Raises:
            Undecided: there are more than MOST_CONCEPTS.

        """
        if self._concepts is None:
            self._concepts = self._read()
        if not self._concepts and self._is_too_large:
            raise Undecided(f"{self.url} has more than {MOST_CONCEPTS:,} concepts")
        return self._concepts

    def _read(self) -> dict[str, Concept]:
        known: dict[str, Concept] = {}
        rows: list[tuple[dict[str, Any], str | None]] = [
            (row, None) for row in objects(self._resource, "concept")
        ]
        rows.reverse()
        further: dict[str, list[str]] = {}
        while rows:
            row, parent = rows.pop()
            code = row.get("code")
            if not isinstance(code, str):
                continue
            if len(known) >= MOST_CONCEPTS:
                self._is_too_large = True
                return {}
            concept = _concept(code, row, parent)
            known.setdefault(code, concept)
            for child in concept.says(_CHILD):
                further.setdefault(child, []).append(code)
            rows.extend((child, code) for child in reversed(list(objects(row, "concept"))))
        for child, parents in further.items():
            if child in known:
                also = dict.fromkeys((*known[child].parents, *parents))
                known[child] = msgspec.structs.replace(known[child], parents=tuple(also))
        return known

    @cached_property
    def codes(self) -> frozenset[str]:
        """Every code."""
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
        """The concept of a code, written in any case where case does not matter."""
        found = self.concepts.get(code)
        if found is None and not self.is_cased:
            right = self._folded.get(code.lower())
            return None if right is None else self.concepts[right]
        return found

    def near(self, code: str) -> str | None:
        """The one code that differs from a text by case and outer white space alone."""
        folded = code.strip().lower()
        found = [each for each in self.concepts if each.lower() == folded]
        return found[0] if len(found) == 1 else None

    def below(self, code: str) -> frozenset[str]:
        """A code and all that are kinds of it; none where there is no such code."""
        if code not in self.concepts:
            return frozenset()
        found, open_ = {code}, [code]
        while open_:
            for child in self._children.get(open_.pop(), ()):
                if child not in found:
                    found.add(child)
                    open_.append(child)
        return frozenset(found)

    def above(self, code: str) -> frozenset[str]:
        """A code and all that it is a kind of; none where there is no such code."""
        if code not in self.concepts:
            return frozenset()
        found, open_ = {code}, [code]
        while open_:
            for parent in self.concepts[open_.pop()].parents:
                if parent not in found and parent in self.concepts:
                    found.add(parent)
                    open_.append(parent)
        return frozenset(found)


def objects(owner: Any, name: str) -> Iterator[dict[str, Any]]:
    """The objects of a list of a definition, which nobody may have checked."""
    held = owner.get(name) if isinstance(owner, dict) else None
    return (each for each in (held if isinstance(held, list) else ()) if isinstance(each, dict))


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
    for each in objects(row, "designation"):
        text, language = each.get("value"), each.get("language")
        if isinstance(text, str):
            yield (language if isinstance(language, str) else None), text


def _properties(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for each in objects(row, "property"):
        value = next((value for key, value in each.items() if key.startswith("value")), None)
        if isinstance(value, dict):
            value = value.get("code")
        if isinstance(value, bool):
            value = "true" if value else "false"
        if value is not None:
            yield str(each.get("code")), str(value)
