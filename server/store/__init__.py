"""What every store is: versions, changes, and one protocol.  https://hl7.org/fhir/R4/http.html"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

    from fhir_b12.server.search.query import Query

Resource = dict[str, Any]


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version of one resource, as it is kept."""

    type: str
    id: str
    version: int  #: 0 for what another server deleted without saying which version that is
    updated: int  #: microseconds since 1970 UTC, as meta.lastUpdated says (milliseconds there)
    method: str  #: POST PUT PATCH DELETE
    body: bytes | None  #: JSON, with id, meta.versionId, meta.lastUpdated; None where deleted


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to do."""

    method: str  #: POST PUT PATCH DELETE
    type: str
    id: str | None = None
    criteria: "Query | None" = None  #: If-None-Exist, or the search of a conditional interaction
    resource: Resource | None = None  #: POST, PUT; as parsed (Decimals)
    patch: list[Any] | None = None  #: JSON Patch operations
    if_match: int | None = None
    full_url: str | None = None  #: of a transaction's entry; references to it are rewritten


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a change."""

    version: Version | None  #: as it now is; None for a delete of what never was
    what: str  #: created | updated | same | deleted | found (conditional create) | absent


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Some of what was found."""

    matches: tuple[Version, ...]
    included: tuple[Version, ...] = ()
    total: int | None = None
    next: str | None = None  #: opaque cursor for `_page`


class Access(Protocol):
    """What the caller may."""

    def limits(self, type: str, action: str) -> "tuple[Query, ...] | None":  # noqa: A002
        """What bounds an action of `cruds` on a type: None, it may not; (), without limits.

        Otherwise one of these queries must match: compartments and restrictions of scopes.
        """


class Everything:
    """The access of `--open`."""

    def limits(self, type: str, action: str) -> "tuple[Query, ...] | None":  # noqa: A002, ARG002
        """No limits."""
        return ()


class Store(Protocol):
    """Where resources are kept, with all that they have been."""

    def read(self, type: str, id: str, access: Access) -> Version | None:  # noqa: A002
        """The current version; None where it never was or is not visible."""

    def vread(
        self,
        type: str,  # noqa: A002
        id: str,  # noqa: A002
        version: int,
        access: Access,
    ) -> Version | None:
        """One version; None as for `read`."""

    def history(
        self,
        type: str,  # noqa: A002
        id: str | None,  # noqa: A002
        *,
        since: int | None,
        at: int | None,
        count: int,
        cursor: str | None,
        access: Access,
    ) -> Page:
        """Versions, the newest first."""

    def search(self, query: "Query", access: Access) -> Page:
        """A page of what matches."""

    def apply(
        self,
        changes: Sequence[Change],
        access: Access,
        *,
        clock: Callable[[], int],
        check: Callable[[Resource], None] | None = None,
        audit: Callable[[Sequence[Done]], list[Resource]] | None = None,
    ) -> list[Done]:
        """Do all changes or none, DELETE, POST, PUT and PATCH; answers in the order given.

        `clock` tells the time of their versions, µs since 1970, once nobody is before them.
        `check` refuses what a PATCH made; what `audit` gives is kept with the changes.

        Raises:
            Refusal: 404, 409, 410, 412, 422, 503.

        """

    def scan(
        self,
        types: Sequence[str],
        *,
        since: int | None,
        access: Access,
        limits: Sequence["Query"],
    ) -> Iterator[Version]:
        """Everything of these types, in constant memory."""

    def moment(self, clock: Callable[[], int]) -> int:
        """A time before which nothing more will be written: what is read from now on has it all."""

    def use_once(self, key: str, until: int) -> bool:
        """True the first time that a key is used."""

    def put_token(self, key: str, until: int, value: Resource) -> None:
        """Keep what a token allows, until seconds since 1970."""

    def token(self, key: str) -> Resource | None:
        """What a token allows, with `until`; None where there is none."""

    def clients(self) -> list[Resource]:
        """Every registered client."""

    def client(self, id: str) -> Resource | None:  # noqa: A002
        """One registered client."""

    def put_client(self, client: Resource) -> None:
        """Register or change a client."""

    def delete_client(self, id: str) -> bool:  # noqa: A002
        """Forget a client; False where there was none."""

    def put_job(self, job: Resource) -> None:
        """Keep the state of an export."""

    def job(self, id: str) -> Resource | None:  # noqa: A002
        """The state of one export."""

    def jobs(self) -> list[Resource]:
        """The states of all exports."""

    def delete_job(self, id: str) -> bool:  # noqa: A002
        """Forget an export; False where there was none."""

    def ready(self) -> bool:
        """True where it answers."""

    def reindex(self) -> int:
        """Make the search indexes again; how many resources they are of."""

    def backup(self, path: "Path") -> None:
        """Write a copy while others read and write."""

    def close(self) -> None:
        """End; what was acknowledged is kept."""
