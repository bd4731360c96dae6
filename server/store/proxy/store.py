"""The store that another FHIR server is: it keeps the resources, we stand in front of it.

What is written is held to our rules before it is sent on. What is shown is held to the token here,
whatever the other server thinks of it. Clients, tokens, exports and AuditEvents are kept beside, in
a SQLite file.  https://hl7.org/fhir/R4/http.html
"""

import hmac
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from secrets import token_bytes
from urllib.parse import urlencode, urlsplit

from fhir_b12.server.config import Config, ConfigError, is_loopback, variable
from fhir_b12.server.errors import Refusal, refuse
from fhir_b12.server.resource_types import READ_ONLY
from fhir_b12.server.search import query as queries
from fhir_b12.server.search.query import Query
from fhir_b12.server.store import Access, Change, ChangeResult, FullAccess, Page, Resource, Version
from fhir_b12.server.store.history import is_visible
from fhir_b12.server.store.proxy import responses, search_url
from fhir_b12.server.store.proxy.client import Upstream, refused, strange
from fhir_b12.server.store.proxy.writes import Sending
from fhir_b12.server.store.sqlite import Sqlite
from fhir_b12.server.wire.timestamps import format_instant

Limits = Sequence[Query]
_MINUTE = 60_000_000  #: µs
_STRICT = {"Prefer": "handling=strict"}  #: what it does not know it must not overlook


def restore(copy: Path, config: Config) -> None:  # noqa: ARG001 - of every store
    """Not here."""
    raise ConfigError("the server behind this one keeps the data; restore it there")


def open_store(config: Config) -> "Forward":
    """The server at the url that the settings name; it is not asked yet.

    Raises:
        ConfigError: the url is none, or a setting does not go with it.

    """
    base, wrong = config.database.rstrip("/"), []
    parts = urlsplit(base)
    if not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        wrong.append(f"{variable('database')}: name a server without user, query and fragment")
    elif config.upstream_token and parts.scheme != "https" and not is_loopback(parts.hostname):
        wrong.append(f"{variable('upstream_token')}: a token is sent by https alone")
    if config.integrity:
        wrong.append(f"{variable('integrity')}: the server behind this one decides on references")
    if wrong:
        raise ConfigError("\n".join(wrong))
    return Forward(base, config)


class Forward(Sqlite):
    """A SQLite file for what is our own, a server for the resources."""

    def __init__(self, base: str, config: Config) -> None:
        super().__init__(replace(config, database=config.local))
        self._upstream = Upstream(base, config)
        self._key = token_bytes(32)  #: by which cursors are known to be ours

    # --- reading

    def read(self, resource_type: str, resource_id: str, access: Access) -> Version | None:
        """The current version; None where it never was or is not visible."""
        if resource_type in READ_ONLY:
            return super().read(resource_type, resource_id, access)
        limits = _limits(access, resource_type, "r")
        found = self._fetched(resource_type, resource_id)
        return found if found and self._shows(found, limits) else None

    def vread(
        self,
        resource_type: str,
        resource_id: str,
        version_id: int,
        access: Access,
    ) -> Version | None:
        """One version; None as for `read`."""
        if resource_type in READ_ONLY:
            return super().vread(resource_type, resource_id, version_id, access)
        limits = _limits(access, resource_type, "r")
        found = self._fetched(resource_type, resource_id, f"/_history/{version_id}")
        return found if found and self._shows(found, limits) else None

    def _shows(self, version: Version, limits: Limits) -> bool:
        return is_visible(version, limits, self._upstream.base)

    def _fetched(self, kind: str, name: str, more: str = "") -> Version | None:
        answer = self._upstream.ask("GET", f"/{kind}/{name}{more}")
        if answer.status == 404:
            return None
        if answer.status == 410:
            return responses.gone(kind, name, answer.headers.get("ETag"), 0)
        if answer.status != 200:
            raise refused(answer)
        found = responses.version(answer.value, kind)
        if found.id != name:
            raise strange("with another resource than was asked for")
        return found

    def history(
        self,
        resource_type: str,
        resource_id: str | None,
        *,
        since: int | None,
        at: int | None,
        count: int,
        cursor: str | None,
        access: Access,
    ) -> Page:
        """Versions, the newest first."""
        if resource_type in READ_ONLY:
            return super().history(
                resource_type,
                resource_id,
                since=since,
                at=at,
                count=count,
                cursor=cursor,
                access=access,
            )
        limits = _limits(access, resource_type, "r")
        asked = {"_count": str(count)}
        asked |= {
            name: format_instant(moment)
            for name, moment in (("_since", since), ("_at", at))
            if moment is not None
        }
        path = resource_type if resource_id is None else f"{resource_type}/{resource_id}"
        first = f"/{path}/_history?{urlencode(asked)}"
        answer = self._upstream.ask("GET", self._unsealed(cursor, first) if cursor else first)
        if answer.status in {404, 410} and resource_id is not None:
            return Page(matches=())
        page = responses.bundle(answer)
        versions = [responses.past(each, resource_type) for each in page.entry]
        return Page(
            matches=tuple(each for each in versions if self._shows(each, limits)),
            total=None if limits else page.total,
            next=self._sealed(page, first),
        )

    # --- searching

    def search(self, query: Query, access: Access) -> Page:
        """A page of what matches; the query is asked as we understood it, with the limits."""
        if query.type in READ_ONLY:
            return super().search(query, access)
        limits = _limits(access, query.type, "s")
        search_url.hold_sight(query, access)
        if len(limits) > 1:
            message = "of several restrictions no other server can be told; take a token with one"
            raise refuse(403, "forbidden", message)
        if limits and not query.count:
            message = "what this token may not see would be counted too; ask for the matches"
            raise refuse(403, "forbidden", message)
        first = search_url.path(query, limits, self._config.base)
        path = first if query.cursor is None else self._unsealed(str(query.cursor[0]), first)
        page = self._page(path)
        matches, included = [], []
        for mode, version in responses.found(page, query.type):
            if mode == "match" and not self._shows(version, limits):
                # it overlooks the limits, so that its pages tell of what may not be seen
                message = "the server behind this one does not hold to the token's restriction"
                raise refuse(403, "forbidden", message)
            if mode == "match":
                matches.append(version)
            elif (own := access.limits(version.type, "r")) is not None and self._shows(
                version, own
            ):
                included.append(version)
        following = self._sealed(page, first)
        return Page(
            matches=tuple(matches),
            included=tuple(included),
            total=page.total if query.total and not limits else None,
            next=following and queries.page([following]),
        )

    def _page(self, path: str) -> responses.Bundle:
        return responses.bundle(self._upstream.ask("GET", path, headers=_STRICT))

    def _following(self, page: responses.Bundle) -> str | None:
        """Where the next page is; it is looked for nowhere but below the base."""
        for each in page.link:
            if each.relation == "next":
                path = self._upstream.below(each.url)
                if path is None:
                    raise strange("with a next link that leads elsewhere")
                return path
        return None

    def _sealed(self, page: responses.Bundle, first: str) -> str | None:
        """The cursor to the next page of what began so: its link, with our mark."""
        link = self._following(page)
        return None if link is None else self._mark(link, first) + link

    def _unsealed(self, cursor: str, first: str) -> str:
        link = cursor[32:]
        if not hmac.compare_digest(cursor[:32].encode(), self._mark(link, first).encode()):
            raise refuse(400, "value", "_page is not what a next link of this search said")
        return link

    def _mark(self, link: str, first: str) -> str:
        return hmac.new(self._key, f"{first}\n{link}".encode(), "sha256").hexdigest()[:32]

    def scan(
        self,
        types: Sequence[str],
        *,
        since: int | None,
        access: Access,
        limits: Limits,
    ) -> Iterator[Version]:
        """Everything of these types, page by page."""
        for kind in types:
            if kind in READ_ONLY:
                yield from super().scan([kind], since=since, access=access, limits=limits)
                continue
            if (own := access.limits(kind, "r")) is None:
                continue
            more = [each for each in limits if each.type == kind]
            changed = () if since is None else (("_lastUpdated", f"ge{format_instant(since)}"),)
            query = Query(type=kind, pairs=changed, count=self._config.max_count)
            path: str | None = search_url.path(
                query, own if len(own) == 1 else (), self._config.base
            )
            known: set[str] = set()
            while path is not None:
                if path in known:
                    raise strange("with pages that lead back")
                known.add(path)
                page = self._page(path)
                for mode, each in responses.found(page, kind):
                    if mode == "match" and self._shows(each, own) and self._shows(each, more):
                        yield each
                path = self._following(page)

    # --- writing

    def apply(
        self,
        changes: Sequence[Change],
        access: Access,
        *,
        clock: Callable[[], int],
        check: Callable[[Resource], None] | None = None,
        audit: Callable[[Sequence[ChangeResult]], list[Resource]] | None = None,
    ) -> list[ChangeResult]:
        """Do all changes or none; several are a transaction of the other server."""
        if all(each.type in READ_ONLY for each in changes):
            return super().apply(changes, access, clock=clock, check=check, audit=audit)
        work = Sending(
            upstream=self._upstream, access=access, base=self._config.base, now=clock(),
            check=check, fetch=self._fetched, search=self.search,
        )  # fmt: skip
        dones = work.carry_out(changes)
        if audit is not None:
            self._note(audit(dones), clock)
        return dones

    def _note(self, events: Sequence[Resource], clock: Callable[[], int]) -> None:
        """Keep AuditEvents here, of what is done there."""
        notes = [Change(method="POST", type=each["resourceType"], resource=each) for each in events]
        try:
            super().apply(notes, FullAccess(), clock=clock)
        except Refusal as error:
            message = "it is done, but its AuditEvent could not be kept; do not send it again"
            raise refuse(error.status, "no-store", message) from error

    def commit_horizon(self, clock: Callable[[], int]) -> int:
        """A minute ago: what is being written there, and by which clock, is not known here."""
        return super().commit_horizon(clock) - _MINUTE

    # --- upkeep

    def ready(self) -> bool:
        """True where the other server answers and speaks R4."""
        try:
            answer = self._upstream.ask("GET", "/metadata?_summary=true", again=False)
        except Refusal:
            return False
        told = answer.value if answer.status == 200 else {}
        return super().ready() and str(told.get("fhirVersion", "")).startswith("4.0.")

    def reindex(self) -> int:
        """Not here."""
        raise ConfigError("the server behind this one keeps the data and indexes it")

    def backup(self, path: Path) -> None:  # noqa: ARG002 - of the protocol
        """Not here."""
        message = "the server behind this one keeps the data; of what is ours name the file, "
        raise ConfigError(f"{message}--database {self._config.local}")

    def close(self) -> None:
        """End; what was acknowledged is kept."""
        self._upstream.close()
        super().close()


# --- what is allowed


def _limits(access: Access, kind: str, action: str) -> tuple[Query, ...]:
    limits = access.limits(kind, action)
    if limits is None:
        verb = {"r": "read", "s": "searched"}[action]
        raise refuse(403, "forbidden", f"{kind} may not be {verb} with this token")
    return limits
