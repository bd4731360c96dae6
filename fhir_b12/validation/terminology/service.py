"""A terminology service without a server.  https://hl7.org/fhir/R4/terminology-service.html

It knows R4's own complete code systems, those of packages, the code tables of this project, and the
grammars of units, languages and MIME types. What none of them decides is None, neither valid nor
invalid, and is listed in `unchecked` with the reason.
"""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from fhir_b12.definitions import R4
from fhir_b12.definitions.errors import DefinitionError
from fhir_b12.validation.terminology import built_in_tables
from fhir_b12.validation.terminology.code_systems import CodeSystem, Concept, Undecided
from fhir_b12.validation.terminology.grammars import GRAMMARS
from fhir_b12.validation.terminology.results import CodingProblem, CodingResult, Unchecked
from fhir_b12.validation.terminology.value_sets import Codes, ValueSet

__all__ = ["Terminology"]

_MAX_REMEMBERED = 50_000  #: answers of each sort
_MAX_UNCHECKED = 1_000
_MAX_CLEAN_CODES = 20_000  #: codes of one value set that are validated in advance

_Membership = tuple[bool | None, Unchecked | None]
_CodingKey = tuple[str | None, str | None, str | None, str | None, str | None]
_NOT_REMEMBERED: Any = object()
_NO_CODES: frozenset[str] = frozenset()
_WITHOUT_PROBLEMS = CodingResult()


class TerminologyDefinitions(Protocol):
    """Source of ValueSet and CodeSystem resources: `definitions.canonicals.Canonicals`."""

    def value_set(self, canonical: str) -> dict[str, Any] | None:
        """Return the ValueSet of a canonical url, None if unknown."""
        ...

    def code_system(self, canonical: str) -> dict[str, Any] | None:
        """Return the CodeSystem of a canonical url, None if unknown."""
        ...


class Terminology:
    """Lookup and validation of codes. Answers are cached, so definitions must not change."""

    def __init__(self, canonicals: TerminologyDefinitions) -> None:
        self._canonicals = canonicals
        self._systems: dict[tuple[str, str | None], CodeSystem | None] = {}
        self._value_sets: dict[str, ValueSet | None] = {}
        self._memberships: dict[tuple[str, str | None, str], _Membership] = {}
        self._results: dict[_CodingKey, CodingResult] = {}
        self._clean_codes: dict[str, frozenset[str]] = {}
        self._clean_codings: dict[_CodingKey, Unchecked | None] = {}
        self._unchecked: dict[str, str] = {}

    # --- what could not be checked

    @property
    def unchecked(self) -> tuple[Unchecked, ...]:
        """The value sets and code systems not evaluated since `forget_unchecked`."""
        return tuple(Unchecked(name, reason) for name, reason in self._unchecked.items())

    def forget_unchecked(self) -> None:
        """Clear the list of what could not be checked, before the next report."""
        self._unchecked.clear()

    def add_unchecked(self, canonical: str, reason: str) -> None:
        """Record that a value set or code system was not evaluated; the first reason stays."""
        if len(self._unchecked) < _MAX_UNCHECKED:
            self._unchecked.setdefault(canonical, reason)

    # --- value sets

    def value_set(self, canonical: str) -> ValueSet | None:
        """Return the value set of a canonical url, None if it is not loaded."""
        if canonical not in self._value_sets:
            resource = _find(self._canonicals.value_set, canonical) or built_in_tables.value_set(
                canonical
            )
            _remember(self._value_sets, canonical, ValueSet(resource, self) if resource else None)
        return self._value_sets[canonical]

    def contains(self, value_set: str, system: str | None, code: str) -> bool | None:
        """Return whether a code is in a value set, None if that cannot be decided.

        Args:
            value_set: Canonical url, with or without a version.
            system: The code system; None accepts the code in any system.
            code: The code.

        """
        key = (value_set, system, code)
        membership = self._memberships.get(key)
        if membership is None:
            membership = self._evaluate_membership(value_set, system, code)
            _remember(self._memberships, key, membership)
        is_member, unchecked = membership
        if unchecked is not None:
            self.add_unchecked(unchecked.canonical, unchecked.reason)
        return is_member

    def contains_any(self, value_set: str, value: Any) -> bool | None:
        """Return whether a coded value is in a value set, None if that cannot be decided.

        Args:
            value_set: Canonical url, with or without a version.
            value: A code, a Coding or a CodeableConcept as JSON. A concept is in the value set if
                one of its codings is; codings without system or code are not.

        """
        if isinstance(value, str):
            return self.contains(value_set, None, value)
        if not isinstance(value, dict):
            return None
        answers = {
            self.contains(value_set, coding["system"], coding["code"])
            for coding in value.get("coding", [value])
            if isinstance(coding, dict)
            and isinstance(coding.get("code"), str)
            and isinstance(coding.get("system"), str)
        }
        return True if True in answers else None if None in answers else False

    def _evaluate_membership(self, canonical: str, system: str | None, code: str) -> _Membership:
        value_set = self.value_set(canonical)
        if value_set is None:
            return None, Unchecked(canonical, "the value set is not here")
        try:
            if value_set.contains(system, code):
                trusted = (
                    candidate for candidate in value_set.trusted if system in {None, candidate}
                )
                grammar = next(trusted, None)
                return True, Unchecked(grammar, GRAMMARS[grammar].reason) if grammar else None
            systems = [system] if system is not None else list(_expanded_codes(value_set))
            spellings = [
                (candidate, self._code_in_right_case(candidate, code)) for candidate in systems
            ]
            return any(
                right and value_set.contains(candidate, right) for candidate, right in spellings
            ), None
        except Undecided as reason:
            return None, Unchecked(canonical, str(reason))

    def _code_in_right_case(self, system: str, code: str) -> str | None:
        concept = self._find_concept(system, code)
        return concept.code if concept is not None and concept.code != code else None

    def expand(self, value_set: str) -> Codes | None:
        """Return the codes of a value set by system, None if it cannot be expanded."""
        known = self.value_set(value_set)
        reason = "the value set is not here"
        if known is not None:
            try:
                return known.codes()
            except Undecided as error:
                reason = str(error)
        self.add_unchecked(value_set, reason)
        return None

    def codes_without_problems(self, value_set: str) -> frozenset[str]:
        """Return the codes of a value set that need no further check, whatever their system.

        Most codes are validated by one lookup in this set. It lacks deprecated codes and the like,
        and is empty for a value set that cannot be expanded.
        """
        codes = self._clean_codes.get(value_set)
        if codes is None:
            codes = self._find_codes_without_problems(value_set)
            _remember(self._clean_codes, value_set, codes)
        return codes

    def _find_codes_without_problems(self, value_set: str) -> frozenset[str]:
        url = value_set.removesuffix("|4.0.1")
        listed = R4.value_set(url)  # R4's required ones: no code system need be read
        if listed is not None:
            return _NO_CODES.union(*listed.values())
        known = self.value_set(value_set)
        codes_by_system = _expanded_codes(known) if known else {}
        if sum(map(len, codes_by_system.values())) > _MAX_CLEAN_CODES:
            return _NO_CODES
        return frozenset(
            code
            for system, codes in codes_by_system.items()
            for code in codes
            if not self._validate_coding(system, code, None, None, None).problems
        )

    def is_code_unambiguous(self, value_set: str, code: str) -> bool:
        """Return True if a code needs no system: the value set lists codes of one system."""
        known = self.value_set(value_set)
        return known is not None and code in known.sole_list

    def system_of_code(self, value_set: str, code: str) -> str | None:
        """Return the system of a code in an expanded value set, None if the code is not in it."""
        known = self.value_set(value_set)
        codes_by_system = _expanded_codes(known) if known else {}
        exact = (system for system, codes in codes_by_system.items() if code in codes)
        in_other_case = (
            system
            for system, codes in codes_by_system.items()
            if self._code_in_right_case(system, code) in codes
        )
        return next(exact, None) or next(in_other_case, None)

    # --- code systems

    def system(self, url: str, version: str | None = None) -> CodeSystem | None:
        """Return the code system of a url, None if no codes of it (or of a version) are loaded."""
        key = (url, version)
        if key not in self._systems:
            canonical = f"{url}|{version}" if version else url
            resource = _find(
                self._canonicals.code_system, canonical
            ) or built_in_tables.code_system(canonical)
            system = CodeSystem(resource) if resource else None
            usable = system if system is not None and system.is_usable else None
            _remember(self._systems, key, usable)
        return self._systems[key]

    def _find_concept(self, system: str, code: str) -> Concept | None:
        known = self.system(system)
        try:
            return known.find(code) if known is not None else None
        except Undecided as reason:
            self.add_unchecked(system, str(reason))
            return None

    def lookup(self, system: str, code: str) -> Concept | None:
        """Return the concept of a code, None if unknown, which does not make the code invalid."""
        return self._find_concept(system, code) or built_in_tables.lookup(system, code)

    def display(self, system: str, code: str) -> str | None:
        """Return the display of a code, None if unknown."""
        concept = self.lookup(system, code)
        return concept.display if concept else None

    def validate_code(
        self, system: str, code: str, *, value_set: str | None = None, display: str | None = None
    ) -> bool | None:
        """Return whether a code is valid, None if that cannot be decided.

        Args:
            system: The code system.
            code: The code.
            value_set: Canonical url of a value set that must contain the code.
            display: A display that the code must have.

        """
        result = self.validate_coding(system, code, display=display)
        if result.is_invalid:
            return False
        if value_set is not None:
            return self.contains(value_set, system, code)
        return None if result.unchecked and not self.lookup(system, code) else True

    # --- codings

    def is_known_clean(self, check: str, coding: dict[str, Any], resource: dict[str, Any]) -> bool:
        """Return True if an equal coding passed the same check before.

        What could not be checked of it is recorded again.

        Args:
            check: What was checked: the value set or the type of the coded value.
            coding: The Coding or Quantity.
            resource: The resource, whose language decides which displays are right.

        """
        unchecked = self._clean_codings.get(
            (
                check,
                coding.get("system"),
                coding.get("code"),
                coding.get("version"),
                coding.get("display"),
            ),
            _NOT_REMEMBERED,
        )
        if unchecked is _NOT_REMEMBERED or "language" in resource:
            return False
        if unchecked is not None:
            self.add_unchecked(unchecked.canonical, unchecked.reason)
        return True

    def remember_clean(
        self, check: str, coding: dict[str, Any], resource: dict[str, Any], result: CodingResult
    ) -> None:
        """Remember that a coding passed a check; see `is_known_clean`."""
        if "language" not in resource and coding.get("system") is not None:
            system, code, version = (coding.get(name) for name in ("system", "code", "version"))
            key = (check, system, code, version, coding.get("display"))
            _remember(self._clean_codings, key, result.unchecked)

    def validate_coding(
        self,
        system: str | None,
        code: str | None,
        *,
        version: str | None = None,
        display: str | None = None,
        language: str | None = None,
    ) -> CodingResult:
        """Return the problems of a coding, whatever value set it is bound to.

        Args:
            system: The code system; without one nothing is checked.
            code: The code, None if the coding has none.
            version: Version of the code system.
            display: The display, None to check none.
            language: BCP 47 language of the display, English if None.

        """
        key = (system, code, version, display, language)
        result = self._results.get(key)
        if result is None:
            result = (
                self._validate_coding(system, code, version, display, language)
                if system
                else _WITHOUT_PROBLEMS
            )
            _remember(self._results, key, result)
        if result.unchecked is not None:
            self.add_unchecked(result.unchecked.canonical, result.unchecked.reason)
        return result

    def _validate_coding(
        self,
        url: str,
        code: str | None,
        version: str | None,
        display: str | None,
        language: str | None,
    ) -> CodingResult:
        grammar = GRAMMARS.get(url)
        if grammar is not None:
            is_valid = None if code is None else grammar.accepts(code)
            if is_valid is False:
                values = {"system": url, "hint": "", "near": ""}
                return CodingResult((CodingProblem("unknown-code", "code", True, values),))
            is_decided = code is None or (is_valid and not grammar.is_trusted)
            return (
                CodingResult() if is_decided else CodingResult((), Unchecked(url, grammar.reason))
            )
        system = self.system(url, version)
        if system is None:
            subject = f"version {version} of the code system" if version else "the code system"
            return CodingResult((), Unchecked(url, f"{subject} is not here"))
        try:
            return CodingResult(tuple(_problems_of_code(system, code, display, language)))
        except Undecided as reason:
            return CodingResult((), Unchecked(url, str(reason)))


def _expanded_codes(value_set: ValueSet) -> Codes:
    """Return the codes of a value set by system, none if it cannot be expanded."""
    try:
        return value_set.codes()
    except Undecided:
        return {}


def _problems_of_code(
    system: CodeSystem, code: str | None, display: str | None, language: str | None
) -> Iterable[CodingProblem]:
    values = {"system": system.url}
    if code is None or code.isspace():
        if system.is_complete:
            yield CodingProblem("concept-without-code", "code", False, values)
        return
    concept = system.find(code)
    if concept is None:
        if system.is_complete:
            near = system.near(code)
            hint = " (only its case or white space is wrong)" if near else ""
            yield CodingProblem(
                "unknown-code", "code", True, values | {"hint": hint, "near": near or ""}
            )
        else:
            yield CodingProblem("code-outside-fragment", "code", False, values)
        return
    values = {**values, "code": concept.code}
    if concept.code != code:
        yield CodingProblem("code-case", "code", False, values)
    if concept.is_inactive:
        yield CodingProblem("inactive-code", None, False, values)
    elif concept.is_deprecated:
        yield CodingProblem("deprecated-code", None, False, values)
    if display is not None:
        yield from _problems_of_display(concept, display, language, values)


def _problems_of_display(
    concept: Concept, display: str, language: str | None, values: dict[str, str]
) -> Iterable[CodingProblem]:
    right = concept.displays_in(language)
    folded = [text.lower() for text in right]
    if display.lower() in folded:
        return
    if not right:
        yield CodingProblem("display-of-none", "display", True, values)
        return
    values = {**values, "display": right[0], "displays": " or ".join(map(repr, right[:3]))}
    spaced = " ".join(display.lower().split())
    if spaced in {" ".join(text.split()) for text in folded}:
        yield CodingProblem("display-spacing", "display", True, values)
    else:
        yield CodingProblem("wrong-display", "display", True, values)


def _find(find: Callable[[str], dict[str, Any] | None], canonical: str) -> dict[str, Any] | None:
    """Return a definition, None if it is unknown or cannot be read."""
    try:
        return find(canonical)
    except DefinitionError:
        return None


def _remember(cache: dict[Any, Any], key: Any, value: Any) -> None:
    """Cache an answer; a full cache is emptied first."""
    if len(cache) >= _MAX_REMEMBERED:
        cache.clear()
    cache[key] = value
