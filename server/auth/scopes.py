"""SMART scopes: what a client may do, as tests that bound every search and every write.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from urllib.parse import parse_qsl, urlencode

import msgspec

from fhir_b12.definitions import R4
from fhir_b12.server.errors import Refusal
from fhir_b12.server.resource_types import READ_ONLY, STORED
from fhir_b12.server.search.criteria import (
    AnyOf,
    Chain,
    Criterion,
    Not,
    ReverseChain,
    in_compartment,
)
from fhir_b12.server.search.query import Query
from fhir_b12.server.search.query_parser import parse_query

LETTERS = "cruds"  #: create, read, update, delete, search
_SCOPE = re.compile(
    r"(system|patient)/(\*|[A-Z][A-Za-z]{2,40})\.(read|write|\*|c?r?u?d?s?)(?:\?(\S{1,500}))?"
)
_FIRST = {"read": "rs", "write": "cud", "*": LETTERS}  #: how the first version of SMART says it
_MOST = 50


class ScopeError(ValueError):
    """A scope that is none; the message says which form it should have."""


class Grant(msgspec.Struct, frozen=True):
    """One scope."""

    level: str  #: system or patient
    type: str  #: a type, or `*`
    letters: str  #: of LETTERS, in their order
    query: tuple[tuple[str, str], ...] = ()  #: restrictions: category=laboratory

    def __str__(self) -> str:
        more = f"?{urlencode(self.query)}" if self.query else ""
        return f"{self.level}/{self.type}.{self.letters}{more}"


def grants(text: str) -> tuple[Grant, ...]:
    """The scopes of a text, by blanks.

    Raises:
        ScopeError: one of them is none, of a type not kept here, or restricted in unknown words.

    """
    found = text.split()
    if not found or len(found) > _MOST:
        raise ScopeError(f"give 1 to {_MOST} scopes, system/Observation.rs for example")
    return tuple(map(_grant, found))


def _grant(text: str) -> Grant:
    match = _SCOPE.fullmatch(text)
    if match is None or not match[3]:
        raise ScopeError("a scope is system/Type.cruds, its letters in this order, or with ?query")
    level, kind, letters, query = match.groups()
    if kind != "*" and kind not in STORED:
        raise ScopeError("a scope is of a type that is kept here, or of *")
    restrictions = tuple(parse_qsl(query, keep_blank_values=True)) if query else ()
    if query and not restrictions:
        raise ScopeError("the restriction of a scope is no query")
    if restrictions:
        if kind == "*":
            raise ScopeError("a scope with a restriction names its type")
        _query(kind, restrictions)
    return Grant(level, kind, _FIRST.get(letters, letters), restrictions)


@cache
def _query(kind: str, restrictions: tuple[tuple[str, str], ...]) -> Query:
    """The search that a restriction is; about the resource itself, not about what it refers to."""
    try:
        found = parse_query(kind, restrictions, strict=True, base="")
    except Refusal as refusal:
        raise ScopeError("the restriction of a scope is no search of its type") from refusal
    if not found.criteria or any(map(_looks_beyond, found.criteria)):
        raise ScopeError("the restriction of a scope is about the resource itself")
    return Query(type=kind, criteria=found.criteria, pairs=found.pairs)


def _looks_beyond(criterion: Criterion) -> bool:
    if isinstance(criterion, AnyOf):
        return any(map(_looks_beyond, criterion.criteria))
    if isinstance(criterion, Not):
        return _looks_beyond(criterion.criterion)
    return isinstance(criterion, Chain | ReverseChain)


def narrowed(asked: Iterable[Grant], held: Sequence[Grant]) -> tuple[Grant, ...]:
    """What is asked for, as far as it is held; with the restrictions of both."""
    found: dict[Grant, None] = {}
    for each in asked:
        for own in held:
            letters = "".join(x for x in each.letters if x in own.letters)
            kinds = {each.type, own.type} - {"*"}
            if each.level == own.level and letters and len(kinds) < 2:
                kind = next(iter(kinds), "*")
                query = tuple(dict.fromkeys((*own.query, *each.query)))
                found[Grant(each.level, kind, letters, query)] = None
    return tuple(found)


class Scoped:
    """What a client may do with its token."""

    def __init__(self, client: str, held: Sequence[Grant], patient: str | None) -> None:
        self.client, self.patient = client, patient
        self._held = held
        self._known: dict[tuple[str, str], tuple[Query, ...] | None] = {}

    def limits(self, resource_type: str, action: str) -> tuple[Query, ...] | None:
        """What bounds an action: None where it is not allowed, () where nothing does."""
        key = (resource_type, action)
        if key not in self._known:
            self._known[key] = self._limits(*key)
        return self._known[key]

    def _limits(self, kind: str, action: str) -> tuple[Query, ...] | None:
        if kind in READ_ONLY and action not in "rs":
            return None
        found: list[Query] = []
        for each in self._held:
            if action not in each.letters or each.type not in {"*", kind}:
                continue
            query = _query(kind, each.query) if each.query else Query(type=kind)
            if each.level == "patient":
                if self.patient is None or kind not in R4.compartment("Patient"):
                    continue
                bound = in_compartment("Patient", self.patient)
                query = msgspec.structs.replace(query, criteria=(*query.criteria, bound))
            if not query.criteria:
                return ()
            found.append(query)
        return tuple(found) or None
