"""Tables of clinical codes, looked up by key, code or text.  Data: mappings/codes/*.toml"""

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any

import msgspec

from fhir_b12 import data
from fhir_b12.caching import known_to_msgspec
from fhir_b12.data import TableError, TableFault
from fhir_b12.datatypes import CodeableConcept, Coding

Pair = tuple[str, str]  #: (system URI, code)
_BASE = "https://fhir-b12.org"
_NOT_CONCEPTS = frozenset({"systems", "analytes"})
CODING_LISTS = ("codings", "wider", "read_only")  #: the keys of a row that hold codings


class CodeEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One concept, a row of a code table: its key, its text and the codes that mean it."""

    key: str
    text: str
    source: str
    codings: tuple[Coding, ...] = ()  #: codes with exactly this meaning
    wider: tuple[Coding, ...] = ()  #: broader codes: written as well, never used to identify it
    read_only: tuple[Coding, ...] = ()  #: codes that are read and never written
    spellings: tuple[str, ...] = ()  #: texts accepted if there is no code, lower case
    definition: str | None = None
    unit: str | None = None  #: UCUM code, of a laboratory test
    analyte: str | None = None  #: key of a row of codes/analytes.toml
    mechanism: str | None = None  #: step of absorption that fails, a row of codes/mechanisms.toml
    kind: str | None = None
    role: str | None = None

    @property
    def concept(self) -> CodeableConcept:
        """The concept as it is written to a resource."""
        return CodeableConcept(coding=(*self.codings, *self.wider), text=self.text)


class CodeTable:
    """The concepts of one table, indexed by key, by code and by spelling.

    Args:
        name: name of the table, `lab_tests`.
        rows: the rows of its file by key, as parsed from TOML.

    Raises:
        TableError: rows have faults; all are listed.

    """

    def __init__(self, name: str, rows: dict[str, Any]) -> None:
        self.name = name
        faults: list[TableFault] = []
        file = f"codes/{name}.toml"
        self.entries: dict[str, CodeEntry] = {}
        for key, row in rows.items():
            parsed, row_faults = _parse_row(key, row)
            faults += (TableFault(file, key, part, message) for part, message in row_faults)
            if parsed is not None:
                self.entries[key] = parsed
        self.by_code: dict[Pair, CodeEntry] = {}
        self.by_text: dict[str, CodeEntry] = {}
        self.wider: dict[Pair, list[CodeEntry]] = {}
        for entry in self.entries.values():
            faults += (
                TableFault(file, entry.key, key, message) for key, message in self._index(entry)
            )
        if faults:
            raise TableError(faults)

    def _index(self, entry: CodeEntry) -> Iterator[tuple[str, str]]:
        """Add an entry to the indexes; yield key and message of each clash with another entry."""
        for name in ("codings", "read_only"):
            for i, coding in enumerate(getattr(entry, name)):
                other = self.by_code.setdefault(_pair(coding), entry)
                if other is not entry:
                    yield (
                        f"{name}[{i}]",
                        (
                            f"{coding.system}|{coding.code} already means {other.key}; "
                            "move it to `wider` in both"
                        ),
                    )
        for coding in entry.wider:
            self.wider.setdefault(_pair(coding), []).append(entry)
        for text in entry.spellings:
            other = self.by_text.setdefault(text, entry)
            if other is not entry:
                yield "spellings", f"{text!r} already means {other.key}; remove it from one of them"

    def __getitem__(self, key: str) -> CodeEntry:
        return self.entries[key]

    def __contains__(self, key: object) -> bool:
        return key in self.entries

    def __iter__(self) -> Iterator[CodeEntry]:
        return iter(self.entries.values())

    def __len__(self) -> int:
        return len(self.entries)

    def find(self, concept: CodeableConcept | Coding) -> CodeEntry | None:
        """Return the entry that a concept or code means, None if unknown or ambiguous.

        Codes come first: the one with `userSelected`, else the narrowest. Codes that mean different
        entries give None. The text (or the display of a code of a local or missing system) counts
        if no standard code contradicts it: all codes are local, or wider than the entry.
        """
        if isinstance(concept, Coding):
            return self.by_code.get(_pair(concept))
        standard = _standard_systems()
        coded = sorted(
            (coding for coding in concept.coding if coding.code is not None),
            key=lambda coding: not coding.user_selected,
        )
        pairs = [_pair(coding) for coding in coded]
        matches = [entry for pair in pairs if (entry := self.by_code.get(pair)) is not None]
        if matches:
            chosen = any(coding.user_selected and _pair(coding) in self.by_code for coding in coded)
            return matches[0] if chosen else self._narrowest(matches, pairs)
        local = [c.display for c in concept.coding if not c.code or _pair(c)[0] not in standard]
        texts = [" ".join(text.lower().split()) for text in (concept.text, *local) if text]
        entry = next((self.by_text[text] for text in texts if text in self.by_text), None)
        if entry is None or not pairs:
            return entry
        wider = {_pair(coding) for coding in entry.wider}
        agrees = all(pair in wider or pair[0] not in standard for pair in pairs)
        return entry if agrees else None

    def _narrowest(self, matches: list[CodeEntry], pairs: list[Pair]) -> CodeEntry | None:
        """Return the entry to which all others are wider; None if there is no such entry."""
        for entry in matches:
            if all(other is entry or _is_wider(other, entry, pairs) for other in matches):
                return entry
        return None

    def mechanism(self, concept: CodeableConcept) -> str | None:
        """Return the step of absorption that a concept impairs, None if it has none.

        A code that is only wider than several entries counts if all of them have one mechanism.
        """
        entry = self.find(concept)
        if entry is not None:
            return entry.mechanism
        pairs = [_pair(coding) for coding in concept.coding]
        mechanisms = {entry.mechanism for pair in pairs for entry in self.wider.get(pair, ())}
        return mechanisms.pop() if len(mechanisms) == 1 else None

    def search(self, text: str) -> list[CodeEntry]:
        """Return the entries whose key, texts, codes or displays contain a text, in any case."""
        needle = text.lower()
        return [entry for entry in self if needle in _searchable_text(entry)]


def _is_wider(wide: CodeEntry, narrow: CodeEntry, pairs: list[Pair]) -> bool:
    """Return True if all codes that mean `wide` are listed as wider than `narrow`."""
    own = {_pair(coding) for coding in (*wide.codings, *wide.read_only)} & set(pairs)
    return own <= {_pair(coding) for coding in narrow.wider}


@cache
def _standard_systems() -> frozenset[str]:
    """Return the URIs of the code systems of codes/systems.toml; all others are local."""
    return frozenset(row["uri"] for row in data.toml("codes/systems.toml").values())


def _searchable_text(entry: CodeEntry) -> str:
    codings = (*entry.codings, *entry.wider, *entry.read_only)
    coded = (f"{c.code} {c.display or ''}" for c in codings)
    words = [entry.key, entry.text, *entry.spellings, *coded]
    return " ".join(words).lower()


def _pair(coding: Coding) -> Pair:
    return coding.system or "", coding.code or ""


def _parse_row(key: str, row: Any) -> tuple[CodeEntry | None, list[tuple[str, str]]]:
    """Return the entry of a row, None if its shape is wrong, with key and message of its faults."""
    if not isinstance(row, dict):
        return None, [("", f"not a row; write [{key}] with text and source below it")]
    fields = {"key": key, **row}
    faults = list(_coding_faults(row))
    known = data.toml("codes/systems.toml")
    if not faults:
        for name in CODING_LISTS:
            fields[name] = [{**c, "system": known[c["system"]]["uri"]} for c in row.get(name, ())]
    for name, table in (("mechanism", "codes/mechanisms.toml"), ("analyte", "codes/analytes.toml")):
        if name in row and row[name] not in list(data.toml(table)):
            keys = ", ".join(data.toml(table))
            faults.append((name, f"unknown {name} {row[name]!r}; the rows of {table} are {keys}"))
    entry = None
    try:
        entry = None if faults else msgspec.convert(fields, known_to_msgspec(CodeEntry))
    except msgspec.ValidationError as error:
        faults.append(("", str(error).replace("`", "")))
    if entry is not None:
        faults += _text_faults(entry)
    return entry, faults


def _coding_faults(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield key and message of each fault in the lists of codings of a row."""
    known = data.toml("codes/systems.toml")
    lists: dict[tuple[Any, Any], str] = {}
    for name in CODING_LISTS:
        codings = row.get(name, [])
        if not isinstance(codings, list) or not all(isinstance(c, dict) for c in codings):
            yield name, "not a list of codings; write [{ system = ..., code = ... }]"
            continue
        for i, coding in enumerate(codings):
            where, system, code = f"{name}[{i}]", coding.get("system"), coding.get("code")
            if system not in list(known):
                yield (
                    f"{where}.system",
                    f"unknown code system {system!r}; the rows of codes/systems.toml are "
                    + ", ".join(known),
                )
            if not isinstance(code, str) or not code:
                yield f"{where}.code", "the code is missing; add it"
            for unknown in coding.keys() - {"system", "code", "display"}:
                yield where, f"unknown key {unknown!r}; a coding has system, code and display"
            before = lists.setdefault((str(system), str(code)), name)
            if before != name:
                yield where, f"{system}|{code} is also in `{before}`; keep one"


def _text_faults(entry: CodeEntry) -> Iterator[tuple[str, str]]:
    """Yield key and message of each fault in the source and the spellings of an entry."""
    if not entry.source.strip():
        yield "source", "the source is empty; cite a document with both code and text"
    for text in entry.spellings:
        if text != " ".join(text.lower().split()):
            yield "spellings", f"{text!r} never matches; write lower case and single spaces"


@cache
def table(name: str) -> CodeTable:
    """Return the table `mappings/codes/NAME.toml`.

    Raises:
        KeyError: the table does not exist.
        TableError: the table has faults; all are listed.

    """
    if name not in tables():
        raise KeyError(name)
    return CodeTable(name, data.toml(f"codes/{name}.toml"))


@cache
def tables() -> tuple[str, ...]:
    """Return the names of all code tables, sorted."""
    files = data.mappings().joinpath("codes").iterdir()
    names = {file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")}
    return tuple(sorted(names - _NOT_CONCEPTS))


# --- check digits

_MOD_10 = re.compile(r"(\d{1,7})-(\d)", re.ASCII)
_VERHOEFF = re.compile(r"[1-9]\d{5,17}", re.ASCII)
_VERHOEFF_PERMUTATION = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


@lru_cache(maxsize=1024)
def has_mod_10_check_digit(code: str) -> bool | None:
    """Return True if the digit after the hyphen is the mod 10 check digit of the others.

    LOINC codes have one.  https://loinc.org/kb/faq/structure/

    Args:
        code: digits, a hyphen, one digit.

    Returns:
        None if the code has another form.

    """
    parts = _MOD_10.fullmatch(code)
    if parts is None:
        return None
    total = 0
    for position, digit in enumerate(reversed(parts[1])):
        doubled = int(digit) * (2 if position % 2 == 0 else 1)
        total += doubled // 10 + doubled % 10
    return (10 - total % 10) % 10 == int(parts[2])


@lru_cache(maxsize=1024)
def has_verhoeff_check_digit(code: str) -> bool | None:
    """Return True if the last digit is the Verhoeff check digit of the others.

    SNOMED CT identifiers have one.
    https://confluence.ihtsdotools.org/display/DOCRELFMT/Appendix+B+-+Check-digit+computation

    Args:
        code: 6 to 18 digits, the first not zero.

    Returns:
        None if the code has another form.

    """
    if _VERHOEFF.fullmatch(code) is None:
        return None
    check = 0
    for position, digit in enumerate(reversed(code)):
        permuted = int(digit)
        for _ in range(position % 8):
            permuted = _VERHOEFF_PERMUTATION[permuted]
        check = _multiply_in_d5(check, permuted)
    return check == 0


def _multiply_in_d5(left: int, right: int) -> int:
    """Multiply in the dihedral group of a pentagon: turns are 0 to 4, reflections 5 to 9."""
    turned = (left + right if left < 5 else left - right) % 5
    return turned if (left < 5) == (right < 5) else turned + 5


# --- export as FHIR resources


def _canonical_url(resource_type: str, name: str) -> str:
    return f"{_BASE}/{resource_type}/{name.replace('_', '-')}"


def code_system(name: str) -> dict[str, Any]:
    """Return the keys of a table as a CodeSystem.  https://hl7.org/fhir/R4/codesystem.html"""
    return {
        "resourceType": "CodeSystem",
        "url": _canonical_url("CodeSystem", name),
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
    """Return the codes of a table's concepts as a ValueSet; all its keys if no concept has a code.

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
        "url": _canonical_url("ValueSet", name),
        "status": "active",
        "compose": {"include": include or [{"system": _canonical_url("CodeSystem", name)}]},
    }


def concept_map(name: str) -> dict[str, Any]:
    """Return the map from a table's keys to standard codes and to mechanisms of absorption.

    https://hl7.org/fhir/R4/conceptmap.html
    """
    groups: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for entry in table(name):
        for system, target in _map_targets(entry):
            groups.setdefault(system, {}).setdefault(entry.key, []).append(target)
    group = [
        {
            "source": _canonical_url("CodeSystem", name),
            "target": system,
            "element": [{"code": key, "target": targets} for key, targets in elements.items()],
        }
        for system, elements in groups.items()
    ]
    return {
        "resourceType": "ConceptMap",
        "url": _canonical_url("ConceptMap", name),
        "status": "active",
        **({"group": group} if group else {}),
    }


def _map_targets(entry: CodeEntry) -> Iterator[tuple[str, dict[str, Any]]]:
    for codings, equivalence in ((entry.codings, "equivalent"), (entry.wider, "wider")):
        for coding in codings:
            yield coding.system or "", {"code": coding.code, "equivalence": equivalence}
    if entry.mechanism:
        yield (
            _canonical_url("CodeSystem", "mechanisms"),
            {
                "code": entry.mechanism,
                "equivalence": "relatedto",
            },
        )
