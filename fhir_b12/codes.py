"""Clinical codes: looked up both ways, each concept by one key.  Data: mappings/codes/*.toml"""

from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec

from fhir_b12 import canonical, data
from fhir_b12.datatypes import CodeableConcept, Coding

Pair = tuple[str, str]  # (system URI, code)
_BASE = "https://fhir-b12.org"
_NOT_CONCEPTS = frozenset({"systems", "analytes"})
_LISTS = ("codings", "wider", "read_only")


class TableError(ValueError):
    """A table with slips; the message lists all of them with file, key and remedy."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One concept: our key and words, and the codes that mean it."""

    key: str
    text: str
    source: str
    codings: tuple[Coding, ...] = ()  #: mean just this
    wider: tuple[Coding, ...] = ()  #: written beside: not just this, so they never identify it
    read_only: tuple[Coding, ...] = ()  #: read, never written
    spellings: tuple[str, ...] = ()  #: texts accepted where there is no code, lower case
    definition: str | None = None
    unit: str | None = None  #: UCUM, of a laboratory test
    analyte: str | None = None
    mechanism: str | None = None  #: step of absorption that fails
    kind: str | None = None
    role: str | None = None

    @property
    def concept(self) -> CodeableConcept:
        """The concept as it is written."""
        return CodeableConcept(coding=(*self.codings, *self.wider), text=self.text)


class CodeTable:
    """The concepts of one table, by key and by code."""

    def __init__(self, name: str, rows: dict[str, Any]) -> None:
        self.name = name
        slips: list[str] = []
        self.entries = {
            key: entry for key, row in rows.items() if (entry := _entry(key, row, slips))
        }
        self.by_code: dict[Pair, Entry] = {}
        self.by_text: dict[str, Entry] = {}
        self.wider: dict[Pair, list[Entry]] = {}
        for entry in self.entries.values():
            self._index(entry, slips)
        if slips:
            raise TableError("\n".join(f"codes/{name}.toml: {slip}" for slip in slips))

    def _index(self, entry: Entry, slips: list[str]) -> None:
        for coding in (*entry.codings, *entry.read_only):
            other = self.by_code.setdefault(_pair(coding), entry)
            if other is not entry:
                slips.append(
                    f"{entry.key}: {coding.system}|{coding.code} already means {other.key}; "
                    "move it to `wider` in both"
                )
        for coding in entry.wider:
            self.wider.setdefault(_pair(coding), []).append(entry)
        for text in entry.spellings:
            other = self.by_text.setdefault(text, entry)
            if other is not entry:
                slips.append(f"{entry.key}: the spelling {text!r} already means {other.key}")

    def __getitem__(self, key: str) -> Entry:
        return self.entries[key]

    def __contains__(self, key: object) -> bool:
        return key in self.entries

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries.values())

    def __len__(self) -> int:
        return len(self.entries)

    def find(self, concept: CodeableConcept | Coding) -> Entry | None:
        """What a concept means here: by the code the user chose, by any code, by its text."""
        if isinstance(concept, Coding):
            return self.by_code.get(_pair(concept))
        for coding in sorted(concept.coding, key=lambda each: not each.user_selected):
            entry = self.by_code.get(_pair(coding))
            if entry is not None:
                return entry
        if concept.coding or concept.text is None:
            return None
        return self.by_text.get(" ".join(concept.text.lower().split()))

    def mechanism(self, concept: CodeableConcept) -> str | None:
        """The step of absorption a concept breaks; of wider codes only where all agree."""
        entry = self.find(concept)
        if entry is not None:
            return entry.mechanism
        pairs = [_pair(coding) for coding in concept.coding]
        found = {each.mechanism for pair in pairs for each in self.wider.get(pair, ())}
        return found.pop() if len(found) == 1 else None

    def search(self, text: str) -> list[Entry]:
        """The rows whose key, words, codes or displays contain a text."""
        wanted = text.lower()
        return [entry for entry in self if wanted in _words(entry)]


def _words(entry: Entry) -> str:
    codings = (*entry.codings, *entry.wider)
    words = [entry.key, entry.text, *(f"{c.code} {c.display or ''}" for c in codings)]
    return " ".join(words).lower()


def _pair(coding: Coding) -> Pair:
    return coding.system or "", coding.code or ""


def _entry(key: str, row: dict[str, Any], slips: list[str]) -> Entry | None:
    row = {"key": key, **row}
    known = data.toml("codes/systems.toml")
    for name in _LISTS:
        for coding in row.get(name, ()):
            if coding.get("system") not in known:
                slips.append(
                    f"{key}: no system {coding.get('system')!r}; there are {', '.join(known)}"
                )
                return None
        row[name] = [{**c, "system": known[c["system"]]["uri"]} for c in row.get(name, ())]
    for name, where in (("mechanism", "codes/mechanisms.toml"), ("analyte", "codes/analytes.toml")):
        if row.get(name) is not None and row[name] not in data.toml(where):
            slips.append(f"{key}: no {name} {row[name]!r}; there are {', '.join(data.toml(where))}")
    try:
        return msgspec.convert(row, Entry)
    except msgspec.ValidationError as error:
        slips.append(f"{key}: {error}")
        return None


@cache
def table(name: str) -> CodeTable:
    """The table `mappings/codes/NAME.toml`.

    Raises:
        TableError: it has slips; all are listed.
        KeyError: there is no such table.

    """
    if name not in tables():
        raise KeyError(name)
    return CodeTable(name, data.toml(f"codes/{name}.toml"))


@cache
def tables() -> tuple[str, ...]:
    """The names of all tables."""
    files = data.mappings().joinpath("codes").iterdir()
    names = {file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")}
    return tuple(sorted(names - _NOT_CONCEPTS))


def canonical_system(uri: str) -> str:
    """The canonical URI of a code system; the same for one that is not known."""
    return canonical.systems().get(uri, uri)


def code_system(name: str) -> dict[str, Any]:
    """A table's keys as a CodeSystem.  https://hl7.org/fhir/R4/codesystem.html"""
    return {
        "resourceType": "CodeSystem",
        "url": f"{_BASE}/CodeSystem/{name.replace('_', '-')}",
        "status": "active",
        "content": "complete",
        "caseSensitive": True,
        "concept": [
            {"code": entry.key, "display": entry.text}
            | ({"definition": entry.definition} if entry.definition else {})
            for entry in table(name)
        ],
    }


def value_set(name: str) -> dict[str, Any]:
    """The codes that mean a table's concepts.  https://hl7.org/fhir/R4/valueset.html"""
    by_system: dict[str, list[dict[str, Any]]] = {}
    for entry in table(name):
        for coding in entry.codings:
            concept = {"code": coding.code} | (
                {"display": coding.display} if coding.display else {}
            )
            by_system.setdefault(coding.system or "", []).append(concept)
    include = [{"system": system, "concept": codes} for system, codes in by_system.items()]
    return {
        "resourceType": "ValueSet",
        "url": f"{_BASE}/ValueSet/{name.replace('_', '-')}",
        "status": "active",
        "compose": {"include": include},
    }


def concept_map(name: str) -> dict[str, Any]:
    """A table's keys to standard codes.  https://hl7.org/fhir/R4/conceptmap.html"""
    groups: dict[str, list[dict[str, Any]]] = {}
    for entry in table(name):
        targets: dict[str, list[dict[str, Any]]] = {}
        for codings, equivalence in ((entry.codings, "equivalent"), (entry.wider, "wider")):
            for coding in codings:
                target = {"code": coding.code, "equivalence": equivalence}
                targets.setdefault(coding.system or "", []).append(target)
        for system, found in targets.items():
            groups.setdefault(system, []).append({"code": entry.key, "target": found})
    source = f"{_BASE}/CodeSystem/{name.replace('_', '-')}"
    return {
        "resourceType": "ConceptMap",
        "url": f"{_BASE}/ConceptMap/{name.replace('_', '-')}",
        "status": "active",
        "group": [
            {"source": source, "target": system, "element": elements}
            for system, elements in groups.items()
        ],
    }
