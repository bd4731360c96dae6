"""Clinical codes: looked up both ways, each concept by one key.  Data: mappings/codes/*.toml"""

from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec

from fhir_b12 import data
from fhir_b12.caching import learned
from fhir_b12.data import TableError
from fhir_b12.datatypes import CodeableConcept, Coding

Pair = tuple[str, str]  # (system URI, code)
_BASE = "https://fhir-b12.org"
_NOT_CONCEPTS = frozenset({"systems", "analytes"})
_LISTS = ("codings", "wider", "read_only")


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
        """What a concept means here: by the code the user chose, by any code, by its text.

        Of two codes the narrower counts; two that mean different things mean nothing. A text, or
        the display of a local code or of none, counts where no code says otherwise: beside none,
        beside local ones, and beside those that are wider than what the text names.
        """
        if isinstance(concept, Coding):
            return self.by_code.get(_pair(concept))
        standard = _standard_systems()
        coded = sorted(
            (coding for coding in concept.coding if coding.code is not None),
            key=lambda each: not each.user_selected,
        )
        pairs = [_pair(coding) for coding in coded]
        found = [entry for pair in pairs if (entry := self.by_code.get(pair)) is not None]
        if found:
            chosen = any(coding.user_selected and _pair(coding) in self.by_code for coding in coded)
            return found[0] if chosen else self._narrowest(found, pairs)
        own = [c.display for c in concept.coding if not c.code or _pair(c)[0] not in standard]
        words = [concept.text, *own]
        texts = [" ".join(text.lower().split()) for text in words if text]
        entry = next((self.by_text[text] for text in texts if text in self.by_text), None)
        if entry is None or not pairs:
            return entry
        beside = {_pair(coding) for coding in entry.wider}
        silent = all(pair in beside or pair[0] not in standard for pair in pairs)
        return entry if silent else None

    def _narrowest(self, found: list[Entry], pairs: list[Pair]) -> Entry | None:
        """The one that all codes mean, each other being written beside it; None of several."""
        for entry in found:
            if all(other is entry or _is_beside(other, entry, pairs) for other in found):
                return entry
        return None

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


def _is_beside(wide: Entry, narrow: Entry, pairs: list[Pair]) -> bool:
    """Whether one concept is there only because its code is written beside the other's."""
    own = {_pair(coding) for coding in (*wide.codings, *wide.read_only)} & set(pairs)
    return own <= {_pair(coding) for coding in narrow.wider}


@cache
def _standard_systems() -> frozenset[str]:
    """The systems whose codes are known here: any other's are the sender's own."""
    return frozenset(row["uri"] for row in data.toml("codes/systems.toml").values())


def _words(entry: Entry) -> str:
    codings = (*entry.codings, *entry.wider)
    words = [entry.key, entry.text, *(f"{c.code} {c.display or ''}" for c in codings)]
    return " ".join(words).lower()


def _pair(coding: Coding) -> Pair:
    return coding.system or "", coding.code or ""


def _entry(key: str, row: Any, slips: list[str]) -> Entry | None:
    if not isinstance(row, dict):
        slips.append(f"{key}: not a row; write [{key}] with text and source below it")
        return None
    made = {"key": key, **row}
    wrong = list(_coding_slips(key, row))
    known = data.toml("codes/systems.toml")
    if not wrong:
        for name in _LISTS:
            made[name] = [{**c, "system": known[c["system"]]["uri"]} for c in row.get(name, ())]
    for name, where in (("mechanism", "codes/mechanisms.toml"), ("analyte", "codes/analytes.toml")):
        if name in row and row[name] not in list(data.toml(where)):
            wrong.append(f"{key}: no {name} {row[name]!r}; there are {', '.join(data.toml(where))}")
    try:
        entry = None if wrong else msgspec.convert(made, learned(Entry))
    except msgspec.ValidationError as error:
        entry, wrong = None, [f"{key}: {error}"]
    if entry is not None:
        wrong += _word_slips(entry)
    slips += wrong
    return entry


def _coding_slips(key: str, row: dict[str, Any]) -> Iterator[str]:
    known = data.toml("codes/systems.toml")
    seen: dict[tuple[Any, Any], str] = {}
    for name in _LISTS:
        held = row.get(name, [])
        if not isinstance(held, list) or not all(isinstance(coding, dict) for coding in held):
            yield f"{key}: {name} is no list of codings; write [{{ system = ..., code = ... }}]"
            continue
        for coding in held:
            system, code = coding.get("system"), coding.get("code")
            if system not in list(known):
                yield f"{key}: no system {system!r}; there are {', '.join(known)}"
            if not isinstance(code, str) or not code:
                yield f"{key}: a coding in {name} has no code; give it one"
            for odd in coding.keys() - {"system", "code", "display"}:
                yield f"{key}: a coding has no {odd!r}; it has system, code and display"
            before = seen.setdefault((str(system), str(code)), name)
            if before != name:
                yield f"{key}: {system}|{code} stands in {before} and in {name}; keep one"


def _word_slips(entry: Entry) -> Iterator[str]:
    if not entry.source.strip():
        yield f"{entry.key}: no source; say where code and name were seen together"
    for text in entry.spellings:
        if text != " ".join(text.lower().split()):
            yield f"{entry.key}: the spelling {text!r} is never met; lower case, single spaces"


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


def _url(kind: str, name: str) -> str:
    return f"{_BASE}/{kind}/{name.replace('_', '-')}"


def code_system(name: str) -> dict[str, Any]:
    """A table's keys as a CodeSystem.  https://hl7.org/fhir/R4/codesystem.html"""
    return {
        "resourceType": "CodeSystem",
        "url": _url("CodeSystem", name),
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
    """The codes that mean a table's concepts; our own keys where none of them has a code.

    https://hl7.org/fhir/R4/valueset.html
    """
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
        "url": _url("ValueSet", name),
        "status": "active",
        "compose": {"include": include or [{"system": _url("CodeSystem", name)}]},
    }


def concept_map(name: str) -> dict[str, Any]:
    """A table's keys to standard codes, and to the step of absorption that each breaks.

    https://hl7.org/fhir/R4/conceptmap.html
    """
    groups: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for entry in table(name):
        for system, target in _targets(entry):
            groups.setdefault(system, {}).setdefault(entry.key, []).append(target)
    written = [
        {
            "source": _url("CodeSystem", name),
            "target": system,
            "element": [{"code": key, "target": targets} for key, targets in elements.items()],
        }
        for system, elements in groups.items()
    ]
    return {
        "resourceType": "ConceptMap",
        "url": _url("ConceptMap", name),
        "status": "active",
        **({"group": written} if written else {}),
    }


def _targets(entry: Entry) -> Iterator[tuple[str, dict[str, Any]]]:
    for codings, equivalence in ((entry.codings, "equivalent"), (entry.wider, "wider")):
        for coding in codings:
            yield coding.system or "", {"code": coding.code, "equivalence": equivalence}
    if entry.mechanism:
        yield (
            _url("CodeSystem", "mechanisms"),
            {
                "code": entry.mechanism,
                "equivalence": "relatedto",
            },
        )
