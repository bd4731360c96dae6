"""What is known of codes without a terminology server.  https://hl7.org/fhir/R4/terminologies.html

R4's own complete code systems, those of the packages, our code tables, and the grammars of units,
languages and MIME types. What none of them decides is None, never valid nor invalid, and stands in
`unchecked` with the reason.
"""

from collections.abc import Iterable
from typing import Any, Protocol

import msgspec

from fhir_b12.definitions import R4
from fhir_b12.definitions.errors import DefinitionError
from fhir_b12.validation.terminology import own_code_tables
from fhir_b12.validation.terminology.bindings import (
    check_binding,
    check_codeable_concept,
    check_coding,
    check_identifier,
    check_quantity,
)
from fhir_b12.validation.terminology.code_systems import CodeSystem, Concept, Undecided
from fhir_b12.validation.terminology.grammars import GRAMMARS
from fhir_b12.validation.terminology.value_sets import Codes, ValueSet

__all__ = [
    "Remark",
    "Said",
    "Terminology",
    "Unchecked",
    "check_binding",
    "check_codeable_concept",
    "check_coding",
    "check_identifier",
    "check_quantity",
]

_MOST_KEPT = 50_000  #: answers of a kind that are remembered
_MOST_UNCHECKED = 1_000
_MOST_PLAIN = 20_000  #: codes of a value set that are looked through beforehand

_Answer = tuple[bool | None, "Unchecked | None"]
_Key = tuple[str | None, str | None, str | None, str | None, str | None]
_UNSEEN: Any = object()
_NO_CODES: frozenset[str] = frozenset()


class Definitions(Protocol):
    """Where value sets and code systems come from: `definitions.canonicals.Canonicals`."""

    def value_set(self, canonical: str) -> dict[str, Any] | None:
        """The ValueSet of a canonical url."""
        ...

    def code_system(self, canonical: str) -> dict[str, Any] | None:
        """The CodeSystem of a canonical url."""
        ...


class Unchecked(msgspec.Struct, frozen=True):
    """A value set or a code system that could not be decided, and why."""

    canonical: str
    reason: str


class Remark(msgspec.Struct, frozen=True):
    """What holds of a code whatever it is bound to: a rule, and where below the coding."""

    rule: str
    step: str | None = None
    is_error: bool = False
    values: dict[str, str] = {}


class Said(msgspec.Struct, frozen=True):
    """All that is said of one coding."""

    remarks: tuple[Remark, ...] = ()
    unchecked: Unchecked | None = None

    @property
    def is_wrong(self) -> bool:
        """True where a remark is an error: such a coding is in no value set."""
        return any(each.is_error for each in self.remarks)


NOTHING = Said()


class Terminology:
    """The codes of the definitions that are here. Answers are kept: definitions must not change."""

    def __init__(self, canonicals: Definitions) -> None:
        self._canonicals = canonicals
        self._systems: dict[tuple[str, str | None], CodeSystem | None] = {}
        self._sets: dict[str, ValueSet | None] = {}
        self._answers: dict[tuple[str, str | None, str], _Answer] = {}
        self._said: dict[_Key, Said] = {}
        self._plain: dict[str, frozenset[str]] = {}
        self._quiet: dict[_Key, Unchecked | None] = {}
        self._unchecked: dict[str, str] = {}

    # --- what could not be told

    @property
    def unchecked(self) -> tuple[Unchecked, ...]:
        """The value sets and code systems that could not be decided since `forget_unchecked`."""
        return tuple(Unchecked(name, reason) for name, reason in self._unchecked.items())

    def forget_unchecked(self) -> None:
        """Begin a new list of what could not be decided: one report, one list."""
        self._unchecked.clear()

    def leave_unchecked(self, canonical: str, reason: str) -> None:
        """Note that something was not checked; the first reason stays."""
        if len(self._unchecked) < _MOST_UNCHECKED:
            self._unchecked.setdefault(canonical, reason)

    # --- value sets

    def value_set(self, canonical: str) -> ValueSet | None:
        """The value set of a canonical url, ready for asking; None if it is not here."""
        if canonical not in self._sets:
            resource = _found(self._canonicals.value_set, canonical) or own_code_tables.value_set(
                canonical
            )
            _keep(self._sets, canonical, ValueSet(resource, self) if resource else None)
        return self._sets[canonical]

    def contains(self, value_set: str, system: str | None, code: str) -> bool | None:
        """Whether a code is in a value set, of any system where none is given; None: who knows."""
        key = (value_set, system, code)
        answer = self._answers.get(key)
        if answer is None:
            answer = self._asked(value_set, system, code)
            _keep(self._answers, key, answer)
        inside, unchecked = answer
        if unchecked is not None:
            self.leave_unchecked(unchecked.canonical, unchecked.reason)
        return inside

    def _asked(self, value_set: str, system: str | None, code: str) -> _Answer:
        found = self.value_set(value_set)
        if found is None:
            return None, Unchecked(value_set, "the value set is not here")
        try:
            if found.contains(system, code):
                trusted = next((each for each in found.trusted if system in {None, each}), None)
                return True, Unchecked(trusted, GRAMMARS[trusted].reason) if trusted else None
            systems = [system] if system is not None else list(_listed(found))
            written = [(each, self._right_case(each, code)) for each in systems]
            return any(right and found.contains(each, right) for each, right in written), None
        except Undecided as reason:
            return None, Unchecked(value_set, str(reason))

    def _right_case(self, system: str, code: str) -> str | None:
        concept = self._concept(system, code)
        return concept.code if concept is not None and concept.code != code else None

    def expand(self, value_set: str) -> Codes | None:
        """The codes of a value set by system; None where there is no list of them."""
        found = self.value_set(value_set)
        reason = "the value set is not here"
        if found is not None:
            try:
                return found.codes()
            except Undecided as error:
                reason = str(error)
        self.leave_unchecked(value_set, reason)
        return None

    def plain(self, value_set: str) -> frozenset[str]:
        """The codes of a value set of which nothing is to be said, whatever their system.

        One look at these is all that most codes cost. Those with a remark, and those of a value
        set that is no list, are not among them.
        """
        found = self._plain.get(value_set)
        if found is None:
            found = self._all_plain(value_set)
            _keep(self._plain, value_set, found)
        return found

    def _all_plain(self, value_set: str) -> frozenset[str]:
        url = value_set.removesuffix("|4.0.1")
        required = R4.value_set(url)  # R4's own, listed: no code system need be read
        if required is not None:
            return _NO_CODES.union(*required.values())
        found = self.value_set(value_set)
        known = _listed(found) if found else {}
        if sum(map(len, known.values())) > _MOST_PLAIN:
            return _NO_CODES
        return frozenset(
            code
            for system, codes in known.items()
            for code in codes
            if not self._say(system, code, None, None, None).remarks
        )

    def alone(self, value_set: str, code: str) -> bool:
        """Whether a code needs no system: the value set is one list of codes of one system."""
        found = self.value_set(value_set)
        return found is not None and code in found.sole_list

    def owner(self, value_set: str, code: str) -> str | None:
        """The system of a code in a value set that is a list; None where it is not in it."""
        known = self.value_set(value_set)
        found = _listed(known) if known else {}
        exact = (system for system, known in found.items() if code in known)
        loose = (system for system in found if self._right_case(system, code) in found[system])
        return next(exact, None) or next(loose, None)

    # --- code systems

    def system(self, url: str, version: str | None = None) -> CodeSystem | None:
        """A code system of which something is here, of a version where one is asked for."""
        key = (url, version)
        if key not in self._systems:
            canonical = f"{url}|{version}" if version else url
            resource = _found(
                self._canonicals.code_system, canonical
            ) or own_code_tables.code_system(canonical)
            made = CodeSystem(resource) if resource else None
            _keep(self._systems, key, made if made is not None and made.is_usable else None)
        return self._systems[key]

    def _concept(self, system: str, code: str) -> Concept | None:
        known = self.system(system)
        try:
            return known.find(code) if known is not None else None
        except Undecided as reason:
            self.leave_unchecked(system, str(reason))
            return None

    def lookup(self, system: str, code: str) -> Concept | None:
        """What is known of a code; None: nothing, which does not make it wrong."""
        return self._concept(system, code) or own_code_tables.lookup(system, code)

    def display(self, system: str, code: str) -> str | None:
        """The name of a code."""
        concept = self.lookup(system, code)
        return concept.display if concept else None

    def validate_code(
        self, system: str, code: str, *, value_set: str | None = None, display: str | None = None
    ) -> bool | None:
        """Whether a code is one, has that display, and is in a value set; None: cannot be told."""
        said = self.remarks(system, code, display=display)
        if said.is_wrong:
            return False
        if value_set is not None:
            return self.contains(value_set, system, code)
        return None if said.unchecked and not self.lookup(system, code) else True

    # --- codings

    def is_quiet(self, about: str, coding: dict[str, Any], resource: dict[str, Any]) -> bool:
        """Whether nothing was to be said of such a coding before; the unchecked is noted again.

        `about` tells apart what was looked at: the value set, or the kind of value.
        """
        told = self._quiet.get(
            (
                about,
                coding.get("system"),
                coding.get("code"),
                coding.get("version"),
                coding.get("display"),
            ),
            _UNSEEN,
        )
        if told is _UNSEEN or "language" in resource:
            return False
        if told is not None:
            self.leave_unchecked(told.canonical, told.reason)
        return True

    def keep_quiet(
        self, about: str, coding: dict[str, Any], resource: dict[str, Any], said: Said
    ) -> None:
        """Remember that nothing was to be said of a coding."""
        if "language" not in resource and coding.get("system") is not None:
            system, code, version = (coding.get(name) for name in ("system", "code", "version"))
            _keep(
                self._quiet, (about, system, code, version, coding.get("display")), said.unchecked
            )

    def remarks(
        self,
        system: str | None,
        code: str | None,
        *,
        version: str | None = None,
        display: str | None = None,
        language: str | None = None,
    ) -> Said:
        """What is to be said of a coding, whatever it is bound to."""
        key = (system, code, version, display, language)
        said = self._said.get(key)
        if said is None:
            said = self._say(system, code, version, display, language) if system else NOTHING
            _keep(self._said, key, said)
        if said.unchecked is not None:
            self.leave_unchecked(said.unchecked.canonical, said.unchecked.reason)
        return said

    def _say(
        self,
        url: str,
        code: str | None,
        version: str | None,
        display: str | None,
        language: str | None,
    ) -> Said:
        grammar = GRAMMARS.get(url)
        if grammar is not None:
            known = None if code is None else grammar.knows(code)
            if known is False:
                about = {"system": url, "hint": "", "near": ""}
                return Said((Remark("unknown-code", "code", True, about),))
            is_told = code is None or (known and not grammar.is_trusted)
            return Said() if is_told else Said((), Unchecked(url, grammar.reason))
        system = self.system(url, version)
        if system is None:
            what = f"version {version} of the code system" if version else "the code system"
            return Said((), Unchecked(url, f"{what} is not here"))
        try:
            return Said(tuple(_of_concept(system, code, display, language)))
        except Undecided as reason:
            return Said((), Unchecked(url, str(reason)))


def _listed(value_set: ValueSet) -> Codes:
    """The codes of a value set by system; none where there is no list of them."""
    try:
        return value_set.codes()
    except Undecided:
        return {}


def _of_concept(
    system: CodeSystem, code: str | None, display: str | None, language: str | None
) -> Iterable[Remark]:
    about = {"system": system.url}
    if code is None or code.isspace():
        if system.is_complete:
            yield Remark("concept-without-code", "code", False, about)
        return
    concept = system.find(code)
    if concept is None:
        if system.is_complete:
            near = system.near(code)
            hint = {"hint": ", for its case or white space" if near else "", "near": near or ""}
            yield Remark("unknown-code", "code", True, about | hint)
        else:
            yield Remark("code-outside-fragment", "code", False, about)
        return
    about = {**about, "code": concept.code}
    if concept.code != code:
        yield Remark("code-case", "code", False, about)
    if concept.is_inactive:
        yield Remark("inactive-code", None, False, about)
    elif concept.is_deprecated:
        yield Remark("deprecated-code", None, False, about)
    if display is not None:
        yield from _of_display(concept, display, language, about)


def _of_display(
    concept: Concept, display: str, language: str | None, about: dict[str, str]
) -> Iterable[Remark]:
    right = concept.accepts(language)
    folded = [each.lower() for each in right]
    if display.lower() in folded:
        return
    if not right:
        yield Remark("display-of-none", "display", True, about)
        return
    wanted = {**about, "display": right[0], "displays": " or ".join(map(repr, right[:3]))}
    spaced = " ".join(display.lower().split())
    if spaced in {" ".join(each.split()) for each in folded}:
        yield Remark("display-spacing", "display", True, wanted)
    else:
        yield Remark("wrong-display", "display", True, wanted)


def _found(find: Any, canonical: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] | None = find(canonical)
    except DefinitionError:
        return None
    return found


def _keep(kept: dict[Any, Any], key: Any, value: Any) -> None:
    """Remember an answer; when there are too many, begin anew."""
    if len(kept) >= _MOST_KEPT:
        kept.clear()
    kept[key] = value
