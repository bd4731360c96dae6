"""A store in front of another FHIR server, which keeps the resources.

Resources are validated before they are sent, and the permissions of the client are enforced here
whatever the upstream server returns. Clients, tokens, export jobs and AuditEvents are in a SQLite
file.  https://hl7.org/fhir/R4/http.html
"""

import hmac
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from secrets import token_bytes
from urllib.parse import urlencode, urlsplit

from fhir_b12.server.config import Config, ConfigError, is_loopback, variable
from fhir_b12.server.errors import RequestError
from fhir_b12.server.resource_types import READ_ONLY
from fhir_b12.server.search.cursor import INVALID, encode_cursor
from fhir_b12.server.search.query import Access, FullAccess, Query
from fhir_b12.server.store import Change, ChangeResult, Page, Resource, Version
from fhir_b12.server.store.history import is_visible
from fhir_b12.server.store.proxy import responses
from fhir_b12.server.store.proxy.client import UpstreamClient, bad_gateway, upstream_refusal
from fhir_b12.server.store.proxy.search_url import authorize_chains, search_path
from fhir_b12.server.store.proxy.writes import UpstreamWrites
from fhir_b12.server.store.sqlite import SqliteStore
from fhir_b12.server.wire.timestamps import format_instant

Limits = Sequence[Query]
_MINUTE = 60_000_000  #: µs
_STRICT = {"Prefer": "handling=strict"}  #: unknown parameters must not be ignored
_MARK_LENGTH = 32  #: characters of the signature of a cursor


def restore(copy: Path, config: Config) -> None:  # noqa: ARG001 - as in every store module
    """Raise an error: the resources are restored on the upstream server.

    Raises:
        ConfigError: always.

    """
    raise ConfigError("the upstream server keeps the data: restore it there")


def open_store(config: Config) -> "ProxyStore":
    """Return a store in front of the server in the settings; no request is sent yet.

    Raises:
        ConfigError: the url is invalid, or a setting is not possible with an upstream server.

    """
    base, issues = config.database.rstrip("/"), []
    parts = urlsplit(base)
    if not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        message = "write the url of a server without user, query and fragment"
        issues.append(f"{variable('database')}: {message}")
    elif config.upstream_token and parts.scheme != "https" and not is_loopback(parts.hostname):
        issues.append(f"{variable('upstream_token')}: a token needs an https url")
    if config.integrity:
        message = "not possible with an upstream server, which checks references itself"
        issues.append(f"{variable('integrity')}: {message}")
    if issues:
        raise ConfigError("\n".join(issues))
    return ProxyStore(base, config)


class ProxyStore:
    """An upstream FHIR server for the resources, and a SQLite store for everything else."""

    def __init__(self, base: str, config: Config) -> None:
        self._config = config
        #: clients, tokens, export jobs and AuditEvents
        self.local = SqliteStore(replace(config, database=config.local))
        self._upstream = UpstreamClient(base, config)
        self._key = token_bytes(32)  #: signs cursors

    # --- reading

    def read(self, resource_type: str, resource_id: str, access: Access) -> Version | None:
        """Return the current version; None if it never existed or access is denied."""
        if resource_type in READ_ONLY:
            return self.local.read(resource_type, resource_id, access)
        limits = _limits(access, resource_type, "r")
        version = self._fetch(resource_type, resource_id)
        return version if version and self._is_visible(version, limits) else None

    def vread(
        self, resource_type: str, resource_id: str, version_id: int, access: Access
    ) -> Version | None:
        """Return one version; None if it never existed or access is denied."""
        if resource_type in READ_ONLY:
            return self.local.vread(resource_type, resource_id, version_id, access)
        limits = _limits(access, resource_type, "r")
        version = self._fetch(resource_type, resource_id, f"/_history/{version_id}")
        return version if version and self._is_visible(version, limits) else None

    def _is_visible(self, version: Version, limits: Limits) -> bool:
        return is_visible(version, limits, self._upstream.base)

    def _fetch(self, resource_type: str, resource_id: str, suffix: str = "") -> Version | None:
        """Return a version from the upstream server; None if unknown."""
        response = self._upstream.request("GET", f"/{resource_type}/{resource_id}{suffix}")
        if response.status == 404:
            return None
        if response.status == 410:
            etag = response.headers.get("ETag")
            return responses.deleted_version(resource_type, resource_id, etag, 0)
        if response.status != 200:
            raise upstream_refusal(response)
        version = responses.parse_version(response.value, resource_type)
        if version.id != resource_id:
            raise bad_gateway("another resource than was requested")
        return version

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
        """Return a page of versions, newest first; see `Store.history`."""
        if resource_type in READ_ONLY:
            return self.local.history(
                resource_type, resource_id,
                since=since, at=at, count=count, cursor=cursor, access=access,
            )  # fmt: skip
        limits = _limits(access, resource_type, "r")
        pairs = {"_count": str(count)} | {
            name: format_instant(moment)
            for name, moment in (("_since", since), ("_at", at))
            if moment is not None
        }
        path = resource_type if resource_id is None else f"{resource_type}/{resource_id}"
        first = f"/{path}/_history?{urlencode(pairs)}"
        response = self._upstream.request("GET", self._unsign(cursor, first) if cursor else first)
        if response.status in {404, 410} and resource_id is not None:
            return Page(matches=())
        page = responses.parse_bundle(response)
        versions = [responses.parse_history_entry(entry, resource_type) for entry in page.entry]
        return Page(
            matches=tuple(version for version in versions if self._is_visible(version, limits)),
            total=None if limits else page.total,
            next=self._next_cursor(page, first),
        )

    # --- searching

    def search(self, query: Query, access: Access) -> Page:
        """Return a page of matches; the upstream server gets the parsed query and the limits.

        Raises:
            RequestError: 403 if the type may not be searched, or not within the token's limits.

        """
        if query.type in READ_ONLY:
            return self.local.search(query, access)
        limits = _limits(access, query.type, "s")
        authorize_chains(query, access)
        if len(limits) > 1:
            message = "several restrictions cannot be sent upstream: request a token with one"
            raise RequestError(403, "forbidden", message)
        if limits and not query.count:
            message = "the total would include what the token may not see: request the matches"
            raise RequestError(403, "forbidden", message)
        first = search_path(query, limits, self._config.base)
        path = first if query.cursor is None else self._unsign(str(query.cursor[0]), first)
        page = self._page(path)
        matches, included = [], []
        for mode, version in responses.search_entries(page, query.type):
            if mode == "match":
                if not self._is_visible(version, limits):
                    # the upstream server ignores the limits: its pages reveal hidden resources
                    message = "the upstream server ignores the restriction of the token"
                    raise RequestError(403, "forbidden", message)
                matches.append(version)
            elif (own := access.limits(version.type, "r")) is not None:
                included += [version] if self._is_visible(version, own) else []
        cursor = self._next_cursor(page, first)
        return Page(
            matches=tuple(matches),
            included=tuple(included),
            total=page.total if query.total and not limits else None,
            next=cursor and encode_cursor([cursor]),
        )

    def _page(self, path: str) -> responses.Bundle:
        return responses.parse_bundle(self._upstream.request("GET", path, headers=_STRICT))

    def _next_path(self, page: responses.Bundle) -> str | None:
        """Return the path of the next page, which must be below the base url."""
        for link in page.link:
            if link.relation == "next":
                path = self._upstream.path_below_base(link.url)
                if path is None:
                    raise bad_gateway("a next link outside its base url")
                return path
        return None

    def _next_cursor(self, page: responses.Bundle, first: str) -> str | None:
        """Return the signed next link of a page of the request that began with `first`."""
        path = self._next_path(page)
        return None if path is None else self._mark(path, first) + path

    def _unsign(self, cursor: str, first: str) -> str:
        path = cursor[_MARK_LENGTH:]
        mark = self._mark(path, first)
        if not hmac.compare_digest(cursor[:_MARK_LENGTH].encode(), mark.encode()):
            raise RequestError(400, "value", f"_page: {INVALID}")
        return path

    def _mark(self, path: str, first: str) -> str:
        signature = hmac.new(self._key, f"{first}\n{path}".encode(), "sha256")
        return signature.hexdigest()[:_MARK_LENGTH]

    def scan(
        self,
        types: Sequence[str],
        *,
        since: int | None,
        access: Access,
        limits: Limits,
    ) -> Iterator[Version]:
        """Yield all current resources of these types, page by page; see `Store.scan`."""
        for resource_type in types:
            if resource_type in READ_ONLY:
                yield from self.local.scan(
                    [resource_type], since=since, access=access, limits=limits
                )
            elif (own := access.limits(resource_type, "r")) is not None:
                further = [query for query in limits if query.type == resource_type]
                for version in self._scan_type(resource_type, since, own):
                    if self._is_visible(version, own) and self._is_visible(version, further):
                        yield version

    def _scan_type(
        self, resource_type: str, since: int | None, limits: Limits
    ) -> Iterator[Version]:
        changed = () if since is None else (("_lastUpdated", f"ge{format_instant(since)}"),)
        query = Query(type=resource_type, pairs=changed, count=self._config.max_count)
        single = limits if len(limits) == 1 else ()
        path: str | None = search_path(query, single, self._config.base)
        visited: set[str] = set()
        while path is not None:
            if path in visited:
                raise bad_gateway("next links in a loop")
            visited.add(path)
            page = self._page(path)
            for mode, version in responses.search_entries(page, resource_type):
                if mode == "match":
                    yield version
            path = self._next_path(page)

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
        """Apply all changes atomically; several are one transaction of the upstream server."""
        if all(change.type in READ_ONLY for change in changes):
            return self.local.apply(changes, access, clock=clock, check=check, audit=audit)
        writes = UpstreamWrites(
            upstream=self._upstream, access=access, base=self._config.base, now=clock(),
            check=check, fetch=self._fetch, search=self.search,
        )  # fmt: skip
        results = writes.apply(changes)
        if audit is not None:
            self._store_events(audit(results), clock)
        return results

    def _store_events(self, events: Sequence[Resource], clock: Callable[[], int]) -> None:
        """Store the AuditEvents of changes of the upstream server in the local database."""
        changes = [
            Change(method="POST", type=event["resourceType"], resource=event) for event in events
        ]
        try:
            self.local.apply(changes, FullAccess(), clock=clock)
        except RequestError as error:
            message = "the change is stored, its AuditEvent is not: do not send the change again"
            raise RequestError(error.status, "no-store", message) from error

    def commit_horizon(self, clock: Callable[[], int]) -> int:
        """Return a minute ago: pending writes and the clock of the upstream server are unknown."""
        return self.local.commit_horizon(clock) - _MINUTE

    # --- clients, tokens, export jobs

    def use_once(self, key: str, until: int) -> bool:
        """Return True for the first use of a key until its expiry, seconds since 1970 UTC."""
        return self.local.use_once(key, until)

    def put_token(self, key: str, until: int, value: Resource) -> None:
        """Store the grant of an access token until its expiry, seconds since 1970 UTC."""
        self.local.put_token(key, until, value)

    def token(self, key: str) -> Resource | None:
        """Return the grant of an access token with its expiry `until`; None if unknown."""
        return self.local.token(key)

    def clients(self) -> list[Resource]:
        """Return all registered clients."""
        return self.local.clients()

    def client(self, client_id: str) -> Resource | None:
        """Return a registered client; None if unknown."""
        return self.local.client(client_id)

    def put_client(self, client: Resource) -> None:
        """Register a client or replace its registration."""
        self.local.put_client(client)

    def delete_client(self, client_id: str) -> bool:
        """Delete a client; return False if unknown."""
        return self.local.delete_client(client_id)

    def put_job(self, job: Resource) -> None:
        """Store the state of an export job."""
        self.local.put_job(job)

    def job(self, job_id: str) -> Resource | None:
        """Return the state of an export job; None if unknown."""
        return self.local.job(job_id)

    def jobs(self) -> list[Resource]:
        """Return the states of all export jobs."""
        return self.local.jobs()

    def delete_job(self, job_id: str) -> bool:
        """Delete an export job; return False if unknown."""
        return self.local.delete_job(job_id)

    # --- administration

    def ready(self) -> bool:
        """Return True if the upstream server responds and supports R4."""
        try:
            response = self._upstream.request("GET", "/metadata?_summary=true", idempotent=False)
        except RequestError:
            return False
        statement = response.value if response.status == 200 else {}
        version = str(statement.get("fhirVersion", ""))
        return self.local.ready() and version.startswith("4.0.")

    def reindex(self) -> int:
        """Raise an error: the upstream server indexes its resources.

        Raises:
            ConfigError: always.

        """
        raise ConfigError("the upstream server keeps the data and indexes it")

    def backup(self, path: Path) -> None:  # noqa: ARG002 - of the protocol
        """Raise an error: the upstream server keeps the resources.

        Raises:
            ConfigError: always.

        """
        message = "the upstream server keeps the data: back up the clients and tokens with"
        raise ConfigError(f"{message} --database {self._config.local}")

    def close(self) -> None:
        """Close the store; acknowledged changes are durable."""
        self._upstream.close()
        self.local.close()


def _limits(access: Access, resource_type: str, action: str) -> tuple[Query, ...]:
    limits = access.limits(resource_type, action)
    if limits is None:
        verb = {"r": "read", "s": "searched"}[action]
        raise RequestError(403, "forbidden", f"{resource_type} may not be {verb} with this token")
    return limits
