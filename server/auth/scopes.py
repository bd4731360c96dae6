"""SMART scopes, as criteria that restrict every search and every write.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from urllib.parse import parse_qsl, urlencode

import msgspec

from fhir_b12.definitions import R4
from fhir_b12.server.errors import RequestError
from fhir_b12.server.resource_types import READ_ONLY, STORED
from fhir_b12.server.search.criteria import (
    AnyOf,
    Chain,
    Criterion,
    InCompartment,
    Not,
    ReverseChain,
)
from fhir_b12.server.search.query import Query
from fhir_b12.server.search.query_parser import parse_query
from fhir_b12.suggestions import did_you_mean

ACTIONS = "cruds"  #: create, read, update, delete, search
_SCOPE = re.compile(
    r"(system|patient)/(\*|[A-Z][A-Za-z]{2,40})\.(read|write|\*|c?r?u?d?s?)(?:\?(\S{1,500}))?"
)
_V1_ACTIONS = {"read": "rs", "write": "cud", "*": ACTIONS}  #: the words of SMART 1
_MAX_SCOPES = 50


class ScopeError(ValueError):
    """An invalid scope; the message says what is expected."""


class Grant(msgspec.Struct, frozen=True):
    """One scope, parsed."""

    level: str  #: `system` or `patient`
    resource_type: str  #: `*` for all types
    actions: str  #: a part of ACTIONS, in their order
    restrictions: tuple[tuple[str, str], ...] = ()  #: search parameters: category=laboratory

    def __str__(self) -> str:
        query = f"?{urlencode(self.restrictions)}" if self.restrictions else ""
        return f"{self.level}/{self.resource_type}.{self.actions}{query}"


def parse_scopes(text: str) -> tuple[Grant, ...]:
    """Parse scopes separated by spaces.

    Raises:
        ScopeError: one is malformed, of an unsupported type, or has an unsupported restriction.

    """
    scopes = text.split()
    if not scopes or len(scopes) > _MAX_SCOPES:
        raise ScopeError(f"1 to {_MAX_SCOPES} scopes are required, e.g. system/Observation.rs")
    return tuple(map(_parse_scope, scopes))


def _parse_scope(text: str) -> Grant:
    """Parse one scope.

    Raises:
        ScopeError: it is malformed, or names an unsupported type.

    """
    match = _SCOPE.fullmatch(text)
    if match is None or not match[3]:
        message = "malformed scope: write system/TYPE.cruds or system/TYPE.rs?PARAMETER=VALUE"
        raise ScopeError(message)
    level, resource_type, actions, query = match.groups()
    if resource_type != "*" and resource_type not in STORED:
        hint = did_you_mean(resource_type, STORED)
        raise ScopeError(f"a scope names an unsupported resource type{hint or ': use * for all'}")
    restrictions = tuple(parse_qsl(query, keep_blank_values=True)) if query else ()
    if query and not restrictions:
        raise ScopeError("malformed restriction of a scope: write ?PARAMETER=VALUE")
    if restrictions:
        if resource_type == "*":
            raise ScopeError("a scope with a restriction must name a resource type instead of *")
        _parse_restrictions(resource_type, restrictions)
    return Grant(level, resource_type, _V1_ACTIONS.get(actions, actions), restrictions)


@cache
def _parse_restrictions(resource_type: str, restrictions: tuple[tuple[str, str], ...]) -> Query:
    """Parse the restrictions of a scope; they may test the resource itself, no other.

    Raises:
        ScopeError: they are no search of the type, or test other resources.

    """
    try:
        query = parse_query(resource_type, restrictions, strict=True, base="")
    except RequestError as refusal:
        message = f"the restriction of a scope is not a search of {resource_type}"
        raise ScopeError(f"{message}: use its search parameters") from refusal
    if not query.criteria or any(map(_tests_other_resources, query.criteria)):
        message = "the restriction of a scope must test the resource itself: remove the chain"
        raise ScopeError(message)
    return Query(type=resource_type, criteria=query.criteria, pairs=query.pairs)


def _tests_other_resources(criterion: Criterion) -> bool:
    if isinstance(criterion, AnyOf):
        return any(map(_tests_other_resources, criterion.criteria))
    if isinstance(criterion, Not):
        return _tests_other_resources(criterion.criterion)
    return isinstance(criterion, Chain | ReverseChain)


def intersect(requested: Iterable[Grant], registered: Sequence[Grant]) -> tuple[Grant, ...]:
    """Return what requested and registered scopes both allow, with the restrictions of both."""
    grants: dict[Grant, None] = {}
    for request in requested:
        for own in registered:
            actions = "".join(action for action in request.actions if action in own.actions)
            types = {request.resource_type, own.resource_type} - {"*"}
            if request.level == own.level and actions and len(types) < 2:
                resource_type = next(iter(types), "*")
                restrictions = tuple(dict.fromkeys((*own.restrictions, *request.restrictions)))
                grants[Grant(request.level, resource_type, actions, restrictions)] = None
    return tuple(grants)


class ScopedAccess:
    """What a client may do with its access token."""

    def __init__(self, client: str, grants: Sequence[Grant], patient: str | None) -> None:
        self.client, self.patient = client, patient
        self._grants = grants
        self._limits: dict[tuple[str, str], tuple[Query, ...] | None] = {}

    def limits(self, resource_type: str, action: str) -> tuple[Query, ...] | None:
        """Return the queries of which a resource must match one for an action of `cruds`.

        None if the action is not allowed at all, () if it is allowed without restriction.
        """
        key = (resource_type, action)
        if key not in self._limits:
            self._limits[key] = self._compute_limits(*key)
        return self._limits[key]

    def _compute_limits(self, resource_type: str, action: str) -> tuple[Query, ...] | None:
        if resource_type in READ_ONLY and action not in "rs":
            return None
        queries: list[Query] = []
        for grant in self._grants:
            if action not in grant.actions or grant.resource_type not in {"*", resource_type}:
                continue
            query = Query(type=resource_type)
            if grant.restrictions:
                query = _parse_restrictions(resource_type, grant.restrictions)
            if grant.level == "patient":
                if self.patient is None or resource_type not in R4.compartment("Patient"):
                    continue
                in_patient = InCompartment("Patient", self.patient)
                query = msgspec.structs.replace(query, criteria=(*query.criteria, in_patient))
            if not query.criteria:
                return ()
            queries.append(query)
        return tuple(queries) or None
