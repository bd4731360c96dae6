"""Membership and expansion of value sets.  https://hl7.org/fhir/R4/valueset.html#compositions

An answer is yes, no, or the exception `Undecided` if the loaded definitions cannot decide. A value
set whose includes can all be listed is expanded once into codes by system; another one is evaluated
include by include.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Protocol

from fhir_b12.validation.terminology.code_systems import CodeSystem, Undecided, objects
from fhir_b12.validation.terminology.filters import Filter
from fhir_b12.validation.terminology.grammars import GRAMMARS

MAX_CODES = 500_000  #: of one value set
MAX_DEPTH = 30  #: value sets that import each other
MAX_INCLUDES = 20_000  #: evaluated for one answer
MAX_FILTERED_CONCEPTS = 5_000_000  #: concepts that filters are applied to for one answer

Codes = Mapping[str, frozenset[str]]  #: code system -> codes


class TerminologyResolver(Protocol):
    """Source of the code systems and value sets that a value set includes."""

    def system(self, url: str, version: str | None = None) -> CodeSystem | None:
        """Return the code system of a url and version, None if not loaded."""
        ...

    def value_set(self, canonical: str) -> "ValueSet | None":
        """Return the value set of a canonical url, None if not loaded."""
        ...


class ExpansionBudget:
    """Limits for one question, so that hostile definitions end in bounded time."""

    def __init__(self) -> None:
        self.entered: list[ValueSet] = []
        self._includes = self._concepts = 0

    def enter(self, value_set: "ValueSet") -> None:
        """Start to evaluate a value set.

        Raises:
            Undecided: The value set includes itself, or the imports are too deep.

        """
        if any(entered is value_set for entered in self.entered):
            raise Undecided(f"{value_set.url} includes itself")
        if len(self.entered) >= MAX_DEPTH:
            raise Undecided(f"more than {MAX_DEPTH} value sets within each other")
        self.entered.append(value_set)

    def leave(self) -> None:
        """End the value set that was entered last."""
        self.entered.pop()

    def count_include(self) -> None:
        """Count an include that is evaluated.

        Raises:
            Undecided: There are too many.

        """
        self._includes += 1
        if self._includes > MAX_INCLUDES:
            raise Undecided(f"more than {MAX_INCLUDES:,} includes")

    def count_concepts(self, number: int) -> None:
        """Count the concepts that a filter is applied to.

        Raises:
            Undecided: There are too many.

        """
        self._concepts += number
        if self._concepts > MAX_FILTERED_CONCEPTS:
            raise Undecided(f"filters on more than {MAX_FILTERED_CONCEPTS:,} concepts")


class ValueSet:
    """A ValueSet resource that can be evaluated."""

    def __init__(self, resource: dict[str, Any], resolver: TerminologyResolver) -> None:
        self.url = str(resource.get("url", ""))
        self.version: str | None = resource.get("version")
        compose = resource.get("compose")
        self._has_inactive = not isinstance(compose, dict) or compose.get("inactive") is not False
        self._include = [Include(row, resolver) for row in objects(compose, "include")]
        self._exclude = [Include(row, resolver) for row in objects(compose, "exclude")]
        self._resolver = resolver
        self._stored_expansion = _stored_expansion(resource)
        self._codes: Codes | Undecided | None = None

    def contains(
        self, system: str | None, code: str, budget: ExpansionBudget | None = None
    ) -> bool:
        """Return whether the value set contains a code; `system` None accepts any system.

        Raises:
            Undecided: The loaded definitions cannot decide.

        """
        try:
            codes_by_system = self.codes(budget)
        except Undecided:
            return self._evaluate(system, code, budget or ExpansionBudget())
        if system is None:
            return any(code in codes for codes in codes_by_system.values())
        return code in codes_by_system.get(system, ())

    def _evaluate(self, system: str | None, code: str, budget: ExpansionBudget) -> bool:
        """Evaluate include by include.

        Raises:
            Undecided: The loaded definitions cannot decide.

        """
        if self._stored_expansion and code in self._stored_expansion.get(system or "", ()):
            return True
        if not self._include:
            raise Undecided("it is defined by words only")
        budget.enter(self)
        try:
            is_member = _is_in_any(self._include, system, code, budget)
            if is_member and self._exclude:
                is_member = not _is_in_any(self._exclude, system, code, budget)
        finally:
            budget.leave()
        if is_member and not self._has_inactive and system is not None:
            return not _is_inactive(self._resolver, system, code)
        return is_member

    def codes(self, budget: ExpansionBudget | None = None) -> Codes:
        """Return all codes by system.

        Raises:
            Undecided: The value set cannot be expanded with the loaded definitions.

        """
        if self._codes is None:
            try:
                self._codes = self._expand(budget or ExpansionBudget())
            except Undecided as reason:
                self._codes = reason
        if isinstance(self._codes, Undecided):
            raise Undecided(str(self._codes))
        return self._codes

    def _expand(self, budget: ExpansionBudget) -> Codes:
        """Expand all includes and excludes.

        Raises:
            Undecided: One of them cannot be expanded.

        """
        if not self._include:
            if self._stored_expansion is not None:
                return self._stored_expansion
            raise Undecided("it is defined by words only")
        budget.enter(self)
        try:
            included = _union(include.codes(budget) for include in self._include)
            excluded = _union(exclude.codes(budget) for exclude in self._exclude)
        finally:
            budget.leave()
        expansion = {
            system: codes - excluded.get(system, frozenset()) for system, codes in included.items()
        }
        if not self._has_inactive:
            expansion = {system: self._active(system, codes) for system, codes in expansion.items()}
        return expansion

    def _active(self, system: str, codes: frozenset[str]) -> frozenset[str]:
        return frozenset(code for code in codes if not _is_inactive(self._resolver, system, code))

    @cached_property
    def sole_list(self) -> frozenset[str]:
        """The codes listed by its only include, if that names a system; else empty."""
        only = self._include[0] if len(self._include) == 1 else None
        return only.listed or frozenset() if only and only.system else frozenset()

    @cached_property
    def trusted(self) -> list[str]:
        """The included systems whose grammar decides that well-formed codes are valid."""
        systems = (include.system or "" for include in self._include if include.listed is None)
        return [url for url in systems if url in GRAMMARS and GRAMMARS[url].is_trusted]


class Include:
    """One `include` or `exclude`: codes of its system that are in all its value sets."""

    def __init__(self, row: dict[str, Any], resolver: TerminologyResolver) -> None:
        system, version = row.get("system"), row.get("version")
        self.system = system if isinstance(system, str) else None
        self.version = version if isinstance(version, str) else None
        self.listed = (
            frozenset(
                code
                for concept in objects(row, "concept")
                if isinstance(code := concept.get("code"), str)
            )
            if "concept" in row
            else None
        )
        self.filters = [Filter(filter_) for filter_ in objects(row, "filter")]
        urls = row.get("valueSet")
        self.value_sets = [
            url for url in (urls if isinstance(urls, list) else ()) if isinstance(url, str)
        ]
        self._resolver = resolver
        self._filtered: dict[int, frozenset[str] | Undecided] = {}

    def contains(self, system: str | None, code: str, budget: ExpansionBudget) -> bool:
        """Return whether a code is of its system and in all its value sets.

        Raises:
            Undecided: The loaded definitions cannot decide.

        """
        if self.system is not None:
            if system not in {None, self.system}:
                return False
            if not self._is_in_system(code, budget):
                return False
        elif not self.value_sets:
            raise Undecided("an include names neither system nor value set")
        for url in self.value_sets:
            if not self._imported(url).contains(self.system or system, code, budget):
                return False
        return True

    def _is_in_system(self, code: str, budget: ExpansionBudget) -> bool:
        """Return whether a code is among those of its system that it includes.

        Raises:
            Undecided: The code system is not complete, or a grammar cannot decide.

        """
        if self.listed is not None:
            return code in self.listed
        assert self.system is not None
        grammar = GRAMMARS.get(self.system)
        if grammar is not None:
            is_valid = grammar.accepts(code)
            if is_valid is False or (is_valid and not self.filters):
                return bool(is_valid)
            raise Undecided(grammar.reason)
        system = self._complete_system()
        concept = system.find(code)
        return concept is not None and all(
            concept.code in self._filter(number, system, budget)
            for number in range(len(self.filters))
        )

    def _imported(self, url: str) -> ValueSet:
        """Return an imported value set.

        Raises:
            Undecided: It is not loaded.

        """
        value_set = self._resolver.value_set(url)
        if value_set is None:
            raise Undecided(f"the value set {url} is not here")
        return value_set

    def _complete_system(self) -> CodeSystem:
        """Return its code system.

        Raises:
            Undecided: The code system is not loaded, or only a part of it.

        """
        assert self.system is not None
        system = self._resolver.system(self.system, self.version)
        if system is None:
            version = f" version {self.version}" if self.version else ""
            raise Undecided(f"the code system {self.system}{version} is not here")
        if not system.is_complete:
            raise Undecided(f"only part of the code system {self.system} is here")
        return system

    def _filter(self, number: int, system: CodeSystem, budget: ExpansionBudget) -> frozenset[str]:
        """Return the codes that pass a filter, from the second call on without applying it.

        Raises:
            Undecided: The filter cannot be applied.

        """
        codes = self._filtered.get(number)
        if codes is None:
            try:
                budget.count_concepts(len(system.concepts))
                codes = self.filters[number].codes(system)
            except Undecided as reason:
                codes = reason
            self._filtered[number] = codes
        if isinstance(codes, Undecided):
            raise Undecided(str(codes))
        return codes

    def codes(self, budget: ExpansionBudget) -> Codes:
        """Return all codes by system.

        Raises:
            Undecided: The include cannot be expanded with the loaded definitions.

        """
        budget.count_include()
        parts: list[Codes] = []
        if self.system is not None:
            parts.append({self.system: self._codes_of_system(budget)})
        parts += [self._imported(url).codes(budget) for url in self.value_sets]
        if not parts:
            raise Undecided("an include names neither system nor value set")
        common = dict(parts[0])
        for part in parts[1:]:
            common = {
                system: codes & part[system] for system, codes in common.items() if system in part
            }
        return common

    def _codes_of_system(self, budget: ExpansionBudget) -> frozenset[str]:
        """Return the codes of its system that it includes.

        Raises:
            Undecided: The code system cannot be listed.

        """
        if self.listed is not None:
            return self.listed
        if self.system in GRAMMARS:
            raise Undecided(f"{self.system} is defined by a grammar, not by a list")
        system = self._complete_system()
        codes = system.codes
        for number in range(len(self.filters)):
            codes &= self._filter(number, system, budget)
        return codes


def _is_in_any(
    includes: list[Include], system: str | None, code: str, budget: ExpansionBudget
) -> bool:
    """Return whether an include contains the code.

    Raises:
        Undecided: No include surely does, and at least one is undecided.

    """
    reason = None
    for include in includes:
        budget.count_include()
        try:
            if include.contains(system, code, budget):
                return True
        except Undecided as error:
            reason = reason or error
    if reason is not None:
        raise reason
    return False


def _union(parts: Iterable[Codes]) -> dict[str, frozenset[str]]:
    """Return the codes of all parts.

    Raises:
        Undecided: There are too many.

    """
    sets_by_system: dict[str, list[frozenset[str]]] = {}
    count = 0
    for part in parts:
        for system, codes in part.items():
            sets_by_system.setdefault(system, []).append(codes)
            count += len(codes)
        if count > MAX_CODES:
            raise Undecided(f"it has more than {MAX_CODES:,} codes")
    return {
        system: sets[0] if len(sets) == 1 else frozenset[str]().union(*sets)
        for system, sets in sets_by_system.items()
    }


def _is_inactive(resolver: TerminologyResolver, system: str, code: str) -> bool:
    known = resolver.system(system)
    concept = known.find(code) if known else None
    return concept is not None and concept.is_inactive


def _stored_expansion(resource: dict[str, Any]) -> Codes | None:
    """Return the codes of the expansion that a ValueSet resource contains, None if it has none."""
    expansion = resource.get("expansion")
    if not isinstance(expansion, dict):
        return None
    codes_by_system: dict[str, set[str]] = {}
    rows = list(objects(expansion, "contains"))
    while rows:
        row = rows.pop()
        system, code = row.get("system"), row.get("code")
        if isinstance(system, str) and isinstance(code, str) and row.get("abstract") is not True:
            codes_by_system.setdefault(system, set()).add(code)
        rows.extend(objects(row, "contains"))
    return {system: frozenset(codes) for system, codes in codes_by_system.items()}
