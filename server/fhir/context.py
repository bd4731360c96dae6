"""What every interaction has at hand: settings, store, guard, policy; the routes it answers."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol, cast

from flask import Request, Response, current_app, g, request
from msgspec.structs import replace

from fhir_b12.server.config import Config
from fhir_b12.server.fhir.validation_policy import Policy
from fhir_b12.server.search.query import Query
from fhir_b12.server.search.query_parser import parse_query
from fhir_b12.server.store import Access, Change, ChangeResult, FullAccess, Store, Version
from fhir_b12.server.wire.prefer import preference
from fhir_b12.server.wire.query import Pairs
from fhir_b12.server.wire.result_format import ResultFormat


class Guard(Protocol):
    """Says what the sender of a request may do."""

    def access(self, request: Request) -> Access:
        """What is allowed; Refusal 401 where nobody knows the sender."""


class Witness(Protocol):
    """Writes down who saw and did what.  https://hl7.org/fhir/R4/auditevent.html"""

    def written(self, request: Request, access: Access, dones: Sequence[ChangeResult]) -> list[Any]:
        """AuditEvents to keep together with what was done."""

    def seen(
        self, request: Request, access: Access, versions: Sequence[Version], query: Query | None
    ) -> None:
        """Keep an AuditEvent of what is about to be shown."""


class Bound(Protocol):
    """How often a client may ask."""

    def hold(self, client: str) -> None:
        """Count a request; Refusal 429 where it is one too many."""


class Open:
    """The guard of `--open`: everybody may do everything."""

    def access(self, request: Request) -> Access:  # noqa: ARG002
        """Everything."""
        return FullAccess()


PUBLIC = "public "  #: how the endpoint of what needs no token begins


class Route(NamedTuple):
    """One interaction or operation: where it is asked for, and who answers."""

    code: str  #: of https://hl7.org/fhir/R4/valueset-type-restful-interaction.html, or `$name`
    methods: tuple[str, ...]
    rule: str  #: below the base; `<kept:kind>` is a type that may be written
    handler: Callable[..., Response]
    definition: str = ""  #: canonical url of an operation
    public: bool = False  #: answered to who has no token; nothing of a patient is there


def now() -> int:
    """µs since 1970, in whole milliseconds as FHIR's instants have them here."""
    return time.time_ns() // 1_000_000 * 1000


@dataclass(frozen=True, kw_only=True)
class Facade:
    """One server: `current_app.extensions["fhir_b12"]`."""

    config: Config
    store: Store
    guard: Guard
    witness: Witness | None = None
    policy: Policy
    routes: tuple[Route, ...] = ()
    rate: Bound | None = None
    clock: Callable[[], int] = now  #: µs since 1970

    def pages(self, allowed: Access, kind: str, asked: Pairs, *tests: Any) -> Iterator[Version]:
        """All that matches, read page by page; `tests` are compartments."""
        whole = [*asked, ("_count", str(self.config.max_count))]
        cursor: str | None = None
        while True:
            pairs = [*whole, ("_page", cursor)] if cursor else whole
            query = parse_query(
                kind, pairs, strict=True, base=self.config.base, most=self.config.max_count
            )
            page = self.store.search(replace(query, criteria=(*query.criteria, *tests)), allowed)
            yield from page.matches
            if (cursor := page.next) is None:
                return


def facade() -> Facade:
    """The server that answers."""
    return cast("Facade", current_app.extensions["fhir_b12"])


def access() -> Access:
    """What the sender of the request may do; the guard was asked before the handler was."""
    return cast("Access", g.access)


def form() -> ResultFormat:
    """The form of the answer that the request asks for."""
    return cast("ResultFormat", g.form)


def apply(
    changes: Sequence[Change], *, check: Callable[[Any], None] | None = None
) -> list[ChangeResult]:
    """Do all changes or none, with their AuditEvents."""
    here, allowed = facade(), access()
    witness = here.witness
    audit = None
    if witness is not None:
        # the store may audit in a thread that has no request
        audit = partial(witness.written, current(request), allowed)
    return here.store.apply(changes, allowed, clock=here.clock, check=check, audit=audit)


def current(proxy: Any) -> Any:
    """What stands behind one of Flask's proxies, for who leaves the request's thread."""
    return proxy._get_current_object()  # noqa: SLF001 - Flask's documented way


def seen(versions: Sequence[Version], query: Query | None = None) -> None:
    """Leave a trace of what is about to be shown."""
    if (witness := facade().witness) is not None:
        witness.seen(request, access(), versions, query)


def parse(kind: str, asked: Pairs, *, strict: bool | None = None) -> Query:
    """A query of the type; what it asks for in an unknown way is refused where it is strict."""
    if strict is None:
        strict = preference(request, "handling") == "strict"
    config = facade().config
    return parse_query(
        kind, asked, strict=strict, base=config.base, count=config.count, most=config.max_count
    )
