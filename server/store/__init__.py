"""The store protocol: versions of resources, changes, and their results.

https://hl7.org/fhir/R4/http.html
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from fhir_b12.server.search.query import Access, FullAccess, Query

__all__ = ("Access", "Change", "ChangeResult", "FullAccess", "Page", "Resource", "Store", "Version")

Resource = dict[str, Any]


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version of one resource, as stored."""

    type: str  #: resource type
    id: str  #: resource id
    version_id: int  #: 0 if deleted on another server that does not report version ids
    last_updated: int  #: microseconds since 1970 UTC; meta.lastUpdated has milliseconds
    method: str  #: POST, PUT, PATCH or DELETE
    body: bytes | None  #: JSON with id, meta.versionId, meta.lastUpdated; None if deleted


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One create, update, patch or delete."""

    method: str  #: POST, PUT, PATCH or DELETE
    type: str  #: resource type
    id: str | None = None  #: resource id; None for a create or a conditional interaction
    criteria: Query | None = None  #: If-None-Exist, or the search of a conditional interaction
    resource: Resource | None = None  #: for POST and PUT; as parsed, numbers are Decimals
    patch: list[Any] | None = None  #: JSON Patch operations
    if_match: int | None = None  #: version id that the current version must have
    full_url: str | None = None  #: fullUrl of the transaction entry; references to it are rewritten


class ChangeResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one change."""

    version: Version | None  #: the current version; None if the resource never existed
    #: created, updated, unchanged, deleted, matched (conditional create) or missing
    outcome: str


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page of search results or of a history."""

    matches: tuple[Version, ...]
    included: tuple[Version, ...] = ()  #: from _include and _revinclude
    total: int | None = None  #: number of all matches; None if not counted
    next: str | None = None  #: opaque cursor of the next page, for `_page`


class Store(Protocol):
    """Storage for resources with all their versions, and for clients, tokens and export jobs."""

    def read(self, resource_type: str, resource_id: str, access: Access) -> Version | None:
        """Return the current version; None if it never existed or access is denied.

        Raises:
            RequestError: 403 if the resource type may not be read.

        """

    def vread(
        self, resource_type: str, resource_id: str, version_id: int, access: Access
    ) -> Version | None:
        """Return one version; None if it never existed or access is denied.

        Raises:
            RequestError: 403 if the resource type may not be read.

        """

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
        """Return a page of versions, newest first.

        Args:
            resource_type: the type of the resources.
            resource_id: the resource; None for all resources of the type.
            since: earliest lastUpdated, microseconds since 1970 UTC.
            at: only versions that were current at this time, microseconds since 1970 UTC.
            count: versions per page.
            cursor: `Page.next` of the previous page.
            access: the permissions of the client.

        Raises:
            RequestError: 403 if the resource type may not be read, 400 for an invalid cursor.

        """

    def search(self, query: Query, access: Access) -> Page:
        """Return a page of matches.

        Raises:
            RequestError: 403 if the resource type may not be searched, 400 for an invalid cursor.

        """

    def apply(
        self,
        changes: Sequence[Change],
        access: Access,
        *,
        clock: Callable[[], int],
        check: Callable[[Resource], None] | None = None,
        audit: Callable[[Sequence[ChangeResult]], list[Resource]] | None = None,
    ) -> list[ChangeResult]:
        """Apply all changes atomically, in the order DELETE, POST, PUT, PATCH.

        Args:
            changes: the changes of one request.
            access: the permissions of the client.
            clock: returns microseconds since 1970 UTC; called inside the transaction.
            check: validates the result of a PATCH; raises RequestError if it is invalid.
            audit: returns the AuditEvents to store in the same transaction.

        Returns:
            The results in the order of `changes`.

        Raises:
            RequestError: 400, 403, 404, 409, 410, 412, 422, 503 or 507; nothing was stored.

        """

    def scan(
        self,
        types: Sequence[str],
        *,
        since: int | None,
        access: Access,
        limits: Sequence[Query],
    ) -> Iterator[Version]:
        """Yield all current resources of these types, in constant memory.

        Args:
            types: resource types; those that may not be read are skipped.
            since: earliest lastUpdated, microseconds since 1970 UTC.
            access: the permissions of the client.
            limits: further queries; a resource must match one of those of its type.

        """

    def commit_horizon(self, clock: Callable[[], int]) -> int:
        """Return a time before which no further versions will be committed.

        A scan that starts afterwards sees every version older than that time.
        """

    def use_once(self, key: str, until: int) -> bool:
        """Return True for the first use of a key until its expiry, seconds since 1970 UTC."""

    def put_token(self, key: str, until: int, value: Resource) -> None:
        """Store the grant of an access token until its expiry, seconds since 1970 UTC."""

    def token(self, key: str) -> Resource | None:
        """Return the grant of an access token with its expiry `until`; None if unknown."""

    def clients(self) -> list[Resource]:
        """Return all registered clients."""

    def client(self, client_id: str) -> Resource | None:
        """Return a registered client; None if unknown."""

    def put_client(self, client: Resource) -> None:
        """Register a client or replace its registration."""

    def delete_client(self, client_id: str) -> bool:
        """Delete a client; return False if unknown."""

    def put_job(self, job: Resource) -> None:
        """Store the state of an export job."""

    def job(self, job_id: str) -> Resource | None:
        """Return the state of an export job; None if unknown."""

    def jobs(self) -> list[Resource]:
        """Return the states of all export jobs."""

    def delete_job(self, job_id: str) -> bool:
        """Delete an export job; return False if unknown."""

    def ready(self) -> bool:
        """Return True if the database answers."""

    def reindex(self) -> int:
        """Rebuild the search index; return the number of resources."""

    def backup(self, path: Path) -> None:
        """Write a copy of the database to a new file while requests are served."""

    def close(self) -> None:
        """Close the store; acknowledged changes are durable."""
