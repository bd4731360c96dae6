"""What a value set holds.  https://hl7.org/fhir/R4/valueset.html#compositions

A question is answered by yes, by no, or by `Undecided` where what is here cannot tell. A value set
of nothing but lists becomes one set of codes a system; another is asked include by include.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Protocol

from fhir_b12.validation.terminology.code_systems import CodeSystem, Undecided, objects
from fhir_b12.validation.terminology.filters import Filter
from fhir_b12.validation.terminology.grammars import GRAMMARS

MOST_CODES = 500_000  #: of one value set
DEEPEST = 30  #: value sets within value sets
MOST_STEPS = 20_000  #: includes looked at for one answer
MOST_TESTS = 5_000_000  #: concepts that filters are tried on for one answer

Codes = Mapping[str, frozenset[str]]  #: code system -> codes


class Library(Protocol):
    """Where a value set finds what it is made of."""

    def system(self, url: str, version: str | None = None) -> CodeSystem | None:
        """The code system of a url, and of that version where one is asked for."""
        ...

    def value_set(self, canonical: str) -> "ValueSet | None":
        """The value set of a canonical url."""
        ...


class Walk:
    """How far one question has led: it ends in bounded time whatever the definitions."""

    def __init__(self) -> None:
        self.open: list[ValueSet] = []
        self._steps = self._tests = 0

    def enter(self, value_set: "ValueSet") -> None:
        """Go into a value set.

        Raises:
            Undecided: it holds itself, or the way has become too long.

        """
        if any(each is value_set for each in self.open):
            raise Undecided(f"{value_set.url} includes itself")
        if len(self.open) >= DEEPEST:
            raise Undecided(f"more than {DEEPEST} value sets within each other")
        self.open.append(value_set)

    def step(self) -> None:
        """Look at one include.

        Raises:
            Undecided: there are too many.

        """
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise Undecided(f"more than {MOST_STEPS:,} includes")

    def test(self, concepts: int) -> None:
        """Try a filter on so many concepts.

        Raises:
            Undecided: that would be too many.

        """
        self._tests += concepts
        if self._tests > MOST_TESTS:
            raise Undecided(f"filters on more than {MOST_TESTS:,} concepts")

    def leave(self) -> None:
        """Come back from it."""
        self.open.pop()


class ValueSet:
    """A ValueSet resource, made ready for asking."""

    def __init__(self, resource: dict[str, Any], library: Library) -> None:
        self.url = str(resource.get("url", ""))
        self.version: str | None = resource.get("version")
        compose = resource.get("compose")
        self._has_inactive = not isinstance(compose, dict) or compose.get("inactive") is not False
        self._include = [Include(each, library) for each in objects(compose, "include")]
        self._exclude = [Include(each, library) for each in objects(compose, "exclude")]
        self._library = library
        self._expansion = _expansion(resource)
        self._codes: Codes | Undecided | None = None

    def contains(self, system: str | None, code: str, walk: Walk | None = None) -> bool:
        """Whether a code is in it; of any system where none is named.

        Raises:
            Undecided: it cannot be told, and why.

        """
        try:
            known = self.codes(walk)
        except Undecided:
            return self._asked(system, code, walk or Walk())
        if system is None:
            return any(code in each for each in known.values())
        return code in known.get(system, ())

    def _asked(self, system: str | None, code: str, walk: Walk) -> bool:
        if self._expansion and code in self._expansion.get(system or "", ()):
            return True
        if not self._include:
            raise Undecided("it is defined by words only")
        walk.enter(self)
        try:
            found = _any(self._include, system, code, walk)
            if found and self._exclude:
                found = not _any(self._exclude, system, code, walk)
        finally:
            walk.leave()
        if found and not self._has_inactive and system is not None:
            return not _is_inactive(self._library, system, code)
        return found

    def codes(self, walk: Walk | None = None) -> Codes:
        """Every code by its system.

        Raises:
            Undecided: there is no list of them here, and why.

        """
        if self._codes is None:
            try:
                self._codes = self._listed(walk or Walk())
            except Undecided as reason:
                self._codes = reason
        if isinstance(self._codes, Undecided):
            raise Undecided(str(self._codes))
        return self._codes

    def _listed(self, walk: Walk) -> Codes:
        if not self._include:
            if self._expansion is not None:
                return self._expansion
            raise Undecided("it is defined by words only")
        walk.enter(self)
        try:
            found = _union(each.codes(walk) for each in self._include)
            barred = _union(each.codes(walk) for each in self._exclude)
        finally:
            walk.leave()
        left = {system: codes - barred.get(system, frozenset()) for system, codes in found.items()}
        if not self._has_inactive:
            left = {system: self._active(system, codes) for system, codes in left.items()}
        return left

    def _active(self, system: str, codes: frozenset[str]) -> frozenset[str]:
        return frozenset(code for code in codes if not _is_inactive(self._library, system, code))

    @cached_property
    def sole_list(self) -> frozenset[str]:
        """The codes of its one include where that names a system and lists codes."""
        only = self._include[0] if len(self._include) == 1 else None
        return only.listed or frozenset() if only and only.system else frozenset()

    @cached_property
    def trusted(self) -> list[str]:
        """The grammars it includes whose well-formed codes count as codes."""
        systems = (each.system or "" for each in self._include if each.listed is None)
        return [each for each in systems if each in GRAMMARS and GRAMMARS[each].is_trusted]


class Include:
    """One `include` or `exclude`: what is of its system and in all its value sets."""

    def __init__(self, row: dict[str, Any], library: Library) -> None:
        system, version = row.get("system"), row.get("version")
        self.system = system if isinstance(system, str) else None
        self.version = version if isinstance(version, str) else None
        self.listed = (
            frozenset(
                code
                for each in objects(row, "concept")
                if isinstance(code := each.get("code"), str)
            )
            if "concept" in row
            else None
        )
        self.filters = [Filter(each) for each in objects(row, "filter")]
        sets = row.get("valueSet")
        self.value_sets = [
            each for each in (sets if isinstance(sets, list) else ()) if isinstance(each, str)
        ]
        self._library = library
        self._kept: dict[int, frozenset[str] | Undecided] = {}

    def contains(self, system: str | None, code: str, walk: Walk) -> bool:
        """Whether a code is of its system and in all its value sets.

        Raises:
            Undecided: it cannot be told, and why.

        """
        if self.system is not None:
            if system not in {None, self.system}:
                return False
            if not self._own(code, walk):
                return False
        elif not self.value_sets:
            raise Undecided("an include names neither system nor value set")
        for url in self.value_sets:
            if not self._imported(url).contains(self.system or system, code, walk):
                return False
        return True

    def _own(self, code: str, walk: Walk) -> bool:
        if self.listed is not None:
            return code in self.listed
        assert self.system is not None
        grammar = GRAMMARS.get(self.system)
        if grammar is not None:
            known = grammar.knows(code)
            if known is False or (known and not self.filters):
                return bool(known)
            raise Undecided(grammar.reason)
        system = self._complete()
        concept = system.find(code)
        return concept is not None and all(
            concept.code in self._passing(number, system, walk)
            for number in range(len(self.filters))
        )

    def _imported(self, url: str) -> ValueSet:
        found = self._library.value_set(url)
        if found is None:
            raise Undecided(f"the value set {url} is not here")
        return found

    def _complete(self) -> CodeSystem:
        """Its code system, if all codes of it are here."""
        assert self.system is not None
        found = self._library.system(self.system, self.version)
        if found is None:
            version = f" version {self.version}" if self.version else ""
            raise Undecided(f"the code system {self.system}{version} is not here")
        if not found.is_complete:
            raise Undecided(f"only part of the code system {self.system} is here")
        return found

    def _passing(self, number: int, system: CodeSystem, walk: Walk) -> frozenset[str]:
        found = self._kept.get(number)
        if found is None:
            try:
                walk.test(len(system.concepts))
                found = self.filters[number].codes(system)
            except Undecided as reason:
                found = reason
            self._kept[number] = found
        if isinstance(found, Undecided):
            raise Undecided(str(found))
        return found

    def codes(self, walk: Walk) -> Codes:
        """Every code by its system.

        Raises:
            Undecided: there is no list of them here, and why.

        """
        walk.step()
        parts: list[Codes] = []
        if self.system is not None:
            parts.append({self.system: self._own_codes(walk)})
        parts += [self._imported(url).codes(walk) for url in self.value_sets]
        if not parts:
            raise Undecided("an include names neither system nor value set")
        common = dict(parts[0])
        for part in parts[1:]:
            common = {
                system: codes & part[system] for system, codes in common.items() if system in part
            }
        return common

    def _own_codes(self, walk: Walk) -> frozenset[str]:
        if self.listed is not None:
            return self.listed
        if self.system in GRAMMARS:
            raise Undecided(f"{self.system} is a grammar and no list")
        system = self._complete()
        found = system.codes
        for number in range(len(self.filters)):
            found &= self._passing(number, system, walk)
        return found


def _any(includes: list[Include], system: str | None, code: str, walk: Walk) -> bool:
    """Whether one of them holds the code.

    Raises:
        Undecided: none does for sure, and one may.

    """
    reason = None
    for each in includes:
        walk.step()
        try:
            if each.contains(system, code, walk):
                return True
        except Undecided as error:
            reason = reason or error
    if reason is not None:
        raise reason
    return False


def _union(parts: Iterable[Codes]) -> dict[str, frozenset[str]]:
    """All codes of all parts.

    Raises:
        Undecided: there are too many.

    """
    found: dict[str, list[frozenset[str]]] = {}
    count = 0
    for part in parts:
        for system, codes in part.items():
            found.setdefault(system, []).append(codes)
            count += len(codes)
        if count > MOST_CODES:
            raise Undecided(f"it has more than {MOST_CODES:,} codes")
    return {
        system: several[0] if len(several) == 1 else frozenset[str]().union(*several)
        for system, several in found.items()
    }


def _is_inactive(library: Library, system: str, code: str) -> bool:
    known = library.system(system)
    concept = known.find(code) if known else None
    return concept is not None and concept.is_inactive


def _expansion(resource: dict[str, Any]) -> Codes | None:
    """The codes of a stored expansion; None where there is none."""
    expansion = resource.get("expansion")
    if not isinstance(expansion, dict):
        return None
    found: dict[str, set[str]] = {}
    rows = list(objects(expansion, "contains"))
    while rows:
        row = rows.pop()
        system, code = row.get("system"), row.get("code")
        if isinstance(system, str) and isinstance(code, str) and row.get("abstract") is not True:
            found.setdefault(system, set()).add(code)
        rows.extend(objects(row, "contains"))
    return {system: frozenset(codes) for system, codes in found.items()}
