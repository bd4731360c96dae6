"""The context that is passed to every handler, and the routes that handlers answer."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from flask import Request, Response
from msgspec.structs import replace

from fhir_b12.server.auth.audit import AuditRecorder
from fhir_b12.server.auth.authorizer import Authorizer
from fhir_b12.server.config import Config
from fhir_b12.server.fhir.validation_policy import ValidationPolicy
from fhir_b12.server.rate_limit import RateLimiter
from fhir_b12.server.search.query import Query
from fhir_b12.server.search.query_parser import parse_query
from fhir_b12.server.store import Access, Change, ChangeResult, Store, Version
from fhir_b12.server.telemetry import Metrics
from fhir_b12.server.wire.prefer import preference
from fhir_b12.server.wire.query import Pairs, parse_query_string
from fhir_b12.server.wire.result_format import ResultFormat

#: key in the WSGI environment of a batch entry: the access of the batch, known already
ACCESS = "fhir_b12.access"


class Route(NamedTuple):
    """One interaction or operation: its URL and its handler."""

    code: str  #: of https://hl7.org/fhir/R4/valueset-type-restful-interaction.html, or `$name`
    methods: tuple[str, ...]
    rule: str  #: below the FHIR base; `<writable:resource_type>` is a type that may be written
    handler: Callable[..., Response]  #: called with the RequestContext and the rule's variables
    definition: str = ""  #: canonical URL of an operation
    is_public: bool = False  #: needs no access token; returns no patient data


def current_time() -> int:
    """Return µs since 1970, in whole milliseconds as instants of the server have them."""
    return time.time_ns() // 1_000_000 * 1000


@dataclass(frozen=True, kw_only=True, eq=False)
class ServerContext:
    """What all requests to one server share."""

    config: Config
    store: Store
    authorizer: Authorizer
    audit_recorder: AuditRecorder | None = None  #: None when authorization or audit is off
    policy: ValidationPolicy
    routes: tuple[Route, ...] = ()  #: those of the FHIR API
    rate_limiter: RateLimiter | None = None  #: None when requests are not limited
    metrics: Metrics | None = None  #: None when metrics are off
    clock: Callable[[], int] = current_time  #: µs since 1970
    #: answers a WSGI environment; a batch dispatches its entries by it
    dispatch: Callable[[dict[str, Any]], Response]

    def search_all(
        self, access: Access, resource_type: str, pairs: Pairs, *compartments: Any
    ) -> Iterator[Version]:
        """Yield all matches of a search, read page by page.

        Args:
            access: what the client may see.
            resource_type: the type to search.
            pairs: search parameters.
            compartments: criteria that matches must meet too.

        """
        first = [*pairs, ("_count", str(self.config.max_count))]
        cursor: str | None = None
        while True:
            query = parse_query(
                resource_type,
                [*first, ("_page", cursor)] if cursor else first,
                strict=True,
                base=self.config.base,
                most=self.config.max_count,
            )
            page = self.store.search(
                replace(query, criteria=(*query.criteria, *compartments)), access
            )
            yield from page.matches
            if (cursor := page.next) is None:
                return


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestContext:
    """One request, and what is known of it when its handler is called."""

    server: ServerContext
    request: Request
    access: Access  #: what the client may do
    result_format: ResultFormat
    request_id: str  #: X-Request-Id, the client's or a new one

    @property
    def config(self) -> Config:
        """Settings of the server."""
        return self.server.config

    @property
    def now(self) -> int:
        """Current time, µs since 1970."""
        return self.server.clock()

    @property
    def client(self) -> str:
        """Id of the client; empty on an open server."""
        return str(getattr(self.access, "client", ""))

    def query_pairs(self) -> Pairs:
        """Return names and values of the URL's query.

        Raises:
            RequestError: 400 or 414, see `parse_query_string`.

        """
        return parse_query_string(self.request.query_string, self.config)

    def parse_search(
        self, resource_type: str, pairs: Pairs, *, strict: bool | None = None
    ) -> Query:
        """Parse search parameters; unknown ones are an error if `strict` or `handling=strict`.

        Raises:
            RequestError: 400 with all parameters that are invalid.

        """
        if strict is None:
            strict = preference(self.request, "handling") == "strict"
        return parse_query(
            resource_type,
            pairs,
            strict=strict,
            base=self.config.base,
            count=self.config.count,
            most=self.config.max_count,
        )

    def apply(
        self, changes: Sequence[Change], *, check: Callable[[Any], None] | None = None
    ) -> list[ChangeResult]:
        """Apply all changes or none, with their AuditEvents in the same transaction.

        `check` raises RequestError for a patched resource that is invalid.
        """
        recorder = self.server.audit_recorder
        audit = None
        if recorder is not None:
            # the store may call it in another thread
            audit = partial(recorder.events_for_changes, self.request, self.access)
        return self.server.store.apply(
            changes, self.access, clock=self.server.clock, check=check, audit=audit
        )

    def record_access(self, versions: Sequence[Version], query: Query | None = None) -> None:
        """Store an AuditEvent of versions that are about to be returned."""
        if (recorder := self.server.audit_recorder) is not None:
            recorder.record_access(self.request, self.access, versions, query)
